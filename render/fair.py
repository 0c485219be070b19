"""Whose turn it is: start-time fair queueing by virtual time, whose unit is cost. Pure.

After "Start-time Fair Queuing" (Goyal, Vin, Cheng, 1996): each competitor has a virtual start time, the smallest is
served next and moves on by what that cost. Somebody who comes back enters at the time of whoever is served next, so
that being away earns no credit; what one has had beyond one's share is remembered until the others have caught up.
"""

from collections.abc import Iterator

from sortedcontainers import SortedList

Mark = tuple[float, tuple[float, float, int] | None]  # the clock; a competitor's tag and place

MOST_DEBTORS = 10_000  # competitors who are away and still ahead of the others


class Turns:
    """Competitors of one level, in the order of their turns. Equal ones are served in the order of their coming."""

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
        """Have the competitor served, from now on; one who only seemed to be served `keeps` the turn."""
        if key not in self._places:
            tag = self._tags.get(key, 0.0)
            self._stand(key, tag if keeps else max(tag, self.clock))

    def leave(self, key: str) -> None:
        """The competitor wants nothing more for now."""
        if key in self._places:
            self._order.remove(self._places.pop(key))
            self._move_on()

    def charge(self, key: str, cost: float) -> None:
        """The competitor, waiting or not, has been served; a negative cost is given back."""
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
        """Where the competitor and the clock stand, for `reset`."""
        place = self._places.get(key)
        return self.clock, (self._tags[key], *place[:2]) if place else None

    def reset(self, key: str, mark: Mark) -> None:
        """Undo all that happened to this competitor since the mark; marks are undone in reverse."""
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
        """Virtual time is that of whoever is next."""
        if self._order:
            self.clock = max(self.clock, self._order[0][0])
        if len(self._tags) > len(self._places) + MOST_DEBTORS:
            self._tags = {key: tag for key, tag in self._tags.items() if key in self._places or tag > self.clock}
