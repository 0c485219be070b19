"""An engine for the render queue that renders with an OpenAI-compatible images API instead of a worker."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import replace

import httpx2
import openai
from PIL import Image, ImageChops

from bot.domain import Operation
from bot.errors import Refused
from bot.notices import UserText, notice
from render.image_model import describe_error
from render.images_api.api_errors import (
    EditsUnsupported,
    ErrorKind,
    KeyRefused,
    PermanentError,
    RetryLater,
    ServerLost,
    UnsupportedParameters,
    classify_error,
    read_error,
)
from render.images_api.client import ImagesClient, NoImageError, StreamCut
from render.images_api.health import ServerHealth
from render.images_api.request import (
    PARTIAL_IMAGES,
    closest_size,
    fixed_sizes,
    model_capabilities,
    request_body,
    size_mismatch_note,
    unsupported_parameters,
)
from render.models.batch import ModelLimits, PlannedImage, image_metadata, plan_image, restore_outside_mask
from render.models.edit_plan import EditMethod, SupportedMethods, is_local
from render.models.image_files import encode_png, encode_preview, open_untrusted
from render.protocol import (
    FALLBACK_DEFAULTS,
    Batch,
    ImageDone,
    ImageFailed,
    ImageTask,
    Preview,
    Started,
    StepDone,
    WorkerEvent,
    WorkerReport,
)
from render.worker.client import EngineLost

log = logging.getLogger(__name__)

IMAGE_TIMEOUT = 900.0  # seconds for an image, with all its requests
RETRY_PAUSES = (
    1.0,
    4.0,
    15.0,
)  # seconds before a retry, if a busy server names no time; their number limits the retries
MAX_RETRY_PAUSE = 60.0  # seconds that a server may ask for; a longer pause fails the image
NATIVE_SIZE = (FALLBACK_DEFAULTS.width, FALLBACK_DEFAULTS.height)

REDRAWN_NOTE = notice("note-drawn-from-words")
NO_LORA_NOTE = notice("note-no-lora")
UNKNOWN_SOURCE = notice("images-api-unseen")


class ImagesApiEngine:
    """A model of an images API. Every image is its own request; at most `max_concurrent` tasks run at the same time."""

    def __init__(self, model: str, base_url: str | None, api_key: str | None, *, max_concurrent: int = 4) -> None:
        """Without `base_url` the server is OpenAI's."""
        self._client = ImagesClient(base_url, api_key)
        self.health = ServerHealth(self._client)
        self.name = f"{model} at {self._client.server}"
        self._model = model
        self._max_concurrent = max_concurrent
        self._semaphore = asyncio.Semaphore(max_concurrent)
        self._running_batches = 0  # batches
        self._allowed_sizes = fixed_sizes(model)
        self._can_edit = True
        self._omitted_parameters = dict.fromkeys(
            (False, True), unsupported_parameters(model)
        )  # not sent; by whether the request is an edit

    async def slots(self) -> WorkerReport:
        """The slots of the server and how many are free; none while the server is unavailable."""
        there = self._max_concurrent if await self.health.is_available() else 0
        return WorkerReport(
            there,
            max(0, there - self._running_batches),
            model=self._model,
            trouble=self.health.error,
            capabilities=model_capabilities(self._model, self._can_edit),
            defaults=FALLBACK_DEFAULTS,
        )

    async def run(self, batch: Batch) -> AsyncGenerator[WorkerEvent]:
        """Render the batch, at most once: every task ends as `ImageDone` or `ImageFailed`.

        Closing the generator cancels the batch. Raises EngineLost, after all tasks that could be rendered.
        """
        sheet = _BatchEvents(len(batch.tasks))
        self._running_batches += 1
        calls = [asyncio.create_task(self._run_task(task, sheet)) for task in batch.tasks]
        for call in calls:
            call.add_done_callback(lambda _: sheet.queue.put_nowait(None))
        try:
            yield Started()
            left = len(calls)
            while left:
                event = await sheet.queue.get()
                left -= event is None
                if event is not None:
                    yield event
        finally:
            for call in calls:
                call.cancel()
            if calls:
                await asyncio.wait(calls)
            self._running_batches -= 1
        faults = [fault for call in calls if (fault := call.exception())]
        if faults:  # raise a bug rather than EngineLost
            raise min(faults, key=lambda fault: (isinstance(fault, EngineLost), not getattr(fault, "started", False)))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    # One image

    async def _run_task(self, task: ImageTask, events: "_BatchEvents") -> None:
        """Run one task and queue the event that ends it. Raises EngineLost."""
        end: ImageDone | ImageFailed
        try:
            async with self._semaphore, asyncio.timeout(IMAGE_TIMEOUT):
                end = await self._render_task(task, events)
        except TimeoutError as error:
            raise EngineLost(started=True) from error
        except (_CannotRender, ValueError) as error:
            end = ImageFailed(task.id, error.notice if isinstance(error, _CannotRender) else describe_error(error))
        else:
            events.report_step(task, 1.0)  # even without any preview, so that the duration is known
        events.queue.put_nowait(end)

    async def _render_task(self, task: ImageTask, events: "_BatchEvents") -> ImageDone:
        """Render one task; as a new image if the server cannot edit. Raises _CannotRender, EngineLost, ValueError."""
        wished = await self._plan_image(task)
        try:
            image = await self._create_image(wished, events)
        except _CannotEdit:
            wished = _with_full_description(await self._plan_image(task))
            image = await self._create_image(wished, events)
        notes = wished.notes + _result_notes(wished, image)
        metadata = image_metadata(task, self._model, wished.plan.description, notes)
        png = await asyncio.to_thread(encode_png, image, metadata)
        return ImageDone(task.id, png, image.width, image.height, self._model, wished.plan.description, notes)

    async def _plan_image(self, task: ImageTask) -> PlannedImage:
        limits = ModelLimits(SupportedMethods(text_to_image=True, instruction=self._can_edit), NATIVE_SIZE)
        return await asyncio.to_thread(plan_image, task, limits)

    async def _create_image(self, planned: PlannedImage, events: "_BatchEvents") -> Image.Image:
        plan, source = planned.plan, planned.source
        if source and plan.method is EditMethod.RESIZE:
            return await asyncio.to_thread(source.resize, planned.size or source.size, Image.Resampling.LANCZOS)
        if not plan.prompt:
            raise _CannotRender(UNKNOWN_SOURCE)
        data = await self._request_image(planned, await asyncio.to_thread(_upload_files, planned), events)
        try:
            image = await asyncio.to_thread(open_untrusted, data)
        except Refused as refused:
            raise _CannotRender(notice("images-api-unusable", reason=refused.notice)) from refused
        if planned.mask and source:  # the source's pixels stay outside of the mask, so the image has the source's size
            image = await asyncio.to_thread(image.resize, source.size, Image.Resampling.LANCZOS)
        return await asyncio.to_thread(restore_outside_mask, planned, image)

    async def _request_image(self, planned: PlannedImage, files: dict[str, bytes], events: "_BatchEvents") -> bytes:
        """Request the file of an image. Parameters that the server refuses are omitted, and remembered if that helps.

        Raises _CannotEdit, _CannotRender, EngineLost.
        """
        edits, task, pauses = bool(files), planned.task, iter(RETRY_PAUSES)
        without, among, told_sizes = self._omitted_parameters[edits], self._allowed_sizes, False
        while True:
            size = closest_size(planned.size or NATIVE_SIZE, among)
            body = request_body(task, self._model, planned.plan.prompt, size, without)
            sent = {name: png for name, png in files.items() if name not in without}
            try:
                data = await self._client.request_image(
                    body, sent, lambda number, file: events.send_preview(task, number, file)
                )
            except (NoImageError, StreamCut, openai.OpenAIError, httpx2.HTTPError) as error:
                refused = self._classify_error(error, body | sent, edits)
            else:
                self._omitted_parameters[edits] |= without
                self._allowed_sizes = among
                self.health.mark_success()
                return data
            match refused:
                case UnsupportedParameters(names, named):
                    if named and not told_sizes:
                        among, told_sizes = named, True
                    else:
                        without |= names
                case RetryLater(seconds):
                    pause = next(pauses, None)
                    if pause is None or (seconds or 0) > MAX_RETRY_PAUSE:
                        raise _CannotRender(notice("images-api-overloaded"))
                    await asyncio.sleep(pause if seconds is None else seconds)
                case EditsUnsupported():
                    self._can_edit = False
                    raise _CannotEdit
                case KeyRefused(reason):
                    self.health.mark_key_refused(reason)
                    raise _CannotRender(reason)
                case PermanentError(reason):
                    raise _CannotRender(reason)
                case ServerLost(blamed):
                    self.health.mark_unavailable()
                    raise EngineLost(blamed)

    def _classify_error(self, error: Exception, body: dict[str, object], is_edit: bool) -> ErrorKind:
        """Classify an exception. The server's message is not logged: it may contain the prompt or the key."""
        match error:
            case NoImageError():
                return PermanentError(error.notice)
            case openai.APIError() if not isinstance(error, openai.APIConnectionError):
                refusal = read_error(error)
                log.warning("images API error: status %s, %s", refusal.status, refusal.loggable_code or "no code")
                return classify_error(refusal, body, is_edit=is_edit, model=self._model, server=self._client.server)
            case _:
                cause = error.__cause__ or error
                log.warning("lost the images server: %s", type(cause).__name__)
                return ServerLost(may_be_our_request=not isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout))


