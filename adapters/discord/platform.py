"""The Discord platform: one account that reconnects for as long as the bot runs."""

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
from adapters.lazy_surface import LazySurface
from bot.domain import ThreadKey
from bot.errors import ConfigError
from bot.notices import UserText, notice
from bot.ports import Archive, Inbox, PostStore, Surface

log = logging.getLogger(__name__)

NO_MESSAGE_CONTENT = notice("help-mentions-only")
MAX_RECONNECT_DELAY = 120  # seconds between two attempts to connect, at most
STABLE_AFTER = 60  # seconds after which a connection counts as stable; the next delay is then short


@dataclass(frozen=True, slots=True)
class Account:
    """Token and addresses of the bot on Discord. An empty address means Discord's own."""

    token: str
    api_url: str = ""
    gateway_url: str = ""
    cdn_url: str = ""
    message_content: bool = True  # request the intent to read messages that do not mention the bot
    guild: int | None = None  # id of a server that gets the commands at once


class Discord:
    """The Discord platform. It creates a new connection whenever one ends."""

    def __init__(
        self,
        account: Account,
        archive: Archive,
        record: PostStore,
        read: Callable[[str], bytes],
        notify: Callable[[UserText], None] = lambda note: None,
        **options: Any,
    ) -> None:
        """`read` returns the PNG file of an image by its digest.

        `notify` receives a note about this connection for users. `options` are those of discord.Client.
        """
        self._account = account
        self._archive = archive
        self._record = record
        self._read = read
        self._notify = notify
        self._options = options
        self._message_content = account.message_content
        if not account.message_content:
            notify(NO_MESSAGE_CONTENT)
        self._client: Client | None = None
        self._connected = asyncio.Event()
        if account.api_url:
            Route.BASE = account.api_url
        if account.gateway_url:
            DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(account.gateway_url)
        if account.cdn_url:
            discord.Asset.BASE = account.cdn_url

    def surface(self, thread: ThreadKey, message_id: str) -> Surface:
        """Return the surface that shows the reply to a message."""
        return LazySurface(self.connected_client, lambda client: client.surface(thread, message_id))

    async def connected_client(self) -> Client:
        """Wait for a connection, and return its client."""
        await self._connected.wait()
        assert self._client
        return self._client

    async def run(self, inbox: Inbox) -> None:
        """Stay connected until cancelled. Raises ConfigError if the token is refused."""
        attempt = 0
        while True:
            began = time.monotonic()
            client = self.create_client(inbox)
            try:
                await _run_client(client, self._account.token)
            except discord.LoginFailure as error:
                raise ConfigError(
                    "DISCORD_TOKEN is refused by Discord: make a new one, see docs/discord.md."
                ) from error
            except discord.PrivilegedIntentsRequired:
                log.warning("the message content intent is not granted: only mentions are read, see docs/discord.md")
                self._message_content = False
                self._notify(NO_MESSAGE_CONTENT)
                continue
            except Exception:  # discord.py's loop ends on network errors and on events that it cannot parse
                log.exception("the connection to Discord ended")
            finally:
                self._connected.clear()
                self._client = None
            attempt = 0 if time.monotonic() - began > STABLE_AFTER else attempt + 1
            await asyncio.sleep(min(MAX_RECONNECT_DELAY, 0.5 * 2**attempt))

    def create_client(self, inbox: Inbox) -> Client:
        """Return a new client that is not connected yet."""
        return Client(
            inbox,
            self._archive,
            self._record,
            self._read,
            message_content=self._message_content,
            guild=self._account.guild,
            on_connected=self._set_connected,
            **self._options,
        )

    def _set_connected(self, client: Client) -> None:
        self._client = client
        self._connected.set()

    def health(self) -> dict[str, Any]:
        """Return whether the bot is connected, the age of the last heartbeat, and whether it reads all messages.

        The age, in seconds, is that of the shard whose heartbeat Discord answered least recently; None without one.
        """
        shards = list(self._client.shards.values()) if self._client else []
        acks = [ack for shard in shards if (ack := _last_heartbeat(shard))]
        age = round(time.perf_counter() - min(acks), 1) if acks else None
        connected = self._connected.is_set() and not any(shard.is_closed() for shard in shards)
        return {"connected": connected, "last_heartbeat": age, "message_content": self._message_content}


async def _run_client(client: Client, token: str) -> None:
    """Run the client until it ends. discord.py loses a cancellation that comes while a shard connects."""
    running = asyncio.create_task(client.start(token))
    try:
        await asyncio.wait({running})
    finally:
        with suppress(Exception):
            await client.close()
        running.cancel()
        await asyncio.wait({running})
    running.result()


def _last_heartbeat(shard: discord.ShardInfo) -> float | None:
    """Return when Discord answered the last heartbeat of the shard, on the clock of time.perf_counter.

    Reads private attributes, because discord.py has no public ones.
    """
    keep_alive = getattr(shard._parent.ws, "_keep_alive", None)
    return float(keep_alive._last_ack) if keep_alive else None
