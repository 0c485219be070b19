"""The Discord client: turns gateway events into events for the inbox, or into a note for the user."""

import hashlib
import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import discord

from adapters.discord import parse, payloads
from adapters.discord.api_errors import TOO_LATE
from adapters.discord.attachments import PictureFinder
from adapters.discord.catch_up import SeenMessages
from adapters.discord.components import handle_form, handle_press
from adapters.discord.context import Context
from adapters.discord.parse import DIRECT, PLATFORM, post_id, thread_key
from adapters.discord.rate_limits import CHANNEL_RATE, Rate, RateLimits
from adapters.discord.reply_place import ReplyPlace
from adapters.discord.slash_commands import build_command_tree
from adapters.discord.surface import ThreadSurface
from adapters.discord.user_install_reply import UserInstallSurface
from bot.domain import MessageDeleted, MessageEdited, Person, PlaceRemoved, Post, ThreadKey
from bot.errors import BotError, NotAllowed
from bot.formatting import replace_time_markers
from bot.notices import text as text_of
from bot.ports import Archive, Inbox, PostStore, Surface
from bot.settings.values import ReplyIn

log = logging.getLogger(__name__)

GUILD_MARK = "discord:guild"  # the mark with the id of the server that has its own copy of the commands
COMMANDS_MARK = "discord:commands"  # the mark with the hash of the commands that were last synced
MAX_MISSED = 200  # messages of a channel that are read after downtime
ALLOWED_MENTIONS = discord.AllowedMentions(everyone=False, roles=False, users=False, replied_user=True)


