"""The line on the web page: its state as JSON, as a stream, as numbers for Prometheus, and a page that shows it."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp_sse import EventSourceResponse, sse_response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from adapters.web.parse import PLATFORM
from bot.lineup import Bench, Lineup, Standing

STATIC = Path(__file__).parent / "static"
PAUSE = 0.5  # seconds between two states of the stream
MOST = 200  # jobs that are shown, of those that run and of those that wait
MOVING = ("waited", "eta")  # what changes with time alone, which who watches can count


class LinePage:
    """What people may see of the line: nobody's name, and nobody's words."""

    def __init__(self, look: Callable[[], Lineup], metrics: Callable[[], bytes]) -> None:
        self._look = look
        self._metrics = metrics
        self._latest: tuple[float, dict[str, Any]] | None = None

    def routes(self) -> list[web.RouteDef]:
        """Where all that is found."""
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
        """The state now, and again whenever more of it has changed than time passed."""
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
        """One look serves all who watch at the same time."""
        now = asyncio.get_running_loop().time()
        if self._latest is None or now - self._latest[0] > PAUSE / 2:
            self._latest = now, drawn(self._look())
        return self._latest[1]


def drawn(lineup: Lineup) -> dict[str, Any]:
    """The line as a JSON object; of a long one, its beginning."""
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
    """What does not change by itself as time passes."""
    lists = ("running", "waiting")
    still = {name: [{k: v for k, v in job.items() if k not in MOVING} for job in state[name]] for name in lists}
    return state | still
