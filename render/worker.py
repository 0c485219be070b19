"""A device behind HTTP: `GET /slots`, `POST /batches`."""

import asyncio
import hmac
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from aiohttp import web
from pydantic import ValidationError

from render.cache import ResultCache
from render.device import PATIENCE, Busy, Device, DeviceLost
from render.studio import Cancelled as Cancelled
from render.studio import Studio as Studio
from render.wire import BATCH, EVENT, SLOTS, VERSION, Batch

log = logging.getLogger(__name__)

LARGEST_BATCH = 256 * 2**20  # bytes of a request


class Worker:
    """One model on one device, one batch at a time."""

    def __init__(
        self,
        load: Callable[[], Studio],
        token: str | None = None,
        *,
        cache: ResultCache | None = None,
        patience: float = PATIENCE,
    ) -> None:
        """`load` is picklable and may take minutes; it is called in the process that will own the device."""
        self.device = Device(load, cache=cache, patience=patience)
        self._token = token

    def app(self) -> web.Application:
        """The web application; it answers while the model loads."""
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
            log.exception("nobody looks after the device any more")

    @web.middleware
    async def _guard(self, request: web.Request, handler: Callable[[web.Request], object]) -> web.StreamResponse:
        shown = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")  # it may hold any bytes
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
                    if not response.prepared:  # only now is it sure that the batch was taken
                        await response.prepare(request)
                    await response.write(EVENT.dump_json(event) + b"\n")
        except Busy as busy:
            raise web.HTTPServiceUnavailable(text=str(busy)) from None
        except DeviceLost as lost:
            log.error("a batch of %s is lost: %s", len(batch.tasks), lost)
            if not response.prepared:
                raise web.HTTPServiceUnavailable(text=str(lost)) from None
            if request.transport:
                request.transport.close()  # a stream without its end
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
