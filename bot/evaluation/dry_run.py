"""Runs a conversation with a chat model without rendering: every requested image counts as rendered."""

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from bot.capabilities import Abilities
from bot.conversation.source_picture import Routed, route
from bot.conversation.turn import Turn, listen
from bot.domain import (
    Entry,
    Failed,
    ImageRequest,
    Operation,
    Person,
    Picture,
    PicturePart,
    Recanted,
    Rendered,
    Text,
    TextPart,
    ThreadKey,
    View,
)
from bot.evaluation.datasets import Exchange, Kind
from bot.llm.messages import FrontEnd, ModelFailed
from bot.parsing.image_request import as_tag
from bot.parsing.tool_calls import tools
from bot.ports import ChatModel
from bot.prompting.history import transcript
from bot.prompting.sanitize import names_of
from bot.prompting.system_prompt import system_text

PLACE = ThreadKey("evaluation", "-", "-", "-")
SIDE = 512  # pixels; nothing depends on it


@dataclass(frozen=True, slots=True)
class Brief:
    """The inputs of the system prompt besides the chat model: capabilities of the image model, and the persona."""

    abilities: Abilities
    persona: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """An image that the model requested, and its source image; `is_missing` if that source does not exist."""

    request: ImageRequest
    start: int | None = None
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """A whole answer: text and images in order. `failure` is a sentence if the model failed."""

    parts: tuple[str | Asked, ...] = ()
    failure: str = ""

    @property
    def asked(self) -> tuple[Asked, ...]:
        """The images, in order."""
        return tuple(part for part in self.parts if isinstance(part, Asked))

    @property
    def words(self) -> str:
        """The text alone, without the images."""
        return "".join(part for part in self.parts if isinstance(part, str)).strip()

    @property
    def kind(self) -> Kind:
        """The kind of the answer. Selecting an image before changing it does not count as a decision of its own."""
        if self.failure:
            return Kind.FAILED
        kinds = [Kind(asked.request.operation.value) for asked in self.asked]
        return next((kind for kind in kinds if kind is not Kind.SELECT), kinds[0] if kinds else Kind.TEXT)

    @property
    def decisive(self) -> tuple[Asked, ...]:
        """The images whose operation is the kind of the answer."""
        return tuple(asked for asked in self.asked if asked.request.operation.value == self.kind.value)

    def written(self) -> str:
        """The answer as the model would have written it in canonical tags."""
        return "".join(part if isinstance(part, str) else as_tag(part.request) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Thread:
    """A conversation so far, and its images."""

    earlier: tuple[Entry, ...] = ()
    pictures: tuple[Picture, ...] = ()

    def opened(self, exchange: Exchange) -> "Thread":
        """Return the thread with the uploads of the next message added."""
        first = len(self.pictures) + 1
        brought = tuple(_upload(number) for number in range(first, first + exchange.uploads))
        return replace(self, pictures=self.pictures + brought)

    def entry(self, exchange: Exchange) -> Entry:
        """Build the entry of the message, in a thread that already has its uploads."""
        author = Person(exchange.author.lower(), exchange.author)
        brought = self.pictures[len(self.pictures) - exchange.uploads :]
        message_id = str(len(self.earlier) + 1)
        return Entry(message_id, PLACE, author, exchange.user, exchange.about, brought, "", None)

    def settled(self, exchange: Exchange, heard: Heard) -> "Thread":
        """Return the thread after an answer, with the expected images instead of those that the model requested.

        The text of the model stays, and so do the prompts of its images up to the expected number. Additional images
        are left out; missing ones are appended.
        """
        parts: list[TextPart | PicturePart] = []
        pictures = list(self.pictures)
        for part in (*heard.parts, *[None] * exchange.shown):
            if isinstance(part, str):
                parts += [TextPart(words)] if (words := part.strip()) else []
                continue
            key = sum(isinstance(earlier, PicturePart) for earlier in parts)
            aside = part and part.request.operation is Operation.SELECT and heard.kind is not Kind.SELECT
            if key < exchange.shown and not aside:
                shown, made = _expected(exchange, key, part, pictures)
                parts.append(shown)
                pictures += made
        written = "\n".join(part.markdown if isinstance(part, TextPart) else _tag(part) for part in parts)
        entry = replace(self.entry(exchange), words=written, view=View(tuple(parts), final=True))
        return Thread((*self.earlier, entry), tuple(pictures))


async def hear(model: ChatModel, brief: Brief, thread: Thread, exchange: Exchange) -> Heard:
    """Return the answer of the model to a message, in a thread that already has the uploads of the message."""
    turn = _turn(model, brief, thread, thread.entry(exchange))
    known, newest = {picture.number for picture in turn.pictures}, turn.newest
    parts: list[str | Asked] = []
    async with aclosing(listen(model, turn)) as events:
        async for event in events:
            match event:
                case Text(markdown):
                    before = parts.pop() if parts and isinstance(parts[-1], str) else ""
                    parts.append(f"{before}{markdown}")
                case ImageRequest():
                    asked = _asked(event, known, newest, exchange.user)
                    parts.append(asked)
                    if not asked.lost:
                        chosen = event.operation is Operation.SELECT and asked.start
                        newest = chosen or max(known, default=0) + 1
                        known.add(newest)
                case Recanted():
                    parts.clear()
                    known, newest = {picture.number for picture in turn.pictures}, turn.newest
                case ModelFailed(reason):
                    return Heard(tuple(parts), reason)
    heard = Heard(tuple(parts))
    return heard if heard.words or heard.asked else Heard(failure="The answer was empty.")


def _turn(model: ChatModel, brief: Brief, thread: Thread, now: Entry) -> Turn:
    """Build the turn as the bot does, with the current model profile: its server may turn out to accept no tools."""
    manners = model.manners
    system = system_text(brief.abilities, manners, brief.persona)
    return Turn(
        transcript=tuple(transcript(system, thread.earlier, now, thread.pictures, manners)),
        pictures=thread.pictures,
        about=now.about or (now.uploads[-1].number if now.uploads else None),
        text=now.text,
        names=tuple(names_of(entry.author for entry in (*thread.earlier, now)).values()),
        tools=tools(brief.abilities) if manners.front_end is FrontEnd.TOOLS else (),
    )


def _asked(request: ImageRequest, known: set[int], newest: int | None, text: str) -> Asked:
    match route(request, known, newest, text):
        case Routed(routed, start):
            return Asked(routed, start)
        case Failed():
            return Asked(request, request.of, lost=True)


def _expected(
    exchange: Exchange, key: int, asked: Asked | None, pictures: Sequence[Picture]
) -> tuple[PicturePart, list[Picture]]:
    """The image that is expected at this place of the answer, and the new record if that image is new."""
    operation = Operation(exchange.kind.value)
    start = None
    if operation is not Operation.GENERATE:
        start = exchange.starts[key] if key < len(exchange.starts) else exchange.about or pictures[-1].number
    if operation is Operation.SELECT and start is not None:
        return PicturePart(key, start, operation, "", Rendered(pictures[start - 1]), start), []
    prompt, before = asked.request.prompt if asked else "", "" if start is None else pictures[start - 1].prompt
    if not prompt and operation in (Operation.GENERATE, Operation.EDIT):
        prompt = ", ".join(filter(None, (before, exchange.user)))
    shown, number = prompt or before, len(pictures) + 1
    made = Picture(number, f"{number:064x}", SIDE, SIDE, shown, shown, operation, number, "none", start)
    return PicturePart(key, number, operation, prompt, Rendered(made), start), [made]


def _tag(part: PicturePart) -> str:
    return as_tag(ImageRequest(part.key, part.operation, part.prompt, part.parent))


def _upload(number: int) -> Picture:
    return Picture(number, f"{number:064x}", SIDE, SIDE, "", "An uploaded picture", Operation.UPLOAD)
