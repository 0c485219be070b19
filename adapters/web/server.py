"""The web playground: a page, a JSON API, and a stream of server-sent events."""

import asyncio
import errno
import hmac
import json
import logging
import uuid
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from aiohttp import web
from aiohttp_sse import EventSourceResponse, sse_response

from adapters.web import draw, parse
from adapters.web.hub import Hub, PageSurface
from adapters.web.line import STATIC, LinePage
from bot.domain import Action, Entry, ThreadKey, ThreadSummary, View
from bot.errors import BotError, ConfigError, NotFound, Refused, Unrecorded
from bot.lineup import Lineup
from bot.ports import Inbox
from bot.words import with_moments

log = logging.getLogger(__name__)

LARGEST_BODY = 120 * 2**20  # bytes: four pictures of 20 MB in base64
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
COOKIE = "minidalle"
POLICY = "default-src 'self'; img-src 'self' data: blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Archive(Protocol):
    """What the page shows of the past."""

    def open_thread(self, key: ThreadKey, title: str = "") -> None: ...  # noqa: D102
    def knows_thread(self, key: ThreadKey) -> bool: ...  # noqa: D102
    def threads(self, platform: str) -> Sequence[ThreadSummary]: ...  # noqa: D102
    def entries(self, thread: ThreadKey) -> Sequence[Entry]: ...  # noqa: D102
    def entry(self, message_id: str) -> Entry | None: ...  # noqa: D102
    def knows_picture(self, digest: str) -> bool: ...  # noqa: D102


