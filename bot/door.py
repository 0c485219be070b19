"""Checks a message before it is recorded: its form, who may write it, blocked words and limits."""

from collections.abc import Sequence

from bot.conversation.permissions import check_number, check_place, check_words
from bot.domain import ImageRequest, Message, Person, ThreadKey
from bot.errors import NotFound, Refused
from bot.settings.values import Settings
from bot.storage.store import Store

MOST_UPLOADS = 4  # images in one message


def admit(message: Message, requests: Sequence[ImageRequest], store: Store, settings: Settings, longest: int) -> None:
    """Raises Refused if the message cannot be accepted.

    `max_length` is in characters. `requests` are the image requests of a message that needs no chat model.
    """
    if not message.text and not message.uploads:
        raise Refused("The message is empty: say what to draw, or ask something.")
    if len(message.text) > longest:
        raise Refused(f"A message may have {longest:,} characters; this one has {len(message.text):,}.")
    if len(message.uploads) > MOST_UPLOADS:
        raise Refused(f"A message may bring {MOST_UPLOADS} pictures; this one has {len(message.uploads)}.")
    if message.about is not None and store.picture(message.thread, message.about) is None:
        raise NotFound(f"There is no picture #{message.about} in this thread.")
    check_place(settings, message.thread, message.author)
    check_words(settings, *(request.prompt for request in requests))
    check_quota(store, settings, message.thread, message.author, len(requests))


def check_quota(store: Store, settings: Settings, thread: ThreadKey, author: Person, wanted: int) -> None:
    """Raises Refused if `wanted` more images would exceed a limit of the user or the server."""
    if wanted and (settings.daily or settings.server_daily or settings.at_once):
        check_number(settings, store.jobs.used_today(thread, author.id), wanted)
