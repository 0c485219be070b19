"""Routes of the render queue: a page, its status as JSON and as a stream, and metrics for Prometheus."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp_sse import EventSourceResponse, sse_response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from adapters.web.schemas import PLATFORM
from bot.queue_status import QueuedJob, QueueStatus, WorkerStatus

STATIC = Path(__file__).parent / "static"
PAUSE = 0.5  # seconds between two events of the stream
MAX_JOBS = 200  # running jobs in the status, and waiting jobs
TIME_FIELDS = ("waited", "eta")  # fields that change with time alone; the page counts them itself


class QueueRoutes:
    """The public routes of the render queue: without names and without prompts of users."""

    def __init__(self, queue_status: Callable[[], QueueStatus], metrics: Callable[[], bytes]) -> None:
        self._queue_status = queue_status
        self._metrics = metrics
        self._latest: tuple[float, dict[str, Any]] | None = None

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
        return web.json_response(status_json(self._queue_status()))

    async def _events(self, request: web.Request) -> EventSourceResponse:
        """Send the status now, and again after every change other than the passing of time."""
        shown: dict[str, Any] | None = None
        async with sse_response(request) as stream:
            while stream.is_connected():
                state = self._latest_status()
                if (still := _without_times(state)) != shown:
                    shown = still
                    await stream.send(json.dumps(state), event="line" if "/line/" in request.path else "queue")
                await asyncio.sleep(PAUSE)
        return stream

    def _latest_status(self) -> dict[str, Any]:
        """Return the latest status; clients that ask at the same time share one read of the queue."""
        now = asyncio.get_running_loop().time()
        if self._latest is None or now - self._latest[0] > PAUSE / 2:
            self._latest = now, status_json(self._queue_status())
        return self._latest[1]


def status_json(status: QueueStatus) -> dict[str, Any]:
    """Return the queue status as a JSON object, with at most 200 running and 200 waiting jobs."""
    running = [each for each in status.jobs if each.running]
    waiting = [each for each in status.jobs if not each.running]
    return {
        "running": [_job_json(each) | {"fraction": round(each.fraction, 3)} for each in running[:MAX_JOBS]],
        "waiting": [
            _job_json(each) | {"position": position, "ahead": each.ahead}
            for position, each in enumerate(waiting[:MAX_JOBS], start=1)
        ],
        "counts": {"running": len(running), "waiting": len(waiting)},
        "workers": [_worker_json(each) for each in status.workers],
        "pace": status.pace,
    }


def _job_json(job: QueuedJob) -> dict[str, Any]:
    return {
        "id": job.job_id,
        "thread": job.thread.thread if job.thread.platform == PLATFORM else None,
        "number": job.number,
        "operation": job.operation.value,
        "model": job.model,
        "waited": round(max(0.0, job.waited), 1),
        "eta": None if job.eta is None else round(max(0.0, job.eta), 1),
    }


def _worker_json(worker: WorkerStatus) -> dict[str, Any]:
    load = {"slots": worker.slots, "busy": worker.busy_slots}
    return {"name": worker.name, "model": worker.model} | load | {"problem": worker.problem}


def _without_times(state: dict[str, Any]) -> dict[str, Any]:
    """Return the status without the fields that change with time alone."""
    lists = ("running", "waiting")
    still = {name: [{k: v for k, v in job.items() if k not in TIME_FIELDS} for job in state[name]] for name in lists}
    return state | still
