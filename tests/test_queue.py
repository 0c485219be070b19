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
    Person,
    Queued,
    Rendered,
    Rendering,
    RenderJob,
    RenderUpdate,
)
from bot.files import PictureFiles
from bot.store import Store
from render.engine import EngineLost
from render.queue import Line
from render.rounds import MOST_FAULTS, MOST_REFUSALS
from render.wire import Batch, Made, Preview, Slots, Spoilt, Started, Step, Usual, WorkerEvent
from tests.doubles import THREAD, claimed, message


class Finish:
    """Every picture of the batch that is not made yet."""


DONE = Finish()
Script = list[WorkerEvent | EngineLost | asyncio.Event | Finish]
REFUSED: list[Script] = [[EngineLost(started=False)]]
BROKEN: list[Script] = [[Started(), EngineLost(started=True)]]
ABLE = Abilities()
ONE = Slots(1, 1, "m", abilities=ABLE, usual=Usual(1000, 1000, 10))


@dataclass
class ScriptedEngine:
    """Runs one script a batch: events come out, events of asyncio are waited for, losses are raised."""

    scripts: list[Script]
    state: Slots = ONE
    batches: list[Batch] = field(default_factory=list)
    closed: int = 0
    name: str = "scripted"
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    poison: str = ""  # a prompt that kills it

    async def slots(self) -> Slots:
        """As it is told, always free."""
        return replace(self.state, free=max(0, self.state.slots - len(self.batches) + self.closed))

    async def run(self, batch: Batch) -> AsyncGenerator[WorkerEvent]:
        """The next script."""
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
                            yield Made(task.id, b"png" + task.id.encode(), 256, 256, "m")
                    case _:
                        yield each
        finally:
            self.closed += 1

    def prompts(self) -> list[list[str]]:
        """What each batch was of."""
        return [[task.prompt for task in batch.tasks] for batch in self.batches]


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
async def serving(store: Store, files: PictureFiles, *engines: ScriptedEngine) -> AsyncIterator[Line]:
    """A line at work."""
    line = Line(store.jobs, files, engines)
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


async def collect_from(updates: AsyncGenerator[RenderUpdate]) -> list[RenderUpdate]:
    """All that is left to happen."""
    async with aclosing(updates):
        return [update async for update in updates]


async def gather(line: Line, wanted: list[RenderJob]) -> list[list[RenderUpdate]]:
    """Everything that happens to these jobs."""
    return await asyncio.gather(*(collect(line, each) for each in wanted))


async def until_rendering(updates: AsyncGenerator[RenderUpdate]) -> None:
    """Wait until the device is at work on it."""
    async for update in updates:
        if isinstance(update, Rendering):
            return


async def with_next(engine: ScriptedEngine, line: Line, wanted: RenderJob) -> list[RenderUpdate]:
    """Everything that happens to the job, which is painted without trouble."""
    engine.scripts.append([DONE])
    return await collect(line, wanted)


async def test_a_job_is_rendered_kept_and_recorded(store: Store, files: PictureFiles) -> None:
    """Progress comes as it is, and the picture is a file and a row before it is told."""
    engine = ScriptedEngine([[Started(), Step(0.5), Preview("m1.0", b"jpeg"), Step(1.0), DONE]])
    async with serving(store, files, engine) as line:
        *updates, last = await collect(line, job(store))
    assert updates[-3:] == [Rendering(0.5), Rendering(0.5, b"jpeg"), Rendering(1.0)]
    assert isinstance(last, Rendered) and files.read(last.picture.digest) == b"pngm1.0"
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
    engine = ScriptedEngine([[Started(), gate, DONE], [Started(), gate, DONE], [DONE]])
    async with serving(store, files, engine) as line:
        first, second, third = (line.render(job(store, key)) for key in range(3))
        waiting = asyncio.create_task(collect_from(first))
        await engine.asked.wait()
        assert await anext(second) == Queued(1)
        assert await anext(third) == Queued(2)
        gate.set()
        updates = await asyncio.gather(waiting, collect_from(second), collect_from(third))
    assert all(isinstance(each[-1], Rendered) for each in updates)
    assert [update.ahead for update in updates[2] if isinstance(update, Queued)] in ([1], [])


