"""Fair share between servers and between users: start-time fair queueing by virtual time, whose unit is cost. Pure.

After "Start-time Fair Queuing" (Goyal, Vin, Cheng, 1996): each competitor has a virtual start time; the competitor with
the smallest is served next, and its start time grows by the cost. A competitor that comes back enters at the time of
the competitor that is served next, so absence earns no credit; a competitor that has had more than its share is
remembered until the other competitors have caught up.
"""

from collections.abc import Iterator

from sortedcontainers import SortedList

Mark = tuple[float, tuple[float, float, int] | None]  # the clock; start time and position of a competitor

MOST_DEBTORS = 10_000  # absent competitors with more than their share that are remembered


class Turns:
    """Competitors of one level in the order of their turns. Those with equal start times are served in entry order."""

    def __init__(self) -> None:
        self.clock = 0.0
        self._tags: dict[str, float] = {}
        self._places: dict[str, tuple[float, int, str]] = {}
        self._order: SortedList = SortedList()
        self._counter = 0

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[str]:
        for _, _, key in self._order:
            yield key

    def enter(self, key: str, keeps: bool = False) -> None:
        """Add a waiting competitor. With `keeps_turn` its start time stays: it was charged but not served."""
        if key not in self._places:
            tag = self._tags.get(key, 0.0)
            self._stand(key, tag if keeps else max(tag, self.clock))

    def leave(self, key: str) -> None:
        """Remove a competitor that has nothing waiting any more."""
        if key in self._places:
            self._order.remove(self._places.pop(key))
            self._move_on()

    def charge(self, key: str, cost: float) -> None:
        """Charge the competitor, waiting or not, for service of this cost; a negative cost is a refund."""
        waits = key in self._places
        start = self._tags.get(key, 0.0) if waits or cost < 0 else max(self._tags.get(key, 0.0), self.clock)
        tag = max(0.0, start + cost)
        if waits:
            self._order.remove(self._places.pop(key))
            self._stand(key, tag)
        else:
            self._tags[key] = tag
        self._move_on()

    def mark(self, key: str) -> Mark:
        """Return the state of the competitor and of the clock, for `restore`."""
        place = self._places.get(key)
        return self.clock, (self._tags[key], *place[:2]) if place else None

    def reset(self, key: str, mark: Mark) -> None:
        """Undo every change of this competitor since the snapshot. Restore snapshots in reverse order."""
        self.clock, place = mark
        assert place, "only what was waiting is undone"
        if key in self._places:
            self._order.remove(self._places.pop(key))
        self._tags[key] = place[0]
        self._places[key] = (place[1], place[2], key)
        self._order.add(self._places[key])

    def _stand(self, key: str, tag: float) -> None:
        self._counter += 1
        self._tags[key] = tag
        self._places[key] = (tag, self._counter, key)
        self._order.add(self._places[key])

    def _move_on(self) -> None:
        """Set the clock to the start time of the next competitor, and forget absent competitors without debt."""
        if self._order:
            self.clock = max(self.clock, self._order[0][0])
        if len(self._tags) > len(self._places) + MOST_DEBTORS:
            self._tags = {key: tag for key, tag in self._tags.items() if key in self._places or tag > self.clock}
