"""Plans the images of a batch, groups them into pipeline calls, and reports progress. Does not import torch."""

import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass, replace
from itertools import groupby
from threading import Event

from PIL import Image

from bot.capabilities import LARGEST_SIDE
from bot.domain import Operation
from render.image_model import Cancelled, Tell, sentence
from render.models.edit_plan import Means, Plan, Way, fitted, plan, rounded
from render.models.edit_plan import size as size_of
from render.models.image_files import decode, encode, marked, only_there, preview
from render.protocol import Made, Preview, Spoilt, Step, Task

log = logging.getLogger(__name__)

STEP_EVERY = 0.2  # seconds between two reported steps: the display is not updated more often
PREVIEW_EVERY = 0.2  # seconds between two previews, counted over all images of the batch
SOON = 0.5  # seconds: with less time left, no preview is sent
LONGEST_PROMPT_TOLD = 1000  # characters of the prompt in an image's metadata
SHORTENED = "The prompt is longer than what the model reads, which ends with"
TOO_LONG = "The prompt is longer than what the model reads."
LAST_READ = 40  # characters of the prompt that the note quotes
AS_LARGE_AS_CAN_BE = "It is as large as pictures become here."
NO_PARTS = "This model cannot change a part of a picture: it drew all of it anew."
MADE_BY_A_MODEL = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"  # IPTC digital source type


@dataclass(frozen=True, slots=True)
class Easel:
    """Limits of an image model: its edit methods, its native size, and the divisor of its widths and heights.

    Sizes are in pixels. `has_fixed_size`: the model has only its native size. `edits_one_at_a_time`: a call by
    instruction takes the source images of one planned image only. `truncate_prompt` returns the beginning of a prompt
    that the text encoder reads.
    """

    means: Means
    native: tuple[int, int]
    multiple: int = 16
    fixed: bool = False
    alone: bool = False
    reads: Callable[[str], str] = str


@dataclass(frozen=True, slots=True)
class Wish:
    """A task with its edit plan, its size in pixels, its source image if it has one, and notes for the user."""

    task: Task
    plan: Plan
    size: tuple[int, int] | None = None
    source: Image.Image | None = None
    notes: tuple[str, ...] = ()
    mask: Image.Image | None = None  # white where the source image changes


def wish(task: Task, easel: Easel) -> Wish:
    """Decode the source image and choose the edit plan. Raises ValueError if the source image cannot be read."""
    chosen = plan(task, easel.means)
    settled = _within(task.part, _settled(task, chosen, easel)) if task.part else _settled(task, chosen, easel)
    read = easel.reads(settled.plan.prompt)
    if len(read) == len(settled.plan.prompt):
        return settled
    note = f"{SHORTENED} “…{read[-LAST_READ:].strip()}”." if task.telling else TOO_LONG  # notes go into the file, too
    return replace(settled, notes=(*settled.notes, note))


def _within(part: str, wish: Wish) -> Wish:
    """Add the mask of the region; a note says so if the edit method cannot use a mask."""
    if wish.source is None or wish.plan.way in (Way.CANVAS, Way.REFERENCE):
        return replace(wish, notes=(*wish.notes, NO_PARTS))
    place = marked(part, wish.source.size)
    share = sum(place.histogram()[128:]) / (place.width * place.height)
    return replace(wish, mask=place, plan=replace(wish.plan, share=share))


def finished(wish: Wish, image: Image.Image) -> Image.Image:
    """The image with the source's own pixels outside of the mask; unchanged if there is no mask."""
    return only_there(wish.source, image, wish.mask) if wish.mask and wish.source else image


def _settled(task: Task, chosen: Plan, easel: Easel) -> Wish:
    if task.source is None or chosen.way in (Way.WORDS, Way.CANVAS):
        size, notes = _plain_size(task, easel)
        blank = Image.new("RGB", size, "white") if chosen.way is Way.CANVAS else None
        return Wish(task, chosen, None if easel.fixed and not task.width else size, blank, notes)
    try:
        source = decode(task.source)
    except Exception as error:  # Pillow raises many types of exceptions
        raise ValueError("the picture to start from cannot be read.") from error
    if chosen.way is Way.RESIZE:
        return _resampled(task, chosen.larger, source)
    if easel.fixed:
        return Wish(task, chosen, None, source)
    most = easel.native[0] * easel.native[1] * chosen.larger**2
    enlarged = (round(source.width * chosen.larger), round(source.height * chosen.larger))
    size = fitted(enlarged, round(most), easel.multiple)
    fits = size[0] * size[1] > 0.9 * enlarged[0] * enlarged[1]
    if task.operation is Operation.UPSCALE and not fits:  # an upscale must reach its size
        return _resampled(task, chosen.larger, source)
    notes = () if fits else (smaller(enlarged, size),)
    return Wish(task, chosen, size, source.resize(size, Image.Resampling.LANCZOS), notes)


def _resampled(task: Task, larger: float, source: Image.Image) -> Wish:
    within = max(1.0, min(larger, LARGEST_SIDE / max(source.size)))
    notes = () if within == larger else (AS_LARGE_AS_CAN_BE,)
    size = (round(source.width * within), round(source.height * within))
    return Wish(task, Plan(Way.RESIZE, "", None, within), size, source, notes)


def smaller(asked: tuple[int, int], size: tuple[int, int]) -> str:
    """The note for an image that is smaller than requested. Sizes in pixels."""
    return f"It has {size[0]} x {size[1]} pixels, not {asked[0]} x {asked[1]}: the model paints no more."