class _CannotEdit(Exception):
    """The server does not support edits."""


class _CannotRender(Exception):
    """The image failed. `notice` says why."""

    def __init__(self, reason: UserText) -> None:
        super().__init__(reason)
        self.notice = reason


class _BatchEvents:
    """The events of a batch of `total` images, in a queue."""

    def __init__(self, total: int) -> None:
        self.queue: asyncio.Queue[WorkerEvent | None] = asyncio.Queue()  # None: one task has ended
        self._total = total
        self._fractions: dict[str, float] = {}

    def report_step(self, task: ImageTask, fraction: float) -> None:
        """Report that this fraction, 0 to 1, of the task is done."""
        if fraction > self._fractions.get(task.id, 0.0):
            self._fractions[task.id] = fraction
            self.queue.put_nowait(StepDone(sum(self._fractions.values()) / self._total))

    async def send_preview(self, task: ImageTask, number: int, file: bytes) -> None:
        """Send a preview and the progress it stands for; a preview that cannot be read is ignored."""
        self.report_step(task, min(number + 1, PARTIAL_IMAGES) / (PARTIAL_IMAGES + 1))
        with suppress(Refused):
            self.queue.put_nowait(
                Preview(task.id, await asyncio.to_thread(lambda: encode_preview(open_untrusted(file))))
            )


