"""The faults of a route, as values, and rate limits."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.support.discord_server.state import Json, Upload

# code -> status and words, as Discord answers
CODES = {
    0: (404, "404: Not Found"),
    10003: (404, "Unknown Channel"),
    10004: (404, "Unknown Guild"),
    10008: (404, "Unknown Message"),
    10013: (404, "Unknown User"),
    10015: (404, "Unknown Webhook"),
    10062: (404, "Unknown interaction"),
    30046: (429, "Maximum number of edits to messages older than 1 hour reached. Try again later"),
    40005: (413, "Request entity too large"),
    40060: (400, "Interaction has already been acknowledged."),
    50001: (403, "Missing Access"),
    50005: (403, "Cannot edit a message authored by another user"),
    50006: (400, "Cannot send an empty message"),
    50013: (403, "Missing Permissions"),
    50027: (401, "Invalid Webhook Token"),
    50035: (400, "Invalid Form Body"),
    50083: (400, "Thread is archived"),
    160002: (403, "Cannot reply without permission to read message history"),
    160004: (400, "A thread has already been created for this message"),
}


class Refused(Exception):
    """The double answers with one of Discord's error codes."""

    def __init__(self, code: int, errors: Json | None = None) -> None:
        self.code = code
        self.status, self.words = CODES[code]
        self.body: Json = {"message": self.words, "code": code} | ({"errors": errors} if errors else {})
        super().__init__(f"{code}: {self.words}")


@dataclass(frozen=True)
class Limited:
    """429 for so many seconds; without `via` it is the response for a banned address."""

    retry_after: float
    via: bool = True
    everywhere: bool = False


@dataclass(frozen=True)
class Broken:
    """An error of the server: 500, 502, 503."""

    status: int = 500


@dataclass(frozen=True)
class Code:
    """One of Discord's own error codes; those that are a limit, like 30046, say for how many seconds."""

    code: int
    retry_after: float = 0.01


@dataclass(frozen=True)
class Hang:
    """Nothing happens and nothing is answered until `release()`."""


@dataclass(frozen=True)
class Lose:
    """It is done, and the connection breaks before the answer."""


Fault = Limited | Broken | Code | Hang | Lose


@dataclass(frozen=True)
class Asked:
    """One request as it arrived. `at` is in seconds of `time.monotonic`."""

    route: str
    ids: dict[str, str]
    query: dict[str, str]
    body: Any
    uploads: tuple[Upload, ...]
    authorization: str | None
    at: float

    def number(self, name: str) -> int:
        """One of the ids in the address."""
        return int(self.ids[name])


@dataclass
class Faults:
    """The planned faults of the next requests, oldest first."""

    planned: list[tuple[str, Fault, Callable[[Asked], bool]]] = field(default_factory=list)

    def add(self, route: str, fault: Fault, times: int, where: Callable[[Asked], bool]) -> None:
        """The next `times` requests to a route meet it."""
        self.planned += [(route, fault, where)] * times

    def take(self, asked: Asked) -> Fault | None:
        """Return the fault for this request."""
        for place, (route, fault, where) in enumerate(self.planned):
            if route == asked.route and where(asked):
                del self.planned[place]
                return fault
        return None


@dataclass(frozen=True)
class Rate:
    """So many requests to a route of a channel in so many seconds."""

    limit: int
    seconds: float


@dataclass(frozen=True)
class Spent:
    """The rest of a rate limit, and the seconds until it is full again."""

    limit: int
    remaining: int
    reset_after: float
    bucket: str
    over: bool

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers about the rate limit."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": f"{time.time() + self.reset_after:.3f}",
            "X-RateLimit-Reset-After": f"{self.reset_after:.3f}",
            "X-RateLimit-Bucket": self.bucket,
        }


@dataclass
class Windows:
    """Who asked how often, in fixed windows, one for each route and channel."""

    rate: Rate
    _open: dict[tuple[str, str], tuple[float, int]] = field(default_factory=dict)

    def spend(self, asked: Asked) -> Spent:
        """Counts one request."""
        major = next((asked.ids[name] for name in ("channel_id", "webhook_token") if name in asked.ids), "")
        began, used = self._open.get((asked.route, major), (asked.at, 0))
        if asked.at - began >= self.rate.seconds:
            began, used = asked.at, 0
        over = used >= self.rate.limit
        self._open[asked.route, major] = began, used + (not over)
        left = self.rate.limit - self._open[asked.route, major][1]
        bucket = f"{hash(asked.route) & 0xFFFFFFFFFFFF:012x}"
        return Spent(self.rate.limit, left, max(0.0, began + self.rate.seconds - asked.at), bucket, over)
