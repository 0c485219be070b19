"""Checks a message before it is recorded: its form, who may use the bot where, the content filter and the limits."""

from collections.abc import Sequence
from time import monotonic

import regex

from bot.domain import MANAGER, MAX_UPLOADS, ImageRequest, Message, Person, ThreadKey
from bot.errors import NotAllowed, NotFound, Refused
from bot.formatting import format_count, time_marker
from bot.settings.roles import parse_ids
from bot.settings.values import Settings
from bot.storage.store import Store
from bot.storage.usage import DAY, DailyUsage

PATTERN_TIMEOUT = 0.05  # seconds for one pattern on one prompt
CHECK_TIMEOUT = 0.25  # seconds for all patterns on all prompts: the check blocks the event loop


def check_message(
    message: Message, requests: Sequence[ImageRequest], store: Store, settings: Settings, max_length: int
) -> None:
    """Raises Refused if the message cannot be accepted.

    `max_length` is in characters. `requests` are the image requests of a message that needs no chat model.
    """
    if not message.text and not message.uploads:
        raise Refused("The message is empty: say what to draw, or ask something.")
    if len(message.text) > max_length:
        raise Refused(f"A message may have {max_length:,} characters; this one has {len(message.text):,}.")
    if len(message.uploads) > MAX_UPLOADS:
        raise Refused(f"A message may bring {MAX_UPLOADS} pictures; this one has {len(message.uploads)}.")
    if message.about is not None and store.picture(message.thread, message.about) is None:
        raise NotFound(f"There is no picture #{message.about} in this thread.")
    check_access(settings, message.thread, message.author)
    check_blocked_words(settings, *(request.prompt for request in requests))
    check_quota(store, settings, message.thread, message.author, len(requests))


def check_quota(store: Store, settings: Settings, thread: ThreadKey, author: Person, wanted: int) -> None:
    """Raises Refused if `wanted` more images would exceed a limit of the user or the server."""
    if wanted and (settings.daily or settings.server_daily or settings.at_once):
        check_limits(settings, store.jobs.usage_today(thread, author.id), wanted)


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
    if mine & parse_ids(settings.blocked):
        raise NotAllowed("The managers have not let the bot answer here.")
    allowed = parse_ids(settings.allowed)
    if allowed and not mine & allowed:
        raise NotAllowed("The managers let the bot answer only in other places, or others.")


def check_owner_or_manager(person: Person, owner: Person) -> None:
    """Raises Refused unless the person is the owner or a manager."""
    if person.id != owner.id and MANAGER not in person.roles:
        raise Refused(f"Only {owner.name}, who asked for it, and managers can do this.")


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
