"""A worker behind a real socket, driven by the real engine."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from bot.domain import Operation, Sampling
from bot.notices import notice
from render import protocol as wire
from render.image_model import FAILED, NO_MEMORY, ImageModel
from render.protocol import (
    VERSION,
    Batch,
    End,
    Heartbeat,
    ImageFailed,
    ImageTask,
    Preview,
    Started,
    StepDone,
    WorkerEvent,
    WorkerReport,
)
from render.worker.client import EngineLost, WorkerEngine
from render.worker.device import HANG_TIMEOUT
from render.worker.result_cache import ResultCache
from render.worker.server import WorkerServer
from tests.support.fake_models.gated import (
    PREVIEW,
    READY,
    SPAWN,
    GatedModel,
    OutOfMemoryError,
    load_nothing,
    load_when,
    picture,
)

BATCH = Batch(
    [
        ImageTask("a", Operation.GENERATE, "a red circle", sampling=Sampling(seed=1)),
        ImageTask("b", Operation.EDIT, "é", sampling=Sampling(seed=2), source=b"\x89PNG\0\xff"),
    ]
)
STEPS = [StepDone(0.5), Preview("a", PREVIEW), StepDone(1.0), Preview("a", PREVIEW)]
WHOLE = [Started(), *STEPS, *map(picture, BATCH.tasks)]
NO_KEY = notice("worker-token-refused")


@asynccontextmanager
async def served(app: web.Application) -> AsyncGenerator[str]:
    """The application's address."""
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        async with asyncio.timeout(30):
            yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def engine_at(url: str | None, token: str | None = None) -> AsyncGenerator[WorkerEngine]:
    """An engine that knows this address."""
    engine = WorkerEngine("here", lambda: url, token)
    try:
        yield engine
    finally:
        await engine.close()


@asynccontextmanager
async def working(
    load: Callable[[], ImageModel], cache: ResultCache | None = None, hang_timeout: float = HANG_TIMEOUT
) -> AsyncGenerator[WorkerEngine]:
    """An engine whose worker loads this."""
    async with (
        served(WorkerServer(load, cache=cache, hang_timeout=hang_timeout).app()) as url,
        engine_at(url) as engine,
    ):
        yield engine


async def ready(engine: WorkerEngine) -> WorkerReport:
    """Ask, as the line does, until the worker can take something or never will."""
    while not ((found := await engine.slots()).free or found.trouble):
        await asyncio.sleep(0.01)
    return found


async def outcome(engine: WorkerEngine, batch: Batch = BATCH) -> tuple[list[WorkerEvent], bool | None]:
    """What is told of the batch; and, if the worker is lost over it, whether the batch had started."""
    received: list[WorkerEvent] = []
    try:
        async with aclosing(engine.run(batch)) as events:
            async for event in events:
                received.append(event)
    except EngineLost as lost:
        return received, lost.started
    return received, None


async def test_a_batch_is_reported_step_by_step() -> None:
    """Events arrive in order, the request arrives whole, and no byte is changed on its way."""
    async with working(GatedModel) as engine:
        for _ in range(2):
            assert await ready(engine) == READY
            assert await outcome(engine) == (WHOLE, None)


async def test_a_worker_that_loads_answers_and_has_no_slot() -> None:
    """It says so at once, refuses a batch, and has a slot when the model is there."""
    go = SPAWN.Event()
    async with working(partial(load_when, go)) as engine:
        assert await engine.slots() == WorkerReport()
        assert await outcome(engine) == ([], False)
        go.set()
        assert await ready(engine) == READY


async def test_a_model_that_cannot_be_loaded_is_reported() -> None:
    """The reason is a sentence without the exception's words; there will be no slots."""
    async with working(load_nothing) as engine:
        reason = notice("model-not-loaded", error="FileNotFoundError")
        assert await ready(engine) == WorkerReport(trouble=reason)


async def test_a_busy_worker_takes_no_second_batch() -> None:
    """While one batch is on the device there is no slot, and another is refused unharmed, with a sentence."""
    gate = SPAWN.Semaphore(0)
    async with working(partial(GatedModel, gate)) as engine, aiohttp.ClientSession() as session:
        await ready(engine)
        async with aclosing(engine.run(BATCH)) as events:
            assert await anext(events) == Started()
            assert await engine.slots() == replace(READY, free=0)
            assert await outcome(engine) == ([], False)
            async with session.post(f"{engine._address()}/batches", data=wire.BATCH.dump_json(BATCH)) as response:
                assert (response.status, await response.text()) == (503, "The device renders another batch.")
            gate.release()
            gate.release()
            assert [event async for event in events] == WHOLE[1:]
        assert (await ready(engine)).free


