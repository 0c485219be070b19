"""Shows one reply on Discord: posts, edits and deletes messages until they match the view."""

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from io import SEEK_END, BytesIO
from typing import Any

import discord

from adapters.discord import payloads as draw
from adapters.discord.api_errors import PERMISSIONS, THREAD_EXISTS, Cure, cure, plea
from adapters.discord.parse import post_id
from adapters.discord.payloads import Sheet
from adapters.discord.rate_limits import Budget, Urgency
from adapters.image_file import Upload, fitted, safe_name
from bot.domain import Picture, Post, ThreadKey, View
from bot.errors import Unreachable
from bot.ports import Record

log = logging.getLogger(__name__)

SMALLEST_LIMIT = 256 * 1024  # bytes; if Discord refuses even this size, the reason is not the size
UNTITLED = "Pictures"
LONGEST_NAME = 100  # characters of the name of a thread; Discord docs, resources/channel


@dataclass(frozen=True, slots=True)
class Place:
    """The channel and message where a reply is shown. The record stores it as JSON with these field names.

    `thread_on` is the id of the message on which a thread is created for the reply, `title` the name of the thread.
    `answers` is the id of the message that the reply refers to, `asker` the id of the user who asked. `quoted` is the
    text that a user wrote into a form, which nobody else saw. `token` is that of the interaction, for a user install.
    """

    channel: int
    answers: int | None = None
    asker: int | None = None
    thread_on: int | None = None
    title: str = ""
    token: str = ""
    quoted: str = ""

    def __str__(self) -> str:
        told = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps({name: value for name, value in told.items() if value})

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Parse the JSON that `str` returns. Raises Unreachable if the text is empty."""
        if not text:
            raise Unreachable("It is not known any more where this was asked.")
        return cls(**json.loads(text))


@dataclass(slots=True)
class Shown:
    """A posted message and its last payload; the payload is None if it is unknown."""

    post: Post
    sheet: Sheet | None = None
    gone: bool = False


class ThreadSurface:
    """A reply as messages of the bot in a channel, a thread or direct messages."""

    def __init__(
        self,
        client: discord.Client,
        record: Record,
        thread: ThreadKey,
        message_id: str,
        *,
        read: Callable[[str], bytes],
        budget: Budget,
        resumed: bool,
    ) -> None:
        """`read` returns the PNG file of an image by its digest. `resumed`: an earlier process began the reply."""
        self._client = client
        self._record = record
        self._thread = thread
        self._message_id = message_id
        self._read = read
        self._budget = budget
        self._urgency = Urgency.SIGN
        self._resumed = resumed
        self._shown: list[Shown] | None = None
        self._place: Place | None = None
        self._channel: Any = None
        self._note = ""
        self._told = False
        self._fileless: dict[str, str] = {}  # the reason why an image is shown without its file, by digest

    @property
    def pause(self) -> float:
        """Seconds until the next update: longer if more replies run, because Discord limits all requests together."""
        return self._budget.pause

    async def put(self, view: View) -> None:
        """Make the messages match the view. Raises Unreachable, and the errors of discord.py."""
        self._budget.replies.add(self)
        shown = await self._begun()
        if shown:
            self._urgency = Urgency.END if view.final else Urgency.PROGRESS
        wanted = draw.sheets(view, time.time())
        if self._note and wanted:
            wanted[0] = draw.below_note(wanted[0], self._note)
        if wanted and self._place and self._place.quoted:
            wanted[0] = draw.below_quote(wanted[0], self._place.quoted)
        posted = len(shown)
        for nth, sheet in enumerate(wanted[posted:], posted):  # before edits: the last message has the Stop button
            shown.append(await self._post(nth, sheet))
        for nth, sheet in enumerate(wanted):
            if nth >= posted or view.final or not _outshines(shown[nth], sheet):
                await self._match(nth, shown[nth], sheet)
        while len(shown) > len(wanted) and (view.final or shown[-1].sheet):
            await self._take_back(len(shown) - 1, shown.pop())

    # Channel and posted messages

    async def _begun(self) -> list[Shown]:
        """Return the messages posted so far. At the first call, load them from the record and open their channel."""
        if self._shown is not None:
            return self._shown
        self._place = Place.parse(self._record.place(self._message_id))
        shown = [Shown(post) for post in self._record.of(self._message_id)]
        if shown:
            self._channel = await self._open(int(shown[0].post.id.split("/")[1]))
        else:
            self._channel = await self._where(self._place)
        if self._resumed:
            shown += await self._lost_sight_of(len(shown))
        self._shown = shown
        return shown

    async def _where(self, place: Place) -> Any:
        channel = await self._open(place.channel)
        if place.thread_on is None:
            return channel
        if not _may(channel, "send_messages_in_threads"):  # the bot could not write in the thread
            self._note = plea([PERMISSIONS["send_messages_in_threads"]], "this channel", self._owner(channel))
            self._place = replace(place, answers=place.thread_on)
            return channel
        try:
            await self._budget.acquire(None, Urgency.SIGN)
            self._urgency = Urgency.WORDS
            name = " ".join(place.title.split())[:LONGEST_NAME] or UNTITLED
            return await channel.get_partial_message(place.thread_on).create_thread(name=name)
        except discord.HTTPException as error:
            if error.code == THREAD_EXISTS:
                return await self._open(place.thread_on)
            if isinstance(error, discord.Forbidden):
                needed = "create_public_threads", "read_message_history"
                lacking = [PERMISSIONS[name] for name in needed if not _may(channel, name)]
                self._note = plea(lacking or [PERMISSIONS[needed[0]]], "this channel", self._owner(channel))
            elif error.status != 400 and not isinstance(error, discord.NotFound):
                raise  # a retry may succeed
            self._place = replace(place, answers=place.thread_on)
            return channel

    async def _open(self, channel_id: int) -> Any:
        try:
            channel = self._client.get_channel(channel_id) or await self._client.fetch_channel(channel_id)
        except (discord.NotFound, discord.Forbidden) as error:
            raise Unreachable("The place where it was asked is gone.") from error
        return channel

    def _owner(self, channel: Any) -> str:
        guild = getattr(channel, "guild", None)
        return f"<@{guild.owner_id}>" if guild else "The owner"  # Discord shows the mention as a name; it pings nobody

    async def _lost_sight_of(self, nth: int) -> list[Shown]:
        """Find a message that the last process posted just before it ended, without recording it."""
        assert self._place
        after = discord.Object(self._place.answers or self._place.thread_on or self._place.channel)
        me = self._client.user
        try:
            async for message in self._channel.history(after=after, limit=50, oldest_first=False):
                unknown = self._record.shows(post_id(message.channel.id, message.id)) is None
                if message.author == me and unknown and message.interaction_metadata is None:
                    post = Post(post_id(message.channel.id, message.id))
                    self._record.keep(self._message_id, nth, post, self._thread)
                    return [Shown(post)]
        except discord.HTTPException:  # without the history, the nonce still prevents duplicates within minutes
            pass
        return []

    # Writing

    async def _match(self, nth: int, shown: Shown, sheet: Sheet) -> None:
        before = shown.sheet
        if shown.gone or before == sheet:
            return
        if before and before.preview and sheet.preview is None and sheet.picture is None and sheet.rows == before.rows:
            sheet = replace(sheet, preview=before.preview)
        await self._turn()
        changed: dict[str, Any] = {"content": self._words(sheet), "view": controls(sheet.rows)}
        there = shown.post.picture is not None and sheet.picture and sheet.picture.number == shown.post.picture
        known = (before.picture, before.preview) == (sheet.picture, sheet.preview) if before else there
        if not known:
            changed["attachments"] = None  # `_send` sets it for each attempt
        message = self._channel.get_partial_message(int(shown.post.id.split("/")[2]))
        outcome = await self._try(sheet, message.edit, changed)
        if outcome is Cure.GONE:
            shown.gone = True
            return
        if outcome is Cure.ANEW:
            await self._take_back(nth, shown)
            anew = await self._post(nth, sheet, salt=shown.post.id)
            shown.post = anew.post
        self._keep(nth, shown, sheet)

    async def _post(self, nth: int, sheet: Sheet, salt: str = "") -> Shown:
        """Post the nth message. The nonce makes Discord return the first message if it was posted before."""
        assert self._place
        await self._turn()
        arguments: dict[str, Any] = {"content": self._words(sheet), "view": controls(sheet.rows), "files": None}
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
        message = await self._try(sheet, self._channel.send, arguments)
        assert not isinstance(message, Cure)
        shown = Shown(Post(post_id(self._channel.id, message.id)))
        has_file = bool(sheet.preview or (sheet.picture and sheet.picture.digest not in self._fileless))
        whole = message.content == self._words(sheet) and bool(message.attachments) == has_file
        self._keep(nth, shown, sheet if whole else None)  # not whole: Discord returned an earlier message
        return shown

    async def _try(self, sheet: Sheet, write: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        """Send a post or an edit, with the largest file that Discord accepts.

        Returns the message, or SKIP or REPOST for the caller to carry out. Raises Unreachable, and the error of
        discord.py if a retry may succeed.
        """
        limit = self._largest()
        files = next((name for name in ("files", "attachments") if name in arguments), None)
        asleep = True
        while True:
            try:
                if files:
                    arguments[files] = await self._files(sheet, limit)
                    limit = min([limit, *map(_size, arguments[files])])
                return await write(**arguments)
            except discord.HTTPException as error:
                has_file = bool(files and arguments[files])
                match cure(error, has_file, _may(self._channel, "attach_files")):
                    case Cure.SMALLER if has_file and limit > SMALLEST_LIMIT:
                        limit //= 2
                    case Cure.SMALLER | Cure.WORDS_ONLY if has_file:
                        if sheet.picture:
                            self._fileless[sheet.picture.digest] = self._why_no_file()
                        arguments["content"], arguments[files or ""] = self._words(sheet), []
                        files = None
                    case Cure.APART if arguments.pop("reference", None):
                        arguments.pop("allowed_mentions", None)
                    case Cure.WAKE if asleep:
                        await self._wake()
                        asleep = False
                    case Cure.NOWHERE | Cure.WAKE:
                        await self._tell_alone(self._why_not())
                        raise Unreachable(self._why_not()) from error
                    case (Cure.GONE | Cure.ANEW) as told if files != "files":
                        return told
                    case _:
                        raise

    def _words(self, sheet: Sheet) -> str:
        why = self._fileless.get(sheet.picture.digest) if sheet.picture else None
        return f"{sheet.content}\n-# {why}"[: draw.LIMIT] if why else sheet.content

    async def _files(self, sheet: Sheet, limit: int) -> list[discord.File]:
        if sheet.picture and sheet.picture.digest not in self._fileless:
            try:
                png = await asyncio.to_thread(self._read, sheet.picture.digest)
                upload = await asyncio.to_thread(fitted, png, limit)
            except OSError:
                return []  # the image file is gone
            return [_file(sheet.picture, upload)] if upload else []
        if sheet.preview and len(sheet.preview) <= limit:
            return [discord.File(BytesIO(sheet.preview), "preview.jpg", description="How it looks so far")]
        return []

    async def _tell_alone(self, why: str) -> None:
        """Send the reason to the user who asked in a direct message, once, if the user accepts direct messages."""
        assert self._place
        if self._place.asker is None or self._told:
            return
        self._told = True
        try:
            asker = self._client.get_user(self._place.asker) or await self._client.fetch_user(self._place.asker)
            await asker.send(why)
        except discord.HTTPException as error:
            log.info("the user could not be told why there is no reply: %s", error.code)

    async def _wake(self) -> None:
        """Unarchive the thread, so that it accepts messages and edits. Raises Unreachable if Discord refuses."""
        try:
            await self._channel.edit(archived=False)
        except discord.HTTPException as error:
            raise Unreachable("The thread was closed.") from error

    async def _take_back(self, nth: int, shown: Shown) -> None:
        await self._turn()
        with suppress(discord.NotFound):
            await self._channel.get_partial_message(int(shown.post.id.split("/")[2])).delete()
        self._record.drop(self._message_id, nth)

    def _keep(self, nth: int, shown: Shown, sheet: Sheet | None) -> None:
        number = sheet.picture.number if sheet and sheet.picture else None
        if shown.post.picture != number or shown.sheet is None:
            shown.post = Post(shown.post.id, number)
            self._record.keep(self._message_id, nth, shown.post, self._thread)
        shown.sheet = sheet

    async def _turn(self) -> None:
        await self._budget.acquire(self._channel.id, self._urgency)

    # Permissions and limits

    def _largest(self) -> int:
        guild = getattr(self._channel, "guild", None)
        return int(guild.filesize_limit if guild else discord.utils.DEFAULT_FILE_SIZE_LIMIT_BYTES)

    def _why_no_file(self) -> str:
        if _may(self._channel, "attach_files"):
            return "This server takes no such file."
        return plea([PERMISSIONS["attach_files"]], "this channel", self._owner(self._channel))

    def _why_not(self) -> str:
        speaking = "send_messages_in_threads" if isinstance(self._channel, discord.Thread) else "send_messages"
        if not _may(self._channel, speaking):
            return plea([PERMISSIONS[speaking]], f"#{self._channel.name}", self._owner(self._channel))
        return "The place where it was asked is closed to me."


def controls(rows: tuple[tuple[draw.Control, ...], ...]) -> discord.ui.View | None:
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


def _may(channel: Any, permission: str) -> bool:
    """Whether the bot has the permission in the channel; True if discord.py cannot tell."""
    guild = getattr(channel, "guild", None)
    try:
        return guild is None or bool(getattr(channel.permissions_for(guild.me), permission))
    except discord.ClientException:  # a thread whose parent channel is unknown
        return True


def _outshines(shown: Shown, sheet: Sheet) -> bool:
    """Whether the message shows an image of an earlier attempt that the payload cannot replace with an image yet."""
    return shown.sheet is None and shown.post.picture is not None and sheet.picture is None


def _size(file: discord.File) -> int:
    return file.fp.seek(0, SEEK_END) - file.fp.seek(0)


def _file(picture: Picture, upload: Upload) -> discord.File:
    name = safe_name(picture.prompt or picture.alt, upload.extension)
    return discord.File(BytesIO(upload.data), name, description=draw.alt(picture))
