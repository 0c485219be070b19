"""Converts a job to the values of the scheduler and of the worker, and a result to a Picture. Pure."""

from dataclasses import replace

from bot.domain import Operation, Picture, RenderJob, Sampling, ThreadKey
from render.protocol import Defaults, ImageDone, ImageTask
from render.queue.scheduler import BatchKey, ScheduledJob

URGENT_OPERATIONS = (Operation.EDIT, Operation.REFINE)  # a user is looking at the source image


def to_scheduled_job(job: RenderJob, defaults: Defaults, steps: int | None, since: float) -> ScheduledJob:
    """Return the job for the scheduler; it waits since `since`, in seconds of the queue's clock."""
    return ScheduledJob(
        id=job.id,
        server=server_key(job.thread),
        channel=f"{server_key(job.thread)}/{job.thread.channel}",
        person=job.owner,
        batch_key=batch_key(job, steps),
        cost=render_cost(job, defaults, steps),
        since=since,
        is_urgent=job.request.operation in URGENT_OPERATIONS,
        runs_alone=job.faults > 0,
    )


def server_key(thread: ThreadKey) -> str:
    """Return the key of the server that shares one turn between its users."""
    return f"{thread.platform}/{thread.space}"


def batch_key(job: RenderJob, steps: int | None) -> BatchKey:
    """Return the values that jobs must have in common to share a batch."""
    request = job.request
    extent = "region" if request.region else "whole"
    change = "" if job.source_digest is None else f"{request.operation} {request.change} {extent}"
    return BatchKey(_sampling(job, steps).shared_options, change)


def render_cost(job: RenderJob, defaults: Defaults, steps: int | None) -> float:
    """Return the cost of the job in megapixel-steps."""
    sampling = _sampling(job, steps)
    width, height = sampling.size or (defaults.width, defaults.height)
    return width * height / 1e6 * (sampling.num_inference_steps or defaults.num_inference_steps)


def to_image_task(job: RenderJob, source: bytes | None, steps: int | None) -> ImageTask:
    """Return the job as a task for a worker. `source` is a PNG."""
    request = job.request
    return ImageTask(
        job.id,
        request.operation,
        job.final_prompt,
        source,
        job.source_prompt,
        request.change,
        request.region,
        job.embeds_metadata,
        _sampling(job, steps),
    )


def _sampling(job: RenderJob, steps: int | None) -> Sampling:
    """Return the sampling of the job, with `steps` if the request does not choose the number of steps."""
    sampling = job.request.sampling
    return replace(sampling, num_inference_steps=sampling.num_inference_steps or steps)


def to_picture(job: RenderJob, result: ImageDone, digest: str) -> Picture:
    """Return the record of the finished image. `digest` names its file."""
    return Picture(
        number=job.number,
        digest=digest,
        width=result.width,
        height=result.height,
        alt=job.request.prompt or f"A picture like #{job.request.source}",
        request=job.request,
        model=result.model,
        refined_prompt=job.refined_prompt,
        edit_method=result.edit_method,
        notes=result.notes,
    )
