"""A worker behind a real socket, driven by the real engine; and the process that runs it."""

import asyncio
import json
import os
import signal
import socket
import sys
import threading
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from bot.config import worker_environment
from bot.domain import Operation
from render.engine import EngineLost, WorkerEngine
from render.supervisor import Supervisor
from render.wire import BATCH as BATCH_JSON
from render.wire import EVENT, SLOTS, Alive, Batch, End, Made, Preview, Slots, Spoilt, Started, Step, Task, WorkerEvent
from render.worker import Cancelled, Studio, Worker

ROOT = Path(__file__).parent.parent
BATCH = Batch([Task("a", Operation.GENERATE, "a red circle", 1), Task("b", Operation.EDIT, "é", 2, b"\x89PNG\0\xff")])
PNG = bytes(range(256)) * 4000  # a line of more than a megabyte


@dataclass
class FlatStudio:
    """Draws every picture in two steps; where it is `gated`, each step waits to be let through."""

    gated: bool = False
    fault: Exception | None = None
    model: str = "flat"
    gate: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    painted: list[Batch] = field(default_factory=list)
    leave: threading.Event = field(default_factory=threading.Event)
    left: threading.Event = field(default_factory=threading.Event)

    def paint(self, batch: Batch, tell: Callable[[WorkerEvent], None], cancelled: threading.Event) -> None:
        """Two steps, then every picture."""
        self.painted.append(batch)
        self.leave = cancelled
        for step in (1, 2):
            if self.gated:
                assert self.gate.acquire(timeout=20)
            if cancelled.is_set():
                self.left.set()
                raise Cancelled
            tell(Step(step / 2))
            tell(Preview("a", b"\xff\xd8"))
            if self.fault:
                raise self.fault
        for task in batch.tasks:
            tell(Made(task.id, PNG, 8, 8, self.model))


@asynccontextmanager
async def served(app: web.Application) -> AsyncGenerator[str]:
    """The application's address."""
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        async with asyncio.timeout(60):
            yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def engine_at(url: str | None, token: str | None = None) -> AsyncGenerator[WorkerEngine]:
    """An engine that knows this address."""
    engine = WorkerEngine(lambda: url, token)
    try:
        yield engine
    finally:
        await engine.close()


@asynccontextmanager
async def working(load: Callable[[], Studio]) -> AsyncGenerator[WorkerEngine]:
    """An engine whose worker loads this."""
    async with served(Worker(load).app()) as url, engine_at(url) as engine:
        yield engine


async def ready(engine: WorkerEngine) -> Slots:
    """Ask, as the line does, until the worker can take something or never will."""
    while not ((found := await engine.slots()).slots or found.trouble):
        await asyncio.sleep(0.01)
    return found


async def ran(engine: WorkerEngine) -> list[WorkerEvent]:
    """Every event of the batch."""
    async with aclosing(engine.run(BATCH)) as events:
        return [event async for event in events]


async def test_a_batch_is_told_step_by_step() -> None:
    """Events arrive in order, the request arrives whole, and bytes are not changed on their way."""
    studio = FlatStudio()
    async with working(lambda: studio) as engine:
        await ready(engine)
        steps = [Step(0.5), Preview("a", b"\xff\xd8"), Step(1.0), Preview("a", b"\xff\xd8")]
        made = [Made("a", PNG, 8, 8, "flat"), Made("b", PNG, 8, 8, "flat")]
        assert await ran(engine) == [Started(), *steps, *made]
        assert await ran(engine) == [Started(), *steps, *made]
    assert studio.painted == [BATCH, BATCH]


async def test_a_worker_that_loads_answers_and_has_no_slot() -> None:
    """It says so at once, refuses a batch, and has a slot when the model is there."""
    go = threading.Event()

    def load() -> Studio:
        assert go.wait(20)
        return FlatStudio()

    async with working(load) as engine:
        assert await engine.slots() == Slots([], "", None)
        with pytest.raises(EngineLost) as lost:
            await ran(engine)
        assert not lost.value.started
        go.set()
        assert await ready(engine) == Slots(["0"], "flat")


async def test_a_model_that_cannot_be_loaded_is_told() -> None:
    """The reason is a sentence without the exception's words; there will be no slots."""

    def load() -> Studio:
        raise FileNotFoundError("/srv/secret/model")

    async with working(load) as engine:
        found = await ready(engine)
    assert found.slots == []
    assert found.trouble == "The picture model cannot be loaded (FileNotFoundError); the worker's log says why."


async def test_a_busy_worker_takes_no_second_batch() -> None:
    """While one batch is on the device there is no slot, and another is refused unharmed."""
    studio = FlatStudio(gated=True)
    async with working(lambda: studio) as engine:
        await ready(engine)
        async with aclosing(engine.run(BATCH)) as events:
            assert await anext(events) == Started()
            assert await engine.slots() == Slots([], "flat")
            with pytest.raises(EngineLost) as lost:
                await ran(engine)
            assert not lost.value.started
            studio.gate.release(2)
            assert [type(event) async for event in events].count(Made) == 2
        await ready(engine)