async def test_jobs_of_different_people_share_a_batch(store: Store, files: PictureFiles) -> None:
    """The seats go to as many people as there are, in their turns; the next batch takes the rest."""
    engine = ScriptedEngine([[DONE], [DONE]], replace(ONE, largest_batch=3))
    async with serving(store, files, engine) as line:
        people = jobs_of(store, "ann", "ann", "bob", "cid")
        assert all(isinstance(each[-1], Rendered) for each in await gather(line, people))
    assert engine.prompts() == [["ann0", "bob2", "cid3"], ["ann1"]]


async def test_a_batch_that_broke_is_tried_again_one_by_one(store: Store, files: PictureFiles) -> None:
    """A poison job takes its neighbours down once, and never again."""
    engine = ScriptedEngine([[Started(), DONE]], replace(ONE, largest_batch=2), poison="ann0")
    async with serving(store, files, engine) as line:
        poison, good = await gather(line, jobs_of(store, "ann", "bob"))
    assert poison[-1] == Failed("The renderer broke down over this picture several times.")
    assert isinstance(good[-1], Rendered)
    assert sorted(engine.prompts()[1:]) == [["ann0"], ["ann0"], ["bob1"]]


async def test_whoever_leaves_a_batch_does_not_stop_the_others(store: Store, files: PictureFiles) -> None:
    """The result of the one that left is not kept; when the last one leaves, the worker stops."""
    gate = asyncio.Event()
    engine = ScriptedEngine([[Started(), Step(0.1), gate, DONE], [Started(), Step(0.1), gate]])
    engine.state = replace(ONE, largest_batch=2)
    async with serving(store, files, engine) as line:
        ann, bob = jobs_of(store, "ann", "bob")
        left = line.render(ann)
        stays = asyncio.create_task(collect(line, bob))
        await until_rendering(left)
        await left.aclose()
        store.jobs.cancel_all(ann.id.partition(".")[0], "Stopped by Ann.")
        gate.set()
        assert isinstance((await stays)[-1], Rendered)
        assert store.jobs.outcome(ann) == Failed("Stopped by Ann.")
        gate.clear()
        alone = line.render(job(store))
        await until_rendering(alone)
        await alone.aclose()
        assert isinstance((await with_next(engine, line, job(store, 1)))[-1], Rendered)
    assert engine.closed == 3


async def test_a_job_is_cancelled_where_it_is(store: Store, files: PictureFiles) -> None:
    """A queued and a running job end with the reason; what is not there any more cannot be cancelled."""
    gate = asyncio.Event()
    engine = ScriptedEngine([[Started(), Step(0.1), gate]])
    async with serving(store, files, engine) as line:
        running, queued = line.render(job(store)), line.render(job(store, 1))
        await until_rendering(running)
        assert await anext(queued) == Queued(1)
        assert line.cancel("m1.1", "Cancelled by Bob.")
        assert line.cancel("m1.0", "Cancelled by Bob.")
        ends = await asyncio.gather(collect_from(running), collect_from(queued))
        assert not line.cancel("m1.0", "Cancelled by Bob.")
    assert [end[-1] for end in ends] == [Failed("Cancelled by Bob.")] * 2
    assert store.jobs.outcome(job(store)) == Failed("Cancelled by Bob.")


async def test_what_another_process_cancels_ends_here(store: Store, files: PictureFiles, tmp_path: Path) -> None:
    """The table is the record: whoever waits is told what became of the job there."""
    engine = ScriptedEngine([[Started(), asyncio.Event()]])
    other = Store(tmp_path / "test.sqlite")
    async with serving(store, files, engine) as line:
        waiting = asyncio.create_task(collect(line, job(store)))
        await engine.asked.wait()
        assert other.jobs.cancel("m1.0", "Cancelled by the operator.")
        assert (await waiting)[-1] == Failed("Cancelled by the operator.")
    other.close()


