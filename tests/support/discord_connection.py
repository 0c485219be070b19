"""The bot on Discord as the program puts it together, on the double, over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.discord.client import Client
from adapters.discord.platform import Account, Discord
from bot.capabilities import RefineMode
from bot.conversation.dispatcher import Dispatcher, DispatcherOptions
from bot.domain import ThreadKey, View
from bot.ports import Inbox, Surface
from bot.storage.picture_files import PictureFiles
from bot.storage.store import Store
from tests.support.discord_server import TOKEN, Channel, DiscordDouble, Message, Person
from tests.support.discord_sim import Script
from tests.support.doubles import ScriptedModel
from tests.support.images import Filing, PaintingRenderer

UNLIMITED = (10_000, 1.0)


class Prompt(Discord):
    """The platform, which identifies at once: discord.py waits for five seconds before the second time."""

    def __init__(self, double: DiscordDouble, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._double = double
        self.final: set[str] = set()  # the messages whose replies are shown to their end

    def surface(self, thread: ThreadKey, message_id: str) -> Surface:
        """The usual one, watched."""
        return Watched(self, super().surface(thread, message_id), message_id)

    def has_shown(self, message_id: str) -> None:
        """A reply is at its end: whoever waits looks again."""
        self.final.add(message_id)
        self._double.world.changed()

    def create_client(self, inbox: Inbox) -> Client:
        """Return a client that identifies without a pause."""

        async def at_once(shard_id: int | None, *, initial: bool = False) -> None:
            """Wait for nothing."""

        client = super().create_client(inbox)
        client.before_identify_hook = at_once  # type: ignore[method-assign]
        return client


@dataclass
class Watched:
    """A surface that tells when a reply is shown to its end."""

    platform: Prompt
    surface: Surface
    message_id: str

    @property
    def pause(self) -> float:
        """As long as the surface behind it waits."""
        return self.surface.pause

    async def put(self, view: View) -> None:
        """Show it, and tell."""
        await self.surface.put(view)
        if view.final:
            self.platform.has_shown(self.message_id)


@dataclass
class House:
    """A bot that runs, and what it told of its connection."""

    store: Store
    model: ScriptedModel
    renderer: PaintingRenderer
    platform: Prompt
    serving: asyncio.Task[None]
    told: list[str] = field(default_factory=list)


@asynccontextmanager
async def house(
    double: DiscordDouble, folder: Path, *scripts: Script, token: str = TOKEN, **options: Any
) -> AsyncIterator[House]:
    """A running bot; the chat model says the scripts one after the other. `options` are the client's."""
    store, files, told = Store(folder / "db.sqlite"), PictureFiles(folder / "pictures"), list[str]()
    model, renderer = ScriptedModel(list(scripts)), PaintingRenderer(store, files)
    inbox = Dispatcher(store, model, renderer, Filing(files), DispatcherOptions(refining=RefineMode.OFF))
    account = Account(token, double.api_url, double.gateway_url, double.cdn_url)
    usual: dict[str, Any] = {"guild_ready_timeout": 0.01, "rate": UNLIMITED}
    platform = Prompt(double, account, store, store.posts, files.read, told.append, **usual | options)
    serving = asyncio.create_task(inbox.run({"discord": platform}))
    try:
        yield House(store, model, renderer, platform, serving, told)
    finally:
        serving.cancel()
        await asyncio.wait({serving})
        store.close()


async def ready(double: DiscordDouble, here: House) -> None:
    """Wait until the bot listens and has looked for what it missed."""
    await here.platform.connected_client()
    await double.until(lambda: double.gateway.connected >= double.shards)


async def ask(double: DiscordDouble, channel: Channel, who: Person, words: str = "draw a sun") -> Message:
    """Somebody mentions the bot."""
    return await double.say(channel, who, f"{double.bot.mention} {words}")


def replies(double: DiscordDouble, place: Channel | Message) -> list[Message]:
    """What the bot wrote in a place, or in the thread of a question, oldest first."""
    channel = place.thread if isinstance(place, Message) else place
    return [said for said in double.messages(channel) if said.author is double.bot] if channel else []


def under_way(message: Message) -> bool:
    """Whether a reply can still be stopped."""
    return any(name.startswith("mini:stop:") for name in message.custom_ids)
