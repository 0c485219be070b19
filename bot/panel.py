"""The values of slash commands and settings: what is asked, what is answered, what can be chosen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bot.domain import Person, ThreadKey


class Scope(StrEnum):
    """Where a setting holds. A narrower scope wins over a wider one."""

    SERVER = "server"
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


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for one person in one thread. An empty `chat_model`, `picture_model` or `ratio` is the usual one."""

    chat_model: str = ""
    picture_model: str = ""
    ratio: str = ""
    count: int = 1
    persona: str = ""
    answer: Where = Where.THREAD
    unasked: Unasked = Unasked.THREADS


@dataclass(frozen=True, slots=True)
class Field:
    """A setting as it is shown: `value` is what holds, `source` says where that comes from.

    `choices` are all that it can be; without any it is free text of at most `longest` characters.
    """

    key: str
    title: str
    about: str
    value: str
    source: str
    choices: tuple[str, ...] = ()
    longest: int = 0


@dataclass(frozen=True, slots=True)
class Panel:
    """The settings of one scope, to be looked at and changed."""

    scope: Scope
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Command:
    """A slash command. `thread` is where it was given."""

    id: str
    thread: ThreadKey
    author: Person
    name: str
    arguments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command comes to: a text for whoever gave it, and a panel below it."""

    text: str
    panel: Panel | None = None
