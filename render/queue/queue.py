"""The render queue: takes jobs and streams updates. The store records them, `scheduler` decides their order."""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from typing import Protocol

from bot.capabilities import ModelCapabilities
from bot.domain import Failed, Rendered, RenderJob, RenderUpdate, ThreadKey
from bot.errors import StorageError
from bot.notices import UserText, notice
from render.queue.batch_run import AttemptStore, BatchRun, BatchRunner, FileStore, PendingJob
from render.queue.job_mapping import batch_key, server_key, to_scheduled_job
from render.queue.scheduler import ConcurrencyLimits, Schedule, ScheduledJob, position_without_forecast
from render.queue.speed_estimate import SpeedEstimate
from render.queue.workers import Engine, WorkerHandle, WorkerPool

log = logging.getLogger(__name__)

FAIR_SHARE_PERIOD = 600.0  # seconds of past service that count for fair share after a restart
TIMED_BATCHES = 50  # batches that give the speed estimate after a start
MAX_WAITING_JOBS = 200  # waiting jobs of one user
FORECAST_INTERVAL = 0.25  # seconds between two forecasts of positions
RETRY_PAUSE = 5.0  # seconds before a failed write of the table is tried again
POLL_INTERVAL = 0.5  # seconds between two checks for changes of the table by other processes


class JobStore(AttemptStore, Protocol):
    """The jobs table, as the queue uses it. Writes after `claim` count only for the newest attempt of the job."""

    def recover(self) -> None:
        """Put jobs that ran when the last bot process ended back into the queue. Raises StorageError."""
        ...

    def recent_charges(self, seconds: float) -> list[tuple[ThreadKey, str, float]]:
        """Return thread, owner and cost in megapixel-steps of the jobs of the last `seconds`, in order of service.

        Cancelled and failed jobs do not count.
        """
        ...

    def batch_timings(self, batches: int) -> list[tuple[str, float, float]]:
        """Return model, cost in megapixel-steps and seconds of the newest batches, the oldest first."""
        ...

    def watch_changes(self) -> Callable[[], bool]:
        """Return a function that tells whether another process has written since the last call."""
        ...

    def outcome(self, job: RenderJob) -> Rendered | Failed | None:
        """Return how the job ended, or None if it has not ended."""
        ...

    def claim(self, batch: str, costs: Mapping[str, float]) -> dict[str, int]:
        """Mark jobs as running in one batch; return the attempt of each claimed job by id. Raises StorageError.

        `costs` are in megapixel-steps by job id. Jobs that do not wait any more are not in the result.
        """
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """Combine the claims within this context into one transaction. Raises StorageError."""
        ...

    def cancel(self, job_id: str, reason: UserText) -> bool:
        """Record that a waiting or running job was cancelled; False if it has ended. Raises StorageError."""
        ...


