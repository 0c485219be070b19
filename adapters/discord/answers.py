"""Who did what, where, and what they are told: what all interactions have in common."""

import logging
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING, Any

import discord

from adapters.discord import draw, panels, parse
from adapters.discord.parse import DIRECT, PERSONAL, PLATFORM, post_id
from adapters.discord.surface import Place
from adapters.markup import pages
from bot.domain import Incoming, Person, ThreadKey
from bot.errors import BotError
from bot.panel import Answer, Command
from bot.words import with_moments

if TYPE_CHECKING:
    from adapters.discord.client import Client

log = logging.getLogger(__name__)

OF_A_THREAD = ("pictures", "export", "forget")
MOST_PAGES = 4  # of one answer
SLOW = ("pictures", "export")  # what takes longer than Discord waits for a first answer
BUG = "Something went wrong here; the log says what."

Interaction = discord.Interaction[Any]


async def hand_over(client: "Client", interaction: Interaction, event: Incoming, place: Place | None) -> bool:
    """Give the inbox the event; a refusal is told to whoever caused it, alone."""
    try:
        await client.hand_over(event, place)
    except BotError as refused:
        await whisper(interaction, str(refused))
        return False
    except Exception:
        log.exception("an interaction met a bug")
        await whisper(interaction, BUG)
        return False
    return True


async def answer(
    client: "Client",
    interaction: Interaction,
    name: str,
    arguments: dict[str, str],
    *,
    of_message: bool = False,
) -> None:
    """Do a command, and whisper what there is to tell."""
    if name in SLOW:
        await interaction.response.defer(ephemeral=True, thinking=True)
    told = await command(client, interaction, name, arguments, of_message=of_message)
    if isinstance(told, str):
        await whisper(interaction, told)
    else:
        await whisper(interaction, told.text, told)


async def command(
    client: "Client",
    interaction: Interaction,
    name: str,
    arguments: dict[str, str],
    *,
    of_message: bool = False,
) -> Answer | str:
    """What comes of a command, or why it was refused."""
    thread = conversation(client, interaction) if of_message else where(client, interaction)
    if name in OF_A_THREAD and not thread.thread:  # what is answered in place has no thread of its own
        thread = client.record.newest(post_id(thread.channel, "")) or thread
    try:
        return await client.inbox.command(Command(str(interaction.id), thread, person(interaction), name, arguments))
    except BotError as refused:
        return str(refused)
    except Exception:
        log.exception("the command %s met a bug", name)
        return BUG


async def whisper(interaction: Interaction, words: str, told: Answer | None = None) -> None:
    """Say something to whoever did it, alone, however far the interaction is."""
    first, *rest = pages(with_moments(words, draw.relative), draw.LIMIT - 100) or ["Done."]
    more: dict[str, Any] = {"view": panels.drawn(told.text, told.panel)} if told and told.panel else {"content": first}
    if told and told.paper:
        if len(told.paper.data) > interaction.filesize_limit:
            size = f"{len(told.paper.data) / 2**20:.0f} MB"
            more = {"content": f"{first}\nThe file has {size}, more than Discord takes: ask who runs the bot."}
        else:
            more["file"] = discord.File(BytesIO(told.paper.data), told.paper.name, description=told.paper.alt or None)
    try:
        if interaction.response.is_done():
            await interaction.followup.send(**more, ephemeral=True)
        else:
            await interaction.response.send_message(**more, ephemeral=True)
        for page in rest[: MOST_PAGES - 1] if "content" in more else ():
            await interaction.followup.send(page, ephemeral=True)
    except discord.HTTPException as error:  # answered twice, or too late: they see that themselves
        log.info("an interaction could not be answered: %s", error.code)


def person(interaction: Interaction) -> Person:
    """Who did it. Where the bot is no member nobody manages anything: what holds there holds on all such servers."""
    member = interaction.guild_id is not None and interaction.client.get_guild(interaction.guild_id) is not None
    return parse.person(interaction.user, interaction.permissions if member else None)


def where(client: "Client", interaction: Interaction) -> ThreadKey:
    """The conversation of the place: a thread, a direct one, or a whole channel, whose thread then has no name."""
    channel = interaction.channel
    assert channel is not None
    if not is_member(client, interaction):
        return ThreadKey(PLATFORM, PERSONAL, str(channel.id), str(interaction.user.id))
    if interaction.guild_id is None:
        return ThreadKey(PLATFORM, DIRECT, str(channel.id), str(channel.id))
    client.tell_category(channel)
    if isinstance(channel, discord.Thread):
        return ThreadKey(PLATFORM, str(interaction.guild_id), str(channel.parent_id), str(channel.id))
    return ThreadKey(PLATFORM, str(interaction.guild_id), str(channel.id), "")


def conversation(client: "Client", interaction: Interaction, below: discord.Message | None = None) -> ThreadKey:
    """The conversation of the message below which it was done, or else that of the place."""
    message = below or interaction.message
    if message and interaction.channel:
        shown = client.record.shows(post_id(interaction.channel.id, message.id))
        if shown:
            return shown[0]
    return where(client, interaction)


def begun(place: ThreadKey, message_id: int) -> ThreadKey:
    """The conversation that is held there, or a new one of a channel."""
    return place if place.thread else replace(place, thread=str(message_id))


def is_member(client: "Client", interaction: Interaction) -> bool:
    """Whether the bot can post there by itself."""
    if interaction.guild_id is not None:
        return client.get_guild(interaction.guild_id) is not None
    return not interaction.context.private_channel  # one between people is a direct conversation too


def place_of(interaction: Interaction, thread: ThreadKey, answers: int | None = None, words: str = "") -> Place:
    """Where the reply to an interaction is shown; `words` are what was written into a form."""
    assert interaction.channel is not None
    below = answers or (interaction.message.id if interaction.message else None)
    token = interaction.token if thread.space == PERSONAL else ""
    quoted = f"{interaction.user.display_name}: {words}" if words else ""
    asker = interaction.user.id
    return Place(interaction.channel.id, answers=below, asker=asker, title=words, token=token, quoted=quoted)
