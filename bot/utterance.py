"""What an answer has said so far, in order: words, and requests, which are counted and capped."""

import re
from dataclasses import replace
from enum import Enum, auto

from bot.domain import ImageRequest, Operation, Recanted, Text

MOST_REQUESTS = 10  # in one answer; what a model asks for beyond is left out
MOST_REPEATS = 4  # of the very same request

Event = Text | ImageRequest | Recanted

_ARTICLE = re.compile(r"(?:A|An|The) ")


class Way(Enum):
    """How a picture was asked for. A model that asks in two ways for the same wants it once."""

    TAG = auto()
    WRITTEN = auto()  # a tool call among the words
    CALLED = auto()  # a tool call as it should be
    PROMOTED = auto()  # no request at all, but a label such as `Prompt:`, or the address of a picture


class Utterance:
    """Collects words and requests until they are fetched."""

    def __init__(self) -> None:
        self._words: list[str] = []
        self._events: list[Event] = []
        self._recants = self._firm = False
        self._start_over()

    def _start_over(self) -> None:
        self._silent = True
        self._requests: list[ImageRequest] = []
        self._once: list[tuple[Way, Operation, str, int | None]] = []  # what has been asked for in one way only

    @property
    def silent(self) -> bool:
        """Whether nothing has been said yet that counts."""
        return self._silent or self._recants

    @property
    def has_asked(self) -> bool:
        """Whether a picture was asked for."""
        return bool(self._requests) and not self._recants

    def say(self, text: str) -> None:
        """Words that the person reads."""
        if self._recants:
            text = text.lstrip()
            if not text:
                return
            self._begin()
        if self._silent:
            self._silent = text.isspace()
        self._words.append(text)

    def order(self, request: ImageRequest, way: Way = Way.TAG) -> None:
        """A picture is asked for; its key is 0, and becomes its place in the answer."""
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
        """Whether the same was asked for before in another way."""
        said = (request.operation, request.prompt.lower(), request.of)
        for number, (earlier, *asked) in enumerate(self._once):
            promoted = Way.PROMOTED in (way, earlier) and bool(said[1]) and said[1] == asked[1]
            if earlier is not way and (promoted or (*asked,) == said):
                del self._once[number]
                return True
        return False

    def recant(self) -> None:
        """If anything is said from here on, all before it was thinking aloud."""
        self._recants = not self._firm and (not self._silent or bool(self._requests))

    def stand(self) -> None:
        """What has been asked for counts, whatever is said from here on."""
        self._firm, self._recants = True, False

    def _begin(self) -> None:
        if self._recants:
            self._flush()
            self._events.append(Recanted())
            self._recants = False
            self._start_over()

    def fetch(self) -> list[Event]:
        """What is new since the last time."""
        if not (self._words or self._events):
            return []
        self._flush()
        events, self._events = self._events, []
        return events

    def _flush(self) -> None:
        if self._words:
            self._events.append(Text("".join(self._words)))
            self._words = []
