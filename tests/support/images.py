"""Images with files, a renderer and an upload check that need no model, and a store that reports final replies."""

import asyncio
import io
import random
import zlib
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from bot.domain import Failed, ImageRequest, Operation, Picture, Rendered, RenderJob, RenderUpdate, Sampling, View
from bot.notices import UserText
from bot.storage.picture_files import PictureFiles
from bot.storage.store import Store
from render.protocol import ImageTask
from tests.support.doubles import InstantRenderer, claimed

PIXEL = bytes.fromhex(  # a PNG file of one pixel
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c4944415478da63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)


def png(colour: str = "red", size: int = 8) -> bytes:
    """A small picture of one colour."""
    file = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(file, "PNG")
    return file.getvalue()


def noise(size: int) -> bytes:
    """A picture that no format makes small."""
    file = io.BytesIO()
    Image.frombytes("RGB", (size, size), random.Random(1).randbytes(3 * size * size)).save(file, "PNG")
    return file.getvalue()


def image_task(task_id: str, operation: Operation, prompt: str, **options: Any) -> ImageTask:
    """A task for a worker; the options of its sampling are given by their own names."""
    sampling = {name: options.pop(name) for name in Sampling.__slots__ if name in options}
    return ImageTask(task_id, operation, prompt, sampling=Sampling(**sampling), **options)


class Filing:
    """An album that keeps uploads as they are."""

    def __init__(self, files: PictureFiles) -> None:
        self._files = files

    async def add_upload(self, upload: bytes) -> Picture:
        """The upload as a picture."""
        return Picture(0, self._files.put(upload), 8, 8, "An uploaded picture", ImageRequest(0, Operation.UPLOAD, ""))

    async def read_thumbnail(self, digest: str) -> bytes:
        """The file itself."""
        return self._files.read(digest)

    async def delete(self, digest: str) -> None:
        """Delete the file."""
        self._files.delete(digest)


class NotifyingStore(Store):
    """A store that calls `on_finish` when a reply becomes final."""

    def __init__(self, path: Path, on_finish: Callable[[], None]) -> None:
        super().__init__(path)
        self._on_finish = on_finish

    def finish(self, message_id: str, view: View) -> None:
        """Store the final view, and call `on_finish`."""
        super().finish(message_id, view)
        self._on_finish()


class PaintingRenderer(InstantRenderer):
    """An instant renderer whose pictures are on record and have files; each job's has a colour of its own.

    An enlargement is said to be twice as wide and high as what it came from; its file is as small as the others.
    `size` is the side of the noise that is painted instead, for pictures with large files.
    """

    def __init__(self, store: Store, files: PictureFiles) -> None:
        super().__init__()
        self._store, self._files = store, files
        self._called_off: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._digests: dict[str, str] = {}
        self.keep = self._keep
        self.size = 0

    def _keep(self, job: RenderJob, made: Picture) -> None:
        if self._store.jobs.outcome(job) is None:
            made = replace(self._sized(job, made), digest=self._digests[job.id])
            assert self._store.jobs.mark_rendered(claimed(self._store, job), made)

    async def render(self, job: RenderJob) -> AsyncGenerator[RenderUpdate]:
        """As the instant renderer does, with the digest of a real file; until it is cancelled."""
        known = self._store.jobs.outcome(job)
        if known is not None:
            yield known
            return
        digest = self._digests[job.id] = self._files.put(self._paint(job))
        called_off = asyncio.ensure_future(self._called_off[job.id].wait())
        try:
            async with aclosing(super().render(job)) as updates:
                while (update := await self._next(updates, called_off)) is not None:
                    if isinstance(update, Rendered):
                        update = Rendered(replace(self._sized(job, update.picture), digest=digest))
                    yield update
            if called_off.done():
                yield Failed(next(reason for job_id, reason in self.cancels if job_id == job.id))
        finally:  # a render that nobody follows to its end is over as well
            called_off.cancel()

    async def _next(
        self, updates: AsyncGenerator[RenderUpdate], called_off: "asyncio.Future[Any]"
    ) -> RenderUpdate | None:
        step: asyncio.Future[Any] = asyncio.ensure_future(anext(updates, None))
        try:
            await asyncio.wait({step, called_off}, return_when=asyncio.FIRST_COMPLETED)
            return step.result() if step.done() else None
        finally:
            if not step.done():
                step.cancel()
                await asyncio.wait({step})

    def _sized(self, job: RenderJob, made: Picture) -> Picture:
        if job.request.operation is not Operation.UPSCALE or job.request.source is None:
            return made
        start = self._store.picture(job.thread, job.request.source)
        assert start
        return replace(made, width=2 * start.width, height=2 * start.height)

    def _paint(self, job: RenderJob) -> bytes:
        return noise(self.size) if self.size else png(f"#{zlib.crc32(job.id.encode()) & 0xFFFFFF:06x}")

    def cancel(self, job_id: str, reason: UserText) -> bool:
        """End the job."""
        self._called_off[job_id].set()
        return super().cancel(job_id, reason)
