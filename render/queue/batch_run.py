"""Runs one batch on one worker and records how each of its jobs ended."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Protocol

from bot.domain import Failed, Picture, Queued, Rendered, Rendering, RenderJob, RenderUpdate
from bot.errors import StorageError
from bot.notices import UserText, notice
from render.protocol import Batch, ImageDone, ImageFailed, ImageTask, Preview, Started, StepDone, WorkerEvent
from render.queue.job_mapping import to_image_task, to_picture
from render.queue.scheduler import QueuePosition, ScheduledJob
from render.queue.speed_estimate import SpeedEstimate
from render.queue.workers import WorkerHandle
from render.worker.client import EngineLost

log = logging.getLogger(__name__)

MAX_FAULTS = 3  # lost attempts of a job that may itself have crashed the worker
MAX_REFUSALS = 40  # times that workers with a free slot refused a job
ESTIMATE_TOLERANCE = (1.0, 0.1)  # seconds, and fraction, by which an estimate must change to be sent again


class AttemptStore(Protocol):
    """Records how an attempt ended. A write counts only if its attempt is the newest of the job."""

    def release(self, job: RenderJob, blamed: bool) -> int:
        """Put a running job back into the queue. Return its faults; `blamed` adds one. Raises StorageError."""
        ...

    async def complete(self, job: RenderJob, finished: Picture) -> bool:
        """Record the finished image; False if the attempt is not the newest any more. Raises StorageError."""
        ...

    def fail(self, job: RenderJob, reason: UserText) -> None:
        """Record that a running job failed for good. Raises StorageError."""
        ...

    def refuse(self, job: RenderJob, reason: UserText) -> None:
        """Record that a waiting job failed for good. Raises StorageError."""
        ...


class FileStore(Protocol):
    """Files of images. Both methods block."""

    def put(self, png: bytes) -> str:
        """Store a PNG and return its digest. Raises OSError."""
        ...

    def read(self, digest: str) -> bytes:
        """Return the PNG with this digest. Raises OSError."""
        ...


class PendingJob:
    """A job in the queue or in a batch, and the updates for the reply that waits for it."""

    def __init__(self, job: RenderJob, scheduled_job: ScheduledJob) -> None:
        self.job = job
        self.scheduled_job = scheduled_job
        self.position: QueuePosition | None = None
        self.batch_run: BatchRun | None = None
        self.refusals = 0
        self.updates: asyncio.Queue[RenderUpdate] = asyncio.Queue()
        self.send_update = self.updates.put_nowait

    def update_position(self, position: QueuePosition) -> None:
        """Send the position in the queue if it or the estimate has changed."""
        before, self.position = self.position, position
        if before is None or before.ahead != position.ahead or _differ(before.eta, position.eta):
            self.send_update(Queued(position.ahead, position.eta))


class BatchRun:
    """A running batch. `pending` has the jobs that have not ended yet, by id. Times are of the loop's clock."""

    def __init__(self, worker: WorkerHandle, pending_jobs: Mapping[str, PendingJob], started_at: float) -> None:
        self.worker = worker
        self.pending = dict(pending_jobs)
        self.jobs = tuple(pending_job.scheduled_job for pending_job in pending_jobs.values())
        self.started_at = started_at
        self.fraction = 0.0
        self.task: asyncio.Task[None] | None = None
        for pending_job in pending_jobs.values():
            pending_job.batch_run, pending_job.position = self, None

    @property
    def cost(self) -> float:
        """Cost of all jobs of the batch, in megapixel-steps."""
        return sum(job.cost for job in self.jobs)

    def seconds_left(self, now: float, pace: float | None) -> float:
        """Seconds until the batch is done, by its progress or, before 10 %, by `pace` in seconds per megapixel-step."""
        if self.fraction > 0.1:
            return max(0.0, (now - self.started_at) * (1 / self.fraction - 1))
        return max(0.0, self.cost * (pace or 0.0) - (now - self.started_at))

    def remove(self, pending_job: PendingJob) -> bool:
        """Remove the job and cancel the batch if no job is left; False if the job had already ended."""
        if self.pending.get(pending_job.job.id) is not pending_job:
            return False
        del self.pending[pending_job.job.id]
        if not self.pending and self.task:
            self.task.cancel()
        return True


