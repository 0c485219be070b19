"""What the bot and a render worker say to each other: one JSON request, then one JSON event a line."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from bot.abilities import Abilities
from bot.domain import Operation

VERSION = 4
KEEP_ALIVE = 4.0  # seconds of silence after which the worker says that it lives
SILENCE = 15.0  # seconds of silence after which the bot takes it for dead

_BYTES = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")


@dataclass(frozen=True, slots=True)
class Task:
    """One picture of a batch. `source` is a PNG, and `before` tells what is to be seen in it, if that is known.

    `change` is `small`, `large` or empty, `ratio` is `WIDTH:HEIGHT` or empty. Of the source only
    the `part` within these corners changes, see `bot.part`; empty for all of it. `lora` is a file in the worker's
    folder of styles, applied with `lora_scale`. None, and an empty `model`, leave a choice to the worker.
    """

    __pydantic_config__ = _BYTES

    id: str
    operation: Operation
    prompt: str
    seed: int
    source: bytes | None = None
    width: int | None = None
    height: int | None = None
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    model: str = ""
    negative: str = ""
    telling: bool = True
    before: str = ""
    change: str = ""
    ratio: str = ""
    part: str = ""
    lora: str = ""
    lora_scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Batch:
    """What is rendered in one go: tasks that differ in nothing but their words, seeds and source pictures."""

    tasks: list[Task]
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Started:
    """The batch is on the device."""

    event: Literal["started"] = "started"


@dataclass(frozen=True, slots=True)
class Step:
    """One denoising step is done; `fraction` of all steps, 0 to 1."""

    fraction: float
    event: Literal["step"] = "step"


@dataclass(frozen=True, slots=True)
class Preview:
    """How a picture looks so far, as a small JPEG."""

    __pydantic_config__ = _BYTES

    task: str
    jpeg: bytes
    event: Literal["preview"] = "preview"


@dataclass(frozen=True, slots=True)
class Made:
    """A picture is done. `way` tells in a few words how it was made; `notes` are sentences about what was given up."""

    __pydantic_config__ = _BYTES

    task: str
    png: bytes
    width: int
    height: int
    model: str
    way: str = ""
    notes: tuple[str, ...] = ()
    event: Literal["picture"] = "picture"


@dataclass(frozen=True, slots=True)
class Spoilt:
    """A picture will not come, and trying again would not help."""

    task: str
    reason: str
    event: Literal["failed"] = "failed"


@dataclass(frozen=True, slots=True)
class Alive:
    """Nothing new."""

    event: Literal["alive"] = "alive"


@dataclass(frozen=True, slots=True)
class End:
    """The batch is over; a stream without this line was cut."""

    event: Literal["end"] = "end"


WorkerEvent = Started | Step | Preview | Made | Spoilt | Alive | End


@dataclass(frozen=True, slots=True)
class Usual:
    """What a model paints when it is left the choice. Sizes in pixels."""

    width: int
    height: int
    num_inference_steps: int


@dataclass(frozen=True, slots=True)
class Slots:
    """What the worker can take: each of its `slots` one batch at a time; `free` are those without one now.

    There are no slots while it loads; `trouble` says why there never will be. `model`, `revision` (whatever tells two
    sets of weights apart), `abilities` and `usual` are those of its model, unknown while it loads. `largest_batch`
    counts pictures of the usual size.
    """

    slots: int = 0
    free: int = 0
    model: str = ""
    revision: str = ""
    trouble: str | None = None
    version: int = VERSION
    abilities: Abilities | None = None
    usual: Usual | None = None
    largest_batch: int = 1


BATCH = TypeAdapter(Batch)
SLOTS = TypeAdapter(Slots)
EVENT: TypeAdapter[WorkerEvent] = TypeAdapter(Annotated[WorkerEvent, Field(discriminator="event")])