async def test_closing_the_stream_cancels_at_the_next_step() -> None:
    """Nobody listens any more: the device stops early, and its slot is free again."""
    studio = FlatStudio(gated=True)
    async with working(lambda: studio) as engine:
        await ready(engine)
        async with aclosing(engine.run(BATCH)) as events:
            assert await anext(events) == Started()
            studio.gate.release()
            assert await anext(events) == Step(0.5)
        assert await asyncio.to_thread(studio.leave.wait, 20)
        assert await engine.slots() == Slots([], "flat")  # the step under way is not cut
        studio.gate.release()
        assert await asyncio.to_thread(studio.left.wait, 20)
        studio.gated = False
        await ready(engine)
        assert isinstance((await ran(engine))[-1], Made)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (
            ValueError("the size must be a multiple of 8."),
            "The picture model refused: the size must be a multiple of 8.",
        ),
        (RuntimeError("/srv/secret: CUDA says no"), "The picture model failed; the worker's log says why."),
        (KeyError("secret"), "The picture model failed; the worker's log says why."),
        (type("OutOfMemoryError", (RuntimeError,), {})("secret"), "The picture needs more memory than the device has."),
    ],
    ids=["ValueError", "RuntimeError", "KeyError", "OutOfMemoryError"],
)
async def test_a_fault_in_the_model_spoils_the_batch_alone(fault: Exception, told: str) -> None:
    """Each picture gets a sentence, which holds the model's words only where they are a refusal; the slot is free."""
    async with working(lambda: FlatStudio(fault=fault)) as engine:
        await ready(engine)
        assert (await ran(engine))[-2:] == [Spoilt("a", told), Spoilt("b", told)]
        await ready(engine)


async def test_a_token_is_asked_for() -> None:
    """Without it, or with another, nothing is told or done, and the bot says what to check."""
    studio = FlatStudio()
    async with served(Worker(lambda: studio, "open sesame").app()) as url:
        async with engine_at(url, "open sesame") as friend:
            assert (await ready(friend)).model == "flat"
            assert isinstance((await ran(friend))[-1], Made)
        for wrong in (None, "wrong", "open", "ö"):
            async with engine_at(url, wrong) as stranger:
                assert (await stranger.slots()).trouble == "The render worker refused the bot: check RENDER_TOKEN."
                with pytest.raises(EngineLost):
                    await ran(stranger)
    assert len(studio.painted) == 1


async def test_what_is_no_batch_is_refused() -> None:
    """Garbage and other versions get a 400 with a word on why, and the worker goes on."""
    studio = FlatStudio()
    later = BATCH_JSON.dump_json(replace(BATCH, version=99))
    async with (
        served(Worker(lambda: studio).app()) as url,
        engine_at(url) as engine,
        aiohttp.ClientSession() as session,
    ):
        await ready(engine)
        for body in (b"", b"\xff\xfe", b"[]", b"{}", b'{"tasks": 7}', b'{"tasks": [{"id": "a"}]}', b"[" * 9999, later):
            async with session.post(f"{url}/batches", data=body) as response:
                assert response.status == 400
                told = await response.text()
            assert "version 1, not 99" in told if body is later else "not a batch" in told
        assert isinstance((await ran(engine))[-1], Made)
    assert len(studio.painted) == 1


async def test_silence_is_filled_with_signs_of_life() -> None:
    """While a step takes long the worker says that it lives, so that the bot need not take it for dead."""
    studio = FlatStudio(gated=True)
    async with (
        served(Worker(lambda: studio).app()) as url,
        engine_at(url) as engine,
        aiohttp.ClientSession() as session,
    ):
        await ready(engine)
        async with session.post(f"{url}/batches", data=BATCH_JSON.dump_json(BATCH)) as response:
            lines = [EVENT.validate_json(await response.content.readline()) for _ in range(2)]
            studio.gate.release(2)
    assert lines == [Started(), Alive()]


# A worker of another kind


