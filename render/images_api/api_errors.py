"""Classifies the errors of an images API by how the engine reacts to them. Pure.

Servers word the same error differently. Their messages are only searched, never shown or logged: a message may contain
the prompt or the key.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import httpx2
import openai

from bot.formatting import seconds_of, words_of
from render.images_api.request import EXTRAS, Size


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error response of a server. `status` is None for an error event of a stream; `retry_after` is in seconds."""

    status: int | None
    code: str = ""
    parameter: str = ""
    words: str = ""
    wait: float | None = None

    @property
    def named(self) -> str:
        """Code and parameter for the log; left out if they do not look like identifiers."""
        return " ".join(name for name in (self.code, self.parameter) if re.fullmatch(r"[\w.]{1,40}", name))

    @property
    def about_scope(self) -> bool:
        """Whether the key is valid, but lacks the permission for this request."""
        return bool(re.search(r"\bscopes?\b|permission", self.words, re.IGNORECASE))


@dataclass(frozen=True, slots=True)
class Without:
    """The server does not accept these parameters or their values; `sizes` are the sizes that it lists as allowed."""

    names: frozenset[str]
    sizes: tuple[Size, ...] = ()


@dataclass(frozen=True, slots=True)
class Later:
    """The server is busy: retry after so many seconds; None if it names no time."""

    seconds: float | None


@dataclass(frozen=True, slots=True)
class CannotEdit:
    """The server, or its model, does not support edits."""


@dataclass(frozen=True, slots=True)
class NoEntry:
    """The server refuses the key, so every request fails. `reason` is a sentence for the user."""

    reason: str


@dataclass(frozen=True, slots=True)
class Final:
    """The request fails, and a retry does not help. `reason` is a sentence for the user."""

    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The server crashed or is unreachable; `may_be_our_request`: the request may be the cause."""

    blamed: bool


Verdict = Without | Later | CannotEdit | NoEntry | Final | Lost

_CENSORED = re.compile(r"moderation_blocked|content[_ ]policy|safety system|content[_ ]filter|\bnsfw\b", re.IGNORECASE)
_USED_UP = re.compile(r"insufficient_quota|billing|exceeded your current quota|insufficient (?:credit|fund)", re.I)
_NO_MODEL = re.compile(r"model_not_found|model\b.{0,80}\b(?:not (?:exist|found)|unknown)", re.IGNORECASE | re.DOTALL)
_NO_EDITS = re.compile(
    r"(?:not|n't|no) (?:\w+ ){0,3}(?:support|accept|take)\w* .{0,40}\b(?:edit|image input|input image|img2img|i2i)"
    r"|\bedit\w*\b.{0,40}\bnot (?:supported|available|implemented)",
    re.IGNORECASE | re.DOTALL,
)


def verdict(refusal: Refusal, sent: Mapping[str, object], *, edits: bool, model: str, server: str) -> Verdict:
    """Classify an error response to the parameters `sent`. `is_edit`: the request was an edit of an image."""
    status, words = refusal.status, f"{refusal.code} {refusal.words.replace(str(sent['prompt']), '')}"
    if status in (None, 400, 403, 422, 451) and _CENSORED.search(words):
        return Final("The picture model refused: its server's safety system objects. Other words may help.")
    if status in (None, 400, 402, 403, 429) and (status == 402 or _USED_UP.search(words)):
        return Final(f"The account at {server} has used up what was paid for.")
    match status:
        case 401 | 403:
            return NoEntry(
                f"The images server at {server} refused the bot (HTTP {status}): check IMAGES_API_KEY, and whether "
                f"its account may use {model!r}."
            )
        case 404 if _NO_MODEL.search(words) or not edits:
            return Final(f"The images server at {server} has no {model!r}: check PICTURE_MODEL and IMAGES_BASE_URL.")
        case 404 | 405 | 501 if edits:
            return CannotEdit()
        case 400 | 422 if edits and _NO_EDITS.search(words):
            return CannotEdit()
        case 400 | 422 | 501 if refused := _refused(refusal.parameter, words, sent):
            return refused
        case 413:
            return Final(f"The picture is too large for the images server at {server}.")
        case 429:
            return Later(refusal.wait)
        case 408 | 409 | 500 | 504 | None:
            return Lost(blamed=True)
        case _ if status and status > 500:
            return Lost(blamed=False)
        case _:
            return Final(f"The images server at {server} refused the request (HTTP {status}); the bot's log says more.")


def _refused(parameter: str, words: str, sent: Mapping[str, object]) -> Without | None:
    """The parameter that the server refuses: from its `param` field, else the first that its message names."""
    there = [extra for extra in EXTRAS if extra.name in sent]
    for told in (parameter, words):
        found = [
            (hit.start(), extra)
            for extra in there
            if (hit := re.search(rf"(?<!\w)(?:{extra.named})(?!\w)", told, re.I))
        ]
        if found:
            meant = min(found, key=lambda each: each[0])[1]
            known = _sizes_in(words, str(sent["size"])) if meant.name == "size" else ()
            return Without(frozenset({meant.name, *meant.with_it}), known)
    return None


def _sizes_in(words: str, sent: str) -> tuple[Size, ...]:
    """The sizes that a message lists as allowed; a minimum and a maximum are not a list."""
    listed = re.search(r"\b(?:supported|one of|allowed|available|valid|choose)\b(.*)", words, re.IGNORECASE | re.DOTALL)
    named = dict.fromkeys(re.findall(r"(?<!\d)(\d{2,4})x(\d{2,4})(?!\d)", listed[1] if listed else ""))
    return tuple((int(wide), int(high)) for wide, high in named if f"{wide}x{high}" != sent)


_LONGEST = 2000  # characters of a server's message; the reason is at the beginning


def read(error: openai.APIError) -> Refusal:
    """Read the error response from an exception of the OpenAI client."""
    status = error.status_code if isinstance(error, openai.APIStatusError) else None
    headers = error.response.headers if isinstance(error, openai.APIStatusError) else httpx2.Headers()
    return refusal_of(error.body, status, headers.get("retry-after", ""))


def refusal_of(body: object, status: int | None = None, retry_after: str = "") -> Refusal:
    """Read the error response from the JSON body of a response and its `Retry-After` header."""
    told = body if isinstance(body, Mapping) else {}
    code, parameter = (str(told.get(name) or "") for name in ("code", "param"))
    return Refusal(status, code, parameter, words_of(body)[:_LONGEST], seconds_of(retry_after))
