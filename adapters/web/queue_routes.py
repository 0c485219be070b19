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
from bot.queue_status import Bench, Lineup, Standing

STATIC = Path(__file__).parent / "static"
PAUSE = 0.5  # seconds between two events of the stream
MOST = 200  # running jobs in the status, and waiting jobs
MOVING = ("waited", "eta")  # fields that change with time alone; the page counts them itself


class LinePage:
    """The public routes of the render queue: without names and without prompts of users."""

    def __init__(self, look: Callable[[], Lineup], metrics: Callable[[], bytes]) -> None:
        self._look = look
        self._metrics = metrics
        self._latest: tuple[float, dict[str, Any]] | None = None

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/line", self._page),
            web.get("/metrics", self._numbers),
            web.get("/api/line", self._state),
            web.get("/api/line/events", self._events),
        ]

    async def _page(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(STATIC / "line.html")

    async def _numbers(self, request: web.Request) -> web.Response:
        return web.Response(body=self._metrics(), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    async def _state(self, request: web.Request) -> web.Response:
        return web.json_response(drawn(self._look()))

    async def _events(self, request: web.Request) -> EventSourceResponse:
        """Send the status now, and again after every change other than the passing of time."""
        shown: dict[str, Any] | None = None
        async with sse_response(request) as stream:
            while stream.is_connected():
                state = self._now()
                if (still := _still(state)) != shown:
                    shown = still
                    await stream.send(json.dumps(state), event="line")
                await asyncio.sleep(PAUSE)
        return stream

    def _now(self) -> dict[str, Any]:
        """Return the latest status; clients that ask at the same time share one read of the queue."""
        now = asyncio.get_running_loop().time()
        if self._latest is None or now - self._latest[0] > PAUSE / 2:
            self._latest = now, drawn(self._look())
        return self._latest[1]


def drawn(lineup: Lineup) -> dict[str, Any]:
    """Return the queue status as a JSON object, with at most 200 running and 200 waiting jobs."""
    running = [each for each in lineup.standings if each.running]
    waiting = [each for each in lineup.standings if not each.running]
    return {
        "running": [_standing(each) | {"fraction": round(each.fraction, 3)} for each in running[:MOST]],
        "waiting": [
            _standing(each) | {"position": position, "ahead": each.ahead}
            for position, each in enumerate(waiting[:MOST], start=1)
        ],
        "counts": {"running": len(running), "waiting": len(waiting)},
        "workers": [_worker(each) for each in lineup.benches],
        "pace": lineup.pace,
    }


def _standing(standing: Standing) -> dict[str, Any]:
    return {
        "id": standing.job,
        "thread": standing.thread.thread if standing.thread.platform == PLATFORM else None,
        "number": standing.number,
        "operation": standing.operation.value,
        "model": standing.model,
        "waited": round(max(0.0, standing.waited), 1),
        "eta": None if standing.eta is None else round(max(0.0, standing.eta), 1),
    }


def _worker(bench: Bench) -> dict[str, Any]:
    told = {"name": bench.name, "model": bench.model, "slots": bench.slots, "busy": bench.busy}
    return told | {"trouble": bench.trouble}


def _still(state: dict[str, Any]) -> dict[str, Any]:
    """Return the status without the fields that change with time alone."""
    lists = ("running", "waiting")
    still = {name: [{k: v for k, v in job.items() if k not in MOVING} for job in state[name]] for name in lists}
    return state | still
