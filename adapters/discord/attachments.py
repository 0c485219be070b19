"""Collects the images of a message: its attachments, and the images that it replies to or links to."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import discord

from adapters.discord import parse
from bot.domain import Entry, Picture, ThreadKey, ThreadSummary
from bot.ports import Record

log = logging.getLogger(__name__)

MOST = 4  # images of one message
LARGEST = 20 * 2**20  # bytes of one image


class Archive(Protocol):
    """The stored messages, images and threads that the adapter reads."""

    def entry(self, message_id: str) -> Entry | None:
        """Return a message with its reply, or None if it is not stored."""
        ...

    def picture(self, thread: ThreadKey, number: int) -> Picture | None:
        """Return the image with this number, or None if it is not finished."""
        ...

    def knows_thread(self, key: ThreadKey) -> bool:
        """Whether the thread is stored."""
        ...

    def threads(self, platform: str) -> Sequence[ThreadSummary]:
        """Return the threads of a platform, the one with the newest message first."""
        ...


@dataclass(slots=True)
class Found:
    """The images that a message refers to: the number of an image of its thread, and files without a number yet.

    `has_linked` says whether any image came by a link in the message. `notes` are sentences for the user.
    """

    about: int | None = None
    files: list[bytes] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    linked: bool = False


class Reader:
    """Finds the images that a message carries, replies to or links to."""

    def __init__(self, client: discord.Client, archive: Archive, record: Record, read: Any) -> None:
        """`read` returns the PNG file of an image by its digest; it raises OSError if the file is gone."""
        self._client = client
        self._archive = archive
        self._record = record
        self._read = read

    async def pictures(self, message: discord.Message, key: ThreadKey) -> Found:
        """Find the images of the message, then of the message that it replies to, then of messages that it links to.

        If there are none and the thread is not stored, find those of the message that started the thread.
        """
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
        """Find the images of this message alone, for a request in the thread `key`."""
        found = Found()
        if not self._known(message.channel.id, message.id, key, found):
            await self._take(parse.attachments(message), found)
        return found

    def _known(self, channel: int, message: int, key: ThreadKey, found: Found) -> bool:
        """Add stored images of the message: as a number in their own thread, as files in another thread.

        Returns whether the message is a post of the bot or has stored uploads.
        """
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
        """Add the images of a linked message.

        Only if the author may read it, and never from an age-restricted channel to an unrestricted one.
        """
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
    """Whether the user may read the thread: only its members and users with Manage Threads read a private thread."""
    if not thread.is_private() or seen.manage_threads:
        return True
    try:
        await thread.fetch_member(who.id)
    except discord.HTTPException:
        return False
    return True


def restricted(channel: Any) -> bool:
    """Whether the channel is age-restricted. A thread inherits this from its parent channel."""
    try:
        return bool(channel.is_nsfw())
    except (AttributeError, discord.ClientException):  # a direct message channel, or a thread whose parent is unknown
        return False
