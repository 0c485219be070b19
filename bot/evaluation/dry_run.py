"""Runs a conversation with a chat model without rendering: every requested image counts as rendered."""

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from bot.capabilities import ModelCapabilities
from bot.conversation.model_answer import Turn, parse_stream
from bot.conversation.source_picture import ResolvedRequest, resolve_source
from bot.domain import (
    Entry,
    Failed,
    ImageRequest,
    Operation,
    Person,
    Picture,
    PicturePart,
    Rendered,
    Retracted,
    Sampling,
    Text,
    TextPart,
    ThreadKey,
    View,
)
from bot.evaluation.datasets import AnswerKind, Exchange
from bot.llm.messages import ModelFailed, RequestProtocol
from bot.parsing.image_request import as_tag
from bot.parsing.tool_calls import image_tools
from bot.ports import ChatModel
from bot.prompting.history import build_history
from bot.prompting.sanitize import display_names
from bot.prompting.system_prompt import build_system_prompt

THREAD_KEY = ThreadKey("evaluation", "-", "-", "-")
SIDE = 512  # pixels; nothing depends on it


@dataclass(frozen=True, slots=True)
class PromptContext:
    """The inputs of the system prompt besides the chat model: capabilities of the image model, and the persona."""

    capabilities: ModelCapabilities
    persona: str = ""


@dataclass(frozen=True, slots=True)
class RequestedImage:
    """An image that the model requested, and its source image; `is_missing` if that source does not exist."""

    request: ImageRequest
    source: int | None = None
    is_missing: bool = False


@dataclass(frozen=True, slots=True)
class ParsedAnswer:
    """A whole answer: text and images in order. `failure` is a sentence if the model failed."""

    parts: tuple[str | RequestedImage, ...] = ()
    failure: str = ""

    @property
    def images(self) -> tuple[RequestedImage, ...]:
        """The images, in order."""
        return tuple(part for part in self.parts if isinstance(part, RequestedImage))

    @property
    def text(self) -> str:
        """The text alone, without the images."""
        return "".join(part for part in self.parts if isinstance(part, str)).strip()

    @property
    def kind(self) -> AnswerKind:
        """The kind of the answer. Selecting an image before changing it does not count as a decision of its own."""
        if self.failure:
            return AnswerKind.FAILED
        kinds = [AnswerKind(asked.request.operation.value) for asked in self.images]
        return next((kind for kind in kinds if kind is not AnswerKind.SELECT), kinds[0] if kinds else AnswerKind.TEXT)

    @property
    def images_of_kind(self) -> tuple[RequestedImage, ...]:
        """The images whose operation is the kind of the answer."""
        return tuple(asked for asked in self.images if asked.request.operation.value == self.kind.value)

    def as_tagged_text(self) -> str:
        """The answer as the model would have written it in canonical tags."""
        return "".join(part if isinstance(part, str) else as_tag(part.request) for part in self.parts)


@dataclass(frozen=True, slots=True)
class DryRunThread:
    """A conversation so far, and its images."""

    earlier: tuple[Entry, ...] = ()
    pictures: tuple[Picture, ...] = ()

    def with_uploads(self, exchange: Exchange) -> "DryRunThread":
        """Return the thread with the uploads of the next message added."""
        first = len(self.pictures) + 1
        brought = tuple(_upload(number) for number in range(first, first + exchange.uploads))
        return replace(self, pictures=self.pictures + brought)

    def new_entry(self, exchange: Exchange) -> Entry:
        """Build the entry of the message, in a thread that already has its uploads."""
        author = Person(exchange.author.lower(), exchange.author)
        brought = self.pictures[len(self.pictures) - exchange.uploads :]
        message_id = str(len(self.earlier) + 1)
        return Entry(message_id, THREAD_KEY, author, exchange.user, exchange.about, brought, "", None)

    def with_expected_answer(self, exchange: Exchange, answer: ParsedAnswer) -> "DryRunThread":
        """Return the thread after an answer, with the expected images instead of those that the model requested.

        The text of the model stays, and so do the prompts of its images up to the expected number. Additional images
        are left out; missing ones are appended.
        """
        parts: list[TextPart | PicturePart] = []
        pictures = list(self.pictures)
        for part in (*answer.parts, *[None] * exchange.expected_count):
            if isinstance(part, str):
                parts += [TextPart(words)] if (words := part.strip()) else []
                continue
            key = sum(isinstance(earlier, PicturePart) for earlier in parts)
            aside = part and part.request.operation is Operation.SELECT and answer.kind is not AnswerKind.SELECT
            if key < exchange.expected_count and not aside:
                shown, made = _expected_part(exchange, key, part, pictures)
                parts.append(shown)
                pictures += made
        written = "\n".join(part.markdown if isinstance(part, TextPart) else _tag(part) for part in parts)
        entry = replace(self.new_entry(exchange), raw_answer=written, view=View(tuple(parts), final=True))
        return DryRunThread((*self.earlier, entry), tuple(pictures))


