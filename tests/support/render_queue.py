"""A line at work for the tests: scripted workers, a store with a message, and how to listen."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace

from bot.capabilities import ModelCapabilities
from bot.domain import ImageRequest, Operation, Person, Rendering, RenderJob, RenderUpdate
from bot.storage.jobs import Jobs
from bot.storage.picture_files import PictureFiles
from bot.storage.store import Store
from render.protocol import Batch, Defaults, ImageDone, Started, WorkerEvent, WorkerReport
from render.queue.queue import RenderQueue
from render.queue.scheduler import ConcurrencyLimits
from render.queue.workers import Engine
from render.worker.client import EngineLost
from tests.support.doubles import message


class Finish:
    """Every picture of the batch that is not made yet."""


DONE = Finish()
Script = list[WorkerEvent | EngineLost | asyncio.Event | Finish]
REFUSED: list[Script] = [[EngineLost(started=False)]]
BROKEN: list[Script] = [[Started(), EngineLost(started=True)]]
ABLE = ModelCapabilities()
ONE = WorkerReport(1, 1, "m", capabilities=ABLE, defaults=Defaults(1000, 1000, 10))


@dataclass
class ScriptedEngine:
    """Runs one script a batch: events come out, events of asyncio are waited for, losses are raised."""

    scripts: list[Script]
    state: WorkerReport = ONE
    batches: list[Batch] = field(default_factory=list)
    closed: int = 0
    name: str = "scripted"
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    poison: str = ""  # a prompt that kills it
    others: int = 0  # batches of another bot
    happened: list[str] = field(default_factory=list)  # what was asked of it, in order

    async def slots(self) -> WorkerReport:
        """As it is told, always free."""
        self.happened.append("slots")
        busy = len(self.batches) - self.closed + self.others
        return replace(self.state, free=max(0, self.state.slots - busy))

    async def run(self, batch: Batch) -> AsyncGenerator[WorkerEvent]:
        """The next script."""
        self.happened.append("batch")
        self.batches.append(batch)
        self.asked.set()
        try:
            if any(task.prompt == self.poison for task in batch.tasks):
                yield Started()
                raise EngineLost(started=True)
            for each in self.scripts.pop(0):
                match each:
                    case EngineLost():
                        raise each
                    case asyncio.Event():
                        await each.wait()
                    case Finish():
                        for task in batch.tasks:
                            yield ImageDone(task.id, b"png" + task.id.encode(), 256, 256, "m")
                    case _:
                        yield each
        finally:
            self.closed += 1

    def prompts(self) -> list[list[str]]:
        """What each batch was of."""
        return [[task.prompt for task in batch.tasks] for batch in self.batches]


def job(store: Store, key: int = 0) -> RenderJob:
    """The nth picture of a message."""
    store.accept(message("m1", "draw"))
    return store.jobs.order("m1", ImageRequest(key, Operation.GENERATE, f"p{key}"), None)


def jobs_of(store: Store, *people: str, start: int = 0) -> list[RenderJob]:
    """A job each, of these people in this order."""
    jobs = []
    for nth, person in enumerate(people, start):
        words = message(f"{person}{nth}", "draw", author=Person(person, person))
        store.accept(words, requests=[ImageRequest(0, Operation.GENERATE, f"{person}{nth}")])
        jobs.append(store.jobs.order(words.id, ImageRequest(0, Operation.GENERATE, f"{person}{nth}"), None))
    return jobs


@asynccontextmanager
async def serving(
    store: Store | Jobs, files: PictureFiles, *engines: Engine, caps: ConcurrencyLimits | None = None
) -> AsyncIterator[RenderQueue]:
    """A line at work."""
    line = RenderQueue(store if isinstance(store, Jobs) else store.jobs, files, engines, limits=caps)
    task = asyncio.create_task(line.run())
    try:
        yield line
    finally:
        task.cancel()
        await asyncio.wait({task})


async def collect(line: RenderQueue, wanted: RenderJob) -> list[RenderUpdate]:
    """Everything that happens to a job."""
    async with aclosing(line.render(wanted)) as updates:
        return [update async for update in updates]


async def collect_from(updates: AsyncGenerator[RenderUpdate]) -> list[RenderUpdate]:
    """All that is left to happen."""
    async with aclosing(updates):
        return [update async for update in updates]


async def gather(line: RenderQueue, wanted: list[RenderJob]) -> list[list[RenderUpdate]]:
    """Everything that happens to these jobs."""
    return await asyncio.gather(*(collect(line, each) for each in wanted))


async def until_rendering(updates: AsyncGenerator[RenderUpdate]) -> None:
    """Wait until the device is at work on it."""
    async for update in updates:
        if isinstance(update, Rendering):
            return


async def with_next(engine: ScriptedEngine, line: RenderQueue, wanted: RenderJob) -> list[RenderUpdate]:
    """Everything that happens to the job, which is painted without trouble."""
    engine.scripts.append([DONE])
    return await collect(line, wanted)