def scripted(*lines: bytes, slots: bytes = b"", status: int = 200) -> web.Application:
    """A worker that sends these bytes for every batch, and then hangs up."""

    async def batches(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        for line in lines:
            await response.write(line)
        assert request.transport
        request.transport.close()
        return response

    async def about(request: web.Request) -> web.Response:
        return web.Response(body=slots, status=status)

    app = web.Application()
    app.add_routes([web.post("/batches", batches), web.get("/slots", about)])
    return app


def line(event: WorkerEvent) -> bytes:
    """The event as it is sent."""
    return EVENT.dump_json(event) + b"\n"


STARTED = line(Started())


@pytest.mark.parametrize(
    ("sent", "heard", "started"),
    [
        ([], [], False),
        ([line(Alive())], [], False),
        ([STARTED], [Started()], True),
        ([STARTED, line(Alive()), line(Step(0.5))], [Started(), Step(0.5)], True),
        ([STARTED, line(Step(0.5))[:9]], [Started()], True),
        ([b"garbage\n"], [], False),
        ([b"\n"], [], False),
        ([STARTED, b"\xff\xff\n"], [Started()], True),
        ([STARTED, b'{"event": "party"}\n'], [Started()], True),
    ],
    ids=["nothing", "alive", "started", "step", "half a line", "garbage", "blank", "bytes", "unknown event"],
)
async def test_a_stream_without_an_end_is_a_lost_worker(
    sent: list[bytes], heard: list[WorkerEvent], started: bool
) -> None:
    """What came before is told; the loss says whether the batch was on the device."""
    async with served(scripted(*sent)) as url, engine_at(url) as engine:
        found: list[WorkerEvent] = []
        with pytest.raises(EngineLost) as lost:
            async with aclosing(engine.run(BATCH)) as events:
                async for event in events:
                    found.append(event)
    assert (found, lost.value.started) == (heard, started)


async def test_signs_of_life_are_not_passed_on() -> None:
    """The bot hears only what is new, and the end of the stream is the end of the events."""
    alive = line(Alive())
    sent = [alive, STARTED, alive, alive, line(Step(1.0)), alive, line(End())]
    async with served(scripted(*sent)) as url, engine_at(url) as engine:
        assert await ran(engine) == [Started(), Step(1.0)]


@pytest.mark.parametrize("status", [400, 401, 404, 500, 503])
async def test_a_refused_batch_never_started(status: int) -> None:
    """Whatever the worker's reason, the batch is not to blame."""
    async with served(scripted(STARTED, line(End()), status=status)) as url, engine_at(url) as engine:
        with pytest.raises(EngineLost) as lost:
            await ran(engine)
    assert not lost.value.started


async def test_a_worker_that_is_away_has_no_slots() -> None:
    """No address, a closed port, an address that is none: no slots, no trouble, and a batch that never started."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        for url in (None, f"http://127.0.0.1:{closed.getsockname()[1]}", "http://", "nonsense"):
            async with engine_at(url) as engine:
                assert await engine.slots() == Slots()
                with pytest.raises(EngineLost) as lost:
                    await ran(engine)
                assert not lost.value.started


async def test_an_address_may_end_in_a_slash() -> None:
    """Both ways of writing RENDER_URL reach the worker."""
    async with served(Worker(FlatStudio).app()) as url, engine_at(url + "/") as engine:
        assert (await ready(engine)).slots
        assert isinstance((await ran(engine))[-1], Made)


async def test_a_worker_of_another_version_is_trouble() -> None:
    """It would refuse every batch, so nothing is sent to it and people are told why."""
    other = SLOTS.dump_json(Slots(["0"], "flat", version=99))
    async with served(scripted(slots=other)) as url, engine_at(url) as engine:
        found = await engine.slots()
    assert not found.slots
    assert found.trouble
    assert "version" in found.trouble


# The process


async def test_an_attached_worker_ends_with_its_parent() -> None:
    """It prints its address as soon as it listens, and ends when its input is closed, loaded or not."""
    command = (sys.executable, "-m", "render", "--listen", "127.0.0.1:0", "--attached", "--device", "cpu")
    worker = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE, cwd=ROOT)
    assert worker.stdin
    assert worker.stdout
    async with asyncio.timeout(60):
        url = json.loads(await worker.stdout.readline())["listening"]
        async with engine_at(url) as engine:
            assert await engine.slots() == Slots()
        worker.stdin.close()
        await worker.communicate()
    assert worker.returncode == 0


async def test_a_worker_that_others_can_reach_needs_a_token() -> None:
    """It refuses to start, and says what to set."""
    command = (sys.executable, "-m", "render", "--listen", "0.0.0.0:0")
    environment = {name: value for name, value in os.environ.items() if name != "RENDER_TOKEN"}
    worker = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, cwd=ROOT, env=environment)
    async with asyncio.timeout(60):
        out, told = await worker.communicate()
    assert (worker.returncode, out) == (2, b"")
    assert "set RENDER_TOKEN" in told.decode()


async def test_a_worker_that_dies_is_started_again() -> None:
    """The supervisor's worker has a token of its own, and a new address after it was killed."""
    supervisor = Supervisor("no-such-folder", "cpu", worker_environment())
    engine = WorkerEngine(supervisor.where, supervisor.token)
    task = asyncio.create_task(supervisor.run())
    try:
        async with asyncio.timeout(90):
            assert "cannot be loaded" in ((await ready(engine)).trouble or "")
            async with engine_at(supervisor.where()) as stranger:
                assert (await stranger.slots()).trouble == "The render worker refused the bot: check RENDER_TOKEN."
            assert (first := supervisor.pid)
            os.kill(first, signal.SIGKILL)
            while supervisor.pid in (first, None):
                await asyncio.sleep(0.01)
            assert "cannot be loaded" in ((await ready(engine)).trouble or "")
    finally:
        await engine.close()
        second = supervisor.pid
        task.cancel()
        await asyncio.wait({task})
    assert second
    with pytest.raises(ProcessLookupError):
        os.kill(second, 0)
