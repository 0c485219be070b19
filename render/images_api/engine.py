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
from render.image_model import sentence
from render.images_api.api_errors import CannotEdit, Final, Later, Lost, NoEntry, Verdict, Without, read, verdict
from render.images_api.client import Cut, ImagesClient, NoPicture
from render.images_api.health import Presence
from render.images_api.request import PARTIALS, abilities, closest, misshapen, parameters, sizes, unknown_to
from render.models.batch import Easel, Wish, described, finished, wish
from render.models.edit_plan import Means, Way, is_local
from render.models.image_files import encode, preview, safe
from render.protocol import Batch, Made, Preview, Slots, Spoilt, Started, Step, Task, WorkerEvent
from render.queue.job_mapping import TYPICAL
from render.worker.client import EngineLost

log = logging.getLogger(__name__)

LONGEST = 900.0  # seconds for an image, with all its requests
PAUSES = (1.0, 4.0, 15.0)  # seconds before a retry, if a busy server names no time; their number limits the retries
LONGEST_PAUSE = 60.0  # seconds that a server may ask for; a longer pause fails the image
NATIVE = (TYPICAL.width, TYPICAL.height)

DREW_ANEW = "The images server cannot change pictures, so this one is drawn anew from words."
NO_LORA = "The images server takes no LoRA, so only the words of the style were used."
UNSEEN = "The images server cannot look at pictures, and nothing is known of what is to be seen in this one."


class HostedEngine:
    """A model of an images API. Every image is its own request; at most `max_concurrent` tasks run at the same time."""

    def __init__(self, model: str, base_url: str | None, api_key: str | None, *, at_once: int = 4) -> None:
        """Without `base_url` the server is OpenAI's."""
        self._client = ImagesClient(base_url, api_key)
        self.presence = Presence(self._client)
        self.name = f"{model} at {self._client.server}"
        self._model = model
        self._at_once = at_once
        self._room = asyncio.Semaphore(at_once)
        self._running = 0  # batches
        self._sizes = sizes(model)
        self._edits = True
        self._without = dict.fromkeys((False, True), unknown_to(model))  # not sent; by whether the request is an edit

    async def slots(self) -> Slots:
        """The slots of the server and how many are free; none while the server is unavailable."""
        there = self._at_once if await self.presence.look() else 0
        return Slots(
            there,
            max(0, there - self._running),
            model=self._model,
            trouble=self.presence.trouble,
            abilities=abilities(self._model, self._edits),
            usual=TYPICAL,
        )

    async def run(self, batch: Batch) -> AsyncGenerator[WorkerEvent]:
        """Render the batch, at most once: every task ends as `ImageDone` or `ImageFailed`.

        Closing the generator cancels the batch. Raises EngineLost, after all tasks that could be rendered.
        """
        sheet = _Sheet(len(batch.tasks))
        self._running += 1
        calls = [asyncio.create_task(self._draw(task, sheet)) for task in batch.tasks]
        for call in calls:
            call.add_done_callback(lambda _: sheet.events.put_nowait(None))
        try:
            yield Started()
            left = len(calls)
            while left:
                event = await sheet.events.get()
                left -= event is None
                if event is not None:
                    yield event
        finally:
            for call in calls:
                call.cancel()
            if calls:
                await asyncio.wait(calls)
            self._running -= 1
        faults = [fault for call in calls if (fault := call.exception())]
        if faults:  # raise a bug rather than EngineLost
            raise min(faults, key=lambda fault: (isinstance(fault, EngineLost), not getattr(fault, "started", False)))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    # One image

    async def _draw(self, task: Task, sheet: "_Sheet") -> None:
        """Run one task and queue the event that ends it. Raises EngineLost."""
        end: Made | Spoilt
        try:
            async with self._room, asyncio.timeout(LONGEST):
                end = await self._made(task, sheet)
        except TimeoutError as error:
            raise EngineLost(started=True) from error
        except (_Spoilt, ValueError) as error:
            end = Spoilt(task.id, str(error) if isinstance(error, _Spoilt) else sentence(error))
        else:
            sheet.step(task, 1.0)  # even without any preview, so that the duration is known
        sheet.events.put_nowait(end)

    async def _made(self, task: Task, sheet: "_Sheet") -> Made:
        """Render one task; as a new image if the server cannot edit. Raises _CannotRender, EngineLost, ValueError."""
        wished = await self._wish(task)
        try:
            image = await self._image(wished, sheet)
        except _NoEdits:
            wished = _told_whole(await self._wish(task))
            image = await self._image(wished, sheet)
        notes = wished.notes + _notes(wished, image)
        told = described(task, self._model, str(wished.plan), notes)
        png = await asyncio.to_thread(encode, image, told)
        return Made(task.id, png, image.width, image.height, self._model, str(wished.plan), notes)

    async def _wish(self, task: Task) -> Wish:
        easel = Easel(Means(words=True, looks=self._edits), NATIVE)
        return await asyncio.to_thread(wish, task, easel)

    async def _image(self, wished: Wish, sheet: "_Sheet") -> Image.Image:
        plan, source = wished.plan, wished.source
        if source and plan.way is Way.RESIZE:
            return await asyncio.to_thread(source.resize, wished.size or source.size, Image.Resampling.LANCZOS)
        if not plan.prompt:
            raise _Spoilt(UNSEEN)
        data = await self._asked(wished, await asyncio.to_thread(_files, wished), sheet)
        try:
            image = await asyncio.to_thread(safe, data)
        except Refused as refused:
            raise _Spoilt(f"What the images server sent cannot be used. {refused}") from refused
        if wished.mask and source:  # the source's pixels stay outside of the mask, so the image has the source's size
            image = await asyncio.to_thread(image.resize, source.size, Image.Resampling.LANCZOS)
        return await asyncio.to_thread(finished, wished, image)

    async def _asked(self, wished: Wish, files: dict[str, bytes], sheet: "_Sheet") -> bytes:
        """Request the file of an image. Parameters that the server refuses are omitted, and remembered if that helps.

        Raises _CannotEdit, _CannotRender, EngineLost.
        """
        edits, task, pauses = bool(files), wished.task, iter(PAUSES)
        without, among, told_sizes = self._without[edits], self._sizes, False
        while True:
            size = closest(wished.size or NATIVE, among)
            body = parameters(task, self._model, wished.plan.prompt, size, without)
            sent = {name: png for name, png in files.items() if name not in without}
            try:
                data = await self._client.ask(body, sent, lambda number, file: sheet.show(task, number, file))
            except (NoPicture, Cut, openai.OpenAIError, httpx2.HTTPError) as error:
                refused = self._judged(error, body | sent, edits)
            else:
                self._without[edits] |= without
                self._sizes = among
                self.presence.drew()
                return data
            match refused:
                case Without(names, named):
                    if named and not told_sizes:
                        among, told_sizes = named, True
                    else:
                        without |= names
                case Later(seconds):
                    pause = next(pauses, None)
                    if pause is None or (seconds or 0) > LONGEST_PAUSE:
                        raise _Spoilt(
                            "The images server is overloaded, or the account's limit is reached; try again later."
                        )
                    await asyncio.sleep(pause if seconds is None else seconds)
                case CannotEdit():
                    self._edits = False
                    raise _NoEdits
                case NoEntry(reason):
                    self.presence.locked(reason)
                    raise _Spoilt(reason)
                case Final(reason):
                    raise _Spoilt(reason)
                case Lost(blamed):
                    self.presence.went_away()
                    raise EngineLost(blamed)

    def _judged(self, error: Exception, body: dict[str, object], edits: bool) -> Verdict:
        """Classify an exception. The server's message is not logged: it may contain the prompt or the key."""
        match error:
            case NoPicture():
                return Final(str(error))
            case openai.APIError() if not isinstance(error, openai.APIConnectionError):
                refusal = read(error)
                log.warning("images API error: status %s, %s", refusal.status, refusal.named or "no code")
                return verdict(refusal, body, edits=edits, model=self._model, server=self._client.server)
            case _:
                cause = error.__cause__ or error
                log.warning("lost the images server: %s", type(cause).__name__)
                return Lost(blamed=not isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout))


