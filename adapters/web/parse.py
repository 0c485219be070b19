"""Converts requests of the web API to domain values; invalid input raises Refused with a sentence. Pure."""

import re
from dataclasses import replace
from typing import Any

from adapters.web.schemas import ID, ButtonRequest, CommandRequest, ImagineRequest, MessageRequest, validate
from bot.domain import (
    MANAGER,
    OWNER,
    ButtonPress,
    ImageRequest,
    ImagineCommand,
    Message,
    Operation,
    Person,
    Sampling,
    ThreadKey,
)
from bot.errors import NotFound
from bot.notices import language_of
from bot.settings.values import Command

PLATFORM = "web"
PAGE = ThreadKey(PLATFORM, "local", "page", "")  # the page without a thread
MAX_NAME = 60  # characters


def thread_key(thread_id: str) -> ThreadKey:
    """Return the key of the thread with this id. Raises NotFound if the id is not valid."""
    if not re.fullmatch(ID, thread_id):
        raise NotFound("web-no-thread")
    return replace(PAGE, thread=thread_id)


def message(thread: ThreadKey, body: Any, locale: str = "") -> Message:
    """Parse a posted message. Raises Refused."""
    sent = validate(MessageRequest, body)
    uploads = tuple(sent.pictures)
    return Message(sent.id, thread, person(sent.author, locale), sent.text, uploads, sent.about, region=sent.region)


def button(thread: ThreadKey, body: Any, locale: str = "") -> ButtonPress:
    """Parse a button press. Raises Refused."""
    sent = validate(ButtonRequest, body)
    return ButtonPress(sent.id, thread, person(sent.author, locale), sent.action, sent.target)


def command(thread: ThreadKey, body: Any, locale: str = "") -> Command:
    """Parse a slash command. Raises Refused."""
    sent = validate(CommandRequest, body)
    return Command(sent.id, thread, person(sent.author, locale), sent.name, sent.arguments)


def imagine(thread: ThreadKey, body: Any, locale: str = "") -> ImagineCommand:
    """Parse `/imagine`: images requested without the chat model. Raises Refused."""
    sent = validate(ImagineRequest, body)
    sampling = Sampling(sent.seed, sent.aspect_ratio, sent.negative_prompt, sent.model)
    request = ImageRequest(0, Operation.GENERATE, " ".join(sent.prompt.split()), sampling=sampling)
    return ImagineCommand(sent.id, thread, person(sent.author, locale), request, sent.count)


def person(name: str, locale: str = "") -> Person:
    """Return the user with this name, or `Guest`. Anyone who can open the page counts as the operator."""
    name = " ".join(name.split())[:MAX_NAME] or "Guest"
    return Person(name, name, frozenset({MANAGER, OWNER}), locale)


def accepted_locale(header: str) -> str:
    """Return the first locale of an `Accept-Language` header that the bot has a language for; empty for none."""
    ranked = sorted(map(_weighted, header.split(",")), key=lambda each: -each[0])
    return next((locale for weight, locale in ranked if weight > 0 and language_of(locale)), "")


def _weighted(entry: str) -> tuple[float, str]:
    """Parse an entry such as `de-AT;q=0.8` into its weight and its locale; RFC 9110, 12.5.4."""
    locale, _, weight = entry.partition(";")
    given = re.fullmatch(r"\s*q=([01](?:\.\d{0,3})?)\s*", weight)
    return (float(given[1]) if given else 1.0), locale.strip()
