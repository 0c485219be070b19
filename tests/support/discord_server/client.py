"""A bare client of the real library, for the tests of the double: it records events and sends nothing by itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import discord

from tests.support.discord_server import TOKEN, Channel

INTENTS = discord.Intents(guilds=True, guild_messages=True, dm_messages=True, message_content=True)


class Bot(discord.Client):
    """A bare client that records messages and interactions, in order."""

    def __init__(self, intents: discord.Intents = INTENTS, heartbeat_timeout: float = 60.0) -> None:
        super().__init__(intents=intents, guild_ready_timeout=0.01, heartbeat_timeout=heartbeat_timeout)
        self.received: asyncio.Queue[discord.Message] = asyncio.Queue()
        self.interactions: asyncio.Queue[discord.Interaction] = asyncio.Queue()
        self.resumed = asyncio.Event()
        self.readied: asyncio.Queue[None] = asyncio.Queue()
        self.ended: asyncio.Task[None] | None = None

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Identifies at once; the library's own hook waits for seconds before the second time."""

    async def on_message(self, message: discord.Message) -> None:
        """Record a message of another user."""
        if message.author != self.user:
            await self.received.put(message)

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        """Record a press, a command, or a form."""
        await self.interactions.put(interaction)

    async def on_resumed(self) -> None:
        """Note that the session was resumed."""
        self.resumed.set()

    async def on_ready(self) -> None:
        """Note that a session began."""
        await self.readied.put(None)

    def place(self, channel: Channel) -> discord.TextChannel:
        """Return the client's object of a channel."""
        found = self.get_channel(channel.id)
        assert isinstance(found, discord.TextChannel)
        return found


@asynccontextmanager
async def running(bot: Bot) -> AsyncIterator[Bot]:
    """Run the bot, logged in and ready, until the end of the block."""
    async with bot:
        await bot.login(TOKEN)
        bot.ended = asyncio.create_task(bot.connect())
        await asyncio.wait_for(bot.readied.get(), 10)
        yield bot
    if bot.ended is not None:
        await bot.ended


def buttons() -> discord.ui.View:
    """Return two buttons, of which the second is disabled."""
    view = discord.ui.View(timeout=None)
    view.add_item(discord.ui.Button(label="Again", custom_id="again"))
    view.add_item(discord.ui.Button(label="Off", custom_id="off", disabled=True))
    return view
