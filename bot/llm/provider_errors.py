"""Errors of a chat model's server: classification, the next request to try, and the sentence for the user. Pure.

Servers word the same error differently. Their text is only searched, never shown or logged: it may contain the user's
message or the API key.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil

import httpx2
import openai

from bot.formatting import seconds_of, words_of
from bot.llm.completions import Form

SILENCE = 90.0  # seconds without any data
PATIENCE = 3.0  # seconds: the longest wait before a second try; the user sees no notice
PAUSE = 0.5  # seconds before a second try if the server names no time
SMALLEST = 1024  # tokens; a smaller context window holds no conversation

_LONGEST = 2000  # characters of the error text; the reason is at the beginning
_ABOUT_REQUEST = (None, 400, 404, 413, 415, 422, 429, 500, 501)  # None: an error event inside the stream
_ECHO = re.compile(r"[\"']input[\"']\s*:")  # FastAPI repeats the request after this key

_TOO_LONG = re.compile(
    r"context_length_exceeded|exceed_context_size|context[ _](?:length|size|window)|\bn_ctx\b|model length"
    r"|(?:prompt|input|messages?)\b.{0,80}\btoo (?:long|large|big)|request too large|token count.{0,40}exceeds"
    r"|reduce the length|tokens.{0,40}must be <=|keep from the initial prompt",
    re.IGNORECASE | re.DOTALL,
)
_NUMBER = r"(?:(?!\bby\b)[^\d\n]){0,40}?(\d{3,8})\b"
_CONTEXT = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\bn_ctx\b{_NUMBER}",
        rf"(?:context (?:length|size|window)|model length|maximum number of tokens|<=|\blimit\b){_NUMBER}",
        r"\b(\d{3,8})(?: tokens?)? maximum",
        rf"\bmaximum\b{_NUMBER}",
    )
)
_MOST_IMAGES = re.compile(r"at most (\d{1,3}) image", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A failed request: its error, HTTP status and error text.

    `retry_after` is the wait in seconds that the server asks for. `has_begun` means that the answer had begun.
    """

    error: Exception
    status: int | None = None
    words: str = ""
    wait: float | None = None
    begun: bool = False

    @property
    def is_too_long(self) -> bool:
        """Whether the history does not fit into the context window."""
        return self.status in _ABOUT_REQUEST and (self.status == 413 or bool(_TOO_LONG.search(self.words)))

    @property
    def may_pass(self) -> bool:
        """Whether the same request may succeed after a short wait."""
        passing = self.status in (408, 409, 429) or (self.status or 0) >= 500
        lost = isinstance(self.error, openai.APIConnectionError) and not self._is_silence
        final = self.begun or self.is_too_long or self._is_used_up
        return (passing or lost) and not final and (self.wait or 0) <= PATIENCE

    @property
    def _is_silence(self) -> bool:
        slow = isinstance(self.error, openai.APITimeoutError)
        return slow and not isinstance(self.error.__cause__, httpx2.ConnectTimeout)

    @property
    def _is_used_up(self) -> bool:
        return "insufficient_quota" in self.words


def refusal(error: Exception, begun: bool = False) -> Refusal:
    """Return the status, the error text and the requested wait of an error of the client."""
    words = _ECHO.split(words_of(error.body)[:_LONGEST])[0] if isinstance(error, openai.APIError) else ""
    if isinstance(error, openai.APIStatusError):
        return Refusal(
            error, error.status_code, words, seconds_of(error.response.headers.get("retry-after", "")), begun
        )
    return Refusal(error, None, words, None, begun)


# Retries


@dataclass(frozen=True, slots=True)
class Remedy:
    """A feature that a server may refuse: how error texts name it, whether a request has it, and how to remove it."""

    what: str
    says: re.Pattern[str]
    held: Callable[[Form], bool]
    without: Callable[[Form, str], Form]


