"""One batch on its way through a pipeline: what goes together, and what is told of it. Knows no torch."""

import logging
import time
from collections.abc import Iterable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from itertools import groupby
from threading import Event

from PIL import Image

from bot.domain import Operation
from render.pictures import decode, encode, preview
from render.studio import Cancelled, Tell, sentence
from render.wire import Made, Preview, Spoilt, Step, Task

log = logging.getLogger(__name__)

PREVIEW_EVERY = 0.2  # seconds between two previews, of whichever pictures
LONGEST_PROMPT_TOLD = 1000  # characters in a picture's metadata


@dataclass(frozen=True, slots=True)
class Wish:
    """A task, and the picture from which it starts, if it starts from one."""

    task: Task
    source: Image.Image | None = None

    @property
    def starts(self) -> tuple[Operation | None, tuple[int, int] | None]:
        """How it starts, of which all in one call must be alike; also the size of the picture."""
        return (self.task.operation, self.source.size) if self.source else (None, None)


def wish(task: Task) -> Wish:
    """Look at the source picture. Raises ValueError if it cannot be read."""
    from_source = task.operation in (Operation.EDIT, Operation.REFINE) or not task.prompt
    if task.source is None or not from_source:
        return Wish(task)
    try:
        return Wish(task, decode(task.source))
    except Exception as error:  # Pillow raises all sorts of things
        raise ValueError("the picture to start from cannot be read.") from error


def alike(wishes: Iterable[Wish], any_start: bool) -> list[list[Wish]]:
    """Wishes that one call can fulfil. `any_start`: the pipeline takes them with and without a source together."""

    def shape(wish: Wish) -> str:
        task, starts = wish.task, None if any_start else wish.starts
        return repr((starts, task.width, task.height, task.num_inference_steps, task.guidance_scale))

    return [list(group) for _, group in groupby(sorted(wishes, key=shape), key=shape)]


@dataclass
class Sitting:
    """Tells of `total` pictures, of which `done` need nothing more of the pipeline; files are made by `executor`."""

    total: int
    model: str
    tell: Tell
    cancelled: Event
    executor: Executor
    done: int = 0
    _fraction: float = 0.0
    _shown: float = field(default_factory=lambda: time.monotonic() - PREVIEW_EVERY)
    _turn: int = 0
    _files: list[tuple[Task, "Future[None]"]] = field(default_factory=list)

    def go_on(self) -> None:
        """Raises Cancelled when nobody waits any more."""
        if self.cancelled.is_set():
            raise Cancelled

    def step(self, pictures: int, fraction: float) -> None:
        """So much of a call that makes so many pictures is done. A call that is made again is not told twice."""
        fraction = (self.done + pictures * min(1.0, fraction)) / self.total
        if fraction > self._fraction:
            self._fraction = fraction
            self.tell(Step(fraction))

    def previews(self, count: int) -> list[int]:
        """Which of so many pictures may be shown now, so that all have their turn and no more are shown than may."""
        now = time.monotonic()
        allowed = min(count, int((now - self._shown) / PREVIEW_EVERY))
        if allowed:
            self._shown = now
        chosen = [(self._turn + i) % count for i in range(allowed)]
        self._turn += allowed
        return chosen

    def show(self, task: Task, image: Image.Image) -> None:
        """How it looks so far."""
        self.tell(Preview(task.id, preview(image)))

    def made(self, tasks: list[Task], images: list[Image.Image]) -> None:
        """These are done; the next call need not wait until their files are."""
        self.step(len(tasks), 1.0)
        self.done += len(tasks)
        for task, image in zip(tasks, images, strict=True):
            self._files.append((task, self.executor.submit(self._file, task, image)))

    def spoilt(self, task: Task, error: Exception) -> None:
        """This one will not come."""
        self.done += 1
        self.tell(Spoilt(task.id, sentence(error)))

    def finish(self) -> None:
        """Wait for the files."""
        for task, file in self._files:
            if error := file.exception():
                log.error("a picture could not be made a file", exc_info=error)
                self.tell(Spoilt(task.id, sentence(error if isinstance(error, Exception) else Exception())))

    def _file(self, task: Task, image: Image.Image) -> None:
        told = {"Software": self.model, "Comment": "Made by a machine: a diffusion model drew this picture."}
        if task.telling:
            told |= {"parameters": task.prompt[:LONGEST_PROMPT_TOLD], "Seed": str(task.seed)}
        self.tell(Made(task.id, encode(image, told), image.width, image.height, self.model))
