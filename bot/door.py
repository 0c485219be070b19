"""Checks a message before it is recorded: its form, who may write it, blocked words and limits."""

from collections.abc import Sequence

from bot.conversation.permissions import check_access, check_blocked_words, check_limits
from bot.domain import ImageRequest, Message, Person, ThreadKey
from bot.errors import NotFound, Refused
from bot.settings.values import Settings
from bot.storage.store import Store

MAX_UPLOADS = 4  # images in one message


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