class _NoEdits(Exception):
    """The server does not support edits."""


class _Spoilt(Exception):
    """The image failed. The text is a sentence for the user."""


class _Sheet:
    """The events of a batch of `total` images, in a queue."""

    def __init__(self, total: int) -> None:
        self.events: asyncio.Queue[WorkerEvent | None] = asyncio.Queue()  # None: one task has ended
        self._total = total
        self._fractions: dict[str, float] = {}

    def step(self, task: Task, fraction: float) -> None:
        """Report that this fraction, 0 to 1, of the task is done."""
        if fraction > self._fractions.get(task.id, 0.0):
            self._fractions[task.id] = fraction
            self.events.put_nowait(Step(sum(self._fractions.values()) / self._total))

    async def show(self, task: Task, number: int, file: bytes) -> None:
        """Send a preview and the progress it stands for; a preview that cannot be read is ignored."""
        self.step(task, min(number + 1, PARTIALS) / (PARTIALS + 1))
        with suppress(Refused):
            self.events.put_nowait(Preview(task.id, await asyncio.to_thread(lambda: preview(safe(file)))))


def _files(wished: Wish) -> dict[str, bytes]:
    """The files of an edit request: the source image, and a mask, which is transparent where the image changes."""
    if wished.source is None:
        return {}
    files = {"image": encode(wished.source, {})}
    if wished.mask:
        around = wished.source.copy()
        around.putalpha(ImageChops.invert(wished.mask))
        files["mask"] = encode(around, {})
    return files


def _told_whole(wished: Wish) -> Wish:
    """Prepend the prompt of the source image: an edit prompt may be an instruction, too little for a new image."""
    task = wished.task
    if not (task.before and task.prompt) or is_local(task.before, task.prompt):
        return wished
    return replace(wished, plan=replace(wished.plan, prompt=f"{task.before}\n{task.prompt}"))


def _notes(wished: Wish, image: Image.Image) -> tuple[str, ...]:
    task, notes = wished.task, []
    redrawn = task.operation in (Operation.EDIT, Operation.REFINE) and not task.part  # a region has its own note
    if wished.plan.way is Way.WORDS and task.source and redrawn:
        notes.append(DREW_ANEW)
    if task.lora and wished.plan.way is not Way.RESIZE:
        notes.append(NO_LORA)
    if wished.plan.way is not Way.RESIZE and wished.size:
        notes.append(misshapen(task, wished.size, image.size))
    return tuple(filter(None, notes))
