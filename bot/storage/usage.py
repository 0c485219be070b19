"""The images that users ordered in the last day, as the limits count them."""

from dataclasses import dataclass

DAY = 86_400.0  # seconds


@dataclass(frozen=True, slots=True)
class DailyUsage:
    """Images that a user and the whole server ordered in the last 24 hours, and how many of the user's are unfinished.

    `oldest_by_user` and `oldest_by_server` are when the oldest of them was ordered, in seconds since 1970.
    """

    by_user: int = 0
    by_server: int = 0
    unfinished: int = 0
    oldest_by_user: float = 0.0
    oldest_by_server: float = 0.0
