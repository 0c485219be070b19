"""The JSON of the web API -> values. Pure; whatever does not fit is refused with a sentence."""

import base64
import binascii
import re
import uuid
from typing import Any

from bot.domain import MANAGER, Action, ButtonPress, Message, Person, ThreadKey
from bot.errors import NotFound, Refused

PLATFORM = "web"
LONGEST_NAME = 60  # characters
_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_JOB = re.compile(r"[A-Za-z0-9-]{1,64}\.[0-9]{1,4}")
_NUMBER = re.compile(r"[0-9]{1,9}")


def thread_key(thread_id: str) -> ThreadKey:
    """The thread with this id; raises NotFound for what cannot be one."""
    if not _ID.fullmatch(thread_id):
        raise NotFound("There is no such thread.")
    return ThreadKey(PLATFORM, "local", "page", thread_id)


def message(thread: ThreadKey, body: Any) -> Message:
    """A posted message. Raises Refused."""
    fields = _object(body)
    about = fields.get("about")
    if about is not None and (not isinstance(about, int) or not _NUMBER.fullmatch(str(about))):
        raise Refused("'about' must be the number of a picture, or null.")
    pictures = fields.get("pictures") or []
    if not isinstance(pictures, list):
        raise Refused("'pictures' must be a list of base64 texts.")
    return Message(
        id=_identity(fields),
        thread=thread,
        author=_author(fields),
        text=_string(fields, "text"),
        uploads=tuple(map(_bytes, pictures)),
        about=about,
    )


def button(thread: ThreadKey, body: Any) -> ButtonPress:
    """A pressed button. Raises Refused."""
    fields = _object(body)
    actions = [action.value for action in Action]
    if fields.get("action") not in actions:
        raise Refused(f"'action' must be one of {', '.join(actions)}.")
    target = fields.get("target")
    action = Action(fields["action"])
    known = _JOB if action is Action.CANCEL else _ID if action in (Action.STOP, Action.RETRY) else _NUMBER
    if not isinstance(target, str | int) or isinstance(target, bool) or not known.fullmatch(str(target)):
        raise Refused("'target' must be the target of a button.")
    return ButtonPress(_identity(fields), thread, _author(fields), action, str(target))


def _object(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise Refused("The body must be a JSON object.")
    return body


def _identity(fields: dict[str, Any]) -> str:
    """The sender's own id, so that a repeated request is known, or a new one."""
    given = fields.get("id") or uuid.uuid4().hex
    if not isinstance(given, str) or not _ID.fullmatch(given):
        raise Refused("'id' must be 1 to 64 letters, digits and hyphens.")
    return given


def _author(fields: dict[str, Any]) -> Person:
    name = " ".join(_string(fields, "author").split())[:LONGEST_NAME] or "Guest"
    return Person(name, name, frozenset({MANAGER}))  # whoever can open the page runs the bot


def _string(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name) or ""
    if not isinstance(value, str):
        raise Refused(f"'{name}' must be a text.")
    return value.encode("utf-8", "replace").decode()  # a lone surrogate is no text


def _bytes(picture: Any) -> bytes:
    try:
        return base64.b64decode(picture, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise Refused("A picture must be sent as base64 of the whole file.") from None
