"""The state of the Discord double: users, servers, channels, messages and permissions."""

import re
import time
from dataclasses import dataclass, field
from enum import IntFlag
from typing import Any

from tests.support.changes import Changes

Json = dict[str, Any]

EPOCH = 1_420_070_400_000  # milliseconds; Discord's first second
MIB = 2**20
UPLOADS = {0: 10 * MIB, 1: 10 * MIB, 2: 50 * MIB, 3: 100 * MIB}  # bytes of one attachment, by the server's boosts
TEXT, DIRECT, THREAD = 0, 1, 11  # types of channels
SYSTEM = frozenset({18, 21})  # types of messages that nobody wrote
EPHEMERAL, LOADING, V2 = 1 << 6, 1 << 7, 1 << 15  # flags of messages


class Permission(IntFlag):
    """The permissions that the double checks, and those of moderators."""

    ADMINISTRATOR = 1 << 3
    MANAGE_CHANNELS = 1 << 4
    VIEW_CHANNEL = 1 << 10
    SEND_MESSAGES = 1 << 11
    MANAGE_MESSAGES = 1 << 13
    EMBED_LINKS = 1 << 14
    ATTACH_FILES = 1 << 15
    READ_MESSAGE_HISTORY = 1 << 16
    MANAGE_THREADS = 1 << 34
    CREATE_PUBLIC_THREADS = 1 << 35
    SEND_MESSAGES_IN_THREADS = 1 << 38


DEFAULT_PERMISSIONS = (
    Permission.VIEW_CHANNEL
    | Permission.SEND_MESSAGES
    | Permission.EMBED_LINKS
    | Permission.ATTACH_FILES
    | Permission.READ_MESSAGE_HISTORY
    | Permission.CREATE_PUBLIC_THREADS
    | Permission.SEND_MESSAGES_IN_THREADS
)
EVERYTHING = Permission(sum(Permission))
NOTHING = Permission(0)


@dataclass(eq=False)
class Person:
    """A user with an account, the bot included."""

    id: int
    name: str
    bot: bool = False

    @property
    def mention(self) -> str:
        """The text that mentions them."""
        return f"<@{self.id}>"


@dataclass(eq=False)
class Role:
    """A role of a server."""

    id: int
    name: str
    permissions: Permission


@dataclass(eq=False)
class Guild:
    """A server. Its first role is everyone's and has its id."""

    id: int
    name: str
    owner: Person
    tier: int = 0
    roles: list[Role] = field(default_factory=list)
    members: dict[int, tuple[Person, list[Role]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Upload:
    """A file on its way up."""

    filename: str
    data: bytes = field(repr=False)
    description: str | None = None


@dataclass(eq=False)
class Attachment:
    """A file of a message."""

    id: int
    channel: int
    filename: str
    data: bytes = field(repr=False)
    description: str | None = None


@dataclass(frozen=True)
class Write:
    """One of the bot's messages or edits in a channel: `create` or `edit`, and when, in seconds of `time.monotonic`."""

    kind: str
    at: float


@dataclass(eq=False)
class Message:
    """A message as it is now."""

    id: int
    channel: "Channel"
    author: Person
    content: str = ""
    attachments: list[Attachment] = field(default_factory=list)
    components: list[Json] = field(default_factory=list)
    embeds: list[Json] = field(default_factory=list)
    flags: int = 0
    type: int = 0
    reference: int | None = None
    mentions: list[Person] = field(default_factory=list)
    nonce: str | int | None = None
    edited: str | None = None
    thread: "Channel | None" = None
    interaction: Json | None = None  # who called for it, where it answers an interaction

    @property
    def ephemeral(self) -> bool:
        """Whether only the person who called for it sees it."""
        return bool(self.flags & EPHEMERAL)

    @property
    def custom_ids(self) -> list[str]:
        """The buttons and menus under it that can be used."""
        return [
            item["custom_id"] for item in items(self.components) if "custom_id" in item and not item.get("disabled")
        ]


@dataclass(eq=False)
class Channel:
    """A text channel, a thread or a direct conversation."""

    id: int
    type: int
    name: str = ""
    guild: Guild | None = None
    parent: "Channel | None" = None
    owner: Person | None = None
    nsfw: bool = False
    archived: bool = False
    locked: bool = False
    archive_minutes: int = 1440
    recipient: Person | None = None
    denied: Permission = NOTHING  # to the bot, by an overwrite of its own
    everything: dict[int, Message] = field(default_factory=dict, repr=False)
    nonces: dict[tuple[int, str], tuple[float, Message]] = field(default_factory=dict, repr=False)
    writes: list[Write] = field(default_factory=list, repr=False)
    opened: float = field(default_factory=time.monotonic, repr=False)

    @property
    def guild_id(self) -> int | None:
        """The server's id."""
        return None if self.guild is None else self.guild.id

    @property
    def upload_limit(self) -> int:
        """The most bytes that one attachment may have here."""
        return UPLOADS[0 if self.guild is None else self.guild.tier]

    def visible(self) -> list[Message]:
        """All messages that its history shows, oldest first."""
        return [message for _, message in sorted(self.everything.items()) if not message.ephemeral]


class World(Changes):
    """Everything that exists. Each `until` checks its condition again after `changed()`."""

    def __init__(self) -> None:
        super().__init__()
        self.cdn_url = ""
        self.link_seconds = 86_400.0  # how long the address of an attachment holds
        self.people: dict[int, Person] = {}
        self.guilds: dict[int, Guild] = {}
        self.channels: dict[int, Channel] = {}
        self.attachments: dict[int, Attachment] = {}
        self.commands: dict[int | None, list[Json]] = {None: []}  # by server; None: everywhere
        self.typing: list[Channel] = []
        self._last = 0
        self.bot = self.person("workshop", bot=True)

    def snowflake(self) -> int:
        """An id that no other thing has, later than all before it."""
        now = int(time.time() * 1000) - EPOCH
        self._last = max(self._last + 1, now << 22)
        return self._last

    def person(self, name: str, *, bot: bool = False) -> Person:
        """A new account."""
        person = Person(self.snowflake(), name, bot)
        self.people[person.id] = person
        return person

    def may(self, person: Person, channel: Channel) -> Permission:
        """Return the permissions of a user in a channel; a thread has those of its channel."""
        if channel.guild is None or channel.guild.owner is person:
            return EVERYTHING
        _, roles = channel.guild.members.get(person.id, (person, []))
        held = channel.guild.roles[0].permissions
        for role in roles:
            held |= role.permissions
        if held & Permission.ADMINISTRATOR:
            return EVERYTHING
        ruled = channel.parent or channel
        return held & ~ruled.denied if person is self.bot else held


def items(components: list[Json]) -> list[Json]:
    """All components, however deep."""
    found: list[Json] = []
    for component in components:
        inner = [
            *component.get("components", ()),
            *(component[key] for key in ("component", "accessory") if key in component),
        ]
        found += [component, *items(inner)]
    return found


def called(text: str) -> set[int]:
    """The ids of everyone who is called in a text."""
    return {int(found) for found in re.findall(r"<@!?(\d+)>", text)}
