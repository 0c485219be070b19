"""The line on the web page: what is shown of it, and to whom."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapters.web import serializers
from adapters.web.openapi import OLD_PATHS
from adapters.web.queue_routes import MAX_JOBS, status_json
from adapters.web.server import WebApp
from bot.domain import Operation, PicturePart, Queued, ThreadKey
from bot.queue_status import QueuedJob, QueueStatus, WorkerStatus
from bot.storage.picture_files import PictureFiles
from bot.storage.store import Store
from tests.platforms.web.test_access import Desk
from tests.support.openapi_check import check_event, check_exchange

HERE = ThreadKey("web", "local", "page", "abc")
RUNS = QueuedJob("m.0", HERE, 1, Operation.GENERATE, "Ann", "", True, 0.25, 0, 4.0, 9.0)
WAITS = QueuedJob("m.1", ThreadKey("discord", "1", "2", "3"), 2, Operation.EDIT, "Bob", "x", False, 0.0, 1, None, 2.04)
BENCH = WorkerStatus("cuda:0", "<model>", 2, 1)


@dataclass
class Line:
    """A line that is as it is told to be, and tells of every look."""

    now: QueueStatus = field(default_factory=QueueStatus)
    looks: asyncio.Queue[None] = field(default_factory=asyncio.Queue)

    def look(self) -> QueueStatus:
        """As it is now."""
        self.looks.put_nowait(None)
        return self.now


@asynccontextmanager
async def site(tmp_path: Path, line: Line, token: str | None = None) -> AsyncIterator[aiohttp.ClientSession]:
    """A page on a free port, and a client to it."""
    store = Store(tmp_path / "web.sqlite")
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    files = PictureFiles(tmp_path / "pictures")
    page = WebApp(
        store, files.path, "127.0.0.1", 0, token, address.set_result, queue_status=line.look, metrics=lambda: b"m 1\n"
    )
    task = asyncio.create_task(page.run(Desk(store)))
    async with aiohttp.ClientSession(await address) as session:
        yield session
    task.cancel()
    await asyncio.wait({task})


async def test_the_line_as_json(tmp_path: Path) -> None:
    """What runs, what waits and the workers; only a thread of the page is named, and nobody else at all."""
    line = Line(QueueStatus((RUNS, WAITS), (BENCH,), {"<model>": 0.5}))
    async with site(tmp_path, line) as session, session.get("/api/queue") as response:
        answer = await response.json()
        check_exchange("GET", "/api/queue", None, 200, answer)
        assert answer == {
            "running": [
                {"id": "m.0", "thread": "abc", "number": 1, "operation": "generate", "model": "", "waited": 9.0,
                 "eta": 4.0, "fraction": 0.25},
            ],
            "waiting": [
                {"id": "m.1", "thread": None, "number": 2, "operation": "edit", "model": "x", "waited": 2.0,
                 "eta": None, "position": 1, "ahead": 1},
            ],
            "counts": {"running": 1, "waiting": 1},
            "workers": [{"name": "cuda:0", "model": "<model>", "slots": 2, "busy": 1, "problem": ""}],
            "pace": {"<model>": 0.5},
        }  # fmt: skip


def test_of_a_long_line_the_beginning_is_shown() -> None:
    """With the number of all."""
    shown = status_json(QueueStatus((WAITS,) * (MAX_JOBS + 5)))
    assert (len(shown.waiting), shown.counts.waiting) == (MAX_JOBS, MAX_JOBS + 5)


async def states(session: aiohttp.ClientSession) -> AsyncIterator[dict[str, Any]]:
    """What the stream tells."""
    async with session.get("/api/queue/events") as stream:
        async for line in stream.content:
            if line.startswith(b"data:"):
                check_event("/api/queue/events", "queue", json.loads(line[5:]))
                yield json.loads(line[5:])


async def test_only_changes_are_told(tmp_path: Path) -> None:
    """The state at once, then again when something happens; that time passes is no news."""
    line = Line(QueueStatus((RUNS, WAITS)))
    async with site(tmp_path, line) as session:
        stream = states(session)
        assert (await anext(stream))["running"][0]["fraction"] == 0.25
        line.now = QueueStatus((replace(RUNS, waited=10.0, eta=3.0), replace(WAITS, waited=3.0)))
        for _ in range(line.looks.qsize() + 1):  # until it has been looked at
            await line.looks.get()
        line.now = QueueStatus((replace(RUNS, fraction=0.5, waited=11.0), WAITS))
        state = await anext(stream)
        assert (state["running"][0]["fraction"], state["running"][0]["waited"]) == (0.5, 11.0)


async def test_all_of_it_is_behind_the_token(tmp_path: Path) -> None:
    """The page, its data and the metrics; Prometheus shows the token as a bearer."""
    paths = ("/queue", "/metrics", "/api/queue", "/api/queue/events", "/static/queue.js")
    async with site(tmp_path, Line(), "s3cret") as session:
        for path in paths:
            async with session.get(path) as response:
                assert response.status == 401
        async with session.get("/metrics", headers={"Authorization": "Bearer s3cret"}) as response:
            assert (response.content_type, await response.read()) == ("text/plain", b"m 1\n")


async def test_the_page_runs_no_script_of_its_own_text(tmp_path: Path) -> None:
    """The policy holds for it, and it keeps to it."""
    async with site(tmp_path, Line()) as session, session.get("/queue") as response:
        assert "default-src 'self'" in response.headers["Content-Security-Policy"]
        page = await response.text()
        assert page.count("<script") == page.count('<script type="module" src="/static/') == 1
        assert " style=" not in page
        assert " onclick=" not in page


@pytest.mark.parametrize(
    ("state", "note"),
    [
        (Queued(0), "next in line"),
        (Queued(3), "3 ahead of it"),
        (Queued(None), "waiting for a worker"),
        (Queued(0, 0.2), "next in line, done in about 1 s"),
        (Queued(3, 21.9), "3 ahead of it, done in about 20 s"),
        (Queued(9, 57.4), "9 ahead of it, done in about 55 s"),
        (Queued(9, 58.0), "9 ahead of it, done in about 1 min"),
        (Queued(9, 125.0), "9 ahead of it, done in about 2 min"),
        (Queued(9, 7300.0), "9 ahead of it, done in about 2 h"),
    ],
)
def test_a_picture_that_waits_says_for_how_long(state: Queued, note: str) -> None:
    """As far as it is known, and no more exact than it can be."""
    assert serializers.part(PicturePart(0, 1, Operation.GENERATE, "p", state)).model_dump()["note"] == note


async def test_old_paths_and_old_keys_still_work(tmp_path: Path) -> None:
    """Scripts for earlier versions use other paths, keys and another event name."""
    status = QueueStatus((RUNS,))
    async with site(tmp_path, Line(status)) as session:
        for old, new in OLD_PATHS.items():
            if "{" in old or old.endswith("events"):
                continue
            async with session.get(old) as response, session.get(new) as expected:
                assert (response.status, await response.read()) == (200, await expected.read())
        for path, name in (("/api/line/events", b"event: line"), ("/api/queue/events", b"event: queue")):
            async with session.get(path) as stream:
                assert (await stream.content.readline()).strip() == name
