"""Answers by a `response_url`, or within an acknowledgement: a few, for half an hour."""

import time
import uuid
from dataclasses import dataclass

from tests.support.slack_server.chat import Chat
from tests.support.slack_server.faults import Refused
from tests.support.slack_server.state import Channel, Json, Message, Person

USES, SECONDS = 5, 1_800.0  # docs.slack.dev, interactivity/handling-user-interaction
KNOWN = {
    *("text", "blocks", "attachments", "response_type", "replace_original", "delete_original", "thread_ts"),
    *("unfurl_links", "unfurl_media", "metadata", "mrkdwn", "parse", "link_names"),
}


@dataclass(eq=False)
class Answerable:
    """Something that can be answered, and where."""

    channel: Channel
    person: Person
    message: Message | None  # under which someone pressed
    at: float
    uses: int = 0


class Responses:
    """All addresses that were given out."""

    def __init__(self, chat: Chat) -> None:
        self.chat = chat
        self.world = chat.world
        self._given: dict[str, Answerable] = {}

    def url(self, channel: Channel, person: Person, message: Message | None = None) -> str:
        """A new address."""
        name = uuid.uuid4().hex
        self._given[name] = Answerable(channel, person, message, time.monotonic())
        return f"{self.world.url}/response/{name}"

    def use(self, name: str, args: Json) -> None:
        """One answer."""
        given = self._given.get(name)
        if given is None or time.monotonic() - given.at > SECONDS:
            raise Refused("expired_url")
        if given.uses >= USES:
            raise Refused("used_url")
        for unknown in args.keys() - KNOWN:
            self.world.violations.append(f"response_url: unknown argument {unknown!r}")
        given.uses += 1
        original = given.message
        if args.get("delete_original") and original is not None:
            self._remove(original)
        elif args.get("replace_original") and original is not None:
            self.chat.change(original, args)
        else:
            self.say(given.channel, given.person, args, original)

    def say(self, channel: Channel, person: Person, args: Json, original: Message | None = None) -> None:
        """Post to one user, unless the response is for everybody."""
        for_all = args.get("response_type") == "in_channel"
        thread = original.thread_ts if original is not None else None
        wanted = ({"thread_ts": thread} if thread else {}) | args
        self.chat.write(channel, wanted, only_for=None if for_all else person)

    def _remove(self, message: Message) -> None:
        if message.only_for is not None:
            self.world.ephemerals.remove(message)
        else:
            self.chat.remove(message)
