"""What the bot believes of a worker, and what it does not."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from bot.domain import Operation, Sampling
from bot.notices import notice
from render.protocol import VERSION, Batch, ImageDone, ImageTask, Started, StepDone, WorkerEvent, WorkerReport
from render.worker import client as engines
from render.worker.client import EngineLost, WorkerEngine

PNG = "iVBORw0KGgo="
BATCH = Batch(
    [
        ImageTask("a", Operation.GENERATE, "a sun", sampling=Sampling(seed=1)),
        ImageTask("b", Operation.GENERATE, "a moon", sampling=Sampling(seed=2)),
    ]
)
STARTED = {"event": "started"}
ALIVE = {"event": "alive"}
END = {"event": "end"}


def made(task: str, png: str = PNG) -> dict[str, Any]:
    """A picture of this task."""
    return {"event": "picture", "task": task, "png": png, "width": 1, "height": 1, "model": "m"}


@asynccontextmanager
async def worker(*lines: object, slots: object = None, status: int = 200) -> AsyncIterator[WorkerEngine]:
    """An engine before a worker that says these lines to every batch; bytes are said as they are."""

    async def batches(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        for line in lines:
            await response.write(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n")
        return response

    async def report_slots(request: web.Request) -> web.Response:
        return web.json_response(slots, status=status)

    app = web.Application()
    app.add_routes([web.post("/batches", batches), web.get("/slots", report_slots)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    engine = WorkerEngine("test", lambda: f"http://{host}:{port}")
    try:
        yield engine
    finally:
        await engine.close()
        await runner.cleanup()


async def received(engine: WorkerEngine) -> tuple[list[WorkerEvent], EngineLost | None]:
    """What came of the batch, and how it was lost."""
    events: list[WorkerEvent] = []
    try:
        async with aclosing(engine.run(BATCH)) as stream:
            async for event in stream:
                events.append(event)
    except EngineLost as lost:
        return events, lost
    return events, None


async def test_a_batch_comes_out_whole() -> None:
    """Every task has its picture, and the keep-alive lines are not for anybody else."""
    step = {"event": "step", "fraction": 0.5}
    async with worker(STARTED, ALIVE, step, made("b"), made("a"), END) as engine:
        events, lost = await received(engine)
    assert lost is None
    assert [type(event) for event in events] == [Started, StepDone, ImageDone, ImageDone]


@pytest.mark.parametrize(
    ("lines", "started", "lie"),
    [
        ((STARTED, made("a"), END), True, "it ended without all pictures"),
        ((END,), False, "it ended without all pictures"),
        ((STARTED, made("a"), made("a"), made("b"), END), True, "it sent what nobody asked for"),
        ((STARTED, made("c"), END), True, "it sent what nobody asked for"),
        ((STARTED, made("a", "bm90IGEgcGljdHVyZQ=="), END), True, "it sent what nobody asked for"),
        ((STARTED, b"\xff\x00 garbage\n"), True, "it sent what is no event"),
        ((b"<html>", b"\n"), False, "it sent what is no event"),
        ((STARTED, {"event": "confetti"}), True, "it sent what is no event"),
        ((STARTED, made("a"), made("b")), True, ""),
        ((STARTED,), True, ""),
        ((), False, ""),
    ],
)
async def test_a_worker_that_cannot_be_believed_loses_the_batch(
    lines: Sequence[object], started: bool, lie: str
) -> None:
    """Wrong counts, strangers, garbage and cut streams are told apart; what was on the device may be to blame."""
    async with worker(*lines) as engine:
        _, lost = await received(engine)
    assert lost is not None
    assert (lost.started, lost.violation) == (started, lie)


async def test_a_stream_that_never_gets_on_is_left() -> None:
    """A worker that only says that it lives is taken for one that lies, after a while."""
    moments = iter((0.0, 1.0, engines.STUCK_TIMEOUT))
    async with worker(STARTED, ALIVE, ALIVE, ALIVE) as engine:
        engine.clock = lambda: next(moments, engines.STUCK_TIMEOUT + 2)
        _, lost = await received(engine)
    assert lost is not None
    assert lost.violation == "it lives, but does not get on"


async def test_a_refusal_is_no_attempt() -> None:
    """A worker without a free slot has not begun."""
    async with worker(status=503) as engine:
        assert await engine.slots() == WorkerReport()
        _, lost = await received(engine)
    assert lost is not None
    assert (lost.started, lost.violation) == (False, "")


async def test_what_a_worker_tells_of_itself_is_checked() -> None:
    """A wrong token and another version are told as what they are; nonsense is a worker that is not there."""
    async with worker(status=401, slots={}) as engine:
        assert (await engine.slots()).trouble == notice("worker-token-refused")
    async with worker(slots={"version": VERSION + 1}) as engine:
        assert "another version" in str((await engine.slots()).trouble)
    async with worker(slots={"slots": "many"}) as engine:
        assert await engine.slots() == WorkerReport()
    async with worker(slots={"slots": 2, "free": 1, "model": "m"}) as engine:
        assert await engine.slots() == WorkerReport(2, 1, "m")
    assert await WorkerEngine("none", lambda: None).slots() == WorkerReport()
    away = WorkerEngine("away", lambda: "http://127.0.0.1:9")
    assert await away.slots() == WorkerReport()
    await away.close()
