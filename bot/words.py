"""Small words of our own talk: numbers of things, and how long something takes."""


def count_of(number: int, one: str, more: str = "") -> str:
    """`1 job`, `2 jobs`, `2 replies`."""
    return f"{number:,} {one if number == 1 else more or one + 's'}"


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
