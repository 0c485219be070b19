"""A worker behind a real socket, driven by the real engine; and the process that runs it."""

import asyncio
import json
import os
import signal
import socket
import sys
import threading
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from bot.config import worker_environment
from bot.domain import Abilities, Operation
from render import wire
from render.engine import EngineLost, WorkerEngine
from render.supervisor import Supervisor
from render.wire import Alive, Batch, End, Made, Preview, Slots, Spoilt, Started, Step, Task, WorkerEvent
from render.worker import Cancelled, Studio, Worker

BATCH = Batch([Task("a", Operation.GENERATE, "a red circle", 1), Task("b", Operation.EDIT, "é", 2, b"\x89PNG\0\xff")])
PNG = bytes(range(256)) * 4000  # a line of more than a megabyte
STEPS = [Step(0.5), Preview("a", b"\xff\xd8"), Step(1.0), Preview("a", b"\xff\xd8")]
WHOLE = [Started(), *STEPS, Made("a", PNG, 8, 8, "flat"), Made("b", PNG, 8, 8, "flat")]
NO_KEY = "The render worker refused the bot: check RENDER_TOKEN."


@dataclass
class FlatStudio:
    """Draws every picture in two steps; where it is `gated`, each step waits to be let through."""

    gated: bool = False
    fault: Exception | None = None
    model: str = "flat"
    abilities: Abilities = field(default_factory=Abilities)
    gate: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    painted: list[Batch] = field(default_factory=list)
    told_to_leave: threading.Event = field(default_factory=threading.Event)
    left: threading.Event = field(default_factory=threading.Event)

    def paint(self, batch: Batch, tell: Callable[[WorkerEvent], None], cancelled: threading.Event) -> None:
        """Two steps, then every picture."""
        self.painted.append(batch)
        self.told_to_leave = cancelled
        for step in (1, 2):
            assert not self.gated or self.gate.acquire(timeout=20)
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
        async with asyncio.timeout(30):
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


async def outcome(engine: WorkerEngine) -> tuple[list[WorkerEvent], bool | None]:
    """What is told of the batch; and, if the worker is lost over it, whether the batch had started."""
    heard: list[WorkerEvent] = []
    try:
        async with aclosing(engine.run(BATCH)) as events:
            async for event in events:
                heard.append(event)
    except EngineLost as lost:
        return heard, lost.started
    return heard, None


async def test_a_batch_is_told_step_by_step() -> None:
    """Events arrive in order, the request arrives whole, and no byte is changed on its way."""
    studio = FlatStudio()
    async with working(lambda: studio) as engine:
        for _ in range(2):
            assert await ready(engine) == Slots(["0"], "flat", abilities=Abilities())
            assert await outcome(engine) == (WHOLE, None)
    assert studio.painted == [BATCH, BATCH]


async def test_a_worker_that_loads_answers_and_has_no_slot() -> None:
    """It says so at once, refuses a batch, and has a slot when the model is there."""
    go = threading.Event()

    def load() -> Studio:
        assert go.wait(20)
        return FlatStudio()

    async with working(load) as engine:
        assert await engine.slots() == Slots([], "", None)
        assert await outcome(engine) == ([], False)
        go.set()
        assert await ready(engine) == Slots(["0"], "flat", abilities=Abilities())


async def test_a_model_that_cannot_be_loaded_is_told() -> None:
    """The reason is a sentence without the exception's words; there will be no slots."""

    def load() -> Studio:
        raise FileNotFoundError("/srv/secret/model")

    async with working(load) as engine:
        told = "The picture model cannot be loaded (FileNotFoundError); the worker's log says why."
        assert await ready(engine) == Slots([], "", told)


async def test_a_busy_worker_takes_no_second_batch() -> None:
    """While one batch is on the device there is no slot, and another is refused unharmed."""
    studio = FlatStudio(gated=True)
    async with working(lambda: studio) as engine:
        await ready(engine)
        async with aclosing(engine.run(BATCH)) as events:
            assert await anext(events) == Started()
            assert await engine.slots() == Slots([], "flat", abilities=Abilities())
            assert await outcome(engine) == ([], False)
            studio.gate.release(2)
            assert [event async for event in events] == WHOLE[1:]
        assert (await ready(engine)).slots


