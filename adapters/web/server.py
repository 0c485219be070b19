"""The web server: the page, the JSON API of threads, and a stream of server-sent events."""

import asyncio
import errno
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp_sse import EventSourceResponse, sse_response

from adapters.web import openapi, parse, serializers
from adapters.web.auth import Middlewares, json_body, json_response, locale
from adapters.web.broadcast import Broadcaster, PageSurface
from adapters.web.command_routes import CommandRoutes, Lineage
from adapters.web.queue_routes import STATIC, QueueRoutes
from adapters.web.response_schemas import (
    AcceptedJson,
    HealthJson,
    MessageJson,
    MessagesJson,
    NewThreadJson,
    PageTextsJson,
    ThreadsJson,
)
from bot.domain import Action, Button, ButtonPress, Entry, Incoming, PlaceRemoved, ThreadKey, View
from bot.errors import ConfigError, NotFound
from bot.i18n import localized
from bot.notices import catalog, notice
from bot.ports import Archive, Inbox
from bot.queue_status import QueueStatus

PAGE_TEXTS = ("web-", "button-", "origin-")  # ids of the messages that the page shows
LARGEST_BODY = 120 * 2**20  # bytes: four images of 20 MB in base64


class WebApp:
    """The web app, a platform without accounts: a page that this machine serves."""

    def __init__(
        self,
        archive: Archive,
        picture_path: Callable[[str], Path | None],
        host: str,
        port: int,
        token: str | None = None,
        ready: Callable[[str], None] = lambda address: None,
        *,
        queue_status: Callable[[], QueueStatus] = QueueStatus,
        metrics: Callable[[], bytes] = bytes,
        health: Callable[[], dict[str, dict[str, Any]]] = dict,
        lineage: Lineage = lambda thread: (),
    ) -> None:
        """`ready` is called with the address of the page as soon as the server answers.

        `metrics` returns the metrics in Prometheus's text format, `health` the state of every other platform with its
        field `connected`, `lineage` the lineage of the images of a thread.
        """
        self._archive = archive
        self._picture_path = picture_path
        self._host, self._port = host, port
        self._middlewares = Middlewares(token)
        self._ready = ready
        self._platform_health = health
        self._broadcaster = Broadcaster()
        self._queue_routes = QueueRoutes(queue_status, metrics)
        self._command_routes = CommandRoutes(
            self._find_thread, self._running_inbox, self._broadcaster, lineage, self._language_of_request
        )
        self._inbox: Inbox | None = None

    def surface(self, thread: ThreadKey, message_id: str) -> PageSurface:
        """Return the surface of the reply to a message."""
        return PageSurface(self._broadcaster, thread, message_id)

    async def run(self, inbox: Inbox) -> None:
        """Serve until cancelled. Raises ConfigError if the port is taken."""
        self._inbox = inbox
        runner = web.AppRunner(self.app(), access_log=None, shutdown_timeout=1, handler_cancellation=True)
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

    def app(self) -> web.Application:
        """Return the aiohttp application with all routes."""
        app = web.Application(
            client_max_size=LARGEST_BODY, middlewares=[self._middlewares.handle_errors, self._middlewares.check_access]
        )
        routes = [
            web.get("/", self._page),
            web.static("/static", STATIC),
            web.get("/healthz", self._health),
            web.get("/api/openapi.json", self._openapi),
            web.get("/pictures/{digest}.png", self._picture),
            web.get("/api/messages", self._page_texts),
            web.get("/api/threads", self._threads),
            web.post("/api/threads", self._open),
            web.get("/api/threads/{id}", self._thread),
            web.post("/api/threads/{id}/messages", self._message),
            web.post("/api/threads/{id}/buttons", self._button),
            web.post("/api/threads/{id}/imagine", self._imagine),
            web.get("/api/threads/{id}/events", self._events),
            *self._command_routes.routes(),
            *self._queue_routes.routes(),
        ]
        app.add_routes([*routes, *_old_routes(routes)])
        return app

    # Request handlers

    async def _page(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(STATIC / "index.html")

    async def _health(self, request: web.Request) -> web.Response:
        others = self._platform_health()
        well = all(each.get("connected", True) for each in others.values())
        return json_response(HealthJson(status="ok" if well else "degraded", **others))

    async def _openapi(self, request: web.Request) -> web.Response:
        return web.Response(text=openapi.text(), content_type="application/json")

    async def _page_texts(self, request: web.Request) -> web.Response:
        language = self._language_of_request(request)
        texts = {
            id_: template if isinstance(template, str) else dict(template)
            for id_, template in catalog(language).items()
            if id_.startswith(PAGE_TEXTS)
        }
        return json_response(PageTextsJson(language=language, texts=texts))

    async def _picture(self, request: web.Request) -> web.StreamResponse:
        digest = request.match_info["digest"]
        path = self._picture_path(digest) if self._archive.knows_picture(digest) else None
        if path is None:
            raise NotFound("web-no-image")
        return web.FileResponse(path, headers={"Cache-Control": "private, max-age=31536000, immutable"})

    async def _threads(self, request: web.Request) -> web.Response:
        language = self._language_of_request(request)
        threads = [serializers.thread(each, language) for each in self._archive.threads(parse.PLATFORM)]
        return json_response(ThreadsJson(threads=threads))

    async def _open(self, request: web.Request) -> web.Response:
        thread_id = uuid.uuid4().hex[:12]
        self._archive.open_thread(parse.thread_key(thread_id))
        return json_response(NewThreadJson(id=thread_id))

    async def _thread(self, request: web.Request) -> web.Response:
        return json_response(MessagesJson(messages=self._messages(self._find_thread(request))))

    async def _message(self, request: web.Request) -> web.Response:
        thread = self._find_thread(request)
        return await self._accept(thread, parse.message(thread, await json_body(request), locale(request)))

    async def _button(self, request: web.Request) -> web.Response:
        thread = self._find_thread(request)
        press = parse.button(thread, await json_body(request), locale(request))
        if press.action is Action.EDIT:  # the page asks for the text and sends it as a message about the image
            return json_response(AcceptedJson(about=int(press.target)))
        if press.action is Action.DELETE:
            return await self._delete(thread, press)
        return await self._accept(thread, press)

    async def _imagine(self, request: web.Request) -> web.Response:
        thread = self._find_thread(request)
        return await self._accept(thread, parse.imagine(thread, await json_body(request), locale(request)))

    async def _accept(self, thread: ThreadKey, event: Incoming) -> web.Response:
        message_id = await self._running_inbox().accept(event)
        if not isinstance(event, PlaceRemoved) and message_id == event.id:
            self._publish_message(thread, message_id)
        return json_response(AcceptedJson(message_id=message_id))

    async def _delete(self, thread: ThreadKey, press: ButtonPress) -> web.Response:
        """Delete an image, and publish the messages that uploaded it again; the core updates the replies."""
        affected = [entry.id for entry in self._archive.entries(thread) if _has_upload(entry, press.target)]
        response = await self._accept(thread, press)
        for message_id in affected:
            self._publish_message(thread, message_id)
        return response

    def _publish_message(self, thread: ThreadKey, message_id: str) -> None:
        if entry := self._archive.entry(message_id):
            self._broadcaster.publish(thread, serializers.question(entry, self._language(entry)))
            self._broadcaster.publish(thread, self._reply(entry))

    def _running_inbox(self) -> Inbox:
        assert self._inbox
        return self._inbox

    async def _events(self, request: web.Request) -> EventSourceResponse:
        """Send every message of the thread, then every changed message, and an event if the thread is forgotten."""
        thread = self._find_thread(request)
        subscriber = self._broadcaster.subscribe(thread)
        try:
            async with sse_response(request) as stream:
                for message in self._messages(thread):
                    await stream.send(message.model_dump_json(), event="message")
                while stream.is_connected():
                    changed = await subscriber.next_message()
                    text, event = (changed.model_dump_json(), "message") if changed else ("{}", "forgotten")
                    await stream.send(text, event=event)
        finally:
            self._broadcaster.unsubscribe(thread, subscriber)
        return stream

    def _find_thread(self, request: web.Request) -> ThreadKey:
        thread = parse.thread_key(request.match_info["id"])
        if not self._archive.knows_thread(thread):
            raise NotFound("web-no-thread")
        return thread

    def _messages(self, thread: ThreadKey) -> list[MessageJson]:
        messages: list[MessageJson] = []
        for entry in self._archive.entries(thread):
            messages += [serializers.question(entry, self._language(entry)), self._reply(entry)]
        return messages

    def _reply(self, entry: Entry) -> MessageJson:
        waiting = View(status=notice("status-waiting"), buttons=(Button(Action.STOP, notice("button-stop"), entry.id),))
        view = self._broadcaster.current_view(entry.id, entry.view) or waiting
        return serializers.reply(entry.id, localized(view, self._language(entry)))

    def _language(self, entry: Entry) -> str:
        """The language of the user who wrote the message, now."""
        return self._running_inbox().settings(entry.thread, entry.author).language

    def _language_of_request(self, request: web.Request) -> str:
        """The language that the user of the parameter `author` chose for the page, or that of the browser."""
        user = parse.person(request.query.get("author", ""), locale(request))
        return self._running_inbox().settings(parse.PAGE, user).language


def _old_routes(routes: Sequence[web.AbstractRouteDef]) -> list[web.RouteDef]:
    """Return the routes of the old paths, with the handlers of the new ones."""
    defined = {route.path: route for route in routes if isinstance(route, web.RouteDef)}
    return [web.route(defined[new].method, old, defined[new].handler) for old, new in openapi.OLD_PATHS.items()]


def _has_upload(entry: Entry, number: str) -> bool:
    return any(str(upload.number) == number for upload in entry.uploads)
