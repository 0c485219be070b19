"""The way of every request: read, remembered, met by a planned fault, counted, judged, and only then answered."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import BodyPartReader, web

from tests.support.discord_server.contract import Contract, Violation, read, too_long
from tests.support.discord_server.faults import (
    Asked,
    Broken,
    Code,
    Fault,
    Faults,
    Hang,
    Limited,
    Lose,
    Refused,
    Spent,
    Windows,
)
from tests.support.discord_server.interactions import Reply
from tests.support.discord_server.payloads import signature
from tests.support.discord_server.state import Upload, World

VIA = {"Via": "1.1 google"}
WITHOUT_TOKEN = ("/interactions/", "/webhooks/")  # the token in the address is enough


@dataclass(eq=False)
class Rest:
    """All HTTP endpoints, and a record of their requests."""

    world: World
    token: str
    windows: Windows
    faults: Faults = field(default_factory=Faults)
    contract: Contract | None = field(default_factory=read)
    asked: list[Asked] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)  # how often each was answered
    hung: int = 0
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        """Everything that hangs goes on as if nothing had been."""
        self._released.set()
        self._released = asyncio.Event()

    def endpoint(self, route: str, handler: Callable[[Asked], Reply]) -> web.RouteDef:
        """One endpoint."""
        verb, path = route.split(" ", 1)

        async def answer(request: web.Request) -> web.StreamResponse:
            body, uploads = await _body(request)
            authorization = request.headers.get("Authorization")
            ids, query = dict(request.match_info), dict(request.query)
            asked = Asked(route, ids, query, body, uploads, authorization, time.monotonic())
            self.asked.append(asked)
            fault = self.faults.take(asked)
            self.world.changed()
            if isinstance(fault, Hang):
                self.hung += 1
                self.world.changed()
                await self._released.wait()
            response = _spoiled(fault) or self._answer(asked, handler)
            self.statuses[response.status] += 1
            if isinstance(fault, Lose) and request.transport is not None:
                request.transport.abort()
            self.world.changed()
            return response

        return web.route(verb, f"/api/v10{path}", answer)

    async def missing(self, request: web.Request) -> web.StreamResponse:
        """An endpoint that the double does not have: the test should know."""
        self.violations.append(Violation(f"{request.method} {request.path}", "", "the double has no such endpoint"))
        return _report(404, Refused(0).body, VIA)

    async def download(self, request: web.Request) -> web.StreamResponse:
        """A file, for those with a signed address that still holds."""
        attachment = self.world.attachments.get(int(request.match_info["attachment"]))
        expires, signed = request.query.get("ex", "0"), request.query.get("hm")
        if attachment is None or int(expires, 16) < time.time() or signed != signature(attachment.id, expires):
            return web.Response(status=404, text="This content is no longer available.")
        return web.Response(body=attachment.data, content_type="application/octet-stream")

    def _answer(self, asked: Asked, handler: Callable[[Asked], Reply]) -> web.Response:
        spent = self.windows.spend(asked)
        headers = VIA | spent.headers
        if spent.over:
            return _limited(Limited(spent.reset_after), spent)
        try:
            self._admit(asked)
            status, output = handler(asked)
        except Refused as refused:
            return _report(refused.status, refused.body, headers)
        return _report(status, output, headers)

    def _admit(self, asked: Asked) -> None:
        _, path = asked.route.split(" ", 1)
        if not path.startswith(WITHOUT_TOKEN) and asked.authorization != f"Bot {self.token}":
            raise Unauthorized
        if asked.body is None:
            return
        violation = too_long(asked.route, asked.body) if isinstance(asked.body, dict) else None
        if violation is None and self.contract is not None:
            violation = self.contract.fault(asked.route, asked.body)
        if violation is not None:
            self.violations.append(violation)
            error = {"_errors": [{"code": "INVALID", "message": f"{violation.where}: {violation.why}"}]}
            raise Refused(50035, error)


class Unauthorized(Refused):
    """The token is not the bot's."""

    def __init__(self) -> None:
        super().__init__(0)
        self.status, self.body = 401, {"message": "401: Unauthorized", "code": 0}


async def _body(request: web.Request) -> tuple[Any, tuple[Upload, ...]]:
    if not request.content_type.startswith("multipart/"):
        text = await request.text()
        return (json.loads(text) if text else None), ()
    body, uploads = None, []
    async for part in await request.multipart():
        assert isinstance(part, BodyPartReader)
        data = bytes(await part.read())
        if part.name == "payload_json":
            body = json.loads(data)
        else:
            uploads.append(Upload(part.filename or "", data))
    return body, tuple(uploads)


def _spoiled(fault: Fault | None) -> web.Response | None:
    """The answer of a fault that keeps anything from being done."""
    match fault:
        case Limited():
            return _limited(fault)
        case Broken(500):
            return _report(500, {"message": "500: Internal Server Error", "code": 0}, VIA)
        case Broken(status):
            return web.Response(status=status, text="<html>upstream</html>", content_type="text/html")
        case Code(code, retry_after):
            refused = Refused(code)
            limit = {"retry_after": retry_after, "global": False} if refused.status == 429 else {}
            return _report(refused.status, refused.body | limit, VIA)
        case _:
            return None


def _limited(fault: Limited, spent: Spent | None = None) -> web.Response:
    headers = {"Retry-After": str(int(fault.retry_after) + 1)}
    if not fault.via:
        return web.Response(status=429, text="error code: 1015", headers=headers)
    headers |= VIA | (spent.headers if spent else {})
    headers["X-RateLimit-Scope"] = "global" if fault.everywhere else "user"
    if fault.everywhere:
        headers["X-RateLimit-Global"] = "true"
    output = {"message": "You are being rate limited.", "retry_after": fault.retry_after, "global": fault.everywhere}
    return _report(429, output, headers)


def _report(status: int, output: object, headers: Mapping[str, str]) -> web.Response:
    """An answer in JSON, under the bare content type: the client takes one with a charset for plain text."""
    if status == 204:
        return web.Response(status=204, headers=headers)
    return web.Response(
        status=status, body=json.dumps(output).encode(), headers=headers, content_type="application/json"
    )
