"""Runs test dialogues with tags and with tools, and keeps the request protocol that the chat model follows better.

It also detects whether the thoughts of the model come without an opening tag. The results are saved in a file: a model
is probed again only if the model, its server, the prompts or the dialogues change.
"""

import asyncio
import hashlib
import json
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from bot.capabilities import Abilities
from bot.conversation.turn import CUT_SHORT, Turn, listen
from bot.domain import (
    Entry,
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
from bot.llm.client import OpenAICompatible
from bot.llm.messages import FrontEnd, Manners, ModelEvent, ModelFailed, Said, Tool
from bot.parsing.tool_calls import tools
from bot.prompting.history import transcript
from bot.prompting.system_prompt import system_text

log = logging.getLogger(__name__)

LONGEST = 900.0  # seconds for the whole probe; a slower model keeps its profile
MOST_WORDS = 6000  # characters of one answer; a model that has requested no image by then will not

_THREAD = ThreadKey("probe", "-", "-", "-")
_ANN = Person("ann", "Ann")
_DRAW, _EDIT, _VARY, _SELECT = Operation.GENERATE, Operation.EDIT, Operation.VARY, Operation.SELECT


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A message, the images before it, and the right answers.

    `expected` lists the combinations of operations that are right; `source` is the right source image, None for none.
    `earlier_prompts` are the prompts of the images #1 to #n.
    """

    text: str
    wanted: tuple[tuple[Operation, ...], ...] = ((),)
    drawn: tuple[str, ...] = ()
    of: int | None = None


_CAT, _HILL = "a ginger cat asleep on a blue sofa", "a castle on a green hill under a cloudy sky"
DIALOGUES = (
    Dialogue("draw a lighthouse in a storm", ((_DRAW,),)),
    Dialogue("What is the capital of Australia?"),
    Dialogue("make the sofa in #1 red", ((_EDIT,),), (_CAT, _HILL), of=1),
    Dialogue("two pictures please: an owl by day, and a fox by night", ((_DRAW, _DRAW),)),
    Dialogue("write a Python function that reverses a list"),
    Dialogue("now at night", ((_EDIT,),), (_HILL,), of=1),
    Dialogue("How do I put an <image> element into an SVG file?"),
    Dialogue("show me another one like that", ((_VARY,),), (_CAT,), of=1),
    Dialogue("good morning! how are you?"),
    Dialogue("I like the first one best, show it again", ((_SELECT,),), (_CAT, _HILL), of=1),
    Dialogue("which colour does the sofa have?", drawn=(_CAT,)),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """The result for a model: its better protocol, and how many dialogues were right with tags and with tools.

    `tools` is None if the server accepts no tools.
    """

    front_end: FrontEnd
    thinks_first: bool
    tags: int
    tools: int | None


_KEPT = TypeAdapter(dict[str, Finding])


async def settle(model: OpenAICompatible, cache: Path, abilities: Abilities) -> None:
    """Set the request protocol that suits the model: the one saved in the file, or else the result of a new probe.

    The model profile stays unchanged until then, and also if the probe gives no result. Unexpected errors are logged
    and not raised.
    """
    try:
        key = _key(model, abilities)
        finding = _read(cache).get(key)
        if finding is None:
            async with asyncio.timeout(LONGEST):
                finding = await probe(model, abilities)
            if finding and finding.tools is not None:  # a server that accepts no tools today may accept them tomorrow
                _write(cache, {**_read(cache), key: finding})
    except TimeoutError:
        finding = None
    except Exception:
        log.exception("the chat model %s could not be probed", model.model)
        return
    if finding is None:
        log.info("the probe of the chat model %s gave no result: its profile stays unchanged", model.model)
        return
    model.adopt(front_end=finding.front_end, thinks_first=finding.thinks_first)
    scores = f"tags {finding.tags}, tools {finding.tools} of {len(DIALOGUES)} right"
    told = "its server takes no tools" if finding.tools is None else scores
    log.info("the chat model %s is told of %s: %s", model.model, finding.front_end.value, told)


async def probe(model: OpenAICompatible, abilities: Abilities) -> Finding | None:
    """Run the test dialogues with tags and with tools. Returns None if the model fails.

    A tie keeps the protocol of the model profile.
    """
    better = model.manners.front_end
    right: dict[FrontEnd, list[bool]] = {FrontEnd.TAGS: [], FrontEnd.TOOLS: []}
    thoughts: list[bool] = []
    for dialogue in DIALOGUES:
        for front_end in (FrontEnd.TOOLS, FrontEnd.TAGS):
            heard = await hold(dialogue, Rehearsal(model, front_end), abilities)
            if heard is None:
                return None
            right[front_end].append(is_right(dialogue, heard))
            thoughts.append(heard.thinks)
            if not model.takes_tools:
                return Finding(FrontEnd.TAGS, heard.thinks, 0, None)
    tags, called = sum(right[FrontEnd.TAGS]), sum(right[FrontEnd.TOOLS])
    if tags != called:
        better = FrontEnd.TAGS if tags > called else FrontEnd.TOOLS
    return Finding(better, sum(thoughts) * 2 > len(thoughts), tags, called)


class Rehearsal:
    """Wraps a chat model to use another request protocol.

    The profile does not expect thoughts, so that thoughts without an opening tag are detected.
    """

    def __init__(self, model: OpenAICompatible, front_end: FrontEnd) -> None:
        self._model = model
        self._front_end = front_end

    @property
    def manners(self) -> Manners:
        """The profile of the model with the other protocol, and without thoughts expected."""
        return replace(self._model.manners, front_end=self._front_end, thinks_first=False)

    def listen(self, transcript: Sequence[Said], tools: Sequence[Tool] = ()) -> AsyncGenerator[ModelEvent]:
        """Stream the answer of the model."""
        return self._model.listen(transcript, tools)


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer: its image requests, the length of its text in characters, and whether it had unmarked thoughts."""

    requests: tuple[ImageRequest, ...] = ()
    words: int = 0
    thinks: bool = False


async def hold(dialogue: Dialogue, model: Rehearsal, abilities: Abilities) -> Heard | None:
    """Return the answer of the model to a dialogue; None if the model failed."""
    heard = Heard()
    async with aclosing(listen(model, _turn(dialogue, model.manners, abilities))) as events:
        async for event in events:
            match event:
                case Text(markdown):
                    heard = replace(heard, words=heard.words + len(markdown.strip()))
                case ImageRequest():
                    heard = replace(heard, requests=(*heard.requests, event))
                case Recanted():
                    heard = Heard(thinks=True)
                case ModelFailed() if event != CUT_SHORT:
                    return None
            if heard.words > MOST_WORDS:
                break
    return heard


def is_right(dialogue: Dialogue, heard: Heard) -> bool:
    """Whether the requested images are the expected ones. If none is expected, the answer must have text."""
    asked = tuple(request.operation for request in heard.requests)
    meant = {request.of or len(dialogue.drawn) or None for request in heard.requests}
    if asked not in dialogue.wanted:
        return False
    return meant <= {dialogue.of} if asked else heard.words > 0


def _turn(dialogue: Dialogue, manners: Manners, abilities: Abilities) -> Turn:
    drawn = tuple(_picture(number, prompt) for number, prompt in enumerate(dialogue.drawn, start=1))
    earlier = [_entry(f"draw {picture.prompt}", picture) for picture in drawn]
    told = transcript(system_text(abilities, manners), earlier, _entry(dialogue.text), drawn, manners)
    offered = tools(abilities) if manners.front_end is FrontEnd.TOOLS else ()
    return Turn(tuple(told), drawn, None, dialogue.text, (_ANN.name,), offered)


def _picture(number: int, prompt: str) -> Picture:
    return Picture(number, f"{number:064x}", 512, 512, prompt, prompt, _DRAW)


def _entry(text: str, picture: Picture | None = None) -> Entry:
    if picture is None:
        return Entry("now", _THREAD, _ANN, text, None, (), "", None)
    shown = PicturePart(0, picture.number, _DRAW, picture.prompt, Rendered(picture))
    view = View((TextPart("Here it is."), shown), final=True)
    return Entry(str(picture.number), _THREAD, _ANN, text, None, (), "", view)


# The saved results


def _key(model: OpenAICompatible, abilities: Abilities) -> str:
    told = [system_text(abilities, Manners(front_end)) for front_end in FrontEnd]
    whole = json.dumps([model.model, model.server, *told, repr(tools(abilities)), repr(DIALOGUES)])
    return hashlib.sha256(whole.encode()).hexdigest()


def _read(cache: Path) -> dict[str, Finding]:
    try:
        return _KEPT.validate_json(cache.read_bytes())
    except (OSError, ValueError):
        return {}


def _write(cache: Path, findings: Mapping[str, Finding]) -> None:
    new = cache.with_name(f"{cache.name}.new")
    try:
        new.write_bytes(_KEPT.dump_json(dict(findings), indent=1))
        new.replace(cache)
    except OSError as error:
        log.warning("%s cannot be written: %s", cache, error.strerror)
