"""The Discord double against the real client: sessions, their events, and how they end."""

import asyncio

import discord
import pytest

from tests.support.discord_server import TOKEN, Channel, DiscordDouble, Person, Upload
from tests.support.discord_server.client import INTENTS, Bot, running
from tests.support.images import PIXEL


async def test_missed_events_are_replayed(double: DiscordDouble, channel: Channel, ana: Person, bot: Bot) -> None:
    """After a lost connection the session is resumed, and missed messages arrive."""
    double.gateway.drop()
    await double.say(channel, ana, "while you were away")
    assert (await bot.received.get()).content == "while you were away"
    await bot.resumed.wait()
    double.gateway.ask_to_reconnect()
    await double.until(lambda: sum(session.resumed for session in double.gateway.sessions.values()) == 2)
    assert double.gateway.identified == 1


async def test_a_session_that_cannot_resume_starts_again(
    double: DiscordDouble, channel: Channel, ana: Person, bot: Bot
) -> None:
    """The client is ready again, and has missed the messages."""
    double.gateway.forget()
    double.gateway.drop()
    await double.say(channel, ana, "while you were away")
    await bot.readied.get()
    assert double.gateway.identified == 2
    assert [one.content async for one in bot.place(channel).history()] == ["while you were away"]
    assert bot.received.empty()


async def test_a_silent_gateway_is_reconnected(double: DiscordDouble, channel: Channel) -> None:
    """If heartbeats are not acknowledged, the session is resumed over a new connection."""
    double.gateway.heartbeat_seconds = 0.05
    double.gateway.acknowledges = False
    async with running(Bot(heartbeat_timeout=0.2)) as bot:
        await bot.resumed.wait()
        assert double.gateway.beats and double.gateway.identified == 1
        double.gateway.acknowledges = True
    await double.until(lambda: not double.gateway.connected)


async def test_privileged_intents_must_be_granted(double: DiscordDouble, channel: Channel) -> None:
    """Requesting an intent that the app does not have ends the connection."""
    double.gateway.approved = 0
    async with Bot() as bot:
        await bot.login(TOKEN)
        with pytest.raises(discord.PrivilegedIntentsRequired):
            await bot.connect()


async def test_a_wrong_token_is_refused(double: DiscordDouble) -> None:
    """Only the token of the bot can log in."""
    async with Bot() as bot:
        with pytest.raises(discord.LoginFailure):
            await bot.login("another")


async def test_a_malformed_event_reaches_the_client(double: DiscordDouble, channel: Channel, bot: Bot) -> None:
    """The double sends any payload, and the client ends as it does with Discord."""
    double.gateway.dispatch("MESSAGE_CREATE", {"id": "not a number"})
    assert bot.ended is not None
    with pytest.raises((KeyError, ValueError)):
        await bot.ended
    bot.ended = None


async def test_content_is_empty_without_the_intent(double: DiscordDouble, channel: Channel, ana: Person) -> None:
    """Without the message content intent only direct messages and mentions have content."""
    async with running(Bot(discord.Intents(guilds=True, guild_messages=True, dm_messages=True))) as bot:
        asked = await double.say(channel, ana, "a secret", files=[Upload("fox.png", PIXEL)])
        received = await bot.received.get()
        assert (received.content, received.attachments) == ("", [])
        await double.say(channel, ana, f"{double.bot.mention} draw that", reference=asked.id)
        received = await bot.received.get()
        assert received.content.endswith("draw that")
        assert received.reference and isinstance(received.reference.resolved, discord.Message)
        assert received.reference.resolved.content == ""
        await double.say(double.direct(ana), ana, "just us")
        received = await bot.received.get()
        assert received.content == "just us"
        await received.author.send("Indeed.")
        assert double.messages(double.direct(ana))[-1].content == "Indeed."


async def test_edits_and_deletions_arrive(double: DiscordDouble, channel: Channel, ana: Person, bot: Bot) -> None:
    """Edits and deletions of messages, channels and servers reach the client."""
    output: list[str] = []
    for name in ("raw_message_edit", "raw_message_delete", "guild_channel_delete", "guild_remove"):
        setattr(bot, f"on_{name}", _noting(output, name))
    said = await double.say(channel, ana, "a fox")
    await double.edit(said, "a hen")
    await double.delete(said)
    await double.remove_channel(channel)
    assert channel.guild is not None
    await double.remove_guild(channel.guild)
    await double.say(double.direct(ana), ana, "there?")
    while (await bot.received.get()).content != "there?":
        pass
    assert output == ["raw_message_edit", "raw_message_delete", "guild_channel_delete", "guild_remove"]


async def test_the_client_can_have_shards(double: DiscordDouble) -> None:
    """Each shard gets the events of its own servers."""
    double.shards = 2
    channels = [double.channel(double.guild(f"Workshop {number}")) for number in range(3)]
    ready = asyncio.Event()

    class Shards(discord.AutoShardedClient):
        async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
            pass

        async def on_ready(self) -> None:
            ready.set()

    async with Shards(intents=INTENTS, guild_ready_timeout=0.01) as bot:
        await bot.login(TOKEN)
        ended = asyncio.create_task(bot.connect())
        await ready.wait()
        assert {guild.id for guild in bot.guilds} == {channel.guild_id for channel in channels}
        assert double.gateway.connected == len(bot.shards) == 2
    await ended


def _noting(output: list[str], name: str) -> object:
    async def note(*_: object) -> None:
        output.append(name)

    return note
