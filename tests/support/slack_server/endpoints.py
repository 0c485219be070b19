"""The way of every request: read, remembered, judged, met by a planned fault, counted, and only then answered."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import BodyPartReader, web

from tests.support.slack_server.contract.schemas import Contract, Violation, read
from tests.support.slack_server.faults import (
    DOWNLOAD,
    RESPONSE,
    UPLOAD,
    Broken,
    Call,
    Error,
    Fault,
    Faults,
    Hang,
    Limited,
    LoginPage,
    Lose,
    Redirect,
    Refused,
)
from tests.support.slack_server.pings import called
from tests.support.slack_server.rates import Tiers
from tests.support.slack_server.responses import Responses
from tests.support.slack_server.rooms import Method
from tests.support.slack_server.state import Json, Kind, Ping, World
from tests.support.slack_server.uploads import Uploads

BOT_TOKEN, APP_TOKEN = "xoxb-of-the-double", "xapp-1-of-the-double"
OF_THE_APP = {"apps.connections.open"}  # methods for the app's own token
STRUCTURED = {"blocks", "attachments", "metadata", "view", "files", "chunks", "prompts", "loading_messages", "file_ids"}


class Web:
    """All HTTP endpoints, and a record of their requests."""

    def __init__(self, world: World, methods: Mapping[str, Method], uploads: Uploads, responses: Responses) -> None:
        self.world = world
        self.methods = methods
        self.uploads = uploads
        self.responses = responses
        self.faults = Faults()
        self.tiers = Tiers()
        self.contract: Contract | None = read()
        self.calls: list[Call] = []
        self.scopes_used: set[str] = set()
        self.scopes: set[str] | None = None  # what the bot was granted; none: everything
        self.revoked = False
        self.hung = 0
        self._released = asyncio.Event()

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint."""
        return [
            web.route("*", "/api/{method}", self._api),
            web.post("/upload/v1/{file}", self._upload),
            web.get("/files-pri/{file}/{tail:.*}", self._download),
            web.get("/elsewhere/{file}", self._elsewhere),
            web.post("/response/{name}", self._response),
        ]

    def release(self) -> None:
        """Everything that hangs goes on as if nothing had been."""
        self._released.set()
        self._released = asyncio.Event()

    async def _api(self, request: web.Request) -> web.StreamResponse:
        args, content = await _arguments(request)
        method = request.match_info["method"]
        call = Call(method, args, content, _token(request, args), time.monotonic())
        violations = list(self.contract.faults(call)) if self.contract is not None else []
        handler = self.methods.get(method)
        if handler is None and not violations:
            violations = [Violation("unknown_method", "the double has no such method")]

        def done() -> web.Response:
            self._admit(call)
            if violations:
                raise Refused(violations[0].code, *(one.why for one in violations))
            assert handler is not None
            return _report({"ok": True} | handler(call))

        return await self._met(request, call, violations, done)

    async def _response(self, request: web.Request) -> web.StreamResponse:
        call = Call(RESPONSE, await request.json(), "json", None, time.monotonic())
        violations = list(self.contract.content(call)) if self.contract is not None else []

        def done() -> web.Response:
            if violations:
                raise Refused(violations[0].code)
            self.responses.use(request.match_info["name"], call.args)
            return web.Response(text="ok")

        return await self._met(request, call, violations, done)

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        data = await _body(request)
        identity = request.match_info["file"]
        call = Call(UPLOAD, {"file": identity, "length": len(data)}, "raw", _token(request, {}), time.monotonic())
        return await self._met(request, call, [], lambda: self.uploads.receive(identity, data))

    async def _download(self, request: web.Request) -> web.StreamResponse:
        identity = request.match_info["file"].partition("-")[2]
        call = Call(DOWNLOAD, {"file": identity}, "raw", _token(request, {}), time.monotonic())
        allowed = call.token == BOT_TOKEN and not self.revoked
        allowed = allowed and (self.scopes is None or "files:read" in self.scopes)
        self.scopes_used.add("files:read")
        return await self._met(request, call, [], lambda: self.uploads.download(identity, allowed, None))

    async def _elsewhere(self, request: web.Request) -> web.StreamResponse:
        """Another host: it should not get to see a token."""
        token = _token(request, {})
        if token is not None:
            self.world.leaks.append(token)
            self.world.changed()
        return web.Response(body=b"from elsewhere", content_type="image/png")

    async def _met(
        self, request: web.Request, call: Call, violations: list[Violation], done: Callable[[], web.Response]
    ) -> web.StreamResponse:
        """Remembers a request, lets it meet its fault, and does it where it may."""
        self.calls.append(call)
        self.world.violations += [f"{call.method}: {one.why}" for one in violations]
        fault = self.faults.take(call)
        self.world.changed()
        if isinstance(fault, Hang):
            self.hung += 1
            self.world.changed()
            await self._released.wait()
        response = self._spoiled(call, fault) or self._done(call, done)
        if isinstance(fault, Lose) and request.transport is not None:
            request.transport.abort()
        self.world.changed()
        return response

    def _spoiled(self, call: Call, fault: Fault | None) -> web.Response | None:
        """The answer of a fault that keeps anything from being done."""
        match fault:
            case Limited(seconds):
                return _limited(seconds)
            case Broken(status):
                return web.Response(status=status, text="<html>upstream</html>", content_type="text/html")
            case Error(code):
                return _report(Refused(code).body) if call.method != RESPONSE else web.Response(status=400, text=code)
            case LoginPage() | Redirect():
                return self.uploads.download(call.args["file"], False, fault)
            case _:
                return None

    def _done(self, call: Call, done: Callable[[], web.Response]) -> web.Response:
        seconds = self.tiers.spend(call)
        if seconds is not None:
            return _limited(seconds)
        try:
            response = done()
        except Refused as refused:
            if call.method == RESPONSE:
                return web.Response(status=404 if refused.code.endswith("_url") else 400, text=refused.code)
            return _report(refused.body)
        self.world.pings += [Ping(who, call.method, call.channel, text) for who, text in called(call)]
        return response

    def _admit(self, call: Call) -> None:
        if call.token is None:
            raise Refused("not_authed")
        if call.token not in (BOT_TOKEN, APP_TOKEN):
            raise Refused("invalid_auth")
        if (call.token == APP_TOKEN) is not (call.method in OF_THE_APP):
            raise Refused("not_allowed_token_type")
        if self.revoked:
            raise Refused("token_revoked")
        if self.contract is None or call.method in OF_THE_APP:
            return
        place = self.world.place(call.channel or str(call.args.get("users", "")))
        several = "," in str(call.args.get("users", ""))
        kind = Kind.GROUP if several else place.kind if place is not None else Kind.PUBLIC
        needed = set(self.contract.scopes(call.method, kind))
        self.scopes_used |= needed
        if self.scopes is not None and needed - self.scopes:
            raise Refused("missing_scope", f"needed: {', '.join(sorted(needed))}")


async def _arguments(request: web.Request) -> tuple[Json, str]:
    """The arguments of a request, wherever they are, and where that was."""
    args: Json = dict(request.query)
    if request.content_type == "application/json":
        return args | await request.json(), "json"
    form = dict(await request.post())
    args |= form
    for name in args.keys() & STRUCTURED:
        if isinstance(args[name], str):
            args[name] = _decoded(args[name])
    return args, "form" if form else "query"


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


async def _body(request: web.Request) -> bytes:
    if not request.content_type.startswith("multipart/"):
        return await request.read()
    part = await (await request.multipart()).next()
    return bytes(await part.read()) if isinstance(part, BodyPartReader) else b""


def _token(request: web.Request, args: Json) -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    given = args.pop("token", None)
    return token if scheme == "Bearer" else given


def _limited(seconds: int) -> web.Response:
    headers = {"Retry-After": str(seconds)}
    return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers=headers)


def _report(body: Json) -> web.Response:
    return web.json_response(body)