class BatchRunner:
    """Sends batches to workers and records the results of their jobs."""

    def __init__(
        self,
        store: AttemptStore,
        files: FileStore,
        num_inference_steps: int | None,
        requeue: Callable[[PendingJob, bool], None],
    ) -> None:
        """`requeue` puts a job back into the queue; its second argument says whether the job may be to blame."""
        self._store = store
        self._files = files
        self._steps = num_inference_steps
        self._requeue = requeue

    async def run(self, batch_run: BatchRun, pace: SpeedEstimate, group: asyncio.TaskGroup) -> None:
        """Run the batch until it ends. Tasks of the group store its images, which does not block the slot."""
        try:
            tasks = await self._read_tasks(batch_run)
            if not tasks:
                return
            async with aclosing(batch_run.worker.engine.run(Batch(tasks))) as events:
                async for event in events:
                    self._handle_event(batch_run, event, group)
            batch_run.worker.reset_backoff()
            if batch_run.fraction:  # otherwise the result came from the cache and took no time
                pace.add_measurement(batch_run.worker.report.model, batch_run.cost, _now() - batch_run.started_at)
        except EngineLost as lost:
            batch_run.worker.require_recheck()
            if lost.violation:
                batch_run.worker.back_off(lost.violation, _now())
            for pending_job in _take_pending(batch_run):
                self._handle_loss(pending_job, blamed=lost.started)
        except asyncio.CancelledError:
            for pending_job in _take_pending(batch_run):
                self._store.release(pending_job.job, blamed=False)
            raise
        except Exception:
            log.exception("a batch failed with a bug")
            for pending_job in _take_pending(batch_run):
                self._give_up(pending_job, notice("bug"))

    async def _read_tasks(self, batch_run: BatchRun) -> list[ImageTask]:
        tasks = []
        for pending_job in list(batch_run.pending.values()):
            job = pending_job.job
            try:
                source = await asyncio.to_thread(self._files.read, job.source_digest) if job.source_digest else None
            except OSError:
                batch_run.pending.pop(job.id, None)
                self._give_up(pending_job, notice("image-file-gone", number=job.request.source or 0))
            else:
                tasks.append(to_image_task(job, source, self._steps))
        return [each for each in tasks if each.id in batch_run.pending]

    def _handle_event(self, batch_run: BatchRun, event: WorkerEvent, group: asyncio.TaskGroup) -> None:
        match event:
            case Started():
                batch_run.started_at = _now()
            case StepDone(fraction):
                batch_run.fraction = fraction
                for pending_job in batch_run.pending.values():
                    pending_job.send_update(Rendering(fraction))
            case Preview(job_id, jpeg) if job_id in batch_run.pending:
                batch_run.pending[job_id].send_update(Rendering(batch_run.fraction, jpeg))
            case ImageDone(job_id) if job_id in batch_run.pending:
                group.create_task(self._save_result(batch_run.pending.pop(job_id), event))
            case ImageFailed(job_id, reason) if job_id in batch_run.pending:
                self._give_up(batch_run.pending.pop(job_id), reason)

    async def _save_result(self, pending_job: PendingJob, result: ImageDone) -> None:
        """Store the image as a file and a row before sending the update."""
        try:
            digest = await asyncio.to_thread(self._files.put, result.png)
            finished = to_picture(pending_job.job, result, digest)
            if await self._store.complete(pending_job.job, finished):
                log.info("job %s rendered", pending_job.job.id)
                pending_job.send_update(Rendered(finished))
        except OSError as error:
            self._give_up(pending_job, notice("image-not-saved", reason=str(error.strerror or error)))
        except StorageError as error:
            pending_job.send_update(Failed(error.notice))

    def _handle_loss(self, pending_job: PendingJob, blamed: bool) -> None:
        try:
            faults = self._store.release(pending_job.job, blamed)
        except StorageError as error:
            pending_job.send_update(Failed(error.notice))
            return
        log.warning("job %s lost its worker (fault %s of %s)", pending_job.job.id, faults, MAX_FAULTS)
        pending_job.refusals += not blamed
        if faults >= MAX_FAULTS:
            self._refuse(pending_job, notice("worker-crashed"))
        elif pending_job.refusals >= MAX_REFUSALS:
            self._refuse(pending_job, notice("worker-refuses"))
        else:
            self._requeue(pending_job, blamed)

    def _refuse(self, pending_job: PendingJob, reason: UserText) -> None:
        self._record_end(self._store.refuse, pending_job, reason)

    def _give_up(self, pending_job: PendingJob, reason: UserText) -> None:
        self._record_end(self._store.fail, pending_job, reason)

    def _record_end(
        self, record: Callable[[RenderJob, UserText], None], pending_job: PendingJob, reason: UserText
    ) -> None:
        pending_job.send_update(Failed(reason))
        try:
            record(pending_job.job, reason)
        except StorageError as error:
            log.error("%s", error)


def _take_pending(batch_run: BatchRun) -> list[PendingJob]:
    pending_jobs = list(batch_run.pending.values())
    batch_run.pending.clear()
    return pending_jobs


def _differ(before: float | None, now: float | None) -> bool:
    if before is None or now is None:
        return before is not now
    return abs(before - now) > max(ESTIMATE_TOLERANCE[0], ESTIMATE_TOLERANCE[1] * before)


def _now() -> float:
    return asyncio.get_running_loop().time()
