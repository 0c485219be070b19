"""Checks a message before it is recorded: its form, who may use the bot where, the content filter and the limits."""

from collections.abc import Sequence
from time import monotonic

import regex

from bot.domain import MANAGER, MAX_UPLOADS, ImageRequest, Message, Person, ThreadKey
from bot.errors import NotAllowed, NotFound, Refused
from bot.notices import notice
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
        raise Refused("message-empty")
    if len(message.text) > max_length:
        raise Refused("message-too-long", maximum=max_length, length=len(message.text))
    if len(message.uploads) > MAX_UPLOADS:
        raise Refused("too-many-uploads", maximum=MAX_UPLOADS, number=len(message.uploads))
    if message.about is not None and store.picture(message.thread, message.about) is None:
        raise NotFound("no-such-image", number=message.about)
    check_access(settings, message.thread, message.author)
    check_blocked_words(settings, *(request.prompt for request in requests))
    check_quota(store, settings, message.thread, message.author, len(requests))


def check_quota(store: Store, settings: Settings, thread: ThreadKey, author: Person, wanted: int) -> None:
    """Raises Refused if `wanted` more images would exceed a limit of the user or the server."""
    if wanted and (settings.daily_limit or settings.server_daily_limit or settings.max_concurrent):
        check_limits(settings, store.jobs.usage_today(thread, author.id), wanted)


def check_limits(settings: Settings, usage: DailyUsage, count: int = 1) -> None:
    """Raises Refused if `count` more images exceed a limit; the message says when the next image is free."""
    if settings.max_concurrent and usage.unfinished + count > settings.max_concurrent:
        if (left := settings.max_concurrent - usage.unfinished) > 0:
            raise Refused("concurrent-limit-left", maximum=settings.max_concurrent, count=left)
        raise Refused("concurrent-limit", count=usage.unfinished, maximum=settings.max_concurrent)
    if settings.daily_limit and usage.by_user + count > settings.daily_limit:
        limit = notice("images", count=settings.daily_limit)
        if (left := settings.daily_limit - usage.by_user) > 0:
            raise Refused("daily-limit-left", limit=limit, left=left)
        raise Refused("daily-limit", limit=limit, free=usage.oldest_by_user + DAY)
    if settings.server_daily_limit and usage.by_server + count > settings.server_daily_limit:
        limit = notice("images", count=settings.server_daily_limit)
        if (left := settings.server_daily_limit - usage.by_server) > 0:
            raise Refused("server-daily-limit-left", limit=limit, left=left)
        raise Refused("server-daily-limit", limit=limit, free=usage.oldest_by_server + DAY)


def check_blocked_words(settings: Settings, *prompts: str) -> None:
    """Raises Refused if a prompt contains a blocked word or pattern; the message does not repeat it."""
    lines = [line for line in map(str.strip, settings.blocked_words.splitlines()) if line]
    checked, end = list(filter(None, prompts)), monotonic() + CHECK_TIMEOUT
    for line in lines:
        if any(_matches(line, prompt, end) for prompt in checked):
            if _is_pattern(line):
                raise Refused("blocked-pattern")
            raise Refused("blocked-word")


def check_access(settings: Settings, thread: ThreadKey, person: Person) -> None:
    """Raises NotAllowed if the person, a role or the channel is blocked, or not on the list of allowed ones.

    Managers always have access.
    """
    if MANAGER in person.roles:
        return
    mine = {person.id, thread.channel, *person.roles}
    if mine & parse_ids(settings.blocked):
        raise NotAllowed("blocked-here")
    allowed = parse_ids(settings.allowed)
    if allowed and not mine & allowed:
        raise NotAllowed("not-enabled")


def check_owner_or_manager(person: Person, owner: Person) -> None:
    """Raises Refused unless the person is the owner or a manager."""
    if person.id != owner.id and MANAGER not in person.roles:
        raise Refused("only-owner", name=owner.name or notice("somebody-else"))


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
