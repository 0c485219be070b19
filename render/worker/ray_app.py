"""The render workers as a Ray Serve application: one HTTP ingress, and a replica for each device.

The only module that imports ray. `serve deploy deploy/serve.yaml` starts it; the bot uses it like any other worker.
"""

import asyncio
import hmac
import logging
from asyncio import Task as Running
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from functools import partial
from time import monotonic
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError
from ray import serve
from ray.exceptions import RayError
from ray.serve.config import RequestRouterConfig
from ray.serve.context import _get_global_client
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle
from ray.serve.request_router import PendingRequest, RequestRouter, RunningReplica
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from render.image_model import ImageModel, Options
from render.models.batch import STEP_INTERVAL
from render.protocol import BATCH, EVENT, REPORT, VERSION, Batch, End, StepDone, WorkerReport
from render.worker.device import HANG_TIMEOUT, Device, DeviceBusy, DeviceLost
from render.worker.device_process import load_model_class
from render.worker.free_replicas import FreeReplicas
from render.worker.result_cache import open_cache
from render.worker.server import MAX_REQUEST_BYTES
from render.worker.settings import load_worker_settings, set_device_environment

log = logging.getLogger("ray.serve")

LOOPBACK = ("127.0.0.1", "localhost", "::1")
POLL_INTERVAL = 1.0  # seconds between two polls of all replicas
POLL_TIMEOUT = 3.0  # seconds for all replicas to answer
START_TIMEOUT = 10.0  # seconds for a free replica to start a batch
END_LINE = EVENT.dump_json(End()) + b"\n"


class NamedReplicaRouter(RequestRouter):  # type: ignore[misc]  # ray is not installed where types are checked
    """Routes a request to the replica that the request names.

    Serve's own router tries two random replicas and waits before it tries again, so it is slow to find the one free
    replica among many busy ones, which the ingress knows.
    """

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> Sequence[list[RunningReplica]]:
        """Return the named replica; none if it is gone, in which case the ingress gives up after START_TIMEOUT."""
        if pending_request is None:
            return [candidate_replicas]
        pending_request.routing_context.should_backoff = True  # otherwise Serve retries without a pause
        wanted = pending_request.kwargs["painter"]
        return [[replica for replica in candidate_replicas if replica.replica_id.unique_id == wanted]]


@serve.deployment(
    max_ongoing_requests=5,  # one batch (the device itself allows no more) and polls meanwhile
    health_check_period_s=2,
    health_check_timeout_s=10,
    graceful_shutdown_timeout_s=600,  # a running batch is finished before its replica stops
    graceful_shutdown_wait_loop_s=0.5,
    request_router_config=RequestRouterConfig(request_router_class=NamedReplicaRouter),
)
class Replica:
    """One device with its model. Serve considers the replica running when the model is loaded."""

    async def __init__(self, load: Callable[[], ImageModel], hang_timeout: float) -> None:  # type: ignore[misc]  # Serve awaits it
        self._name = serve.get_replica_context().replica_id.unique_id
        set_device_environment()
        cache = open_cache(load_worker_settings().render_cache)
        self._device = Device(load, cache=cache, hang_timeout=hang_timeout)
        self._device_task: Running[None] = asyncio.create_task(self._device.run())
        while not (told := self._device.slots()).slots:
            if told.trouble or self._device_task.done():
                raise RuntimeError(told.trouble or "The device cannot be used; the log says why.")
            await asyncio.sleep(0.05)

    async def slots(self) -> tuple[str, WorkerReport]:
        """Return the id of this replica and the report of its device."""
        return self._name, self._device.slots()

    async def render(self, batch: Batch, painter: str) -> AsyncGenerator[bytes]:
        """Stream the events of the batch as lines of JSON. Closing the stream cancels the batch."""
        told = float("-inf")
        async with aclosing(self._device.render(batch)) as events:
            async for event in events:
                if isinstance(event, StepDone) and event.fraction < 1:
                    if monotonic() - told < STEP_INTERVAL:  # each event costs time of the ingress, which all share
                        continue
                    told = monotonic()
                yield EVENT.dump_json(event) + b"\n"

    async def check_health(self) -> None:
        """Raise RuntimeError if the device is lost. Serve replaces a replica that raises here three times."""
        if self._device_task.done() or self._device.slots().trouble:
            raise RuntimeError(self._device.slots().trouble or "The device is lost.")


