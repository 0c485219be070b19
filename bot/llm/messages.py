"""The values that the bot and a chat model exchange: messages, model profile, tools, events of the answer."""

from dataclasses import dataclass
from enum import StrEnum

from bot.notices import UserText


class Role(StrEnum):
    """The author of a chat message."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of the history. `images` are JPEG files, for a model with vision."""

    role: Role
    text: str
    images: tuple[bytes, ...] = ()


class RequestProtocol(StrEnum):
    """How the system prompt tells a chat model to request images. The parser understands both protocols in any case."""

    TAGS = "tags"
    TOOLS = "tools"


@dataclass(frozen=True, slots=True)
class ModelProfile:
    """The capabilities and quirks of a chat model.

    `context_window` is in tokens, input and answer together. `thinks_first` means that answers begin with reasoning
    whose opening tag is missing. `may_forget_images` means that the model is reminded if it does not request an image
    that the user asked for.
    """

    request_protocol: RequestProtocol = RequestProtocol.TAGS
    context_window: int = 8192
    has_vision: bool = False
    takes_system_message: bool = True
    thinks_first: bool = False
    may_forget_images: bool = True


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument of a tool: `kind` is `string` or `integer`; `choices` lists the allowed values, or is empty."""

    name: str
    description: str
    kind: str = "string"
    choices: tuple[str, ...] = ()
    required: bool = False


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that a chat model may call to request an image."""

    name: str
    description: str
    parameters: tuple[Parameter, ...]


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of text of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A native tool call of the model. `arguments` is the JSON text as the model wrote it."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """The end of the answer. `is_truncated` if a token limit or a lost connection cut the answer short."""

    is_truncated: bool = False


@dataclass(frozen=True, slots=True)
class ModelFailed:
    """The chat model cannot answer. `reason` is for the user."""

    reason: UserText


ModelEvent = TextDelta | ToolCall | StreamEnd | ModelFailed
