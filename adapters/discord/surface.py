"""Shows one reply on Discord: posts, edits and deletes messages until they match the view."""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from io import SEEK_END, BytesIO
from typing import Any

import discord

from adapters.discord import payloads
from adapters.discord.api_errors import ErrorCode, WriteRemedy, choose_remedy, permission_request
from adapters.discord.parse import post_id
from adapters.discord.payloads import MessagePayload
from adapters.discord.rate_limits import RateLimits, WritePriority
from adapters.discord.reply_place import ReplyPlace
from adapters.image_file import ImageFile, fit_to_limit, safe_file_name
from bot.domain import Picture, Post, ThreadKey, View
from bot.errors import Unreachable
from bot.notices import Notice, UserText, notice, text
from bot.ports import PostStore

log = logging.getLogger(__name__)

MIN_FILE_LIMIT = 256 * 1024  # bytes; if Discord refuses even this size, the reason is not the size
LONGEST_NAME = 100  # characters of the name of a thread; Discord docs, resources/channel


@dataclass(slots=True)
class PostedMessage:
    """A posted message and its last payload; the payload is None if it is unknown."""

    post: Post
    payload: MessagePayload | None = None
    is_deleted: bool = False


class ThreadSurface:
    """A reply as messages of the bot in a channel, a thread or direct messages."""

    def __init__(
        self,
        client: discord.Client,
        record: PostStore,
        thread: ThreadKey,
        message_id: str,
        *,
        read: Callable[[str], bytes],
        rate_limits: RateLimits,
        resumed: bool,
    ) -> None:
        """`read` returns the PNG file of an image by its digest. `resumed`: an earlier process began the reply."""
        self._client = client
        self._record = record
        self._thread = thread
        self._message_id = message_id
        self._read = read
        self._rate_limits = rate_limits
        self._priority = WritePriority.FIRST
        self._resumed = resumed
        self._posted: list[PostedMessage] | None = None
        self._place: ReplyPlace | None = None
        self._channel: Any = None
        self._note: UserText = ""
        self._language = "en"
        self._asker_notified = False
        self._missing_files: dict[str, UserText] = {}  # the reason why an image is shown without its file, by digest

    @property
    def pause(self) -> float:
        """Seconds until the next update: longer if more replies run, because Discord limits all requests together."""
        return self._rate_limits.pause

    async def put(self, view: View) -> None:
        """Make the messages match the view. Raises Unreachable, and the errors of discord.py."""
        self._language = view.language or "en"
        self._rate_limits.running_replies.add(self)
        messages = await self._load_posts()
        if messages:
            self._priority = WritePriority.FINAL if view.final else WritePriority.PROGRESS
        wanted = payloads.messages(view, time.time())
        if self._note and wanted:
            wanted[0] = payloads.add_note(wanted[0], text(self._note, self._language))
        if wanted and self._place and self._place.quoted:
            wanted[0] = payloads.add_quote(wanted[0], self._place.quoted)
        posted = len(messages)
        for nth, payload in enumerate(wanted[posted:], posted):  # before edits: the last message has the Stop button
            messages.append(await self._post(nth, payload))
        for nth, payload in enumerate(wanted):
            if nth >= posted or view.final or not _supersedes(messages[nth], payload):
                await self._update(nth, messages[nth], payload)
        while len(messages) > len(wanted) and (view.final or messages[-1].payload):
            await self._delete(len(messages) - 1, messages.pop())

    # Channel and posted messages

    async def _load_posts(self) -> list[PostedMessage]:
        """Return the messages posted so far. At the first call, load them from the record and open their channel."""
        if self._posted is not None:
            return self._posted
        self._place = ReplyPlace.parse(self._record.reply_place(self._message_id))
        messages = [PostedMessage(post) for post in self._record.posts_of(self._message_id)]
        if messages:
            self._channel = await self._fetch_channel(int(messages[0].post.id.split("/")[1]))
        else:
            self._channel = await self._open_channel(self._place)
        if self._resumed:
            messages += await self._find_unrecorded(len(messages))
        self._posted = messages
        return messages

    async def _open_channel(self, place: ReplyPlace) -> Any:
        channel = await self._fetch_channel(place.channel)
        if place.thread_on is None:
            return channel
        if not _has_permission(channel, "send_messages_in_threads"):  # the bot could not write in the thread
            self._note = permission_request(
                ["send_messages_in_threads"], notice("discord-this-channel"), self._owner_mention(channel)
            )
            self._place = replace(place, answers=place.thread_on)
            return channel
        try:
            await self._rate_limits.acquire(None, WritePriority.FIRST)
            self._priority = WritePriority.FIRST_TEXT
            name = " ".join(place.title.split())[:LONGEST_NAME] or text(notice("untitled-thread"), self._language)
            return await channel.get_partial_message(place.thread_on).create_thread(name=name)
        except discord.HTTPException as error:
            if error.code == ErrorCode.THREAD_EXISTS:
                return await self._fetch_channel(place.thread_on)
            if isinstance(error, discord.Forbidden):
                needed = "create_public_threads", "read_message_history"
                lacking = [name for name in needed if not _has_permission(channel, name)]
                self._note = permission_request(
                    lacking or [needed[0]], notice("discord-this-channel"), self._owner_mention(channel)
                )
            elif error.status != 400 and not isinstance(error, discord.NotFound):
                raise  # a retry may succeed
            self._place = replace(place, answers=place.thread_on)
            return channel

    async def _fetch_channel(self, channel_id: int) -> Any:
        try:
            channel = self._client.get_channel(channel_id) or await self._client.fetch_channel(channel_id)
        except (discord.NotFound, discord.Forbidden) as error:
            raise Unreachable("place-gone") from error
        return channel

    def _owner_mention(self, channel: Any) -> UserText:
        guild = getattr(channel, "guild", None)
        return (
            f"<@{guild.owner_id}>" if guild else notice("discord-the-owner")
        )  # Discord shows the mention as a name; it pings nobody

    async def _find_unrecorded(self, nth: int) -> list[PostedMessage]:
        """Find a message that the last process posted just before it ended, without recording it."""
        assert self._place
        after = discord.Object(self._place.answers or self._place.thread_on or self._place.channel)
        me = self._client.user
        try:
            async for message in self._channel.history(after=after, limit=50, oldest_first=False):
                unknown = self._record.find_post(post_id(message.channel.id, message.id)) is None
                if message.author == me and unknown and message.interaction_metadata is None:
                    post = Post(post_id(message.channel.id, message.id))
                    self._record.save_post(self._message_id, nth, post, self._thread)
                    return [PostedMessage(post)]
        except discord.HTTPException:  # without the history, the nonce still prevents duplicates within minutes
            pass
        return []

    # Writing

    async def _update(self, nth: int, posted: PostedMessage, payload: MessagePayload) -> None:
        previous = posted.payload
        if posted.is_deleted or previous == payload:
            return
        if (
            previous
            and previous.preview
            and payload.preview is None
            and payload.picture is None
            and payload.rows == previous.rows
        ):
            payload = replace(payload, preview=previous.preview)
        await self._wait_for_turn()
        changed: dict[str, Any] = {"content": self._content(payload), "view": button_view(payload.rows)}
        shows_image = (
            posted.post.picture is not None and payload.picture and payload.picture.number == posted.post.picture
        )
        has_same_file = (
            (previous.picture, previous.preview) == (payload.picture, payload.preview) if previous else shows_image
        )
        if not has_same_file:
            changed["attachments"] = None  # `_send` sets it for each attempt
        message = self._channel.get_partial_message(int(posted.post.id.split("/")[2]))
        outcome = await self._send(payload, message.edit, changed)
        if outcome is WriteRemedy.SKIP:
            posted.is_deleted = True
            return
        if outcome is WriteRemedy.REPOST:
            await self._delete(nth, posted)
            reposted = await self._post(nth, payload, salt=posted.post.id)
            posted.post = reposted.post
        self._record_post(nth, posted, payload)

    async def _post(self, nth: int, payload: MessagePayload, salt: str = "") -> PostedMessage:
        """Post the nth message. The nonce makes Discord return the first message if it was posted before."""
        assert self._place
        await self._wait_for_turn()
        arguments: dict[str, Any] = {
            "content": self._content(payload),
            "view": button_view(payload.rows),
            "files": None,
        }
        arguments["nonce"] = hashlib.sha256(f"{self._message_id}|{nth}|{salt}".encode()).hexdigest()[:24]
        arguments["suppress_embeds"] = True
        if nth == 0 and self._place.answers:
            # post the reply even if the question was deleted meanwhile
            arguments["reference"] = discord.MessageReference(
                message_id=self._place.answers, channel_id=self._channel.id, fail_if_not_exists=False
            )
            arguments["allowed_mentions"] = discord.AllowedMentions(
                everyone=False, roles=False, users=False, replied_user=True
            )
        message = await self._send(payload, self._channel.send, arguments)
        assert not isinstance(message, WriteRemedy)
        posted = PostedMessage(Post(post_id(self._channel.id, message.id)))
        has_file = bool(payload.preview or (payload.picture and payload.picture.digest not in self._missing_files))
        is_new = message.content == self._content(payload) and bool(message.attachments) == has_file
        self._record_post(nth, posted, payload if is_new else None)  # Discord may return an earlier message
        return posted

    async def _send(self, payload: MessagePayload, write: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        """Send a post or an edit, with the largest file that Discord accepts.

        Returns the message, or SKIP or REPOST for the caller to carry out. Raises Unreachable, and the error of
        discord.py if a retry may succeed.
        """
        limit = self._file_limit()
        files = next((name for name in ("files", "attachments") if name in arguments), None)
        may_unarchive = True
        while True:
            try:
                if files:
                    arguments[files] = await self._files(payload, limit)
                    limit = min([limit, *map(_file_size, arguments[files])])
                return await write(**arguments)
            except discord.HTTPException as error:
                has_file = bool(files and arguments[files])
                match choose_remedy(error, has_file, _has_permission(self._channel, "attach_files")):
                    case WriteRemedy.SHRINK_FILE if has_file and limit > MIN_FILE_LIMIT:
                        limit //= 2
                    case WriteRemedy.SHRINK_FILE | WriteRemedy.DROP_FILE if has_file:
                        if payload.picture:
                            self._missing_files[payload.picture.digest] = self._missing_file_reason()
                        arguments["content"], arguments[files or ""] = self._content(payload), []
                        files = None
                    case WriteRemedy.DROP_REFERENCE if arguments.pop("reference", None):
                        arguments.pop("allowed_mentions", None)
                    case WriteRemedy.UNARCHIVE if may_unarchive:
                        await self._unarchive()
                        may_unarchive = False
                    case WriteRemedy.GIVE_UP | WriteRemedy.UNARCHIVE:
                        await self._notify_asker(self._refusal_reason())
                        raise Unreachable(self._refusal_reason()) from error
                    case (WriteRemedy.SKIP | WriteRemedy.REPOST) as remedy if files != "files":
                        return remedy
                    case _:
                        raise

    def _content(self, payload: MessagePayload) -> str:
        why = self._missing_files.get(payload.picture.digest) if payload.picture else None
        return (
            f"{payload.content}\n-# {text(why, self._language)}"[: payloads.CONTENT_LIMIT] if why else payload.content
        )

    async def _files(self, payload: MessagePayload, limit: int) -> list[discord.File]:
        if payload.picture and payload.picture.digest not in self._missing_files:
            try:
                png = await asyncio.to_thread(self._read, payload.picture.digest)
                upload = await asyncio.to_thread(fit_to_limit, png, limit)
            except OSError:
                return []  # the image file is gone
            return [to_file(payload.picture, upload)] if upload else []
        if payload.preview and len(payload.preview) <= limit:
            return [
                discord.File(
                    BytesIO(payload.preview),
                    "preview.jpg",
                    description=text(notice("discord-preview-alt"), self._language),
                )
            ]
        return []

    async def _notify_asker(self, why: UserText) -> None:
        """Send the reason to the user who asked in a direct message, once, if the user accepts direct messages."""
        assert self._place
        if self._place.asker is None or self._asker_notified:
            return
        self._asker_notified = True
        try:
            asker = self._client.get_user(self._place.asker) or await self._client.fetch_user(self._place.asker)
            await asker.send(text(why, self._language))
        except discord.HTTPException as error:
            log.info("the user could not be told why there is no reply: %s", error.code)

    async def _unarchive(self) -> None:
        """Unarchive the thread, so that it accepts messages and edits. Raises Unreachable if Discord refuses."""
        try:
            await self._channel.edit(archived=False)
        except discord.HTTPException as error:
            raise Unreachable("discord-thread-closed") from error

    async def _delete(self, nth: int, posted: PostedMessage) -> None:
        await self._wait_for_turn()
        with suppress(discord.NotFound):
            await self._channel.get_partial_message(int(posted.post.id.split("/")[2])).delete()
        self._record.delete_post(self._message_id, nth)

    def _record_post(self, nth: int, posted: PostedMessage, payload: MessagePayload | None) -> None:
        number = payload.picture.number if payload and payload.picture else None
        if posted.post.picture != number or posted.payload is None:
            posted.post = Post(posted.post.id, number)
            self._record.save_post(self._message_id, nth, posted.post, self._thread)
        posted.payload = payload

    async def _wait_for_turn(self) -> None:
        await self._rate_limits.acquire(self._channel.id, self._priority)

    # Permissions and limits

    def _file_limit(self) -> int:
        guild = getattr(self._channel, "guild", None)
        return int(guild.filesize_limit if guild else discord.utils.DEFAULT_FILE_SIZE_LIMIT_BYTES)

    def _missing_file_reason(self) -> UserText:
        if _has_permission(self._channel, "attach_files"):
            return notice("discord-no-file")
        return permission_request(["attach_files"], notice("discord-this-channel"), self._owner_mention(self._channel))

    def _refusal_reason(self) -> Notice:
        permission = "send_messages_in_threads" if isinstance(self._channel, discord.Thread) else "send_messages"
        if not _has_permission(self._channel, permission):
            return permission_request([permission], f"#{self._channel.name}", self._owner_mention(self._channel))
        return notice("place-closed")


def button_view(rows: tuple[tuple[payloads.Control, ...], ...]) -> discord.ui.View | None:
    """Build the buttons. Their custom_ids carry all state, so that discord.py keeps nothing for them."""
    if not rows:
        return None
    view = discord.ui.View(timeout=None)
    for nth, row in enumerate(rows):
        for control in row:
            style = discord.ButtonStyle.danger if control.danger else discord.ButtonStyle.secondary
            view.add_item(discord.ui.Button(label=control.label, custom_id=control.custom_id, style=style, row=nth))
    view.stop()  # discord.py does not keep a finished view
    return view


def _has_permission(channel: Any, permission: str) -> bool:
    """Whether the bot has the permission in the channel; True if discord.py cannot tell."""
    guild = getattr(channel, "guild", None)
    try:
        return guild is None or bool(getattr(channel.permissions_for(guild.me), permission))
    except discord.ClientException:  # a thread whose parent channel is unknown
        return True


def _supersedes(posted: PostedMessage, payload: MessagePayload) -> bool:
    """Whether the message shows an image of an earlier attempt that the payload cannot replace with an image yet."""
    return posted.payload is None and posted.post.picture is not None and payload.picture is None


def _file_size(file: discord.File) -> int:
    return file.fp.seek(0, SEEK_END) - file.fp.seek(0)


def to_file(picture: Picture, upload: ImageFile) -> discord.File:
    """Return an image file as an attachment, with a safe name and the alternative text."""
    name = safe_file_name(picture.request.prompt or picture.alt, upload.extension)
    return discord.File(BytesIO(upload.data), name, description=payloads.alt_text(picture))
