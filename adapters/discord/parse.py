"""Parses messages, users and interactions of Discord into values. Pure: it sends no requests to Discord."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import discord

from bot.domain import IMAGE_TYPES, MANAGER, OWNER, Action, Message, Person, ThreadKey
from bot.settings.values import ReplyMode, Settings

PLATFORM = "discord"
DIRECT = "direct"  # the space of direct messages
USER_INSTALL = "personal"  # the space of user installs: the bot is not a member of the channel

_CUSTOM_ID = re.compile(r"mini:(?P<action>[a-z]{1,20}):(?P<target>[\w.-]{1,70})")
_LINK = re.compile(r"https://(?:\w{1,9}\.)?discord(?:app)?\.com/channels/(\d{15,20}|@me)/(\d{15,20})/(\d{15,20})")


@dataclass(frozen=True, slots=True)
class MessageFacts:
    """The facts about a message that do not stand in it: its thread, its author, and what it replies to."""

    bot_id: int  # the user id of the bot
    thread: ThreadKey
    author: Person
    settings: Settings
    in_our_thread: bool  # the bot created this thread and has answered in it
    answers_us: bool  # it replies to a message of the bot
    answers_picture: bool  # it replies to a message with a numbered image


def message(received: discord.Message, facts: MessageFacts) -> Message | None:
    """Return the message for the inbox, without images; None if it is not for the bot."""
    if not _is_for_bot(received, facts):
        return None
    return Message(str(received.id), facts.thread, facts.author, text(received, facts.bot_id))


def _is_for_bot(received: discord.Message, facts: MessageFacts) -> bool:
    if is_automatic(received):
        return False
    if received.guild is None or any(user.id == facts.bot_id for user in received.mentions):
        return True
    if not (received.content or received.attachments or received.message_snapshots):  # or Discord withholds them
        return False
    match facts.settings.reply_mode:
        case ReplyMode.NEVER:
            return False
        case ReplyMode.IMAGES:
            return facts.answers_picture
        case ReplyMode.THREADS:
            reference = received.reference
            is_reply = reference is not None and reference.type is discord.MessageReferenceType.reply
            to_others = bool(received.mentions) or (is_reply and not facts.answers_us)
            return facts.answers_picture or facts.answers_us or (facts.in_our_thread and not to_others)


def is_automatic(message: discord.Message) -> bool:
    """Whether a bot, a webhook or Discord itself wrote the message."""
    from_user = message.type in (discord.MessageType.default, discord.MessageType.reply)
    return message.author.bot or message.webhook_id is not None or not from_user


def text(message: discord.Message, bot_id: int) -> str:
    """Return the text of a message without mentions of the bot, and with names in place of other mentions.

    `bot_id` is the user id of the bot.
    """
    words = re.sub(rf"<@!?{bot_id}>", " ", message.content)
    for user in message.mentions:
        for mention in (f"<@{user.id}>", f"<@!{user.id}>"):  # no regex: a name may contain backslashes
            words = words.replace(mention, f"@{user.display_name}")
    for role in message.role_mentions:
        words = words.replace(f"<@&{role.id}>", f"@{role.name}")
    for channel in message.channel_mentions:
        words = words.replace(f"<#{channel.id}>", f"#{channel.name}")
    words = re.sub(r"<a?(:\w{2,32}:)\d{15,20}>", r"\1", words)
    return re.sub(r"[ \t]{2,}", " ", words).strip()


def links(words: str) -> list[tuple[int | None, int, int]]:
    """Return the linked messages as (server id, channel id, message id); the server id is None for direct messages."""
    return [
        (None if server == "@me" else int(server), int(channel), int(message))
        for server, channel, message in _LINK.findall(words)
    ]


def without_links(words: str) -> str:
    """Return the text without links to messages, for links whose images were collected."""
    return re.sub(r"[ \t]{2,}", " ", _LINK.sub(" ", words)).strip()


def is_image(attachment: discord.Attachment) -> bool:
    """Whether the attachment is declared as an image of a type that the bot can read."""
    kind = (attachment.content_type or "").partition(";")[0].lower()
    return kind in IMAGE_TYPES or (
        not kind and attachment.filename.lower().endswith((".png", ".jpg", ".jpeg", ".webp"))
    )


def image_attachments(message: discord.Message) -> list[discord.Attachment]:
    """Return the image attachments of a message, including those of forwarded messages."""
    forwarded = [each for snapshot in message.message_snapshots for each in snapshot.attachments]
    return [each for each in (*message.attachments, *forwarded) if is_image(each)]


def person(user: discord.abc.User, permissions: discord.Permissions | None, locale: str = "") -> Person:
    """Return the user with the ids of their roles. A user with Manage Messages there is a manager.

    Without `permissions`, as in direct messages, nobody is a manager: their settings apply to many users.
    """
    roles = {str(role.id) for role in user.roles} if isinstance(user, discord.Member) else set()
    if permissions and (permissions.manage_messages or permissions.administrator or permissions.manage_guild):
        roles.add(MANAGER)
    if permissions and permissions.administrator:  # the owner of a server always is
        roles.add(OWNER)
    return Person(str(user.id), user.display_name, frozenset(roles), locale)


def thread_key(channel: Any, guild_id: int | None, message_id: int) -> ThreadKey:
    """Return the key of the thread that a message stands in, or that it begins."""
    if guild_id is None:
        return ThreadKey(PLATFORM, DIRECT, str(channel.id), str(channel.id))
    if isinstance(channel, discord.Thread):
        return ThreadKey(PLATFORM, str(guild_id), str(channel.parent_id), str(channel.id))
    return ThreadKey(PLATFORM, str(guild_id), str(channel.id), str(message_id))


def read_custom_id(custom_id: str) -> tuple[str, str] | None:
    """Return the action and target of a custom_id, or None if the custom_id is not of this bot."""
    match = _CUSTOM_ID.fullmatch(custom_id)
    return (match["action"], match["target"]) if match else None


def action(name: str) -> Action | None:
    """Return the Action with this name, or None."""
    return next((known for known in Action if known == name), None)


def modal_values(data: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of a submitted modal, by custom_id."""
    return {
        str(each["custom_id"]): str(each["value"] if "value" in each else "".join(each.get("values") or ()))
        for each in _walk_components(data.get("components", ()))
        if "custom_id" in each
    }


def _walk_components(components: Any) -> Iterator[Mapping[str, Any]]:
    for each in components:
        yield each
        yield from _walk_components(each.get("components", ()))
        if "component" in each:
            yield from _walk_components([each["component"]])


def post_id(channel: int | str, message: int | str) -> str:
    """Return the id under which the record of posts stores a message."""
    return f"{PLATFORM}/{channel}/{message}"
