"""What is being read and may yet turn out to be something else, and what comes of it: values for the parser's parts."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bot.domain import ImageRequest, Operation
from bot.markup import Zone
from bot.utterance import Way
from bot.wishes import LONGEST_PROMPT


@dataclass(slots=True)
class Opened:
    """What is being read and may yet turn out to be something else: `raw` is all of it as it was written."""

    operation: Operation = Operation.GENERATE
    name: str = ""
    raw: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)  # what the zone has gathered
    size: int = 0  # characters gathered
    blank: bool = True  # so far they are white space
    limit: int = 0  # characters after which it is taken for something else; 0 for never
    given: dict[str, str] = field(default_factory=dict)  # the attributes of a tag
    way: Way = Way.TAG
    spoken_of: bool = False  # the words in front of a tag sound as if it was only mentioned
    pair: str = ""  # with this behind it a tag is in quotes or in brackets, and so is only mentioned
    line: bool = False  # the end of the line closes it
    reopened: bool = False  # it began inside another one, and so may have been meant to close that
    weak: bool = False  # a call that only looks like one
    depth: int = 0  # brackets that are open in a call
    quote: str = ""  # the quotation mark that is open, or the backticks of a block of code
    embed: bool | None = None  # an address stands in `![...](...)`, in `[...](...)`, or, if None, alone
    before: str = ""  # what was written in front of it
    behind: Callable[..., Any] | None = None  # matches what goes with it and follows when it is over

    def has_room(self, text: str) -> bool:
        """Whether with this text as well it need not be taken for something else."""
        return not self.limit or self.size + len(text) < self.limit

    def gather(self, text: str) -> None:
        """Keep the text, as far as there is room."""
        room = (self.limit or LONGEST_PROMPT) - self.size
        self.size += len(text)
        if room > 0:
            self.blank = self.blank and text.isspace()
            self.kept.append(text[:room])
            self.raw.append(text[:room])

    def begin_body(self, limit: int = 0) -> None:
        """The attributes are read, the words between the tags come now."""
        self.kept, self.size, self.blank, self.limit = [], 0, True, limit


@dataclass(frozen=True, slots=True)
class Outcome:
    """What something says now that it is over, in this order: words, requests, and text to be read once more."""

    said: str = ""
    asked: tuple[ImageRequest, ...] = ()
    again: str = ""
    way: Way = Way.TAG


@dataclass(frozen=True, slots=True)
class Step:
    """Where to go on, in which zone, with what open; with an `outcome` if what was open is over.

    A line may begin `anew` there. What `recants` says that all before it was thinking aloud.
    """

    at: int
    zone: Zone = Zone.TEXT
    opened: Opened | None = None
    outcome: Outcome | None = None
    anew: bool = False
    recants: bool = False
