"""What a studio is: a loaded model that paints batches. Whoever drives one knows no more of it than this."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import Protocol

from bot.abilities import Abilities
from render.wire import Batch, Usual, WorkerEvent

Tell = Callable[[WorkerEvent], None]

NO_MEMORY = "The picture needs more memory than the device has."
FAILED = "The picture model failed; the worker's log says why."


@dataclass(frozen=True, slots=True)
class Options:
    """How a model is loaded and used, beyond its name.

    `quantise` is `8bit`, `4bit` or empty, `offload` is `parts`, `layers` or empty. `allow_pickles` names the model
    whose pickled weights may be loaded; `styles` is the folder of LoRA files; `ip_adapter` is a file of the hub, or of
    a folder. `step_cache` is a threshold, None for no
    cache, `attention` the name of a backend of diffusers.
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
    """Nobody wants the batch any more."""


class Unusable(Exception):
    """The model cannot be loaded. The text is a sentence."""


class Broken(Exception):
    """The device is of no more use to this process. A new process may do better."""


class Studio(Protocol):
    """A loaded model. All calls come from one thread.

    `largest_batch` counts pictures of the usual size; it may become smaller when the device turns out to be too small.
    """

    model: str
    revision: str
    abilities: Abilities
    usual: Usual | None
    largest_batch: int

    def paint(self, batch: Batch, tell: Tell, cancelled: Event) -> None:
        """Render the batch: tell of every step, and of every task that it is made or spoilt, from any thread.

        Raises Cancelled soon after `cancelled` is set; Broken.
        """
        ...


def sentence(error: Exception) -> str:
    """What people are told of a fault; the model's own words only where they are a refusal."""
    if type(error).__name__ == "OutOfMemoryError" or isinstance(error, MemoryError):
        return NO_MEMORY
    if isinstance(error, ValueError):
        return f"The picture model refused: {error}"
    return FAILED
