"""Where the jobs stand, told from the record alone, for whoever looks at it from outside the bot."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import median
from typing import Protocol

from bot.domain import Queued, RenderJob, ThreadKey
from render.pace import Pace
from render.queue import MEASURED, REMEMBERED
from render.schedule import Busy, Schedule, Slot
from render.tasks import TYPICAL, cost, server, waiting

RECENT = 86400.0  # seconds; what was painted since then tells what a picture costs


class Record(Protocol):
    """What is known of the past."""

    def served(self, seconds: float) -> list[tuple[ThreadKey, str, float]]: ...  # noqa: D102
    def paces(self, batches: int) -> list[tuple[str, float, float]]: ...  # noqa: D102


def forecast(
    record: Record, jobs: Iterable[RenderJob], running: Sequence[tuple[float, float]], now: float
) -> dict[str, Queued]:
    """The places of the first jobs that wait, in the order of the bot's own policy; the others are too far off to tell.

    `running` has the cost and the time of the claim of each job that runs. The workers are not asked, so there are
    taken to be as many slots as batches run, one at least, and each to paint one picture at a time. Times are in
    seconds since 1970.
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
    """A slot for each batch that runs; the jobs of a batch were claimed in one moment."""
    batches: defaultdict[float, float] = defaultdict(float)
    for spent, claimed in running:
        batches[claimed] += spent
    slots = [Busy(Slot(), max(0.0, spent * (pace or 0.0) - (now - claimed))) for claimed, spent in batches.items()]
    return slots or [Busy(Slot())]