async def test_closing_the_stream_cancels_at_the_next_step() -> None:
    """Nobody listens any more: the device stops early, and its slot is free again."""
    studio = FlatStudio(gated=True)
    async with working(lambda: studio) as engine:
        await ready(engine)
        async with aclosing(engine.run(BATCH)) as events:
            assert await anext(events) == Started()
            studio.gate.release()
            assert await anext(events) == Step(0.5)
        assert await asyncio.to_thread(studio.told_to_leave.wait, 20)
        assert await engine.slots() == Slots([], "flat", abilities=Abilities())  # the step under way is not cut
        studio.gate.release()
        assert await asyncio.to_thread(studio.left.wait, 20)
        assert (await ready(engine)).slots
        studio.gate.release(2)
        assert await outcome(engine) == (WHOLE, None)


FAILED = "The picture model failed; the worker's log says why."
FAULTS = {
    "The picture model refused: no such size.": ValueError("no such size."),
    FAILED: RuntimeError("/srv/secret: the driver says no"),
    "The picture needs more memory than the device has.": type("OutOfMemoryError", (RuntimeError,), {})("secret"),
}


@pytest.mark.parametrize(("told", "fault"), FAULTS.items(), ids=["ValueError", "RuntimeError", "OutOfMemoryError"])
async def test_a_fault_in_the_model_spoils_the_batch_alone(told: str, fault: Exception) -> None:
    """Each picture gets a sentence, which holds the model's words only where they are a refusal; the slot is free."""
    async with working(lambda: FlatStudio(fault=fault)) as engine:
        await ready(engine)
        assert await outcome(engine) == ([Started(), *STEPS[:2], Spoilt("a", told), Spoilt("b", told)], None)
        assert (await ready(engine)).slots


async def test_a_token_is_asked_for() -> None:
    """Without it, or with another, nothing is told or done, and the bot says what to check."""
    studio = FlatStudio()
    async with served(Worker(lambda: studio, "sesame").app()) as url, engine_at(url, "sesame") as friend:
        assert (await ready(friend)).slots
        for wrong in (None, "wrong", "ses", "ö"):
            async with engine_at(url, wrong) as stranger:
                assert await stranger.slots() == Slots(trouble=NO_KEY)
                assert await outcome(stranger) == ([], False)
        assert not studio.painted
        assert await outcome(friend) == (WHOLE, None)


async def test_what_is_no_batch_is_refused() -> None:
    """Garbage and other versions get a 400 with a word on why, and the worker goes on."""
    later = wire.BATCH.dump_json(replace(BATCH, version=99))
    async with working(FlatStudio) as engine, aiohttp.ClientSession() as session:
        await ready(engine)
        for body in (b"", b"\xff\xfe", b"[]", b"{}", b'{"tasks": 7}', b'{"tasks": [{"id": "a"}]}', b"[" * 9999, later):
            async with session.post(f"{engine._address()}/batches", data=body) as response:
                told = await response.text()
            assert response.status == 400
            assert ("version 1, not 99" if body is later else "not a batch") in told
        assert await outcome(engine) == (WHOLE, None)


async def test_silence_is_filled_with_signs_of_life() -> None:
    """While a step takes long the worker says that it lives, so that the bot need not take it for dead."""
    studio = FlatStudio(gated=True)
    async with working(lambda: studio) as engine, aiohttp.ClientSession() as session:
        await ready(engine)
        async with session.post(f"{engine._address()}/batches", data=wire.BATCH.dump_json(BATCH)) as response:
            lines = [wire.EVENT.validate_json(await response.content.readline()) for _ in range(2)]
            studio.gate.release(2)
    assert lines == [Started(), Alive()]


def scripted(*events: WorkerEvent | bytes, slots: Slots | None = None, status: int = 200) -> web.Application:
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
        return web.Response(body=wire.SLOTS.dump_json(slots or Slots()))

    app = web.Application()
    app.add_routes([web.post("/batches", batches), web.get("/slots", about)])
    return app


