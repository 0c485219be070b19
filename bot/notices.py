"""Messages to users as an id of the message catalogs with arguments, and their text in a language.

The catalogs are `prompts/messages/LANGUAGE.toml`. Only the bot's own messages are translated: the chat model answers in
the language of the user by itself.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, lru_cache
from math import ceil
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from babel import Locale
from babel.dates import format_timedelta
from babel.lists import format_list
from babel.numbers import format_decimal, format_percent
from babel.units import format_unit
from pydantic import TypeAdapter, ValidationError

FOLDER = Path(__file__).parent.parent / "prompts" / "messages"
LANGUAGES = MappingProxyType(
    {"en": "English", "de": "Deutsch", "es": "español", "fr": "français", "zh": "中文"}  # codes of CLDR
)
LINES, LIST = "lines", "list"  # ids without an entry in the catalogs: the arguments as lines, or as a list

_GAP = re.compile(r"\{(\w+)(?::(\w+))?\}")

Template = str | Mapping[str, str]  # a text, or the plural forms of `count` by CLDR category


@dataclass(frozen=True, slots=True)
class Notice:
    """A message to users. `arguments` are names and values. An id that no catalog has is shown as it is."""

    id: str
    arguments: tuple[tuple[str, "Argument"], ...] = ()

    def __str__(self) -> str:
        """Return the English text, for logs and the operator."""
        return text(self)


Argument = str | int | float | Notice
UserText = Notice | str  # a string is shown as it is: for example, a reason that an older version stored

_NOTICE = TypeAdapter(Notice)


def notice(id_: str, /, **arguments: Argument) -> Notice:
    """Return the message with this id."""
    return Notice(id_, tuple(arguments.items()))


def lines(several: Iterable[UserText]) -> Notice:
    """Return a message of several lines."""
    return Notice(LINES, tuple((str(nth), each) for nth, each in enumerate(several)))


def listed(several: Iterable[UserText]) -> Notice:
    """Return an argument that is a list, as in `A, B and C`."""
    return Notice(LIST, tuple((str(nth), each) for nth, each in enumerate(several)))


def stored(message: UserText) -> str:
    """Return the message as one string for the database; see `loaded`."""
    return message if isinstance(message, str) else _NOTICE.dump_json(message).decode()


def loaded(text: str) -> UserText:
    """Parse the output of `stored`. Any other string is a text of an older version and stays as it is."""
    try:
        return _NOTICE.validate_json(text) if text.startswith('{"id"') else text
    except ValidationError:
        return text


def language_of(locale: str) -> str:
    """Return the language of the bot for a locale such as `de` or `zh-CN`; empty if there is none."""
    language = re.split("[-_]", locale, maxsplit=1)[0].lower()
    return language if language in LANGUAGES else ""


@cache
def catalog(language: str) -> Mapping[str, Template]:
    """Return the messages of a language by id."""
    return tomllib.loads((FOLDER / f"{language}.toml").read_text(encoding="utf-8"))


def text(message: UserText, language: str = "en") -> str:
    """Return the text of the message; in English for an unknown or empty language."""
    return message if isinstance(message, str) else _text(message, language if language in LANGUAGES else "en")


@lru_cache(maxsize=4096)
def _text(message: Notice, language: str) -> str:
    if message.id in (LINES, LIST):
        parts = [_formatted(value, "", language) for _, value in message.arguments]
        return "\n".join(parts) if message.id == LINES else format_list(parts, locale=language)
    template, arguments = catalog(language).get(message.id, message.id), dict(message.arguments)
    if not isinstance(template, str):
        count = arguments.get("count", 0)
        category = Locale(language).plural_form(count if isinstance(count, int | float) else 0)
        template = template.get(category, template["other"])
    return _GAP.sub(
        lambda gap: _formatted(arguments[gap[1]], gap[2] or "", language) if gap[1] in arguments else gap[0], template
    )


def _formatted(value: Argument, form: str, language: str) -> str:
    """Format an argument. Forms: `id` without grouping, `percent`, `moment` and `wait` in seconds."""
    if not isinstance(value, int | float):
        return text(value, language)
    match form:
        case "id":
            return str(value)
        case "percent":
            return format_percent(value, locale=language)
        case "moment":
            return time_marker(value)
        case "wait":
            return _waiting(value, language)
    return format_decimal(value, locale=language)


def time_marker(seconds: float) -> str:
    """Return a marker for a point in time (seconds since 1970) in a text; each platform formats markers itself."""
    return f"⟦{seconds:.1f}⟧"


def format_estimate(seconds: float, language: str = "en") -> str:
    """Format a duration with the precision of an estimate: 3, 20 or 25 seconds, 2 minutes, 3 hours."""
    return text(notice("about-duration", duration=_duration(seconds, language)), language)


def format_remaining(seconds: float, language: str = "en") -> str:
    """Format a time from now with the precision of an estimate, such as `in about 3 min`."""
    return text(notice("in-about-duration", duration=_duration(seconds, language)), language)


def _duration(seconds: float, language: str) -> str:
    value, unit = max(1, round(seconds)), "second"
    if seconds >= 9.5:
        value = 5 * round(seconds / 5)
    if seconds >= 57.5:
        value, unit = max(1, round(seconds / 60)), "minute"
    if seconds >= 60 * 89.5:
        value, unit = round(seconds / 3600), "hour"
    return format_unit(value, f"duration-{unit}", length="short", locale=language)


def _waiting(seconds: float, language: str) -> str:
    """Format a wait, rounded up to whole seconds, minutes or hours, as in `in 2 minutes`."""
    size: int
    unit: Literal["hour", "minute", "second"]
    size, unit = (3600, "hour") if seconds > 5400 else (60, "minute") if seconds >= 45 else (1, "second")
    wait = timedelta(seconds=size * max(ceil(seconds / size), 1))
    return format_timedelta(wait, granularity=unit, threshold=1000, add_direction=True, locale=language)
