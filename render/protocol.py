"""Protocol between the bot and a render worker: one JSON request, answered by one JSON event per line."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from bot.capabilities import ModelCapabilities
from bot.domain import Operation, Sampling
from bot.notices import UserText

VERSION = 5
HEARTBEAT_INTERVAL = 4.0  # seconds without another event after which the worker sends a Heartbeat
HEARTBEAT_TIMEOUT = 15.0  # seconds without any event after which the bot considers the worker dead

_BYTES = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")


@dataclass(frozen=True, slots=True)
class ImageTask:
    """One image of a batch. `source` is a PNG, and `source_prompt` describes its content, if that is known.

    `change` is `small`, `large` or empty. `region` is the part of the source that changes, as the corners of a polygon
    (see `bot.region`); empty for the whole image. If `embeds_metadata`, the prompt may be written into the metadata of
    the file. `sampling` leaves to the worker what it does not choose.
    """

    __pydantic_config__ = _BYTES

    id: str
    operation: Operation
    prompt: str
    source: bytes | None = None
    source_prompt: str = ""
    change: str = ""
    region: str = ""
    embeds_metadata: bool = True
    sampling: Sampling = field(default_factory=Sampling)

    @property
    def seed(self) -> int:
        """The number that starts the noise; 0 if `sampling` chooses none."""
        return self.sampling.seed or 0


@dataclass(frozen=True, slots=True)
class Batch:
    """Tasks that are rendered in one call. They differ only in prompts, seeds and source images."""

    tasks: list[ImageTask]
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Started:
    """The device has started the batch."""

    event: Literal["started"] = "started"


@dataclass(frozen=True, slots=True)
class StepDone:
    """One denoising step is done. `fraction` is the part of all steps that is done, 0 to 1."""

    fraction: float
    event: Literal["step"] = "step"


@dataclass(frozen=True, slots=True)
class Preview:
    """A preview of an unfinished image, as a small JPEG."""

    __pydantic_config__ = _BYTES

    task: str
    jpeg: bytes
    event: Literal["preview"] = "preview"


@dataclass(frozen=True, slots=True)
class ImageDone:
    """An image is done. `edit_method` is the edit method; `notes` are messages about unmet requests."""

    __pydantic_config__ = _BYTES

    task: str
    png: bytes
    width: int
    height: int
    model: str
    edit_method: UserText = ""
    notes: tuple[UserText, ...] = ()
    event: Literal["picture"] = "picture"


@dataclass(frozen=True, slots=True)
class ImageFailed:
    """An image failed, and another attempt would not help. `reason` is for users."""

    task: str
    reason: UserText
    event: Literal["failed"] = "failed"


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The worker is alive and has nothing new to report."""

    event: Literal["alive"] = "alive"


@dataclass(frozen=True, slots=True)
class End:
    """The batch has ended. A stream without this last line was cut off."""

    event: Literal["end"] = "end"


WorkerEvent = Started | StepDone | Preview | ImageDone | ImageFailed | Heartbeat | End


@dataclass(frozen=True, slots=True)
class Defaults:
    """Size in pixels and number of steps that a model uses if the task does not choose them."""

    width: int
    height: int
    num_inference_steps: int


FALLBACK_DEFAULTS = Defaults(1024, 1024, 30)  # assumed until a worker has reported the defaults of its model


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """State of a worker. Each of its `slots` takes one batch at a time; `free` counts the slots without a batch.

    A worker that loads its model has no slots; `trouble` is the reason if it never will have any. `model`, `revision`
    (a string that differs for different weights), `capabilities` and `defaults` describe its model and are unknown
    while it loads. `largest_batch` counts images of the default size.
    """

    slots: int = 0
    free: int = 0
    model: str = ""
    revision: str = ""
    trouble: UserText | None = None
    version: int = VERSION
    capabilities: ModelCapabilities | None = None
    defaults: Defaults | None = None
    largest_batch: int = 1


BATCH = TypeAdapter(Batch)
REPORT = TypeAdapter(WorkerReport)
EVENT: TypeAdapter[WorkerEvent] = TypeAdapter(Annotated[WorkerEvent, Field(discriminator="event")])