async def test_the_next_batch_need_not_come_twice() -> None:
    """A batch that is sent as soon as the pictures of the one before are there is taken."""
    async with working(GatedModel) as engine:
        await ready(engine)
        async with aclosing(engine.run(BATCH)) as events:
            async for event in events:
                if event == WHOLE[-1]:
                    break
            assert await outcome(engine) == (WHOLE, None)


async def test_closing_the_stream_cancels_at_the_next_step() -> None:
    """Nobody listens any more: the device stops early, and its slot is free again."""
    gate, left = SPAWN.Semaphore(0), SPAWN.Event()
    long = Batch([replace(BATCH.tasks[0], prompt="long")])
    async with working(partial(GatedModel, gate, left)) as engine:
        await ready(engine)
        async with aclosing(engine.run(long)) as events:
            assert await anext(events) == Started()
            gate.release()
            assert await anext(events) == StepDone(0.5)
        assert await engine.slots() == replace(READY, free=0)  # the step under way is not cut
        gate.release()
        assert await asyncio.to_thread(left.wait, 20)
        assert (await ready(engine)).free
        gate.release()
        gate.release()
        assert await outcome(engine) == (WHOLE, None)


FAULTS = {
    notice("image-model-refused", reason="no such size."): ValueError("no such size."),
    FAILED: RuntimeError("/srv/secret: the driver says no"),
    NO_MEMORY: OutOfMemoryError("secret"),
}


@pytest.mark.parametrize(("reason", "fault"), FAULTS.items(), ids=["ValueError", "RuntimeError", "OutOfMemoryError"])
async def test_a_fault_in_the_model_spoils_the_batch_alone(reason: str, fault: Exception) -> None:
    """Each picture gets a sentence, which holds the model's words only where they are a refusal; the slot is free."""
    async with working(partial(GatedModel, fault=fault)) as engine:
        await ready(engine)
        assert await outcome(engine) == (
            [Started(), *STEPS[:2], ImageFailed("a", reason), ImageFailed("b", reason)],
            None,
        )
        assert (await ready(engine)).free


@pytest.mark.parametrize("prompt", ["die", "hang"])
async def test_a_lost_device_cuts_the_stream_and_comes_back(prompt: str) -> None:
    """The bot hears of the loss, and that the batch had started; soon there is a slot again."""
    async with working(GatedModel, hang_timeout=0.3) as engine:
        for _ in range(2):
            await ready(engine)
            assert await outcome(engine, Batch([replace(BATCH.tasks[0], prompt=prompt)])) == ([Started()], True)
        await ready(engine)
        assert await outcome(engine) == (WHOLE, None)


async def test_a_repeated_batch_comes_from_the_disk(tmp_path: Path) -> None:
    """What the bot lost with its own life is told again, by another worker if need be, without a step."""
    cache = ResultCache(tmp_path)
    async with working(GatedModel, cache) as engine:
        await ready(engine)
        assert await outcome(engine) == (WHOLE, None)
        while not all(cache.find(task, READY) for task in BATCH.tasks):
            await asyncio.sleep(0.01)
    async with working(partial(GatedModel, SPAWN.Semaphore(0)), ResultCache(tmp_path)) as engine:
        await ready(engine)
        assert await outcome(engine) == ([Started(), *map(picture, BATCH.tasks)], None)


async def test_a_token_is_asked_for() -> None:
    """Without it, or with another, nothing is told or done, and the bot says what to check."""
    async with served(WorkerServer(GatedModel, "sesame").app()) as url, engine_at(url, "sesame") as friend:
        assert (await ready(friend)).slots
        for wrong in (None, "wrong", "ses", "ö"):
            async with engine_at(url, wrong) as stranger:
                assert await stranger.slots() == WorkerReport(trouble=NO_KEY)
                assert await outcome(stranger) == ([], False)
        assert await outcome(friend) == (WHOLE, None)


async def test_what_is_no_batch_is_refused() -> None:
    """Garbage and other versions get a 400 with a word on why, and the worker goes on."""
    later = wire.BATCH.dump_json(replace(BATCH, version=99))
    async with working(GatedModel) as engine, aiohttp.ClientSession() as session:
        await ready(engine)
        for body in (b"", b"\xff\xfe", b"[]", b"{}", b'{"tasks": 7}', b'{"tasks": [{"id": "a"}]}', b"[" * 9999, later):
            async with session.post(f"{engine._address()}/batches", data=body) as response:
                output = await response.text()
            assert response.status == 400
            assert (f"version {VERSION}, not 99" if body is later else "not a batch") in output
        assert await outcome(engine) == (WHOLE, None)


