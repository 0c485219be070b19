"""Messages that grow: begun, added to and ended by the bot, stopped by a person, or given up by Slack."""

import time

from tests.support.slack_server import payloads
from tests.support.slack_server.chat import Chat
from tests.support.slack_server.faults import Call, Refused
from tests.support.slack_server.rooms import Method, room
from tests.support.slack_server.state import Json, Kind, Message, Person, Streaming


class Streams:
    """The methods of streams."""

    def __init__(self, chat: Chat) -> None:
        self.chat = chat
        self.world = chat.world

    def methods(self) -> dict[str, Method]:
        """The methods, by name."""
        return {
            "chat.startStream": self._start,
            "chat.appendStream": self._append,
            "chat.stopStream": self._stop,
        }

    def stop(self, message: Message, person: Person) -> None:
        """A person presses the stop button."""
        if message.streaming is not Streaming.RUNNING:
            raise LookupError("nothing is written there")
        message.streaming = Streaming.STOPPED
        event: Json = {"type": "agent_session_stopped", "user": person.id, "channel": message.channel.id}
        event |= {"thread_ts": message.thread, "streaming_message_ts": [message.ts], "event_ts": self.world.ts()}
        self.chat.events.emit(event, message.channel)

    def _start(self, call: Call) -> Json:
        channel = room(self.world, call.channel)
        for name in ("recipient_user_id", "recipient_team_id"):
            if channel.kind is not Kind.DIRECT and not call.args.get(name):
                raise Refused(f"missing_{name}")
        if call.args.get("recipient_user_id", self.world.bot.id) not in self.world.people:
            raise Refused("user_not_found")
        thread = self.chat.thread(channel, call.args.get("thread_ts"))
        message = Message(self.world.ts(), channel, self.world.bot, thread_ts=thread)
        message.streaming, message.began = Streaming.RUNNING, time.monotonic()
        self._grow(message, call)
        self.chat.keep(message)
        return {"channel": channel.id, "ts": message.ts}

    def _append(self, call: Call) -> Json:
        message = self._running(call, "stopped_by_user")
        if not self._grow(message, call):
            raise Refused("no_text")
        return {"channel": message.channel.id, "ts": message.ts}

    def _stop(self, call: Call) -> Json:
        message = self._running(call, "message_not_in_streaming_state")
        self.chat.check_blocks(call.args.get("blocks"))
        before = payloads.message(self.world, message)
        self._grow(message, call)
        message.streaming = Streaming.ENDED
        message.metadata = call.args.get("metadata")
        message.blocks += payloads.with_ids(self.world, call.args.get("blocks"))
        self.chat.events.changed(message, before)
        output = payloads.message(self.world, message)
        return {"channel": message.channel.id, "ts": message.ts, "message": output}

    def _running(self, call: Call, stopped: str) -> Message:
        message = self.chat.mine(call, "message_not_owned_by_app")
        if message.streaming is Streaming.STOPPED:
            raise Refused(stopped)
        if message.streaming is not Streaming.RUNNING:
            raise Refused("message_not_in_streaming_state")
        return message

    def _grow(self, message: Message, call: Call) -> bool:
        """Add the text, tasks and blocks of a request; return whether there were any."""
        words = call.args.get("markdown_text")
        chunks = [{"type": "markdown_text", "text": words}] if words else []
        chunks += call.args.get("chunks") or []
        for chunk in chunks:
            match chunk.get("type"):
                case "markdown_text":
                    message.text += chunk["text"]
                case "task_update":
                    message.tasks[chunk["id"]] = message.tasks.get(chunk["id"], {}) | chunk
                case "blocks":
                    self.chat.check_blocks(chunk["blocks"])
                    message.blocks += payloads.with_ids(self.world, chunk["blocks"])
        return bool(chunks)
