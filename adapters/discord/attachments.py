"""Collects the images of a message: its attachments, and the images that it replies to or links to."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import discord

from adapters.discord import parse
from bot.domain import MAX_UPLOAD_BYTES, MAX_UPLOADS, Picture, ThreadKey
from bot.notices import UserText, notice
from bot.ports import Archive, PostStore

log = logging.getLogger(__name__)


@dataclass(slots=True)
class FoundPictures:
    """The images that a message refers to: the number of an image of its thread, and files without a number yet.

    `has_linked` says whether any image came by a link in the message. `notes` are messages for the user.
    """

    about: int | None = None
    files: list[bytes] = field(default_factory=list)
    notes: list[UserText] = field(default_factory=list)
    has_linked: bool = False


class PictureFinder:
    """Finds the images that a message carries, replies to or links to."""

    def __init__(self, client: discord.Client, archive: Archive, record: PostStore, read: Any) -> None:
        """`read` returns the PNG file of an image by its digest; it raises OSError if the file is gone."""
        self._client = client
        self._archive = archive
        self._record = record
        self._read = read

    async def find(self, message: discord.Message, key: ThreadKey) -> FoundPictures:
        """Find the images of the message, then of the message that it replies to, then of messages that it links to.

        If there are none and the thread is not stored, find those of the message that started the thread.
        """
        found = FoundPictures()
        await self._add_attachments(parse.image_attachments(message), found)
        reference = message.reference
        if reference and reference.message_id and reference.type is discord.MessageReferenceType.reply:
            await self._add_replied(message, reference, key, found)
        before = found.about, len(found.files)
        for server, channel, linked in parse.links(message.content)[:MAX_UPLOADS]:
            await self._add_linked(message, (server, channel, linked), key, found)
        found.has_linked = before != (found.about, len(found.files))
        nothing = found.about is None and not found.files
        if nothing and isinstance(message.channel, discord.Thread) and not self._archive.knows_thread(key):
            await self._add_from_starter(message.channel, found)
        return found

    async def find_own(self, message: discord.Message, key: ThreadKey) -> FoundPictures:
        """Find the images of this message alone, for a request in the thread `key`."""
        found = FoundPictures()
        if not self._add_recorded(message.channel.id, message.id, key, found):
            await self._add_attachments(parse.image_attachments(message), found)
        return found

    def _add_recorded(self, channel: int, message: int, key: ThreadKey, found: FoundPictures) -> bool:
        """Add stored images of the message: as a number in their own thread, as files in another thread.

        Returns whether the message is a post of the bot or has stored uploads.
        """
        post = self._record.find_post(parse.post_id(channel, message))
        entry = self._archive.entry(str(message))
        if post is not None:
            thread, numbers = post[0], [post[1]] if post[1] is not None else []
        elif entry and entry.uploads:
            thread, numbers = entry.thread, [upload.number for upload in entry.uploads]
        else:
            return False
        pictures = [picture for number in numbers if (picture := self._archive.picture(thread, number))]
        if pictures and thread == key:
            found.about = pictures[-1].number
        elif pictures:
            self._add_copies(pictures, found)
        return True

    def _add_copies(self, pictures: Sequence[Picture], found: FoundPictures) -> None:
        for picture in pictures[: MAX_UPLOADS - len(found.files)]:
            try:
                found.files.append(self._read(picture.digest))
            except OSError:
                found.notes.append(notice("linked-file-gone", number=picture.number))

    async def _add_replied(
        self, message: discord.Message, reference: discord.MessageReference, key: ThreadKey, found: FoundPictures
    ) -> None:
        assert reference.message_id
        if self._add_recorded(reference.channel_id, reference.message_id, key, found):
            return
        replied = reference.resolved
        if replied is None:
            replied = await self._fetch_message(message.channel, reference.message_id)
        if isinstance(replied, discord.Message):
            await self._add_attachments(parse.image_attachments(replied), found)

    async def _add_linked(
        self, message: discord.Message, link: tuple[int | None, int, int], key: ThreadKey, found: FoundPictures
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
            if isinstance(channel, discord.Thread) and not await _can_read_thread(channel, message.author, seen):
                return
            if is_age_restricted(channel) and not is_age_restricted(message.channel):
                found.notes.append(notice("discord-restricted"))
                return
        if not self._add_recorded(channel_id, message_id, key, found):
            linked = await self._fetch_message(channel, message_id)
            if linked:
                await self._add_attachments(parse.image_attachments(linked), found)

    async def _add_from_starter(self, thread: discord.Thread, found: FoundPictures) -> None:
        parent = thread.parent
        if isinstance(parent, discord.TextChannel | discord.ForumChannel):
            channel = thread if isinstance(parent, discord.ForumChannel) else parent
            starter = await self._fetch_message(channel, thread.id)
            if starter:
                await self._add_attachments(parse.image_attachments(starter), found)

    async def _fetch_message(self, channel: Any, message_id: int) -> discord.Message | None:
        try:
            return await channel.fetch_message(message_id)  # type: ignore[no-any-return]
        except discord.HTTPException:
            return None

    async def _add_attachments(self, attachments: Sequence[discord.Attachment], found: FoundPictures) -> None:
        for attachment in attachments:
            if len(found.files) >= MAX_UPLOADS:
                found.notes.append(notice("files-left-out", maximum=MAX_UPLOADS))
                return
            if attachment.size > MAX_UPLOAD_BYTES:
                found.notes.append(notice("file-left-out", megabytes=MAX_UPLOAD_BYTES // 2**20))
                continue
            try:
                found.files.append(await attachment.read())
            except discord.HTTPException:
                log.warning("an attachment could not be read")
                found.notes.append(notice("discord-unreadable"))


async def _can_read_thread(thread: discord.Thread, user: discord.abc.User, permissions: discord.Permissions) -> bool:
    """Whether the user may read the thread: only its members and users with Manage Threads read a private thread."""
    if not thread.is_private() or permissions.manage_threads:
        return True
    try:
        await thread.fetch_member(user.id)
    except discord.HTTPException:
        return False
    return True


def is_age_restricted(channel: Any) -> bool:
    """Whether the channel is age-restricted. A thread inherits this from its parent channel."""
    try:
        return bool(channel.is_nsfw())
    except (AttributeError, discord.ClientException):  # a direct message channel, or a thread whose parent is unknown
        return False
