"""Plans the images of a batch, groups them into pipeline calls, and reports progress. Does not import torch."""

import json
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
from bot.notices import Notice, UserText, notice, stored
from render.image_model import Cancelled, EventCallback, ModelRefusal, describe_error
from render.models.edit_plan import EditMethod, EditPlan, SupportedMethods, choose_plan, fit_size, round_size
from render.models.edit_plan import size_for_ratio as size_of
from render.models.image_files import composite_by_mask, decode_png, encode_png, encode_preview, region_mask
from render.protocol import ImageDone, ImageFailed, ImageTask, Preview, StepDone

log = logging.getLogger(__name__)

STEP_INTERVAL = 0.2  # seconds between two reported steps: the display is not updated more often
PREVIEW_INTERVAL = 0.2  # seconds between two previews, counted over all images of the batch
MIN_TIME_LEFT = 0.5  # seconds: with less time left, no preview is sent
MAX_METADATA_PROMPT = 1000  # characters of the prompt in an image's metadata
PROMPT_TOO_LONG = notice("note-prompt-too-long")
EXCERPT_LENGTH = 40  # characters of the prompt that the note quotes
AT_MAX_SIZE = notice("note-largest")
NO_REGIONS = notice("note-no-regions")
IPTC_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"  # IPTC digital source type


@dataclass(frozen=True, slots=True)
class ModelLimits:
    """Limits of an image model: its edit methods, its native size, and the divisor of its widths and heights.

    Sizes are in pixels. `has_fixed_size`: the model has only its native size. `edits_one_at_a_time`: a call by
    instruction takes the source images of one planned image only. `truncate_prompt` returns the beginning of a prompt
    that the text encoder reads.
    """

    methods: SupportedMethods
    native_size: tuple[int, int]
    multiple: int = 16
    has_fixed_size: bool = False
    edits_one_at_a_time: bool = False
    truncate_prompt: Callable[[str], str] = str


@dataclass(frozen=True, slots=True)
class PlannedImage:
    """A task with its edit plan, its size in pixels, its source image if it has one, and notes for the user."""

    task: ImageTask
    plan: EditPlan
    size: tuple[int, int] | None = None
    source: Image.Image | None = None
    notes: tuple[UserText, ...] = ()
    mask: Image.Image | None = None  # white where the source image changes


def plan_image(task: ImageTask, limits: ModelLimits) -> PlannedImage:
    """Decode the source image and choose the edit plan. Raises ValueError if the source image cannot be read."""
    chosen = choose_plan(task, limits.methods)
    planned = (
        _limit_to_region(task.region, _prepare_image(task, chosen, limits))
        if task.region
        else _prepare_image(task, chosen, limits)
    )
    excerpt = limits.truncate_prompt(planned.plan.prompt)
    if len(excerpt) == len(planned.plan.prompt):
        return planned
    end = excerpt[-EXCERPT_LENGTH:].strip()
    note = (
        notice("note-prompt-shortened", end=end) if task.embeds_metadata else PROMPT_TOO_LONG
    )  # notes go into the file, too
    return replace(planned, notes=(*planned.notes, note))


def _limit_to_region(region: str, planned: PlannedImage) -> PlannedImage:
    """Add the mask of the region; a note says so if the edit method cannot use a mask."""
    if planned.source is None or planned.plan.method in (EditMethod.BLANK_CANVAS, EditMethod.IMAGE_PROMPT):
        return replace(planned, notes=(*planned.notes, NO_REGIONS))
    mask = region_mask(region, planned.source.size)
    share = sum(mask.histogram()[128:]) / (mask.width * mask.height)
    return replace(planned, mask=mask, plan=replace(planned.plan, changed_share=share))


def restore_outside_mask(planned: PlannedImage, image: Image.Image) -> Image.Image:
    """The image with the source's own pixels outside of the mask; unchanged if there is no mask."""
    return composite_by_mask(planned.source, image, planned.mask) if planned.mask and planned.source else image


