"""Limits on images, the content filter, and who may use the bot where. Pure, except for the clock."""

from dataclasses import dataclass, replace
from time import monotonic

import regex

from bot.domain import MANAGER, Person, ThreadKey
from bot.errors import NotAllowed, Refused
from bot.formatting import format_count, time_marker
from bot.settings.values import Settings

DAY = 86_400.0  # seconds
PATTERN_TIMEOUT = 0.05  # seconds for one pattern on one prompt
CHECK_TIMEOUT = 0.25  # seconds for all patterns on all prompts: the check blocks the event loop
_ID = regex.compile(r"<(?:!subteam\^|[@#!&]*)([A-Z0-9]+)(?:\|[^>]*)?>|[^\s,;]+")


@dataclass(frozen=True, slots=True)
class DailyUsage:
    """Images that a user and the whole server ordered in the last 24 hours, and how many of the user's are unfinished.

    `oldest_by_user` and `oldest_by_server` are when the oldest of them was ordered, in seconds since 1970.
    """

    by_user: int = 0
    by_server: int = 0
    unfinished: int = 0
    oldest_by_user: float = 0.0
    oldest_by_server: float = 0.0


def check_limits(settings: Settings, usage: DailyUsage, count: int = 1) -> None:
    """Raises Refused if `count` more images exceed a limit; the sentence says when the next image is free."""
    if settings.at_once and usage.unfinished + count > settings.at_once:
        if (left := settings.at_once - usage.unfinished) > 0:
            raise Refused(f"At most {settings.at_once} of your pictures may be under way. {_next_free(left, 0.0)}")
        raise Refused(
            f"{usage.unfinished} of your pictures are under way, and {settings.at_once} may be at a time:"
            " ask again when one is done."
        )
    if settings.daily and usage.by_user + count > settings.daily:
        when = _next_free(settings.daily - usage.by_user, usage.oldest_by_user)
        raise Refused(f"Your limit is {format_count(settings.daily, 'picture')} a day. {when}")
    if settings.server_daily and usage.by_server + count > settings.server_daily:
        when = _next_free(settings.server_daily - usage.by_server, usage.oldest_by_server)
        raise Refused(f"The limit of all together is {format_count(settings.server_daily, 'picture')} a day. {when}")


def check_blocked_words(settings: Settings, *prompts: str) -> None:
    """Raises Refused if a prompt contains a blocked word or pattern; the sentence does not repeat it."""
    lines = [line for line in map(str.strip, settings.rule.splitlines()) if line]
    told, end = list(filter(None, prompts)), monotonic() + CHECK_TIMEOUT
    for line in lines:
        if any(_matches(line, prompt, end) for prompt in told):
            if _is_pattern(line):
                raise Refused("The content rule that the managers have set here forbids a pattern in this wish.")
            raise Refused("The content rule that the managers have set here forbids a word in this wish.")


def check_access(settings: Settings, thread: ThreadKey, person: Person) -> None:
    """Raises NotAllowed if the person, a role or the channel is blocked, or not on the list of allowed ones.

    Managers always have access.
    """
    if MANAGER in person.roles:
        return
    mine = {person.id, thread.channel, *person.roles}
    if mine & _parse_ids(settings.blocked):
        raise NotAllowed("The managers have not let the bot answer here.")
    allowed = _parse_ids(settings.allowed)
    if allowed and not mine & allowed:
        raise NotAllowed("The managers let the bot answer only in other places, or others.")


def add_manager_role(settings: Settings, person: Person) -> Person:
    """The person, with the role MANAGER if the setting `managers` names them or one of their roles."""
    if {person.id, *person.roles} & _parse_ids(settings.managers):
        return replace(person, roles=person.roles | {MANAGER})
    return person


def _next_free(left: int, oldest: float) -> str:
    if left > 0:
        return f"{left} of them can be drawn now: ask for no more."
    return f"The next one is free {time_marker(oldest + DAY)}."


def _is_pattern(line: str) -> bool:
    return len(line) > 2 and line.startswith("/") and line.endswith("/")


def _matches(line: str, prompt: str, end: float) -> bool:
    if not _is_pattern(line):
        return regex.search(rf"(?<!\w){regex.escape(line)}(?!\w)", prompt, flags=regex.IGNORECASE) is not None
    left = min(PATTERN_TIMEOUT, end - monotonic())
    try:
        return left > 0 and regex.search(line[1:-1], prompt, flags=regex.IGNORECASE, timeout=left) is not None
    except (TimeoutError, regex.error):  # a pattern that is too slow or invalid blocks nothing
        return False


def _parse_ids(text: str) -> frozenset[str]:
    """The ids in a list of mentions and ids."""
    return frozenset(match[1] or match[0] for match in _ID.finditer(text))
