"""`python -m render`: a worker as a process, alone and supervised."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import replace
from pathlib import Path

import pytest

from bot.config import worker_environment
from bot.environment import OLD_VARIABLES
from render.protocol import Batch, WorkerReport
from render.worker.client import WorkerEngine
from render.worker.local_workers import LocalWorker
from tests.e2e.test_worker_server import BATCH, NO_KEY, engine_at, outcome, ready
from tests.support.paths import ROOT


async def process(*arguments: str, **settings: str) -> Process:
    """`python -m render` with a pipe on every side and no settings but these."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RENDER_")} | settings
    command, root = (sys.executable, "-m", "render", *arguments), ROOT
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
            assert await engine.slots() == WorkerReport()
        worker.stdin.close()
        await worker.communicate()
    assert worker.returncode == 0


async def test_a_worker_that_others_can_reach_needs_a_token() -> None:
    """It refuses to start, and says what to set."""
    worker = await process("--listen", "0.0.0.0:0")
    async with asyncio.timeout(60):
        out, errors = await worker.communicate()
    assert (worker.returncode, out) == (2, b"")
    assert b"set RENDER_TOKEN" in errors


@pytest.mark.parametrize("name", ["RENDER_BATCH", "RENDER_TIMEOUT"])
@pytest.mark.parametrize("value", ["0", "many", "-1", "1.5"])
async def test_a_number_that_is_none_is_refused(name: str, value: str) -> None:
    """The worker does not start, and says what is wrong."""
    worker = await process("--listen", "127.0.0.1:0", **{name: value})
    async with asyncio.timeout(60):
        _, said = await worker.communicate()
    assert worker.returncode == 2
    assert f"{name} must be a whole number from 1, not {value!r}".encode() in said


async def test_a_worker_keeps_to_its_settings(tmp_path: Path) -> None:
    """The largest batch is the one that was told, pictures are kept in the folder that was told; SIGTERM ends it."""
    pytest.importorskip("torch", reason="the worker needs the render extra")
    settings = {"RENDER_BATCH": "3", "RENDER_CACHE": str(tmp_path / "kept")}
    worker = await process("--listen", "127.0.0.1:0", "--device", "cpu", **settings)
    assert worker.stdout
    async with asyncio.timeout(60):
        async with engine_at(json.loads(await worker.stdout.readline())["listening"]) as engine:
            slots = await ready(engine)
            assert (slots.model, slots.largest_batch, len(slots.revision)) == ("builtin", 3, 16)
            await outcome(
                engine,
                Batch([replace(BATCH.tasks[0], sampling=replace(BATCH.tasks[0].sampling, num_inference_steps=1))]),
            )
            while not list((tmp_path / "kept").iterdir()):
                await asyncio.sleep(0.01)
        worker.terminate()
        await worker.communicate()  # until the device's process is gone too


async def test_a_worker_that_dies_is_started_again() -> None:
    """The supervisor's worker has a token of its own, is replaced when it is killed, and ends with the supervisor."""
    supervisor = LocalWorker("builtin", "cpu", worker_environment())
    engine = WorkerEngine("here", supervisor.get_address, supervisor.token)
    task = asyncio.create_task(supervisor.run())
    pids: list[int] = []
    try:
        for _ in range(2):
            async with asyncio.timeout(60):
                while not supervisor.get_address():
                    await asyncio.sleep(0.01)
            assert await engine.slots() == WorkerReport()  # it is there, and loads
            async with engine_at(supervisor.get_address()) as stranger:
                assert await stranger.slots() == WorkerReport(trouble=NO_KEY)
            assert supervisor.pid
            pids.append(supervisor.pid)
            if len(pids) == 1:
                os.kill(pids[0], signal.SIGKILL)
                while supervisor.get_address():  # until the supervisor has seen it
                    await asyncio.sleep(0.01)
    finally:
        await engine.close()
        task.cancel()
        await asyncio.wait({task})
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize(("old", "value"), [
    ("RENDER_PATIENCE", "30"), ("RENDER_QUANTISE", "8bit"), ("STYLES", "styles"), ("PICTURE_MODEL", "absent-model"),
])  # fmt: skip
async def test_a_worker_alone_accepts_an_old_name(old: str, value: str) -> None:
    """It starts, and a warning gives the present name."""
    worker = await process("--listen", "127.0.0.1:0", "--attached", "--device", "cpu", **{old: value})
    assert worker.stdin
    assert worker.stdout
    async with asyncio.timeout(60):
        assert "listening" in json.loads(await worker.stdout.readline())
        worker.stdin.close()
        _, errors = await worker.communicate()
    assert f"{old} has a new name: set {OLD_VARIABLES[old]} instead." in errors.decode()


async def test_a_wrong_value_under_an_old_name_is_refused() -> None:
    """The value is used, not only the name accepted; one error lists every wrong value under its present name."""
    worker = await process("--listen", "127.0.0.1:0", RENDER_PATIENCE="soon", RENDER_QUANTISE="2bit")
    async with asyncio.timeout(60):
        _, errors = await worker.communicate()
    assert worker.returncode == 2
    assert b"RENDER_TIMEOUT must be a whole number from 1, not 'soon'" in errors
    assert b"RENDER_QUANTIZE must be 8bit or 4bit, not '2bit'" in errors
