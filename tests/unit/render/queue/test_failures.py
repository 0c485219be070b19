"""The line when something goes wrong: workers that die, lie or refuse, files and disks that fail."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from bot.domain import Failed, ImageRequest, Operation, Rendered, RenderJob
from bot.errors import StorageError
from bot.notices import UserText, listed, notice
from bot.storage.jobs import Jobs
from bot.storage.picture_files import PictureFiles
from bot.storage.store import Store
from render.protocol import ImageFailed, Started, WorkerReport
from render.queue import queue
from render.queue.batch_run import MAX_FAULTS, MAX_REFUSALS
from render.worker.client import EngineLost
from tests.support.doubles import claimed
from tests.support.render_queue import (
    BROKEN,
    DONE,
    ONE,
    REFUSED,
    Script,
    ScriptedEngine,
    collect,
    gather,
    job,
    jobs_of,
    serving,
)


async def test_a_batch_that_broke_is_tried_again_one_by_one(store: Store, files: PictureFiles) -> None:
    """A poison job takes its neighbours down once, and never again."""
    engine = ScriptedEngine([[Started(), DONE]], replace(ONE, largest_batch=2), poison="ann0")
    async with serving(store, files, engine) as line:
        poison, good = await gather(line, jobs_of(store, "ann", "bob"))
    assert poison[-1] == Failed(notice("worker-crashed"))
    assert isinstance(good[-1], Rendered)
    assert sorted(engine.prompts()[1:]) == [["ann0"], ["ann0"], ["bob1"]]


async def test_a_worker_that_lies_rests_while_another_works(store: Store, files: PictureFiles) -> None:
    """What it was given goes elsewhere."""
    liar = ScriptedEngine([[Started(), EngineLost(started=True, violation="it sent what is no event")]])
    honest = ScriptedEngine([[DONE]], state=WorkerReport())
    async with serving(store, files, liar, honest) as line:
        waiting = asyncio.create_task(collect(line, job(store)))
        await liar.asked.wait()
        honest.state = ONE
        assert isinstance((await waiting)[-1], Rendered)
    assert len(liar.batches) == 1


async def test_what_no_worker_can_ever_paint_is_refused_at_once(store: Store, files: PictureFiles) -> None:
    """Nobody waits with a position for a model that is nowhere."""
    async with serving(store, files, ScriptedEngine([])) as line:
        await line.capabilities_ready.wait()
        last = (
            await collect(
                line,
                replace(
                    job(store),
                    request=replace(job(store).request, sampling=replace(job(store).request.sampling, model="dream")),
                ),
            )
        )[-1]
    assert last == Failed(notice("no-worker-for-model", model="dream", models=listed(["m"])))
    assert store.jobs.outcome(job(store)) == last


async def test_what_ran_when_the_bot_died_waits_again_without_blame(store: Store, files: PictureFiles) -> None:
    """A crash of the bot is no attempt of the job."""
    wanted = claimed(store, job(store))
    async with serving(store, files, ScriptedEngine([[DONE]])) as line:
        last = (await collect(line, replace(wanted, attempt=0)))[-1]
    assert isinstance(last, Rendered)
    assert [row.faults for row in store.jobs.find(["m1.0"])] == [0]


async def test_a_lost_worker_is_waited_for(store: Store, files: PictureFiles) -> None:
    """A refused connection costs nothing; a stream that breaks is tried again."""
    losses: list[Script] = [*REFUSED * 5, *BROKEN, [Started(), DONE]]
    async with serving(store, files, ScriptedEngine(losses)) as line:
        assert isinstance((await collect(line, job(store)))[-1], Rendered)


async def test_a_job_that_kills_its_worker_again_and_again_is_given_up(store: Store, files: PictureFiles) -> None:
    """A poison job ends with a sentence, and the line goes on."""
    losses: list[Script] = [*BROKEN * MAX_FAULTS, [DONE]]
    async with serving(store, files, ScriptedEngine(losses)) as line:
        last = (await collect(line, job(store)))[-1]
        assert last == Failed(notice("worker-crashed"))
        assert isinstance((await collect(line, job(store, 1)))[-1], Rendered)
    assert store.jobs.outcome(job(store)) == last


async def test_a_worker_that_is_free_but_takes_nothing_is_not_asked_for_ever(store: Store, files: PictureFiles) -> None:
    """A worker that lies about its slots ends in a sentence."""
    async with serving(store, files, ScriptedEngine([*REFUSED * MAX_REFUSALS])) as line:
        reason = notice("worker-refuses")
        assert (await collect(line, job(store)))[-1] == Failed(reason)


async def test_a_picture_that_the_model_refuses_is_not_tried_again(store: Store, files: PictureFiles) -> None:
    """The worker's sentence reaches the person."""
    engine = ScriptedEngine([[Started(), ImageFailed("m1.0", "Too large.")]])
    async with serving(store, files, engine) as line:
        assert (await collect(line, job(store)))[-1] == Failed("Too large.")
    assert len(engine.batches) == 1


async def test_a_model_that_cannot_be_loaded_fails_its_jobs(store: Store, files: PictureFiles) -> None:
    """Nobody waits for a worker that will never be ready."""
    engine = ScriptedEngine([], state=WorkerReport(trouble="The picture model cannot be loaded."))
    async with serving(store, files, engine) as line:
        assert (await collect(line, job(store)))[-1] == Failed("The picture model cannot be loaded.")