REMEDIES = (
    Remedy(
        "tools",
        re.compile(r"\btools?\b|\btool_|tool-call|function[ _-]?call|\bfunctions?\b", re.IGNORECASE),
        lambda sent: sent.tools,
        lambda form, _: replace(form, tools=False),
    ),
    Remedy(
        "images",
        re.compile(r"\bimages?\b|image_url|\bvision\b|multi-?modal|mmproj|content.{0,40}string", re.IGNORECASE),
        lambda sent: sent.images > 0,
        lambda form, words: replace(form, images=_images_taken(words, form.images)),
    ),
    Remedy(
        "a system message",
        re.compile(r"\bsystem\b|developer instruction|\broles?\b.{0,80}(?:alternat|support)", re.IGNORECASE),
        lambda sent: sent.system,
        lambda form, _: replace(form, system=False),
    ),
)


def without_it(refused: Refusal, form: Form, sent: Form) -> tuple[str, Form] | None:
    """Return the name of the refused feature and the options without it; None if the failure has another reason."""
    if refused.begun or refused.status not in _ABOUT_REQUEST or refused.status == 429 or refused.is_too_long:
        return None
    remedy = next((remedy for remedy in REMEDIES if remedy.held(sent) and remedy.says.search(refused.words)), None)
    return (remedy.what, remedy.without(form, refused.words)) if remedy else None


def _images_taken(words: str, sent: int) -> int:
    found = _MOST_IMAGES.search(words)
    most = int(found[1]) if found else 0
    return most if most < sent else 0


def smaller(context: int, sent: int, words: str) -> int:
    """Return the context window, in tokens, of a model that refused `sent` tokens by our estimate.

    The error text may name the limit; otherwise the result is three quarters of `sent`, or of `context` if that is
    smaller. A named limit that `sent` seems to fit into is not used, because our estimate may be too low. The result is
    at least `MIN_CONTEXT`, but never more than `context`.
    """
    found = next((match for pattern in _CONTEXT if (match := pattern.search(words))), None)
    named = int(found[1]) if found else context
    fits = named < context and named * 3 // 4 < sent  # see `token_budget.input_budget`
    return min(context, max(named if fits else min(sent, context) * 3 // 4, SMALLEST))


# Sentences for the user


def explain(refused: Refusal, model: str, server: str) -> str:
    """Return a sentence for the user: the failure and its remedy. Never contains the text of the server."""
    match refused.error:
        case _ if refused._is_silence:
            return f"The chat model did not answer within {SILENCE:.0f} seconds."
        case openai.APIConnectionError() if refused.begun:
            return "The connection to the chat model was lost."
        case openai.APIConnectionError():
            return f"The chat model at {server} cannot be reached."
        case openai.AuthenticationError() | openai.PermissionDeniedError():
            return f"The chat model's server at {server} refused the key: check OPENAI_API_KEY."
        case openai.NotFoundError():
            return f"The server at {server} knows no model {model!r}: check LLM_MODEL and OPENAI_BASE_URL."
        case openai.RateLimitError() if refused._is_used_up:
            return f"The account at {server} has used up what was paid for."
        case openai.RateLimitError():
            return f"The chat model is overloaded or the account's limit is reached; try again {later(refused.wait)}."
        case openai.APIStatusError():
            again = "" if refused.wait is None else f"; try again {later(refused.wait)}"
            return f"The chat model's server answered with an error (HTTP {refused.status}){again}."
        case openai.APIError():
            return "The chat model's server broke off with an error."
        case _:
            return "The chat model's server answered with something that is not a chat completion."


def too_long(shortened: bool) -> str:
    """Return a sentence for a history that does not fit; `is_shortened` means that the next request is shorter."""
    if shortened:
        return "The conversation is longer than what the chat model takes in; Retry sends it shortened."
    return "The chat model takes in too little to talk and draw with; start it with a larger context."


def later(seconds: float | None) -> str:
    """Return the wait in words, rounded up to whole units."""
    if seconds is None or 45 <= seconds <= 60:
        return "in a minute"
    units = ((5400, 3600, "hour"), (60, 60, "minute"), (0, 1, "second"))
    size, unit = next((size, unit) for above, size, unit in units if seconds > above or not above)
    count = max(ceil(seconds / size), 1)
    return f"in {count} {unit}{'' if count == 1 else 's'}"
