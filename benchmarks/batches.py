"""Measures the gain of batching on the CPU of this machine: `python -m benchmarks.batches`.

The built-in model renders eight images one by one and as one batch, in turns: first within a process like that of a
worker, then for eight users who wait in the render queue before a worker, one worker with batches of one and one with
batches of eight.
"""

import asyncio
import io
import json
import os
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from threading import Event

import numpy as np
from PIL import Image

from bot.domain import ImageRequest, Message, Operation, Person, Rendered, RenderUpdate, Sampling, ThreadKey
from bot.storage.picture_files import PictureFiles
from bot.storage.store import Store
from render.image_model import ImageModel
from render.protocol import Batch, ImageDone, ImageTask, WorkerEvent
from render.queue.queue import RenderQueue
from render.worker.client import WorkerEngine
from render.worker.device import DEVICE_ENVIRONMENT

REPEATS = 5
PROMPTS = (
    "a red circle",
    "two blue cats on a white background",
    "a small star at the top left",
    "three pink hearts on a navy background",
    "a green tree and a yellow sun",
    "a big orange fish",
    "a house at the bottom right",
    "five purple squares",
)
TASKS = [
    ImageTask(f"{seed}", Operation.GENERATE, prompt, sampling=Sampling(seed=seed))
    for seed, prompt in enumerate(PROMPTS)
]


def main() -> None:
    """Measure in a process whose libraries are loaded as a worker loads them."""
    os.environ.update(DEVICE_ENVIRONMENT | os.environ)
    process = get_context("spawn").Process(target=measure_pipeline)
    process.start()
    process.join()
    asyncio.run(measure_queue())


def measure_pipeline() -> None:
    """Print the medians, their ratio, and how much an image depends on the other images of its batch."""
    from render.diffusion.diffusers_model import DiffusersModel as Diffusion

    loaded_model = Diffusion("builtin", "cpu")
    render_batch(loaded_model, TASKS)  # warm
    singly: list[float] = []
    together: list[float] = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        alone = {name: png for task in TASKS for name, png in render_batch(loaded_model, [task]).items()}
        singly.append(time.perf_counter() - began)
        began = time.perf_counter()
        batch = render_batch(loaded_model, TASKS)
        together.append(time.perf_counter() - began)
    one, all_at_once = statistics.median(singly), statistics.median(together)
    largest = max(difference(alone[task.id], batch[task.id]) for task in TASKS)
    print(f"{len(TASKS)} batches of one  {one:.2f} s  {', '.join(f'{time:.2f}' for time in singly)}")
    print(f"one batch of {len(TASKS)}    {all_at_once:.2f} s  {', '.join(f'{time:.2f}' for time in together)}")
    print(f"ratio {all_at_once / one:.2f}; pixels differ by at most {largest} of 255")


async def measure_queue() -> None:
    """Measure the same for eight users at once, from their messages to their images."""
    singly: list[float] = []
    together: list[float] = []
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(simulated_users(1))
        many = await stack.enter_async_context(simulated_users(len(TASKS)))
        for turn in range(REPEATS + 1):
            for people, times in ((one, singly), (many, together)):
                began = time.perf_counter()
                await people.request_all(turn)
                times.append(time.perf_counter() - began)
    one_by_one, all_at_once = (statistics.median(times[1:]) for times in (singly, together))  # the first is to get warm
    print(f"{len(TASKS)} people, singly   {one_by_one:.2f} s  {', '.join(f'{each:.2f}' for each in singly[1:])}")
    print(f"{len(TASKS)} people, a batch  {all_at_once:.2f} s  {', '.join(f'{each:.2f}' for each in together[1:])}")
    print(f"ratio {all_at_once / one_by_one:.2f}   (goal: under 0.6)")


class SimulatedUsers:
    """Eight users whose jobs wait in the render queue before one worker."""

    def __init__(self, store: Store, queue: RenderQueue) -> None:
        self._store = store
        self._queue = queue

    async def request_all(self, turn: int) -> None:
        """Request an image for every user, and wait for all of them."""
        await asyncio.gather(*(self.request_image(f"{turn}-{nth}", nth, prompt) for nth, prompt in enumerate(PROMPTS)))

    async def request_image(self, name: str, nth: int, prompt: str) -> None:
        """Request an image for one user, and wait for it."""
        request = ImageRequest(0, Operation.GENERATE, prompt)
        message = Message(name, ThreadKey("bench", "s", "c", name), Person(f"p{nth}", "Ann"), prompt)
        self._store.accept(message, raw_answer="", requests=[request])
        last: RenderUpdate | None = None
        async with aclosing(self._queue.render(self._store.jobs.order(name, request, None))) as updates:
            async for update in updates:
                last = update
        assert isinstance(last, Rendered), last


@asynccontextmanager
async def simulated_users(largest_batch: int) -> AsyncIterator[SimulatedUsers]:
    """The users, their render queue, and a worker with the built-in model and an empty cache."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = {"RENDER_BATCH": str(largest_batch), "RENDER_CACHE": name + "/cache", "LOG_LEVEL": "WARNING"}
        command = [sys.executable, "-m", "render", "--listen", "127.0.0.1:0", "--model", "builtin", "--device", "cpu"]
        worker = await asyncio.create_subprocess_exec(*command, stdout=PIPE, env=os.environ | settings)
        assert worker.stdout
        url = str(json.loads(await worker.stdout.readline())["listening"])
        store = Store(folder / "bench.sqlite")
        engine = WorkerEngine("worker", partial(str, url), os.environ.get("RENDER_TOKEN"))
        line = RenderQueue(store.jobs, PictureFiles(folder / "pictures"), [engine])
        serving = asyncio.create_task(line.run())
        try:
            await line.capabilities_ready.wait()
            yield SimulatedUsers(store, line)
        finally:
            serving.cancel()
            await asyncio.wait({serving})
            await engine.close()
            store.close()
            worker.terminate()
            await worker.wait()


def render_batch(model: ImageModel, tasks: list[ImageTask]) -> dict[str, bytes]:
    """Render a batch and return the PNG files by task id."""
    events: list[WorkerEvent] = []
    model.render(Batch(tasks), events.append, Event())
    return {event.task: event.png for event in events if isinstance(event, ImageDone)}


def difference(one: bytes, other: bytes) -> int:
    """The largest difference of a channel of a pixel, 0 to 255."""
    pixels = [np.asarray(Image.open(io.BytesIO(png)), np.int16) for png in (one, other)]
    return int(np.abs(pixels[0] - pixels[1]).max())


if __name__ == "__main__":
    main()
