"""The events for the bot: which, in which order, and how often."""

import time
from dataclasses import dataclass
from typing import Any

from tests.support.slack_server import payloads
from tests.support.slack_server.link import EVENTS, Envelope, Link
from tests.support.slack_server.state import Channel, File, Json, Kind, Message, World


@dataclass(frozen=True)
class Delivery:
    """How events come. Slack promises neither the order of a mention's two events nor that each comes once."""

    mention_first: bool = False
    message: bool = True  # off: only `app_mention`, as where no channel is subscribed to
    mention: bool = True  # off: only `message`, as it happens in shared channels
    files_in_mention: bool = True
    copies: int = 1
    own: bool = True  # what the bot itself writes comes back as an event


class Events:
    """The events of the app."""

    def __init__(self, world: World, link: Link) -> None:
        self.world = world
        self.link = link
        self.delivery = Delivery()
        self.subscribed: set[str] | None = None  # `app_mention`, `message.channels`, ...; none: to everything
        self.held: set[str] = set()  # types that wait for `let_go`
        self._waiting: list[Envelope] = []

    def emit(self, event: Json, channel: Channel | None = None) -> None:
        """Send an event, as often as is set."""
        if self.subscribed is not None and _subscription(event, channel) not in self.subscribed:
            return
        payload = self._wrapped(event)
        for copy in range(self.delivery.copies):
            envelope = Envelope(EVENTS, payload, copy, "timeout" if copy else "")
            if event["type"] in self.held:
                self._waiting.append(envelope)
            else:
                self.link.send(envelope)
        self.world.changed()

    def let_go(self) -> None:
        """Send the held events, and hold none from now on."""
        self.held.clear()
        waiting, self._waiting = self._waiting, []
        for envelope in waiting:
            self.link.send(envelope)

    def said(self, message: Message) -> None:
        """A new message: `message`, and `app_mention` where the bot is called; not in direct conversations."""
        output = payloads.message(self.world, message)
        place = {"channel": message.channel.id, "event_ts": message.ts}
        own = message.author is self.world.bot
        mentioned = self.world.bot.mention in message.text and message.channel.kind is not Kind.DIRECT and not own
        events = []
        if self.delivery.own if own else (self.delivery.message or not mentioned):
            events.append(output | place | {"channel_type": str(message.channel.kind)})
        if mentioned and self.delivery.mention:
            hidden = {"subtype"} if self.delivery.files_in_mention else {"subtype", "files", "upload"}
            kept = {key: value for key, value in output.items() if key not in hidden}
            events.append(kept | place | {"type": "app_mention"})
        for event in reversed(events) if self.delivery.mention_first else events:
            self.emit(event, message.channel)

    def changed(self, message: Message, before: Json) -> None:
        """A message was edited."""
        self._altered(message, "message_changed", before, {"message": payloads.message(self.world, message)})

    def deleted(self, message: Message, before: Json) -> None:
        """A message was deleted."""
        self._altered(message, "message_deleted", before, {"deleted_ts": message.ts})

    def shared(self, file: File, channel: Channel) -> None:
        """A file came to a channel."""
        about = {"type": "file_shared", "file_id": file.id, "file": {"id": file.id}, "user_id": file.owner.id}
        self.emit(about | {"channel_id": channel.id, "event_ts": self.world.ts()}, channel)

    def _altered(self, message: Message, subtype: str, before: Json, more: Json) -> None:
        if message.only_for is not None or (message.author is self.world.bot and not self.delivery.own):
            return
        event: Json = {"type": "message", "subtype": subtype, "hidden": True, "channel": message.channel.id}
        stamp = self.world.ts()
        event |= {"ts": stamp, "event_ts": stamp, "channel_type": str(message.channel.kind)}
        self.emit(event | {"previous_message": before} | more, message.channel)

    def _wrapped(self, event: Json) -> Json:
        world = self.world
        who: dict[str, Any] = {"enterprise_id": None, "team_id": world.team_id, "user_id": world.bot.id}
        return {
            "token": payloads.VERIFICATION,
            "team_id": world.team_id,
            "api_app_id": world.app_id,
            "event": event,
            "type": "event_callback",
            "event_id": world.id("Ev"),
            "event_time": int(time.time()),
            "authorizations": [who | {"is_bot": True, "is_enterprise_install": False}],
            "is_ext_shared_channel": False,
            "event_context": world.id("4-"),
        }


def _subscription(event: Json, channel: Channel | None) -> str:
    kind: str = event["type"]
    if kind != "message" or channel is None:
        return kind
    plural = {Kind.PUBLIC: "channels", Kind.PRIVATE: "groups"}
    return f"message.{plural.get(channel.kind, str(channel.kind))}"
