"""Why an images API gave no picture, and what can be done about it. Pure.

Servers word the same refusal differently. What they say is only searched, never shown or logged: it may hold the
prompt or the key.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import httpx2
import openai

from bot.words import seconds_of, words_of
from render.images_api import EXTRAS, Size


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a server says instead of a picture; `wait` is how many seconds it asks for. No status: told in a stream."""

    status: int | None
    code: str = ""
    parameter: str = ""
    words: str = ""
    wait: float | None = None

    @property
    def named(self) -> str:
        """Code and parameter for the log, as far as they are names and not anybody's words."""
        return " ".join(name for name in (self.code, self.parameter) if re.fullmatch(r"[\w.]{1,40}", name))

    @property
    def about_scope(self) -> bool:
        """Whether the key is good, but not for this request."""
        return bool(re.search(r"\bscopes?\b|permission", self.words, re.IGNORECASE))


@dataclass(frozen=True, slots=True)
class Without:
    """The server does not take these parameters, or takes other values: `sizes` are those that it names."""

    names: frozenset[str]
    sizes: tuple[Size, ...] = ()


@dataclass(frozen=True, slots=True)
class Later:
    """The server wants to be left alone for so many seconds; None if it does not say how long."""

    seconds: float | None


@dataclass(frozen=True, slots=True)
class CannotEdit:
    """The server, or its model, does not change pictures."""


@dataclass(frozen=True, slots=True)
class NoEntry:
    """The key is refused: no picture will come, whatever is asked."""

    reason: str


@dataclass(frozen=True, slots=True)
class Final:
    """This picture will not come. `reason` is a sentence for the person."""

    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The server broke down, or cannot be reached; `blamed` if the request may be the cause."""

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
    """What to do about a refusal of the parameters that were sent. `edits` tells that a picture was to be changed."""
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
    """Which of the parameters is meant: the one that the server names apart, or else the first among its words."""
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
    """The sizes in a list of all that there are; a smallest and a largest one are no such list."""
    listed = re.search(r"\b(?:supported|one of|allowed|available|valid|choose)\b(.*)", words, re.IGNORECASE | re.DOTALL)
    named = dict.fromkeys(re.findall(r"(?<!\d)(\d{2,4})x(\d{2,4})(?!\d)", listed[1] if listed else ""))
    return tuple((int(wide), int(high)) for wide, high in named if f"{wide}x{high}" != sent)


_LONGEST = 2000  # characters of what a server says; the reason stands at the beginning


def read(error: openai.APIError) -> Refusal:
    """What can be learnt from an error of the client."""
    status = error.status_code if isinstance(error, openai.APIStatusError) else None
    headers = error.response.headers if isinstance(error, openai.APIStatusError) else httpx2.Headers()
    return refusal_of(error.body, status, headers.get("retry-after", ""))


def refusal_of(body: object, status: int | None = None, retry_after: str = "") -> Refusal:
    """The same of the JSON of an answer, and of its `Retry-After`."""
    told = body if isinstance(body, Mapping) else {}
    code, parameter = (str(told.get(name) or "") for name in ("code", "param"))
    return Refusal(status, code, parameter, words_of(body)[:_LONGEST], seconds_of(retry_after))