def _prepare_image(task: ImageTask, chosen: EditPlan, limits: ModelLimits) -> PlannedImage:
    if task.source is None or chosen.method in (EditMethod.TEXT_TO_IMAGE, EditMethod.BLANK_CANVAS):
        size, notes = _new_image_size(task, limits)
        blank = Image.new("RGB", size, "white") if chosen.method is EditMethod.BLANK_CANVAS else None
        return PlannedImage(
            task, chosen, None if limits.has_fixed_size and not task.sampling.size else size, blank, notes
        )
    try:
        source = decode_png(task.source)
    except Exception as error:  # Pillow raises many types of exceptions
        raise ModelRefusal(notice("source-unreadable")) from error
    if chosen.method is EditMethod.RESIZE:
        return _prepare_resize(task, chosen.scale, source)
    if limits.has_fixed_size:
        return PlannedImage(task, chosen, None, source)
    most = limits.native_size[0] * limits.native_size[1] * chosen.scale**2
    enlarged = (round(source.width * chosen.scale), round(source.height * chosen.scale))
    size = fit_size(enlarged, round(most), limits.multiple)
    fits = size[0] * size[1] > 0.9 * enlarged[0] * enlarged[1]
    if task.operation is Operation.UPSCALE and not fits:  # an upscale must reach its size
        return _prepare_resize(task, chosen.scale, source)
    notes = () if fits else (smaller_size_note(enlarged, size),)
    return PlannedImage(task, chosen, size, source.resize(size, Image.Resampling.LANCZOS), notes)


def _prepare_resize(task: ImageTask, scale: float, source: Image.Image) -> PlannedImage:
    within = max(1.0, min(scale, LARGEST_SIDE / max(source.size)))
    notes = () if within == scale else (AT_MAX_SIZE,)
    size = (round(source.width * within), round(source.height * within))
    return PlannedImage(task, EditPlan(EditMethod.RESIZE, "", None, within), size, source, notes)


def smaller_size_note(requested: tuple[int, int], size: tuple[int, int]) -> Notice:
    """The note for an image that is smaller than requested. Sizes in pixels."""
    return size_note("note-smaller", requested, size)


def size_note(id_: str, requested: tuple[int, int], size: tuple[int, int]) -> Notice:
    """A note about an image with another size than the requested one. Sizes in pixels."""
    (width, height), (wanted_width, wanted_height) = size, requested
    return notice(id_, width=width, height=height, wanted_width=wanted_width, wanted_height=wanted_height)


def _new_image_size(task: ImageTask, limits: ModelLimits) -> tuple[tuple[int, int], tuple[UserText, ...]]:
    requested = task.sampling.size
    if requested is None:
        return size_of(limits.native_size, task.sampling.aspect_ratio, limits.multiple), ()
    if limits.has_fixed_size:
        return requested, ()
    size = round_size(requested, limits.multiple)
    note = size_note("note-rounded", requested, size)
    return size, (note,) if size != requested else ()


def group_by_call(planned: Iterable[PlannedImage], limits: ModelLimits) -> list[list[PlannedImage]]:
    """Group the planned images that one pipeline call can render together."""

    def shape(image: PlannedImage) -> str:
        task, method = image.task, image.plan.method
        takes_all_methods = limits.methods.needs_full_description
        how = None if takes_all_methods else (method, image.plan.strength)
        lone = (
            task.id
            if method is EditMethod.IMAGE_PROMPT or (method is EditMethod.INSTRUCTION and limits.edits_one_at_a_time)
            else ""
        )
        resized = method is EditMethod.RESIZE
        return repr((how, image.size, task.sampling.shared_options, lone, resized))

    return [list(group) for _, group in groupby(sorted(planned, key=shape), key=shape)]


