"""Classifies the errors of an images API by how the engine reacts to them. Pure.

Servers word the same error differently. Their messages are only searched, never shown or logged: a message may contain
the prompt or the key.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import httpx2
import openai

from bot.formatting import error_text, parse_retry_after
from bot.notices import Notice, notice
from render.images_api.request import OPTIONAL_PARAMETERS, Size


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """An error response of a server. `status` is None for an error event of a stream; `retry_after` is in seconds."""

    status: int | None
    code: str = ""
    parameter: str = ""
    message: str = ""
    retry_after: float | None = None

    @property
    def loggable_code(self) -> str:
        """Code and parameter for the log; left out if they do not look like identifiers."""
        return " ".join(name for name in (self.code, self.parameter) if re.fullmatch(r"[\w.]{1,40}", name))

    @property
    def is_about_scope(self) -> bool:
        """Whether the key is valid, but lacks the permission for this request."""
        return bool(re.search(r"\bscopes?\b|permission", self.message, re.IGNORECASE))


@dataclass(frozen=True, slots=True)
class UnsupportedParameters:
    """The server does not accept these parameters or their values; `sizes` are the sizes that it lists as allowed."""

    names: frozenset[str]
    sizes: tuple[Size, ...] = ()


@dataclass(frozen=True, slots=True)
class RetryLater:
    """The server is busy: retry after so many seconds; None if it names no time."""

    seconds: float | None


@dataclass(frozen=True, slots=True)
class EditsUnsupported:
    """The server, or its model, does not support edits."""


@dataclass(frozen=True, slots=True)
class KeyRefused:
    """The server refuses the key, so every request fails. `reason` is for the user."""

    reason: Notice


@dataclass(frozen=True, slots=True)
class PermanentError:
    """The request fails, and a retry does not help. `reason` is for the user."""

    reason: Notice


@dataclass(frozen=True, slots=True)
class ServerLost:
    """The server crashed or is unreachable; `may_be_our_request`: the request may be the cause."""

    may_be_our_request: bool


ErrorKind = UnsupportedParameters | RetryLater | EditsUnsupported | KeyRefused | PermanentError | ServerLost

_MODERATED = re.compile(r"moderation_blocked|content[_ ]policy|safety system|content[_ ]filter|\bnsfw\b", re.IGNORECASE)
_QUOTA_EXHAUSTED = re.compile(
    r"insufficient_quota|billing|exceeded your current quota|insufficient (?:credit|fund)", re.I
)
_MODEL_NOT_FOUND = re.compile(
    r"model_not_found|model\b.{0,80}\b(?:not (?:exist|found)|unknown)", re.IGNORECASE | re.DOTALL
)
_EDITS_NOT_SUPPORTED = re.compile(
    r"(?:not|n't|no) (?:\w+ ){0,3}(?:support|accept|take)\w* .{0,40}\b(?:edit|image input|input image|img2img|i2i)"
    r"|\bedit\w*\b.{0,40}\bnot (?:supported|available|implemented)",
    re.IGNORECASE | re.DOTALL,
)


def classify_error(
    response: ErrorResponse, sent: Mapping[str, object], *, is_edit: bool, model: str, server: str
) -> ErrorKind:
    """Classify an error response to the parameters `sent`. `is_edit`: the request was an edit of an image."""
    status, words = response.status, f"{response.code} {response.message.replace(str(sent['prompt']), '')}"
    if status in (None, 400, 403, 422, 451) and _MODERATED.search(words):
        return PermanentError(notice("images-api-censored"))
    if status in (None, 400, 402, 403, 429) and (status == 402 or _QUOTA_EXHAUSTED.search(words)):
        return PermanentError(notice("account-used-up", server=server))
    match status:
        case 401 | 403:
            return KeyRefused(notice("images-api-refused-key", server=server, status=status, model=model))
        case 404 if _MODEL_NOT_FOUND.search(words) or not is_edit:
            return PermanentError(notice("images-api-no-model", server=server, model=model))
        case 404 | 405 | 501 if is_edit:
            return EditsUnsupported()
        case 400 | 422 if is_edit and _EDITS_NOT_SUPPORTED.search(words):
            return EditsUnsupported()
        case 400 | 422 | 501 if refused := _unsupported_parameters(response.parameter, words, sent):
            return refused
        case 413:
            return PermanentError(notice("images-api-too-large", server=server))
        case 429:
            return RetryLater(response.retry_after)
        case 408 | 409 | 500 | 504 | None:
            return ServerLost(may_be_our_request=True)
        case _ if status and status > 500:
            return ServerLost(may_be_our_request=False)
        case _:
            return PermanentError(notice("images-api-refused", server=server, status=status or 0))


def _unsupported_parameters(parameter: str, message: str, sent: Mapping[str, object]) -> UnsupportedParameters | None:
    """The parameter that the server refuses: from its `param` field, else the first that its message names."""
    there = [extra for extra in OPTIONAL_PARAMETERS if extra.name in sent]
    for text in (parameter, message):
        found = [
            (hit.start(), extra)
            for extra in there
            if (hit := re.search(rf"(?<!\w)(?:{extra.pattern})(?!\w)", text, re.I))
        ]
        if found:
            meant = min(found, key=lambda each: each[0])[1]
            known = _listed_sizes(message, str(sent["size"])) if meant.name == "size" else ()
            return UnsupportedParameters(frozenset({meant.name, *meant.dependents}), known)
    return None


def _listed_sizes(message: str, sent: str) -> tuple[Size, ...]:
    """The sizes that a message lists as allowed; a minimum and a maximum are not a list."""
    listed = re.search(
        r"\b(?:supported|one of|allowed|available|valid|choose)\b(.*)", message, re.IGNORECASE | re.DOTALL
    )
    named = dict.fromkeys(re.findall(r"(?<!\d)(\d{2,4})x(\d{2,4})(?!\d)", listed[1] if listed else ""))
    return tuple((int(wide), int(high)) for wide, high in named if f"{wide}x{high}" != sent)


_MAX_MESSAGE = 2000  # characters of a server's message; the reason is at the beginning


def read_error(error: openai.APIError) -> ErrorResponse:
    """Read the error response from an exception of the OpenAI client."""
    status = error.status_code if isinstance(error, openai.APIStatusError) else None
    headers = error.response.headers if isinstance(error, openai.APIStatusError) else httpx2.Headers()
    return parse_error_body(error.body, status, headers.get("retry-after", ""))


def parse_error_body(body: object, status: int | None = None, retry_after: str = "") -> ErrorResponse:
    """Read the error response from the JSON body of a response and its `Retry-After` header."""
    text = body if isinstance(body, Mapping) else {}
    code, parameter = (str(text.get(name) or "") for name in ("code", "param"))
    return ErrorResponse(status, code, parameter, error_text(body)[:_MAX_MESSAGE], parse_retry_after(retry_after))
