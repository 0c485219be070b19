"""The faults of a request, as values, and the request itself."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.slack_server.state import Json


class Refused(Exception):
    """Slack refuses, with one of its error codes and sentences about it."""

    def __init__(self, code: str, *messages: str) -> None:
        self.code = code
        self.body: Json = {"ok": False, "error": code}
        if messages:
            self.body["response_metadata"] = {"messages": [f"[ERROR] {message}" for message in messages]}
        super().__init__(code)


@dataclass(frozen=True)
class Limited:
    """429, and how many whole seconds to wait."""

    retry_after: int = 1


@dataclass(frozen=True)
class Broken:
    """An error of the server, with a page that is no JSON."""

    status: int = 503


@dataclass(frozen=True)
class Error:
    """Any of Slack's error codes: `not_in_channel`, `internal_error`, `fatal_error`."""

    code: str


@dataclass(frozen=True)
class Hang:
    """Nothing happens and nothing is answered until `release()`."""


@dataclass(frozen=True)
class Lose:
    """It is done, and the connection breaks before the answer."""


@dataclass(frozen=True)
class LoginPage:
    """200 and a page in place of a file, as those get whose token lacks `files:read`."""


@dataclass(frozen=True)
class Redirect:
    """Redirects the download to another host of the double, or to an address."""

    to: str | None = None


Fault = Limited | Broken | Error | Hang | Lose | LoginPage | Redirect

DOWNLOAD, UPLOAD, RESPONSE = "(download)", "(upload)", "(response_url)"  # requests that are no Web API method


@dataclass(frozen=True)
class Call:
    """One request as it arrived. `at` is in seconds of `time.monotonic`; `content`: json, form, query or raw."""

    method: str
    args: Json
    content: str
    token: str | None
    at: float

    @property
    def channel(self) -> str:
        """The channel that it is about, or nothing."""
        return str(self.args.get("channel") or self.args.get("channel_id") or "")


@dataclass
class Faults:
    """The planned faults of the next requests, oldest first."""

    planned: list[tuple[str, Fault, Callable[[Call], bool]]] = field(default_factory=list)

    def add(self, method: str, fault: Fault, times: int, where: Callable[[Call], bool]) -> None:
        """The next `times` requests of a method meet it."""
        self.planned += [(method, fault, where)] * times

    def take(self, call: Call) -> Fault | None:
        """Return the fault for this request."""
        for place, (method, fault, where) in enumerate(self.planned):
            if method == call.method and where(call):
                del self.planned[place]
                return fault
        return None