async def run_turn(model: ChatModel, context: PromptContext, thread: DryRunThread, exchange: Exchange) -> ParsedAnswer:
    """Return the answer of the model to a message, in a thread that already has the uploads of the message."""
    turn = _build_turn(model, context, thread, thread.new_entry(exchange))
    known, newest = {picture.number for picture in turn.pictures}, turn.current_picture
    parts: list[str | RequestedImage] = []
    async with aclosing(parse_stream(turn, model)) as events:
        async for event in events:
            match event:
                case Text(markdown):
                    before = parts.pop() if parts and isinstance(parts[-1], str) else ""
                    parts.append(f"{before}{markdown}")
                case ImageRequest():
                    asked = _resolve(event, known, newest, exchange.user)
                    parts.append(asked)
                    if not asked.is_missing:
                        chosen = event.operation is Operation.SELECT and asked.source
                        newest = chosen or max(known, default=0) + 1
                        known.add(newest)
                case Retracted():
                    parts.clear()
                    known, newest = {picture.number for picture in turn.pictures}, turn.current_picture
                case ModelFailed(reason):
                    return ParsedAnswer(tuple(parts), str(reason))
    received = ParsedAnswer(tuple(parts))
    return received if received.text or received.images else ParsedAnswer(failure="The answer was empty.")


def _build_turn(model: ChatModel, context: PromptContext, thread: DryRunThread, now: Entry) -> Turn:
    """Build the turn as the bot does, with the current model profile: its server may turn out to accept no tools."""
    profile = model.profile
    system = build_system_prompt(context.capabilities, profile, context.persona)
    return Turn(
        history=tuple(build_history(system, thread.earlier, now, thread.pictures, profile)),
        pictures=thread.pictures,
        about=now.about or (now.uploads[-1].number if now.uploads else None),
        text=now.text,
        names=tuple(display_names(entry.author for entry in (*thread.earlier, now)).values()),
        tools=image_tools(context.capabilities) if profile.request_protocol is RequestProtocol.TOOLS else (),
    )


def _resolve(request: ImageRequest, known: set[int], newest: int | None, text: str) -> RequestedImage:
    match resolve_source(request, known, newest, text):
        case ResolvedRequest(routed, start):
            return RequestedImage(routed, start)
        case Failed():
            return RequestedImage(request, request.source, is_missing=True)


def _expected_part(
    exchange: Exchange, key: int, image: RequestedImage | None, pictures: Sequence[Picture]
) -> tuple[PicturePart, list[Picture]]:
    """The image that is expected at this place of the answer, and the new record if that image is new."""
    operation = Operation(exchange.kind.value)
    start = None
    if operation is not Operation.GENERATE:
        start = (
            exchange.expected_sources[key]
            if key < len(exchange.expected_sources)
            else exchange.about or pictures[-1].number
        )
    if operation is Operation.SELECT and start is not None:
        return PicturePart(key, start, operation, "", Rendered(pictures[start - 1]), start), []
    prompt, before = image.request.prompt if image else "", "" if start is None else pictures[start - 1].request.prompt
    if not prompt and operation in (Operation.GENERATE, Operation.EDIT):
        prompt = ", ".join(filter(None, (before, exchange.user)))
    shown, number = prompt or before, len(pictures) + 1
    made = Picture(
        number,
        f"{number:064x}",
        SIDE,
        SIDE,
        shown,
        ImageRequest(0, operation, shown, source=start, sampling=Sampling(seed=number)),
        model="none",
    )
    return PicturePart(key, number, operation, prompt, Rendered(made), start), [made]


def _tag(part: PicturePart) -> str:
    return as_tag(ImageRequest(part.key, part.operation, part.prompt, source=part.source))


def _upload(number: int) -> Picture:
    return Picture(number, f"{number:064x}", SIDE, SIDE, "An uploaded picture", ImageRequest(0, Operation.UPLOAD, ""))
