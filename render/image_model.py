"""Protocol of a loaded image model: its options, its exceptions, and how to render a batch."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import Protocol

from bot.capabilities import ModelCapabilities
from bot.notices import Notice, notice
from render.protocol import Batch, Defaults, WorkerEvent

EventCallback = Callable[[WorkerEvent], None]

NO_MEMORY = notice("out-of-memory")
FAILED = notice("image-model-failed")


@dataclass(frozen=True, slots=True)
class Options:
    """Options for loading and using a model, besides its name.

    `quantise` is `8bit`, `4bit` or empty, `offload` is `parts`, `layers` or empty. `allow_pickles` names the model
    whose pickled weights may be loaded; `styles` is the folder of LoRA files; `ip_adapter` is a file of the hub or a
    path. `step_cache` is a threshold, None for no cache; `attention` is the name of an attention backend of diffusers.
    """

    quantise: str = ""
    offload: str = ""
    allow_pickles: str = ""
    styles: str = ""
    ip_adapter: str = ""
    compile: bool = False
    step_cache: float | None = None
    attention: str = ""


class Cancelled(Exception):
    """The batch was cancelled."""


class ModelLoadError(Exception):
    """The model cannot be loaded. `notice` says why."""

    def __init__(self, reason: Notice) -> None:
        super().__init__(reason)
        self.notice = reason


class ModelRefusal(ValueError):
    """The model cannot render this task. `notice` says why."""

    def __init__(self, reason: Notice) -> None:
        super().__init__(reason)
        self.notice = reason


class DeviceBroken(Exception):
    """This process cannot use the device any more. A new process may be able to."""


class ImageModel(Protocol):
    """A loaded image model. All calls come from one thread.

    `largest_batch` counts images of the default size; it decreases if the device turns out to have too little memory.
    """

    model: str
    revision: str
    capabilities: ModelCapabilities
    defaults: Defaults | None
    largest_batch: int

    def render(self, batch: Batch, on_event: EventCallback, cancelled: Event) -> None:
        """Render the batch. Call `on_event` for every step and with ImageDone or ImageFailed for every task.

        The calls of `on_event` may come from any thread. Raises Cancelled soon after `cancelled` is set; DeviceBroken.
        """
        ...


def describe_error(error: Exception) -> Notice:
    """Describe an error to users. Only a ValueError, by which a pipeline refuses, has its own text in it."""
    if isinstance(error, ModelRefusal):
        return error.notice
    if type(error).__name__ == "OutOfMemoryError" or isinstance(error, MemoryError):
        return NO_MEMORY
    if isinstance(error, ValueError):
        return notice("image-model-refused", reason=str(error))
    return FAILED
