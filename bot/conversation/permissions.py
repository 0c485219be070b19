"""Limits on images, the content filter, and who may use the bot where. Pure, except for the clock."""

from dataclasses import dataclass, replace
from time import monotonic

import regex

from bot.domain import MANAGER, Person, ThreadKey
from bot.errors import NotLet, Refused
from bot.formatting import count_of, moment
from bot.settings.values import Settings

DAY = 86_400.0  # seconds
LONGEST_LOOK = 0.05  # seconds for one pattern on one prompt
LONGEST_CHECK = 0.25  # seconds for all patterns on all prompts: the check blocks the event loop
_NAMES = regex.compile(r"<(?:!subteam\^|[@#!&]*)([A-Z0-9]+)(?:\|[^>]*)?>|[^\s,;]+")


@dataclass(frozen=True, slots=True)
class Used:
    """Images that a user and the whole server ordered in the last 24 hours, and how many of the user's are unfinished.

    `oldest_by_user` and `oldest_by_server` are when the oldest of them was ordered, in seconds since 1970.
    """

    mine: int = 0
    ours: int = 0
    under_way: int = 0
    next_mine: float = 0.0
    next_ours: float = 0.0


def check_number(settings: Settings, used: Used, wanted: int = 1) -> None:
    """Raises Refused if `count` more images exceed a limit; the sentence says when the next image is free."""
    if settings.at_once and used.under_way + wanted > settings.at_once:
        if (left := settings.at_once - used.under_way) > 0:
            raise Refused(f"At most {settings.at_once} of your pictures may be under way. {_free(left, 0.0)}")
        raise Refused(
            f"{used.under_way} of your pictures are under way, and {settings.at_once} may be at a time:"
            " ask again when one is done."
        )
    if settings.daily and used.mine + wanted > settings.daily:
        when = _free(settings.daily - used.mine, used.next_mine)
        raise Refused(f"Your limit is {count_of(settings.daily, 'picture')} a day. {when}")
    if settings.server_daily and used.ours + wanted > settings.server_daily:
        when = _free(settings.server_daily - used.ours, used.next_ours)
        raise Refused(f"The limit of all together is {count_of(settings.server_daily, 'picture')} a day. {when}")


def check_words(settings: Settings, *prompts: str) -> None:
    """Raises Refused if a prompt contains a blocked word or pattern; the sentence does not repeat it."""
    lines = [line for line in map(str.strip, settings.rule.splitlines()) if line]
    told, end = list(filter(None, prompts)), monotonic() + LONGEST_CHECK
    for line in lines:
        if any(_holds(line, prompt, end) for prompt in told):
            if _is_pattern(line):
                raise Refused("The content rule that the managers have set here forbids a pattern in this wish.")
            raise Refused("The content rule that the managers have set here forbids a word in this wish.")


def check_place(settings: Settings, thread: ThreadKey, person: Person) -> None:
    """Raises NotAllowed if the person, a role or the channel is blocked, or not on the list of allowed ones.

    Managers always have access.
    """
    if MANAGER in person.roles:
        return
    mine = {person.id, thread.channel, *person.roles}
    if mine & _listed(settings.blocked):
        raise NotLet("The managers have not let the bot answer here.")
    allowed = _listed(settings.allowed)
    if allowed and not mine & allowed:
        raise NotLet("The managers let the bot answer only in other places, or others.")


def ranked(settings: Settings, person: Person) -> Person:
    """The person, with the role MANAGER if the setting `managers` names them or one of their roles."""
    if {person.id, *person.roles} & _listed(settings.managers):
        return replace(person, roles=person.roles | {MANAGER})
    return person


def _free(left: int, oldest: float) -> str:
    if left > 0:
        return f"{left} of them can be drawn now: ask for no more."
    return f"The next one is free {moment(oldest + DAY)}."


def _is_pattern(line: str) -> bool:
    return len(line) > 2 and line.startswith("/") and line.endswith("/")


def _holds(line: str, prompt: str, end: float) -> bool:
    if not _is_pattern(line):
        return regex.search(rf"(?<!\w){regex.escape(line)}(?!\w)", prompt, flags=regex.IGNORECASE) is not None
    left = min(LONGEST_LOOK, end - monotonic())
    try:
        return left > 0 and regex.search(line[1:-1], prompt, flags=regex.IGNORECASE, timeout=left) is not None
    except (TimeoutError, regex.error):  # a pattern that is too slow or invalid blocks nothing
        return False


def _listed(text: str) -> frozenset[str]:
    """The ids in a list of mentions and ids."""
    return frozenset(match[1] or match[0] for match in _NAMES.finditer(text))
