"""What Discord tells -> values. Pure: nothing is asked of Discord here."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import discord

from bot.domain import MANAGER, OWNER, Action, Person, ThreadKey
from bot.panel import Unasked

PLATFORM = "discord"
DIRECT = "direct"  # the space of direct messages
PERSONAL = "personal"  # the space of people who carry the bot along to where it is no member

_PRESSED = re.compile(r"mini:(?P<action>[a-z]{1,20}):(?P<target>[\w.-]{1,70})")
_LINK = re.compile(r"https://(?:\w{1,9}\.)?discord(?:app)?\.com/channels/(\d{15,20}|@me)/(\d{15,20})/(\d{15,20})")
IMAGES = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp", "image/tiff")


@dataclass(frozen=True, slots=True)
class Facts:
    """What decides whether a message is answered."""

    automatic: bool  # a bot, a webhook or Discord itself wrote it
    direct: bool  # nobody else is there
    mentions_us: bool
    mentions_others: bool
    our_thread: bool  # a conversation of ours is held in this thread
    answers_us: bool  # it replies to a message of ours
    answers_other: bool  # it replies to somebody else's
    answers_picture: bool  # it replies to a picture with a number
    empty: bool = False  # Discord does not tell what was said, or nothing was


def wanted(facts: Facts, unasked: Unasked) -> bool:
    """Whether the message is for the bot."""
    if facts.automatic:
        return False
    if facts.direct or facts.mentions_us:
        return True
    if facts.empty:
        return False
    match unasked:
        case Unasked.NEVER:
            return False
        case Unasked.PICTURES:
            return facts.answers_picture
        case Unasked.THREADS:
            among_people = facts.mentions_others or facts.answers_other
            return facts.answers_picture or facts.answers_us or (facts.our_thread and not among_people)


def automatic(message: discord.Message) -> bool:
    """Whether no person wrote it."""
    spoken = message.type in (discord.MessageType.default, discord.MessageType.reply)
    return message.author.bot or message.webhook_id is not None or not spoken


def text(message: discord.Message, me: int) -> str:
    """A person's words: without the mention of the bot, with names in the place of other mentions."""
    words = re.sub(rf"<@!?{me}>", " ", message.content)
    for user in message.mentions:
        for mention in (f"<@{user.id}>", f"<@!{user.id}>"):  # no pattern: a name may hold backslashes
            words = words.replace(mention, f"@{user.display_name}")
    for role in message.role_mentions:
        words = words.replace(f"<@&{role.id}>", f"@{role.name}")
    for channel in message.channel_mentions:
        words = words.replace(f"<#{channel.id}>", f"#{channel.name}")
    words = re.sub(r"<a?(:\w{2,32}:)\d{15,20}>", r"\1", words)
    return re.sub(r"[ \t]{2,}", " ", words).strip()


def links(words: str) -> list[tuple[int | None, int, int]]:
    """The messages that are linked to: server (None for direct messages), channel, message."""
    return [
        (None if server == "@me" else int(server), int(channel), int(message))
        for server, channel, message in _LINK.findall(words)
    ]


def without_links(words: str) -> str:
    """The words without links to messages, for those whose pictures were brought along."""
    return re.sub(r"[ \t]{2,}", " ", _LINK.sub(" ", words)).strip()


def is_image(attachment: discord.Attachment) -> bool:
    """Whether it says that it is a picture of a kind that can be read."""
    kind = (attachment.content_type or "").partition(";")[0].lower()
    return kind in IMAGES or (not kind and attachment.filename.lower().endswith((".png", ".jpg", ".jpeg", ".webp")))


def attachments(message: discord.Message) -> list[discord.Attachment]:
    """The pictures of a message, those of a message that it forwards included."""
    forwarded = [each for snapshot in message.message_snapshots for each in snapshot.attachments]
    return [each for each in (*message.attachments, *forwarded) if is_image(each)]


def person(user: discord.abc.User, permissions: discord.Permissions | None) -> Person:
    """Who writes, with the ids of their roles. Whoever may delete others' messages there may stop others' work.

    Without `permissions`, in a direct conversation, nobody manages anything: what holds there holds for many.
    """
    roles = {str(role.id) for role in user.roles} if isinstance(user, discord.Member) else set()
    if permissions and (permissions.manage_messages or permissions.administrator or permissions.manage_guild):
        roles.add(MANAGER)
    if permissions and permissions.administrator:  # which the owner of a server always is
        roles.add(OWNER)
    return Person(str(user.id), user.display_name, frozenset(roles))


def thread_key(channel: Any, guild_id: int | None, message_id: int) -> ThreadKey:
    """The conversation of a message that begins one, or that stands in a thread."""
    if guild_id is None:
        return ThreadKey(PLATFORM, DIRECT, str(channel.id), str(channel.id))
    if isinstance(channel, discord.Thread):
        return ThreadKey(PLATFORM, str(guild_id), str(channel.parent_id), str(channel.id))
    return ThreadKey(PLATFORM, str(guild_id), str(channel.id), str(message_id))


def pressed(custom_id: str) -> tuple[str, str] | None:
    """Action and target of one of our controls; None for what cannot be one."""
    match = _PRESSED.fullmatch(custom_id)
    return (match["action"], match["target"]) if match else None


def action(name: str) -> Action | None:
    """The button's action, if the core knows it."""
    return next((known for known in Action if known == name), None)


def fields(data: Mapping[str, Any]) -> dict[str, str]:
    """What was filled in or chosen in a modal, by custom_id."""
    return {
        str(each["custom_id"]): str(each["value"] if "value" in each else "".join(each.get("values") or ()))
        for each in _components(data.get("components", ()))
        if "custom_id" in each
    }


def _components(several: Any) -> Iterator[Mapping[str, Any]]:
    for each in several:
        yield each
        yield from _components(each.get("components", ()))
        if "component" in each:
            yield from _components([each["component"]])


def post_id(channel: int | str, message: int | str) -> str:
    """A message as the record of posts knows it."""
    return f"{PLATFORM}/{channel}/{message}"
