"""HTTP server of a render worker: `GET /slots`, `POST /batches`."""

import asyncio
import hmac
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from aiohttp import web
from pydantic import ValidationError

from render.image_model import Cancelled as Cancelled
from render.image_model import Studio as Studio
from render.protocol import BATCH, EVENT, SLOTS, VERSION, Batch
from render.worker.device import PATIENCE, Busy, Device, DeviceLost
from render.worker.result_cache import ResultCache

log = logging.getLogger(__name__)

LARGEST_BATCH = 256 * 2**20  # bytes of a request


class Worker:
    """HTTP server for one model on one device, which renders one batch at a time."""

    def __init__(
        self,
        load: Callable[[], Studio],
        token: str | None = None,
        *,
        cache: ResultCache | None = None,
        patience: float = PATIENCE,
    ) -> None:
        """`load` is picklable and may take minutes; it runs in the device process. `hang_timeout` is in seconds."""
        self.device = Device(load, cache=cache, patience=patience)
        self._token = token

    def app(self) -> web.Application:
        """Return the web application, which answers even while the model loads."""
        app = web.Application(client_max_size=LARGEST_BATCH, middlewares=[self._guard])
        app.add_routes([web.get("/slots", self._slots), web.post("/batches", self._batches)])
        app.cleanup_ctx.append(self._owned)
        return app

    async def _owned(self, app: web.Application) -> AsyncGenerator[None]:
        owning = asyncio.create_task(self._own())
        yield
        owning.cancel()
        await asyncio.wait({owning})

    async def _own(self) -> None:
        try:
            await self.device.run()
        except Exception:
            log.exception("the supervision of the device has stopped")

    @web.middleware
    async def _guard(self, request: web.Request, handler: Callable[[web.Request], object]) -> web.StreamResponse:
        shown = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")  # it may contain any bytes
        if self._token and not hmac.compare_digest(shown, f"Bearer {self._token}".encode()):
            raise web.HTTPUnauthorized
        return await handler(request)  # type: ignore[misc,no-any-return]

    async def _slots(self, request: web.Request) -> web.Response:
        return web.Response(body=SLOTS.dump_json(self.device.slots()), content_type="application/json")

    async def _batches(self, request: web.Request) -> web.StreamResponse:
        batch = _batch(await request.read())
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        try:
            async with aclosing(self.device.render(batch)) as events:
                async for event in events:
                    if not response.prepared:  # only now is the batch accepted for certain
                        await response.prepare(request)
                    await response.write(EVENT.dump_json(event) + b"\n")
        except Busy as busy:
            raise web.HTTPServiceUnavailable(text=str(busy)) from None
        except DeviceLost as lost:
            log.error("a batch of %s is lost: %s", len(batch.tasks), lost)
            if not response.prepared:
                raise web.HTTPServiceUnavailable(text=str(lost)) from None
            if request.transport:
                request.transport.close()  # cut the stream: without its last line the bot knows that it broke
            return response
        await response.write_eof()
        return response


def _batch(body: bytes) -> Batch:
    try:
        batch = BATCH.validate_json(body)
    except ValidationError as error:
        raise web.HTTPBadRequest(text=f"not a batch: {error.error_count()} faults") from None
    if batch.version != VERSION:
        raise web.HTTPBadRequest(text=f"this worker speaks version {VERSION}, not {batch.version}")
    return batch
