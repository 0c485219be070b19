"""Routes of the render queue: a page, its status as JSON and as a stream, and metrics for Prometheus."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp_sse import EventSourceResponse, sse_response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from adapters.web.auth import json_response
from adapters.web.parse import PLATFORM
from adapters.web.response_schemas import JobCountsJson, QueueJson, RunningJobJson, WaitingJobJson, WorkerJson
from bot.queue_status import QueuedJob, QueueStatus

STATIC = Path(__file__).parent / "static"
PAUSE = 0.5  # seconds between two events of the stream
MAX_JOBS = 200  # running jobs in the status, and waiting jobs
TIME_FIELDS = {"waited", "eta"}  # fields that change with time alone; the page counts them itself


class QueueRoutes:
    """The public routes of the render queue: without names and without prompts of users."""

    def __init__(self, queue_status: Callable[[], QueueStatus], metrics: Callable[[], bytes]) -> None:
        self._queue_status = queue_status
        self._metrics = metrics
        self._latest: tuple[float, QueueJson] | None = None

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/queue", self._page),
            web.get("/metrics", self._numbers),
            web.get("/api/queue", self._state),
            web.get("/api/queue/events", self._events),
        ]

    async def _page(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(STATIC / "queue.html")

    async def _numbers(self, request: web.Request) -> web.Response:
        return web.Response(body=self._metrics(), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    async def _state(self, request: web.Request) -> web.Response:
        return json_response(status_json(self._queue_status()))

    async def _events(self, request: web.Request) -> EventSourceResponse:
        """Send the status now, and again after every change other than the passing of time."""
        shown: dict[str, Any] | None = None
        async with sse_response(request) as stream:
            while stream.is_connected():
                state = self._latest_status()
                if (still := _without_times(state)) != shown:
                    shown = still
                    await stream.send(state.model_dump_json(), event="line" if "/line/" in request.path else "queue")
                await asyncio.sleep(PAUSE)
        return stream

    def _latest_status(self) -> QueueJson:
        """Return the latest status; clients that ask at the same time share one read of the queue."""
        now = asyncio.get_running_loop().time()
        if self._latest is None or now - self._latest[0] > PAUSE / 2:
            self._latest = now, status_json(self._queue_status())
        return self._latest[1]


def status_json(status: QueueStatus) -> QueueJson:
    """Return the queue status as a JSON object, with at most 200 running and 200 waiting jobs."""
    running = [each for each in status.jobs if each.running]
    waiting = [each for each in status.jobs if not each.running]
    return QueueJson(
        running=[RunningJobJson(**_job(each), fraction=round(each.fraction, 3)) for each in running[:MAX_JOBS]],
        waiting=[
            WaitingJobJson(**_job(each), position=position, ahead=each.ahead)
            for position, each in enumerate(waiting[:MAX_JOBS], start=1)
        ],
        counts=JobCountsJson(running=len(running), waiting=len(waiting)),
        workers=[
            WorkerJson(name=each.name, model=each.model, slots=each.slots, busy=each.busy_slots, problem=each.problem)
            for each in status.workers
        ],
        pace=status.pace,
    )


def _job(job: QueuedJob) -> dict[str, Any]:
    return {
        "id": job.job_id,
        "thread": job.thread.thread if job.thread.platform == PLATFORM else None,
        "number": job.number,
        "operation": job.operation.value,
        "model": job.model,
        "waited": round(max(0.0, job.waited), 1),
        "eta": None if job.eta is None else round(max(0.0, job.eta), 1),
    }


def _without_times(state: QueueJson) -> dict[str, Any]:
    """Return the status without the fields that change with time alone."""
    return state.model_dump(exclude={name: {"__all__": TIME_FIELDS} for name in ("running", "waiting")})
