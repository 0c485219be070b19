"""The images-API engine before the double, and what comes of what it is given."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from bot.domain import Operation
from render.images_api.engine import HostedEngine
from render.protocol import Batch, Made, Spoilt, Task, WorkerEvent
from render.worker.client import EngineLost
from tests.support.images import png
from tests.support.images_server import ImagesDouble, images_server

KEY = "sk-hunter2"
PROMPT = "a lighthouse at dusk"


def draw(prompt: str = PROMPT, name: str = "a", **more: Any) -> Task:
    """A picture from words."""
    return Task(name, Operation.GENERATE, prompt, 7, **more)


def change(prompt: str = "make the sky green", operation: Operation = Operation.EDIT, **more: Any) -> Task:
    """A picture from a picture."""
    return Task("a", operation, prompt, 7, source=png("red", 64), **more)


@asynccontextmanager
async def engine(
    double: ImagesDouble, model: str = "flat", at_once: int = 4, key: str | None = KEY
) -> AsyncGenerator[HostedEngine]:
    """The engine before the double."""
    async with images_server(double):
        there = HostedEngine(model, double.url, key, at_once=at_once)
        try:
            yield there
        finally:
            await there.close()


async def heard(there: HostedEngine, *tasks: Task) -> list[WorkerEvent]:
    """All that is told of a batch."""
    async with aclosing(there.run(Batch(list(tasks)))) as events:
        return [event async for event in events]


async def drawn(there: HostedEngine, task: Task) -> Made:
    """The one picture."""
    last = (await heard(there, task))[-1]
    assert isinstance(last, Made), last
    return last


async def refused(there: HostedEngine, task: Task | None = None) -> str:
    """Why the one picture does not come."""
    last = (await heard(there, task or draw()))[-1]
    assert isinstance(last, Spoilt), last
    return last.reason


async def lost(there: HostedEngine, *tasks: Task) -> tuple[list[WorkerEvent], EngineLost]:
    """What was told of a batch before it was lost."""
    events: list[WorkerEvent] = []
    with pytest.raises(EngineLost) as caught:
        async with aclosing(there.run(Batch(list(tasks) or [draw()]))) as told:
            async for event in told:
                events.append(event)
    return events, caught.value