@pytest.mark.parametrize(
    ("sent", "heard", "started"),
    [
        ([], [], False),
        ([Alive()], [], False),
        ([Started()], [Started()], True),
        ([Started(), Alive(), Step(0.5)], [Started(), Step(0.5)], True),
        ([Started(), b'{"event": "st'], [Started()], True),
        ([b"garbage\n"], [], False),
        ([Started(), b"\xff\xff\n"], [Started()], True),
        ([Started(), b'{"event": "party"}\n'], [Started()], True),
        ([Alive(), Started(), Alive(), Step(1.0), Alive(), End()], [Started(), Step(1.0)], None),
    ],
    ids=["nothing", "alive", "started", "step", "half a line", "garbage", "bytes", "unknown event", "whole"],
)
async def test_a_stream_without_an_end_is_a_lost_worker(
    sent: list[WorkerEvent | bytes], heard: list[WorkerEvent], started: bool | None
) -> None:
    """What is new is told, signs of life are not; the loss says whether the batch was on the device."""
    async with served(scripted(*sent)) as url, engine_at(url) as engine:
        assert await outcome(engine) == (heard, started)


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
                assert await engine.slots() == Slots()
                assert await outcome(engine) == ([], False)


async def test_an_address_may_end_in_a_slash() -> None:
    """Both ways of writing RENDER_URL reach the worker."""
    about = Slots(["0"], "flat", abilities=Abilities())
    async with served(scripted(Started(), End(), slots=about)) as url, engine_at(url + "/") as engine:
        assert await engine.slots() == about
        assert await outcome(engine) == ([Started()], None)


async def test_a_worker_of_another_version_is_trouble() -> None:
    """It would refuse every batch, so nothing is sent to it and people are told why."""
    async with served(scripted(slots=Slots(["0"], "flat", version=99))) as url, engine_at(url) as engine:
        found = await engine.slots()
    assert not found.slots
    assert "version" in (found.trouble or "")


async def process(*arguments: str) -> Process:
    """`python -m render` with a pipe on every side and no token."""
    environment = {name: value for name, value in os.environ.items() if name != "RENDER_TOKEN"}
    command, root = (sys.executable, "-m", "render", *arguments), Path(__file__).parent.parent
    return await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, stderr=PIPE, cwd=root, env=environment
    )


async def test_an_attached_worker_ends_with_its_parent() -> None:
    """It prints its address as soon as it listens, and ends when its input is closed, loaded or not."""
    worker = await process("--listen", "127.0.0.1:0", "--attached", "--device", "cpu")
    assert worker.stdin
    assert worker.stdout
    async with asyncio.timeout(60):
        async with engine_at(json.loads(await worker.stdout.readline())["listening"]) as engine:
            assert await engine.slots() == Slots()
        worker.stdin.close()
        await worker.communicate()
    assert worker.returncode == 0


async def test_a_worker_that_others_can_reach_needs_a_token() -> None:
    """It refuses to start, and says what to set."""
    worker = await process("--listen", "0.0.0.0:0")
    async with asyncio.timeout(60):
        out, told = await worker.communicate()
    assert (worker.returncode, out) == (2, b"")
    assert b"set RENDER_TOKEN" in told


async def test_a_worker_that_dies_is_started_again() -> None:
    """The supervisor's worker has a token of its own, is replaced when it is killed, and ends with the supervisor."""
    supervisor = Supervisor("builtin", "cpu", worker_environment())
    engine = WorkerEngine(supervisor.where, supervisor.token)
    task = asyncio.create_task(supervisor.run())
    pids: list[int] = []
    try:
        for _ in range(2):
            async with asyncio.timeout(60):
                while not supervisor.where():
                    await asyncio.sleep(0.01)
            assert await engine.slots() == Slots()  # it is there, and loads
            async with engine_at(supervisor.where()) as stranger:
                assert await stranger.slots() == Slots(trouble=NO_KEY)
            assert supervisor.pid
            pids.append(supervisor.pid)
            if len(pids) == 1:
                os.kill(pids[0], signal.SIGKILL)
                while supervisor.where():  # until the supervisor has seen it
                    await asyncio.sleep(0.01)
    finally:
        await engine.close()
        task.cancel()
        await asyncio.wait({task})
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
