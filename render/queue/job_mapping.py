"""Converts a job to the values of the scheduler and of the worker, and a result to a Picture. Pure."""

from bot.domain import Operation, Picture, RenderJob, ThreadKey
from render.protocol import Made, Task, Usual
from render.queue.scheduler import Kind, Waiting

TYPICAL = Usual(1024, 1024, 30)  # assumed until a worker has reported the defaults of its model
URGENT = (Operation.EDIT, Operation.REFINE)  # a user is looking at the source image


def waiting(job: RenderJob, usual: Usual, steps: int | None, since: float) -> Waiting:
    """Return the job for the scheduler; it waits since `since`, in seconds of the queue's clock."""
    return Waiting(
        id=job.id,
        server=server(job.thread),
        channel=f"{server(job.thread)}/{job.thread.channel}",
        person=job.owner,
        kind=kind(job, steps),
        cost=cost(job, usual, steps),
        since=since,
        urgent=job.operation in URGENT,
        alone=job.faults > 0,
    )


def server(thread: ThreadKey) -> str:
    """Return the key of the server that shares one turn between its users."""
    return f"{thread.platform}/{thread.space}"


def kind(job: RenderJob, steps: int | None) -> Kind:
    """Return the values that jobs must have in common to share a batch."""
    how = "" if job.source is None else f"{job.operation} {job.change} {'part' if job.part else 'whole'}"
    return Kind(
        job.model, how, job.size, job.ratio, job.num_inference_steps or steps, job.guidance_scale,
        f"{job.lora} {job.lora_scale}" if job.lora else "",
    )  # fmt: skip


def cost(job: RenderJob, usual: Usual, steps: int | None) -> float:
    """Return the cost of the job in megapixel-steps."""
    width, height = job.size or (usual.width, usual.height)
    return width * height / 1e6 * (job.num_inference_steps or steps or usual.num_inference_steps)


def task(job: RenderJob, source: bytes | None, steps: int | None) -> Task:
    """Return the job as a task for a worker. `source` is a PNG."""
    width, height = job.size or (None, None)
    return Task(
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
        telling=job.telling,
        before=job.before,
        change=job.change,
        ratio=job.ratio,
        part=job.part,
        lora=job.lora,
        lora_scale=job.lora_scale,
    )


def picture(job: RenderJob, made: Made, digest: str) -> Picture:
    """Return the record of the finished image. `digest` names its file."""
    return Picture(
        number=job.number,
        digest=digest,
        width=made.width,
        height=made.height,
        prompt=job.prompt,
        alt=job.prompt or f"A picture like #{job.parent}",
        operation=Operation(job.operation),
        seed=job.seed,
        model=made.model,
        parent=job.parent,
        refined=job.refined,
        way=made.way,
        notes=made.notes,
    )
