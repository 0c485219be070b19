"""Converts a job to the values of the scheduler and of the worker, and a result to a Picture. Pure."""

from bot.domain import Operation, Picture, RenderJob, ThreadKey
from render.protocol import Defaults, ImageDone, ImageTask
from render.queue.scheduler import BatchKey, ScheduledJob

FALLBACK_DEFAULTS = Defaults(1024, 1024, 30)  # assumed until a worker has reported the defaults of its model
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
        is_urgent=job.operation in URGENT_OPERATIONS,
        runs_alone=job.faults > 0,
    )


def server_key(thread: ThreadKey) -> str:
    """Return the key of the server that shares one turn between its users."""
    return f"{thread.platform}/{thread.space}"


def batch_key(job: RenderJob, steps: int | None) -> BatchKey:
    """Return the values that jobs must have in common to share a batch."""
    how = "" if job.source is None else f"{job.operation} {job.change} {'part' if job.part else 'whole'}"
    return BatchKey(
        job.model, how, job.size, job.ratio, job.num_inference_steps or steps, job.guidance_scale,
        f"{job.lora} {job.lora_scale}" if job.lora else "",
    )  # fmt: skip


def render_cost(job: RenderJob, defaults: Defaults, steps: int | None) -> float:
    """Return the cost of the job in megapixel-steps."""
    width, height = job.size or (defaults.width, defaults.height)
    return width * height / 1e6 * (job.num_inference_steps or steps or defaults.num_inference_steps)


def to_image_task(job: RenderJob, source: bytes | None, steps: int | None) -> ImageTask:
    """Return the job as a task for a worker. `source` is a PNG."""
    width, height = job.size or (None, None)
    return ImageTask(
        id=job.id,
        operation=job.operation,
        prompt=job.refined or job.prompt,
        seed=job.seed,
        source=source,
        width=width,
        height=height,
        num_inference_steps=job.num_inference_steps or steps,
        guidance_scale=job.guidance_scale,
        model=job.model,
        negative=job.negative,
        telling=job.embeds_metadata,
        before=job.source_prompt,
        change=job.change,
        ratio=job.ratio,
        part=job.part,
        lora=job.lora,
        lora_scale=job.lora_scale,
    )


def to_picture(job: RenderJob, result: ImageDone, digest: str) -> Picture:
    """Return the record of the finished image. `digest` names its file."""
    return Picture(
        number=job.number,
        digest=digest,
        width=result.width,
        height=result.height,
        prompt=job.prompt,
        alt=job.prompt or f"A picture like #{job.parent}",
        operation=Operation(job.operation),
        seed=job.seed,
        model=result.model,
        parent=job.parent,
        refined=job.refined,
        way=result.way,
        notes=result.notes,
    )
