"""Middlewares of the web app: token check, host check and JSON errors."""

import hmac
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from adapters.web.parse import accepted_locale
from bot.errors import INTERNAL_ERROR, BotError, NotFound, Refused, StorageError
from bot.formatting import replace_time_markers
from bot.notices import language_of, notice, text

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
            return web.json_response({"error": _text(error, request)}, status=404)
        except StorageError as error:
            log.error("%s", error)
            return web.json_response({"error": _text(error, request)}, status=503)
        except BotError as error:
            return web.json_response({"error": _text(error, request)}, status=400)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return web.json_response({"error": _http_error(error, request)}, status=error.status)
        except ConnectionError:  # the client has disconnected
            raise
        except Exception:
            log.exception("a request failed because of a bug")
            return web.json_response({"error": text(INTERNAL_ERROR, language_of(locale(request)))}, status=500)
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


def locale(request: web.Request) -> str:
    """Return the locale that the browser prefers, if the bot has its language; else an empty text."""
    return accepted_locale(request.headers.get("Accept-Language", ""))


def _text(error: BotError, request: web.Request) -> str:
    language = error.language or language_of(locale(request))
    return replace_time_markers(text(error.notice, language), language=language or "en")


def _http_error(error: web.HTTPException, request: web.Request) -> str:
    message = _HTTP_ERRORS.get(error.status) or notice("web-error", status=error.status)
    return text(message, language_of(locale(request)))


_HTTP_ERRORS = {
    401: notice("web-token-needed"),
    403: notice("web-wrong-host"),
    404: notice("web-not-found"),
    405: notice("web-wrong-method"),
    413: notice("web-too-large"),
    415: notice("web-wrong-type"),
}
