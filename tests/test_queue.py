"""The line before the GPU."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from bot.domain import (
    Abilities,
    Dialect,
    Failed,
    ImageRequest,
    Operation,
    Queued,
    Rendered,
    Rendering,
    RenderJob,
    RenderUpdate,
)
from bot.files import PictureFiles
from bot.store import Store
from render.engine import EngineLost
from render.queue import MOST_FAULTS, MOST_REFUSALS, Line
from render.wire import Batch, Made, Preview, Slots, Spoilt, Started, Step, WorkerEvent
from tests.doubles import THREAD, message

DONE = Made("", b"png", 256, 256, "m")
Script = list[WorkerEvent | EngineLost | asyncio.Event]
REFUSED: list[Script] = [[EngineLost(started=False)]]
BROKEN: list[Script] = [[Started(), EngineLost(started=True)]]


@dataclass
class ScriptedEngine:
    """Runs one script a batch: events come out, events of asyncio are waited for, losses are raised."""

    scripts: list[Script]
    state: Slots = field(default_factory=lambda: Slots(["0"], "m"))
    batches: list[Batch] = field(default_factory=list)
    closed: int = 0
    abilities: Abilities = field(default_factory=Abilities)

    async def slots(self) -> Slots:
        """One slot, always free."""
        return self.state

    async def run(self, batch: Batch) -> AsyncGenerator[WorkerEvent]:
        """The next script."""
        self.batches.append(batch)
        try:
            for each in self.scripts.pop(0):
                match each:
                    case EngineLost():
                        raise each
                    case asyncio.Event():
                        await each.wait()
                    case _:
                        yield each
        finally:
            self.closed += 1


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with a message to draw for."""
    store = Store(tmp_path / "test.sqlite")
    store.accept(message("m1", "draw"))
    return store


@pytest.fixture
def files(tmp_path: Path) -> PictureFiles:
    """An empty folder of pictures."""
    return PictureFiles(tmp_path / "pictures")


def job(store: Store, key: int = 0) -> RenderJob:
    """The nth picture of the message."""
    return store.order("m1", ImageRequest(key, Operation.GENERATE, f"p{key}"), None)


@asynccontextmanager
async def serving(store: Store, files: PictureFiles, engine: ScriptedEngine) -> AsyncIterator[Line]:
    """A line at work."""
    line = Line(store, files, engine)
    task = asyncio.create_task(line.run())
    try:
        yield line
    finally:
        task.cancel()
        await asyncio.wait({task})


async def collect(line: Line, wanted: RenderJob) -> list[RenderUpdate]:
    """Everything that happens to a job."""
    async with aclosing(line.render(wanted)) as updates:
        return [update async for update in updates]


async def test_a_job_is_rendered_kept_and_recorded(store: Store, files: PictureFiles) -> None:
    """Progress comes as it is, and the picture is a file and a row before it is told."""
    engine = ScriptedEngine([[Started(), Step(0.5), Preview("", b"jpeg"), Step(1.0), DONE]])
    async with serving(store, files, engine) as line:
        updates = await collect(line, job(store))
    assert updates[:4] == [Queued(0), Rendering(0.5), Rendering(0.5, b"jpeg"), Rendering(1.0)]
    last = updates[4]
    assert isinstance(last, Rendered) and files.read(last.picture.digest) == b"png"
    assert store.picture(THREAD, 1) == last.picture


async def test_a_finished_job_is_not_rendered_again(store: Store, files: PictureFiles) -> None:
    """After a restart its outcome is told at once."""
    engine = ScriptedEngine([[DONE]])
    async with serving(store, files, engine) as line:
        first = await collect(line, job(store))
        assert await collect(line, job(store)) == first[-1:]
    assert len(engine.batches) == 1


async def test_those_who_wait_hear_how_many_are_ahead(store: Store, files: PictureFiles) -> None:
    """Positions count the job under way, and move up."""
    gate = asyncio.Event()
    engine = ScriptedEngine([[Started(), gate, DONE], [DONE], [DONE]])
    async with serving(store, files, engine) as line:
        waiting = [asyncio.create_task(collect(line, job(store, key))) for key in range(3)]
        while not engine.batches:
            await asyncio.sleep(0)
        gate.set()
        first, second, third = await asyncio.gather(*waiting)
    assert first[0] == Queued(0)
    assert [update.ahead for update in second if isinstance(update, Queued)][-1] == 1
    assert [update.ahead for update in third if isinstance(update, Queued)][-2:] == [2, 1]


