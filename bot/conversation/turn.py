"""One turn: from a message to the events of its reply, in one function.

The text of the chat model streams into the reply. An image is ordered as soon as its tag closes, while the model is
still writing. Progress and images appear between the text, in the order in which the model requested them.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

from bot.conversation.reply import Ended, Event, Ordered, Progress
from bot.conversation.source_picture import route
from bot.domain import Failed, ImageRequest, Operation, Picture, Recanted, Rendered, RenderJob, Text
from bot.errors import Refused
from bot.llm.messages import Called, Delta, ModelFailed, Role, Said, Stopped, Tool
from bot.parsing.fallback import OPENLY, forgot, own_wish
from bot.parsing.intent import Context
from bot.parsing.stream_parser import TagParser
from bot.ports import ChatModel, Renderer

CUT_SHORT = ModelFailed("The chat model's answer was cut short.")


@dataclass(frozen=True, slots=True)
class Turn:
    """The input of a turn: the history that the chat model receives, and the images that it can refer to.

    `about` is the number of the image that the message refers to, `region` the marked part of it that alone changes.
    `text` is the message of the user, `names` are the users of the thread. The model receives `reminder` if it forgot
    the image that was asked for; if that is empty, there is no reminder. `fixed_requests` replace the call of the
    model. `deleted` are the numbers of deleted images.
    """

    transcript: tuple[Said, ...]
    pictures: tuple[Picture, ...] = ()
    about: int | None = None
    text: str = ""
    names: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    reminder: str = ""
    settled: tuple[ImageRequest, ...] = ()
    deleted: tuple[int, ...] = ()
    part: str = ""

    @property
    def newest(self) -> int | None:
        """The number of the image that a request without a number refers to; None if there is no image."""
        return self.about or max((picture.number for picture in self.pictures), default=None)

    def context(self, thinks_first: bool = False) -> Context:
        """The context in which the answer of the model is parsed."""
        highest = max((picture.number for picture in self.pictures), default=0)
        return Context(self.text, highest, self.names, thinks_first)


async def answer(
    turn: Turn,
    *,
    model: ChatModel,
    renderer: Renderer,
    order: Callable[[ImageRequest, int | None], RenderJob],
    refine: Callable[[RenderJob], Awaitable[RenderJob]],
    happened: Callable[[Event], None],
    outcome: Callable[[RenderJob], Rendered | Failed | None] = lambda job: None,
    still: Callable[[int], bool] = lambda number: True,
    describe: Callable[[Picture], Awaitable[Picture]] | None = None,
) -> None:
    """Run a turn: stream the text of the model, start every image at its request, pass all events to `on_event`.

    `order` records a request with the number of its source image, before anything runs; `refine` prepares the prompt
    for the image model. Both may raise Refused. `find_outcome` returns how a known job ended, or None; `is_available`
    says whether the image with a number is finished and not deleted. `describe` adds an alternative text.
    """
    easel = Easel(
        turn,
        renderer=renderer,
        order=order,
        refine=refine,
        happened=happened,
        outcome=outcome,
        still=still,
        describe=describe or _as_it_is,
    )
    async with asyncio.TaskGroup() as renders, aclosing(converse(model, turn)) as events:
        async for event in events:
            match event:
                case ImageRequest():
                    work = easel.place(event)
                    easel.under_way.append(renders.create_task(easel.paint(event.key, work)))
                case Recanted():
                    easel.clear()
                    happened(event)
                case _:
                    happened(event)
    happened(Ended())


async def converse(model: ChatModel, turn: Turn) -> AsyncGenerator[Text | ImageRequest | Recanted | ModelFailed]:
    """Stream the fixed requests, or else the answer of the model; if it forgot the image, remind the model once."""
    said, asked, trouble = "", False, None
    for request in turn.settled:
        yield request
    if turn.settled:
        return
    async with aclosing(listen(model, turn)) as events:
        async for event in events:
            match event:
                case ModelFailed():
                    trouble = event
                    continue
                case Text(markdown):
                    said += markdown
                case ImageRequest():
                    asked = True
                case Recanted():
                    said, asked = "", False
            yield event
    if turn.reminder and not asked and trouble in (None, CUT_SHORT) and forgot(turn.context(), said):
        async with aclosing(remind(model, turn, said)) as repaired:
            async for event in repaired:
                yield event
    elif trouble:
        yield trouble


async def remind(model: ChatModel, turn: Turn, said: str) -> AsyncGenerator[Text | ImageRequest]:
    """Ask the model again, for the image only; without a request, draw the user's own words and say so."""
    reminder = (Said(Role.ASSISTANT, said.strip() or "…"), Said(Role.USER, turn.reminder))
    requests: list[ImageRequest] = []
    async with aclosing(listen(model, replace(turn, transcript=(*turn.transcript, *reminder)))) as events:
        async for event in events:
            match event:
                case ImageRequest():
                    requests.append(event)
                case Recanted():
                    requests.clear()
    if not requests:
        yield Text(f"\n\n{OPENLY}\n\n")
        newest = next((picture for picture in turn.pictures if picture.number == turn.newest), None)
        requests.append(own_wish(turn.text, newest))
    for request in requests:
        yield request


