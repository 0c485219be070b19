"""Measures the cost of a turn besides its chat model and its renderer: `python -m benchmarks.turn`.

A scripted model writes three image requests in its text at a fixed pace, and a test double of a worker takes a fixed
time for each image. The critical path is the time that remains if everything between them takes no time: the images are
rendered one after another, the first from the moment when its tag is complete. Everything between is real: stream
parser, reply, pacer, store, render queue, files.
"""

import asyncio
import logging
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from bot.capabilities import ModelCapabilities, RefineMode
from bot.conversation.dispatcher import Dispatcher, DispatcherOptions
from bot.domain import Message, Person, Picture, ThreadKey, View
from bot.llm.messages import ChatMessage, ModelEvent, ModelProfile, StreamEnd, TextDelta, Tool
from bot.ports import Inbox
from bot.storage.picture_files import PictureFiles
from bot.storage.store import Store
from render.protocol import Batch, ImageDone, Started, StepDone, WorkerEvent, WorkerReport
from render.queue.queue import RenderQueue

TURNS = 40
TOKEN = 0.01  # seconds
RENDER = 0.25  # seconds a picture
STEPS = 10
SCRIPT = ("Here ", "it ", "is: ", "<image>", "a red ", "circle", "</image>", " and ", "more ", "words ") * 3


class TimedModel:
    """Writes a chunk every TOKEN seconds, and records when each tag was complete."""

    def __init__(self) -> None:
        self.closed: list[float] = []
        self.ended = 0.0

    @property
    def profile(self) -> ModelProfile:
        """The default profile."""
        return ModelProfile()

    async def stream(self, history: Sequence[ChatMessage], tools: Sequence[Tool] = ()) -> AsyncGenerator[ModelEvent]:
        """Stream the script."""
        due = time.perf_counter()
        for chunk in SCRIPT:
            due += TOKEN
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            if chunk == "</image>":
                self.closed.append(time.perf_counter())
            yield TextDelta(chunk)
        self.ended = time.perf_counter()
        yield StreamEnd()


class TimedEngine:
    """Renders one image in RENDER seconds, and records when each request arrived."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.name = "paced"

    async def slots(self) -> WorkerReport:
        """Report that the slot is free."""
        return WorkerReport(1, 1, "paced", capabilities=ModelCapabilities())

    async def run(self, batch: Batch) -> AsyncGenerator[WorkerEvent]:
        """Report steps at an even pace, then the image."""
        due = time.perf_counter()
        self.asked.append(due)
        yield Started()
        for step in range(STEPS):
            due += RENDER / STEPS
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            yield StepDone((step + 1) / STEPS)
        yield ImageDone(batch.tasks[0].id, b"png" + batch.tasks[0].id.encode(), 256, 256, "paced")


class Stopwatch:
    """A platform that records when each final view arrives."""

    def __init__(self) -> None:
        self.final = asyncio.Event()
        self.at = 0.0

    async def run(self, inbox: Inbox) -> None:
        """Wait forever: no event comes from this platform."""
        await asyncio.Event().wait()

    pause = 0.1

    def surface(self, thread: ThreadKey, message_id: str) -> "Stopwatch":
        """Return the platform itself."""
        return self

    async def put(self, view: View) -> None:
        """Record the time of a final view."""
        if view.final:
            self.at = time.perf_counter()
            self.final.set()


class NoAlbum:
    """A picture folder that is never used: nothing is uploaded or read."""

    async def add_upload(self, upload: bytes) -> Picture:
        """Never called."""
        raise AssertionError

    async def delete(self, digest: str) -> None:
        """Never called."""
        raise AssertionError

    async def read_thumbnail(self, digest: str) -> bytes:
        """Never called."""
        raise AssertionError


async def measure(folder: Path) -> None:
    """Run the turns one after another, and print the ratios."""
    store = Store(folder / "bench.sqlite")
    model, engine, screen = TimedModel(), TimedEngine(), Stopwatch()
    line = RenderQueue(store.jobs, PictureFiles(folder / "pictures"), [engine])
    inbox = Dispatcher(store, model, line, NoAlbum(), DispatcherOptions(refining=RefineMode.OFF))
    tasks = [asyncio.create_task(line.run()), asyncio.create_task(inbox.run({"bench": screen}))]
    await asyncio.sleep(0)
    ratios, delays = [], []
    for turn in range(TURNS):
        screen.final.clear()
        model.closed, engine.asked = [], []
        thread = ThreadKey("bench", "s", "c", str(turn))
        began = time.perf_counter()
        await inbox.accept(Message(f"m{turn}", thread, Person("p", "P"), "draw"))
        await screen.final.wait()
        free, critical = 0.0, 0.0
        for closed, asked in zip(model.closed, engine.asked, strict=True):
            ready = max(closed, free)  # the tag is complete, and the picture before is done
            delays.append(asked - ready)
            free = asked + RENDER
            critical = max(closed, critical) + RENDER
        ratios.append((screen.at - began) / (max(critical, model.ended) - began))
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    delays.sort()
    print(f"{TURNS} turns of {len(SCRIPT)} chunks and {len(delays) // TURNS} pictures of {RENDER:.2f} s")
    print("end to end / critical path of model + render   "
          f"median {statistics.median(ratios):.3f}   worst {max(ratios):.3f}   (goal: at most 1.05)")  # fmt: skip
    print("a tag's last character to the start of its job "
          f"p50 {delays[len(delays) // 2] * 1000:.1f} ms   p99 {delays[int(len(delays) * 0.99)] * 1000:.1f} ms"
          "   (goal: p99 under 20 ms)")  # fmt: skip


def main() -> None:
    """Measure in a temporary folder."""
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder)))


if __name__ == "__main__":
    main()
