"""A studio that is held from another process: its steps wait to be let through, and its prompts can be its end."""

import os
import signal
import struct
import threading
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.synchronize import Event, Semaphore

from bot.capabilities import ModelCapabilities
from render.image_model import Cancelled, EventCallback, ImageModel
from render.protocol import BATCH, Batch, Defaults, ImageDone, ImageTask, Preview, StepDone, WorkerReport

PREVIEW = b"\xff\xd8"
SPAWN = get_context("spawn")
HEADER = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 8, 8)
FILLER = bytes(range(256)) * 4000  # a line of more than a megabyte
LARGEST_BATCH = 4
READY = WorkerReport(
    1, 1, "flat", "1", capabilities=ModelCapabilities(), defaults=Defaults(8, 8, 2), largest_batch=LARGEST_BATCH
)


class OutOfMemoryError(RuntimeError):
    """Bears the name of torch's."""


def picture(task: ImageTask) -> ImageDone:
    """What is made of a task: something that tells of all of it but its name."""
    return ImageDone(task.id, HEADER + FILLER + BATCH.dump_json(Batch([replace(task, id="")])), 8, 8, "flat")


@dataclass
class GatedModel:
    """Draws all pictures in two steps. Each waits for the `gate`, if there is one; `left` tells of a cancelled batch.

    It knows the prompts `hang`, `die`, `too much`, and `long`, whose second step ends when the batch is cancelled.
    """

    gate: Semaphore | None = None
    left: Event | None = None
    fault: Exception | None = None
    model: str = "flat"
    revision: str = "1"
    capabilities: ModelCapabilities = READY.capabilities or ModelCapabilities()
    defaults: Defaults | None = READY.defaults
    largest_batch: int = LARGEST_BATCH

    def render(self, batch: Batch, on_event: EventCallback, cancelled: threading.Event) -> None:
        """Two steps, then every picture."""
        match batch.tasks[0].prompt:
            case "hang":
                threading.Event().wait()
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "too much":
                self.largest_batch -= 1
        for step in (1, 2):
            assert not self.gate or self.gate.acquire(timeout=20)
            if step == 2 and batch.tasks[0].prompt == "long":
                assert cancelled.wait(20)
            if cancelled.is_set():
                if self.left:
                    self.left.set()
                raise Cancelled
            on_event(StepDone(step / 2))
            on_event(Preview(batch.tasks[0].id, PREVIEW))
            if self.fault:
                raise self.fault
        for task in batch.tasks:
            on_event(picture(task))


def load_when(go: Event) -> ImageModel:
    """A model that is loaded when it is let."""
    assert go.wait(20)
    return GatedModel()


def load_nothing() -> ImageModel:
    """A model that is not there."""
    raise FileNotFoundError("/srv/secret/model")


def load_or_die(go: Event) -> ImageModel:
    """A model that takes its process down, until it is let."""
    if not go.is_set():
        os.kill(os.getpid(), signal.SIGKILL)
    return GatedModel()
