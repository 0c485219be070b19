"""The Discord adapter in a simulated Discord, with a chat model of the test's choice and a renderer that takes no time."""

import asyncio
import io
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import simcord
from PIL import Image

from adapters.discord.client import Client
from adapters.discord.gateway import Account, Discord
from bot.desk import Desk
from bot.domain import Operation, Picture, Refining, RenderJob, ThreadKey, View
from bot.files import PictureFiles
from bot.inbox import Conversations, Rules
from bot.ports import Inbox, Surface
from bot.speech import ModelEvent
from bot.store import Store
from tests.doubles import InstantRenderer, ScriptedModel, claimed

Script = Sequence[str | None | ModelEvent]


def png(colour: str = "red", size: int = 8) -> bytes:
    """A small picture of one colour."""
    file = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(file, "PNG")
    return file.getvalue()


class Filing:
    """An album that keeps uploads as they are."""

    def __init__(self, files: PictureFiles) -> None:
        self._files = files

    async def take_in(self, upload: bytes) -> Picture:
        """The upload as a picture."""
        return Picture(0, self._files.put(upload), 8, 8, "", "An uploaded picture", Operation.UPLOAD)

    async def glance(self, digest: str) -> bytes:
        """The file itself."""
        return self._files.read(digest)

    async def throw_away(self, digest: str) -> None:
        """Delete the file."""
        self._files.delete(digest)


class PaintingRenderer(InstantRenderer):
    """An instant renderer whose pictures are on record and have files; each job's has a colour of its own."""

    def __init__(self, store: Store, files: PictureFiles) -> None:
        super().__init__()
        self._store, self._files = store, files
        self.keep = self._keep

    def _keep(self, job: RenderJob, made: Picture) -> None:
        if self._store.jobs.outcome(job) is None:
            assert self._store.jobs.rendered(claimed(self._store, job), made)

    async def render(self, job: RenderJob) -> Any:
        """As the instant renderer does, with the digest of a real file."""
        colour = f"#{zlib.crc32(job.id.encode()) & 0xFFFFFF:06x}"
        digest = await asyncio.to_thread(self._files.put, png(colour))
        keep = self.keep
        self.keep = lambda job, made: keep(job, replace(made, digest=digest))
        async for update in super().render(job):
            yield (
                replace(update, picture=replace(update.picture, digest=digest))
                if hasattr(update, "picture")
                else update
            )


class Watched:
    """A platform before the simulated account, which tells of every view that is on the screen."""

    def __init__(self, house: "House") -> None:
        self._house = house

    async def run(self, inbox: Inbox) -> None:
        """The simulation brings the events."""
        await asyncio.Event().wait()

    def surface(self, thread: ThreadKey, message_id: str) -> Surface:
        """The account's surface, watched."""
        return WatchedSurface(self._house, self._house.client.surface(thread, message_id))


class WatchedSurface:
    """A surface that notifies whoever waits after every put."""

    pause = 0.0

    def __init__(self, house: "House", surface: Surface) -> None:
        self._house, self._surface = house, surface

    async def put(self, view: View) -> None:
        """Show it, and tell."""
        try:
            await self._surface.put(view)
        finally:
            self._house.changed()


@dataclass
class House:
    """A bot in a simulated server with a channel and two people; Bob may manage messages."""

    store: Store
    files: PictureFiles
    model: ScriptedModel
    renderer: PaintingRenderer
    guild_default: bool = True
    env: Any = None
    client: Client = None  # type: ignore[assignment]
    inbox: Conversations = None  # type: ignore[assignment]
    guild: Any = None
    channel: Any = None
    ann: Any = None
    bob: Any = None

    def __post_init__(self) -> None:
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def changed(self) -> None:
        """Wake whoever waits for something to be on the screen."""
        self._news.set()
        self._news = asyncio.Event()

    async def until(self, holds: Callable[[], Any]) -> Any:
        """What `holds` gives as soon as it is true; asked after every change of the screen."""
        while not (value := holds()):
            news = self._news
            if not (value := holds()):
                await news.wait()
                await self.env.settle()
        return value

    async def start(self) -> Client:
        """A new bot on the same record; it is not connected yet."""
        desk = Desk(self.store, chat_models=("clever", "quick"))
        self.inbox = Conversations(
            self.store, self.model, self.renderer, Filing(self.files), Rules(refining=Refining.OFF), desk=desk
        )
        platform = Discord(
            Account("token"), self.store, self.store.posts, self.files.read, guild_ready_timeout=0.01, rate=(10_000, 1)
        )
        self.client = platform.client_for(self.inbox)
        return self.client

    async def open(self) -> None:
        """Have the inbox work; what was open is taken up."""
        self._task = asyncio.create_task(self.inbox.run({"discord": Watched(self)}))
        await asyncio.sleep(0)

    async def close(self) -> None:
        """Have it stop, as a signal would."""
        if self._task:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def restart(self) -> None:
        """End the bot and start another one on the same record."""
        await self.close()
        await self.env.restart_bot(await self.start())
        await self.open()
        await self.env.settle()

    async def draw(self, words: str = "draw a sun", who: Any = None, channel: Any = None) -> Any:
        """Ask in a channel for a picture; the thread in which it is, once the reply is final."""
        asked = await (who or self.ann).send(channel or self.channel, f"<@{self.client.user.id}> {words}")  # type: ignore[union-attr]
        await self.final(asked.id)
        return next(thread for thread in (channel or self.channel).threads if thread.id == asked.id)

    async def final(self, message_id: int | str) -> None:
        """Wait until the reply to a message is final and on record."""
        await self.until(lambda: (entry := self.store.entry(str(message_id))) and entry.view)


def pictures(channel: Any) -> list[Any]:
    """The messages of a channel that show a picture, in order."""
    return [message for message in channel.history() if message.attachments]


def labels(message: Any) -> list[str]:
    """The labels of a message's buttons."""
    return [button.label for row in message.components for button in getattr(row, "children", ())]


@asynccontextmanager
async def house(tmp_path: Path, *scripts: Script, approved: Any = None) -> AsyncIterator[House]:
    """A running house; the chat model says the scripts one after the other."""
    store, files = Store(tmp_path / "db.sqlite"), PictureFiles(tmp_path / "pictures")
    here = House(store, files, ScriptedModel(list(scripts)), PaintingRenderer(store, files))
    client = await here.start()
    await here.open()
    options = {"approved_intents": approved} if approved else {}
    async with simcord.run(client, shard_count=1, **options) as here.env:
        here.guild = here.env.create_guild()
        here.channel = here.guild.create_text_channel("general")
        here.ann = here.guild.add_member(here.env.create_user("ann"))
        mods = here.guild.create_role("Mods", permissions=_permissions(manage_messages=True))
        here.bob = here.guild.add_member(here.env.create_user("bob"), roles=[mods])
        try:
            yield here
        finally:
            await here.close()
    store.close()


def _permissions(**granted: bool) -> Any:
    import discord

    return discord.Permissions(**granted)
