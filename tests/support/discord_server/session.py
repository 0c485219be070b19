"""One connection to the gateway, and the session that outlives it."""

import asyncio
import json
import zlib
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

DISPATCH, RECONNECT, INVALID, HELLO, ACK = 0, 7, 9, 10, 11  # what Discord sends


@dataclass(frozen=True)
class Close:
    """Closes the connection with a code and a reason."""

    code: int
    reason: str = ""


@dataclass(eq=False)
class Line:
    """One connection. A task of its own sends the payloads in order."""

    socket: web.WebSocketResponse
    deflate: Any  # a zlib stream, where the client asked for one
    waiting: asyncio.Queue[str | Close] = field(default_factory=asyncio.Queue)

    def send(self, op: int, data: object, name: str | None = None, sequence: int | None = None) -> None:
        """Send one payload."""
        self.waiting.put_nowait(json.dumps({"op": op, "d": data, "t": name, "s": sequence}))

    async def write(self) -> None:
        """Send the waiting payloads until the connection is closed."""
        while True:
            match await self.waiting.get():
                case Close(code, reason):
                    await self.socket.close(code=code, message=reason.encode())
                    return
                case text if self.deflate is None:
                    await self.socket.send_str(text)
                case text:
                    packed = self.deflate.compress(text.encode()) + self.deflate.flush(zlib.Z_SYNC_FLUSH)
                    await self.socket.send_bytes(packed)


@dataclass(eq=False)
class Session:
    """A session from one IDENTIFY. It continues without a connection, and numbers its events."""

    id: str
    intents: int
    shard: tuple[int, int]
    line: Line | None
    sent: list[tuple[str, object]] = field(default_factory=list)
    resumed: int = 0

    def dispatch(self, name: str, data: object) -> None:
        """Send one event, or keep it for a RESUME."""
        self.sent.append((name, data))
        if self.line is not None:
            self.line.send(DISPATCH, data, name, len(self.sent))

    def replay(self, sequence: int) -> None:
        """Send all events after a sequence number again."""
        for number, (name, data) in enumerate(self.sent[sequence:], sequence + 1):
            if self.line is not None:
                self.line.send(DISPATCH, data, name, number)

    def hears(self, guild: int | None, intent: int) -> bool:
        """Whether an event of a server, or of a direct conversation, is for this shard and was asked for."""
        shard, shards = self.shard
        return ((guild or 0) >> 22) % shards == shard and self.intents & intent == intent
