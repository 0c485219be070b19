"""The values that all parts of the bot share: frozen, compared by content, without fields of a platform."""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, Self

from bot.notices import UserText


@dataclass(frozen=True, slots=True)
class ThreadKey:
    """One conversation on a platform. Only its adapter and the scopes of settings read the single fields."""

    platform: str
    space: str
    channel: str
    thread: str

    def __str__(self) -> str:
        return "/".join((self.platform, self.space, self.channel, self.thread))

    def contains(self, other: Self) -> bool:
        """Whether `other` is this thread or a part of this place; an empty field matches everything."""
        ours = (self.platform, self.space, self.channel, self.thread)
        theirs = (other.platform, other.space, other.channel, other.thread)
        return all(not mine or mine == its for mine, its in zip(ours, theirs, strict=True))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the key whose `str` is `text`. Raises ValueError unless `text` has four fields."""
        platform, space, channel, thread = text.split("/")
        return cls(platform, space, channel, thread)


MANAGER, OWNER = "manager", "owner"


@dataclass(frozen=True, slots=True)
class Person:
    """A user of one platform; `id` is unique on that platform.

    `locale` is what the platform knows of the user's language, such as `de` or `zh-CN`; empty for nothing.
    A user with the role MANAGER may stop the work of other users. The owner of the server also has the role OWNER.
    """

    id: str
    name: str
    roles: frozenset[str] = frozenset()
    locale: str = field(default="", compare=False)


class Operation(StrEnum):
    """The operation that made a picture."""

    GENERATE = "generate"
    EDIT = "edit"
    VARY = "vary"
    REFINE = "refine"
    UPSCALE = "upscale"
    SELECT = "select"
    UPLOAD = "upload"


@dataclass(frozen=True, slots=True)
class Sampling:
    """The options that decide the pixels besides operation, prompt, source and region. Empty or None: not chosen.

    `aspect_ratio` is `WIDTH:HEIGHT`; `size` is width and height in pixels. With an empty `model` any image model may
    render the request. `lora` is a file in the folder of styles, applied with `lora_scale`.
    """

    seed: int | None = None
    aspect_ratio: str = ""
    negative_prompt: str = ""
    model: str = ""
    size: tuple[int, int] | None = None
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    lora: str = ""
    lora_scale: float = 1.0

    @property
    def shared_options(self) -> Self:
        """The options that all images of one pipeline call have in common."""
        return replace(self, seed=None, negative_prompt="")


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """A request for one image, of the chat model or of a user.

    `key` counts the requests of a reply from 0. `source` is the number of the source picture, or None for the picture
    that the conversation is about. `change` is `small`, `large` or empty. `region` is the polygon of the source picture
    to change, see `bot.region`; empty for the whole picture.
    """

    key: int
    operation: Operation
    prompt: str
    source: int | None = None
    change: str = ""
    region: str = ""
    sampling: Sampling = Sampling()


@dataclass(frozen=True, slots=True)
class Picture:
    """A finished picture. `number` counts within its thread, from 1; `digest` is the SHA-256 of its PNG file.

    `width` and `height` are in pixels. `request` made it, with all options that decided its pixels; `refined_prompt` is
    the prompt that the image model got instead of the requested one, if another one. `edit_method` names the edit
    method in a few words, `notes` are messages about the parts of the request that could not be fulfilled.
    """

    number: int
    digest: str
    width: int
    height: int
    alt: str
    request: ImageRequest
    model: str | None = None
    refined_prompt: str = ""
    edit_method: UserText = ""
    notes: tuple[UserText, ...] = ()


# Incoming events

MAX_UPLOADS = 4  # images of one message
MAX_UPLOAD_BYTES = 20 * 2**20  # bytes of one image of a message
IMAGE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp", "image/tiff")
HIGHEST_SEED = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a user. `id` comes from the platform, so a second delivery is recognized; `uploads` are whole files.

    `about` is the number of the picture that the message refers to. `region` is the marked polygon of that picture,
    see `bot.region`; empty for the whole picture. `earlier_messages` are authors and texts of the messages in the
    thread from before the bot was mentioned.
    """

    id: str
    thread: ThreadKey
    author: Person
    text: str
    uploads: tuple[bytes, ...] = ()
    about: int | None = None
    earlier_messages: tuple[tuple[Person, str], ...] = ()
    region: str = ""


class Action(StrEnum):
    """The actions of buttons."""

    STOP = "stop"
    CANCEL = "cancel"
    RETRY = "retry"
    VARY = "vary"
    EDIT = "edit"
    REDO = "redo"
    UPSCALE = "upscale"
    DELETE = "delete"


NEW_REPLY_ACTIONS = (Action.VARY, Action.EDIT, Action.UPSCALE, Action.REDO)  # they create an image in a new reply
IMAGE_ACTIONS = (*NEW_REPLY_ACTIONS, Action.DELETE)  # their target is the number of an image


@dataclass(frozen=True, slots=True)
class ButtonPress:
    """A press of a button.

    `target` is the id of a reply for STOP and RETRY, the id of a job for CANCEL, and the number of a picture for the
    other actions. `instruction` says what EDIT changes, within the polygon `region`, or in the whole picture if the
    region is empty.
    """

    id: str
    thread: ThreadKey
    author: Person
    action: Action
    target: str
    instruction: str = ""
    region: str = ""


