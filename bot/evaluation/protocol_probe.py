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

from bot.capabilities import ModelCapabilities
from bot.conversation.model_answer import CUT_SHORT, Turn, parse_stream
from bot.domain import (
    Entry,
    ImageRequest,
    Operation,
    Person,
    Picture,
    PicturePart,
    Rendered,
    Retracted,
    Text,
    TextPart,
    ThreadKey,
    View,
)
from bot.llm.client import OpenAICompatible
from bot.llm.messages import ChatMessage, ModelEvent, ModelFailed, ModelProfile, RequestProtocol, Tool
from bot.parsing.tool_calls import image_tools
from bot.prompting.history import build_history
from bot.prompting.system_prompt import build_system_prompt

log = logging.getLogger(__name__)

TIMEOUT = 900.0  # seconds for the whole probe; a slower model keeps the protocol of its profile
MAX_ANSWER_CHARACTERS = 6000  # characters of one answer; a model that has not requested an image by then requests none

_THREAD = ThreadKey("probe", "-", "-", "-")
_ANN = Person("ann", "Ann")
_DRAW, _EDIT, _VARY, _SELECT = Operation.GENERATE, Operation.EDIT, Operation.VARY, Operation.SELECT


@dataclass(frozen=True, slots=True)
class ProbeDialogue:
    """A message, the images before it, and the right answers.

    `expected` lists the combinations of operations that are right; `source` is the right source image, None for none.
    `earlier_prompts` are the prompts of the images #1 to #n.
    """

    text: str
    expected: tuple[tuple[Operation, ...], ...] = ((),)
    earlier_prompts: tuple[str, ...] = ()
    source: int | None = None


