"""A job as the policy and the worker see it, and the picture that comes of it. Pure."""

from bot.domain import Operation, Picture, RenderJob, ThreadKey
from render.schedule import Kind, Waiting
from render.wire import Made, Task, Usual

TYPICAL = Usual(1024, 1024, 30)  # what a picture costs while no worker has told what its model paints
URGENT = (Operation.EDIT, Operation.REFINE)  # somebody is looking at the picture that is to be changed


def waiting(job: RenderJob, usual: Usual, steps: int | None, since: float) -> Waiting:
    """The job in the line, from `since` on (seconds of the line's clock)."""
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
    """Those who share a line within the line."""
    return f"{thread.platform}/{thread.space}"


def kind(job: RenderJob, steps: int | None) -> Kind:
    """What it must have in common with others to share a batch."""
    how = "" if job.source is None else f"{job.operation} {job.change} {'part' if job.part else 'whole'}"
    return Kind(
        job.model, how, job.size, job.ratio, job.num_inference_steps or steps, job.guidance_scale,
        f"{job.lora} {job.lora_scale}" if job.lora else "",
    )  # fmt: skip


def cost(job: RenderJob, usual: Usual, steps: int | None) -> float:
    """How much work it is, in megapixel-steps."""
    width, height = job.size or (usual.width, usual.height)
    return width * height / 1e6 * (job.num_inference_steps or steps or usual.num_inference_steps)


def task(job: RenderJob, source: bytes | None, steps: int | None) -> Task:
    """What the worker is told."""
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
    """What is remembered of the finished picture."""
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
