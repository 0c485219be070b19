"""Tracks which replicas of a deployment are free, by their reports and by the batches given to them since. Pure."""

from dataclasses import dataclass, field

from render.protocol import WorkerReport


@dataclass(slots=True)
class FreeReplicas:
    """Reports and batches of the replicas, by replica id. Times are seconds of a monotonic clock.

    A replica gets one batch at a time. A replica whose batch broke off gets no other batch until it has reported again,
    because it may still be busy with the current step.
    """

    reports: dict[str, WorkerReport] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    broken: dict[str, float] = field(default_factory=dict)

    def update(self, reports: dict[str, WorkerReport], asked_at: float) -> None:
        """Store the reports of all existing replicas, which were requested at the time `asked_at`."""
        self.reports = reports
        self.broken = {
            painter: when for painter, when in self.broken.items() if when >= asked_at and painter in reports
        }

    def take(self) -> str | None:
        """Reserve a free replica and return its id; None if no replica is free."""
        painter = next(iter(self._list_free()), None)
        if painter is not None:
            self.taken.add(painter)
        return painter

    def give_back(self, replica: str, broke_off_at: float | None = None) -> None:
        """Release a replica whose batch has ended, or broke off at the time `broke_off_at`."""
        self.taken.discard(replica)
        if broke_off_at is not None:
            self.broken[replica] = broke_off_at

    def slots(self) -> WorkerReport:
        """Return one report for all replicas together. `trouble` is set only while no replica has a slot."""
        painters = [slots for slots in self.reports.values() if slots.slots]
        if not painters:
            return WorkerReport(trouble=next((slots.trouble for slots in self.reports.values() if slots.trouble), None))
        some = painters[0]
        return WorkerReport(
            slots=len(painters),
            free=len(self._list_free()),
            model=some.model,
            revision=some.revision,
            capabilities=some.capabilities,
            defaults=some.defaults,
            largest_batch=min(slots.largest_batch for slots in painters),
        )

    def _list_free(self) -> list[str]:
        unfit = self.taken | self.broken.keys()
        return [
            painter for painter, slots in self.reports.items() if slots.slots and slots.free and painter not in unfit
        ]
