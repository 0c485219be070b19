"""Helpers for every interaction: its user and thread, the command that it runs, and the ephemeral reply."""

import logging
from dataclasses import replace
from io import BytesIO
from typing import Any

import discord

from adapters.discord import parse, payloads, settings_panel
from adapters.discord.context import Context
from adapters.discord.parse import DIRECT, PLATFORM, USER_INSTALL, post_id
from adapters.discord.reply_place import ReplyPlace
from adapters.pagination import pages
from bot.domain import Incoming, Person, ThreadKey
from bot.errors import INTERNAL_ERROR, BotError
from bot.formatting import replace_time_markers
from bot.notices import notice, text
from bot.settings.values import THREAD_COMMANDS, Command, CommandResponse

log = logging.getLogger(__name__)

MAX_PAGES = 4  # messages of one ephemeral reply
SLOW_COMMANDS = ("images", "export")  # commands that take longer than Discord waits for the first response

Interaction = discord.Interaction[Any]


async def hand_over(context: Context, interaction: Interaction, event: Incoming, place: ReplyPlace | None) -> bool:
    """Hand the event to the inbox. If the inbox refuses it, send the reason as an ephemeral reply and return False."""
    try:
        await context.hand_over(event, place)
    except BotError as refused:
        await reply_ephemerally(interaction, refused.text)
        return False
    except Exception:
        log.exception("an interaction failed because of a bug")
        await reply_ephemerally(interaction, text(INTERNAL_ERROR, user_language(context, interaction)))
        return False
    return True


async def answer_command(
    context: Context,
    interaction: Interaction,
    name: str,
    arguments: dict[str, str],
    *,
    of_message: bool = False,
) -> None:
    """Run a command, and send its result as an ephemeral reply."""
    if name in SLOW_COMMANDS:
        await interaction.response.defer(ephemeral=True, thinking=True)
    response = await run_command(context, interaction, name, arguments, of_message=of_message)
    if isinstance(response, str):
        await reply_ephemerally(interaction, response)
    else:
        await reply_ephemerally(interaction, text(response.text), response)


async def run_command(
    context: Context,
    interaction: Interaction,
    name: str,
    arguments: dict[str, str],
    *,
    of_message: bool = False,
) -> CommandResponse | str:
    """Run a command. Returns its result, or the reason if the command was refused or failed."""
    thread = find_thread(context, interaction) if of_message else find_channel_thread(context, interaction)
    if name in THREAD_COMMANDS and not thread.thread:  # a reply in the channel has no Discord thread of its own
        thread = context.record.newest_thread(post_id(thread.channel, "")) or thread
    try:
        return await context.inbox.run_command(
            Command(str(interaction.id), thread, person(interaction), name, arguments)
        )
    except BotError as refused:
        return refused.text
    except Exception:
        log.exception("the command %s failed because of a bug", name)
        return text(INTERNAL_ERROR, user_language(context, interaction))


def user_language(context: Context, interaction: Interaction) -> str:
    """Return the language of the user in this channel."""
    return context.inbox.settings(find_channel_thread(context, interaction), person(interaction)).language


async def reply_ephemerally(interaction: Interaction, words: str, result: CommandResponse | None = None) -> None:
    """Send the user an ephemeral reply, as the first response or as a followup. Logs it if Discord refuses."""
    first, *rest = pages(replace_time_markers(words, payloads.relative_time), payloads.CONTENT_LIMIT - 100) or [
        text(notice("done"), result.language if result else "en")
    ]
    more: dict[str, Any] = (
        {"view": settings_panel.panel_view(text(result.text), result.panel)}
        if result and result.panel
        else {"content": first}
    )
    if result and result.attachment:
        if len(result.attachment.data) > interaction.filesize_limit:
            too_large = notice("discord-file-too-large", megabytes=round(len(result.attachment.data) / 2**20))
            more = {"content": f"{first}\n{text(too_large, result.language)}"}
        else:
            more["file"] = discord.File(
                BytesIO(result.attachment.data), result.attachment.name, description=text(result.attachment.alt) or None
            )
    try:
        if interaction.response.is_done():
            await interaction.followup.send(**more, ephemeral=True)
        else:
            await interaction.response.send_message(**more, ephemeral=True)
        for page in rest[: MAX_PAGES - 1] if "content" in more else ():
            await interaction.followup.send(page, ephemeral=True)
    except discord.HTTPException as error:  # answered twice, or too late: Discord shows the user that it failed
        log.info("an interaction could not be answered: %s", error.code)


def person(interaction: Interaction) -> Person:
    """Return the user of the interaction.

    Nobody is a manager where the bot is not a member: the settings apply to all such servers together.
    """
    member = interaction.guild_id is not None and interaction.client.get_guild(interaction.guild_id) is not None
    return parse.person(interaction.user, interaction.permissions if member else None, str(interaction.locale))


def find_channel_thread(context: Context, interaction: Interaction) -> ThreadKey:
    """Return the thread of the channel. The `thread` field is empty for a server channel outside a Discord thread."""
    channel = interaction.channel
    assert channel is not None
    if not is_member(context, interaction):
        return ThreadKey(PLATFORM, USER_INSTALL, str(channel.id), str(interaction.user.id))
    if interaction.guild_id is None:
        return ThreadKey(PLATFORM, DIRECT, str(channel.id), str(channel.id))
    context.record_category(channel)
    if isinstance(channel, discord.Thread):
        return ThreadKey(PLATFORM, str(interaction.guild_id), str(channel.parent_id), str(channel.id))
    return ThreadKey(PLATFORM, str(interaction.guild_id), str(channel.id), "")


def find_thread(context: Context, interaction: Interaction, below: discord.Message | None = None) -> ThreadKey:
    """Return the thread of the message that the interaction is attached to, else the thread of the channel."""
    message = below or interaction.message
    if message and interaction.channel:
        post = context.find_post(interaction.channel.id, message.id)
        if post:
            return post[0]
    return find_channel_thread(context, interaction)


def ensure_thread(key: ThreadKey, message_id: int) -> ThreadKey:
    """Return the key unchanged if it names a thread, else the key of a new thread with this message id."""
    return key if key.thread else replace(key, thread=str(message_id))


def is_member(context: Context, interaction: Interaction) -> bool:
    """Whether the bot is a member there, so that it can post without an interaction."""
    if interaction.guild_id is not None:
        return context.client.get_guild(interaction.guild_id) is not None
    return not interaction.context.private_channel  # a channel between users has no server either


def reply_place(interaction: Interaction, thread: ThreadKey, answers: int | None = None, text: str = "") -> ReplyPlace:
    """Return where the reply to an interaction is shown. `text` is what the user wrote into a form."""
    assert interaction.channel is not None
    below = answers or (interaction.message.id if interaction.message else None)
    token = interaction.token if thread.space == USER_INSTALL else ""
    quoted = f"{interaction.user.display_name}: {text}" if text else ""
    asker = interaction.user.id
    return ReplyPlace(interaction.channel.id, answers=below, asker=asker, title=text, token=token, quoted=quoted)
