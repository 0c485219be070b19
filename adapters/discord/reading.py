"""The pictures that a message brings along, points at or links to."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import discord

from adapters.discord import parse
from bot.domain import Entry, Picture, ThreadKey, ThreadSummary
from bot.ports import Record

log = logging.getLogger(__name__)

MOST = 4  # pictures with one message
LARGEST = 20 * 2**20  # bytes of one


class Archive(Protocol):
    """What is on record of conversations."""

    def entry(self, message_id: str) -> Entry | None: ...  # noqa: D102
    def picture(self, thread: ThreadKey, number: int) -> Picture | None: ...  # noqa: D102
    def knows_thread(self, key: ThreadKey) -> bool: ...  # noqa: D102
    def threads(self, platform: str) -> Sequence[ThreadSummary]: ...  # noqa: D102


@dataclass(slots=True)
class Found:
    """What a message is about: a numbered picture of its thread, and files that get their numbers with it.

    `linked` tells whether any of them came by a link in the message.
    """

    about: int | None = None
    files: list[bytes] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    linked: bool = False


class Reader:
    """Finds pictures in messages."""

    def __init__(self, client: discord.Client, archive: Archive, record: Record, read: Any) -> None:
        """`read` gives a picture's file by its digest."""
        self._client = client
        self._archive = archive
        self._record = record
        self._read = read

    async def pictures(self, message: discord.Message, key: ThreadKey) -> Found:
        """Its own, then those of the message that it replies to, then those of messages that it links to."""
        found = Found()
        await self._take(parse.attachments(message), found)
        reference = message.reference
        if reference and reference.message_id and reference.type is discord.MessageReferenceType.reply:
            await self._replied(message, reference, key, found)
        before = found.about, len(found.files)
        for server, channel, linked in parse.links(message.content)[:MOST]:
            await self._linked(message, (server, channel, linked), key, found)
        found.linked = before != (found.about, len(found.files))
        nothing = found.about is None and not found.files
        if nothing and isinstance(message.channel, discord.Thread) and not self._archive.knows_thread(key):
            await self._starter(message.channel, found)
        return found

    async def of(self, message: discord.Message, key: ThreadKey) -> Found:
        """The pictures of this message itself, as somebody speaks of them in this thread."""
        found = Found()
        if not self._known(message.channel.id, message.id, key, found):
            await self._take(parse.attachments(message), found)
        return found

    def _known(self, channel: int, message: int, key: ThreadKey, found: Found) -> bool:
        """Whether it shows pictures that are on record: they are numbers in their thread, files elsewhere."""
        shown = self._record.shows(parse.post_id(channel, message))
        entry = self._archive.entry(str(message))
        if shown is not None:
            thread, numbers = shown[0], [shown[1]] if shown[1] is not None else []
        elif entry and entry.uploads:
            thread, numbers = entry.thread, [upload.number for upload in entry.uploads]
        else:
            return False
        pictures = [picture for number in numbers if (picture := self._archive.picture(thread, number))]
        if pictures and thread == key:
            found.about = pictures[-1].number
        elif pictures:
            self._copy(pictures, found)
        return True

    def _copy(self, pictures: Sequence[Picture], found: Found) -> None:
        for picture in pictures[: MOST - len(found.files)]:
            try:
                found.files.append(self._read(picture.digest))
            except OSError:
                found.notes.append(f"The file of #{picture.number} is gone.")

    async def _replied(
        self, message: discord.Message, reference: discord.MessageReference, key: ThreadKey, found: Found
    ) -> None:
        assert reference.message_id
        if self._known(reference.channel_id, reference.message_id, key, found):
            return
        replied = reference.resolved
        if replied is None:
            replied = await self._fetch(message.channel, reference.message_id)
        if isinstance(replied, discord.Message):
            await self._take(parse.attachments(replied), found)

    async def _linked(
        self, message: discord.Message, link: tuple[int | None, int, int], key: ThreadKey, found: Found
    ) -> None:
        """A link is followed only to where its writer may read, and not from an age-restricted place to another."""
        server, channel_id, message_id = link
        channel = self._client.get_channel(channel_id)
        if channel is None or server != (message.guild.id if message.guild else None):
            return
        if channel.id != message.channel.id:
            if not isinstance(channel, discord.abc.GuildChannel | discord.Thread):
                return
            seen = channel.permissions_for(message.author) if isinstance(message.author, discord.Member) else None
            if seen is None or not (seen.view_channel and seen.read_message_history):
                return
            if isinstance(channel, discord.Thread) and not await _takes_part(channel, message.author, seen):
                return
            if restricted(channel) and not restricted(message.channel):
                found.notes.append("Pictures of an age-restricted channel stay there.")
                return
        if not self._known(channel_id, message_id, key, found):
            linked = await self._fetch(channel, message_id)
            if linked:
                await self._take(parse.attachments(linked), found)

    async def _starter(self, thread: discord.Thread, found: Found) -> None:
        parent = thread.parent
        if isinstance(parent, discord.TextChannel | discord.ForumChannel):
            channel = thread if isinstance(parent, discord.ForumChannel) else parent
            starter = await self._fetch(channel, thread.id)
            if starter:
                await self._take(parse.attachments(starter), found)

    async def _fetch(self, channel: Any, message_id: int) -> discord.Message | None:
        try:
            return await channel.fetch_message(message_id)  # type: ignore[no-any-return]
        except discord.HTTPException:
            return None

    async def _take(self, attachments: Sequence[discord.Attachment], found: Found) -> None:
        for attachment in attachments:
            if len(found.files) >= MOST:
                found.notes.append(f"I take {MOST} pictures with a message; the others were left out.")
                return
            if attachment.size > LARGEST:
                found.notes.append(f"A picture may have {LARGEST // 2**20} MB; one was larger, and was left out.")
                continue
            try:
                found.files.append(await attachment.read())
            except discord.HTTPException:
                log.warning("an attachment could not be read")
                found.notes.append("A picture could not be read from Discord; please send it again.")


async def _takes_part(thread: discord.Thread, who: discord.abc.User, seen: discord.Permissions) -> bool:
    """Whether they may read the thread: a private one only those who are in it, and who manages threads."""
    if not thread.is_private() or seen.manage_threads:
        return True
    try:
        await thread.fetch_member(who.id)
    except discord.HTTPException:
        return False
    return True


def restricted(channel: Any) -> bool:
    """Whether the channel is age-restricted; a thread is what its parent is."""
    try:
        return bool(channel.is_nsfw())
    except (AttributeError, discord.ClientException):  # a direct conversation; a thread whose parent is not known
        return False
