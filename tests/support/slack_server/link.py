"""Socket Mode: open sockets, envelopes, and those that were not acknowledged in time."""

import asyncio
import contextlib
import json
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from aiohttp import WSMsgType, web

from tests.support.slack_server.state import Json, World

EVENTS, COMMANDS, INTERACTIVE = "events_api", "slash_commands", "interactive"


@dataclass(eq=False)
class Envelope:
    """One envelope for the bot, and its acknowledgement."""

    kind: str
    payload: Json
    attempt: int = 0
    reason: str = ""
    on_answer: Callable[[Json], None] | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    acknowledged: bool = False
    answer: Json | None = None
    _settled: asyncio.Event = field(default_factory=asyncio.Event)

    async def settled(self) -> bool:
        """Wait for the acknowledgement; return whether it arrived in time."""
        await self._settled.wait()
        return self.acknowledged

    def settle(self) -> None:
        """It is acknowledged, or too late."""
        self._settled.set()

    @property
    def text(self) -> str:
        """As it is sent."""
        output: Json = {"envelope_id": self.id, "payload": self.payload, "type": self.kind}
        output["accepts_response_payload"] = self.kind != EVENTS
        if self.kind == EVENTS:
            output |= {"retry_attempt": self.attempt, "retry_reason": self.reason}
        return json.dumps(output)


@dataclass(eq=False)
class Line:
    """One socket. A task of its own sends the envelopes in order."""

    socket: web.WebSocketResponse
    request: web.Request
    leaving: bool = False  # was told to reconnect
    waiting: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    def send(self, text: str) -> None:
        """Sends one frame."""
        self.waiting.put_nowait(text)

    async def write(self) -> None:
        """Send the waiting envelopes until the task is cancelled or the socket is closed."""
        with contextlib.suppress(ConnectionError):
            while True:
                await self.socket.send_str(await self.waiting.get())

    def cut(self) -> None:
        """The connection breaks without a word."""
        if self.request.transport is not None:
            self.request.transport.abort()


class Link:
    """All sockets of the app. An envelope goes down one of them; without any it waits for the next."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ack_seconds = 3.0
        self.retries = (0.0, 60.0, 300.0)  # seconds before an event that was not acknowledged is sent again
        self.lines: list[Line] = []
        self.opened = 0  # sockets since the start
        self.sent: list[Envelope] = []
        self.unacknowledged: list[Envelope] = []
        self._link_ids: set[str] = set()
        self._backlog: deque[Envelope] = deque()
        self._pending: dict[str, Envelope] = {}
        self._timers: set[asyncio.TimerHandle] = set()
        self._turn = 0

    def open(self) -> Json:
        """The answer of `apps.connections.open`: where one socket can be opened."""
        link_id = uuid.uuid4().hex
        self._link_ids.add(link_id)
        return {"url": f"{self.world.url.replace('http', 'ws', 1)}/link/?ticket={link_id}&app_id={self.world.app_id}"}

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """One socket, from hello to the end."""
        link_id = request.query.get("ticket", "")
        if link_id not in self._link_ids:
            return web.Response(status=404, text="no such ticket")
        self._link_ids.discard(link_id)
        line = Line(web.WebSocketResponse(), request)
        await line.socket.prepare(request)
        writer = asyncio.create_task(line.write())
        self.lines.append(line)
        self.opened += 1
        about = {"app_id": self.world.app_id}
        line.send(json.dumps({"type": "hello", "num_connections": len(self.lines), "connection_info": about}))
        self._flush()
        self.world.changed()
        try:
            async for frame in line.socket:
                if frame.type is WSMsgType.TEXT:
                    self._received(json.loads(frame.data))
        finally:
            self.lines.remove(line)
            writer.cancel()
            self.world.changed()
        return line.socket

    def send(self, envelope: Envelope) -> Envelope:
        """Send an envelope to the bot. An interaction is lost if no socket is open."""
        self.sent.append(envelope)
        if envelope.kind != EVENTS and not self._usable():
            self._late(envelope)
        else:
            self._backlog.append(envelope)
            self._flush()
        return envelope

    def refresh(self, reason: str = "refresh_requested") -> None:
        """Asks for new sockets in place of all that are open."""
        for line in self.lines:
            line.leaving = True
            line.send(json.dumps({"type": "disconnect", "reason": reason, "debug_info": {"host": "wss-double"}}))

    async def close(self) -> None:
        """Closes all sockets in order."""
        for line in list(self.lines):
            await line.socket.close()

    def cut(self) -> None:
        """All sockets break."""
        for line in self.lines:
            line.cut()

    def end(self) -> None:
        """Nothing more is sent or awaited."""
        for timer in self._timers:
            timer.cancel()
        for envelope in (*self._pending.values(), *self._backlog):
            envelope.settle()

    def _usable(self) -> list[Line]:
        return [line for line in self.lines if not line.leaving and not line.socket.closed]

    def _flush(self) -> None:
        while self._backlog and (lines := self._usable()):
            envelope = self._backlog.popleft()
            self._turn += 1
            self._pending[envelope.id] = envelope
            lines[self._turn % len(lines)].send(envelope.text)
            self._later(self.ack_seconds, partial(self._late, envelope))

    def _received(self, frame: Any) -> None:
        envelope = self._pending.pop(frame.get("envelope_id", ""), None)
        if envelope is None:
            return
        envelope.acknowledged, envelope.answer = True, frame.get("payload") or {}
        if envelope.on_answer is not None:
            envelope.on_answer(envelope.answer)
        envelope.settle()
        self.world.changed()

    def _late(self, envelope: Envelope) -> None:
        if envelope.acknowledged:
            return
        self._pending.pop(envelope.id, None)
        self.unacknowledged.append(envelope)
        envelope.settle()
        self.world.changed()
        if envelope.kind == EVENTS and envelope.attempt < len(self.retries):
            again = Envelope(EVENTS, envelope.payload, envelope.attempt + 1, "timeout")
            self._later(self.retries[envelope.attempt], partial(self.send, again))

    def _later(self, seconds: float, action: Callable[[], object]) -> None:
        def happen() -> None:
            self._timers.discard(timer)
            action()

        timer = asyncio.get_running_loop().call_later(seconds, happen)
        self._timers.add(timer)
