"""One turn: from a message to the events of its reply, in one function.

The text of the chat model streams into the reply. An image is ordered as soon as its tag closes, while the model is
still writing. Progress and images appear between the text, in the order in which the model requested them.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

from bot.conversation.reply import Event, ImageOrdered, ImageProgress, ReplyEnded
from bot.conversation.source_picture import resolve_source
from bot.domain import Failed, ImageRequest, Operation, Picture, Rendered, RenderJob, Retracted, Text
from bot.errors import Refused
from bot.llm.messages import ChatMessage, ModelFailed, Role, StreamEnd, TextDelta, Tool, ToolCall
from bot.parsing.fallback import FALLBACK_NOTE, build_fallback_request, is_image_missing
from bot.parsing.intent import ParserContext
from bot.parsing.stream_parser import StreamParser
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

    history: tuple[ChatMessage, ...]
    pictures: tuple[Picture, ...] = ()
    about: int | None = None
    text: str = ""
    names: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    reminder: str = ""
    fixed_requests: tuple[ImageRequest, ...] = ()
    deleted: tuple[int, ...] = ()
    region: str = ""

    @property
    def current_picture(self) -> int | None:
        """The number of the image that a request without a number refers to; None if there is no image."""
        return self.about or max((picture.number for picture in self.pictures), default=None)

    def context(self, thinks_first: bool = False) -> ParserContext:
        """The context in which the answer of the model is parsed."""
        highest = max((picture.number for picture in self.pictures), default=0)
        return ParserContext(self.text, highest, self.names, thinks_first)


async def answer(
    turn: Turn,
    *,
    model: ChatModel,
    renderer: Renderer,
    order: Callable[[ImageRequest, int | None], RenderJob],
    refine: Callable[[RenderJob], Awaitable[RenderJob]],
    on_event: Callable[[Event], None],
    find_outcome: Callable[[RenderJob], Rendered | Failed | None] = lambda job: None,
    is_available: Callable[[int], bool] = lambda number: True,
    describe: Callable[[Picture], Awaitable[Picture]] | None = None,
) -> None:
    """Run a turn: stream the text of the model, start every image at its request, pass all events to `on_event`.

    `order` records a request with the number of its source image, before anything runs; `refine` prepares the prompt
    for the image model. Both may raise Refused. `find_outcome` returns how a known job ended, or None; `is_available`
    says whether the image with a number is finished and not deleted. `describe` adds an alternative text.
    """
    easel = ReplyImages(
        turn,
        renderer=renderer,
        order=order,
        refine=refine,
        on_event=on_event,
        find_outcome=find_outcome,
        is_available=is_available,
        describe=describe or _keep_picture,
    )
    async with asyncio.TaskGroup() as renders, aclosing(stream_events(model, turn)) as events:
        async for event in events:
            match event:
                case ImageRequest():
                    work = easel.order_image(event)
                    easel.tasks.append(renders.create_task(easel.render_image(event.key, work)))
                case Retracted():
                    easel.clear()
                    on_event(event)
                case _:
                    on_event(event)
    on_event(ReplyEnded())


async def stream_events(model: ChatModel, turn: Turn) -> AsyncGenerator[Text | ImageRequest | Retracted | ModelFailed]:
    """Stream the fixed requests, or else the answer of the model; if it forgot the image, remind the model once."""
    said, asked, trouble = "", False, None
    for request in turn.fixed_requests:
        yield request
    if turn.fixed_requests:
        return
    async with aclosing(parse_stream(model, turn)) as events:
        async for event in events:
            match event:
                case ModelFailed():
                    trouble = event
                    continue
                case Text(markdown):
                    said += markdown
                case ImageRequest():
                    asked = True
                case Retracted():
                    said, asked = "", False
            yield event
    if turn.reminder and not asked and trouble in (None, CUT_SHORT) and is_image_missing(turn.context(), said):
        async with aclosing(remind(model, turn, said)) as repaired:
            async for event in repaired:
                yield event
    elif trouble:
        yield trouble


async def remind(model: ChatModel, turn: Turn, text: str) -> AsyncGenerator[Text | ImageRequest]:
    """Ask the model again, for the image only; without a request, draw the user's own words and say so."""
    reminder = (ChatMessage(Role.ASSISTANT, text.strip() or "…"), ChatMessage(Role.USER, turn.reminder))
    requests: list[ImageRequest] = []
    async with aclosing(parse_stream(model, replace(turn, history=(*turn.history, *reminder)))) as events:
        async for event in events:
            match event:
                case ImageRequest():
                    requests.append(event)
                case Retracted():
                    requests.clear()
    if not requests:
        yield Text(f"\n\n{FALLBACK_NOTE}\n\n")
        newest = next((picture for picture in turn.pictures if picture.number == turn.current_picture), None)
        requests.append(build_fallback_request(turn.text, newest))
    for request in requests:
        yield request