@dataclass(frozen=True, slots=True)
class ImagineCommand:
    """An `/imagine` command: a user requests images without the chat model.

    `count` is the number of images to render for `request`; None takes the number from the settings of the user.
    """

    id: str
    thread: ThreadKey
    author: Person
    request: ImageRequest
    count: int | None = None


@dataclass(frozen=True, slots=True)
class MessageEdited:
    """The author of a message edited the message; `text` is the new text."""

    id: str
    thread: ThreadKey
    text: str


@dataclass(frozen=True, slots=True)
class MessageDeleted:
    """A message was deleted, by its author or by a user who may delete messages on the platform."""

    id: str
    thread: ThreadKey


@dataclass(frozen=True, slots=True)
class PlaceRemoved:
    """A place was deleted, or the bot was removed from it: nothing can be shown there. An empty field matches all."""

    place: ThreadKey


Incoming = Message | ButtonPress | ImagineCommand | MessageEdited | MessageDeleted | PlaceRemoved


# Answers and render updates


@dataclass(slots=True, unsafe_hash=True)
class Text:
    """A piece of text of the chat model, without markup.

    The parser creates one for each token. A frozen dataclass would take twice the time, so `Final` protects the field.
    """

    markdown: Final[str]


@dataclass(frozen=True, slots=True)
class Retracted:
    """All text and image requests of this answer so far were thoughts of the model and do not count."""


@dataclass(frozen=True, slots=True)
class RenderJob:
    """One image to render: its request, with a seed and a resolved source, and the owner.

    `refined_prompt` is the prompt that the image model gets instead of the requested one, if another one.
    `source_digest` names the file of the source picture, and `source_prompt` describes that picture as far as the bot
    knows. If `embeds_metadata`, the PNG file contains prompt and seed. `ordered` is in seconds since 1970. `attempt`
    counts the attempts, `faults` the attempts that failed, possibly because of the job itself.
    """

    id: str
    thread: ThreadKey
    number: int
    owner: str
    request: ImageRequest
    refined_prompt: str = ""
    source_digest: str | None = None
    source_prompt: str = ""
    embeds_metadata: bool = True
    attempt: int = 0
    faults: int = 0
    ordered: float = 0.0

    @property
    def final_prompt(self) -> str:
        """The prompt that the image model gets."""
        return self.refined_prompt or self.request.prompt


@dataclass(frozen=True, slots=True)
class Queued:
    """The job waits behind `ahead` jobs, None if no worker can take it yet. It is done in about `eta` seconds."""

    ahead: int | None
    eta: float | None = None


@dataclass(frozen=True, slots=True)
class Rendering:
    """The job runs. `fraction` goes from 0 to 1; `preview` is a small JPEG."""

    fraction: float
    preview: bytes | None = None


@dataclass(frozen=True, slots=True)
class Rendered:
    """The job is done."""

    picture: Picture


@dataclass(frozen=True, slots=True)
class Failed:
    """The job failed. `reason` is for the user, `again` says whether a retry may succeed."""

    reason: UserText
    again: bool = True


RenderUpdate = Queued | Rendering | Rendered | Failed


# Display


@dataclass(frozen=True, slots=True)
class TextPart:
    """A paragraph or longer piece of text."""

    markdown: str


@dataclass(frozen=True, slots=True)
class PicturePart:
    """A picture between the text parts. `number` is its number in the thread, `prompt` the requested prompt."""

    key: int
    number: int
    operation: Operation
    prompt: str
    state: RenderUpdate
    source: int | None = None


Part = TextPart | PicturePart


@dataclass(frozen=True, slots=True)
class Button:
    """A button below a reply."""

    action: Action
    label: UserText
    target: str


@dataclass(frozen=True, slots=True)
class View:
    """A snapshot of a reply for a platform. Until `final`, text only grows and parts are only appended.

    A platform receives a view whose messages are texts in `language`, see `bot.i18n`; the stored view has notices.
    """

    parts: tuple[Part, ...] = ()
    status: UserText = ""
    buttons: tuple[Button, ...] = ()
    final: bool = False
    language: str = ""


# Stored records


@dataclass(frozen=True, slots=True)
class Post:
    """A message that the bot posted. `id` comes from the platform; `picture` is the number of the picture it shows."""

    id: str
    picture: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A message and the reply to it.

    `raw_answer` is the text of the chat model with tags; `view` is None until the reply is final. `fixed_requests` are
    the image requests of a reply that needs no chat model. `is_edited` says whether the message was edited since its
    answer began. `earlier_messages` is one line with the messages of the thread from before the bot was mentioned.
    `region` is the polygon that the user marked in the picture `about`.
    """

    id: str
    thread: ThreadKey
    author: Person
    text: str
    about: int | None
    uploads: tuple[Picture, ...]
    raw_answer: str
    view: View | None
    fixed_requests: tuple[ImageRequest, ...] = ()
    is_edited: bool = False
    earlier_messages: str = ""
    region: str = ""


@dataclass(frozen=True, slots=True)
class ThreadSummary:
    """A thread in a list. `updated` is in seconds since 1970."""

    key: ThreadKey
    title: str
    updated: float
