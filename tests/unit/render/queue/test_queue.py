"""The line before the workers: turns, company, places, cancelling."""

import asyncio
from dataclasses import replace
from pathlib import Path

from bot.capabilities import Dialect, ModelCapabilities
from bot.domain import Failed, Queued, Rendered, Rendering
from bot.storage.picture_files import PictureFiles
from bot.storage.store import Store
from render.protocol import Preview, Started, StepDone, WorkerReport
from render.queue.queue import MAX_WAITING_JOBS
from render.queue.scheduler import ConcurrencyLimits
from render.queue.status import snapshot_queue
from tests.support.doubles import THREAD
from tests.support.render_queue import (
    DONE,
    ONE,
    ScriptedEngine,
    collect,
    collect_from,
    gather,
    job,
    jobs_of,
    serving,
    until_rendering,
    with_next,
)


async def test_a_job_is_rendered_kept_and_recorded(store: Store, files: PictureFiles) -> None:
    """Progress comes as it is, and the picture is a file and a row before it is told."""
    engine = ScriptedEngine([[Started(), StepDone(0.5), Preview("m1.0", b"jpeg"), StepDone(1.0), DONE]])
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


async def test_a_client_that_leaves_a_batch_does_not_stop_the_others(store: Store, files: PictureFiles) -> None:
    """The result of the one that left is not kept; when the last one leaves, the worker stops."""
    gate = asyncio.Event()
    engine = ScriptedEngine([[Started(), StepDone(0.1), gate, DONE], [Started(), StepDone(0.1), gate]])
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
    engine = ScriptedEngine([[Started(), StepDone(0.1), gate]])
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


async def test_a_restart_remembers_who_was_served(store: Store, files: PictureFiles) -> None:
    """Fairness is derived from the table: whoever had three pictures before the restart lets others go first."""
    engine = ScriptedEngine([[DONE]] * 3)
    async with serving(store, files, engine) as line:
        await gather(line, jobs_of(store, "ann", "ann", "ann"))
    engine = ScriptedEngine([[DONE]] * 4, state=WorkerReport())
    async with serving(store, files, engine) as line:
        waiting = asyncio.create_task(gather(line, jobs_of(store, "ann", "bob", "bob", "cid", start=3)))
        while len(line.schedule) < 4:
            await asyncio.sleep(0)
        engine.state = ONE
        await waiting
    assert [prompts[0] for prompts in engine.prompts()] == ["bob4", "cid6", "bob5", "ann3"]


async def test_leaving_stops_the_render_and_the_next_one_goes_on(store: Store, files: PictureFiles) -> None:
    """Closing the generator closes the engine's stream; the job is in the line again, for whoever takes it up."""
    gate = asyncio.Event()
    engine = ScriptedEngine([[Started(), StepDone(0.1), gate], [DONE], [DONE]])
    async with serving(store, files, engine) as line:
        updates = line.render(job(store))
        async for update in updates:
            if isinstance(update, Rendering):
                break
        await updates.aclose()
        assert isinstance((await collect(line, job(store, 1)))[-1], Rendered)
        assert engine.closed == 2
        assert isinstance((await collect(line, job(store)))[-1], Rendered)


async def test_the_worker_is_asked_first_what_its_model_can_do(store: Store, files: PictureFiles) -> None:
    """The abilities are known before anybody asks for a picture, also where there will be no worker."""
    engine = ScriptedEngine([], replace(ONE, capabilities=ModelCapabilities(dialect=Dialect.PHRASES)))
    async with serving(store, files, engine) as line:
        await line.capabilities_ready.wait()
        assert line.capabilities == ModelCapabilities(dialect=Dialect.PHRASES)
    async with serving(store, files, ScriptedEngine([], state=WorkerReport(trouble="It is broken."))) as line:
        await line.capabilities_ready.wait()


async def test_the_picture_model_gets_the_refined_prompt(store: Store, files: PictureFiles) -> None:
    """The picture keeps both: what was asked for, and what was drawn instead."""
    engine = ScriptedEngine([[Started(), DONE]])
    requested = job(store)
    store.jobs.refine(requested, "p0, in the evening sun")
    async with serving(store, files, engine) as line:
        last = (await collect(line, job(store)))[-1]
    assert engine.batches[0].tasks[0].prompt == "p0, in the evening sun"
    assert isinstance(last, Rendered)
    assert (last.picture.request.prompt, last.picture.refined_prompt) == ("p0", "p0, in the evening sun")


async def test_a_capped_person_goes_on_when_one_has_ended(store: Store, files: PictureFiles) -> None:
    """Of two free slots a person with a cap of one takes one at a time."""
    engine = ScriptedEngine([[DONE], [DONE], [DONE]], replace(ONE, slots=2))
    async with serving(store, files, engine, caps=ConcurrencyLimits(per_user=1)) as line:
        done = await gather(line, jobs_of(store, "ann", "ann", "ann"))
    assert all(isinstance(each[-1], Rendered) for each in done)
    assert engine.prompts() == [["ann0"], ["ann1"], ["ann2"]]


async def test_nobody_fills_the_line(store: Store, files: PictureFiles) -> None:
    """Who has a great many jobs in it already is refused one more; others are not."""
    engine = ScriptedEngine([], WorkerReport())
    async with serving(store, files, engine) as line:
        *many, last = jobs_of(store, *["ann"] * MAX_WAITING_JOBS, "ann")
        waiting = [asyncio.create_task(collect(line, each)) for each in many]
        while len(line.schedule) < MAX_WAITING_JOBS:
            await asyncio.sleep(0)
        refused = (await collect(line, last))[-1]
        other = asyncio.create_task(collect(line, jobs_of(store, "bob")[0]))
        while len(line.schedule) <= MAX_WAITING_JOBS:
            await asyncio.sleep(0)
        for task in (*waiting, other):
            task.cancel()
        await asyncio.wait({*waiting, other})
    assert isinstance(refused, Failed) and "200 images in the queue" in str(refused.reason)
    assert store.jobs.outcome(last) == refused


async def test_a_job_that_no_worker_can_take_yet_has_no_position(store: Store, files: PictureFiles) -> None:
    """Its model may be that of a worker that still loads; a number of images before it would be invented."""
    loading = ScriptedEngine([], state=WorkerReport(), name="loading")
    waiting = job(store)
    sampling = replace(waiting.request.sampling, model="other")
    async with serving(store, files, ScriptedEngine([]), loading) as line:
        updates = line.render(replace(waiting, request=replace(waiting.request, sampling=sampling)))
        assert await anext(updates) == Queued(None)
        (shown,) = snapshot_queue(line, asyncio.get_running_loop().time()).jobs
        assert shown.ahead is None
        await updates.aclose()
