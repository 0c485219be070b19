"""A device's process: driven, watched, killed, and followed by another."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from bot.domain import Operation, Sampling
from bot.notices import notice
from render import protocol as wire
from render.image_model import ImageModel, Options
from render.protocol import Batch, End, ImageDone, ImageTask, Preview, Started, StepDone, WorkerEvent, WorkerReport
from render.worker.device import DIES_WHILE_LOADING, HANG_TIMEOUT, Device, DeviceBusy, DeviceLost
from render.worker.device_process import load_model_class
from render.worker.result_cache import ResultCache
from tests.support.fake_models.gated import (
    PREVIEW,
    READY,
    SPAWN,
    GatedModel,
    load_nothing,
    load_or_die,
    load_when,
    picture,
)
from tests.support.paths import ROOT


def batch(*names: str, prompt: str = "a red circle", model: str = "") -> Batch:
    """Tasks with these names."""
    return Batch(
        [ImageTask(name, Operation.GENERATE, prompt, sampling=Sampling(seed=ord(name), model=model)) for name in names]
    )


def whole(all_of: Batch) -> list[WorkerEvent]:
    """All that happens to a batch that goes well."""
    first = all_of.tasks[0].id
    steps = [event for fraction in (0.5, 1.0) for event in (StepDone(fraction), Preview(first, PREVIEW))]
    return [Started(), *steps, *(picture(task) for task in all_of.tasks), End()]


async def rendered(device: Device, wanted: Batch) -> list[WorkerEvent]:
    """What is told of it."""
    async with aclosing(device.render(wanted)) as events:
        return [event async for event in events]


async def until(true: Callable[[], bool]) -> None:
    """Wait for the other process."""
    while not true():
        await asyncio.sleep(0.005)


@asynccontextmanager
async def owned(
    load: Callable[[], ImageModel], cache: ResultCache | None = None, hang_timeout: float = HANG_TIMEOUT
) -> AsyncGenerator[Device]:
    """A device, with its process until the end of the test."""
    device = Device(load, cache=cache, hang_timeout=hang_timeout)
    async with asyncio.timeout(60):
        owning = asyncio.create_task(device.run())
        try:
            yield device
        finally:
            pid = device.pid
            owning.cancel()
            await asyncio.wait({owning})
    if pid:
        assert_gone(pid)


async def ready(device: Device) -> WorkerReport:
    """Wait until it can take a batch."""
    await until(lambda: device.slots().free > 0)
    return device.slots()


def assert_gone(pid: int) -> None:
    """No such process, not even a dead one that nobody asked after."""
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_batches_are_rendered_one_after_the_other() -> None:
    """Each is told from its start to its end, by the same process."""
    async with owned(GatedModel) as device:
        assert await ready(device) == READY
        pid = device.pid
        for names in ("a", "abc", "b"):
            assert await rendered(device, batch(*names)) == whole(batch(*names))
            assert (device.slots(), device.pid) == (READY, pid)


async def test_a_device_that_loads_has_no_slot() -> None:
    """Until the model is there a batch is refused before anything is told."""
    go = SPAWN.Event()
    async with owned(partial(load_when, go)) as device:
        await until(lambda: device.pid is not None)
        assert device.slots() == WorkerReport()
        with pytest.raises(DeviceBusy, match="is being loaded"):
            await rendered(device, batch("a"))
        go.set()
        assert await ready(device) == READY


async def test_a_model_that_cannot_be_loaded_is_reported() -> None:
    """The reason is a sentence without the exception's words, and is what a batch hears."""
    reason = notice("model-not-loaded", error="FileNotFoundError")
    async with owned(load_nothing) as device:
        await until(lambda: device.slots().trouble is not None and device.pid is None)
        assert device.slots() == WorkerReport(trouble=reason)
        with pytest.raises(DeviceBusy, match="FileNotFoundError"):
            await rendered(device, batch("a"))


async def test_a_process_that_dies_while_it_loads_is_trouble_until_it_does_not() -> None:
    """Once may be bad luck; from the second time on it is told, and tried again all the same."""
    go = SPAWN.Event()
    async with owned(partial(load_or_die, go)) as device:
        await until(lambda: device.slots().trouble is not None)
        assert device.slots() == WorkerReport(trouble=DIES_WHILE_LOADING)
        go.set()
        assert await ready(device) == READY


