"""A render worker with a model of one colour: `python -m tests.flat_worker PORT`. Everything but the model is real."""

import asyncio
import sys
import time
from collections.abc import Callable
from threading import Event

from aiohttp import web
from PIL import Image

from bot.domain import Abilities
from render.pictures import encode
from render.wire import Batch, Made, Step, WorkerEvent
from render.worker import Cancelled, Worker

STEPS = 5
STEP_TIME = 0.03  # seconds


class FlatStudio:
    """Paints the colour that the seed names, in a few slow steps."""

    model = "flat"
    abilities = Abilities()

    def paint(self, batch: Batch, tell: Callable[[WorkerEvent], None], cancelled: Event) -> None:
        """Render the batch."""
        for task in batch.tasks:
            for step in range(STEPS):
                if cancelled.wait(STEP_TIME):
                    raise Cancelled
                tell(Step((step + 1) / STEPS))
            image = Image.new("RGB", (32, 32), (task.seed % 256, task.seed // 256 % 256, task.seed // 65536 % 256))
            tell(Made(task.id, encode(image, {"Seed": str(task.seed)}), 32, 32, self.model))


async def serve(port: int) -> None:
    """Listen until killed."""
    runner = web.AppRunner(Worker(FlatStudio).app(), handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
    print("listening", time.time(), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
