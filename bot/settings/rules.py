"""The rules of the settings: choices, scopes, who may change them, and which value applies. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import regex

from bot.capabilities import Refining
from bot.domain import MANAGER, OWNER, Person, ThreadKey
from bot.errors import Refused
from bot.i18n import LANGUAGES
from bot.settings.styles import STYLES
from bot.settings.values import Changers, Field, Scope, Settings, Unasked, Where

RATIOS = ("1:1", "3:2", "2:3", "4:3", "3:4", "16:9", "9:16", "2:1")
MOST_PICTURES = 4  # images of one /imagine
LONGEST_PERSONA = 2_000  # characters
LONGEST_LIST = 2_000  # characters
MOST_A_DAY = 100_000
WIDEST_FIRST = tuple(Scope)
OF_PLACES = (Scope.SERVER, Scope.CATEGORY, Scope.CHANNEL, Scope.THREAD)
OF_MANAGERS = (Scope.SERVER, Scope.CATEGORY, Scope.CHANNEL)
GUARDED = frozenset({"rule", "daily", "at_once"})  # a choice for a channel would override the server's
USUAL = "usual"  # stands for the default where that has no name of its own

Values = Mapping[Scope, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Models:
    """The names of the chat models, image models and styles that users can choose."""

    chat: tuple[str, ...] = ()
    picture: tuple[str, ...] = ()
    styles: tuple[str, ...] = tuple(STYLES)


@dataclass(frozen=True, slots=True)
class Key:
    """The definition of a setting. `choices` returns its values, given the available models.

    Without choices it is a whole number from 0 to `maximum`, or free text of at most `max_length` characters if
    `maximum` is 0. `parse` turns the stored text into the value.
    """

    name: str
    title: str
    about: str
    choices: Callable[[Models], Sequence[str]] | None = None
    scopes: tuple[Scope, ...] = WIDEST_FIRST
    read: Callable[[str], Any] = str
    longest: int = 0
    highest: int = 0


def _among(choices: Sequence[str]) -> Callable[[Models], Sequence[str]]:
    return lambda models: tuple(map(str, choices))


def _is_on(value: str) -> bool:
    return value == "on"


_TABLE = (
    Key("chat_model", "Chat model", "Who answers.", lambda models: (USUAL, *models.chat)),
    Key("picture_model", "Picture model", "Who draws.", lambda models: (USUAL, *models.picture)),
    Key("style", "Style", "What new pictures look like.", lambda models: (USUAL, *models.styles)),
    Key("ratio", "Shape", "Width to height of new pictures.", _among((USUAL, *RATIOS))),
    Key(
        "count",
        "Pictures of a wish",
        "How many pictures /imagine draws.",
        _among([str(number + 1) for number in range(MOST_PICTURES)]),
        read=int,
    ),
    Key(
        "refine",
        "Refine wishes",
        "Whether the chat model turns a wish into a better prompt: never, where it helps, or always.",
        _among(list(Refining)),
        read=Refining,
    ),
    Key(
        "persona",
        "Persona",
        "Who the bot is in its talk, in plain sentences.",
        scopes=OF_PLACES,
        longest=LONGEST_PERSONA,
    ),
    Key(
        "language",
        "Language",
        "The language of the bot's own words; the chat model speaks as it is spoken to.",
        _among(list(LANGUAGES)),
    ),
    Key(
        "answer",
        "Answers",
        "Whether a question in a channel is answered in a thread or in place; on Slack always in a thread.",
        _among(list(Where)),
        OF_MANAGERS,
        Where,
    ),
    Key(
        "unasked",
        "Answer without a mention",
        "What is answered although nobody mentioned the bot, where a reply that pings it is a mention.",
        _among(list(Unasked)),
        OF_PLACES,
        Unasked,
    ),
    Key(
        "previews", "Previews", "Whether pictures are shown while they come about.", _among(("on", "off")), read=_is_on
    ),
    Key(
        "describe",
        "Describe pictures",
        "Whether a chat model that sees describes each picture for those who do not.",
        _among(("on", "off")),
        read=_is_on,
    ),
    Key(
        "metadata",
        "Prompt in files",
        "Whether a picture's file holds prompt and seed; that a model made it, it always says.",
        _among(("on", "off")),
        read=_is_on,
    ),
    Key(
        "rule",
        "Content rule",
        "Words that no prompt may hold, one a line; a line between slashes is a pattern, as in /gr[ae]y/.",
        scopes=OF_MANAGERS,
        longest=LONGEST_LIST,
    ),
    Key(
        "allowed",
        "Allowed",
        "Channels, roles, user groups and people, by mention or id: if there are any, nobody else is answered.",
        scopes=(Scope.SERVER,),
        longest=LONGEST_LIST,
    ),
    Key(
        "blocked",
        "Blocked",
        "Channels, roles, user groups and people, by mention or id, that are not answered.",
        scopes=(Scope.SERVER,),
        longest=LONGEST_LIST,
    ),
    Key(
        "managers",
        "Managers",
        "Roles, user groups and people, by mention or id, that manage here besides those whom the platform names.",
        scopes=(Scope.SERVER,),
        longest=LONGEST_LIST,
    ),
    Key(
        "daily",
        "Pictures a day and person",
        "How many pictures one person may have drawn in 24 hours; 0 is as many as one likes.",
        scopes=OF_MANAGERS,
        read=int,
        highest=MOST_A_DAY,
    ),
    Key(
        "server_daily",
        "Pictures a day",
        "How many pictures all people together may have drawn in 24 hours; 0 is as many as they like.",
        scopes=(Scope.SERVER,),
        read=int,
        highest=MOST_A_DAY,
    ),
    Key(
        "at_once",
        "Pictures at once",
        "How many pictures of one person may wait or be drawn at a time; 0 is as many as one likes.",
        scopes=OF_MANAGERS,
        read=int,
        highest=MOST_A_DAY,
    ),
    Key(
        "changers",
        "Who may change settings",
        "Whether owners, managers or everyone may change what holds for a channel; rule and limits stay with managers.",
        _among(list(Changers)),
        (Scope.SERVER,),
        Changers,
    ),
)
KEYS = MappingProxyType({key.name: key for key in _TABLE})


def address(scope: Scope, thread: ThreadKey, person: str, category: str = "") -> str:
    """The key under which the values of this scope are stored; `category` is that of the thread's channel."""
    match scope:
        case Scope.SERVER:
            return f"{thread.platform}/{thread.space}"
        case Scope.CATEGORY:
            return f"{thread.platform}/{thread.space}#{category}"
        case Scope.CHANNEL:
            return f"{thread.platform}/{thread.space}/{thread.channel}"
        case Scope.THREAD:
            return str(thread)
        case Scope.PERSON:
            return f"{thread.platform}:{person}"


