"""The process that owns a device: `GET /slots`, `POST /batches`, one thread for the pipeline."""

import asyncio
import hmac
import logging
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from threading import Event
from typing import Protocol

from aiohttp import web
from pydantic import ValidationError

from bot.domain import Abilities
from render.wire import BATCH, EVENT, KEEP_ALIVE, SLOTS, VERSION, Alive, Batch, End, Slots, Spoilt, Started, WorkerEvent

log = logging.getLogger(__name__)

LARGEST_BATCH = 256 * 2**20  # bytes of a request


class Cancelled(Exception):
    """Nobody wants the batch any more."""


class Studio(Protocol):
    """A loaded model. All calls come from one thread."""

    model: str
    abilities: Abilities

    def paint(self, batch: Batch, tell: Callable[[WorkerEvent], None], cancelled: Event) -> None:
        """Render the batch, telling of every step and picture; raises Cancelled soon after `cancelled` is set."""
        ...


class Worker:
    """One model on one device, one batch at a time."""

    def __init__(self, load: Callable[[], Studio], token: str | None = None) -> None:
        """`load` may take minutes; it runs on the thread that will own the device."""
        self._load = load
        self._token = token
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="device")
        self._studio: Studio | None = None
        self._trouble: str | None = None
        self._busy = asyncio.Lock()

    def app(self) -> web.Application:
        """The web application; it answers while the model loads."""
        app = web.Application(client_max_size=LARGEST_BATCH, middlewares=[self._guard])
        app.add_routes([web.get("/slots", self._slots), web.post("/batches", self._batches)])
        app.cleanup_ctx.append(self._loaded)
        return app

    async def _loaded(self, app: web.Application) -> AsyncGenerator[None]:
        loading = asyncio.create_task(self._load_studio())
        yield
        loading.cancel()

    async def _load_studio(self) -> None:
        try:
            self._studio = await asyncio.get_running_loop().run_in_executor(self._thread, self._load)
            log.info("loaded %s", self._studio.model)
        except Exception as error:  # a missing file, a broken model, no memory: told to whoever asks for a picture
            log.exception("the model cannot be loaded")
            self._trouble = f"The picture model cannot be loaded ({type(error).__name__}); the worker's log says why."

    @web.middleware
    async def _guard(self, request: web.Request, handler: Callable[[web.Request], object]) -> web.StreamResponse:
        shown = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")  # it may hold any bytes
        if self._token and not hmac.compare_digest(shown, f"Bearer {self._token}".encode()):
            raise web.HTTPUnauthorized
        return await handler(request)  # type: ignore[misc,no-any-return]

    async def _slots(self, request: web.Request) -> web.Response:
        free = self._studio is not None and not self._busy.locked()
        studio = self._studio
        model, abilities = (studio.model, studio.abilities) if studio else ("", None)
        slots = Slots(["0"] if free else [], model, self._trouble, abilities=abilities)
        return web.Response(body=SLOTS.dump_json(slots), content_type="application/json")

    async def _batches(self, request: web.Request) -> web.StreamResponse:
        try:
            batch = BATCH.validate_json(await request.read())
        except ValidationError as error:
            raise web.HTTPBadRequest(text=f"not a batch: {error.error_count()} faults") from None
        if batch.version != VERSION:
            raise web.HTTPBadRequest(text=f"this worker speaks version {VERSION}, not {batch.version}")
        if self._studio is None or self._busy.locked():
            raise web.HTTPServiceUnavailable(text="no free slot")
        async with self._busy:
            response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
            await response.prepare(request)
            async with aclosing(self._events(self._studio, batch)) as events:
                async for event in events:
                    await response.write(EVENT.dump_json(event) + b"\n")
        await response.write_eof()
        return response

    async def _events(self, studio: Studio, batch: Batch) -> AsyncGenerator[WorkerEvent]:
        """Everything that happens to the batch. Closing the generator cancels it at the next step."""
        loop = asyncio.get_running_loop()
        news: asyncio.Queue[WorkerEvent] = asyncio.Queue()
        cancelled = Event()

        def tell(event: WorkerEvent) -> None:
            loop.call_soon_threadsafe(news.put_nowait, event)

        painting = loop.run_in_executor(self._thread, _paint, studio, batch, tell, cancelled)
        try:
            while True:
                try:
                    event = await asyncio.wait_for(news.get(), KEEP_ALIVE)
                except TimeoutError:
                    event = Alive()
                yield event
                if isinstance(event, End):
                    return
        finally:
            cancelled.set()
            await asyncio.wait({painting})


def _paint(studio: Studio, batch: Batch, tell: Callable[[WorkerEvent], None], cancelled: Event) -> None:
    """On the device's thread."""
    tell(Started())
    try:
        studio.paint(batch, tell, cancelled)
    except Cancelled:
        log.info("a batch of %s was cancelled", len(batch.tasks))
    except Exception as error:
        log.exception("a batch of %s failed", len(batch.tasks))
        for task in batch.tasks:
            tell(Spoilt(task.id, _sentence(error)))
    tell(End())


def _sentence(error: Exception) -> str:
    if type(error).__name__ == "OutOfMemoryError":
        return "The picture needs more memory than the device has."
    if isinstance(error, ValueError):
        return f"The picture model refused: {error}"
    return "The picture model failed; the worker's log says why."
