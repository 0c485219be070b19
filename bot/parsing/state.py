"""Parser state: the open construct, the transition to the next zone, and the buffer of text and image requests."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any

from bot.domain import ImageRequest, Operation, Retracted, Text
from bot.parsing.image_request import MAX_PROMPT_LENGTH
from bot.parsing.patterns import Zone

MAX_REQUESTS = 10  # image requests of one answer; the rest is dropped
MAX_REPEATS = 4  # of an identical request

Event = Text | ImageRequest | Retracted

_ARTICLE = re.compile(r"(?:A|An|The) ")


class RequestOrigin(Enum):
    """The origin of an image request in the answer. An image that is requested in two forms is rendered once."""

    TAG = auto()
    WRITTEN_CALL = auto()  # a tool call written as text
    TOOL_CALL = auto()  # a native tool call
    INFERRED = auto()  # no request, but a label such as `Prompt:`, or the address of an image


@dataclass(slots=True)
class OpenConstruct:
    """The open construct, which may still turn out to be plain text; `raw` is its complete source text."""

    operation: Operation = Operation.GENERATE
    name: str = ""
    raw: list[str] = field(default_factory=list)
    content: list[str] = field(default_factory=list)  # text of the current zone
    size: int = 0  # characters of `content`
    is_blank: bool = True  # `content` is only white space
    limit: int = 0  # characters after which the construct is abandoned; 0 for no limit
    attributes: dict[str, str] = field(default_factory=dict)  # the attributes of a tag
    form: RequestOrigin = RequestOrigin.TAG
    is_mention: bool = False  # the text before the tag suggests a mention, not a request
    closing_pair: str = ""  # followed by this character, the tag is quoted or in brackets: a mention
    ends_with_line: bool = False  # the end of the line closes the construct
    is_nested: bool = False  # the tag began inside another tag, and may have been meant to close that one
    is_uncertain: bool = False  # may be a tool call or plain text
    depth: int = 0  # open brackets of a tool call
    quote: str = ""  # the open quotation mark, or the backticks of a code block
    embed: bool | None = None  # address in `![...](...)`: True, in `[...](...)`: False, alone: None
    text_before: str = ""  # the text in front of the construct
    trailing_match: Callable[..., Any] | None = None  # matches text to skip after it, such as the second `**`

    def has_room(self, text: str) -> bool:
        """Whether the construct stays below its limit with this text."""
        return not self.limit or self.size + len(text) < self.limit

    def gather(self, text: str) -> None:
        """Append the text, up to the limit (32,000 characters without one)."""
        room = (self.limit or MAX_PROMPT_LENGTH) - self.size
        self.size += len(text)
        if room > 0:
            self.is_blank = self.is_blank and text.isspace()
            self.content.append(text[:room])
            self.raw.append(text[:room])

    def begin_body(self, limit: int = 0) -> None:
        """Start the body of a tag, after its attributes; `limit` as in the field, in characters."""
        self.content, self.size, self.is_blank, self.limit = [], 0, True, limit


@dataclass(frozen=True, slots=True)
class ParseResult:
    """The result of a construct that ended, in this order: text, image requests, and text to parse again."""

    text: str = ""
    requests: tuple[ImageRequest, ...] = ()
    text_to_reparse: str = ""
    form: RequestOrigin = RequestOrigin.TAG


@dataclass(frozen=True, slots=True)
class Transition:
    """The next position, zone and open construct; `result` is set if the previous construct ended.

    `starts_line`: the next position counts as the start of a line. `retracts`: the text before was reasoning, and is
    retracted.
    """

    position: int
    zone: Zone = Zone.TEXT
    construct: OpenConstruct | None = None
    result: ParseResult | None = None
    starts_line: bool = False
    retracts: bool = False


class EventBuffer:
    """Buffers text and image requests until `fetch` returns them."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._events: list[Event] = []
        self._retracts = self._is_confirmed = False
        self._reset()

    def _reset(self) -> None:
        self._is_silent = True
        self._requests: list[ImageRequest] = []
        # requests that came in one form only
        self._requested_once: list[tuple[RequestOrigin, Operation, str, int | None]] = []

    @property
    def is_blank(self) -> bool:
        """Whether the answer has no text but whitespace and no request; retracted ones do not count."""
        return self._is_silent or self._retracts

    @property
    def has_requests(self) -> bool:
        """Whether the answer has an image request that is not retracted."""
        return bool(self._requests) and not self._retracts

    def add_text(self, text: str) -> None:
        """Add text that the user reads."""
        if self._retracts:
            text = text.lstrip()
            if not text:
                return
            self._apply_retraction()
        if self._is_silent:
            self._is_silent = text.isspace()
        self._text.append(text)

    def add_request(self, request: ImageRequest, origin: RequestOrigin = RequestOrigin.TAG) -> None:
        """Add an image request; its position in the answer becomes its key."""
        self._apply_retraction()
        self._is_silent = False
        if origin is RequestOrigin.INFERRED and (article := _ARTICLE.match(request.prompt)):
            request = replace(request, prompt=article.group().lower() + request.prompt[article.end() :])
        if self._is_repeated(request, origin):
            return
        request = replace(request, key=0) if request.key else request
        if len(self._requests) < MAX_REQUESTS and self._requests.count(request) < MAX_REPEATS:
            self._flush()
            self._requested_once.append((origin, request.operation, request.prompt.lower(), request.source))
            self._events.append(replace(request, key=len(self._requests)) if self._requests else request)
            self._requests.append(request)

    def _is_repeated(self, request: ImageRequest, origin: RequestOrigin) -> bool:
        """Whether the same image was requested before in another form."""
        wanted = (request.operation, request.prompt.lower(), request.source)
        for number, (earlier, *known) in enumerate(self._requested_once):
            promoted = RequestOrigin.INFERRED in (origin, earlier) and bool(wanted[1]) and wanted[1] == known[1]
            if earlier is not origin and (promoted or (*known,) == wanted):
                del self._requested_once[number]
                return True
        return False

    def retract(self) -> None:
        """Retract everything so far as reasoning of the model, as soon as more text or a request follows."""
        self._retracts = not self._is_confirmed and (not self._is_silent or bool(self._requests))

    def confirm(self) -> None:
        """Make all requests so far count; a later `retract` has no effect."""
        self._is_confirmed, self._retracts = True, False

    def _apply_retraction(self) -> None:
        if self._retracts:
            self._flush()
            self._events.append(Retracted())
            self._retracts = False
            self._reset()

    def fetch(self) -> list[Event]:
        """Return the new events since the last call."""
        if not (self._text or self._events):
            return []
        self._flush()
        events, self._events = self._events, []
        return events

    def _flush(self) -> None:
        if self._text:
            self._events.append(Text("".join(self._text)))
            self._text = []
