"""Errors of a chat model's server: classification, the next request to try, and the message for the user. Pure.

Servers word the same error differently. Their text is only searched, never shown or logged: it may contain the user's
message or the API key.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import httpx2
import openai

from bot.formatting import error_text, parse_retry_after
from bot.llm.completions import RequestOptions
from bot.notices import Notice, notice

READ_TIMEOUT = 90.0  # seconds without any data
MAX_RETRY_WAIT = 3.0  # seconds: the longest wait before a second try; the user sees no notice
RETRY_DELAY = 0.5  # seconds before a second try if the server names no time
MIN_CONTEXT = 1024  # tokens; a smaller context window holds no conversation

_MAX_ERROR_TEXT = 2000  # characters of the error text; the reason is at the beginning
_REQUEST_STATUSES = (None, 400, 404, 413, 415, 422, 429, 500, 501)  # None: an error event inside the stream
_REQUEST_ECHO = re.compile(r"[\"']input[\"']\s*:")  # FastAPI repeats the request after this key

_TOO_LONG = re.compile(
    r"context_length_exceeded|exceed_context_size|context[ _](?:length|size|window)|\bn_ctx\b|model length"
    r"|(?:prompt|input|messages?)\b.{0,80}\btoo (?:long|large|big)|request too large|token count.{0,40}exceeds"
    r"|reduce the length|tokens.{0,40}must be <=|keep from the initial prompt",
    re.IGNORECASE | re.DOTALL,
)
_NUMBER = r"(?:(?!\bby\b)[^\d\n]){0,40}?(\d{3,8})\b"
_CONTEXT_LIMITS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\bn_ctx\b{_NUMBER}",
        rf"(?:context (?:length|size|window)|model length|maximum number of tokens|<=|\blimit\b){_NUMBER}",
        r"\b(\d{3,8})(?: tokens?)? maximum",
        rf"\bmaximum\b{_NUMBER}",
    )
)
_IMAGE_LIMIT = re.compile(r"at most (\d{1,3}) image", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RequestFailure:
    """A failed request: its error, HTTP status and error text.

    `retry_after` is the wait in seconds that the server asks for. `has_begun` means that the answer had begun.
    """

    error: Exception
    status: int | None = None
    text: str = ""
    retry_after: float | None = None
    has_begun: bool = False

    @property
    def is_too_long(self) -> bool:
        """Whether the history does not fit into the context window."""
        return self.status in _REQUEST_STATUSES and (self.status == 413 or bool(_TOO_LONG.search(self.text)))

    @property
    def is_temporary(self) -> bool:
        """Whether the same request may succeed after a short wait."""
        passing = self.status in (408, 409, 429) or (self.status or 0) >= 500
        lost = isinstance(self.error, openai.APIConnectionError) and not self._is_read_timeout
        final = self.has_begun or self.is_too_long or self._is_quota_exhausted
        return (passing or lost) and not final and (self.retry_after or 0) <= MAX_RETRY_WAIT

    @property
    def _is_read_timeout(self) -> bool:
        slow = isinstance(self.error, openai.APITimeoutError)
        return slow and not isinstance(self.error.__cause__, httpx2.ConnectTimeout)

    @property
    def _is_quota_exhausted(self) -> bool:
        return "insufficient_quota" in self.text


def classify_error(error: Exception, has_begun: bool = False) -> RequestFailure:
    """Return the status, the error text and the requested wait of an error of the client."""
    words = (
        _REQUEST_ECHO.split(error_text(error.body)[:_MAX_ERROR_TEXT])[0] if isinstance(error, openai.APIError) else ""
    )
    if isinstance(error, openai.APIStatusError):
        return RequestFailure(
            error, error.status_code, words, parse_retry_after(error.response.headers.get("retry-after", "")), has_begun
        )
    return RequestFailure(error, None, words, None, has_begun)


# Retries


@dataclass(frozen=True, slots=True)
class UnsupportedFeature:
    """A feature that a server may refuse: how error texts name it, whether a request has it, and how to remove it."""

    name: str
    pattern: re.Pattern[str]
    is_sent: Callable[[RequestOptions], bool]
    remove: Callable[[RequestOptions, str], RequestOptions]


UNSUPPORTED_FEATURES = (
    UnsupportedFeature(
        "tools",
        re.compile(r"\btools?\b|\btool_|tool-call|function[ _-]?call|\bfunctions?\b", re.IGNORECASE),
        lambda sent: sent.has_tools,
        lambda form, _: replace(form, has_tools=False),
    ),
    UnsupportedFeature(
        "images",
        re.compile(r"\bimages?\b|image_url|\bvision\b|multi-?modal|mmproj|content.{0,40}string", re.IGNORECASE),
        lambda sent: sent.max_images > 0,
        lambda form, words: replace(form, max_images=_accepted_images(words, form.max_images)),
    ),
    UnsupportedFeature(
        "a system message",
        re.compile(r"\bsystem\b|developer instruction|\broles?\b.{0,80}(?:alternat|support)", re.IGNORECASE),
        lambda sent: sent.has_system_message,
        lambda form, _: replace(form, has_system_message=False),
    ),
)


def drop_unsupported(
    failure: RequestFailure, options: RequestOptions, sent: RequestOptions
) -> tuple[str, RequestOptions] | None:
    """Return the name of the refused feature and the options without it; None if the failure has another reason."""
    if failure.has_begun or failure.status not in _REQUEST_STATUSES or failure.status == 429 or failure.is_too_long:
        return None
    remedy = next(
        (remedy for remedy in UNSUPPORTED_FEATURES if remedy.is_sent(sent) and remedy.pattern.search(failure.text)),
        None,
    )
    return (remedy.name, remedy.remove(options, failure.text)) if remedy else None


def _accepted_images(error_text: str, sent: int) -> int:
    found = _IMAGE_LIMIT.search(error_text)
    most = int(found[1]) if found else 0
    return most if most < sent else 0


def reduce_context(context: int, sent: int, error_text: str) -> int:
    """Return the context window, in tokens, of a model that refused `sent` tokens by our estimate.

    The error text may name the limit; otherwise the result is three quarters of `sent`, or of `context` if that is
    smaller. A named limit that `sent` seems to fit into is not used, because our estimate may be too low. The result is
    at least `MIN_CONTEXT`, but never more than `context`.
    """
    found = next((match for pattern in _CONTEXT_LIMITS if (match := pattern.search(error_text))), None)
    named = int(found[1]) if found else context
    fits = named < context and named * 3 // 4 < sent  # see `token_budget.input_budget`
    return min(context, max(named if fits else min(sent, context) * 3 // 4, MIN_CONTEXT))


# Messages for the user


def explain(failure: RequestFailure, model: str, server: str) -> Notice:
    """Return a message for the user: the failure and its remedy. Never contains the text of the server."""
    match failure.error:
        case _ if failure._is_read_timeout:
            return notice("chat-silent", seconds=round(READ_TIMEOUT))
        case openai.APIConnectionError() if failure.has_begun:
            return notice("chat-lost")
        case openai.APIConnectionError():
            return notice("chat-unreachable", server=server)
        case openai.AuthenticationError() | openai.PermissionDeniedError():
            return notice("chat-key-refused", server=server)
        case openai.NotFoundError():
            return notice("chat-no-model", server=server, model=model)
        case openai.RateLimitError() if failure._is_quota_exhausted:
            return notice("account-used-up", server=server)
        case openai.RateLimitError():
            return notice("chat-overloaded", wait=60 if failure.retry_after is None else failure.retry_after)
        case openai.APIStatusError() if failure.retry_after is not None:
            return notice("chat-error-later", status=failure.status or 0, wait=failure.retry_after)
        case openai.APIStatusError():
            return notice("chat-error", status=failure.status or 0)
        case openai.APIError():
            return notice("chat-broke-off")
        case _:
            return notice("chat-not-completion")


def explain_too_long(is_shortened: bool) -> Notice:
    """Return a message about a history that does not fit; `is_shortened` means that the next request is shorter."""
    return notice("chat-too-long" if is_shortened else "chat-context-too-small")
