"""The values of slash commands and settings: command, response, scope, settings, panel. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bot.capabilities import RefineMode
from bot.domain import Person, ThreadKey
from bot.notices import UserText


class Scope(StrEnum):
    """Where a setting applies. A narrower scope wins over a wider one."""

    SERVER = "server"
    CATEGORY = "category"  # of channels, on platforms that have categories
    CHANNEL = "channel"
    THREAD = "thread"
    PERSON = "me"


class ReplyIn(StrEnum):
    """Where the bot replies to a message in a channel."""

    THREAD = "thread"
    CHANNEL = "channel"


class ReplyMode(StrEnum):
    """Which messages the bot answers without a mention."""

    THREADS = "threads"  # all messages in its threads, and replies to images
    IMAGES = "images"  # replies to images
    NEVER = "never"


class SettingsEditors(StrEnum):
    """Who may change settings that apply to other users."""

    OWNERS = "owners"
    MANAGERS = "managers"
    EVERYONE = "everyone"


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings that apply to one user in one thread.

    An empty `chat_model`, `image_model`, `style` or `aspect_ratio` is the default. `blocked_words` are words and
    patterns, one a line. `allowed` and `blocked` list channels, roles and users; `managers` lists roles and users who
    are managers besides those of the platform. `daily_limit`, `server_daily_limit` and `max_concurrent` are numbers of
    images, 0 for no limit.
    """

    chat_model: str = ""
    image_model: str = ""
    style: str = ""
    aspect_ratio: str = ""
    images_per_request: int = 1
    improve_prompts: RefineMode = RefineMode.OFF
    persona: str = ""
    language: str = "en"
    reply_in: ReplyIn = ReplyIn.THREAD
    reply_mode: ReplyMode = ReplyMode.THREADS
    previews: bool = True
    alt_text: bool = False
    metadata: bool = True
    blocked_words: str = ""
    allowed: str = ""
    blocked: str = ""
    managers: str = ""
    daily_limit: int = 0
    server_daily_limit: int = 0
    max_concurrent: int = 0
    who_can_edit_settings: SettingsEditors = SettingsEditors.MANAGERS


@dataclass(frozen=True, slots=True)
class SettingField:
    """A setting as the panel shows it: `value` applies, `source` is the scope that it comes from, or `default`.

    `choices` are all its values and `choice_names` their names for users; without choices it is free text of at most
    `max_length` characters, or a whole number from 0 to `maximum` if that is not 0.
    """

    key: str
    title: UserText
    description: UserText
    value: str
    source: str
    choices: tuple[str, ...] = ()
    max_length: int = 0
    maximum: int = 0
    choice_names: tuple[UserText, ...] = ()

    @property
    def value_name(self) -> UserText:
        """The value as users see it."""
        return dict(zip(self.choices, self.choice_names, strict=False)).get(self.value, self.value)


@dataclass(frozen=True, slots=True)
class SettingsPanel:
    """The form that shows and changes the settings of one scope; with `has_category`, the channel has a category."""

    scope: Scope
    fields: tuple[SettingField, ...]
    has_category: bool = False
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Command:
    """A slash command. `thread` is where the user gave the command."""

    id: str
    thread: ThreadKey
    author: Person
    name: str
    arguments: Mapping[str, str] = field(default_factory=dict)


THREAD_COMMANDS = ("images", "pictures", "export", "forget")  # commands that need a thread


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of a response; `alt` is the alternative text if the file is an image."""

    name: str
    data: bytes
    alt: UserText = ""


@dataclass(frozen=True, slots=True)
class CommandResponse:
    """The response to a command: Markdown for the user who gave the command, and optionally a panel or a file.

    A platform receives all messages as texts in `language`.
    """

    text: UserText
    panel: SettingsPanel | None = None
    attachment: Attachment | None = None
    language: str = "en"
