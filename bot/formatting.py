"""Formats counts, times, durations and error bodies as short text, and parses numbers and `Retry-After`."""

import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from bot.domain import Operation, Picture
from bot.notices import Notice, UserText, format_remaining, notice, text

UPLOAD_ALT = "An uploaded picture"  # the stored alternative text of an upload

_ORIGINS = {
    Operation.EDIT: "origin-edit-of",
    Operation.VARY: "origin-vary-of",
    Operation.REFINE: "origin-refine-of",
    Operation.UPSCALE: "origin-upscale-of",
}


def format_count(number: int, singular: str, plural: str = "") -> str:
    """Return the number with its noun: `1 job`, `2 jobs`, `2 replies`."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def replace_time_markers(text: str, format_time: Callable[[float], str] | None = None, *, language: str = "en") -> str:
    """Replace the time markers of a text; the default format is the time from now, such as `in about 3 hr`."""
    tell = format_time or (lambda at: format_remaining(max(1.0, at - time.time()), language))
    return re.sub(r"⟦(\d{1,12}\.\d)⟧", lambda match: tell(float(match[1])), text)


def parse_picture_number(text: str) -> int:
    """Parse the number of a picture; returns 0, which no picture has, for any other text."""
    return int(text) if text.isdecimal() and len(text) <= 9 else 0


def describe_origin(picture: Picture, language: str = "en") -> str:
    """Describe the origin of a picture for a caption, such as `edit of #1` (empty for a new image), with its notes."""
    is_change = picture.request.source and picture.request.operation in _ORIGINS
    described = text(describe_operation(picture), language) if is_change else ""
    return " · ".join(filter(None, (described, *(text(note, language) for note in picture.notes))))


def describe_operation(picture: Picture) -> Notice:
    """Return how the picture was made, such as `edit of #1` or `generated`."""
    if picture.request.source and picture.request.operation in _ORIGINS:
        return notice(_ORIGINS[picture.request.operation], parent=picture.request.source)
    return notice(f"origin-{picture.request.operation}")


def describe_content(picture: Picture) -> UserText:
    """Return what the picture shows: its prompt, or its alternative text."""
    return picture.request.prompt or alternative_text(picture)


def alternative_text(picture: Picture) -> UserText:
    """Return the alternative text for users; that of an upload, which chat models read in English, is a notice."""
    return notice("uploaded-image") if picture.alt == UPLOAD_ALT else picture.alt


def queue_position(ahead: int | None, ready: float | None = None) -> Notice:
    """Return the position of a job that waits behind `ahead` others; it is done at `ready`, in seconds since 1970."""
    if ahead is None:
        return notice("position-no-worker")
    position = notice("position-ahead", count=ahead) if ahead else notice("position-next")
    return position if ready is None else notice("position-with-time", position=position, ready=ready)


def truncate(text: str, max_length: int) -> str:
    """Return the text on one line of at most `max_length` characters."""
    line = " ".join(text.split())
    return line if len(line) <= max_length else line[: max_length - 1].rstrip() + "…"


def error_text(body: object, depth: int = 5) -> str:
    """Return names and values of the JSON of an error, without `input`, where some servers repeat the request."""
    if isinstance(body, Mapping):
        named = ((name, error_text(value, depth - 1)) for name, value in body.items() if depth and name != "input")
        return "; ".join(f"{name}: {value}" for name, value in named)
    if isinstance(body, list):
        return ", ".join(error_text(value, depth - 1) for value in body[:10] if depth)
    return str(body or "")


def parse_retry_after(retry_after: str) -> float | None:
    """Parse a `Retry-After` header, a number or a date, into seconds; None if it is neither. RFC 9110, 10.2.3."""
    given = retry_after.strip()
    if re.fullmatch(r"\d{1,9}(?:\.\d+)?", given):
        return float(given)
    try:
        when = parsedate_to_datetime(given)
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max((when - datetime.now(UTC)).total_seconds(), 0)