class BatchProgress:
    """Reports the progress of a batch of `total` images, of which `done` have left the pipeline.

    `executor` encodes the files and previews.
    """

    def __init__(
        self,
        total: int,
        model: str,
        on_event: EventCallback,
        cancelled: Event,
        executor: Executor,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` returns seconds and is monotonic."""
        self.total = total
        self.model = model
        self.on_event = on_event
        self.cancelled = cancelled
        self.executor = executor
        self.done = 0
        self._clock = clock
        self._started_at = clock()
        self._fraction = 0.0
        self._last_step_at = self._started_at
        self._last_preview_at = self._started_at - PREVIEW_INTERVAL
        self._next_row = 0
        self._file_futures: list[tuple[ImageTask, Future[None]]] = []
        self._preview_futures: list[Future[None]] = []

    def raise_if_cancelled(self) -> None:
        """Raises Cancelled if the batch was cancelled."""
        if self.cancelled.is_set():
            raise Cancelled

    def report_step(self, count: int, fraction: float) -> None:
        """Report the progress of one pipeline call that renders `count` images; `fraction` is 0 to 1.

        Progress never goes back: a repeated call reports nothing until it is further than the first one was.
        """
        fraction, now = (self.done + count * min(1.0, fraction)) / self.total, self._clock()
        if fraction <= self._fraction:
            return
        self._fraction = fraction
        if fraction >= 1 or now >= self._last_step_at + STEP_INTERVAL:
            self._last_step_at = now
            self.on_event(StepDone(fraction))

    def select_preview_rows(self, count: int) -> list[int]:
        """The rows of a call with `count` images to preview now: every row gets its turn, and the rate is limited."""
        now = self._clock()
        if (now - self._started_at) * (1 - self._fraction) < MIN_TIME_LEFT * self._fraction:
            return []
        allowed = min(count, int((now - self._last_preview_at) / PREVIEW_INTERVAL))
        if allowed:
            self._last_preview_at = now
        chosen = [(self._next_row + i) % count for i in range(allowed)]
        self._next_row += allowed
        return chosen

    def send_preview(self, task: ImageTask, image: Image.Image) -> None:
        """Send a preview. The executor encodes the JPEG, so that the pipeline does not wait."""
        self._preview_futures.append(
            self.executor.submit(lambda: self.on_event(Preview(task.id, encode_preview(image))))
        )

    def finish_images(self, planned: list[PlannedImage], images: list[Image.Image]) -> None:
        """Record finished images. The executor encodes their files, so that the next call does not wait."""
        self.report_step(len(planned), 1.0)
        self.done += len(planned)
        for each, image in zip(planned, images, strict=True):
            self._file_futures.append((each.task, self.executor.submit(self._encode_file, each, image)))

    def report_failure(self, task: ImageTask, error: Exception) -> None:
        """Report that the image of a task failed."""
        self.done += 1
        self.on_event(ImageFailed(task.id, describe_error(error)))

    def wait_for_files(self) -> None:
        """Wait until all previews and files are encoded; report a file that failed."""
        wait(self._preview_futures)
        for task, file in self._file_futures:
            if error := file.exception():
                log.error("an image could not be encoded", exc_info=error)
                self.on_event(
                    ImageFailed(task.id, describe_error(error if isinstance(error, Exception) else Exception()))
                )

    def _encode_file(self, planned: PlannedImage, image: Image.Image) -> None:
        task, method = planned.task, planned.plan.description
        metadata = image_metadata(task, self.model, method, planned.notes)
        self.on_event(
            ImageDone(
                task.id, encode_png(image, metadata), image.width, image.height, self.model, method, planned.notes
            )
        )


def image_metadata(task: ImageTask, model: str, method: Notice, notes: tuple[UserText, ...]) -> dict[str, str]:
    """Metadata of an image file, under keys that other programs read; prompt and seed only if the task allows it."""
    metadata = {
        "Software": model,
        "Comment": "Made by a machine: a diffusion model drew this picture.",
        "Way": str(method),
    }
    metadata["DigitalSourceType"] = IPTC_SOURCE_TYPE
    metadata["Notices"] = json.dumps([stored(method), *map(stored, notes)])  # Way and Notes by id, for the result cache
    if notes:
        metadata["Notes"] = "\n".join(map(str, notes))
    if not task.embeds_metadata:
        return metadata
    words = task.prompt or task.source_prompt
    return metadata | {
        "Description": words[:MAX_METADATA_PROMPT],
        "parameters": _parameters_text(task, model, words),
        "Seed": str(task.seed),
    }


def _parameters_text(task: ImageTask, model: str, prompt: str) -> str:
    """The text that image browsers expect: the prompt, the negative prompt, and one line of settings."""
    lines = [prompt[:MAX_METADATA_PROMPT]]
    if task.sampling.negative_prompt:
        lines.append(f"Negative prompt: {task.sampling.negative_prompt[:MAX_METADATA_PROMPT]}")
    settings = {
        "Steps": task.sampling.num_inference_steps,
        "CFG scale": task.sampling.guidance_scale,
        "Seed": task.seed,
        "Model": model,
    }
    lines.append(", ".join(f"{name}: {value}" for name, value in settings.items() if value is not None))
    return "\n".join(lines)
