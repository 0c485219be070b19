"""The methods that post, update and delete messages."""

import re
import time
from typing import Any

from tests.support.slack_server import payloads
from tests.support.slack_server.contract.blocks import FILE_ID
from tests.support.slack_server.events import Events
from tests.support.slack_server.faults import Call, Refused
from tests.support.slack_server.rooms import Method, found, room
from tests.support.slack_server.state import Channel, Json, Message, Person, Streaming, World, parts

TOO_LATE = 300.0  # seconds until Slack gives a stream up; seen by others, not documented
LONGEST = 40_000  # characters; Slack cuts what is longer
SHOWN = ("image/png", "image/jpeg", "image/gif")  # what an image block can show of a file


class Chat:
    """The methods of messages."""

    def __init__(self, world: World, events: Events) -> None:
        self.world = world
        self.events = events
        self.stream_seconds = TOO_LATE

    def methods(self) -> dict[str, Method]:
        """The methods, by name."""
        return {
            "chat.postMessage": self._post,
            "chat.update": self._update,
            "chat.delete": self._delete,
            "chat.postEphemeral": self._whisper,
        }

    def write(self, channel: Channel, args: Json, *, only_for: Person | None = None) -> Message:
        """A new message of the bot, also where it answers by a `response_url`."""
        self.check(args)
        message = Message(self.world.ts(), channel, self.world.bot, only_for=only_for)
        message.thread_ts = self.thread(channel, args.get("thread_ts"))
        message.broadcast = str(args.get("reply_broadcast", "")).lower() in ("true", "1")
        self.fill(message, args)
        if only_for is not None:
            self.world.ephemerals.append(message)
            return message
        self.keep(message)
        return message

    def keep(self, message: Message) -> None:
        """Add the message, send its event, and clear the status of the thread."""
        message.channel.log[message.ts] = message
        self.world.statuses.pop((message.channel.id, message.thread), None)
        self.events.said(message)

    def change(self, message: Message, args: Json) -> None:
        """The message gets another content; blocks that are not named again are gone."""
        self.check(args)
        before = payloads.message(self.world, message)
        self.fill(message, args)
        message.edited = not args.get("blocks")
        self.events.changed(message, before)

    def remove(self, message: Message) -> None:
        """The message is gone. A thread goes on without its first."""
        before = payloads.message(self.world, message)
        message.deleted = True
        self.events.deleted(message, before)

    def check(self, args: Json) -> None:
        """There must be something to show, and files in it must be there, images, and looked at by Slack."""
        if not any(args.get(key) for key in ("text", "blocks", "attachments", "markdown_text")):
            raise Refused("no_text")
        self.check_blocks(args.get("blocks"))

    def check_blocks(self, blocks: Any) -> None:
        """The files in blocks can be shown."""
        for place, part in enumerate(one["slack_file"] for one in parts(blocks) if "slack_file" in one):
            file = self.world.files.get(str(part.get("id")))
            if "url" in part:
                file = next((one for one in self.world.files.values() if f"-{one.id}/" in part["url"]), None)
            well_formed = "id" not in part or re.fullmatch(FILE_ID, str(part["id"]))
            if file is None or not file.ready or payloads.kind(file) not in SHOWN or not well_formed:
                raise Refused("invalid_blocks", f"invalid slack file [json-pointer:/blocks/{place}/slack_file]")

    def thread(self, channel: Channel, ts: Any) -> str | None:
        """The thread for a reply."""
        if not ts:
            return None
        parent = channel.log.get(str(ts))
        if parent is None:
            raise Refused("cannot_reply_to_message")
        if parent.thread_ts is not None:
            self.world.violations.append(f"thread_ts {ts} is that of a reply; Slack wants the first message's")
        return parent.thread

    def fill(self, message: Message, args: Json) -> None:
        """Takes the content over."""
        message.text = str(args.get("text") or args.get("markdown_text") or "")[:LONGEST]
        message.blocks = payloads.with_ids(self.world, args.get("blocks"))
        if args.get("markdown_text"):
            message.blocks = payloads.with_ids(self.world, [{"type": "markdown", "text": args["markdown_text"]}])
        message.attachments = list(args.get("attachments") or ())
        message.metadata = args.get("metadata", message.metadata)

    def mine(self, call: Call, code: str) -> Message:
        """A message of the bot's own."""
        message = found(room(self.world, call.channel), call.args["ts"])
        if message.author is not self.world.bot:
            raise Refused(code)
        if message.streaming is Streaming.RUNNING and time.monotonic() - message.began > self.stream_seconds:
            message.streaming = Streaming.EXPIRED
        return message

    def _post(self, call: Call) -> Json:
        return self._report(self.write(room(self.world, call.channel), call.args))

    def _update(self, call: Call) -> Json:
        message = self.mine(call, "cant_update_message")
        if message.streaming is Streaming.RUNNING:
            raise Refused("streaming_state_conflict")
        self.change(message, call.args)
        return self._report(message) | {"text": message.text}

    def _delete(self, call: Call) -> Json:
        message = self.mine(call, "cant_delete_message")
        self.remove(message)
        return {"channel": message.channel.id, "ts": message.ts}

    def _whisper(self, call: Call) -> Json:
        channel = room(self.world, call.channel)
        person = channel.members.get(str(call.args["user"]))
        if person is None:
            raise Refused("user_not_in_channel")
        return {"message_ts": self.write(channel, call.args, only_for=person).ts}

    def _report(self, message: Message) -> Json:
        output = payloads.message(self.world, message)
        return {"channel": message.channel.id, "ts": message.ts, "message": output}