async def test_silence_is_filled_with_signs_of_life() -> None:
    """While a step takes long the worker says that it lives, so that the bot need not take it for dead."""
    gate = SPAWN.Semaphore(0)
    async with working(partial(GatedModel, gate)) as engine, aiohttp.ClientSession() as session:
        await ready(engine)
        async with session.post(f"{engine._address()}/batches", data=wire.BATCH.dump_json(BATCH)) as response:
            lines = [wire.EVENT.validate_json(await response.content.readline()) for _ in range(2)]
            gate.release()
            gate.release()
    assert lines == [Started(), Heartbeat()]


def scripted(*events: WorkerEvent | bytes, slots: WorkerReport | None = None, status: int = 200) -> web.Application:
    """A worker of another kind, that sends this for every batch and then hangs up."""

    async def batches(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        for event in events:
            await response.write(event if isinstance(event, bytes) else wire.EVENT.dump_json(event) + b"\n")
        assert request.transport
        request.transport.close()
        return response

    async def about(request: web.Request) -> web.Response:
        return web.Response(body=wire.REPORT.dump_json(slots or WorkerReport()))

    app = web.Application()
    app.add_routes([web.post("/batches", batches), web.get("/slots", about)])
    return app


@pytest.mark.parametrize(
    ("sent", "received", "started"),
    [
        ([], [], False),
        ([Heartbeat()], [], False),
        ([Started()], [Started()], True),
        ([Started(), Heartbeat(), StepDone(0.5)], [Started(), StepDone(0.5)], True),
        ([Started(), b'{"event": "st'], [Started()], True),
        ([b"garbage\n"], [], False),
        ([Started(), b"\xff\xff\n"], [Started()], True),
        ([Started(), b'{"event": "party"}\n'], [Started()], True),
        (
            [
                Heartbeat(),
                Started(),
                Heartbeat(),
                StepDone(1.0),
                Heartbeat(),
                ImageFailed("a", "no"),
                ImageFailed("b", "no"),
                End(),
            ],
            [Started(), StepDone(1.0), ImageFailed("a", "no"), ImageFailed("b", "no")],
            None,
        ),
    ],
    ids=["nothing", "alive", "started", "step", "half a line", "garbage", "bytes", "unknown event", "whole"],
)
async def test_a_stream_without_an_end_is_a_lost_worker(
    sent: list[WorkerEvent | bytes], received: list[WorkerEvent], started: bool | None
) -> None:
    """What is new is told, signs of life are not; the loss says whether the batch was on the device."""
    async with served(scripted(*sent)) as url, engine_at(url) as engine:
        assert await outcome(engine) == (received, started)


@pytest.mark.parametrize("status", [400, 401, 404, 500, 503])
async def test_a_refused_batch_never_started(status: int) -> None:
    """Whatever the worker's reason, the batch is not to blame."""
    async with served(scripted(Started(), End(), status=status)) as url, engine_at(url) as engine:
        assert await outcome(engine) == ([], False)


async def test_a_worker_that_is_away_has_no_slots() -> None:
    """No address, a closed port, an address that is none: no slots, no trouble, and a batch that never started."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        for url in (None, f"http://127.0.0.1:{closed.getsockname()[1]}", "http://", "nonsense"):
            async with engine_at(url) as engine:
                assert await engine.slots() == WorkerReport()
                assert await outcome(engine) == ([], False)


async def test_an_address_may_end_in_a_slash() -> None:
    """Both ways of writing RENDER_URL reach the worker."""
    about, refused = READY, [ImageFailed("a", "no"), ImageFailed("b", "no")]
    async with served(scripted(Started(), *refused, End(), slots=about)) as url, engine_at(url + "/") as engine:
        assert await engine.slots() == about
        assert await outcome(engine) == ([Started(), *refused], None)


async def test_a_worker_of_another_version_is_trouble() -> None:
    """It would refuse every batch, so nothing is sent to it and people are told why."""
    async with served(scripted(slots=WorkerReport(1, 1, "flat", version=99))) as url, engine_at(url) as engine:
        found = await engine.slots()
    assert not found.slots
    assert "version" in str(found.trouble or "")