async def test_a_source_whose_file_is_gone_is_reported(store: Store, files: PictureFiles) -> None:
    """An edit of a lost file fails with its reason."""
    async with serving(store, files, ScriptedEngine([])) as line:
        lost = replace(job(store), source_digest="0" * 64, request=replace(job(store).request, source=7))
        reason = notice("image-file-gone", number=7)
        assert (await collect(line, lost))[-1] == Failed(reason)


async def test_a_full_disk_is_reported(store: Store, tmp_path: Path) -> None:
    """A picture that cannot be kept is reported as that, not swallowed."""

    class FullDisk(PictureFiles):
        def put(self, png: bytes) -> str:
            """Raise what a full disk raises."""
            raise OSError(28, "No space left on device")

    async with serving(store, FullDisk(tmp_path / "full"), ScriptedEngine([[Started(), DONE]])) as line:
        assert (await collect(line, job(store)))[-1] == Failed(
            notice("image-not-saved", reason="No space left on device")
        )


async def test_a_line_that_cannot_be_recorded_begins_later(
    store: Store, files: PictureFiles, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A table that is locked at the start is tried again, and the log says so."""
    monkeypatch.setattr(queue, "RETRY_PAUSE", 0)
    faults = iter([StorageError("the file is locked"), StorageError("the file is locked")])

    class Locked(Jobs):
        def recover(self) -> None:
            """Fail as often as there are faults."""
            if fault := next(faults, None):
                raise fault
            super().recover()

    jobs = Locked(store._db, store.group_commit)
    async with serving(jobs, files, ScriptedEngine([[Started(), DONE]])) as line:
        assert isinstance((await collect(line, job(store)))[-1], Rendered)
    assert caplog.text.count("no picture is drawn yet: the file is locked") == 2


async def test_who_is_turned_away_reads_it_though_it_cannot_be_recorded(store: Store, files: PictureFiles) -> None:
    """And the line goes on."""

    class Full(Jobs):
        def refuse(self, job: RenderJob, reason: UserText) -> None:
            """Nothing can be written."""
            raise StorageError("the disk is full")

    engine = ScriptedEngine([[Started(), DONE]], state=WorkerReport())
    async with serving(Full(store._db, store.group_commit), files, engine) as line:
        lost = asyncio.create_task(collect(line, job(store)))
        while not line.pending_jobs:
            await asyncio.sleep(0)
        engine.state = WorkerReport(trouble="The model is broken.")
        assert (await lost)[-1] == Failed("The model is broken.")
        engine.state = ONE
        while line.worker_pool.trouble:
            await asyncio.sleep(0)
        assert isinstance((await collect(line, job(store)))[-1], Rendered)


async def test_a_job_from_before_the_workers_reported_is_refused_when_they_do(
    store: Store, files: PictureFiles
) -> None:
    """A model that no worker has is waited for only as long as it may come."""
    engine = ScriptedEngine([], state=WorkerReport())
    async with serving(store, files, engine) as line:
        early = asyncio.create_task(
            collect(
                line,
                replace(
                    job(store),
                    request=replace(job(store).request, sampling=replace(job(store).request.sampling, model="dream")),
                ),
            )
        )
        while not line.pending_jobs:
            await asyncio.sleep(0)
        engine.state = ONE
        assert (await early)[-1] == Failed(notice("no-worker-for-model", model="dream", models=listed(["m"])))


async def test_a_job_whose_end_could_not_be_recorded_is_drawn_again(store: Store, files: PictureFiles) -> None:
    """Its reply orders it again on Retry, and no worker has it."""
    wanted = job(store)
    async with serving(store, files, ScriptedEngine([[Started(), DONE]])) as line:
        await line.capabilities_ready.wait()
        claimed(store, wanted)
        assert [row.state for row in store.jobs.find([wanted.id])] == ["running"]
        again = store.jobs.order("m1", ImageRequest(0, Operation.GENERATE, wanted.request.prompt), None)
        assert isinstance((await collect(line, again))[-1], Rendered)


async def test_an_attempt_that_came_to_nothing_is_not_charged(store: Store, files: PictureFiles) -> None:
    """Whoever's worker refuses keeps the turn: others do not get ahead by it."""
    scripts: list[Script] = [*REFUSED, [DONE], *REFUSED, *REFUSED, [DONE], [DONE], [DONE]]
    engine = ScriptedEngine(scripts)
    async with serving(store, files, engine) as line:
        await gather(line, jobs_of(store, "ann", "bob", "bob", "bob"))
    assert [prompts[0] for prompts in engine.prompts()] == ["ann0", "bob1", "ann0", "ann0", "ann0", "bob2", "bob3"]


async def test_a_worker_that_took_nothing_is_asked_before_it_gets_more(store: Store, files: PictureFiles) -> None:
    """What it told of its slots does not hold any more."""
    engine = ScriptedEngine([*REFUSED, [DONE]])
    async with serving(store, files, engine) as line:
        assert isinstance((await collect(line, job(store)))[-1], Rendered)
    asked = engine.happened
    first = asked.index("batch")
    assert "slots" in asked[first : asked.index("batch", first + 1)]


async def test_a_slot_that_another_bot_uses_is_not_free(store: Store, files: PictureFiles) -> None:
    """Two bots may share a worker: one waits until the other's batch has ended."""
    engine = ScriptedEngine([[DONE]], others=1)
    async with serving(store, files, engine) as line:
        waiting = asyncio.create_task(collect(line, job(store)))
        while engine.happened.count("slots") < 3:
            await asyncio.sleep(0)
        assert not engine.batches
        engine.others = 0
        assert isinstance((await waiting)[-1], Rendered)