_CAT, _HILL = "a ginger cat asleep on a blue sofa", "a castle on a green hill under a cloudy sky"
DIALOGUES = (
    ProbeDialogue("draw a lighthouse in a storm", ((_DRAW,),)),
    ProbeDialogue("What is the capital of Australia?"),
    ProbeDialogue("make the sofa in #1 red", ((_EDIT,),), (_CAT, _HILL), source=1),
    ProbeDialogue("two pictures please: an owl by day, and a fox by night", ((_DRAW, _DRAW),)),
    ProbeDialogue("write a Python function that reverses a list"),
    ProbeDialogue("now at night", ((_EDIT,),), (_HILL,), source=1),
    ProbeDialogue("How do I put an <image> element into an SVG file?"),
    ProbeDialogue("show me another one like that", ((_VARY,),), (_CAT,), source=1),
    ProbeDialogue("good morning! how are you?"),
    ProbeDialogue("I like the first one best, show it again", ((_SELECT,),), (_CAT, _HILL), source=1),
    ProbeDialogue("which colour does the sofa have?", earlier_prompts=(_CAT,)),
)


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The result for a model: its better protocol, and how many dialogues were right with tags and with tools.

    `tools` is None if the server accepts no tools.
    """

    front_end: RequestProtocol
    thinks_first: bool
    tags: int
    tools: int | None


_RESULTS = TypeAdapter(dict[str, ProbeResult])


async def choose_protocol(model: OpenAICompatible, cache: Path, capabilities: ModelCapabilities) -> None:
    """Set the request protocol that suits the model: the one saved in the file, or else the result of a new probe.

    The model profile stays unchanged until then, and also if the probe gives no result. Unexpected errors are logged
    and not raised.
    """
    try:
        key = _cache_key(model, capabilities)
        finding = _read_results(cache).get(key)
        if finding is None:
            async with asyncio.timeout(TIMEOUT):
                finding = await probe(model, capabilities)
            if finding and finding.tools is not None:  # a server that takes no tools today may take them tomorrow
                _write_results(cache, {**_read_results(cache), key: finding})
    except TimeoutError:
        finding = None
    except Exception:
        log.exception("the chat model %s could not be probed", model.model)
        return
    if finding is None:
        log.info("the chat model %s does not answer well enough to be probed: it stays as it is", model.model)
        return
    model.update_profile(request_protocol=finding.front_end, thinks_first=finding.thinks_first)
    scores = f"tags {finding.tags}, tools {finding.tools} of {len(DIALOGUES)} right"
    output = "its server takes no tools" if finding.tools is None else scores
    log.info("the chat model %s is told of %s: %s", model.model, finding.front_end.value, output)


async def probe(model: OpenAICompatible, capabilities: ModelCapabilities) -> ProbeResult | None:
    """Run the test dialogues with tags and with tools. Returns None if the model fails.

    A tie keeps the protocol of the model profile.
    """
    better = model.profile.request_protocol
    right: dict[RequestProtocol, list[bool]] = {RequestProtocol.TAGS: [], RequestProtocol.TOOLS: []}
    thoughts: list[bool] = []
    for dialogue in DIALOGUES:
        for front_end in (RequestProtocol.TOOLS, RequestProtocol.TAGS):
            received = await run_dialogue(dialogue, ProtocolOverride(model, front_end), capabilities)
            if received is None:
                return None
            right[front_end].append(is_right(dialogue, received))
            thoughts.append(received.has_thoughts)
            if not model.takes_tools:
                return ProbeResult(RequestProtocol.TAGS, received.has_thoughts, 0, None)
    tags, called = sum(right[RequestProtocol.TAGS]), sum(right[RequestProtocol.TOOLS])
    if tags != called:
        better = RequestProtocol.TAGS if tags > called else RequestProtocol.TOOLS
    return ProbeResult(better, sum(thoughts) * 2 > len(thoughts), tags, called)


class ProtocolOverride:
    """Wraps a chat model to use another request protocol.

    The profile does not expect thoughts, so that thoughts without an opening tag are detected.
    """

    def __init__(self, model: OpenAICompatible, front_end: RequestProtocol) -> None:
        self._model = model
        self._front_end = front_end

    @property
    def profile(self) -> ModelProfile:
        """The profile of the model with the other protocol, and without thoughts expected."""
        return replace(self._model.profile, request_protocol=self._front_end, thinks_first=False)

    def stream(self, history: Sequence[ChatMessage], tools: Sequence[Tool] = ()) -> AsyncGenerator[ModelEvent]:
        """Stream the answer of the model."""
        return self._model.stream(history, tools)


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """An answer: its image requests, the length of its text in characters, and whether it had unmarked thoughts."""

    requests: tuple[ImageRequest, ...] = ()
    text_length: int = 0
    has_thoughts: bool = False


async def run_dialogue(
    dialogue: ProbeDialogue, model: ProtocolOverride, capabilities: ModelCapabilities
) -> ProbeAnswer | None:
    """Return the answer of the model to a dialogue; None if the model failed."""
    received = ProbeAnswer()
    async with aclosing(parse_stream(_build_turn(dialogue, model.profile, capabilities), model)) as events:
        async for event in events:
            match event:
                case Text(markdown):
                    received = replace(received, text_length=received.text_length + len(markdown.strip()))
                case ImageRequest():
                    received = replace(received, requests=(*received.requests, event))
                case Retracted():
                    received = ProbeAnswer(has_thoughts=True)
                case ModelFailed() if event != CUT_SHORT:
                    return None
            if received.text_length > MAX_ANSWER_CHARACTERS:
                break
    return received


def is_right(dialogue: ProbeDialogue, answer: ProbeAnswer) -> bool:
    """Whether the requested images are the expected ones. If none is expected, the answer must have text."""
    asked = tuple(request.operation for request in answer.requests)
    meant = {request.source or len(dialogue.earlier_prompts) or None for request in answer.requests}
    if asked not in dialogue.expected:
        return False
    return meant <= {dialogue.source} if asked else answer.text_length > 0


def _build_turn(dialogue: ProbeDialogue, profile: ModelProfile, capabilities: ModelCapabilities) -> Turn:
    drawn = tuple(_picture(number, prompt) for number, prompt in enumerate(dialogue.earlier_prompts, start=1))
    earlier = [_entry(f"draw {picture.request.prompt}", picture) for picture in drawn]
    output = build_history(build_system_prompt(capabilities, profile), earlier, _entry(dialogue.text), drawn, profile)
    offered = image_tools(capabilities) if profile.request_protocol is RequestProtocol.TOOLS else ()
    return Turn(tuple(output), drawn, None, dialogue.text, (_ANN.name,), offered)


def _picture(number: int, prompt: str) -> Picture:
    return Picture(number, f"{number:064x}", 512, 512, prompt, ImageRequest(0, _DRAW, prompt))


def _entry(text: str, picture: Picture | None = None) -> Entry:
    if picture is None:
        return Entry("now", _THREAD, _ANN, text, None, (), "", None)
    shown = PicturePart(0, picture.number, _DRAW, picture.request.prompt, Rendered(picture))
    view = View((TextPart("Here it is."), shown), final=True)
    return Entry(str(picture.number), _THREAD, _ANN, text, None, (), "", view)


# The saved result


def _cache_key(model: OpenAICompatible, capabilities: ModelCapabilities) -> str:
    output = [build_system_prompt(capabilities, ModelProfile(front_end)) for front_end in RequestProtocol]
    whole = json.dumps([model.model, model.server, *output, repr(image_tools(capabilities)), repr(DIALOGUES)])
    return hashlib.sha256(whole.encode()).hexdigest()


def _read_results(cache: Path) -> dict[str, ProbeResult]:
    try:
        return _RESULTS.validate_json(cache.read_bytes())
    except (OSError, ValueError):
        return {}


def _write_results(cache: Path, results: Mapping[str, ProbeResult]) -> None:
    new = cache.with_name(f"{cache.name}.new")
    try:
        new.write_bytes(_RESULTS.dump_json(dict(results), indent=1))
        new.replace(cache)
    except OSError as error:
        log.warning("%s cannot be written: %s", cache, error.strerror)
