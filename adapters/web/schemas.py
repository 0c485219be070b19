"""Converts the JSON of the web API to domain values; invalid input raises Refused with a sentence. Pure."""

import base64
import binascii
import re
import uuid
from typing import Any

from bot.domain import (
    HIGHEST_SEED,
    MANAGER,
    OWNER,
    Action,
    ButtonPress,
    ImageRequest,
    ImagineCommand,
    Message,
    Operation,
    Person,
    ThreadKey,
)
from bot.errors import NotFound, Refused
from bot.region import parse_polygon
from bot.settings.values import Command

PLATFORM = "web"
LONGEST_NAME = 60  # characters
LONGEST_ARGUMENT = 10_000
LONGEST_NEGATIVE = 500
LONGEST_MODEL = 200
MOST_ARGUMENTS = 10
_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_JOB = re.compile(r"[A-Za-z0-9-]{1,64}\.[0-9]{1,4}")
_NUMBER = re.compile(r"[0-9]{1,9}")
_NAME = re.compile(r"[a-z_]{1,40}")
_OLD_KEYS = {"ratio": "aspect_ratio", "negative": "negative_prompt"}
_RATIO = re.compile(r"[1-9][0-9]?:[1-9][0-9]?")


def thread_key(thread_id: str) -> ThreadKey:
    """Return the key of the thread with this id. Raises NotFound if the id is not valid."""
    if not _ID.fullmatch(thread_id):
        raise NotFound("There is no such thread.")
    return ThreadKey(PLATFORM, "local", "page", thread_id)


def message(thread: ThreadKey, body: Any) -> Message:
    """Parse a posted message. Raises Refused."""
    fields = _fields(body)
    about = fields.get("about")
    if about is not None and (not isinstance(about, int) or not _NUMBER.fullmatch(str(about))):
        raise Refused("'about' must be the number of a picture, or null.")
    region = _string(fields, "region") or _string(fields, "part")
    if region and about is None:
        raise Refused("'region' marks a region of the image that the message is about: it needs 'about'.")
    if region:
        _check_region(region)
    pictures = fields.get("pictures") or []
    if not isinstance(pictures, list):
        raise Refused("'pictures' must be a list of base64 texts.")
    return Message(
        id=_event_id(fields),
        thread=thread,
        author=author(fields),
        text=_string(fields, "text"),
        uploads=tuple(map(_decode_picture, pictures)),
        about=about,
        region=region,
    )


def _check_region(region: str) -> None:
    try:
        parse_polygon(region)
    except ValueError as error:
        raise Refused(str(error)) from None


def button(thread: ThreadKey, body: Any) -> ButtonPress:
    """Parse a button press. Raises Refused."""
    fields = _fields(body)
    actions = [action.value for action in Action]
    if fields.get("action") not in actions:
        raise Refused(f"'action' must be one of {', '.join(actions)}.")
    target = fields.get("target")
    action = Action(fields["action"])
    known = _JOB if action is Action.CANCEL else _ID if action in (Action.STOP, Action.RETRY) else _NUMBER
    if not isinstance(target, str | int) or isinstance(target, bool) or not known.fullmatch(str(target)):
        raise Refused("'target' must be the target of a button.")
    return ButtonPress(_event_id(fields), thread, author(fields), action, str(target))


def command(thread: ThreadKey, body: Any) -> Command:
    """Parse a slash command. Raises Refused."""
    fields = _fields(body)
    name, given = fields.get("name"), fields.get("arguments") or {}
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise Refused("'name' must be the name of a command.")
    if not isinstance(given, dict) or len(given) > MOST_ARGUMENTS:
        raise Refused(f"'arguments' must be an object of at most {MOST_ARGUMENTS} texts.")
    for key in given:
        if not _NAME.fullmatch(key):
            raise Refused("An argument's name must be 1 to 40 small letters and underscores.")
        _check_length(key, _string(given, key), LONGEST_ARGUMENT)
    told = {key: _string(given, key) for key in given}
    return Command(_event_id(fields), thread, author(fields), name, told)


def imagine(thread: ThreadKey, body: Any) -> ImagineCommand:
    """Parse `/imagine`: images requested without the chat model. Raises Refused."""
    fields = _fields(body)
    fields = {_OLD_KEYS.get(name, name): value for name, value in fields.items()}
    ratio, model, negative = (_string(fields, name).strip() for name in ("aspect_ratio", "model", "negative_prompt"))
    if ratio and not _RATIO.fullmatch(ratio):
        raise Refused("'aspect_ratio' must be width to height, such as 3:2.")
    _check_length("model", model, LONGEST_MODEL)
    _check_length("negative_prompt", negative, LONGEST_NEGATIVE)
    request = ImageRequest(
        0, Operation.GENERATE, " ".join(_string(fields, "prompt").split()), ratio=ratio, model=model,
        seed=_whole_number(fields, "seed", HIGHEST_SEED), negative=negative,
    )  # fmt: skip
    return ImagineCommand(_event_id(fields), thread, author(fields), request, _whole_number(fields, "count", 99))


def author(fields: dict[str, Any]) -> Person:
    """Return the author with the name that the request gives, or `Guest`."""
    name = " ".join(_string(fields, "author").split())[:LONGEST_NAME] or "Guest"
    return Person(name, name, frozenset({MANAGER, OWNER}))  # anyone who can open the page is taken for the operator


def new_id() -> str:
    """Return a new id for a request without one."""
    return uuid.uuid4().hex


def _fields(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise Refused("The body must be a JSON object.")
    return body


def _event_id(fields: dict[str, Any]) -> str:
    """Return the id of the request, which identifies a repeated request, or a new id."""
    given = fields.get("id") or new_id()
    if not isinstance(given, str) or not _ID.fullmatch(given):
        raise Refused("'id' must be 1 to 64 letters, digits and hyphens.")
    return given


def _string(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name) or ""
    if not isinstance(value, str):
        raise Refused(f"'{name}' must be a text.")
    return value.encode("utf-8", "replace").decode()  # replaces lone surrogates, which UTF-8 cannot encode


def _whole_number(fields: dict[str, Any], name: str, highest: int) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= highest:
        raise Refused(f"'{name}' must be a whole number from 0 to {highest:,}, or null.")
    return value


def _check_length(name: str, value: str, longest: int) -> None:
    if len(value) > longest:
        raise Refused(f"'{name}' may have {longest:,} characters; this has {len(value):,}.")


def _decode_picture(picture: Any) -> bytes:
    try:
        return base64.b64decode(picture, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise Refused("A picture must be sent as base64 of the whole file.") from None