@pytest.mark.parametrize(
    "loaded_model", ["tests.support.fake_models.flat_worker:load_model", "tests.support.fake_models.quiet:QuietModel"]
)
async def test_a_model_class_is_found_by_its_name(loaded_model: str) -> None:
    """As a deployment names it, with all that a deployment passes on."""
    async with owned(partial(load_model_class, loaded_model, "a model", "auto", 2, Options(step_cache=0.1))) as device:
        assert (await ready(device)).slots == 1
        events = await rendered(device, batch("a"))
    assert [event.task for event in events if isinstance(event, ImageDone)] == ["a"]


async def test_another_model_is_not_this_one() -> None:
    """A batch for a model that is not here is refused; one that names it, or none, is not."""
    async with owned(GatedModel) as device:
        await ready(device)
        with pytest.raises(DeviceBusy, match="“flat”"):
            await rendered(device, batch("a", model="builtin"))
        assert await rendered(device, batch("a", model="flat")) == whole(batch("a", model="flat"))


async def test_a_busy_device_takes_no_second_batch() -> None:
    """It is refused at once, and the first goes on."""
    gate = SPAWN.Semaphore(0)
    async with owned(partial(GatedModel, gate)) as device:
        await ready(device)
        async with aclosing(device.render(batch("a"))) as events:
            assert await anext(events) == Started()
            assert device.slots().free == 0
            with pytest.raises(DeviceBusy, match="another batch"):
                await rendered(device, batch("b"))
            gate.release()
            gate.release()
            assert [event async for event in events] == whole(batch("a"))[1:]
        assert device.slots() == READY


async def test_a_batch_waits_for_one_that_is_just_ending() -> None:
    """When the stream is closed the device stops at its next step, and whoever comes meanwhile need not come again."""
    gate, left = SPAWN.Semaphore(0), SPAWN.Event()
    async with owned(partial(GatedModel, gate, left)) as device:
        await ready(device)
        async with aclosing(device.render(batch("a", prompt="long"))) as events:
            assert await anext(events) == Started()
            gate.release()
            assert await anext(events) == StepDone(0.5)
        assert device.slots().free == 0  # the step under way is not cut
        following = asyncio.create_task(rendered(device, batch("b")))
        await asyncio.sleep(0)
        for _ in range(3):
            gate.release()
        assert await following == whole(batch("b"))
        assert left.is_set()


async def test_a_batch_waits_only_a_moment() -> None:
    """A cancelled step that takes long is no slot."""
    gate = SPAWN.Semaphore(0)
    async with owned(partial(GatedModel, gate)) as device:
        await ready(device)
        async with aclosing(device.render(batch("a"))) as events:
            assert await anext(events) == Started()
        with pytest.raises(DeviceBusy, match="another batch"):
            await rendered(device, batch("b"))
        gate.release()
        await ready(device)


async def test_a_batch_that_kills_its_process_is_lost_and_another_process_follows() -> None:
    """The stream ends with DeviceLost; then there is a slot again."""
    async with owned(GatedModel) as device:
        for _ in range(2):
            await ready(device)
            pid = device.pid
            with pytest.raises(DeviceLost):
                await rendered(device, batch("a", prompt="die"))
            assert device.slots() == WorkerReport()
            assert pid
            assert_gone(pid)
        await ready(device)
        assert await rendered(device, batch("a")) == whole(batch("a"))


async def test_an_idle_process_that_dies_is_followed_by_another() -> None:
    """Nobody was waiting, and nobody notices more than a moment without slots."""
    async with owned(GatedModel) as device:
        await ready(device)
        assert (pid := device.pid)
        os.kill(pid, signal.SIGKILL)
        await until(lambda: device.pid not in (pid, None))
        await ready(device)


