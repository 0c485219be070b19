"""Actions of users in Slack; the bot gets the events that Slack would send."""

import re
from collections.abc import Sequence

from tests.support.slack_server import payloads
from tests.support.slack_server.events import Events
from tests.support.slack_server.state import Channel, File, Group, Json, Kind, Message, Person, Upload, View, World
from tests.support.slack_server.streams import Streams


class People:
    """Everyone but the bot."""

    def __init__(self, world: World, events: Events, streams: Streams) -> None:
        self.world = world
        self.events = events
        self.streams = streams

    @property
    def bot(self) -> Person:
        """The bot's own account."""
        return self.world.bot

    def person(self, name: str, *, admin: bool = False) -> Person:
        """A new person; they join a channel when they first do something there."""
        return self.world.person(name, admin=admin)

    def channel(self, name: str = "general", *, kind: Kind = Kind.PUBLIC, member: bool = True) -> Channel:
        """The channel of that name, or a new one; the bot is in it, unless it is no member."""
        found = next((one for one in self.world.channels.values() if one.name == name and one.kind is kind), None)
        channel = found or self.world.channel(name, kind)
        if not member:
            channel.members.pop(self.bot.id, None)
        return channel

    def direct(self, person: Person) -> Channel:
        """Return the direct conversation between a user and the bot."""
        return self.world.direct(person)

    def group(self, handle: str, *members: Person) -> Group:
        """A new user group."""
        group = Group(self.world.id("S"), handle)
        self.world.groups[group.id] = group
        self.regroup(group, *members)
        return group

    def regroup(self, group: Group, *members: Person) -> None:
        """Have just these people in a group."""
        old, new = [{one.id for one in people} for people in (group.members, members)]
        group.members = list(members)
        event: Json = {"type": "subteam_members_changed", "subteam_id": group.id, "team_id": self.world.team_id}
        event |= {"date_previous_update": 1, "date_update": 2, "event_ts": self.world.ts()}
        event |= {"added_users": sorted(new - old), "added_users_count": len(new - old)}
        self.events.emit(event | {"removed_users": sorted(old - new), "removed_users_count": len(old - new)})

    def disband(self, group: Group) -> None:
        """Switch a group off."""
        group.disabled = True
        output = payloads.group(self.world, group, users=True)
        self.events.emit({"type": "subteam_updated", "subteam": output, "event_ts": self.world.ts()})

    def messages(self, channel: Channel, thread_ts: str | None = None) -> list[Message]:
        """Return the messages of a channel, or the replies in one of its threads, oldest first."""
        if thread_ts is not None:
            return [one for one in channel.visible() if one.thread_ts == thread_ts]
        return [one for one in channel.visible() if one.thread_ts is None or one.broadcast]

    def ephemerals(self, person: Person) -> list[Message]:
        """Return the ephemeral messages of a user."""
        return [one for one in self.world.ephemerals if one.only_for is person]

    def home(self, person: Person) -> View | None:
        """The home tab, as one person sees it."""
        return self.world.homes.get(person.id)

    async def say(
        self,
        channel: Channel,
        person: Person,
        text: str,
        *,
        files: Sequence[Upload] = (),
        thread_ts: str | None = None,
        broadcast: bool = False,
    ) -> Message:
        """Send a message. Mentions are written as `person.mention`; other `<`, `>` and `&` are escaped."""
        channel.members.setdefault(person.id, person)
        message = Message(self.world.ts(), channel, person, escaped(text), thread_ts=thread_ts, broadcast=broadcast)
        for upload in files:
            file = File(self.world.id("F"), upload.name, person, upload.data, length=len(upload.data))
            file.uploaded = file.complete = True
            file.check_file_info = upload.check_file_info
            file.shares.append(message)
            self.world.files[file.id] = file
            message.files.append(file)
        message.subtype = "file_share" if files else None
        channel.log[message.ts] = message
        self.events.said(message)
        for file in message.files:
            self.events.shared(file, channel)
        return message

    async def edit(self, message: Message, text: str) -> Message:
        """The author changes the text."""
        before = payloads.message(self.world, message)
        message.text, message.edited = escaped(text), True
        self.events.changed(message, before)
        return message

    async def delete(self, message: Message) -> None:
        """The author, or an admin, deletes it."""
        before = payloads.message(self.world, message)
        message.deleted = True
        self.events.deleted(message, before)

    async def react(self, message: Message, person: Person, name: str) -> None:
        """Add a reaction."""
        message.reactions.setdefault(name, []).append(person.id)
        item = {"type": "message", "channel": message.channel.id, "ts": message.ts}
        event: Json = {"type": "reaction_added", "user": person.id, "reaction": name, "item": item}
        self.events.emit(event | {"item_user": message.author.id, "event_ts": self.world.ts()}, message.channel)

    async def join(self, channel: Channel, person: Person | None = None) -> None:
        """Let a user, or the bot, join a channel."""
        who = person or self.bot
        channel.members[who.id] = who
        letter = "C" if channel.kind is Kind.PUBLIC else "G"
        event: Json = {"type": "member_joined_channel", "user": who.id, "channel": channel.id, "channel_type": letter}
        self.events.emit(event | {"team": self.world.team_id, "event_ts": self.world.ts()}, channel)

    def kick(self, channel: Channel) -> None:
        """The bot is no longer in a channel."""
        channel.members.pop(self.bot.id, None)

    async def open_home(self, person: Person, tab: str = "home") -> None:
        """Open the Home tab of the bot, or its messages."""
        channel = self.direct(person)
        event: Json = {"type": "app_home_opened", "user": person.id, "channel": channel.id, "tab": tab}
        home = self.home(person)
        if home is not None and tab == "home":
            event["view"] = payloads.view(self.world, home)
        self.events.emit(event | {"event_ts": self.world.ts()}, channel)

    async def stop_stream(self, message: Message, person: Person) -> None:
        """Press the stop button of a message that streams."""
        self.streams.stop(message, person)

    def expire(self, message: Message) -> None:
        """Slack gives a stream up, as it does after some minutes."""
        message.began = float("-inf")


def escaped(text: str) -> str:
    """Return a text as Slack sends it: escaped, except mentions and links."""
    pieces = re.split(r"(<(?:[@#!][^<>\s]+|https?://[^<>]+|mailto:[^<>]+)>)", text)
    swaps = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"))
    for place in range(0, len(pieces), 2):
        for raw, safe in swaps:
            pieces[place] = pieces[place].replace(raw, safe)
    return "".join(pieces)
