"""Which painters of a fleet are free, by what they said and by what they were given since. Pure."""

from dataclasses import dataclass, field

from render.wire import Slots


@dataclass(slots=True)
class Board:
    """One line a painter, by its id. Times are of any clock that only goes forward, in seconds.

    A painter is given one batch at a time. One whose batch broke off is not given another until it has been asked
    again, because it may still be busy with the step that it is in.
    """

    told: dict[str, Slots] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    broken: dict[str, float] = field(default_factory=dict)

    def hear(self, told: dict[str, Slots], asked: float) -> None:
        """What all painters that there are answered to a question asked at that time."""
        self.told = told
        self.broken = {painter: when for painter, when in self.broken.items() if when >= asked and painter in told}

    def take(self) -> str | None:
        """A free painter, which is free no longer; None if there is none."""
        painter = next(iter(self._free()), None)
        if painter is not None:
            self.taken.add(painter)
        return painter

    def give_back(self, painter: str, broke_off: float | None = None) -> None:
        """Its batch is over; or broke off, at that time."""
        self.taken.discard(painter)
        if broke_off is not None:
            self.broken[painter] = broke_off

    def slots(self) -> Slots:
        """The whole fleet as if it were one worker. Trouble is told only while nobody can paint."""
        painters = [slots for slots in self.told.values() if slots.slots]
        if not painters:
            return Slots(trouble=next((slots.trouble for slots in self.told.values() if slots.trouble), None))
        some = painters[0]
        return Slots(
            slots=len(painters),
            free=len(self._free()),
            model=some.model,
            revision=some.revision,
            abilities=some.abilities,
            usual=some.usual,
            largest_batch=min(slots.largest_batch for slots in painters),
        )

    def _free(self) -> list[str]:
        unfit = self.taken | self.broken.keys()
        return [painter for painter, slots in self.told.items() if slots.slots and slots.free and painter not in unfit]