@serve.deployment(
    max_ongoing_requests=1000,
    health_check_period_s=2,
    health_check_timeout_s=10,
    graceful_shutdown_timeout_s=600,
    graceful_shutdown_wait_loop_s=0.5,
    ray_actor_options={"num_cpus": 0},
)
class Ingress:
    """HTTP ingress: `GET /slots`, `POST /batches`. Gives each batch to a free replica; batches never wait here."""

    async def __init__(self, replicas: DeploymentHandle[Any]) -> None:  # type: ignore[misc]  # Serve awaits it
        self._token = load_worker_settings().token
        if not self._token and not await asyncio.to_thread(_is_on_loopback):
            raise RuntimeError("Serve listens beyond 127.0.0.1: set RENDER_TOKEN on every node before `ray start`.")
        self._replicas = replicas
        self._free_replicas = FreeReplicas()
        self._poll_now = asyncio.Event()
        self._poll_task: Running[None] = asyncio.create_task(self._poll())

    async def __call__(self, request: Request) -> Response:
        """Answer one HTTP request of the bot."""
        shown = request.headers.get("authorization", "").encode("latin-1")
        if self._token and not hmac.compare_digest(shown, f"Bearer {self._token}".encode()):
            return PlainTextResponse("show RENDER_TOKEN as a bearer token", 401)
        match request.method, request.url.path.rsplit("/", 1)[-1]:
            case "GET", "slots":
                return Response(REPORT.dump_json(self._free_replicas.slots()), media_type="application/json")
            case "POST", "batches":
                return await self._batches(request)
        return PlainTextResponse("GET slots or POST batches", 404)

    async def _batches(self, request: Request) -> Response:
        size = request.headers.get("content-length", "")
        if not size.isdecimal() or int(size) > MAX_REQUEST_BYTES:
            return PlainTextResponse(f"a batch has a length of at most {MAX_REQUEST_BYTES} bytes", 413)
        try:
            batch = BATCH.validate_json(await request.body())
        except ValidationError as error:
            return PlainTextResponse(f"not a batch: {error.error_count()} faults", 400)
        if batch.version != VERSION:
            return PlainTextResponse(f"this worker speaks version {VERSION}, not {batch.version}", 400)
        lines = self._lines(batch)
        try:  # before the status is sent: refuse a batch that does not start
            first = await anext(lines)
        except StopAsyncIteration:
            return PlainTextResponse("Every painter has a batch.", 503)
        except (RayError, RayServeException, TimeoutError) as error:
            log.warning("a replica did not start a batch: %s", type(error).__name__)
            cause = getattr(error, "cause", None)
            known = isinstance(cause, DeviceBusy | DeviceLost)
            return PlainTextResponse(str(cause) if known else "The painter is gone.", 503)
        return StreamingResponse(_prepend(first, lines), media_type="application/x-ndjson")

    async def _lines(self, batch: Batch) -> AsyncGenerator[bytes]:
        """Stream the lines of the batch from a replica reserved for it; no line at all if no replica is free."""
        painter = self._free_replicas.take()
        if painter is None:
            return
        stream = self._replicas.options(stream=True).render.remote(batch, painter=painter)
        over = False
        try:
            async with asyncio.timeout(START_TIMEOUT):
                first = await anext(stream)
            yield first
            async for line in stream:
                if line != END_LINE:
                    yield line
            over = True
        finally:
            stream.cancel()  # closing the generator or cancelling the task does not stop a remote render
            self._free_replicas.give_back(painter, None if over else monotonic())
            self._poll_now.set()
        yield END_LINE  # only now is the replica free

    async def _poll(self) -> None:
        """Poll the reports of all replicas until cancelled."""
        while True:
            self._poll_now.clear()
            asked = monotonic()
            try:
                answers = self._replicas.broadcast("slots").results_async(
                    timeout_s=POLL_TIMEOUT, return_exceptions=True
                )
                told = [answer for answer in await answers if not isinstance(answer, BaseException)]
                self._free_replicas.update(dict(told), asked)
            except TimeoutError:
                if self._free_replicas.reports:  # otherwise all replicas are still loading
                    log.warning("not all replicas answered within %s s", POLL_TIMEOUT)
            except (RayError, RayServeException):  # no replica exists
                self._free_replicas.update({}, asked)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._poll_now.wait(), POLL_INTERVAL)

    async def check_health(self) -> None:
        """Raise RuntimeError if polling has stopped. Serve replaces an ingress that raises here three times."""
        if self._poll_task.done():
            raise RuntimeError("The ingress does not poll its replicas any more.") from self._poll_task.exception()


async def _prepend(first: bytes, lines: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    async with aclosing(lines):
        yield first
        async for line in lines:
            yield line


def _is_on_loopback() -> bool:
    """Whether only this machine can reach Serve's proxies."""
    return _get_global_client().http_config.host in LOOPBACK


class ApplicationArgs(BaseModel):
    """`args` of an application in `serve.yaml`. `timeout` is in seconds; `patience` is its old name."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    model: str = "builtin"
    device: str = "auto"
    largest_batch: int | None = Field(None, ge=1)
    timeout: float = Field(HANG_TIMEOUT, gt=0, validation_alias=AliasChoices("timeout", "patience"))
    options: Options = Options()
    studio: str = "render.diffusion.diffusers_model:DiffusersModel"


def application(settings: ApplicationArgs) -> serve.Application:
    """Build the application that `import_path` of `serve.yaml` names: one model, with the replicas given there."""
    load = partial(
        load_model_class, settings.studio, settings.model, settings.device, settings.largest_batch, settings.options
    )
    ingress: Any = Ingress  # both are deployments
    replica: Any = Replica
    return ingress.bind(replica.bind(load, settings.timeout))