async def test_leaving_stops_the_render_and_the_next_one_goes_on(store: Store, files: PictureFiles) -> None:
    """Closing the generator closes the engine's stream; the job is in the line again, for whoever takes it up."""
    gate = asyncio.Event()
    engine = ScriptedEngine([[Started(), Step(0.1), gate], [DONE], [DONE]])
    async with serving(store, files, engine) as line:
        updates = line.render(job(store))
        async for update in updates:
            if isinstance(update, Rendering):
                break
        await updates.aclose()
        assert isinstance((await collect(line, job(store, 1)))[-1], Rendered)
        assert engine.closed == 2
        assert isinstance((await collect(line, job(store)))[-1], Rendered)


async def test_a_lost_worker_is_waited_for(store: Store, files: PictureFiles) -> None:
    """A refused connection costs nothing; a stream that breaks is tried again."""
    losses: list[Script] = [*REFUSED * 5, *BROKEN, [Started(), DONE]]
    async with serving(store, files, ScriptedEngine(losses)) as line:
        assert isinstance((await collect(line, job(store)))[-1], Rendered)


async def test_a_job_that_kills_its_worker_again_and_again_is_given_up(store: Store, files: PictureFiles) -> None:
    """A poison job ends with a sentence, and the line goes on."""
    losses: list[Script] = [*BROKEN * MOST_FAULTS, [DONE]]
    async with serving(store, files, ScriptedEngine(losses)) as line:
        last = (await collect(line, job(store)))[-1]
        assert last == Failed("The renderer broke down over this picture several times.")
        assert isinstance((await collect(line, job(store, 1)))[-1], Rendered)
    assert store.outcome(job(store)) == last


async def test_a_worker_that_is_free_but_takes_nothing_is_not_asked_for_ever(store: Store, files: PictureFiles) -> None:
    """A worker that lies about its slots ends in a sentence."""
    async with serving(store, files, ScriptedEngine([*REFUSED * MOST_REFUSALS])) as line:
        reason = "The render worker has a free slot, but takes no picture."
        assert (await collect(line, job(store)))[-1] == Failed(reason)


async def test_a_picture_that_the_model_refuses_is_not_tried_again(store: Store, files: PictureFiles) -> None:
    """The worker's sentence reaches the person."""
    engine = ScriptedEngine([[Started(), Spoilt("", "Too large.")]])
    async with serving(store, files, engine) as line:
        assert (await collect(line, job(store)))[-1] == Failed("Too large.")
    assert len(engine.batches) == 1


async def test_a_model_that_cannot_be_loaded_fails_its_jobs(store: Store, files: PictureFiles) -> None:
    """Nobody waits for a worker that will never be ready."""
    engine = ScriptedEngine([], state=Slots(trouble="The picture model cannot be loaded."))
    async with serving(store, files, engine) as line:
        assert (await collect(line, job(store)))[-1] == Failed("The picture model cannot be loaded.")


async def test_a_source_whose_file_is_gone_is_told(store: Store, files: PictureFiles) -> None:
    """An edit of a lost file fails with its reason."""
    async with serving(store, files, ScriptedEngine([])) as line:
        lost = replace(job(store), source="0" * 64, parent=7)
        reason = "The file of picture #7 is gone, so there is nothing to start from."
        assert (await collect(line, lost))[-1] == Failed(reason)


async def test_a_full_disk_is_told(store: Store, tmp_path: Path) -> None:
    """A picture that cannot be kept is reported as that, not swallowed."""

    class FullDisk(PictureFiles):
        def put(self, png: bytes) -> str:
            """Raise what a full disk raises."""
            raise OSError(28, "No space left on device")

    async with serving(store, FullDisk(tmp_path / "full"), ScriptedEngine([[Started(), DONE]])) as line:
        assert (await collect(line, job(store)))[-1] == Failed(
            "The picture could not be kept: No space left on device."
        )


async def test_the_worker_is_asked_first_what_its_model_can_do(store: Store, files: PictureFiles) -> None:
    """The abilities are known before anybody asks for a picture, also where there will be no worker."""
    engine = ScriptedEngine([], abilities=Abilities(dialect=Dialect.PHRASES))
    async with serving(store, files, engine) as line:
        await line.introduced.wait()
        assert line.abilities == Abilities(dialect=Dialect.PHRASES)
    async with serving(store, files, ScriptedEngine([], state=Slots(trouble="It is broken."))) as line:
        await line.introduced.wait()


async def test_the_picture_model_is_told_the_refined_prompt(store: Store, files: PictureFiles) -> None:
    """The picture keeps both: what was asked for, and what was drawn instead."""
    engine = ScriptedEngine([[Started(), DONE]])
    wished = job(store)
    store.refine(wished, "p0, in the evening sun")
    async with serving(store, files, engine) as line:
        last = (await collect(line, job(store)))[-1]
    assert engine.batches[0].tasks[0].prompt == "p0, in the evening sun"
    assert isinstance(last, Rendered)
    assert (last.picture.prompt, last.picture.refined) == ("p0", "p0, in the evening sun")
