"""The images-API engine before the double, and what comes of what it is given."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from bot.domain import Operation
from render.images_api.engine import ImagesApiEngine
from render.protocol import Batch, ImageDone, ImageFailed, ImageTask, WorkerEvent
from render.worker.client import EngineLost
from tests.support.images import image_task, png
from tests.support.images_server import ImagesDouble, images_server

KEY = "sk-hunter2"
PROMPT = "a lighthouse at dusk"


def draw(prompt: str = PROMPT, name: str = "a", **more: Any) -> ImageTask:
    """A picture from words."""
    return image_task(name, Operation.GENERATE, prompt, **{"seed": 7} | more)


def change(prompt: str = "make the sky green", operation: Operation = Operation.EDIT, **more: Any) -> ImageTask:
    """A picture from a picture."""
    return image_task("a", operation, prompt, source=png("red", 64), **{"seed": 7} | more)


@asynccontextmanager
async def engine(
    double: ImagesDouble, model: str = "flat", at_once: int = 4, key: str | None = KEY
) -> AsyncGenerator[ImagesApiEngine]:
    """The engine before the double."""
    async with images_server(double):
        there = ImagesApiEngine(model, double.url, key, max_concurrent=at_once)
        try:
            yield there
        finally:
            await there.close()


async def received(there: ImagesApiEngine, *tasks: ImageTask) -> list[WorkerEvent]:
    """All that is told of a batch."""
    async with aclosing(there.run(Batch(list(tasks)))) as events:
        return [event async for event in events]


async def drawn(there: ImagesApiEngine, task: ImageTask) -> ImageDone:
    """The one picture."""
    last = (await received(there, task))[-1]
    assert isinstance(last, ImageDone), last
    return last


async def refused(there: ImagesApiEngine, task: ImageTask | None = None) -> str:
    """Why the one picture does not come."""
    last = (await received(there, task or draw()))[-1]
    assert isinstance(last, ImageFailed), last
    return str(last.reason)


async def lost(there: ImagesApiEngine, *tasks: ImageTask) -> tuple[list[WorkerEvent], EngineLost]:
    """What was told of a batch before it was lost."""
    events: list[WorkerEvent] = []
    with pytest.raises(EngineLost) as caught:
        async with aclosing(there.run(Batch(list(tasks) or [draw()]))) as stream:
            async for event in stream:
                events.append(event)
    return events, caught.value
