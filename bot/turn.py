"""One message in, one reply out: the whole program in one function.

The chat model's words stream into the reply; each picture is ordered the moment its tag closes, while the model is
still writing; progress and pictures appear among the words, in the order in which the model asked for them.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

from bot.domain import (
    Called,
    Delta,
    Failed,
    ImageRequest,
    ModelFailed,
    Operation,
    Picture,
    Rendered,
    RenderJob,
    Said,
    Stopped,
    Text,
)
from bot.ports import ChatModel, Renderer
from bot.reply import Ended, Event, Ordered, Progress
from bot.tags import TagParser

MOST_PICTURES = 8  # in one reply; what a model asks for beyond is left out


@dataclass(frozen=True, slots=True)
class Turn:
    """A message to be answered: what the model is told, and the pictures that it can speak of."""

    transcript: tuple[Said, ...]
    pictures: tuple[Picture, ...] = ()
    about: int | None = None


async def answer(
    turn: Turn,
    *,
    model: ChatModel,
    renderer: Renderer,
    order: Callable[[ImageRequest, int | None], RenderJob],
    happened: Callable[[Event], None],
) -> None:
    """Stream the model's words, start each picture as soon as it is asked for, tell all of it to `happened`.

    `order` records a request and the number of the picture that it starts from, before anything runs.
    """
    easel = Easel(turn, renderer, order, happened)
    async with aclosing(listen(model, turn)) as events, asyncio.TaskGroup() as renders:
        async for event in events:
            if not isinstance(event, ImageRequest):
                happened(event)
            elif event.key < MOST_PICTURES:
                job = easel.place(event)
                renders.create_task(easel.paint(event.key, job))
    happened(Ended())


async def listen(model: ChatModel, turn: Turn) -> AsyncGenerator[Text | ImageRequest | ModelFailed]:
    """The model's answer as words and requests, without any markup."""
    parser = TagParser()
    trouble: ModelFailed | None = None
    async with aclosing(model.listen(turn.transcript)) as heard:
        async for event in heard:
            match event:
                case Delta(text):
                    for said in parser.feed(text):
                        yield said
                case Called():
                    pass
                case Stopped(truncated):
                    trouble = ModelFailed("The chat model's answer was cut short.") if truncated else None
                case ModelFailed():
                    trouble = event
    for said in parser.end():
        yield said
    if trouble:
        yield trouble


class Easel:
    """The pictures of one reply: which one "it" is, and who waits for whom."""

    def __init__(
        self,
        turn: Turn,
        renderer: Renderer,
        order: Callable[[ImageRequest, int | None], RenderJob],
        happened: Callable[[Event], None],
    ) -> None:
        self._renderer = renderer
        self._order = order
        self._happened = happened
        self._pictures = {picture.number: _settled(picture) for picture in turn.pictures}
        self._it = turn.about or max(self._pictures, default=None)

    def place(self, request: ImageRequest) -> RenderJob | Picture | Failed:
        """Give the request its number and its place in the reply, and say what is to be done for it."""
        start = self._start(request)
        if start is not None and start not in self._pictures:
            self._happened(Ordered(request, 0))
            return Failed(f"There is no picture #{start} in this thread.")
        if start is None and request.operation is not Operation.GENERATE:
            if request.operation is not Operation.EDIT or not request.prompt:
                self._happened(Ordered(request, 0))
                return Failed("There is no picture in this thread yet.")
            request = replace(request, operation=Operation.GENERATE)
        if request.operation is Operation.SELECT and start is not None and self._pictures[start].done():
            picture = self._pictures[start].result()
            self._happened(Ordered(request, start))
            return picture or Failed(f"Picture #{start} did not come.")
        job = self._order(request, start)
        self._happened(Ordered(request, job.number, start))
        self._pictures[job.number] = asyncio.get_running_loop().create_future()
        self._it = job.number
        return job

    def _start(self, request: ImageRequest) -> int | None:
        if request.operation is Operation.GENERATE:
            return None
        return self._it if request.of is None else request.of

    async def paint(self, key: int, work: RenderJob | Picture | Failed) -> None:
        """See one picture through to its end."""
        match work:
            case Failed():
                self._happened(Progress(key, work))
            case Picture():
                self._happened(Progress(key, Rendered(work)))
            case RenderJob():
                outcome = await self._render(key, work)
                future = self._pictures[work.number]
                if not future.done():
                    future.set_result(outcome.picture if isinstance(outcome, Rendered) else None)

    async def _render(self, key: int, job: RenderJob) -> Rendered | Failed:
        if job.parent is not None:
            start = await self._pictures[job.parent]
            if start is None:
                failed = Failed(f"Picture #{job.parent} did not come, so there is nothing to start from.")
                self._happened(Progress(key, failed))
                return failed
            job = replace(job, source=start.digest, prompt=job.prompt or start.prompt)
        async with aclosing(self._renderer.render(job)) as updates:
            async for update in updates:
                self._happened(Progress(key, update))
                if isinstance(update, Rendered | Failed):
                    return update
        raise AssertionError("a renderer ends with Rendered or Failed")


def _settled(picture: Picture) -> "asyncio.Future[Picture | None]":
    future: asyncio.Future[Picture | None] = asyncio.get_running_loop().create_future()
    future.set_result(picture)
    return future
