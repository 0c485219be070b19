"""Every value that is passed around: frozen, compared by content, free of any platform's fields."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self


@dataclass(frozen=True, slots=True)
class ThreadKey:
    """Where a conversation is held. Only its adapter and the settings' scopes take it apart."""

    platform: str
    space: str
    channel: str
    thread: str

    def __str__(self) -> str:
        return "/".join((self.platform, self.space, self.channel, self.thread))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The key that `str` printed."""
        platform, space, channel, thread = text.split("/")
        return cls(platform, space, channel, thread)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who writes; `id` is unique within the platform."""

    id: str
    name: str
    roles: frozenset[str] = frozenset()


class Operation(StrEnum):
    """What a picture came from."""

    GENERATE = "generate"
    EDIT = "edit"
    VARY = "vary"
    REFINE = "refine"
    SELECT = "select"
    UPLOAD = "upload"


@dataclass(frozen=True, slots=True)
class Picture:
    """A finished picture. `number` counts within its thread, from 1; `digest` is the SHA-256 of its PNG file."""

    number: int
    digest: str
    width: int
    height: int
    prompt: str
    alt: str
    operation: Operation
    seed: int | None = None
    model: str | None = None
    parent: int | None = None


# What comes in


@dataclass(frozen=True, slots=True)
class Message:
    """Somebody's words. `id` is the platform's own, so that a second delivery is known; `uploads` are whole files."""

    id: str
    thread: ThreadKey
    author: Person
    text: str
    uploads: tuple[bytes, ...] = ()
    about: int | None = None


class Action(StrEnum):
    """What a button does."""

    STOP = "stop"
    RETRY = "retry"
    VARY = "vary"
    EDIT = "edit"


@dataclass(frozen=True, slots=True)
class ButtonPress:
    """A pressed button. `target` is a picture's number for Vary and Edit, a reply's id for Stop and Retry."""

    id: str
    thread: ThreadKey
    author: Person
    action: Action
    target: str


Incoming = Message | ButtonPress


# What the chat model is told, and what it answers


class Role(StrEnum):
    """Who speaks to the chat model."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Said:
    """One message of the transcript."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Delta:
    """The next few characters of the model's answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The answer is over. `truncated` when it was cut short by a limit or by a broken connection."""

    truncated: bool = False


@dataclass(frozen=True, slots=True)
class ModelFailed:
    """The chat model cannot answer. `reason` is a sentence for the person."""

    reason: str


ModelEvent = Delta | Stopped | ModelFailed


# What the model asked for, and how it fares


@dataclass(frozen=True, slots=True)
class Text:
    """Words of the model with all markup taken out."""

    markdown: str


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """A picture that the model asked for.

    `key` counts the requests of a reply from 0. `of` is the number of the picture meant, or None for the one that
    is talked about. `change` and `ratio` are empty where the model left them open.
    """

    key: int
    operation: Operation
    prompt: str
    of: int | None = None
    change: str = ""
    ratio: str = ""


@dataclass(frozen=True, slots=True)
class RenderJob:
    """A picture to be rendered: everything that decides how it looks, and whose it is.

    `source` is the digest of the picture to start from. `size` is width and height in pixels, None for what the
    model does best; the same holds for `num_inference_steps` and `guidance_scale`.
    """

    id: str
    thread: ThreadKey
    number: int
    owner: str
    operation: Operation
    prompt: str
    seed: int
    parent: int | None = None
    source: str | None = None
    size: tuple[int, int] | None = None
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Queued:
    """Waiting. `ahead` counts the jobs before this one."""

    ahead: int


@dataclass(frozen=True, slots=True)
class Rendering:
    """Under way. `fraction` runs from 0 to 1; `preview` is a small JPEG."""

    fraction: float
    preview: bytes | None = None


@dataclass(frozen=True, slots=True)
class Rendered:
    """Done."""

    picture: Picture


@dataclass(frozen=True, slots=True)
class Failed:
    """The picture will not come. `reason` is a sentence for the person."""

    reason: str


RenderUpdate = Queued | Rendering | Rendered | Failed


# What is shown


@dataclass(frozen=True, slots=True)
class TextPart:
    """A stretch of words."""

    markdown: str


@dataclass(frozen=True, slots=True)
class PicturePart:
    """A picture in its place among the words. `number` is its number in the thread, `prompt` what was asked for."""

    key: int
    number: int
    operation: Operation
    prompt: str
    state: RenderUpdate
    parent: int | None = None


Part = TextPart | PicturePart


@dataclass(frozen=True, slots=True)
class Button:
    """A button below a reply."""

    action: Action
    label: str
    target: str


@dataclass(frozen=True, slots=True)
class View:
    """How a reply should look now. Until `final`, text only grows and parts are only appended."""

    parts: tuple[Part, ...] = ()
    status: str = ""
    buttons: tuple[Button, ...] = ()
    final: bool = False


# What is remembered


@dataclass(frozen=True, slots=True)
class Entry:
    """A message and the reply to it. `words` are the model's own, tags included; `view` is there once it is final."""

    id: str
    thread: ThreadKey
    author: Person
    text: str
    about: int | None
    uploads: tuple[Picture, ...]
    words: str
    view: View | None


@dataclass(frozen=True, slots=True)
class ThreadSummary:
    """A conversation in a list. `updated` is in seconds since 1970."""

    key: ThreadKey
    title: str
    updated: float
