"""A worker behind a real socket, driven by the real engine; and the process that runs it."""

import asyncio
import json
import os
import signal
import socket
import sys
import threading
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from bot.config import worker_environment
from bot.domain import Operation
from render.engine import EngineLost, WorkerEngine
from render.supervisor import Supervisor
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
    cancelled: threading.Event = field(default_factory=threading.Event)

    def paint(self, batch: Batch, tell: Callable[[WorkerEvent], None], cancelled: threading.Event) -> None:
        """Two steps, then every picture."""
        self.painted.append(batch)
        for step in (1, 2):
            if self.gated:
                assert self.gate.acquire(timeout=60)
            if cancelled.is_set():
                self.cancelled.set()
                raise Cancelled
            tell(Step(step / 2))
            tell(Preview("a", b"\xff\xd8"))
            if self.fault:
                raise self.fault
        for task in batch.tasks:
            tell(Made(task.id, PNG, 8, 8, self.model))


@asynccontextmanager
async def served(app: web.Application, token: str | None = None) -> AsyncGenerator[WorkerEngine]:
    """An engine whose worker is this application."""
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    engine = WorkerEngine(lambda: f"http://{host}:{port}", token)
    try:
        async with asyncio.timeout(60):
            yield engine
    finally:
        await engine.close()
        await runner.cleanup()


@asynccontextmanager
async def working(studio: FlatStudio) -> AsyncGenerator[WorkerEngine]:
    """An engine whose worker has loaded this studio."""
    async with served(Worker(lambda: studio).app()) as engine:
        await slots(engine, lambda found: bool(found.slots))
        yield engine


async def slots(engine: WorkerEngine, wanted: Callable[[Slots], bool]) -> Slots:
    """Ask, as the line does, until the answer is the wanted one."""
    while not wanted(found := await engine.slots()):
        await asyncio.sleep(0.01)
    return found


async def ran(engine: WorkerEngine) -> list[WorkerEvent]:
    """Every event of the batch."""
    async with aclosing(engine.run(BATCH)) as events:
        return [event async for event in events]


async def test_a_batch_is_told_step_by_step() -> None:
    """Events arrive in order, the request arrives whole, and bytes are not changed on their way."""
    studio = FlatStudio()
    async with working(studio) as engine:
        steps = [Step(0.5), Preview("a", b"\xff\xd8"), Step(1.0), Preview("a", b"\xff\xd8")]
        made = [Made("a", PNG, 8, 8, "flat"), Made("b", PNG, 8, 8, "flat")]
        assert await ran(engine) == [Started(), *steps, *made]
        assert await ran(engine) == [Started(), *steps, *made]
    assert studio.painted == [BATCH, BATCH]


async def test_a_worker_that_loads_answers_and_has_no_slot() -> None:
    """It says so at once, refuses a batch, and has a slot when the model is there."""
    go = threading.Event()

    def load() -> Studio:
        assert go.wait(60)
        return FlatStudio()

    async with served(Worker(load).app()) as engine:
        assert await engine.slots() == Slots([], "", None)
        with pytest.raises(EngineLost) as lost:
            await ran(engine)
        assert not lost.value.started
        go.set()
        assert await slots(engine, lambda found: bool(found.slots)) == Slots(["0"], "flat")


async def test_a_model_that_cannot_be_loaded_is_told() -> None:
    """The reason is a sentence without the exception's words; there will be no slots."""

    def load() -> Studio:
        raise FileNotFoundError("/srv/secret/model")

    async with served(Worker(load).app()) as engine:
        found = await slots(engine, lambda found: found.trouble is not None)
    assert found.slots == []
    assert found.trouble == "The picture model cannot be loaded (FileNotFoundError); the worker's log says why."


async def test_a_busy_worker_takes_no_second_batch() -> None:
    """While one batch is on the device there is no slot, and another is refused unharmed."""
    studio = FlatStudio(gated=True)
    async with working(studio) as engine, aclosing(engine.run(BATCH)) as events:
        assert await anext(events) == Started()
        assert await engine.slots() == Slots([], "flat")
        with pytest.raises(EngineLost) as lost:
            await ran(engine)
        assert not lost.value.started
        studio.gate.release(2)
        assert [type(event) async for event in events].count(Made) == 2
        await slots(engine, lambda found: bool(found.slots))


async def test_closing_the_stream_cancels_at_the_next_step() -> None:
    """Nobody listens any more: the device stops early, and its slot is free again."""
    studio = FlatStudio(gated=True)
    async with working(studio) as engine:
        async with aclosing(engine.run(BATCH)) as events:
            assert await anext(events) == Started()
            studio.gate.release()
            assert await anext(events) == Step(0.5)
        assert await engine.slots() == Slots([], "flat")  # the step under way is not cut
        while not studio.cancelled.is_set():  # the worker learns of it on its own loop
            studio.gate.release()
            await asyncio.sleep(0.01)
        studio.gated = False
        await slots(engine, lambda found: bool(found.slots))
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
    async with working(FlatStudio(fault=fault)) as engine:
        assert (await ran(engine))[-2:] == [Spoilt("a", told), Spoilt("b", told)]
        await slots(engine, lambda found: bool(found.slots))


async def test_a_token_is_asked_for() -> None:
    """Without it, or with another, nothing is told or done, and the bot says what to check."""
    studio = FlatStudio()
    app = Worker(lambda: studio, "open sesame").app()
    async with served(app) as stranger, served(web.Application(), "open sesame") as friend:
        friend._address = stranger._address
        assert (await slots(friend, lambda found: bool(found.slots))).model == "flat"
        assert isinstance((await ran(friend))[-1], Made)
        for wrong in (None, "wrong", "open", "ö"):
            guest = WorkerEngine(stranger._address, wrong)
            assert (await guest.slots()).trouble == "The render worker refused the bot: check RENDER_TOKEN."
            with pytest.raises(EngineLost):
                await ran(guest)
            await guest.close()
    assert len(studio.painted) == 1
