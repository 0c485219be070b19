"""Measures the render queue: `python -m benchmarks.queue`.

Accepting and dispatching are measured on the table alone, on a disk that is flushed at every commit; the baseline is
the least that a durable queue can do, one row per commit, measured right before each figure. Messages are accepted as
the dispatcher does it: one after another, or those of 32 users at once, each of whom writes again when the last message
is recorded. Batches are claimed as the render queue does it, for all slots that are free, and their images recorded as
they arrive; a single slot waits for two flushes per batch, which no device notices, so it has no goal. A decision is
measured with 20,000 waiting jobs; its baseline is a queue that takes the first job. Gaps and latencies are measured
with a worker that renders in next to no time: a worker process on this machine, or with `--ray` two replicas of a Ray
cluster that is started for the benchmark (`make ray-test` installs what that needs).
"""

import argparse
import asyncio
import json
import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bot.domain import ImageRequest, Message, Operation, Person, Picture, Rendering, RenderJob, Sampling, ThreadKey
from bot.formatting import format_count
from bot.storage.picture_files import PictureFiles
from bot.storage.store import Store
from render.queue.queue import RenderQueue
from render.queue.scheduler import BatchKey, Schedule, ScheduledJob, Slot
from render.worker.client import WorkerEngine
from tests.e2e.ray.cluster import cluster, ready

JOBS = 2000
WAITING = 20_000
BATCHES = 60
PEOPLE = [Person(f"p{n}", f"Person {n}") for n in range(32)]
PICTURE = Picture(
    1,
    "0" * 64,
    256,
    256,
    "a sun",
    ImageRequest(0, Operation.GENERATE, "a sun", sampling=Sampling(seed=1)),
    model="flat",
)


@dataclass(frozen=True, slots=True)
class BenchmarkWorkers:
    """The address of the workers that render, and their number of slots."""

    name: str
    url: str
    token: str | None = None
    slots: int = 1


def rate(count: int, work: Callable[[], object]) -> float:
    """Do the work and return the count per second."""
    began = time.perf_counter()
    work()
    return count / (time.perf_counter() - began)


async def rate_of(count: int, work: Awaitable[object]) -> float:
    """Await the work and return the count per second."""
    began = time.perf_counter()
    await work
    return count / (time.perf_counter() - began)