class RenderQueue:
    """Renders jobs in batches on all workers, with a fair share for every server and every user."""

    def __init__(
        self,
        store: JobStore,
        files: FileStore,
        engines: Sequence[Engine],
        *,
        capabilities: ModelCapabilities | None = None,
        num_inference_steps: int | None = None,
        limits: ConcurrencyLimits | None = None,
    ) -> None:
        """`capabilities` apply until a worker has reported the capabilities of its model."""
        self._store = store
        self._steps = num_inference_steps
        self._wake = asyncio.Event()
        self._has_changed = False
        self._next_forecast = 0.0
        self._models: Sequence[str] = ()  # of the workers at the last check for jobs that no worker can render
        self.worker_pool = WorkerPool(engines, capabilities or ModelCapabilities(), self._wake.set)
        self.pace = SpeedEstimate()
        self.schedule = Schedule(limits)
        self.pending_jobs: dict[str, PendingJob] = {}
        self._on_batch_start: Callable[[str, Sequence[str]], None] = lambda model, job_ids: None
        self._batch_runner = BatchRunner(store, files, num_inference_steps, self._requeue)

    @property
    def capabilities(self) -> ModelCapabilities:
        """Capabilities of the workers' image model; until a worker has reported, those given at the start."""
        return self.worker_pool.capabilities

    @property
    def capabilities_ready(self) -> asyncio.Event:
        """Set when a worker has reported its capabilities, or when no worker ever will."""
        return self.worker_pool.capabilities_ready

    def on_batch_start(self, callback: Callable[[str, Sequence[str]], None]) -> None:
        """Call `callback` with the model and the job ids of every batch that starts."""
        self._on_batch_start = callback

    async def render(self, job: RenderJob) -> AsyncGenerator[RenderUpdate]:
        """Queue the job and stream its updates until it ends. Closing the generator cancels the job."""
        outcome = self._store.outcome(job) or self._refuse_new(job)
        if outcome is not None:
            yield outcome
            return
        pending_job = self._enqueue(job)
        try:
            while True:
                update = await pending_job.updates.get()
                yield update
                if isinstance(update, Rendered | Failed):
                    return
        finally:
            self._abandon(pending_job)

    def cancel(self, job_id: str, reason: UserText) -> bool:
        """Remove the job from the queue, or from the device at its next step; False if it has ended."""
        cancelled = self._store.cancel(job_id, reason)
        if cancelled and (pending_job := self.pending_jobs.get(job_id)):
            pending_job.send_update(Failed(reason))
        return cancelled

    async def run(self) -> None:
        """Run the queue until cancelled. Jobs that ran when the last bot process ended wait again."""
        await self._recover()
        for thread, owner, cost in self._store.recent_charges(FAIR_SHARE_PERIOD):
            self.schedule.charge_past(server_key(thread), owner, cost)
        for model, cost, seconds in self._store.batch_timings(TIMED_BATCHES):
            self.pace.add_measurement(model, cost, seconds)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.worker_pool.run())
            group.create_task(self._watch_store())
            while True:
                wake = self._fill_slots(group)
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(wake):
                        await self._wake.wait()
                self._wake.clear()

    async def _recover(self) -> None:
        """Recover the jobs table; try again while it cannot be written."""
        while True:
            try:
                return self._store.recover()
            except StorageError as error:
                log.error("no picture is drawn yet: %s", error)
                await asyncio.sleep(RETRY_PAUSE)

    # Adding and removing jobs

    def _refuse_new(self, job: RenderJob) -> Failed | None:
        """Refuse a job that no worker can render, or one above the limit of its user; None for any other job."""
        reason = self.worker_pool.explain_refusal(batch_key(job, self._steps))
        if self.schedule.count_waiting(server_key(job.thread), job.owner) >= MAX_WAITING_JOBS:
            reason = notice("too-many-waiting", maximum=MAX_WAITING_JOBS)
        if reason is None:
            return None
        self._store.refuse(job, reason)
        return Failed(reason)

    def _enqueue(self, job: RenderJob) -> PendingJob:
        now = time.time()
        since = self._now() - max(0.0, now - (job.ordered or now))
        pending_job = self.pending_jobs[job.id] = PendingJob(
            job, to_scheduled_job(job, self.worker_pool.defaults, self._steps, since)
        )
        self.schedule.add(pending_job.scheduled_job)
        self._mark_changed()
        return pending_job

    def _abandon(self, pending_job: PendingJob) -> None:
        """Remove a job that nobody waits for. Other jobs of its batch continue; a batch without jobs is cancelled."""
        if self.pending_jobs.get(pending_job.job.id) is pending_job:
            del self.pending_jobs[pending_job.job.id]
        self.schedule.remove(pending_job.scheduled_job)
        if pending_job.batch_run and pending_job.batch_run.remove(pending_job):
            self.schedule.refund(pending_job.scheduled_job)
            with suppress(StorageError):  # then `recover` finds it running at the next start and puts it back
                self._store.release(pending_job.job, blamed=False)
        self._mark_changed()

    def _requeue(self, pending_job: PendingJob, blamed: bool) -> None:
        """Put a job back after a lost attempt; it runs alone from now on if it may be to blame."""
        if self.pending_jobs.get(pending_job.job.id) is not pending_job:
            self.schedule.refund(pending_job.scheduled_job)
            return
        pending_job.scheduled_job = replace(
            pending_job.scheduled_job, runs_alone=pending_job.scheduled_job.runs_alone or blamed
        )
        self.schedule.requeue(pending_job.scheduled_job)
        self._mark_changed()

    async def _watch_store(self) -> None:
        """Watch for changes by other processes, and send the outcome of a job that one of them ended."""
        changed = self._store.watch_changes()
        while True:
            await asyncio.sleep(POLL_INTERVAL)
            if changed():
                for pending_job in list(self.pending_jobs.values()):
                    if outcome := self._store.outcome(pending_job.job):
                        pending_job.send_update(outcome)

    # Sending batches to workers

    def _fill_slots(self, group: asyncio.TaskGroup) -> float | None:
        """Fill every free slot. Return the time of the next forecast, or None if none is due."""
        now = self._now()
        if self.worker_pool.trouble or self.worker_pool.models != self._models:
            self._models = self.worker_pool.models
            self._refuse_impossible()
        chosen: list[tuple[WorkerHandle, tuple[ScheduledJob, ...]]] = []
        for worker in self.worker_pool.workers:
            for _ in range(worker.free_slots(now)):
                batch = self.schedule.next_batch(worker.as_slot(), now)
                if not batch:
                    break
                chosen.append((worker, batch))
        if chosen:
            self._claim_and_send(chosen, group)
        return self._forecast_positions(now)

    def _refuse_impossible(self) -> None:
        """Refuse waiting jobs that no worker can render, as far as the workers have reported their models."""
        trouble = self.worker_pool.trouble
        for each in list(self.schedule):
            if reason := trouble or self.worker_pool.explain_refusal(each.batch_key):
                pending_job = self.pending_jobs[each.id]
                self.schedule.remove(each)
                pending_job.send_update(Failed(reason))
                with suppress(StorageError):  # then it still waits at the next start, and is refused again
                    self._store.refuse(pending_job.job, reason)

    def _claim_and_send(
        self, chosen: Sequence[tuple[WorkerHandle, tuple[ScheduledJob, ...]]], group: asyncio.TaskGroup
    ) -> None:
        """Claim the batches in one transaction and send them to their workers."""
        self._mark_changed()
        try:
            with self._store.transaction():
                claims = [
                    self._store.claim(uuid.uuid4().hex, {each.id: each.cost for each in batch}) for _, batch in chosen
                ]
        except StorageError as error:
            for _, batch in chosen:
                self._drop(batch, Failed(error.notice))
            return
        for (worker, batch), attempts in zip(chosen, claims, strict=True):
            self._drop([each for each in batch if each.id not in attempts], None)
            if attempts:
                self._send(worker, attempts, group)

    def _send(self, worker: WorkerHandle, attempts: Mapping[str, int], group: asyncio.TaskGroup) -> None:
        pending_jobs = {job_id: self.pending_jobs[job_id] for job_id in attempts}
        for job_id, pending_job in pending_jobs.items():
            pending_job.job = replace(pending_job.job, attempt=attempts[job_id])
        batch_run = BatchRun(worker, pending_jobs, self._now())
        worker.batch_runs.append(batch_run)
        self._on_batch_start(worker.report.model, tuple(pending_jobs))
        batch_run.task = group.create_task(self._run_batch(batch_run, group))

    def _drop(self, jobs: Sequence[ScheduledJob], outcome: Failed | None) -> None:
        """End jobs that could not be claimed: another process ended them, or the table cannot be written."""
        self.schedule.mark_ended(jobs)
        for each in jobs:
            self.schedule.refund(each)
            pending_job = self.pending_jobs[each.id]
            pending_job.send_update(
                outcome or self._store.outcome(pending_job.job) or Failed(notice("cancelled-elsewhere"))
            )

    async def _run_batch(self, batch_run: BatchRun, group: asyncio.TaskGroup) -> None:
        try:
            await self._batch_runner.run(batch_run, self.pace, group)
        finally:
            batch_run.worker.batch_runs.remove(batch_run)
            self.schedule.mark_ended(batch_run.jobs)
            self._mark_changed()

    # Positions of waiting jobs

    def _mark_changed(self) -> None:
        self._has_changed = True
        self._wake.set()

    def _forecast_positions(self, now: float) -> float | None:
        """Send changed positions, at most once per interval. Return when the next forecast is due, or None."""
        if not self._has_changed or not len(self.schedule):
            return None
        if now < self._next_forecast:
            return self._next_forecast
        self._has_changed = False
        slots = self.worker_pool.slot_states(now, self.pace.typical)
        positions = self.schedule.forecast(slots, now, self.pace.typical)
        for each in self.schedule:
            self.pending_jobs[each.id].update_position(positions.get(each.id) or position_without_forecast(each, slots))
        self._next_forecast = self._now() + max(
            FORECAST_INTERVAL, 20 * (self._now() - now)
        )  # a forecast of a long queue takes long, so it is made less often
        return None

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
