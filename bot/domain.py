"""Every value that is passed around: frozen, compared by content, free of any platform's fields."""

from dataclasses import dataclass, field
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

    @classmethod
    def parse(cls, text: str) -> Self:
        """The key that `str` printed."""
        platform, space, channel, thread = text.split("/")
        return cls(platform, space, channel, thread)


MANAGER = "manager"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who writes; `id` is unique within the platform. Who has the role MANAGER may stop others' work."""

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
    """A finished picture. `number` counts within its thread, from 1; `digest` is the SHA-256 of its PNG file.

    `prompt` is what was asked for, `refined` what the picture model was told instead, if anything.
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
    CANCEL = "cancel"
    RETRY = "retry"
    VARY = "vary"
    EDIT = "edit"


@dataclass(frozen=True, slots=True)
class ButtonPress:
    """A pressed button.

    `target` is a picture's number for Vary and Edit, a reply's id for Stop and Retry, a job's id for Cancel.
    """

    id: str
    thread: ThreadKey
    author: Person
    action: Action
    target: str


@dataclass(frozen=True, slots=True)
class Deleted:
    """A message was deleted by the person who wrote it, or by who may do that on the platform."""

    id: str
    thread: ThreadKey


Incoming = Message | ButtonPress | Deleted


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
    is talked about. `change` is `small`, `large` or empty, `ratio` is `WIDTH:HEIGHT` or empty.
    """

    key: int
    operation: Operation
    prompt: str
    of: int | None = None
    change: str = ""
    ratio: str = ""


class Editing(StrEnum):
    """What a picture model wants to be told when it changes a picture."""

    DESCRIBE = "describe"  # the whole picture as it is to be
    INSTRUCT = "instruct"  # the change alone
    REDRAW = "redraw"  # it cannot start from a picture: it draws a new one


class Dialect(StrEnum):
    """The language in which a picture model understands best what is to be seen."""

    SENTENCES = "sentences"  # a T5 or a language model reads the prompt
    PHRASES = "phrases"  # CLIP reads it, and no more than 77 tokens of it
    SCENES = "scenes"  # the built-in model, which knows a few hundred words


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a picture model can do. `ratios` tells whether it paints in other shapes than its own."""

    editing: Editing = Editing.DESCRIBE
    dialect: Dialect = Dialect.SENTENCES
    ratios: bool = False


class Refining(StrEnum):
    """When a wish is turned into a better prompt before it is drawn."""

    OFF = "off"
    AUTO = "auto"  # where it is known to help: short wishes
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class RenderJob:
    """A picture to be rendered: everything that decides how it looks, and whose it is.

    `prompt` is what was asked for, `refined` what the picture model is told instead, if anything. `change` and
    `ratio` are those of the request. `source` is the digest of the picture to start from. `size` is width and height
    in pixels, None for what the model does best; the same holds for `num_inference_steps` and `guidance_scale`.
    An empty `model` leaves it to the workers. `ordered` is in seconds since 1970; `faults` counts the attempts that
    it may have spoilt.
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
    """The picture will not come. `reason` is a sentence for the person."""

    reason: str


RenderUpdate = Queued | Rendering | Rendered | Failed


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a job stands. `eta` and `waited` are in seconds, `fraction` is of its steps, 0 to 1."""

    job: str
    thread: ThreadKey
    number: int
    operation: Operation
    owner: str
    model: str
    running: bool
    fraction: float
    ahead: int
    eta: float | None
    waited: float


@dataclass(frozen=True, slots=True)
class Bench:
    """A worker, what it paints with, and how many of its slots are taken."""

    name: str
    model: str
    slots: int
    busy: int
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Lineup:
    """The whole line: what runs, then what waits, in order. `pace` is in seconds per megapixel-step by model."""

    standings: tuple[Standing, ...] = ()
    benches: tuple[Bench, ...] = ()
    pace: dict[str, float] = field(default_factory=dict)


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
