"""The answer of the chat model to one turn: text and image requests, with a reminder if it forgot the image."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace

from bot.domain import ImageRequest, Picture, Retracted, Text
from bot.llm.messages import ChatMessage, ModelFailed, Role, StreamEnd, TextDelta, Tool, ToolCall
from bot.notices import notice, text
from bot.parsing.fallback import build_fallback_request, is_image_missing
from bot.parsing.intent import ParserContext
from bot.parsing.stream_parser import StreamParser
from bot.ports import ChatModel

CUT_SHORT = ModelFailed(notice("answer-cut-off"))


@dataclass(frozen=True, slots=True)
class Turn:
    """The input of a turn: the history that the chat model receives, and the images that it can refer to.

    `about` is the number of the image that the message refers to, `region` the marked part of it that alone changes.
    `text` is the message of the user, `names` are the users of the thread. The model receives `reminder` if it forgot
    the image that was asked for; if that is empty, there is no reminder. `fixed_requests` replace the call of the
    model. `deleted` are the numbers of deleted images. `language` is that of the bot's own words.
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
    language: str = "en"

    @property
    def current_picture(self) -> int | None:
        """The number of the image that a request without a number refers to; None if there is no image."""
        return self.about or max((picture.number for picture in self.pictures), default=None)

    def context(self, thinks_first: bool = False) -> ParserContext:
        """The context in which the answer of the model is parsed."""
        highest = max((picture.number for picture in self.pictures), default=0)
        return ParserContext(self.text, highest, self.names, thinks_first)


async def converse(turn: Turn, model: ChatModel) -> AsyncGenerator[Text | ImageRequest | Retracted | ModelFailed]:
    """Stream the fixed requests, or else the answer of the model; if it forgot the image, remind the model once."""
    text, has_request, trouble = "", False, None
    for request in turn.fixed_requests:
        yield request
    if turn.fixed_requests:
        return
    async with aclosing(parse_stream(turn, model)) as events:
        async for event in events:
            match event:
                case ModelFailed():
                    trouble = event
                    continue
                case Text(markdown):
                    text += markdown
                case ImageRequest():
                    has_request = True
                case Retracted():
                    text, has_request = "", False
            yield event
    forgot = turn.reminder and not has_request and is_image_missing(turn.context(), text)
    if forgot and trouble in (None, CUT_SHORT):
        async with aclosing(remind(turn, model, text)) as reminded:
            async for event in reminded:
                yield event
    elif trouble:
        yield trouble


async def remind(turn: Turn, model: ChatModel, answer: str) -> AsyncGenerator[Text | ImageRequest]:
    """Ask the model again, for the image only; without a request, draw the user's own words and say so."""
    reminder = (ChatMessage(Role.ASSISTANT, answer.strip() or "…"), ChatMessage(Role.USER, turn.reminder))
    requests: list[ImageRequest] = []
    async with aclosing(parse_stream(replace(turn, history=(*turn.history, *reminder)), model)) as events:
        async for event in events:
            match event:
                case ImageRequest():
                    requests.append(event)
                case Retracted():
                    requests.clear()
    if not requests:
        yield Text(f"\n\n{text(notice('own-words'), turn.language)}\n\n")
        newest = next((picture for picture in turn.pictures if picture.number == turn.current_picture), None)
        requests.append(build_fallback_request(turn.text, newest))
    for request in requests:
        yield request


async def parse_stream(turn: Turn, model: ChatModel) -> AsyncGenerator[Text | ImageRequest | Retracted | ModelFailed]:
    """Stream the answer as text and image requests without markup, from tags and from tool calls."""
    parser = StreamParser(turn.context(model.profile.thinks_first))
    trouble: ModelFailed | None = None
    async with aclosing(model.stream(turn.history, turn.tools)) as events:
        async for event in events:
            match event:
                case TextDelta(text):
                    for parsed in parser.feed(text):
                        yield parsed
                case ToolCall(name, arguments):
                    for parsed in parser.feed_call(name, arguments):
                        yield parsed
                case StreamEnd(truncated):
                    trouble = CUT_SHORT if truncated else None
                case ModelFailed():
                    trouble = event
    for parsed in parser.end():
        yield parsed
    if trouble:
        yield trouble