def resolved(values: Values, defaults: Settings) -> Settings:
    """The settings that apply: a value of the narrowest scope that has one and may set it, or else the default."""
    chosen = {
        name: KEYS[name].read(value)
        for scope in WIDEST_FIRST
        for name, value in values.get(scope, {}).items()
        if name in KEYS and scope in KEYS[name].scopes
    }
    return replace(defaults, **chosen)


def shown(scope: Scope, values: Values, defaults: Settings, models: Models) -> tuple[Field, ...]:
    """The settings of a scope as fields, with the value that applies there now and its source."""
    return tuple(_field(key, scope, values, defaults, models) for key in KEYS.values() if scope in key.scopes)


def checked(name: str, value: str, scope: Scope, models: Models) -> str:
    """The value as it is stored. Raises Refused for an unknown setting, or a value that is invalid in this scope."""
    key = known(name, scope)
    value = value.strip()
    if key.choices is not None:
        choices = key.choices(models)
        if value not in choices:
            raise Refused(f"{key.title} can be {', '.join(choices)}; not {value[:50]!r}.")
        return "" if value == USUAL else value
    if key.highest:
        if not re.fullmatch(r"\d{1,9}", value, re.ASCII) or int(value) > key.highest:
            raise Refused(f"{key.title} must be a whole number from 0 to {key.highest:,}, not {value[:50]!r}.")
        return str(int(value))
    if len(value) > key.longest:
        raise Refused(f"{key.title} may have {key.longest:,} characters; this has {len(value):,}.")
    if name == "rule":
        _check_patterns(value)
    return value


def known(name: str, scope: Scope) -> Key:
    """The setting with this name. Raises Refused if it is unknown or not available in this scope."""
    key = KEYS.get(name)
    if key is None:
        raise Refused(f"There is no setting {name[:50]!r}; there is {', '.join(KEYS)}.")
    if scope not in key.scopes:
        raise Refused(f"{key.title} can be set for {', '.join(key.scopes)}, not for {scope}.")
    return key


def spelled(value: object) -> str:
    """The value of a setting as it is stored and displayed."""
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def check_rights(person: Person, scope: Scope, changers: Changers = Changers.MANAGERS, name: str = "") -> None:
    """Raises Refused if the person may not change this setting in this scope. An empty name means all settings."""
    if OWNER in person.roles or scope in (Scope.PERSON, Scope.THREAD):
        return
    if changers is Changers.OWNERS:
        raise Refused(f"Only owners can change the settings of the {scope}. Your own you can set for `me`.")
    if MANAGER in person.roles:
        return
    if scope in (Scope.SERVER, Scope.CATEGORY) or changers is Changers.MANAGERS:
        raise Refused(f"Only managers can change the settings of the {scope}. Your own you can set for `me`.")
    if name not in KEYS or name in GUARDED:
        raise Refused("Only managers can change the content rule and the limits.")


def _check_patterns(rule: str) -> None:
    for line in map(str.strip, rule.splitlines()):
        if len(line) > 2 and line.startswith("/") and line.endswith("/"):
            try:
                regex.compile(line[1:-1])
            except regex.error as error:
                raise Refused(f"The pattern {line[:50]!r} cannot be understood: {error}.") from None


def _field(key: Key, scope: Scope, values: Values, defaults: Settings, models: Models) -> Field:
    seen = [each for each in WIDEST_FIRST[: WIDEST_FIRST.index(scope) + 1] if each in key.scopes]
    chosen = [each for each in seen if key.name in values.get(each, {})]
    value = values[chosen[-1]][key.name] if chosen else spelled(getattr(defaults, key.name))
    choices = tuple(map(str, key.choices(models))) if key.choices else ()
    source = str(chosen[-1]) if chosen else "default"
    return Field(
        key.name,
        key.title,
        key.about,
        value or (USUAL if choices else ""),
        source,
        choices,
        key.longest,
        key.highest,
    )
