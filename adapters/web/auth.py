"""Middlewares of the web app: token check, host check and JSON errors."""

import hmac
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from bot.errors import INTERNAL_ERROR, BotError, NotFound, Refused, StorageError
from bot.formatting import replace_time_markers
from bot.notices import text

log = logging.getLogger(__name__)

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
COOKIE = "minidalle"
POLICY = "default-src 'self'; img-src 'self' data: blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Middlewares:
    """The middlewares of every request."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    @web.middleware
    async def handle_errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer every error with a JSON object that has a sentence in `error`; add the security headers."""
        try:
            response = await handler(request)
        except NotFound as error:
            return web.json_response({"error": error.text}, status=404)
        except StorageError as error:
            log.error("%s", error)
            return web.json_response({"error": error.text}, status=503)
        except BotError as error:
            return web.json_response({"error": replace_time_markers(error.text, language=error.language)}, status=400)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return web.json_response({"error": _SENTENCES.get(error.status, f"{error.reason}.")}, status=error.status)
        except ConnectionError:  # the client has disconnected
            raise
        except Exception:
            log.exception("a request failed because of a bug")
            return web.json_response({"error": text(INTERNAL_ERROR)}, status=500)
        if not response.prepared:
            response.headers["Content-Security-Policy"] = POLICY
            response.headers["X-Content-Type-Options"] = "nosniff"
            response.headers.setdefault("Cache-Control", "no-cache")  # or a browser keeps the page of an older version
        return response

    @web.middleware
    async def check_access(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Check the token if one is configured; else check the host name.

        Without a token, the host check stops other sites from sending requests through the browser of a user.
        A POST must be JSON.
        """
        if self._token:
            bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if not self._is_token(bearer or request.cookies.get(COOKIE, "")):
                if not self._is_token(request.query.get("token", "")):
                    raise web.HTTPUnauthorized
                redirect = web.HTTPSeeOther(request.path)
                redirect.set_cookie(COOKIE, request.query["token"], httponly=True, samesite="Lax")
                raise redirect
        elif request.host.rpartition(":")[0] not in LOOPBACK_NAMES and request.host not in LOOPBACK_NAMES:
            raise web.HTTPForbidden
        if request.method == "POST" and request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType
        return await handler(request)

    def _is_token(self, given: str) -> bool:
        encoded = given.encode("utf-8", "surrogateescape")  # a header may hold any bytes
        return bool(self._token) and hmac.compare_digest(encoded, (self._token or "").encode())


def json_response(body: BaseModel) -> web.Response:
    """Return a response of the web API."""
    return web.Response(text=body.model_dump_json(by_alias=True), content_type="application/json")


async def json_body(request: web.Request) -> Any:
    """Return the JSON body of a request. Raises Refused."""
    try:
        return await request.json()
    except (ValueError, RecursionError):
        raise Refused("web-bad-request", reason="the body is not JSON.") from None


_SENTENCES = {
    401: "This page needs its token: open it with ?token=..., or send it as a bearer token.",
    403: "This page answers only on this machine's own name.",
    404: "There is nothing at this address.",
    405: "This address does not take that method.",
    413: "The message is too large: at most four images of 20 MB.",
    415: "A POST must have the content type application/json.",
}