async def parse_stream(model: ChatModel, turn: Turn) -> AsyncGenerator[Text | ImageRequest | Retracted | ModelFailed]:
    """Stream the answer as text and image requests without markup, from tags and from tool calls."""
    parser = StreamParser(turn.context(model.profile.thinks_first))
    trouble: ModelFailed | None = None
    async with aclosing(model.stream(turn.history, turn.tools)) as heard:
        async for event in heard:
            match event:
                case TextDelta(text):
                    for said in parser.feed(text):
                        yield said
                case ToolCall(name, arguments):
                    for said in parser.feed_call(name, arguments):
                        yield said
                case StreamEnd(truncated):
                    trouble = CUT_SHORT if truncated else None
                case ModelFailed():
                    trouble = event
    for said in parser.end():
        yield said
    if trouble:
        yield trouble


class ReplyImages:
    """The images of one reply: the current image ("it"), and the jobs that wait for their source image."""

    def __init__(
        self,
        turn: Turn,
        *,
        renderer: Renderer,
        order: Callable[[ImageRequest, int | None], RenderJob],
        refine: Callable[[RenderJob], Awaitable[RenderJob]],
        on_event: Callable[[Event], None],
        find_outcome: Callable[[RenderJob], Rendered | Failed | None],
        is_available: Callable[[int], bool],
        describe: Callable[[Picture], Awaitable[Picture]],
    ) -> None:
        self._find_outcome = find_outcome
        self._is_available = is_available
        self._describe = describe
        self._turn = turn
        self._renderer = renderer
        self._order = order
        self._refine = refine
        self._on_event = on_event
        self.tasks: list[asyncio.Task[None]] = []
        self.clear()

    def clear(self) -> None:
        """Cancel all images of the reply: the model retracted its answer so far."""
        for task in self.tasks:
            task.cancel()
        self.tasks.clear()
        self._pictures = {picture.number: _completed_future(picture) for picture in self._turn.pictures}
        self._pictures |= {number: _completed_future(None) for number in self._turn.deleted}
        self._current_picture = self._turn.current_picture

    def order_image(self, request: ImageRequest) -> RenderJob | Picture | Failed:
        """Order an image and show it as queued. Returns a job to render, the picture of a selection, or the failure."""
        routed = resolve_source(request, self._pictures, self._current_picture, self._turn.text)
        if isinstance(routed, Failed):
            self._on_event(ImageOrdered(request, 0))
            return routed
        request, start = routed.request, routed.source_number
        if self._turn.region and start == self._turn.about and request.operation in (Operation.EDIT, Operation.VARY):
            request = replace(request, part=self._turn.region)
        if request.operation is Operation.SELECT and start is not None and self._pictures[start].done():
            picture = self._pictures[start].result()
            self._on_event(ImageOrdered(request, start))
            self._current_picture = start
            return picture if picture and self._is_available(start) else Failed(self._why_missing(start))
        try:
            job = self._order(request, start)
        except Refused as refused:
            self._on_event(ImageOrdered(request, 0))
            return Failed(str(refused))
        self._on_event(ImageOrdered(request, job.number, start))
        self._pictures[job.number] = asyncio.get_running_loop().create_future()
        self._current_picture = job.number
        return job

    async def render_image(self, key: int, work: RenderJob | Picture | Failed) -> None:
        """Carry out an order to its end: a job is rendered, a picture or a failure is shown at once."""
        match work:
            case Failed():
                self._on_event(ImageProgress(key, work))
            case Picture():
                self._on_event(ImageProgress(key, Rendered(work)))
            case RenderJob():
                future = self._pictures[work.number]
                outcome = await self._render_job(key, work)
                if not future.done():
                    future.set_result(outcome.picture if isinstance(outcome, Rendered) else None)

    async def _render_job(self, key: int, job: RenderJob) -> Rendered | Failed:
        if ended := self._find_outcome(job):
            self._on_event(ImageProgress(key, ended))
            return ended
        if job.parent is not None:
            start = await self._pictures[job.parent]
            if start is None or not self._is_available(job.parent):
                failed = Failed(f"{self._why_missing(job.parent)} There is nothing to start from.")
                self._on_event(ImageProgress(key, failed))
                return failed
            job = replace(job, source=start.digest, prompt=job.prompt or start.prompt)
        try:
            job = await self._refine(job)
        except Refused as refused:
            self._on_event(ImageProgress(key, Failed(str(refused))))
            return Failed(str(refused))
        async with aclosing(self._renderer.render(job)) as updates:
            async for update in updates:
                self._on_event(ImageProgress(key, update))
                if isinstance(update, Rendered):
                    return await self._add_alt_text(key, update)
                if isinstance(update, Failed):
                    return update
        raise AssertionError("a renderer ends with Rendered or Failed")

    async def _add_alt_text(self, key: int, made: Rendered) -> Rendered:
        described = Rendered(await self._describe(made.picture))
        if described != made:
            self._on_event(ImageProgress(key, described))
        return described

    def _why_missing(self, number: int) -> str:
        future = self._pictures[number]
        was_there = number in self._turn.deleted or (future.done() and future.result() is not None)
        return f"Picture #{number} was deleted." if was_there else f"Picture #{number} did not come."


async def _keep_picture(picture: Picture) -> Picture:
    return picture


def _completed_future(picture: Picture | None) -> "asyncio.Future[Picture | None]":
    future: asyncio.Future[Picture | None] = asyncio.get_running_loop().create_future()
    future.set_result(picture)
    return future
