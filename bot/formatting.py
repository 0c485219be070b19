"""Formats counts, times, durations and error bodies as short text, and parses numbers and `Retry-After`."""

import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from bot.domain import Operation, Picture

_ORIGINS = {
    Operation.EDIT: "edit of #{parent}",
    Operation.VARY: "like #{parent}",
    Operation.REFINE: "refined from #{parent}",
    Operation.UPSCALE: "#{parent}, larger",
}


def format_count(number: int, singular: str, plural: str = "") -> str:
    """Return the number with its noun: `1 job`, `2 jobs`, `2 replies`."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def time_marker(seconds: float) -> str:
    """Return a marker for a point in time (seconds since 1970) in a sentence; each platform formats markers itself."""
    return f"⟦{seconds:.0f}⟧"


def replace_time_markers(text: str, format_time: Callable[[float], str] | None = None) -> str:
    """Replace the time markers of a sentence; the default format is the time from now: `in about 3 h`."""
    tell = format_time or (lambda at: f"in {format_estimate(max(1.0, at - time.time()))}")
    return re.sub(r"⟦(\d{1,12})⟧", lambda match: tell(float(match[1])), text)


def parse_picture_number(text: str) -> int:
    """Parse the number of a picture; returns 0, which no picture has, for any other text."""
    return int(text) if text.isdecimal() and len(text) <= 9 else 0


def format_estimate(seconds: float) -> str:
    """Format a duration with the precision of an estimate: `about 3 s`, `about 20 s`, `about 2 min`."""
    if seconds < 9.5:
        return f"about {max(1, round(seconds))} s"
    if seconds < 57.5:
        return f"about {5 * round(seconds / 5)} s"
    minutes = max(1, round(seconds / 60))
    return f"about {minutes} min" if minutes < 90 else f"about {round(minutes / 60)} h"


def describe_origin(picture: Picture) -> str:
    """Describe the origin of a picture for a caption, such as `edit of #1` (empty for a new image), with its notes."""
    came = (
        _ORIGINS.get(picture.request.operation, "").format(parent=picture.request.source)
        if picture.request.source
        else ""
    )
    return " · ".join(filter(None, (came, *picture.notes)))


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
