"""What passes between the bot and a chat model: frozen values, the same for every model."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """Who speaks to the chat model."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Said:
    """One message of the transcript. `images` are JPEGs for a model that can see."""

    role: Role
    text: str
    images: tuple[bytes, ...] = ()


class FrontEnd(StrEnum):
    """How a chat model is told to ask for pictures. What it then writes is understood either way."""

    TAGS = "tags"
    TOOLS = "tools"


@dataclass(frozen=True, slots=True)
class Manners:
    """What a chat model wants, and what it can do.

    `context` is in tokens, prompt and answer together. `system_role` tells whether it takes a system message,
    `thinks_first` whether its answers begin with thoughts whose opening tag is left out, `forgets` whether it may have
    forgotten a picture that it does not draw.
    """

    front_end: FrontEnd = FrontEnd.TAGS
    context: int = 8192
    sees: bool = False
    system_role: bool = True
    thinks_first: bool = False
    forgets: bool = True


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument of a tool: `kind` is `string` or `integer`, `choices` are all that it may be, if not empty."""

    name: str
    description: str
    kind: str = "string"
    choices: tuple[str, ...] = ()
    required: bool = False


@dataclass(frozen=True, slots=True)
class Tool:
    """What a chat model may call instead of writing a tag."""

    name: str
    description: str
    parameters: tuple[Parameter, ...]


@dataclass(frozen=True, slots=True)
class Delta:
    """The next few characters of the model's answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Called:
    """The model called a tool. `arguments` is the JSON as it wrote it."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The answer is over. `truncated` when it was cut short by a limit or by a broken connection."""

    truncated: bool = False


@dataclass(frozen=True, slots=True)
class ModelFailed:
    """The chat model cannot answer. `reason` is a sentence for the person."""

    reason: str


ModelEvent = Delta | Called | Stopped | ModelFailed
