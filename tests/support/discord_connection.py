"""The harness of connections: the bot on the Discord double, over real sockets."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from adapters.discord.client import Client
from adapters.discord.platform import Account, Discord
from bot.domain import ThreadKey, View
from bot.notices import UserText
from bot.ports import Inbox, Surface
from tests.support.discord_server import TOKEN, Channel, DiscordDouble, Message, Person
from tests.support.scripted_bot import Script, ScriptedBot, WatchedSurface

UNLIMITED = (10_000, 1.0)


class WatchedDiscord(Discord):
    """The platform with a client that identifies at once: discord.py waits five seconds before the second time."""

    def __init__(self, double: DiscordDouble, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._double = double
        self.final: set[str] = set()  # the messages whose replies are shown to their end

    def surface(self, thread: ThreadKey, message_id: str) -> Surface:
        """Return the surface, which notifies the double when it has shown the final view."""

        def on_shown(view: View) -> None:
            if view.final:
                self.final.add(message_id)
                self._double.world.changed()

        return WatchedSurface(super().surface(thread, message_id), on_shown)

    def create_client(self, inbox: Inbox) -> Client:
        """Return a client that identifies without a pause."""

        async def at_once(shard_id: int | None, *, initial: bool = False) -> None:
            """Wait for nothing."""

        client = super().create_client(inbox)
        client.before_identify_hook = at_once  # type: ignore[method-assign]
        return client


class ConnectedBot(ScriptedBot):
    """A bot that is connected to the Discord double. `notes` are the notes of the platform about its connection."""

    platform_name = "discord"

    def __init__(
        self, double: DiscordDouble, folder: Path, scripts: Sequence[Script], account: Account, **options: Any
    ) -> None:
        super().__init__(folder, scripts, double.world.changed)
        self.notes: list[UserText] = []
        options = {"guild_ready_timeout": 0.01, "rate": UNLIMITED} | options
        self.platform = WatchedDiscord(
            double, account, self.store, self.store.posts, self.files.read, self.notes.append, **options
        )
        self.running = asyncio.create_task(self.create_inbox().run({"discord": self.platform}))
        self._work = {self.running}


@asynccontextmanager
async def running_bot(
    double: DiscordDouble, folder: Path, *scripts: Script, token: str = TOKEN, **options: Any
) -> AsyncIterator[ConnectedBot]:
    """Run a bot until the end of the block. The chat model answers with the scripts; `options` are the client's."""
    account = Account(token, double.api_url, double.gateway_url, double.cdn_url)
    here = ConnectedBot(double, folder, scripts, account, **options)
    try:
        yield here
    finally:
        await here.close()
        here.store.close()


async def ready(double: DiscordDouble, here: ConnectedBot) -> None:
    """Wait until the bot is connected and has caught up."""
    await here.platform.connected_client()
    await double.until(lambda: double.gateway.connected >= double.shards)


async def ask(double: DiscordDouble, channel: Channel, who: Person, words: str = "draw a sun") -> Message:
    """Mention the bot."""
    return await double.say(channel, who, f"{double.bot.mention} {words}")


def replies(double: DiscordDouble, place: Channel | Message) -> list[Message]:
    """Return the messages of the bot in a channel, or in the thread of a message, oldest first."""
    channel = place.thread if isinstance(place, Message) else place
    return [said for said in double.messages(channel) if said.author is double.bot] if channel else []


def under_way(message: Message) -> bool:
    """Whether the reply has a Stop button."""
    return any(name.startswith("mini:stop:") for name in message.custom_ids)
