"""Parser state: the open construct, the result of a construct that ended, and the transition to the next zone."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bot.domain import ImageRequest, Operation
from bot.parsing.image_request import MAX_PROMPT_LENGTH
from bot.parsing.patterns import Zone
from bot.utterance import RequestOrigin


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
