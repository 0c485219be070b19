"""The gateway: sessions that outlive their connections, numbered dispatches, and ends of connections."""

import asyncio
import json
import zlib
from contextlib import suppress
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from tests.support.discord_server import payloads
from tests.support.discord_server.session import ACK, HELLO, INVALID, RECONNECT, Close, Line, Session
from tests.support.discord_server.state import DIRECT, Channel, Guild, Json, Message, World

HEARTBEAT, IDENTIFY, RESUME, MEMBERS = 1, 2, 6, 8  # what clients send
GUILDS, GUILD_MEMBERS, PRESENCES, GUILD_MESSAGES, DIRECT_MESSAGES, CONTENT = 1, 1 << 1, 1 << 8, 1 << 9, 1 << 12, 1 << 15
PRIVILEGED = GUILD_MEMBERS | PRESENCES | CONTENT


@dataclass(eq=False)
class Gateway:
    """All sessions, and the faults of the gateway."""

    world: World
    token: str
    url: str = ""
    approved: int = -1  # the privileged intents that the app may have
    acknowledges: bool = True
    down: bool = False  # no new connection is let in
    heartbeat_seconds: float = 41.25
    sessions: dict[str, Session] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    intents: int = 0  # of the last IDENTIFY
    identified: int = 0
    beats: int = 0

    @property
    def connected(self) -> int:
        """The number of connected sessions."""
        return sum(session.line is not None for session in self.sessions.values())

    @property
    def sees_content(self) -> bool:
        """Whether the app asked for the message content intent, when it last identified."""
        return bool(self.intents & CONTENT)

    def dispatch(self, name: str, data: object, *, guild: int | None = None, intent: int = 0) -> None:
        """Send an event to the sessions that it concerns. It may be malformed."""
        for session in self.sessions.values():
            if session.hears(guild, intent):
                session.dispatch(name, data)
        self.world.changed()

    def tell(self, name: str, message: Message) -> None:
        """Send a message event, with as much content as the intents allow."""
        home = message.channel
        drawn = payloads.message(self.world, message)
        if home.guild is not None:
            drawn |= {"guild_id": str(home.guild.id), "member": payloads.member(home.guild, message.author)}
        intent = DIRECT_MESSAGES if home.type == DIRECT else GUILD_MESSAGES
        for session in self.sessions.values():
            if session.hears(home.guild_id, intent):
                whole = home.type == DIRECT or session.intents & CONTENT
                session.dispatch(name, drawn if whole else payloads.blanked(self.world, drawn))
        self.world.changed()

    def tell_channel(self, name: str, channel: Channel, **more: object) -> None:
        """Send an event of a channel or a thread."""
        drawn = payloads.channel(self.world, channel) | more
        self.dispatch(name, drawn, guild=channel.guild_id, intent=GUILDS if channel.guild else 0)

    def drop(self, code: int = 4000, reason: str = "") -> None:
        """Close all connections. Sessions stay, unless the code ends them."""
        for line in self.lines:
            line.waiting.put_nowait(Close(code, reason))
        for session in self.sessions.values():
            session.line = None

    def forget(self) -> None:
        """No session can be resumed any more: a RESUME is answered with op 9."""
        self.sessions.clear()

    def ask_to_reconnect(self) -> None:
        """Sends op 7 on all lines."""
        for line in self.lines:
            line.send(RECONNECT, None)

    def invalidate(self, *, resumable: bool = False) -> None:
        """Sends op 9 on all lines."""
        if not resumable:
            self.forget()
        for line in self.lines:
            line.send(INVALID, resumable)

    def raw(self, text: str) -> None:
        """Sends a text as it is on all lines."""
        for line in self.lines:
            line.waiting.put_nowait(text)

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """One connection, from HELLO to its end."""
        if self.down:
            return web.Response(status=503)
        socket = web.WebSocketResponse(max_msg_size=0, compress=False)
        await socket.prepare(request)
        line = Line(socket, zlib.compressobj() if request.query.get("compress") == "zlib-stream" else None)
        self.lines.append(line)
        writer = asyncio.create_task(line.write())
        line.send(HELLO, {"heartbeat_interval": int(self.heartbeat_seconds * 1000)})
        try:
            async for frame in socket:
                if frame.type is WSMsgType.TEXT:
                    self._received(line, json.loads(frame.data))
        finally:
            self._ended(line, socket.close_code)
            writer.cancel()
            with suppress(asyncio.CancelledError, ConnectionError):
                await writer
        return socket

    def _ended(self, line: Line, code: int | None) -> None:
        self.lines.remove(line)
        for session in [session for session in self.sessions.values() if session.line is line]:
            session.line = None
            if code in (1000, 1001):  # the client says goodbye: nothing is kept for it
                del self.sessions[session.id]
        self.world.changed()

    def _received(self, line: Line, frame: Json) -> None:
        op, data = frame["op"], frame["d"]
        if op == HEARTBEAT:
            self.beats += 1
            if self.acknowledges:
                line.send(ACK, None)
        elif op == IDENTIFY:
            self._identify(line, data)
        elif op == RESUME:
            self._resume(line, data)
        elif op == MEMBERS:
            self._members(line, data)
        self.world.changed()

    def _identify(self, line: Line, data: Json) -> None:
        if data["token"] != self.token:
            line.waiting.put_nowait(Close(4004, "Authentication failed."))
            return
        if data["intents"] & PRIVILEGED & ~self.approved:
            line.waiting.put_nowait(Close(4014, "Disallowed intent(s)."))
            return
        self.identified += 1
        self.intents = data["intents"]
        shard, shards = data.get("shard", (0, 1))
        session = Session(f"session-{self.identified}", self.intents, (shard, shards), line)
        self.sessions[session.id] = session
        guilds = [one for one in self.world.guilds.values() if session.hears(one.id, GUILDS)]
        session.dispatch("READY", self._ready(session, guilds))
        for guild in guilds:
            session.dispatch("GUILD_CREATE", self._guild(session, guild))

    def _ready(self, session: Session, guilds: list[Guild]) -> Json:
        return {
            "v": 10,
            "user": payloads.user(self.world.bot),
            "guilds": [{"id": str(guild.id), "unavailable": True} for guild in guilds],
            "session_id": session.id,
            "resume_gateway_url": self.url,
            "shard": list(session.shard),
            "application": {"id": str(self.world.bot.id), "flags": 0},
        }

    def _guild(self, session: Session, guild: Guild) -> Json:
        return payloads.guild(self.world, guild, members=bool(session.intents & GUILD_MEMBERS))

    def joined(self, guild: Guild) -> None:
        """Send the event of a server that the bot joined."""
        for session in self.sessions.values():
            if session.hears(guild.id, GUILDS):
                session.dispatch("GUILD_CREATE", self._guild(session, guild) | {"unavailable": None})
        self.world.changed()

    def _resume(self, line: Line, data: Json) -> None:
        session = self.sessions.get(data.get("session_id") or "")
        if session is None or data["token"] != self.token:
            line.send(INVALID, False)
            return
        session.line = line
        session.resumed += 1
        session.replay(data["seq"])
        session.dispatch("RESUMED", {})

    def _members(self, line: Line, data: Json) -> None:
        guild = self.world.guilds[int(data["guild_id"])]
        wanted = {int(one) for one in data.get("user_ids") or ()} or set(guild.members)
        people = [person for person, _ in guild.members.values() if person.id in wanted]
        chunk: Json = {"guild_id": str(guild.id), "chunk_index": 0, "chunk_count": 1, "nonce": data.get("nonce")}
        chunk["members"] = [payloads.member(guild, person) | {"user": payloads.user(person)} for person in people]
        session = next(session for session in self.sessions.values() if session.line is line)
        session.dispatch("GUILD_MEMBERS_CHUNK", chunk)
