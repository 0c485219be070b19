"""The state of the Slack double: people, channels, messages, files and views, and waiting for a change."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tests.support.changes import Changes

Json = dict[str, Any]


class Kind(StrEnum):
    """The kind of a channel, as in `channel_type`."""

    PUBLIC = "channel"
    PRIVATE = "group"
    DIRECT = "im"
    GROUP = "mpim"


class Streaming(StrEnum):
    """How far a streamed message is."""

    RUNNING = "running"
    ENDED = "ended"
    STOPPED = "stopped"  # by a person
    EXPIRED = "expired"


@dataclass(eq=False)
class Person:
    """A user with an account, the bot included."""

    id: str
    name: str
    admin: bool = False
    bot_id: str | None = None

    @property
    def mention(self) -> str:
        """The text that mentions them."""
        return f"<@{self.id}>"


@dataclass(eq=False)
class Group:
    """Some people under a handle."""

    id: str
    handle: str
    members: list[Person] = field(default_factory=list)
    disabled: bool = False

    @property
    def mention(self) -> str:
        """The text that mentions them."""
        return f"<!subteam^{self.id}|@{self.handle}>"


@dataclass(frozen=True)
class Upload:
    """A file that a person brings. With `check_file_info` its event names the id alone."""

    name: str
    data: bytes = field(repr=False)
    check_file_info: bool = False


@dataclass(eq=False)
class File:
    """A file. The bot's own is of use only when it is complete and was asked after `polls` more times."""

    id: str
    name: str
    owner: Person
    data: bytes = field(default=b"", repr=False)
    title: str = ""
    length: int = 0
    uploaded: bool = False
    complete: bool = False
    polls: int = 0
    alt_txt: str | None = None
    check_file_info: bool = False
    share: Json | None = None  # what completeUploadExternal asked for
    shares: list["Message"] = field(default_factory=list, repr=False)

    @property
    def ready(self) -> bool:
        """Whether Slack has looked at it."""
        return self.complete and self.polls <= 0


@dataclass(eq=False)
class Message:
    """A message as it is now."""

    ts: str
    channel: "Channel"
    author: Person
    text: str = ""
    blocks: list[Json] = field(default_factory=list)
    thread_ts: str | None = None
    files: list[File] = field(default_factory=list)
    subtype: str | None = None
    edited: bool = False
    broadcast: bool = False
    metadata: Json | None = None
    attachments: list[Json] = field(default_factory=list)
    reactions: dict[str, list[str]] = field(default_factory=dict)
    only_for: Person | None = None  # ephemeral
    streaming: Streaming | None = None
    began: float = 0.0  # of the stream, in seconds of `time.monotonic`
    tasks: dict[str, Json] = field(default_factory=dict)  # of the stream, by id
    deleted: bool = False

    @property
    def thread(self) -> str:
        """The thread that it is in or begins."""
        return self.thread_ts or self.ts

    @property
    def actions(self) -> list[str]:
        """The action ids of the buttons and menus under it."""
        return [item["action_id"] for item in parts(self.blocks) if "action_id" in item]

    @property
    def slack_files(self) -> list[str]:
        """The ids of the files that its image blocks show."""
        return [item["slack_file"]["id"] for item in parts(self.blocks) if "id" in item.get("slack_file", {})]


@dataclass(eq=False)
class Channel:
    """A channel or a conversation."""

    id: str
    name: str
    kind: Kind = Kind.PUBLIC
    members: dict[str, Person] = field(default_factory=dict, repr=False)
    log: dict[str, Message] = field(default_factory=dict, repr=False)  # also what was deleted, for its thread
    archived: bool = False

    def visible(self) -> list[Message]:
        """All messages in order, of the threads too."""
        return [message for _, message in sorted(self.log.items()) if not message.deleted]


@dataclass(eq=False)
class View:
    """A modal or a home tab, as one person sees it."""

    id: str
    person: Person
    content: Json
    hash: str
    previous: "View | None" = None
    errors: Json = field(default_factory=dict)  # block id -> what is wrong with the input
    open: bool = True

    @property
    def blocks(self) -> list[Json]:
        """The blocks of the view."""
        blocks: list[Json] = self.content["blocks"]
        return blocks


@dataclass(frozen=True)
class Ping:
    """A mention in a text of the bot: `channel`, `here`, `everyone`, or the id of a user or group."""

    who: str
    method: str
    channel: str
    text: str


class World(Changes):
    """Everything that exists. Each `until` checks its condition again after `changed()`."""

    team_id = "T0STUDIO001"
    domain = "workshop"
    app_id = "A0STUDIO001"

    def __init__(self) -> None:
        super().__init__()
        self.url = ""
        self.people: dict[str, Person] = {}
        self.channels: dict[str, Channel] = {}
        self.groups: dict[str, Group] = {}
        self.files: dict[str, File] = {}
        self.views: dict[str, View] = {}
        self.homes: dict[str, View] = {}
        self.ephemerals: list[Message] = []
        self.statuses: dict[tuple[str, str], str] = {}  # "is thinking..." by channel and thread
        self.sessions: dict[tuple[str, str], str] = {}  # of an agent, by channel and thread
        self.prompts: dict[tuple[str, str], list[Json]] = {}
        self.pings: list[Ping] = []
        self.violations: list[str] = []
        self.leaks: list[str] = []  # tokens that reached another host
        self._micros = 0
        self._number = 0
        self.bot = self.person("workshop", bot=True)

    def id(self, letter: str) -> str:
        """An id that no other thing has."""
        self._number += 1
        return f"{letter}0{self._number:09X}"

    def ts(self) -> str:
        """A time stamp later than all before it."""
        self._micros = max(self._micros + 1, int(time.time() * 1_000_000))
        return f"{self._micros // 1_000_000}.{self._micros % 1_000_000:06d}"

    def person(self, name: str, *, admin: bool = False, bot: bool = False) -> Person:
        """A new account."""
        person = Person(self.id("U"), name, admin, self.id("B") if bot else None)
        self.people[person.id] = person
        return person

    def channel(self, name: str, kind: Kind = Kind.PUBLIC, *members: Person) -> Channel:
        """A new channel with the bot in it."""
        letter = {Kind.DIRECT: "D", Kind.PUBLIC: "C"}.get(kind, "G")
        channel = Channel(self.id(letter), name, kind, {one.id: one for one in (self.bot, *members)})
        self.channels[channel.id] = channel
        return channel

    def direct(self, person: Person) -> Channel:
        """Return the direct conversation between a user and the bot."""
        for channel in self.channels.values():
            if channel.kind is Kind.DIRECT and person.id in channel.members:
                return channel
        return self.channel("directmessage", Kind.DIRECT, person)

    def place(self, reference: str) -> Channel | None:
        """A channel by its id, its name, or the id of the person it is with."""
        if reference in self.people:
            return self.direct(self.people[reference])
        named = (one for one in self.channels.values() if one.kind is Kind.PUBLIC and one.name == reference.lstrip("#"))
        return self.channels.get(reference) or next(named, None)


def parts(value: object) -> Iterator[Json]:
    """Every object inside blocks, a view or a text, however deep."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from parts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from parts(inner)