def commits(folder: Path, name: str) -> float:
    """Measure the baseline: rows per second, each flushed to the disk."""
    db = sqlite3.connect(folder / name, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE rows (id TEXT PRIMARY KEY, words TEXT)")

    def insert() -> None:
        for n in range(JOBS):
            db.execute("INSERT INTO rows VALUES (?, ?)", [str(n), "a sun"])

    speed = rate(JOBS, insert)
    db.close()
    return speed


async def record_messages(store: Store, name: str, pictures: int, people: int) -> None:
    """Record JOBS jobs, `pictures` per message; each message in one transaction with its reply and its jobs."""
    requests = [ImageRequest(key, Operation.GENERATE, "a sun") for key in range(pictures)]
    numbers = iter(range(JOBS // pictures))

    async def write(person: Person) -> None:
        for n in numbers:
            thread = ThreadKey("bench", f"server{n % 10}", "c", f"{name}{n % 100}")
            message = Message(f"{name}{n}", thread, person, "draw a sun")
            await store.group_commit.write(partial(store.accept, message, raw_answer="", requests=requests))

    await asyncio.gather(*map(write, PEOPLE[:people]))


def recorded_jobs(name: str, pictures: int) -> list[RenderJob]:
    """Return the jobs that were recorded under this name."""
    ids = [f"{name}{n}.{key}" for n in range(JOBS // pictures) for key in range(pictures)]
    thread = ThreadKey("bench", "server0", "c", f"{name}0")
    return [
        RenderJob(each, thread, number, "p0", ImageRequest(0, Operation.GENERATE, "a sun", sampling=Sampling(seed=1)))
        for number, each in enumerate(ids, 1)
    ]


async def dispatch(store: Store, jobs: Sequence[RenderJob], size: int, slots: int) -> None:
    """Claim the jobs in batches of `size` for `slots` slots that are free at once, and record their images."""
    for first in range(0, len(jobs), size * slots):
        attempts: dict[str, int] = {}
        with store.jobs.transaction():
            for start in range(first, min(first + size * slots, len(jobs)), size):
                attempts |= store.jobs.claim(str(start), {job.id: 1.0 for job in jobs[start : start + size]})
        running = [replace(job, attempt=attempts[job.id]) for job in jobs[first : first + size * slots]]
        assert all(await asyncio.gather(*(store.jobs.complete(job, PICTURE) for job in running)))


def time_decisions() -> tuple[list[float], list[float]]:
    """Time decisions with WAITING jobs of 2,000 users on 100 servers, and taking the first of a queue, in seconds."""
    rng, schedule = random.Random(1), Schedule()
    line: deque[ScheduledJob] = deque()
    for n in range(WAITING):
        person = n % 2000
        server = f"s{person % 100}"
        kind = BatchKey(Sampling(num_inference_steps=rng.choice((8, 20, 30))))
        job = ScheduledJob(
            str(n), server, f"{server}/c{person % 7}", f"p{person}", kind, rng.choice((1.0, 8.0)), float(n)
        )
        schedule.add(job)
        line.append(job)
    ours, bare = [], []
    for _ in range(500):
        began = time.perf_counter()
        batch = schedule.next_batch(Slot(capacity=8), 1e6)
        ours.append(time.perf_counter() - began)
        assert isinstance(batch, tuple)
        schedule.mark_ended(batch)
        began = time.perf_counter()
        line.popleft()
        bare.append(time.perf_counter() - began)
    return ours, bare


@asynccontextmanager
async def local_worker(log: Path) -> AsyncIterator[BenchmarkWorkers]:
    """Start a worker process with a model that takes next to no time."""
    more = {"FLAT_STEP_TIME": "0.01", "FLAT_BATCH": "1", "FLAT_LOG": str(log)}
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.fake_models.flat_worker", "0", stdout=PIPE, env=os.environ | more
    )
    assert worker.stdout
    try:
        yield BenchmarkWorkers("one local worker", (await worker.stdout.readline()).split()[-1].decode())
    finally:
        worker.terminate()
        await worker.wait()


@asynccontextmanager
async def ray_replicas(log: Path) -> AsyncIterator[BenchmarkWorkers]:
    """Start two replicas of a Ray cluster with the same model."""
    with cluster(
        image_model="tests.support.fake_models.flat_worker:load_model",
        FLAT_STEP_TIME="0.01",
        FLAT_BATCH="1",
        FLAT_LOG=str(log),
    ) as there:
        place = await ready(there)
        await place.session.close()
        yield BenchmarkWorkers("two painters of Ray Serve", place.url, there.token, 2)


async def run_batches(folder: Path, workers: BenchmarkWorkers) -> dict[str, dict[float, float]]:
    """Send BATCHES jobs through the render queue one by one; return when the bot received each progress update."""
    store = Store(folder / "through.sqlite")
    messages = [Message(f"t{n}", ThreadKey("b", "s", "c", f"t{n}"), PEOPLE[n % 6], "draw") for n in range(BATCHES)]
    request = ImageRequest(0, Operation.GENERATE, "a sun")
    for message in messages:
        store.accept(message, raw_answer="", requests=[request])
    jobs = [store.jobs.order(message.id, request, None) for message in messages]
    engine = WorkerEngine(workers.name, partial(str, workers.url), workers.token)
    line = RenderQueue(store.jobs, PictureFiles(folder / "pictures"), [engine])
    serving = asyncio.create_task(line.run())
    received: dict[str, dict[float, float]] = {job.id: {} for job in jobs}

    async def follow(job: RenderJob) -> None:
        async with aclosing(line.render(job)) as updates:
            async for update in updates:
                if isinstance(update, Rendering):
                    received[job.id][update.fraction] = time.time()

    await line.capabilities_ready.wait()
    await asyncio.gather(*map(follow, jobs))
    serving.cancel()
    await asyncio.wait({serving})
    await engine.close()
    store.close()
    return received


def gaps_and_delays(log: Path, updates: dict[str, dict[float, float]], slots: int) -> tuple[list[float], list[float]]:
    """Return the idle seconds of a slot between two batches, and the seconds from a step to its update in the bot.

    Not every step is included: through Ray, steps are reported at most ten times a second, as nobody looks more often.
    """
    logged = [json.loads(line) for line in log.read_text().splitlines()]
    starts = [each["t"] for each in logged if "tasks" in each]
    ends = [each["t"] for each in logged if "made" in each]
    steps = {(job, each["fraction"]): each["t"] for each in logged for job in each.get("of", ())}
    delays = [after - steps[job, fraction] for job, times in updates.items() for fraction, after in times.items()]
    return [start - end for end, start in zip(ends, starts[slots:], strict=False)], delays


def quantile_ms(values: Sequence[float], quantile: float) -> float:
    """Return this quantile of the values in seconds, in milliseconds."""
    return 1000 * sorted(values)[min(len(values) - 1, int(quantile * len(values)))]


async def speeds(folder: Path) -> list[tuple[str, float, float, str]]:
    """Return rows of: what is measured, its rate per second, the rate of bare commits at that time, and the goal."""
    store, rows = Store(folder / "table.sqlite"), []
    for name, pictures, people in (("one", 1, 1), ("crowd", 1, len(PEOPLE)), ("four", 4, len(PEOPLE))):
        bare = commits(folder, f"{name}.sqlite")
        speed = await rate_of(JOBS, record_messages(store, name, pictures, people))
        what = f"accept, {pictures} a message, {people} at once"
        rows.append((what, speed, bare, "3,000 jobs/s" if people > 1 else ""))
    for name, size, slots in (("one", 1, 1), ("crowd", 1, 8), ("four", 4, 1)):
        bare = commits(folder, f"batches-{name}.sqlite")
        speed = await rate_of(JOBS, dispatch(store, recorded_jobs(name, size), size, slots))
        what = f"dispatch, batches of {size} on {format_count(slots, 'slot')}"
        rows.append((what, speed, bare, "1,500 jobs/s" if size * slots > 1 else ""))
    store.close()
    return rows


async def main() -> None:
    """Measure, and print one table."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.queue", description=__doc__)
    options.add_argument("--ray", action="store_true", help="two painters of a Ray cluster instead of a worker")
    there = ray_replicas if options.parse_args().ray else local_worker
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = await speeds(folder)
        ours, first = time_decisions()
        async with there(folder / "log") as workers:
            received = await run_batches(folder, workers)
        gaps, delays = gaps_and_delays(folder / "log", received, workers.slots)
    table = Table(title=f"the line, {workers.name}", title_justify="left")
    for column in ("what", "measured", "against the baseline", "goal"):
        table.add_column(column)
    for what, speed, bare, goal in rows:
        table.add_row(what, f"{speed:,.0f} jobs/s", f"{speed / bare:.2f} of {bare:,.0f} bare commits/s", goal)
    decision = f"p50 {quantile_ms(ours, 0.5):.2f}   p99 {quantile_ms(ours, 0.99):.2f} ms"
    ratio = f"{statistics.median(ours) / statistics.median(first):,.0f} x taking the first of a queue"
    table.add_row(f"decision, {WAITING:,} waiting", decision, ratio, "1 ms")
    table.add_row(
        "idle gap of a slot",
        f"p50 {quantile_ms(gaps, 0.5):.1f}   p95 {quantile_ms(gaps, 0.95):.1f} ms",
        "",
        "p50 15 ms",
    )
    table.add_row(
        "progress", f"p50 {quantile_ms(delays, 0.5):.1f}   p99 {quantile_ms(delays, 0.99):.1f} ms", "", "p99 100 ms"
    )
    Console().print(table)


if __name__ == "__main__":
    asyncio.run(main())