def _plain_size(task: Task, easel: Easel) -> tuple[tuple[int, int], tuple[str, ...]]:
    if not (task.width and task.height):
        return size_of(easel.native, task.ratio, easel.multiple), ()
    asked = (task.width, task.height)
    if easel.fixed:
        return asked, ()
    size = rounded(asked, easel.multiple)
    note = (
        f"The model paints sizes divisible by {easel.multiple}: {asked[0]} x {asked[1]} became {size[0]} x {size[1]}."
    )
    return size, (note,) if size != asked else ()


def alike(wishes: Iterable[Wish], easel: Easel) -> list[list[Wish]]:
    """Group the planned images that one pipeline call can render together."""

    def shape(wish: Wish) -> str:
        task, way = wish.task, wish.plan.way
        how = None if easel.means.described else (way, wish.plan.strength)  # one call takes all methods
        lone = task.id if way is Way.REFERENCE or (way is Way.LOOK and easel.alone) else ""
        style = (task.lora, task.lora_scale) if task.lora else ""
        resized = way is Way.RESIZE
        return repr((how, wish.size, task.num_inference_steps, task.guidance_scale, style, lone, resized))

    return [list(group) for _, group in groupby(sorted(wishes, key=shape), key=shape)]


class Sitting:
    """Reports the progress of a batch of `total` images, of which `done` have left the pipeline.

    `executor` encodes the files and previews.
    """

    def __init__(
        self,
        total: int,
        model: str,
        tell: Tell,
        cancelled: Event,
        executor: Executor,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` returns seconds and is monotonic."""
        self.total = total
        self.model = model
        self.tell = tell
        self.cancelled = cancelled
        self.executor = executor
        self.done = 0
        self._clock = clock
        self._began = clock()
        self._fraction = 0.0
        self._stepped = self._began
        self._shown = self._began - PREVIEW_EVERY
        self._turn = 0
        self._files: list[tuple[Task, Future[None]]] = []
        self._shows: list[Future[None]] = []

    def go_on(self) -> None:
        """Raises Cancelled if the batch was cancelled."""
        if self.cancelled.is_set():
            raise Cancelled

    def step(self, pictures: int, fraction: float) -> None:
        """Report the progress of one pipeline call that renders `count` images; `fraction` is 0 to 1.

        Progress never goes back: a repeated call reports nothing until it is further than the first one was.
        """
        fraction, now = (self.done + pictures * min(1.0, fraction)) / self.total, self._clock()
        if fraction <= self._fraction:
            return
        self._fraction = fraction
        if fraction >= 1 or now >= self._stepped + STEP_EVERY:
            self._stepped = now
            self.tell(Step(fraction))

    def previews(self, count: int) -> list[int]:
        """The rows of a call with `count` images to preview now: every row gets its turn, and the rate is limited."""
        now = self._clock()
        if (now - self._began) * (1 - self._fraction) < SOON * self._fraction:
            return []
        allowed = min(count, int((now - self._shown) / PREVIEW_EVERY))
        if allowed:
            self._shown = now
        chosen = [(self._turn + i) % count for i in range(allowed)]
        self._turn += allowed
        return chosen

    def show(self, task: Task, image: Image.Image) -> None:
        """Send a preview. The executor encodes the JPEG, so that the pipeline does not wait."""
        self._shows.append(self.executor.submit(lambda: self.tell(Preview(task.id, preview(image)))))

    def made(self, wishes: list[Wish], images: list[Image.Image]) -> None:
        """Record finished images. The executor encodes their files, so that the next call does not wait."""
        self.step(len(wishes), 1.0)
        self.done += len(wishes)
        for wish, image in zip(wishes, images, strict=True):
            self._files.append((wish.task, self.executor.submit(self._file, wish, image)))

    def spoilt(self, task: Task, error: Exception) -> None:
        """Report that the image of a task failed."""
        self.done += 1
        self.tell(Spoilt(task.id, sentence(error)))

    def finish(self) -> None:
        """Wait until all previews and files are encoded; report a file that failed."""
        wait(self._shows)
        for task, file in self._files:
            if error := file.exception():
                log.error("an image could not be encoded", exc_info=error)
                self.tell(Spoilt(task.id, sentence(error if isinstance(error, Exception) else Exception())))

    def _file(self, wish: Wish, image: Image.Image) -> None:
        task, way = wish.task, str(wish.plan)
        told = described(task, self.model, way, wish.notes)
        self.tell(Made(task.id, encode(image, told), image.width, image.height, self.model, way, wish.notes))


def described(task: Task, model: str, way: str, notes: tuple[str, ...]) -> dict[str, str]:
    """Metadata of an image file, under keys that other programs read; prompt and seed only if the task allows it."""
    told = {"Software": model, "Comment": "Made by a machine: a diffusion model drew this picture.", "Way": way}
    told["DigitalSourceType"] = MADE_BY_A_MODEL
    if notes:
        told["Notes"] = "\n".join(notes)
    if not task.telling:
        return told
    words = task.prompt or task.before
    return told | {
        "Description": words[:LONGEST_PROMPT_TOLD],
        "parameters": _parameters(task, model, words),
        "Seed": str(task.seed),
    }


def _parameters(task: Task, model: str, words: str) -> str:
    """The text that image browsers expect: the prompt, the negative prompt, and one line of settings."""
    lines = [words[:LONGEST_PROMPT_TOLD]]
    if task.negative:
        lines.append(f"Negative prompt: {task.negative[:LONGEST_PROMPT_TOLD]}")
    settings = {"Steps": task.num_inference_steps, "CFG scale": task.guidance_scale, "Seed": task.seed, "Model": model}
    lines.append(", ".join(f"{name}: {value}" for name, value in settings.items() if value is not None))
    return "\n".join(lines)
