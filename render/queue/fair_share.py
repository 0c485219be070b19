"""Fair share between servers and between users: start-time fair queueing by virtual time, whose unit is cost. Pure.

After "Start-time Fair Queuing" (Goyal, Vin, Cheng, 1996): each competitor has a virtual start time; the competitor with
the smallest is served next, and its start time grows by the cost. A competitor that comes back enters at the time of
the competitor that is served next, so absence earns no credit; a competitor that has had more than its share is
remembered until the other competitors have caught up.
"""

from collections.abc import Iterator

from sortedcontainers import SortedList

Snapshot = tuple[float, tuple[float, float, int] | None]  # the clock; start time and position of a competitor

MAX_DEBTORS = 10_000  # absent competitors with more than their share that are remembered


class FairQueue:
    """Competitors of one level in the order of their turns. Those with equal start times are served in entry order."""

    def __init__(self) -> None:
        self.clock = 0.0
        self._tags: dict[str, float] = {}
        self._positions: dict[str, tuple[float, int, str]] = {}
        self._order: SortedList = SortedList()
        self._counter = 0

    def __len__(self) -> int:
        return len(self._positions)

    def __iter__(self) -> Iterator[str]:
        for _, _, key in self._order:
            yield key

    def enter(self, key: str, keeps_turn: bool = False) -> None:
        """Add a waiting competitor. With `keeps_turn` its start time stays: it was charged but not served."""
        if key not in self._positions:
            tag = self._tags.get(key, 0.0)
            self._insert(key, tag if keeps_turn else max(tag, self.clock))

    def leave(self, key: str) -> None:
        """Remove a competitor that has nothing waiting any more."""
        if key in self._positions:
            self._order.remove(self._positions.pop(key))
            self._advance_clock()

    def charge(self, key: str, cost: float) -> None:
        """Charge the competitor, waiting or not, for service of this cost; a negative cost is a refund."""
        waits = key in self._positions
        start = self._tags.get(key, 0.0) if waits or cost < 0 else max(self._tags.get(key, 0.0), self.clock)
        tag = max(0.0, start + cost)
        if waits:
            self._order.remove(self._positions.pop(key))
            self._insert(key, tag)
        else:
            self._tags[key] = tag
        self._advance_clock()

    def snapshot(self, key: str) -> Snapshot:
        """Return the state of the competitor and of the clock, for `restore`."""
        place = self._positions.get(key)
        return self.clock, (self._tags[key], *place[:2]) if place else None

    def restore(self, key: str, snapshot: Snapshot) -> None:
        """Undo every change of this competitor since the snapshot. Restore snapshots in reverse order."""
        self.clock, place = snapshot
        assert place, "only what was waiting is undone"
        if key in self._positions:
            self._order.remove(self._positions.pop(key))
        self._tags[key] = place[0]
        self._positions[key] = (place[1], place[2], key)
        self._order.add(self._positions[key])

    def _insert(self, key: str, tag: float) -> None:
        self._counter += 1
        self._tags[key] = tag
        self._positions[key] = (tag, self._counter, key)
        self._order.add(self._positions[key])

    def _advance_clock(self) -> None:
        """Set the clock to the start time of the next competitor, and forget absent competitors without debt."""
        if self._order:
            self.clock = max(self.clock, self._order[0][0])
        if len(self._tags) > len(self._positions) + MAX_DEBTORS:
            self._tags = {key: tag for key, tag in self._tags.items() if key in self._positions or tag > self.clock}
