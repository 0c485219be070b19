"""Every value that is passed around: frozen, compared by content, free of any platform's fields."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self


@dataclass(frozen=True, slots=True)
class ThreadKey:
    """Where a conversation is held. Only its adapter and the settings' scopes take it apart."""

    platform: str
    space: str
    channel: str
    thread: str

    def __str__(self) -> str:
        return "/".join((self.platform, self.space, self.channel, self.thread))

    def holds(self, other: Self) -> bool:
        """Whether the other is this thread, or lies in this place: empty names stand for all."""
        ours = (self.platform, self.space, self.channel, self.thread)
        theirs = (other.platform, other.space, other.channel, other.thread)
        return all(not mine or mine == its for mine, its in zip(ours, theirs, strict=True))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The key that `str` printed."""
        platform, space, channel, thread = text.split("/")
        return cls(platform, space, channel, thread)


MANAGER, OWNER = "manager", "owner"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who writes; `id` is unique within the platform. Who has the role MANAGER may stop others' work.

    Whoever owns the server has OWNER as well.
    """

    id: str
    name: str
    roles: frozenset[str] = frozenset()


class Operation(StrEnum):
    """What a picture came from."""

    GENERATE = "generate"
    EDIT = "edit"
    VARY = "vary"
    REFINE = "refine"
    UPSCALE = "upscale"
    SELECT = "select"
    UPLOAD = "upload"


@dataclass(frozen=True, slots=True)
class Picture:
    """A finished picture. `number` counts within its thread, from 1; `digest` is the SHA-256 of its PNG file.

    `prompt` is what was asked for, `refined` what the picture model was told instead, if anything. `way` tells in a
    few words how it was made, `notes` in sentences what could not be as asked.
    """

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
    refined: str = ""
    way: str = ""
    notes: tuple[str, ...] = ()


# What comes in


@dataclass(frozen=True, slots=True)
class Message:
    """Somebody's words. `id` is the platform's own, so that a second delivery is known; `uploads` are whole files.

    `part` are the corners of the part that is meant of the picture that it is `about`, see `bot.part`; empty for all of
    it. `before` is what others said in the thread before the bot was called into it.
    """

    id: str
    thread: ThreadKey
    author: Person
    text: str
    uploads: tuple[bytes, ...] = ()
    about: int | None = None
    before: tuple[tuple[Person, str], ...] = ()
    part: str = ""


class Action(StrEnum):
    """What a button does."""

    STOP = "stop"
    CANCEL = "cancel"
    RETRY = "retry"
    VARY = "vary"
    EDIT = "edit"
    REDO = "redo"
    UPSCALE = "upscale"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class ButtonPress:
    """A pressed button.

    `target` is a reply's id for Stop and Retry, a job's id for Cancel, a picture's number for all others. `words` say
    what is to change with an Edit, within the corners of the `part` or in all of the picture.
    """

    id: str
    thread: ThreadKey
    author: Person
    action: Action
    target: str
    words: str = ""
    part: str = ""


@dataclass(frozen=True, slots=True)
class Wish:
    """Pictures that somebody asks for in so many words, past the chat model.

    `count` pictures are drawn of `request`; `author` is told of as who said `text`.
    """

    id: str
    thread: ThreadKey
    author: Person
    request: "ImageRequest"
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Edited:
    """A message was given other words by the person who wrote it."""

    id: str
    thread: ThreadKey
    text: str


@dataclass(frozen=True, slots=True)
class Deleted:
    """A message was deleted by the person who wrote it, or by who may do that on the platform."""

    id: str
    thread: ThreadKey


@dataclass(frozen=True, slots=True)
class Left:
    """A place is there no more, or the bot was sent away: nothing can be shown in it. Empty names stand for all."""

    place: ThreadKey


Incoming = Message | ButtonPress | Wish | Edited | Deleted | Left


# What the model asked for, and how it fares


@dataclass(slots=True, unsafe_hash=True)
class Text:
    """Words of the model with all markup taken out.

    One is made of each token, and a frozen value would take twice the time: here `Final` keeps what is in it.
    """

    markdown: Final[str]


@dataclass(frozen=True, slots=True)
class Recanted:
    """Everything said and asked for so far in this answer was the model thinking aloud: none of it counts."""


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """A picture that the model asked for.

    `key` counts the requests of a reply from 0. `of` is the number of the picture meant, or None for the one that
    is talked about. `change` is `small`, `large` or empty, `ratio` is `WIDTH:HEIGHT` or empty. `model`, `seed` and
    `negative`, what is not to be seen, are what people say who know what they want; chat models leave them open, and
    `part`, which are the corners of what alone is to change.
    """

    key: int
    operation: Operation
    prompt: str
    of: int | None = None
    change: str = ""
    ratio: str = ""
    model: str = ""
    seed: int | None = None
    negative: str = ""
    part: str = ""


@dataclass(frozen=True, slots=True)
class RenderJob:
    """A picture to be rendered: everything that decides how it looks, and whose it is.

    `prompt` is what was asked for, `refined` what the picture model is told instead, if anything. `change`,
    `ratio` and `part` are those of the request. `source` is the digest of the picture to start from. `size` is width
    and height in pixels, None for what the model does best; the same holds for `num_inference_steps` and
    `guidance_scale`. An empty `model` leaves it to the workers. `before` is what is to be seen in the source, as far as
    it is known. `lora` is a file in the folder of styles, applied with `lora_scale`. The file of a `telling` one holds
    prompt and seed. `ordered` is in seconds since 1970; `faults` counts the attempts that it may have spoilt.
    """

    id: str
    thread: ThreadKey
    number: int
    owner: str
    operation: Operation
    prompt: str
    seed: int
    parent: int | None = None
    change: str = ""
    ratio: str = ""
    refined: str = ""
    source: str | None = None
    size: tuple[int, int] | None = None
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    model: str = ""
    negative: str = ""
    telling: bool = True
    before: str = ""
    lora: str = ""
    lora_scale: float = 1.0
    part: str = ""
    attempt: int = 0
    faults: int = 0
    ordered: float = 0.0


@dataclass(frozen=True, slots=True)
class Queued:
    """Waiting. `ahead` counts the jobs before this one; `eta` is in how many seconds it is done, if that is known."""

    ahead: int
    eta: float | None = None


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
    """The picture will not come. `reason` is a sentence for the person, `again` whether it may come another time."""

    reason: str
    again: bool = True


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
    """How a reply should look now. Until `final`, text only grows and parts are only appended.

    `language` is that of the bot's own words in it; empty for English.
    """

    parts: tuple[Part, ...] = ()
    status: str = ""
    buttons: tuple[Button, ...] = ()
    final: bool = False
    language: str = ""


# What is remembered


@dataclass(frozen=True, slots=True)
class Post:
    """A message that the bot has posted. `id` is the platform's, `picture` the number of the picture that it shows."""

    id: str
    picture: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A message and the reply to it. `words` are the model's own, tags included; `view` is there once it is final.

    `settled` are the pictures of a reply that no chat model is asked for. `changed` tells that the message was given
    other words since it was answered. `before` is what was said in the thread before the bot was called into it, `part`
    what was marked of the picture that it is `about`.
    """

    id: str
    thread: ThreadKey
    author: Person
    text: str
    about: int | None
    uploads: tuple[Picture, ...]
    words: str
    view: View | None
    settled: tuple[ImageRequest, ...] = ()
    changed: bool = False
    before: str = ""
    part: str = ""


@dataclass(frozen=True, slots=True)
class ThreadSummary:
    """A conversation in a list. `updated` is in seconds since 1970."""

    key: ThreadKey
    title: str
    updated: float
