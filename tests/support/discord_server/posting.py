"""Messages come, change and go: the rules that Discord has for them, and the telling."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.support.discord_server import payloads
from tests.support.discord_server.faults import Refused
from tests.support.discord_server.gateway import GUILD_MESSAGES, Gateway
from tests.support.discord_server.state import (
    EPHEMERAL,
    LOADING,
    MIB,
    THREAD,
    V2,
    Attachment,
    Channel,
    Json,
    Message,
    Permission,
    Person,
    Upload,
    World,
    Write,
    called,
    items,
)

REQUEST = 25 * MIB  # bytes of all files of one request
NONCES = 300.0  # seconds; "the past few minutes"
HAS_THREAD = 1 << 5


@dataclass(eq=False)
class Posting:
    """Creates, edits and deletes messages, for the bot and for users."""

    world: World
    gateway: Gateway

    def require(self, channel: Channel, *wanted: Permission) -> None:
        """Raise a refusal if the bot lacks a permission."""
        held = self.world.may(self.world.bot, channel)
        thrown_out = channel.guild is not None and channel.guild.id not in self.world.guilds
        if thrown_out or Permission.VIEW_CHANNEL not in held:
            raise Refused(50001)
        if any(one not in held for one in wanted):
            raise Refused(50013)

    def post(self, channel: Channel, body: Json, uploads: Sequence[Upload]) -> Message:
        """Post a message of the bot, after the checks of permissions, nonce and thread."""
        speak = Permission.SEND_MESSAGES_IN_THREADS if channel.type == THREAD else Permission.SEND_MESSAGES
        self.require(channel, speak)
        if uploads:
            self.require(channel, Permission.ATTACH_FILES)
        if body.get("embeds"):
            self.require(channel, Permission.EMBED_LINKS)
        self._refuse_reply(channel, body.get("message_reference"))
        nonce = str(body["nonce"]) if body.get("enforce_nonce") and body.get("nonce") is not None else None
        if nonce is not None:
            said, before = channel.nonces.get((self.world.bot.id, nonce), (0.0, None))
            if before is not None and time.monotonic() - said < NONCES:
                return before
        self._refuse_locked(channel)
        message = self.create(channel, self.world.bot, body, uploads)
        if nonce is not None:
            channel.nonces[self.world.bot.id, nonce] = (time.monotonic(), message)
        return message

    def create(
        self,
        channel: Channel,
        author: Person,
        body: Json,
        uploads: Sequence[Upload],
        *,
        interaction: Json | None = None,
    ) -> Message:
        """A message of anybody; an answer to an interaction has its own kind."""
        message = Message(self.world.snowflake(), channel, author, interaction=interaction)
        message.type = 0 if interaction is None else 20
        message.nonce = body.get("nonce")
        replied = self._replied(channel, body.get("message_reference"))
        if replied is not None:
            message.reference = replied.id
            message.type = 19
        self._fill(message, body, uploads)
        if channel.archived:  # whatever is written opens it
            channel.archived = False
            self.gateway.tell_channel("THREAD_UPDATE", channel)
        channel.everything[message.id] = message
        self._count("create", message)
        if not message.ephemeral:
            self.gateway.tell("MESSAGE_CREATE", message)
        self.world.changed()
        return message

    def edit(self, message: Message, body: Json, uploads: Sequence[Upload]) -> Message:
        """Change the message in the fields of the body."""
        if message.channel.archived:
            raise Refused(50083)
        message.flags &= ~LOADING
        self._fill(message, body, uploads)
        message.edited = payloads.now()
        self._count("edit", message)
        if not message.ephemeral:
            self.gateway.tell("MESSAGE_UPDATE", message)
        self.world.changed()
        return message

    def delete(self, message: Message) -> None:
        """The message is gone, and so are its files."""
        del message.channel.everything[message.id]
        for attachment in message.attachments:
            self.world.attachments.pop(attachment.id, None)
        home = message.channel
        output: Json = {"id": str(message.id), "channel_id": str(home.id)}
        if home.guild is not None:
            output["guild_id"] = str(home.guild.id)
        if not message.ephemeral:
            intent = GUILD_MESSAGES if home.guild else 0
            self.gateway.dispatch("MESSAGE_DELETE", output, guild=home.guild_id, intent=intent)
        self.world.changed()

    def open_thread(self, message: Message, owner: Person, name: str, minutes: int = 1440) -> Channel:
        """The thread of a message, which has the message's id."""
        if message.thread is not None or message.id in self.world.channels:
            raise Refused(160004)
        home = message.channel
        thread = Channel(message.id, THREAD, name, home.guild, home, owner, archive_minutes=minutes)
        self.world.channels[thread.id] = thread
        message.thread = thread
        message.flags |= HAS_THREAD
        first = Message(self.world.snowflake(), thread, message.author, type=21, reference=message.id)
        thread.everything[first.id] = first
        self.gateway.tell_channel("THREAD_CREATE", thread, newly_created=True)
        self.gateway.tell("MESSAGE_UPDATE", message)
        return thread

    def _fill(self, message: Message, body: Json, uploads: Sequence[Upload]) -> None:
        """Changes all that the body names, or nothing if that is refused."""
        self._refuse_size(message.channel, uploads)
        kept = message.flags & (EPHEMERAL | HAS_THREAD | V2)  # what an edit cannot take back
        flags = kept | (body["flags"] or 0) if "flags" in body else message.flags
        content = body.get("content", message.content) or ""
        embeds = body.get("embeds", message.embeds) or []
        components = body.get("components", message.components) or []
        if flags & V2 and (content or embeds):
            words = "The 'content' and 'embeds' fields cannot be used when using MessageFlags.IS_COMPONENTS_V2"
            raise Refused(50035, _reason("content", "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2", words))
        attachments = self._attachments(message, body, uploads)
        if not (content or embeds or components or attachments or flags & LOADING):
            raise Refused(50006)
        self._replace(message, attachments)
        message.flags, message.content, message.embeds = flags, content, embeds
        message.components = _numbered(components)
        message.mentions = self._mentions(message, body)

    def _attachments(self, message: Message, body: Json, uploads: Sequence[Upload]) -> list[Attachment]:
        before = {attachment.id: attachment for attachment in message.attachments}
        listed = body.get("attachments")
        output = {int(one["id"]): one.get("description") for one in listed or ()}
        kept = [attachment for attachment in before.values() if listed is None or attachment.id in output]
        for attachment in kept:
            attachment.description = output.get(attachment.id) or attachment.description
        for index, upload in enumerate(uploads):
            words = output.get(index) or upload.description
            identity, home = self.world.snowflake(), message.channel.id
            kept.append(Attachment(identity, home, upload.filename, upload.data, words))
        return kept

    def _replace(self, message: Message, attachments: list[Attachment]) -> None:
        for gone in message.attachments:
            self.world.attachments.pop(gone.id, None)
        self.world.attachments |= {one.id: one for one in attachments}
        message.attachments = attachments

    def _mentions(self, message: Message, body: Json) -> list[Person]:
        texts = [message.content, *(str(item.get("content", "")) for item in items(message.components))]
        wanted = {one for text in texts for one in called(text)}
        allowed = body.get("allowed_mentions")
        if allowed is not None and "users" not in (allowed.get("parse") or ()):
            wanted &= {int(one) for one in allowed.get("users") or ()}
        replied = message.channel.everything.get(message.reference or 0)
        if replied is not None and (allowed is None or allowed.get("replied_user")):
            wanted.add(replied.author.id)
        return [self.world.people[one] for one in sorted(wanted) if one in self.world.people]

    def _count(self, kind: str, message: Message) -> None:
        if message.author is self.world.bot:
            message.channel.writes.append(Write(kind, time.monotonic()))

    def _replied(self, channel: Channel, reference: Json | None) -> Message | None:
        return channel.everything.get(int(reference["message_id"])) if reference else None

    def _refuse_reply(self, channel: Channel, reference: Json | None) -> None:
        if reference is None:
            return
        if Permission.READ_MESSAGE_HISTORY not in self.world.may(self.world.bot, channel):
            raise Refused(160002)
        if self._replied(channel, reference) is None and reference.get("fail_if_not_exists", True):
            raise Refused(50035, _reason("message_reference", "MESSAGE_REFERENCE_UNKNOWN_MESSAGE", "Unknown message"))

    def _refuse_locked(self, channel: Channel) -> None:
        moderates = Permission.MANAGE_THREADS in self.world.may(self.world.bot, channel)
        if channel.archived and channel.locked and not moderates:
            raise Refused(50083)

    def _refuse_size(self, channel: Channel, uploads: Sequence[Upload]) -> None:
        sizes = [len(upload.data) for upload in uploads]
        if any(size > channel.upload_limit for size in sizes) or sum(sizes) > max(REQUEST, channel.upload_limit):
            raise Refused(40005)


def _numbered(components: list[Json]) -> list[Json]:
    for number, item in enumerate(items(components), 1):
        item.setdefault("id", number)
    return components


def _reason(place: str, code: str, words: str) -> Json:
    return {place: {"_errors": [{"code": code, "message": words}]}}
