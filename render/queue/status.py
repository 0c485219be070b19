"""Status of the render queue as users see it, and its load for the autoscaler. Pure."""

from bot.queue_status import QueuedJob, QueueStatus, WorkerStatus
from render.queue.autoscaler import QueueLoad
from render.queue.batch_run import PendingJob
from render.queue.queue import RenderQueue
from render.queue.workers import WorkerHandle


def snapshot_queue(queue: RenderQueue, now: float) -> QueueStatus:
    """Return the running and waiting jobs and the workers. `now` is seconds of the loop's clock."""
    jobs = []
    for pending_job in queue.pending_jobs.values():
        job, position, batch_run = pending_job.job, pending_job.position, pending_job.batch_run
        runs = batch_run is not None and job.id in batch_run.pending
        jobs.append(
            QueuedJob(
                job_id=job.id,
                thread=job.thread,
                number=job.number,
                operation=job.request.operation,
                owner=job.owner,
                model=job.request.sampling.model,
                running=runs,
                fraction=batch_run.fraction if batch_run and runs else 0.0,
                ahead=0 if runs or position is None else position.ahead,
                eta=_seconds_left(pending_job, now, queue.pace.typical),
                waited=now - pending_job.scheduled_job.since,
            )
        )
    jobs.sort(key=lambda each: (not each.running, each.ahead is None, each.ahead))
    return QueueStatus(tuple(jobs), tuple(map(_worker_status, queue.worker_pool.workers)), dict(queue.pace.by_model))


def measure_load(queue: RenderQueue) -> QueueLoad:
    """Return how many batches run and how much work waits, for the autoscaler."""
    busy = sum(len(worker.batch_runs) for worker in queue.worker_pool.workers)
    return QueueLoad(busy, sum(job.cost for job in queue.schedule), queue.pace.typical or 0.0)


def _seconds_left(pending_job: PendingJob, now: float, pace: float | None) -> float | None:
    if pending_job.batch_run and pending_job.job.id in pending_job.batch_run.pending:
        return pending_job.batch_run.seconds_left(now, pace)
    return pending_job.position.eta if pending_job.position else None


def _worker_status(worker: WorkerHandle) -> WorkerStatus:
    report = worker.report
    return WorkerStatus(worker.engine.name, report.model, report.slots, len(worker.batch_runs), report.trouble or "")
