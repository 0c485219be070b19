"""Queue positions computed from the jobs table alone, for commands that run outside the bot."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import median
from typing import Protocol

from bot.domain import Queued, RenderJob, ThreadKey
from render.queue.job_mapping import TYPICAL, cost, server, waiting
from render.queue.queue import MEASURED, REMEMBERED
from render.queue.scheduler import Busy, Schedule, Slot
from render.queue.speed_estimate import Pace

RECENT = 86400.0  # seconds; the images rendered in this time tell the typical cost of an image


class Record(Protocol):
    """Past jobs and batches, as the jobs table has them."""

    def served(self, seconds: float) -> list[tuple[ThreadKey, str, float]]:
        """Return thread, owner and cost in megapixel-steps of the jobs of the last `seconds`, in order of service.

        Cancelled and failed jobs do not count.
        """
        ...

    def paces(self, batches: int) -> list[tuple[str, float, float]]:
        """Return model, cost in megapixel-steps and seconds of the newest batches, the oldest first."""
        ...


def forecast(
    record: Record, jobs: Iterable[RenderJob], running: Sequence[tuple[float, float]], now: float
) -> dict[str, Queued]:
    """Forecast position and estimate of the first HORIZON waiting jobs, in the order of the bot's own scheduler.

    `running` has the cost in megapixel-steps and the claim time of each running job. The workers are not asked, so
    the forecast assumes as many slots as batches run, but at least one, and one image at a time for each slot. Times
    are in seconds since 1970.
    """
    pace, schedule = Pace(), Schedule()
    for thread, owner, spent in record.served(REMEMBERED):
        schedule.recall(server(thread), owner, spent)
    for measured in record.paces(MEASURED):
        pace.measured(*measured)
    costs = [spent for *_, spent in record.served(RECENT) if spent]
    for job in jobs:
        typical = median(costs) if costs else cost(job, TYPICAL, None)
        schedule.add(replace(waiting(job, TYPICAL, None, job.ordered), cost=typical))
    known = pace.typical if costs else None
    places = schedule.foretell(_slots(running, known, now), now, known)
    return {job: Queued(len(running) + place.ahead, place.eta) for job, place in places.items()}


def _slots(running: Sequence[tuple[float, float]], pace: float | None, now: float) -> list[Busy]:
    """Return a slot for each running batch; the jobs of a batch have the same claim time."""
    batches: defaultdict[float, float] = defaultdict(float)
    for spent, claimed in running:
        batches[claimed] += spent
    slots = [Busy(Slot(), max(0.0, spent * (pace or 0.0) - (now - claimed))) for claimed, spent in batches.items()]
    return slots or [Busy(Slot())]