class WebPage:
    """The platform that needs no account: a page on this machine."""

    def __init__(
        self,
        archive: Archive,
        picture_path: Callable[[str], Path | None],
        host: str,
        port: int,
        token: str | None = None,
        ready: Callable[[str], None] = lambda address: None,
        *,
        lineup: Callable[[], Lineup] = Lineup,
        metrics: Callable[[], bytes] = bytes,
        health: Callable[[], dict[str, dict[str, Any]]] = dict,
    ) -> None:
        """`ready` is called with the page's address as soon as it answers; `metrics` are in Prometheus's format.

        `health` tells of every other platform whether it is `connected`, and more.
        """
        self._archive = archive
        self._picture_path = picture_path
        self._host, self._port = host, port
        self._token = token
        self._ready = ready
        self._health_of_others = health
        self._hub = Hub()
        self._line = LinePage(lineup, metrics)
        self._inbox: Inbox | None = None

    def surface(self, thread: ThreadKey, message_id: str) -> PageSurface:
        """Where the reply to a message is shown."""
        return PageSurface(self._hub, thread, message_id)

    async def run(self, inbox: Inbox) -> None:
        """Serve until cancelled. Raises ConfigError if the port is taken."""
        self._inbox = inbox
        runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=1, handler_cancellation=True)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
            host, port = runner.addresses[0][:2]
            self._ready(f"http://{host}:{port}")
            await asyncio.Event().wait()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise ConfigError(f"WEB_PORT {self._port} is taken by another program: set another one.") from error
            raise ConfigError(f"The page cannot listen on {self._host}:{self._port}: {error.strerror}.") from error
        finally:
            await runner.cleanup()

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=LARGEST_BODY, middlewares=[self._errors, self._guard])
        app.add_routes(
            [
                web.get("/", self._page),
                web.static("/static", STATIC),
                web.get("/healthz", self._health),
                web.get("/pictures/{digest}.png", self._picture),
                web.get("/api/threads", self._threads),
                web.post("/api/threads", self._open),
                web.get("/api/threads/{id}", self._thread),
                web.post("/api/threads/{id}/messages", self._message),
                web.post("/api/threads/{id}/buttons", self._button),
                web.get("/api/threads/{id}/events", self._events),
                *self._line.routes(),
            ]
        )
        return app

    # At the door

    @web.middleware
    async def _errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Every refusal is a JSON object with a sentence."""
        try:
            response = await handler(request)
        except NotFound as error:
            return web.json_response({"error": str(error)}, status=404)
        except Unrecorded as error:
            log.error("%s", error)
            return web.json_response({"error": str(error)}, status=503)
        except BotError as error:
            return web.json_response({"error": with_moments(str(error))}, status=400)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return web.json_response({"error": _SENTENCES.get(error.status, f"{error.reason}.")}, status=error.status)
        except ConnectionError:  # whoever asked has left
            raise
        except Exception:
            log.exception("a request met a bug")
            return web.json_response({"error": "Something went wrong here; the log says what."}, status=500)
        if not response.prepared:
            response.headers["Content-Security-Policy"] = POLICY
            response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Ask for the token where there is one; without one, let no other site speak through a visitor's browser."""
        if self._token:
            shown = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if not self._opens(shown or request.cookies.get(COOKIE, "")):
                if not self._opens(request.query.get("token", "")):
                    raise web.HTTPUnauthorized
                entered = web.HTTPSeeOther(request.path)
                entered.set_cookie(COOKIE, request.query["token"], httponly=True, samesite="Strict")
                raise entered
        elif request.host.rpartition(":")[0] not in LOOPBACK_NAMES and request.host not in LOOPBACK_NAMES:
            raise web.HTTPForbidden
        if request.method == "POST" and request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType
        return await handler(request)

    def _opens(self, shown: str) -> bool:
        told = shown.encode("utf-8", "surrogateescape")  # a header may hold any bytes
        return bool(self._token) and hmac.compare_digest(told, (self._token or "").encode())

    # What is there

    async def _page(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(STATIC / "index.html")

    async def _health(self, request: web.Request) -> web.Response:
        others = self._health_of_others()
        well = all(each.get("connected", True) for each in others.values())
        return web.json_response({"status": "ok" if well else "degraded", **others})

    async def _picture(self, request: web.Request) -> web.StreamResponse:
        digest = request.match_info["digest"]
        path = self._picture_path(digest) if self._archive.knows_picture(digest) else None
        if path is None:
            raise NotFound("There is no such picture.")
        return web.FileResponse(path, headers={"Cache-Control": "private, max-age=31536000, immutable"})

    async def _threads(self, request: web.Request) -> web.Response:
        return web.json_response({"threads": [draw.thread(each) for each in self._archive.threads(parse.PLATFORM)]})

    async def _open(self, request: web.Request) -> web.Response:
        thread_id = uuid.uuid4().hex[:12]
        self._archive.open_thread(parse.thread_key(thread_id))
        return web.json_response({"id": thread_id})

    async def _thread(self, request: web.Request) -> web.Response:
        return web.json_response({"messages": self._messages(self._known(request))})

    async def _message(self, request: web.Request) -> web.Response:
        thread = self._known(request)
        return await self._accept(thread, parse.message(thread, await _body(request)))

    async def _button(self, request: web.Request) -> web.Response:
        thread = self._known(request)
        press = parse.button(thread, await _body(request))
        if press.action is Action.EDIT:  # the page asks for the words, and sends them as a message about the picture
            return web.json_response({"about": int(press.target) if press.target.isdecimal() else None})
        return await self._accept(thread, press)

    async def _accept(self, thread: ThreadKey, event: Any) -> web.Response:
        assert self._inbox
        message_id = await self._inbox.accept(event)
        entry = self._archive.entry(message_id)
        if entry and message_id == event.id:
            self._hub.tell(thread, draw.question(entry))
        return web.json_response({"message_id": message_id})

    async def _events(self, request: web.Request) -> EventSourceResponse:
        """Every message of the thread, then each changed one again."""
        thread = self._known(request)
        watcher = self._hub.watch(thread)
        try:
            async with sse_response(request) as stream:
                for message in self._messages(thread):
                    await stream.send(json.dumps(message), event="message")
                while stream.is_connected():
                    await stream.send(json.dumps(await watcher.next()), event="message")
        finally:
            self._hub.leave(thread, watcher)
        return stream

    def _known(self, request: web.Request) -> ThreadKey:
        thread = parse.thread_key(request.match_info["id"])
        if not self._archive.knows_thread(thread):
            raise NotFound("There is no such thread.")
        return thread

    def _messages(self, thread: ThreadKey) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        for entry in self._archive.entries(thread):
            live = self._hub.live.get(entry.id)
            if entry.view and (live is None or live.final):
                self._hub.live.pop(entry.id, None)
            view = self._hub.live.get(entry.id) or entry.view or View(status="Waiting…")
            messages += [draw.question(entry), draw.reply(entry.id, view)]
        return messages


async def _body(request: web.Request) -> Any:
    try:
        return await request.json()
    except (ValueError, RecursionError):
        raise Refused("The body is not JSON.") from None


_SENTENCES = {
    401: "This page needs its token: open it with ?token=..., or send it as a bearer token.",
    403: "This page answers only on this machine's own name.",
    404: "There is nothing at this address.",
    405: "This address does not take that method.",
    413: "The message is too large: at most four pictures of 20 MB.",
    415: "A POST must have the content type application/json.",
}
