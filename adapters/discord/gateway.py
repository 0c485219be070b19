"""The Discord platform: one account, connected for as long as the bot runs, whatever Discord does."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import discord
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from adapters.discord.client import Client
from adapters.discord.reading import Archive
from bot.domain import ThreadKey, View
from bot.errors import ConfigError
from bot.ports import Inbox, Record, Surface

log = logging.getLogger(__name__)

NO_CONTENT = (
    "On this server I read only messages that mention me, replies that ping me, and direct messages:"
    " mention me in each message, also in my threads."
)
LONGEST_WAIT = 120  # seconds before another attempt to connect
UNPROVEN = 60  # seconds after which a connection that ends was a good one


@dataclass(frozen=True, slots=True)
class Account:
    """How the bot reaches Discord. Addresses are Discord's own where they are empty."""

    token: str
    api_url: str = ""
    gateway_url: str = ""
    cdn_url: str = ""
    content: bool = True  # ask for what is said without a mention
    guild: int | None = None  # which gets the commands at once


class Discord:
    """The platform. It answers for its own connection: whatever ends it, another one is made."""

    def __init__(
        self,
        account: Account,
        archive: Archive,
        record: Record,
        read: Callable[[str], bytes],
        tell: Callable[[str], None] = lambda note: None,
        **options: Any,
    ) -> None:
        """`tell` is told what people must know of this connection; `options` are discord.py's own."""
        self._account = account
        self._archive = archive
        self._record = record
        self._read = read
        self._tell = tell
        self._options = options
        self._content = account.content
        if not account.content:
            tell(NO_CONTENT)
        self._client: Client | None = None
        self._connected = asyncio.Event()
        if account.api_url:
            Route.BASE = account.api_url
        if account.gateway_url:
            DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(account.gateway_url)
        if account.cdn_url:
            discord.Asset.BASE = account.cdn_url

    def surface(self, thread: ThreadKey, message_id: str) -> Surface:
        """Where the reply to a message is shown."""
        return LateSurface(self, thread, message_id)

    async def client(self) -> Client:
        """The client, as soon as it is connected."""
        await self._connected.wait()
        assert self._client
        return self._client

    async def run(self, inbox: Inbox) -> None:
        """Stay connected until cancelled. Raises ConfigError if the token is refused."""
        attempt = 0
        while True:
            began = time.monotonic()
            client = self.client_for(inbox)
            try:
                await _served(client, self._account.token)
            except discord.LoginFailure as error:
                raise ConfigError(
                    "DISCORD_TOKEN is refused by Discord: make a new one, see docs/discord.md."
                ) from error
            except discord.PrivilegedIntentsRequired:
                log.warning("the message content intent is not granted: only mentions are read, see docs/discord.md")
                self._content = False
                self._tell(NO_CONTENT)
                continue
            except Exception:  # an event that cannot be parsed ends discord.py's loop, as does the network
                log.exception("the connection to Discord ended")
            finally:
                self._connected.clear()
                self._client = None
            attempt = 0 if time.monotonic() - began > UNPROVEN else attempt + 1
            await asyncio.sleep(min(LONGEST_WAIT, 0.5 * 2**attempt))

    def client_for(self, inbox: Inbox) -> Client:
        """A client that is not connected yet."""
        return Client(
            inbox,
            self._archive,
            self._record,
            self._read,
            content=self._content,
            guild=self._account.guild,
            connected=self._now_connected,
            **self._options,
        )

    def _now_connected(self, client: Client) -> None:
        self._client = client
        self._connected.set()

    def health(self) -> dict[str, Any]:
        """Whether it is connected, and how many seconds ago Discord last answered a heartbeat."""
        shards = list(self._client.shards.values()) if self._client else []
        acks = [ack for shard in shards if (ack := _last_ack(shard))]
        age = round(time.perf_counter() - min(acks), 1) if acks else None
        connected = self._connected.is_set() and not any(shard.is_closed() for shard in shards)
        return {"connected": connected, "last_heartbeat": age, "message_content": self._content}


class LateSurface:
    """A surface of the client that is connected when it is needed."""

    def __init__(self, platform: Discord, thread: ThreadKey, message_id: str) -> None:
        self._platform = platform
        self._thread = thread
        self._message_id = message_id
        self._client: Client | None = None
        self._surface: Surface | None = None

    @property
    def pause(self) -> float:
        """As long as the surface behind it waits."""
        return self._surface.pause if self._surface else 0.0

    async def put(self, view: View) -> None:
        """Wait for a connection, and show the view there."""
        client = await self._platform.client()
        if self._surface is None or client is not self._client:
            self._client, self._surface = client, client.surface(self._thread, self._message_id)
        await self._surface.put(view)


async def _served(client: Client, token: str) -> None:
    """Have the client run until it ends. discord.py forgets a cancellation that comes while a shard connects."""
    running = asyncio.create_task(client.start(token))
    try:
        await asyncio.wait({running})
    finally:
        with suppress(Exception):
            await client.close()
        running.cancel()
        await asyncio.wait({running})
    running.result()


def _last_ack(shard: discord.ShardInfo) -> float | None:
    """When the shard's last heartbeat was answered, on the clock of time.perf_counter; discord.py has no public way."""
    keep_alive = getattr(shard._parent.ws, "_keep_alive", None)
    return float(keep_alive._last_ack) if keep_alive else None