async def test_a_worker_that_lies_rests_while_another_works(store: Store, files: PictureFiles) -> None:
    """What it was given goes elsewhere."""
    liar = ScriptedEngine([[Started(), EngineLost(started=True, lie="it sent what is no event")]])
    honest = ScriptedEngine([[DONE]], state=Slots())
    async with serving(store, files, liar, honest) as line:
        waiting = asyncio.create_task(collect(line, job(store)))
        await liar.asked.wait()
        honest.state = ONE
        assert isinstance((await waiting)[-1], Rendered)
    assert len(liar.batches) == 1


async def test_what_no_worker_can_ever_paint_is_refused_at_once(store: Store, files: PictureFiles) -> None:
    """Nobody waits with a position for a model that is nowhere."""
    async with serving(store, files, ScriptedEngine([])) as line:
        await line.introduced.wait()
        last = (await collect(line, replace(job(store), model="dream")))[-1]
    assert last == Failed("No render worker has the picture model 'dream'; there is m.")
    assert store.jobs.outcome(job(store)) == last


async def test_a_restart_remembers_who_was_served(store: Store, files: PictureFiles) -> None:
    """Fairness is derived from the table: whoever had three pictures before the restart lets others go first."""
    engine = ScriptedEngine([[DONE]] * 3)
    async with serving(store, files, engine) as line:
        await gather(line, jobs_of(store, "ann", "ann", "ann"))
    engine = ScriptedEngine([[DONE]] * 4, state=Slots())
    async with serving(store, files, engine) as line:
        waiting = asyncio.create_task(gather(line, jobs_of(store, "ann", "bob", "bob", "cid", start=3)))
        while len(line.schedule) < 4:
            await asyncio.sleep(0)
        engine.state = ONE
        await waiting
    assert [prompts[0] for prompts in engine.prompts()] == ["bob4", "cid6", "bob5", "ann3"]


async def test_what_ran_when_the_bot_died_waits_again_without_blame(store: Store, files: PictureFiles) -> None:
    """A crash of the bot is no attempt of the job."""
    wanted = claimed(store, job(store))
    async with serving(store, files, ScriptedEngine([[DONE]])) as line:
        last = (await collect(line, replace(wanted, attempt=0)))[-1]
    assert isinstance(last, Rendered)
    assert [row.faults for row in store.jobs.find(["m1.0"])] == [0]


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
    assert store.jobs.outcome(job(store)) == last


async def test_a_worker_that_is_free_but_takes_nothing_is_not_asked_for_ever(store: Store, files: PictureFiles) -> None:
    """A worker that lies about its slots ends in a sentence."""
    async with serving(store, files, ScriptedEngine([*REFUSED * MOST_REFUSALS])) as line:
        reason = "The render worker has a free slot, but takes no picture."
        assert (await collect(line, job(store)))[-1] == Failed(reason)


async def test_a_picture_that_the_model_refuses_is_not_tried_again(store: Store, files: PictureFiles) -> None:
    """The worker's sentence reaches the person."""
    engine = ScriptedEngine([[Started(), Spoilt("m1.0", "Too large.")]])
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
    engine = ScriptedEngine([], replace(ONE, abilities=Abilities(dialect=Dialect.PHRASES)))
    async with serving(store, files, engine) as line:
        await line.introduced.wait()
        assert line.abilities == Abilities(dialect=Dialect.PHRASES)
    async with serving(store, files, ScriptedEngine([], state=Slots(trouble="It is broken."))) as line:
        await line.introduced.wait()


async def test_the_picture_model_is_told_the_refined_prompt(store: Store, files: PictureFiles) -> None:
    """The picture keeps both: what was asked for, and what was drawn instead."""
    engine = ScriptedEngine([[Started(), DONE]])
    wished = job(store)
    store.jobs.refine(wished, "p0, in the evening sun")
    async with serving(store, files, engine) as line:
        last = (await collect(line, job(store)))[-1]
    assert engine.batches[0].tasks[0].prompt == "p0, in the evening sun"
    assert isinstance(last, Rendered)
    assert (last.picture.prompt, last.picture.refined) == ("p0", "p0, in the evening sun")
