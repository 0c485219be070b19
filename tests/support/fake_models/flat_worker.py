"""A real render worker with a model of one colour: `python -m tests.support.fake_models.flat_worker PORT`.

`FLAT_STEP_TIME` is a step's length in seconds, `FLAT_BATCH` the largest batch. `FLAT_LOG` names a file that gets a
line of JSON for each batch that is started, for each step, and for each picture that is made.
"""

import asyncio
import json
import os
import sys
import time
from threading import Event

from aiohttp import web
from PIL import Image

from bot.capabilities import ModelCapabilities
from render.image_model import Cancelled, EventCallback, Options
from render.models.image_files import encode_png
from render.protocol import Batch, Defaults, ImageDone, ImageTask, StepDone
from render.worker.server import WorkerServer

STEPS = 5
SIDE = 32  # pixels
STEP_TIME = float(os.environ.get("FLAT_STEP_TIME") or 0.03)  # seconds
LARGEST_BATCH = int(os.environ.get("FLAT_BATCH") or 4)
LOG = os.environ.get("FLAT_LOG")


class FlatModel:
    """Paints the colours that the seeds name, as many at once as it can, in a few slow steps."""

    model = "flat"
    revision = "1"
    capabilities = ModelCapabilities()
    defaults: Defaults | None = Defaults(SIDE, SIDE, STEPS)
    largest_batch = LARGEST_BATCH

    def render(self, batch: Batch, on_event: EventCallback, cancelled: Event) -> None:
        """Render the batch."""
        _note(tasks=[task.id for task in batch.tasks])
        pieces = [batch.tasks[i : i + self.largest_batch] for i in range(0, len(batch.tasks), self.largest_batch)]
        for number, tasks in enumerate(pieces):
            for step in range(STEPS):
                if cancelled.wait(STEP_TIME):
                    raise Cancelled
                fraction = (number * STEPS + step + 1) / (len(pieces) * STEPS)
                _note(fraction=fraction, of=[task.id for task in tasks])
                on_event(StepDone(fraction))
            for task in tasks:
                on_event(self._made(task))

    def _made(self, task: ImageTask) -> ImageDone:
        image = Image.new("RGB", (SIDE, SIDE), (task.seed % 256, task.seed // 256 % 256, task.seed // 65536 % 256))
        _note(made=task.id)
        return ImageDone(task.id, encode_png(image, {"Seed": str(task.seed)}), SIDE, SIDE, self.model)


def load_model(model: str, device: str, largest_batch: int | None, options: Options) -> FlatModel:
    """The same, for those who name a studio by its path; it paints one colour wherever it is."""
    return FlatModel()


def _note(**facts: object) -> None:
    if LOG:
        with open(LOG, "a", encoding="utf-8") as file:
            file.write(json.dumps({"t": time.time(), **facts}) + "\n")


async def serve(port: int) -> None:
    """Listen until killed."""
    runner = web.AppRunner(WorkerServer(FlatModel).app(), handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
    print("listening", "http://{}:{}".format(*runner.addresses[0]), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
