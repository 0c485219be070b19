"""The result of a check, and HTTP requests that checks make. No secret gets into a message."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar
from urllib.parse import urlsplit

import aiohttp
from pydantic import SecretStr, TypeAdapter, ValidationError

TIME_LIMIT = 10.0  # seconds in which a server must answer
T = TypeVar("T")


class Severity(StrEnum):
    """How good or bad the result of a check is, as the sign that is printed."""

    OK = "✓"
    NOTE = "-"
    ERROR = "✗"


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check, and how to fix it."""

    severity: Severity
    subject: str
    message: str
    remedy: str = ""


class NoAnswer(Exception):
    """A server gave no usable answer: `str(error)` continues a sentence that begins with the server's name.

    `status` is the HTTP status, 0 if there was no response.
    """

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.status = status


async def get_json(url: str, shape: type[T], headers: Mapping[str, str], *, limit: float, trust_env: bool = False) -> T:
    """Return the JSON of a GET request. `limit` is in seconds. Raises NoAnswer."""
    answer, _ = await _request_json("GET", url, shape, headers, limit=limit, trust_env=trust_env)
    return answer


async def post_json(
    url: str, shape: type[T], headers: Mapping[str, str], *, limit: float, trust_env: bool = False
) -> tuple[T, Mapping[str, str]]:
    """Return the JSON of an empty POST request, and the response headers. `limit` is in seconds. Raises NoAnswer."""
    return await _request_json("POST", url, shape, headers, limit=limit, trust_env=trust_env)


async def _request_json(
    method: str, url: str, shape: type[T], headers: Mapping[str, str], *, limit: float, trust_env: bool
) -> tuple[T, Mapping[str, str]]:
    timeout = aiohttp.ClientTimeout(total=limit)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=trust_env) as session,
            # a token is for this server only: no redirects
            session.request(method, url, headers=headers, allow_redirects=False) as response,
        ):
            if response.status != 200:
                refused = response.status in (401, 403)
                told = "refuses the bot" if refused else "answers with an error"
                raise NoAnswer(f"{told} (status {response.status})", response.status)
            return TypeAdapter(shape).validate_json(await response.read()), response.headers
    except ValidationError:
        raise NoAnswer("answers with something else than what was asked for", 200) from None
    except TimeoutError:
        raise NoAnswer(f"does not answer within {limit:g} s") from None
    except aiohttp.ClientConnectorDNSError:
        raise NoAnswer("cannot be found: its name is not known") from None
    except aiohttp.ClientSSLError:
        raise NoAnswer("cannot be trusted: its certificate is not valid here") from None
    except ValueError:
        raise NoAnswer("cannot be asked: its address, or the key for it, has a character too many") from None
    except (aiohttp.ClientError, OSError):
        raise NoAnswer("cannot be reached") from None


def auth_headers(scheme: str, token: SecretStr | None) -> dict[str, str]:
    """Return the Authorization header with the token; empty without a token."""
    return {"Authorization": f"{scheme} {token.get_secret_value()}"} if token else {}


def origin(url: str) -> str:
    """The address without its possibly secret parts: password, path and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
