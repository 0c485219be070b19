"""The queue in the web app: its page, its status and its event stream."""

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
from tests.platforms.web.test_access import RefusingInbox
from tests.support.openapi_check import check_event, check_exchange

HERE = ThreadKey("web", "local", "page", "abc")
RUNNING = QueuedJob("m.0", HERE, 1, Operation.GENERATE, "Ann", "", True, 0.25, 0, 4.0, 9.0)
WAITING = QueuedJob(
    "m.1", ThreadKey("discord", "1", "2", "3"), 2, Operation.EDIT, "Bob", "x", False, 0.0, 1, None, 2.04
)
WORKER = WorkerStatus("cuda:0", "<model>", 2, 1)


@dataclass
class FakeQueue:
    """A queue with a given status, which records each read."""

    status: QueueStatus = field(default_factory=QueueStatus)
    reads: asyncio.Queue[None] = field(default_factory=asyncio.Queue)

    def read(self) -> QueueStatus:
        """Return the status."""
        self.reads.put_nowait(None)
        return self.status


@asynccontextmanager
async def site(tmp_path: Path, queue: FakeQueue, token: str | None = None) -> AsyncIterator[aiohttp.ClientSession]:
    """Run a web app on a free port, and return a client."""
    store = Store(tmp_path / "web.sqlite")
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    files = PictureFiles(tmp_path / "pictures")
    page = WebApp(
        store, files.path, "127.0.0.1", 0, token, address.set_result, queue_status=queue.read, metrics=lambda: b"m 1\n"
    )
    task = asyncio.create_task(page.run(RefusingInbox(store)))
    async with aiohttp.ClientSession(await address) as session:
        yield session
    task.cancel()
    await asyncio.wait({task})


async def test_status_as_json(tmp_path: Path) -> None:
    """The status has jobs and workers, the threads of the web app only, and no names."""
    queue = FakeQueue(QueueStatus((RUNNING, WAITING), (WORKER,), {"<model>": 0.5}))
    async with site(tmp_path, queue) as session, session.get("/api/queue") as response:
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


def test_status_has_the_first_200_jobs() -> None:
    """The counts include all jobs."""
    status = status_json(QueueStatus((WAITING,) * (MAX_JOBS + 5)))
    assert (len(status.waiting), status.counts.waiting) == (MAX_JOBS, MAX_JOBS + 5)


async def states(session: aiohttp.ClientSession) -> AsyncIterator[dict[str, Any]]:
    """Read the events of the stream."""
    async with session.get("/api/queue/events") as stream:
        async for line in stream.content:
            if line.startswith(b"data:"):
                check_event("/api/queue/events", "queue", json.loads(line[5:]))
                yield json.loads(line[5:])


async def test_stream_sends_changes_only(tmp_path: Path) -> None:
    """The stream sends the status at once, then after each change other than the passing of time."""
    queue = FakeQueue(QueueStatus((RUNNING, WAITING)))
    async with site(tmp_path, queue) as session:
        stream = states(session)
        assert (await anext(stream))["running"][0]["fraction"] == 0.25
        queue.status = QueueStatus((replace(RUNNING, waited=10.0, eta=3.0), replace(WAITING, waited=3.0)))
        for _ in range(queue.reads.qsize() + 1):  # until the stream has read the new status
            await queue.reads.get()
        queue.status = QueueStatus((replace(RUNNING, fraction=0.5, waited=11.0), WAITING))
        state = await anext(stream)
        assert (state["running"][0]["fraction"], state["running"][0]["waited"]) == (0.5, 11.0)


async def test_token_protects_the_queue(tmp_path: Path) -> None:
    """The page, its data and the metrics need the token; Prometheus sends it as a bearer token."""
    paths = ("/queue", "/metrics", "/api/queue", "/api/queue/events", "/static/queue.js")
    async with site(tmp_path, FakeQueue(), "s3cret") as session:
        for path in paths:
            async with session.get(path) as response:
                assert response.status == 401
        async with session.get("/metrics", headers={"Authorization": "Bearer s3cret"}) as response:
            assert (response.content_type, await response.read()) == ("text/plain", b"m 1\n")


async def test_page_has_no_inline_scripts_and_styles(tmp_path: Path) -> None:
    """The page has a content security policy and follows it."""
    async with site(tmp_path, FakeQueue()) as session, session.get("/queue") as response:
        assert "default-src 'self'" in response.headers["Content-Security-Policy"]
        page = await response.text()
        assert page.count("<script") == page.count('<script type="module" src="/static/') == 1
        assert " style=" not in page
        assert " onclick=" not in page


@pytest.mark.parametrize(
    ("state", "note"),
    [
        (Queued(0), "next"),
        (Queued(3), "3 images ahead"),
        (Queued(None), "waiting for a worker"),
        (Queued(0, 0.2), "next, ready in about 1 sec"),
        (Queued(3, 21.9), "3 images ahead, ready in about 20 sec"),
        (Queued(9, 57.4), "9 images ahead, ready in about 55 sec"),
        (Queued(9, 58.0), "9 images ahead, ready in about 1 min"),
        (Queued(9, 125.0), "9 images ahead, ready in about 2 min"),
        (Queued(9, 7300.0), "9 images ahead, ready in about 2 hr"),
    ],
)
def test_waiting_image_shows_its_estimate(state: Queued, note: str) -> None:
    """The note has the position, and the estimate if there is one, rounded to its precision."""
    assert serializers.part(PicturePart(0, 1, Operation.GENERATE, "p", state)).model_dump()["note"] == note


async def test_old_paths_and_old_keys_still_work(tmp_path: Path) -> None:
    """Scripts for earlier versions use other paths, keys and another event name."""
    status = QueueStatus((RUNNING,))
    async with site(tmp_path, FakeQueue(status)) as session:
        for old, new in OLD_PATHS.items():
            if "{" in old or old.endswith("events"):
                continue
            async with session.get(old) as response, session.get(new) as expected:
                assert (response.status, await response.read()) == (200, await expected.read())
        for path, name in (("/api/line/events", b"event: line"), ("/api/queue/events", b"event: queue")):
            async with session.get(path) as stream:
                assert (await stream.content.readline()).strip() == name
