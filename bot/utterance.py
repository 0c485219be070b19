"""Collects the text and the image requests of an answer in order, and removes repeated and surplus requests."""

import re
from dataclasses import replace
from enum import Enum, auto

from bot.domain import ImageRequest, Operation, Recanted, Text

MOST_REQUESTS = 10  # image requests of one answer; the rest is dropped
MOST_REPEATS = 4  # of an identical request

Event = Text | ImageRequest | Recanted

_ARTICLE = re.compile(r"(?:A|An|The) ")


class Way(Enum):
    """The origin of an image request in the answer. An image that is requested in two forms is rendered once."""

    TAG = auto()
    WRITTEN = auto()  # a tool call written as text
    CALLED = auto()  # a native tool call
    PROMOTED = auto()  # no request, but a label such as `Prompt:`, or the address of an image


class Utterance:
    """Buffers text and image requests until `fetch` returns them."""

    def __init__(self) -> None:
        self._words: list[str] = []
        self._events: list[Event] = []
        self._recants = self._firm = False
        self._start_over()

    def _start_over(self) -> None:
        self._silent = True
        self._requests: list[ImageRequest] = []
        self._once: list[tuple[Way, Operation, str, int | None]] = []  # requests that came in one form only

    @property
    def silent(self) -> bool:
        """Whether the answer has no text but whitespace and no request; retracted ones do not count."""
        return self._silent or self._recants

    @property
    def has_asked(self) -> bool:
        """Whether the answer has an image request that is not retracted."""
        return bool(self._requests) and not self._recants

    def say(self, text: str) -> None:
        """Add text that the user reads."""
        if self._recants:
            text = text.lstrip()
            if not text:
                return
            self._begin()
        if self._silent:
            self._silent = text.isspace()
        self._words.append(text)

    def order(self, request: ImageRequest, way: Way = Way.TAG) -> None:
        """Add an image request; its position in the answer becomes its key."""
        self._begin()
        self._silent = False
        if way is Way.PROMOTED and (article := _ARTICLE.match(request.prompt)):
            request = replace(request, prompt=article.group().lower() + request.prompt[article.end() :])
        if self._is_said_again(request, way):
            return
        request = replace(request, key=0) if request.key else request
        if len(self._requests) < MOST_REQUESTS and self._requests.count(request) < MOST_REPEATS:
            self._flush()
            self._once.append((way, request.operation, request.prompt.lower(), request.of))
            self._events.append(replace(request, key=len(self._requests)) if self._requests else request)
            self._requests.append(request)

    def _is_said_again(self, request: ImageRequest, way: Way) -> bool:
        """Whether the same image was requested before in another form."""
        said = (request.operation, request.prompt.lower(), request.of)
        for number, (earlier, *asked) in enumerate(self._once):
            promoted = Way.PROMOTED in (way, earlier) and bool(said[1]) and said[1] == asked[1]
            if earlier is not way and (promoted or (*asked,) == said):
                del self._once[number]
                return True
        return False

    def recant(self) -> None:
        """Retract everything so far as thoughts of the model, as soon as more text or a request follows."""
        self._recants = not self._firm and (not self._silent or bool(self._requests))

    def stand(self) -> None:
        """Make all requests so far count; a later `retract` has no effect."""
        self._firm, self._recants = True, False

    def _begin(self) -> None:
        if self._recants:
            self._flush()
            self._events.append(Recanted())
            self._recants = False
            self._start_over()

    def fetch(self) -> list[Event]:
        """Return the new events since the last call."""
        if not (self._words or self._events):
            return []
        self._flush()
        events, self._events = self._events, []
        return events

    def _flush(self) -> None:
        if self._words:
            self._events.append(Text("".join(self._words)))
            self._words = []
