"""HTTP server of a render worker: `GET /slots`, `POST /batches`."""

import asyncio
import hmac
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from aiohttp import web
from pydantic import ValidationError

from render.image_model import ImageModel
from render.protocol import BATCH, EVENT, REPORT, VERSION, Batch
from render.worker.device import HANG_TIMEOUT, Device, DeviceBusy, DeviceLost
from render.worker.result_cache import ResultCache

log = logging.getLogger(__name__)

MAX_REQUEST_BYTES = 256 * 2**20  # bytes of a request


class WorkerServer:
    """HTTP server for one model on one device, which renders one batch at a time."""

    def __init__(
        self,
        load: Callable[[], ImageModel],
        token: str | None = None,
        *,
        cache: ResultCache | None = None,
        hang_timeout: float = HANG_TIMEOUT,
    ) -> None:
        """`load` is picklable and may take minutes; it runs in the device process. `hang_timeout` is in seconds."""
        self.device = Device(load, cache=cache, hang_timeout=hang_timeout)
        self._token = token

    def app(self) -> web.Application:
        """Return the web application, which answers even while the model loads."""
        app = web.Application(client_max_size=MAX_REQUEST_BYTES, middlewares=[self._check_token])
        app.add_routes([web.get("/slots", self._get_slots), web.post("/batches", self._post_batches)])
        app.cleanup_ctx.append(self._device_context)
        return app

    async def _device_context(self, app: web.Application) -> AsyncGenerator[None]:
        owning = asyncio.create_task(self._run_device())
        yield
        owning.cancel()
        await asyncio.wait({owning})

    async def _run_device(self) -> None:
        try:
            await self.device.run()
        except Exception:
            log.exception("the supervision of the device has stopped")

    @web.middleware
    async def _check_token(self, request: web.Request, handler: Callable[[web.Request], object]) -> web.StreamResponse:
        shown = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")  # it may contain any bytes
        if self._token and not hmac.compare_digest(shown, f"Bearer {self._token}".encode()):
            raise web.HTTPUnauthorized
        return await handler(request)  # type: ignore[misc,no-any-return]

    async def _get_slots(self, request: web.Request) -> web.Response:
        return web.Response(body=REPORT.dump_json(self.device.slots()), content_type="application/json")

    async def _post_batches(self, request: web.Request) -> web.StreamResponse:
        batch = _parse_batch(await request.read())
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        try:
            async with aclosing(self.device.render(batch)) as events:
                async for event in events:
                    if not response.prepared:  # only now is the batch accepted for certain
                        await response.prepare(request)
                    await response.write(EVENT.dump_json(event) + b"\n")
        except DeviceBusy as busy:
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


def _parse_batch(body: bytes) -> Batch:
    try:
        batch = BATCH.validate_json(body)
    except ValidationError as error:
        raise web.HTTPBadRequest(text=f"not a batch: {error.error_count()} faults") from None
    if batch.version != VERSION:
        raise web.HTTPBadRequest(text=f"this worker speaks version {VERSION}, not {batch.version}")
    return batch
