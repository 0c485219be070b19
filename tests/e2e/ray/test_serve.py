"""Ray Serve keeps the worker's protocol, survives `kill -9`, and grows and shrinks when it is told."""

import asyncio
import time
from contextlib import aclosing
from itertools import pairwise

import aiohttp
import pytest

from render.protocol import Batch, End, ImageDone, Started, StepDone
from render.queue.autoscaler import QueueLoad, RayScaler, ScalingPolicy
from tests.e2e.ray.cluster import ROUTE, Cluster
from tests.support.worker_conformance import CHECKS, Check, Place, long, tasks

CUT = 2.0  # seconds after the death of a painter in which its stream must break
BACK = 60.0  # seconds in which another takes its place
ROUNDS = 4
CLIENTS = 3


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_serve_conforms(check: Check, place: Place) -> None:
    """Every check of the protocol."""
    await check(place)


async def watched(place: Place) -> tuple[bool, float]:
    """Whether the end of a long batch's stream was told, and when it came."""
    whole = False
    try:
        async for event in place.render(long()):
            whole = isinstance(event, End)
    except aiohttp.ClientError:
        pass
    return whole, time.monotonic()


async def busy(place: Place, number: int) -> None:
    """Wait until so many painters have a batch."""
    await place.until(lambda slots: slots.slots - slots.free == number)


async def test_a_killed_worker_cuts_its_stream_alone(there: Cluster, place: Place) -> None:
    """Its stream breaks at once and without an end, its device's process ends too, and another painter comes."""
    workers, before = there.workers(), there.processes()
    streams = [asyncio.create_task(watched(place)) for _ in workers]
    await busy(place, len(workers))
    killed = time.monotonic()
    there.kill(workers[0])
    done, running = await asyncio.wait(streams, return_when=asyncio.FIRST_COMPLETED, timeout=CUT)
    (cut,), (other,) = done, running
    assert not cut.result()[0]
    print(f"cut after {cut.result()[1] - killed:.3f} s")
    await place.until(lambda slots: slots.slots == 2, BACK)
    print(f"two painters after {time.monotonic() - killed:.1f} s")
    assert not other.done(), "the neighbour's stream was cut too"
    other.cancel()
    await asyncio.wait({other})
    assert (await place.idle()).slots == 2
    devices = [name for name in there.processes().values() if "spawn_main" in name]
    assert len(devices) == len([name for name in before.values() if "spawn_main" in name])


async def insist(place: Place, batch: Batch, cuts: list[float]) -> int:
    """Render a batch as the bot's queue does, again and again until it is whole; how many tries it took."""
    tries = 0
    while True:
        made = set()
        try:
            async with aclosing(place.render(batch)) as events:
                async for event in events:
                    tries += isinstance(event, Started)
                    if isinstance(event, ImageDone):
                        made.add(event.task)
                    if isinstance(event, End):
                        assert made == {task.id for task in batch.tasks}
                        return tries
            cuts.append(time.monotonic())
        except aiohttp.ClientError as error:
            if not isinstance(error, aiohttp.ClientResponseError):  # one with a status was refused, not cut
                cuts.append(time.monotonic())
        await place.until(lambda slots: slots.free > 0, BACK)


async def test_batches_outlive_their_workers(there: Cluster, place: Place) -> None:
    """While painters are killed again and again, every batch becomes whole, and two painters are there in the end."""
    cuts: list[float] = []
    stop = asyncio.Event()

    async def client() -> tuple[int, int]:
        batches = tries = 0
        while not stop.is_set():
            tries += await insist(place, Batch(tasks(24)), cuts)
            batches += 1
        return batches, tries

    async with asyncio.TaskGroup() as group:
        clients = [group.create_task(client()) for _ in range(CLIENTS)]
        for number in range(ROUNDS):
            await place.until(lambda slots: slots.slots == 2 and slots.free == 0, BACK)
            there.kill(there.workers()[number % 2])
            await place.until(lambda slots: slots.slots < 2)
        stop.set()
    batches, tries = (sum(each) for each in zip(*(task.result() for task in clients), strict=True))
    print(f"{ROUNDS} kills: {batches} batches whole after {tries} tries, {len(cuts)} streams cut")
    assert 1 <= len(cuts) <= ROUNDS
    await place.until(lambda slots: slots.slots == slots.free == 2, BACK)


async def test_a_dead_device_is_replaced_within_its_worker(there: Cluster, place: Place) -> None:
    """Only the process with the model dies: the stream is cut, and the painter itself stays."""
    workers = there.workers()
    stream = asyncio.create_task(watched(place))
    await busy(place, 1)
    devices = [pid for pid, name in there.processes().items() if "spawn_main" in name]
    there.kill(*devices)
    async with asyncio.timeout(CUT):
        assert not (await stream)[0]
    await place.until(lambda slots: slots.slots == slots.free == 2, BACK)
    assert there.workers() == workers


async def test_the_fleet_grows_and_shrinks_without_cutting(there: Cluster, place: Place) -> None:
    """The dashboard is told how many painters are wanted; those that must go finish their batches first."""
    rules = ScalingPolicy(target_wait=10, min_replicas=2, max_replicas=3, downscale_delay=0)
    scaler = RayScaler(there.dashboard, f"{ROUTE}/Replica", rules, there.cluster_token)
    begun = time.monotonic()
    await scaler.adjust(QueueLoad(0, 30, 1), begun)
    assert scaler.last_target == 3
    await place.until(lambda slots: slots.slots == slots.free == 3, BACK)
    print(f"the third painter came after {time.monotonic() - begun:.1f} s")
    cuts: list[float] = []
    async with asyncio.TaskGroup() as group:
        clients = [group.create_task(insist(place, Batch(tasks(100)), cuts)) for _ in range(3)]
        await busy(place, 3)
        await scaler.adjust(QueueLoad(0, 0, 1), time.monotonic())
        assert scaler.last_target == 2
        await place.until(lambda slots: slots.slots == 2, BACK)
    assert (cuts, [task.result() for task in clients]) == ([], [1, 1, 1])
    await place.until(lambda slots: slots.slots == slots.free == 2, BACK)
    stranger = RayScaler(there.dashboard, f"{ROUTE}/Replica", rules, "wrong" * 10)
    await stranger.adjust(QueueLoad(0, 30, 1), time.monotonic())
    assert stranger.last_target is None


async def test_a_step_soon_arrives(place: Place) -> None:
    """Steps arrive one by one, not all at the end."""
    times = [time.monotonic() async for event in place.render(Batch(tasks(12))) if isinstance(event, StepDone)]
    gaps = sorted(later - earlier for earlier, later in pairwise(times))
    assert gaps[len(gaps) // 2] > 0.01