def _upload_files(planned: PlannedImage) -> dict[str, bytes]:
    """The files of an edit request: the source image, and a mask, which is transparent where the image changes."""
    if planned.source is None:
        return {}
    files = {"image": encode_png(planned.source, {})}
    if planned.mask:
        around = planned.source.copy()
        around.putalpha(ImageChops.invert(planned.mask))
        files["mask"] = encode_png(around, {})
    return files


def _with_full_description(planned: PlannedImage) -> PlannedImage:
    """Prepend the prompt of the source image: an edit prompt may be an instruction, too little for a new image."""
    task = planned.task
    if not (task.source_prompt and task.prompt) or is_local(task.source_prompt, task.prompt):
        return planned
    return replace(planned, plan=replace(planned.plan, prompt=f"{task.source_prompt}\n{task.prompt}"))


def _result_notes(planned: PlannedImage, image: Image.Image) -> tuple[UserText, ...]:
    task, notes = planned.task, list[UserText]()
    redrawn = task.operation in (Operation.EDIT, Operation.REFINE) and not task.region  # a region has its own note
    if planned.plan.method is EditMethod.TEXT_TO_IMAGE and task.source and redrawn:
        notes.append(REDRAWN_NOTE)
    if task.sampling.lora and planned.plan.method is not EditMethod.RESIZE:
        notes.append(NO_LORA_NOTE)
    if planned.plan.method is not EditMethod.RESIZE and planned.size:
        notes.append(size_mismatch_note(task, planned.size, image.size))
    return tuple(filter(None, notes))
