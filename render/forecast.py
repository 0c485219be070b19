"""Queue positions computed from the jobs table alone, for commands that run outside the bot."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import median
from typing import Protocol

from bot.domain import Queued, RenderJob, ThreadKey
from render.queue.job_mapping import FALLBACK_DEFAULTS, render_cost, server_key, to_scheduled_job
from render.queue.queue import FAIR_SHARE_PERIOD, TIMED_BATCHES
from render.queue.scheduler import Schedule, Slot, SlotState
from render.queue.speed_estimate import SpeedEstimate

COST_PERIOD = 86400.0  # seconds; the images rendered in this time tell the typical cost of an image


class JobHistory(Protocol):
    """Past jobs and batches, as the jobs table has them."""

    def recent_charges(self, seconds: float) -> list[tuple[ThreadKey, str, float]]:
        """Return thread, owner and cost in megapixel-steps of the jobs of the last `seconds`, in order of service.

        Cancelled and failed jobs do not count.
        """
        ...

    def batch_timings(self, batches: int) -> list[tuple[str, float, float]]:
        """Return model, cost in megapixel-steps and seconds of the newest batches, the oldest first."""
        ...


def forecast(
    history: JobHistory, jobs: Iterable[RenderJob], running: Sequence[tuple[float, float]], now: float
) -> dict[str, Queued]:
    """Forecast position and estimate of the first HORIZON waiting jobs, in the order of the bot's own scheduler.

    `running` has the cost in megapixel-steps and the claim time of each running job. The workers are not asked, so
    the forecast assumes as many slots as batches run, but at least one, and one image at a time for each slot. Times
    are in seconds since 1970.
    """
    pace, schedule = SpeedEstimate(), Schedule()
    for thread, owner, spent in history.recent_charges(FAIR_SHARE_PERIOD):
        schedule.charge_past(server_key(thread), owner, spent)
    for measured in history.batch_timings(TIMED_BATCHES):
        pace.add_measurement(*measured)
    costs = [spent for *_, spent in history.recent_charges(COST_PERIOD) if spent]
    for job in jobs:
        typical = median(costs) if costs else render_cost(job, FALLBACK_DEFAULTS, None)
        schedule.add(replace(to_scheduled_job(job, FALLBACK_DEFAULTS, None, job.ordered), cost=typical))
    known = pace.typical if costs else None
    places = schedule.forecast(_estimate_slots(running, known, now), now, known)
    return {job: Queued(len(running) + place.ahead, place.eta) for job, place in places.items()}


def _estimate_slots(running: Sequence[tuple[float, float]], pace: float | None, now: float) -> list[SlotState]:
    """Return a slot for each running batch; the jobs of a batch have the same claim time."""
    batches: defaultdict[float, float] = defaultdict(float)
    for spent, claimed in running:
        batches[claimed] += spent
    slots = [SlotState(Slot(), max(0.0, spent * (pace or 0.0) - (now - claimed))) for claimed, spent in batches.items()]
    return slots or [SlotState(Slot())]