async def listen(model: ChatModel, turn: Turn) -> AsyncGenerator[Text | ImageRequest | Recanted | ModelFailed]:
    """Stream the answer as text and image requests without markup, from tags and from tool calls."""
    parser = TagParser(turn.context(model.manners.thinks_first))
    trouble: ModelFailed | None = None
    async with aclosing(model.listen(turn.transcript, turn.tools)) as heard:
        async for event in heard:
            match event:
                case Delta(text):
                    for said in parser.feed(text):
                        yield said
                case Called(name, arguments):
                    for said in parser.call(name, arguments):
                        yield said
                case Stopped(truncated):
                    trouble = CUT_SHORT if truncated else None
                case ModelFailed():
                    trouble = event
    for said in parser.end():
        yield said
    if trouble:
        yield trouble


class Easel:
    """The images of one reply: the current image ("it"), and the jobs that wait for their source image."""

    def __init__(
        self,
        turn: Turn,
        *,
        renderer: Renderer,
        order: Callable[[ImageRequest, int | None], RenderJob],
        refine: Callable[[RenderJob], Awaitable[RenderJob]],
        happened: Callable[[Event], None],
        outcome: Callable[[RenderJob], Rendered | Failed | None],
        still: Callable[[int], bool],
        describe: Callable[[Picture], Awaitable[Picture]],
    ) -> None:
        self._outcome = outcome
        self._still = still
        self._describe = describe
        self._turn = turn
        self._renderer = renderer
        self._order = order
        self._refine = refine
        self._happened = happened
        self.under_way: list[asyncio.Task[None]] = []
        self.clear()

    def clear(self) -> None:
        """Cancel all images of the reply: the model retracted its answer so far."""
        for task in self.under_way:
            task.cancel()
        self.under_way.clear()
        self._pictures = {picture.number: _settled(picture) for picture in self._turn.pictures}
        self._pictures |= {number: _settled(None) for number in self._turn.deleted}
        self._it = self._turn.newest

    def place(self, request: ImageRequest) -> RenderJob | Picture | Failed:
        """Order an image and show it as queued. Returns a job to render, the picture of a selection, or the failure."""
        routed = route(request, self._pictures, self._it, self._turn.text)
        if isinstance(routed, Failed):
            self._happened(Ordered(request, 0))
            return routed
        request, start = routed.request, routed.start
        if self._turn.part and start == self._turn.about and request.operation in (Operation.EDIT, Operation.VARY):
            request = replace(request, part=self._turn.part)
        if request.operation is Operation.SELECT and start is not None and self._pictures[start].done():
            picture = self._pictures[start].result()
            self._happened(Ordered(request, start))
            self._it = start
            return picture if picture and self._still(start) else Failed(self._why_missing(start))
        try:
            job = self._order(request, start)
        except Refused as refused:
            self._happened(Ordered(request, 0))
            return Failed(str(refused))
        self._happened(Ordered(request, job.number, start))
        self._pictures[job.number] = asyncio.get_running_loop().create_future()
        self._it = job.number
        return job

    async def paint(self, key: int, work: RenderJob | Picture | Failed) -> None:
        """Carry out an order to its end: a job is rendered, a picture or a failure is shown at once."""
        match work:
            case Failed():
                self._happened(Progress(key, work))
            case Picture():
                self._happened(Progress(key, Rendered(work)))
            case RenderJob():
                future = self._pictures[work.number]
                outcome = await self._render(key, work)
                if not future.done():
                    future.set_result(outcome.picture if isinstance(outcome, Rendered) else None)

    async def _render(self, key: int, job: RenderJob) -> Rendered | Failed:
        if ended := self._outcome(job):
            self._happened(Progress(key, ended))
            return ended
        if job.parent is not None:
            start = await self._pictures[job.parent]
            if start is None or not self._still(job.parent):
                failed = Failed(f"{self._why_missing(job.parent)} There is nothing to start from.")
                self._happened(Progress(key, failed))
                return failed
            job = replace(job, source=start.digest, prompt=job.prompt or start.prompt)
        try:
            job = await self._refine(job)
        except Refused as refused:
            self._happened(Progress(key, Failed(str(refused))))
            return Failed(str(refused))
        async with aclosing(self._renderer.render(job)) as updates:
            async for update in updates:
                self._happened(Progress(key, update))
                if isinstance(update, Rendered):
                    return await self._described(key, update)
                if isinstance(update, Failed):
                    return update
        raise AssertionError("a renderer ends with Rendered or Failed")

    async def _described(self, key: int, made: Rendered) -> Rendered:
        described = Rendered(await self._describe(made.picture))
        if described != made:
            self._happened(Progress(key, described))
        return described

    def _why_missing(self, number: int) -> str:
        future = self._pictures[number]
        was_there = number in self._turn.deleted or (future.done() and future.result() is not None)
        return f"Picture #{number} was deleted." if was_there else f"Picture #{number} did not come."


async def _as_it_is(picture: Picture) -> Picture:
    return picture


def _settled(picture: Picture | None) -> "asyncio.Future[Picture | None]":
    future: asyncio.Future[Picture | None] = asyncio.get_running_loop().create_future()
    future.set_result(picture)
    return future