class Client(discord.AutoShardedClient):
    """The bot's connection to Discord, with the objects that its event handlers need."""

    def __init__(
        self,
        inbox: Inbox,
        archive: Archive,
        record: PostStore,
        read: Callable[[str], bytes],
        *,
        message_content: bool,
        guild: int | None = None,
        on_connected: Callable[["Client"], None] = lambda client: None,
        rate: Rate = CHANNEL_RATE,
        **options: Any,
    ) -> None:
        """`message_content` requests the intent to read messages that do not mention the bot.

        `guild` is the id of a server that gets the commands at once. `on_connected` is called each time all shards
        are ready. `options` are those of discord.Client.
        """
        intents = discord.Intents(guilds=True, guild_messages=True, dm_messages=True, message_content=message_content)
        super().__init__(
            intents=intents,
            allowed_mentions=ALLOWED_MENTIONS,
            max_messages=None,
            chunk_guilds_at_startup=False,
            **options,
        )
        self.context = Context(self, inbox, archive, record, PictureFinder(self, archive, record, read))
        self.tree = build_command_tree(self.context)
        self._read = read
        self._on_connected = on_connected
        self._guild = discord.Object(guild) if guild else None
        self._rate_limits = RateLimits(rate)
        self._seen = SeenMessages(record)

    def surface(self, thread: ThreadKey, message_id: str) -> Surface:
        """Return the surface that shows the reply to a message."""
        if thread.space == parse.USER_INSTALL:
            return UserInstallSurface(self, self.context.record, thread, message_id, self._read)
        return ThreadSurface(
            self,
            self.context.record,
            thread,
            message_id,
            read=self._read,
            rate_limits=self._rate_limits,
            resumed=message_id not in self.context.own_event_ids,
        )

    # Connection

    async def setup_hook(self) -> None:
        """Sync the commands with Discord if they have changed since the last sync."""
        previous = self.context.record.get_mark(GUILD_MARK)
        if previous and previous != str(self._guild.id if self._guild else ""):
            self.tree.clear_commands(guild=discord.Object(previous))
            await self.tree.sync(guild=discord.Object(previous))
        self.context.record.set_mark(GUILD_MARK, str(self._guild.id) if self._guild else "")
        if self._guild:
            self.tree.copy_global_to(guild=self._guild)
        commands = [command.to_dict(self.tree) for command in self.tree.walk_commands() if not command.parent]
        state = json.dumps([commands, self.application_id, self._guild and self._guild.id], sort_keys=True, default=str)
        fingerprint = hashlib.sha256(state.encode()).hexdigest()
        if self.context.record.get_mark(COMMANDS_MARK) != fingerprint:
            await self.tree.sync(guild=self._guild)
            self.context.record.set_mark(COMMANDS_MARK, fingerprint)

    async def on_shard_connect(self, shard_id: int) -> None:
        """Note that a session begins. This event comes before all other events of the session."""
        self._seen.start_session(shard_id)

    async def on_ready(self) -> None:
        """Log the connection and call `on_connected`: all shards are ready."""
        log.info("connected to Discord as %s, on %s servers", self.user, len(self.guilds))
        self._on_connected(self)

    async def on_shard_ready(self, shard_id: int) -> None:
        """Handle the messages that were sent while the shard was offline."""
        since = self._seen.last_seen(shard_id)
        channels: list[discord.TextChannel | discord.Thread] = []
        for guild in self.guilds:
            channels += [*guild.text_channels, *guild.threads] if guild.shard_id == shard_id else ()
        for channel in channels:
            if (channel.last_message_id or 0) > since:
                await self._catch_up_channel(channel, since)
        if shard_id == 0:  # shard 0 receives the direct messages
            await self._catch_up_direct_messages(since)
        self._seen.finish_catch_up(shard_id)

    async def _catch_up_direct_messages(self, since: int) -> None:
        for known in self.context.archive.threads(PLATFORM)[:MAX_MISSED]:
            if known.key.space == DIRECT and time.time() - known.updated < 30 * 86_400:
                with suppress(discord.HTTPException):
                    await self._catch_up_channel(await self.fetch_channel(int(known.key.channel)), since)

    async def _catch_up_channel(self, channel: Any, since: int) -> None:
        try:
            async for message in channel.history(after=discord.Object(since), limit=MAX_MISSED, oldest_first=True):
                await self.on_message(message)
        except discord.HTTPException:  # the bot may not read the history
            log.info("missed messages of channel %s cannot be read", channel.id)

    # Messages

    async def on_message(self, message: discord.Message) -> None:
        """Hand a message to the inbox if it is for the bot."""
        assert self.user
        if parse.is_automatic(message) or self.context.archive.entry(str(message.id)):
            return
        if isinstance(message.channel, discord.PartialMessageable) and message.guild:  # a thread that was archived
            with suppress(discord.HTTPException):
                message.channel = await self.fetch_channel(message.channel.id)  # type: ignore[assignment]
        member = message.author if isinstance(message.author, discord.Member) else None
        permissions = message.channel.permissions_for(member) if member else None
        self.context.record_category(message.channel)
        facts = self._message_facts(
            message,
            parse.person(message.author, permissions, str(message.guild.preferred_locale) if message.guild else ""),
        )
        event = parse.message(message, facts)
        if event is None:
            return
        found = await self.context.picture_finder.find(message, event.thread)
        text = parse.without_links(event.text) if found.has_linked else event.text
        event = replace(event, text=text, uploads=tuple(found.files), about=found.about)
        begins_thread = event.thread.thread == event.id and message.guild is not None
        in_thread = begins_thread and facts.settings.reply_in is ReplyIn.THREAD
        place = ReplyPlace(
            message.channel.id,
            answers=None if in_thread else message.id,
            asker=message.author.id,
            thread_on=message.id if in_thread else None,
            title=text,
        )
        try:
            await self.context.hand_over(event, place)
        except NotAllowed as refused:  # tell only users who mentioned the bot
            found.notes = [refused.notice] if self.user in message.mentions else []
        except BotError as refused:
            found.notes.append(refused.notice)
        self._seen.mark_seen(message.guild.shard_id if message.guild else 0, message.id)
        if found.notes:
            notes = (text_of(note, facts.settings.language) for note in dict.fromkeys(found.notes))
            await self._post_note(message, replace_time_markers(" ".join(notes), payloads.relative_time))

    def _find_thread(self, message: discord.Message) -> ThreadKey:
        """Return the thread of the post that the message replies to, else the Discord thread, else a new thread."""
        guild = message.guild.id if message.guild else None
        reference = message.reference
        if guild and not isinstance(message.channel, discord.Thread) and reference and reference.message_id:
            post = self.context.find_post(reference.channel_id, reference.message_id)
            if post:
                return post[0]
        return thread_key(message.channel, guild, message.id)

    def _is_own_thread(self, channel: Any) -> bool:
        """Whether the bot created the thread. In threads of users it answers only when it is mentioned."""
        return isinstance(channel, discord.Thread) and self.user is not None and channel.owner_id == self.user.id

    def _message_facts(self, message: discord.Message, author: Person) -> parse.MessageFacts:
        assert self.user
        reference = message.reference
        post = entry = None
        if reference and reference.message_id and reference.type is discord.MessageReferenceType.reply:
            post = self.context.find_post(reference.channel_id, reference.message_id)
            entry = self.context.archive.entry(str(reference.message_id))
        thread = self._find_thread(message)
        return parse.MessageFacts(
            bot_id=self.user.id,
            thread=thread,
            author=author,
            settings=self.context.inbox.settings(thread, author),
            in_our_thread=self._is_own_thread(message.channel) and self.context.archive.knows_thread(thread),
            answers_us=post is not None,
            answers_picture=bool((post and post[1] is not None) or (entry and entry.uploads)),
        )

    async def _post_note(self, message: discord.Message, note: str) -> None:
        """Post a note in reply to a message, once: the nonce prevents duplicates."""
        nonce = hashlib.sha256(f"note|{message.id}".encode()).hexdigest()[:24]
        reference = message.to_reference(fail_if_not_exists=False)
        try:
            posted = await message.channel.send(f"-# {note}"[:1900], reference=reference, nonce=nonce)
        except discord.HTTPException as error:
            log.info("a note could not be posted: %s", error.code)
        else:
            key = thread_key(message.channel, message.guild.id if message.guild else None, message.id)
            self.context.record.save_post(f"note-{message.id}", 0, Post(post_id(message.channel.id, posted.id)), key)

    async def on_raw_message_edit(self, payload: discord.RawMessageUpdateEvent) -> None:
        """Handle the edit of a message that has a reply."""
        entry = self.context.archive.entry(str(payload.message_id))
        if entry and self.user and payload.message.content:
            text = parse.text(payload.message, self.user.id)
            # Discord also sends this event when a thread is created on a message; the stored text may lack the links
            if entry.text not in (text, parse.without_links(text)):
                await self.context.hand_over(MessageEdited(entry.id, entry.thread, text))

    async def on_raw_message_delete(self, payload: discord.RawMessageDeleteEvent) -> None:
        """Handle the deletion of a message."""
        await self._hand_over_deletion(payload.message_id)

    async def on_raw_bulk_message_delete(self, payload: discord.RawBulkMessageDeleteEvent) -> None:
        """Handle the deletion of several messages by a moderator."""
        for message_id in payload.message_ids:
            await self._hand_over_deletion(message_id)

    async def _hand_over_deletion(self, message_id: int) -> None:
        entry = self.context.archive.entry(str(message_id))
        if entry:
            await self.context.hand_over(MessageDeleted(entry.id, entry.thread))

    # Servers, channels and threads

    async def on_raw_thread_delete(self, payload: discord.RawThreadDeleteEvent) -> None:
        """Handle the deletion of a thread."""
        key = ThreadKey(PLATFORM, str(payload.guild_id), str(payload.parent_id), str(payload.thread_id))
        await self.context.hand_over(PlaceRemoved(key))

    async def on_guild_channel_update(self, before: Any, after: discord.abc.GuildChannel) -> None:
        """Record the category again: the channel may have moved, and running work follows its new category."""
        self.context.record_category(after)

    async def on_guild_channel_delete(self, channel: discord.abc.GuildChannel) -> None:
        """Handle the deletion of a channel."""
        await self.context.hand_over(PlaceRemoved(ThreadKey(PLATFORM, str(channel.guild.id), str(channel.id), "")))

    async def on_guild_remove(self, guild: discord.Guild) -> None:
        """Handle the removal of the bot from a server."""
        await self.context.hand_over(PlaceRemoved(ThreadKey(PLATFORM, str(guild.id), "", "")))

    # Interactions

    async def on_interaction(self, interaction: discord.Interaction[Any]) -> None:
        """Handle a button press, a menu choice or a submitted form. The command tree handles commands."""
        try:
            match interaction.type:
                case discord.InteractionType.component:
                    await handle_press(self.context, interaction)
                case discord.InteractionType.modal_submit:
                    await handle_form(self.context, interaction)
        except discord.HTTPException as error:
            if error.code not in TOO_LATE:
                raise
            log.info("an interaction was answered too late: %s", error.code)  # Discord shows the user that it failed

    async def on_error(self, event_method: str, /, *args: Any, **kwargs: Any) -> None:
        """Log a bug in an event handler. The bug ends only the handling of that event."""
        log.exception("%s failed because of a bug", event_method)
