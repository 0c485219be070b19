"""The line before the GPU: jobs in, updates back. The record is the store's; what runs next is decided here."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

from bot.domain import Abilities, Failed, Operation, Picture, Queued, Rendered, Rendering, RenderJob, RenderUpdate
from render.engine import EngineLost
from render.wire import Batch, Made, Preview, Slots, Spoilt, Step, Task, WorkerEvent

log = logging.getLogger(__name__)

MOST_FAULTS = 3  # times that a job may have taken the worker down with it
MOST_REFUSALS = 40  # times that a worker that says it is free may not take a job
POLL = (0.05, 1.0)  # seconds between two looks for a worker that is away: the first, the longest


class JobStore(Protocol):
    """What the line asks of the store. Writes after `claim` count only for the job's newest attempt."""

    def outcome(self, job: RenderJob) -> Rendered | Failed | None: ...  # noqa: D102
    def claim(self, job: RenderJob) -> RenderJob: ...  # noqa: D102
    def lost(self, job: RenderJob, blamed: bool) -> int: ...  # noqa: D102
    def rendered(self, job: RenderJob, picture: Picture) -> bool: ...  # noqa: D102
    def dead(self, job: RenderJob, reason: str) -> None: ...  # noqa: D102


class Files(Protocol):
    """Where pictures are kept; both methods block."""

    def put(self, png: bytes) -> str: ...  # noqa: D102
    def read(self, digest: str) -> bytes: ...  # noqa: D102


class Engine(Protocol):
    """Where a batch runs, at most once."""

    @property
    def abilities(self) -> Abilities: ...  # noqa: D102
    async def slots(self) -> Slots: ...  # noqa: D102
    def run(self, batch: Batch) -> AsyncGenerator[WorkerEvent]: ...  # noqa: D102


class Ticket:
    """A job that somebody waits for."""

    def __init__(self, job: RenderJob) -> None:
        self.job = job
        self.updates: asyncio.Queue[RenderUpdate] = asyncio.Queue()
        self.rendering: asyncio.Task[None] | None = None
        self.fraction = 0.0
        self.refusals = 0
        self.tell = self.updates.put_nowait


class Line:
    """First come, first served, one at a time."""

    def __init__(self, store: JobStore, files: Files, engine: Engine, num_inference_steps: int | None = None) -> None:
        self._store = store
        self._files = files
        self._engine = engine
        self._steps = num_inference_steps
        self._waiting: deque[Ticket] = deque()
        self._news = asyncio.Event()
        self._running: Ticket | None = None
        self.introduced = asyncio.Event()  # the abilities are those of a worker's model, or there will be no worker

    @property
    def abilities(self) -> Abilities:
        """What the workers' picture model can do; until a worker has said so, what most can."""
        return self._engine.abilities

    async def render(self, job: RenderJob) -> AsyncGenerator[RenderUpdate]:
        """Stand in line until the job has ended; leaving early takes it off the line, or off the device."""
        outcome = self._store.outcome(job)
        if outcome is not None:
            yield outcome
            return
        ticket = Ticket(job)
        self._waiting.append(ticket)
        self._news.set()
        ticket.tell(Queued(self._ahead(ticket)))
        try:
            while True:
                update = await ticket.updates.get()
                yield update
                if isinstance(update, Rendered | Failed):
                    return
        finally:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
                self._moved()
            if ticket.rendering:
                ticket.rendering.cancel()

    async def run(self) -> None:
        """Serve the line until cancelled; the worker is asked first what its picture model can do."""
        await self._worker()
        self.introduced.set()
        while True:
            while not self._waiting:
                self._news.clear()
                await self._news.wait()
            trouble = await self._worker()
            if not self._waiting:
                continue
            ticket = self._running = self._waiting.popleft()
            if trouble:
                self._store.dead(self._store.claim(ticket.job), trouble)
                ticket.tell(Failed(trouble))
                continue
            ticket.rendering = asyncio.create_task(self._render(ticket))
            self._moved()
            try:
                await asyncio.wait({ticket.rendering})
            finally:
                ticket.rendering.cancel()
                self._running = None

    async def _worker(self) -> str | None:
        """Wait for a worker with a free slot; the reason if there will be none."""
        pause, longest = POLL
        while not (slots := await self._engine.slots()).slots:
            if slots.trouble:
                return slots.trouble
            await asyncio.sleep(pause)
            pause = min(longest, pause * 1.5)
        return None

    async def _render(self, ticket: Ticket) -> None:
        """One attempt at one job; every way in which it can end is told."""
        job = self._store.claim(ticket.job)
        try:
            source = await asyncio.to_thread(self._files.read, job.source) if job.source else None
            async with aclosing(self._engine.run(Batch([_task(job, source, self._steps)]))) as events:
                async for event in events:
                    await self._heard(ticket, job, event)
                    if isinstance(event, Made | Spoilt):
                        return
            raise EngineLost(started=True)  # an end without a picture
        except EngineLost as lost:
            await asyncio.sleep(POLL[0])  # a worker that is just going away is not asked again at once
            self._again(ticket, job, lost.started)
        except FileNotFoundError:
            self._give_up(ticket, job, f"The file of picture #{job.parent} is gone, so there is nothing to start from.")
        except OSError as error:
            self._give_up(ticket, job, f"The picture could not be kept: {error.strerror or error}.")
        except asyncio.CancelledError:
            self._store.lost(job, blamed=False)
            raise
        except Exception:
            log.exception("job %s met a bug", job.id)
            self._give_up(ticket, job, "Something went wrong here; the log says what.")

    async def _heard(self, ticket: Ticket, job: RenderJob, event: WorkerEvent) -> None:
        match event:
            case Step(fraction):
                ticket.fraction = fraction
                ticket.tell(Rendering(fraction))
            case Preview(_, jpeg):
                ticket.tell(Rendering(ticket.fraction, jpeg))
            case Made():
                digest = await asyncio.to_thread(self._files.put, event.png)
                picture = _picture(job, event, digest)
                if self._store.rendered(job, picture):
                    log.info("job %s rendered", job.id)
                    ticket.tell(Rendered(picture))
            case Spoilt(_, reason):
                self._give_up(ticket, job, reason)

    def _again(self, ticket: Ticket, job: RenderJob, blamed: bool) -> None:
        faults = self._store.lost(job, blamed)
        log.warning("job %s lost its worker (%s of %s)", job.id, faults, MOST_FAULTS)
        ticket.refusals += not blamed
        if faults >= MOST_FAULTS:
            self._give_up(ticket, self._store.claim(job), "The renderer broke down over this picture several times.")
        elif ticket.refusals >= MOST_REFUSALS:
            self._give_up(ticket, self._store.claim(job), "The render worker has a free slot, but takes no picture.")
        else:
            ticket.tell(Queued(0))
            self._waiting.appendleft(ticket)

    def _give_up(self, ticket: Ticket, job: RenderJob, reason: str) -> None:
        ticket.tell(Failed(reason))
        self._store.dead(job, reason)

    def _ahead(self, ticket: Ticket) -> int:
        return self._waiting.index(ticket) + (self._running is not None)

    def _moved(self) -> None:
        for ticket in self._waiting:
            ticket.tell(Queued(self._ahead(ticket)))


def _task(job: RenderJob, source: bytes | None, steps: int | None) -> Task:
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
    )


def _picture(job: RenderJob, made: Made, digest: str) -> Picture:
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
    )
