"""The values of slash commands and settings: what is asked, what is answered, what can be chosen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bot.abilities import Refining
from bot.domain import Person, ThreadKey


class Scope(StrEnum):
    """Where a setting holds. A narrower scope wins over a wider one."""

    SERVER = "server"
    CATEGORY = "category"  # of channels, where a platform has such
    CHANNEL = "channel"
    THREAD = "thread"
    PERSON = "me"


class Where(StrEnum):
    """Where a question asked in a channel is answered."""

    THREAD = "thread"
    IN_PLACE = "in place"


class Unasked(StrEnum):
    """What is answered although the bot was not mentioned."""

    THREADS = "threads"  # whatever is said in its threads, and replies to pictures
    PICTURES = "pictures"  # replies to pictures
    NEVER = "never"


class Changers(StrEnum):
    """Who may choose what holds for others."""

    OWNERS = "owners"
    MANAGERS = "managers"
    EVERYONE = "everyone"


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for one person in one thread.

    An empty `chat_model`, `picture_model`, `style` or `ratio` is the usual one. `rule` are the words and patterns that
    no prompt may hold, one a line. `allowed` and `blocked` name channels, roles and people, `managers` who manages
    besides those whom the platform names. `daily`, `server_daily` and `at_once` are numbers of pictures, 0 for as many
    as one likes.
    """

    chat_model: str = ""
    picture_model: str = ""
    style: str = ""
    ratio: str = ""
    count: int = 1
    refine: Refining = Refining.OFF
    persona: str = ""
    language: str = "en"
    answer: Where = Where.THREAD
    unasked: Unasked = Unasked.THREADS
    previews: bool = True
    describe: bool = False
    metadata: bool = True
    rule: str = ""
    allowed: str = ""
    blocked: str = ""
    managers: str = ""
    daily: int = 0
    server_daily: int = 0
    at_once: int = 0
    changers: Changers = Changers.MANAGERS


@dataclass(frozen=True, slots=True)
class Field:
    """A setting as it is shown: `value` is what holds, `source` says where that comes from.

    `choices` are all that it can be; without any it is free text of at most `longest` characters, or a whole number
    from 0 to `highest` if that is not 0.
    """

    key: str
    title: str
    about: str
    value: str
    source: str
    choices: tuple[str, ...] = ()
    longest: int = 0
    highest: int = 0


@dataclass(frozen=True, slots=True)
class Panel:
    """The settings of one scope, to be looked at and changed; `in_category` tells whether there is that scope, too."""

    scope: Scope
    fields: tuple[Field, ...]
    in_category: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """A slash command. `thread` is where it was given."""

    id: str
    thread: ThreadKey
    author: Person
    name: str
    arguments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Paper:
    """A file that goes with an answer; `alt` says what is to be seen, if it is a picture."""

    name: str
    data: bytes
    alt: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command comes to: a text for whoever gave it, and what goes with it."""

    text: str
    panel: Panel | None = None
    paper: Paper | None = None
