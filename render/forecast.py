"""Queue positions computed from the jobs table alone, for commands that run outside the bot."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import median
from typing import Protocol

from bot.domain import Queued, RenderJob, ThreadKey
from render.protocol import FALLBACK_DEFAULTS
from render.queue.job_mapping import render_cost, server_key, to_scheduled_job
from render.queue.queue import FAIR_SHARE_PERIOD, TIMED_BATCHES
from render.queue.scheduler import QueuePosition, Schedule, Slot, SlotState, position_without_forecast
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
    """Forecast position and estimate of the waiting jobs, in the order of the bot's own scheduler.

    `running` has the cost in megapixel-steps and the claim time of each running job. The workers are not asked, so
    the forecast assumes as many slots as batches run, but at least one, one image at a time for each slot, and the
    models of the past batches. A job that needs another model has no position. Times are in seconds since 1970.
    """
    pace, schedule = SpeedEstimate(), Schedule()
    for thread, owner, spent in history.recent_charges(FAIR_SHARE_PERIOD):
        schedule.charge_past(server_key(thread), owner, spent)
    timings = history.batch_timings(TIMED_BATCHES)
    for measured in timings:
        pace.add_measurement(*measured)
    costs = [spent for *_, spent in history.recent_charges(COST_PERIOD) if spent]
    waiting = list(jobs)
    for job in waiting:
        typical = median(costs) if costs else render_cost(job, FALLBACK_DEFAULTS, None)
        schedule.add(replace(to_scheduled_job(job, FALLBACK_DEFAULTS, None, job.ordered), cost=typical))
    known = pace.typical if costs else None
    slot = Slot(models=frozenset(model for model, *_ in timings))
    slots = _estimate_slots(slot, running, known, now)
    positions = schedule.forecast(slots, now, known)
    scheduled = {each.id: position_without_forecast(each, slots) for each in schedule} | positions
    return {job.id: _to_update(scheduled[job.id], len(running)) for job in waiting}


def _to_update(position: QueuePosition, running: int) -> Queued:
    return Queued(None if position.ahead is None else running + position.ahead, position.eta)


def _estimate_slots(
    slot: Slot, running: Sequence[tuple[float, float]], pace: float | None, now: float
) -> list[SlotState]:
    """Return a slot for each running batch; the jobs of a batch have the same claim time."""
    batches: defaultdict[float, float] = defaultdict(float)
    for spent, claimed in running:
        batches[claimed] += spent
    slots = [SlotState(slot, max(0.0, spent * (pace or 0.0) - (now - claimed))) for claimed, spent in batches.items()]
    return slots or [SlotState(slot)]