@pytest.mark.parametrize("listened", [True, False], ids=["listened to", "cancelled"])
async def test_a_device_that_hangs_is_killed(listened: bool) -> None:
    """Without a word in the middle of a batch its process is ended, wanted or not, and another follows."""
    async with owned(GatedModel, hang_timeout=0.3) as device:
        await ready(device)
        await rendered(device, batch("a"))  # the first of a process would be given longer
        assert (pid := device.pid)
        async with aclosing(device.render(batch("a", prompt="hang"))) as events:
            assert await anext(events) == Started()
            if listened:
                with pytest.raises(DeviceLost):
                    await anext(events)
                assert_gone(pid)
        await until(lambda: device.pid not in (pid, None))
        await ready(device)
        assert await rendered(device, batch("a")) == whole(batch("a"))


async def test_a_device_that_is_let_go_takes_its_batch_with_it() -> None:
    """Whoever listens hears that it is lost; no process stays."""
    gate = SPAWN.Semaphore(0)
    async with owned(partial(GatedModel, gate)) as device:
        await ready(device)
        lost = asyncio.create_task(rendered(device, batch("a")))
        await until(lambda: device.slots().free == 0)
    with pytest.raises(DeviceLost):
        await lost


async def test_what_a_device_can_take_may_change() -> None:
    """A largest batch that turned out too large is told right after the batch."""
    async with owned(GatedModel) as device:
        await ready(device)
        await rendered(device, batch("a", prompt="too much"))
        assert device.slots().largest_batch == READY.largest_batch - 1


async def test_what_was_made_a_moment_ago_needs_no_device(tmp_path: Path) -> None:
    """A repeated task is answered from the disk, under its new name, even while the device renders another batch."""
    gate = SPAWN.Semaphore(2)
    cache = ResultCache(tmp_path)
    async with owned(partial(GatedModel, gate), cache) as device:
        await ready(device)
        assert await rendered(device, batch("a", "b")) == whole(batch("a", "b"))
        await until(lambda: all(cache.find(task, READY) for task in batch("a", "b").tasks))
        again = replace(batch("a").tasks[0], id="z")
        assert [event for event in await rendered(device, Batch([again])) if isinstance(event, ImageDone)] == [
            picture(again)
        ]
        async with aclosing(device.render(batch("d"))) as events:
            assert await anext(events) == Started()
            kept = [picture(task) for task in batch("b", "a").tasks]
            assert await rendered(device, batch("b", "a")) == [Started(), *kept, End()]
            gate.release()
            gate.release()
            assert [event async for event in events] == whole(batch("d"))[1:]


async def test_only_what_is_new_is_rendered(tmp_path: Path) -> None:
    """Of a batch that was cut the pictures that were made are told at once, and the rest is rendered."""
    cache = ResultCache(tmp_path)
    cache.put(batch("b").tasks[0], READY, picture(batch("b").tasks[0]).png)
    async with owned(GatedModel, cache) as device:
        await ready(device)
        kept = picture(batch("b").tasks[0])
        rest = whole(batch("a", "c"))
        found = await rendered(device, batch("a", "b", "c"))
    assert [type(event) for event in found[:2]] == [Started, type(kept)]
    assert found[2:] == rest[1:]


async def test_no_process_outlives_a_worker_that_is_killed(tmp_path: Path) -> None:
    """However the worker ends, and whatever the device does: standard output is closed by the last that holds it."""
    environment = os.environ | {"FLAT_STEP_TIME": "50", "FLAT_LOG": str(tmp_path / "log")}
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.fake_models.flat_worker", "0", cwd=ROOT, env=environment, stdout=PIPE
    )
    assert worker.stdout
    async with asyncio.timeout(60), aiohttp.ClientSession() as session:
        url = (await worker.stdout.readline()).split()[1].decode()
        slots = WorkerReport()
        while not slots.free:
            async with session.get(f"{url}/slots") as response:
                slots = wire.REPORT.validate_json(await response.read())
        async with session.post(f"{url}/batches", data=wire.BATCH.dump_json(batch("a"))) as response:
            assert wire.EVENT.validate_json(await response.content.readline()) == Started()
            worker.kill()
            await worker.communicate()
    assert [json.loads(line)["tasks"] for line in (tmp_path / "log").read_text().splitlines()] == [["a"]]
