"""Small words of our own talk: numbers of things, how long something takes, and when it is."""

import re
import time
from collections.abc import Callable

from bot.domain import Operation, Picture

_ORIGINS = {
    Operation.EDIT: "edit of #{parent}",
    Operation.VARY: "like #{parent}",
    Operation.REFINE: "refined from #{parent}",
    Operation.UPSCALE: "#{parent}, larger",
}


def count_of(number: int, one: str, more: str = "") -> str:
    """`1 job`, `2 jobs`, `2 replies`."""
    return f"{number:,} {one if number == 1 else more or one + 's'}"


def moment(seconds: float) -> str:
    """A point in time within a sentence, in seconds since 1970; each platform says it as its readers like it."""
    return f"⟦{seconds:.0f}⟧"


def with_moments(text: str, said: Callable[[float], str] | None = None) -> str:
    """A sentence with its points in time told; as a time from now, `in about 3 h`, where no other way is given."""
    tell = said or (lambda at: f"in {about(max(1.0, at - time.time()))}")
    return re.sub(r"⟦(\d{1,12})⟧", lambda match: tell(float(match[1])), text)


def number_of(text: str) -> int:
    """The number of a picture as somebody wrote it; 0, which no picture has, for what cannot be one."""
    return int(text) if text.isdecimal() and len(text) <= 9 else 0


def about(seconds: float) -> str:
    """So long, no more exact than a forecast can be: `about 3 s`, `about 20 s`, `about 2 min`."""
    if seconds < 9.5:
        return f"about {max(1, round(seconds))} s"
    if seconds < 57.5:
        return f"about {5 * round(seconds / 5)} s"
    minutes = max(1, round(seconds / 60))
    return f"about {minutes} min" if minutes < 90 else f"about {round(minutes / 60)} h"


def origin(picture: Picture) -> str:
    """What a picture came of, for a caption: `edit of #1`, nothing for a new one; and what could not be as asked."""
    came = _ORIGINS.get(picture.operation, "").format(parent=picture.parent) if picture.parent else ""
    return " · ".join(filter(None, (came, *picture.notes)))


def shortened(words: str, most: int) -> str:
    """The words on one line of at most so many characters."""
    line = " ".join(words.split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"
