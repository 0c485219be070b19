"""Access to the web app, refused requests, and the messages of the API."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapters.web.server import WebApp
from bot.domain import (
    Action,
    Button,
    Failed,
    Incoming,
    Message,
    Operation,
    PicturePart,
    PlaceRemoved,
    Queued,
    Rendered,
    Rendering,
    TextPart,
    View,
)
from bot.errors import ConfigError, Refused, StorageError
from bot.storage.picture_files import PictureFiles
from bot.storage.store import Store
from tests.support.doubles import NoCommands, picture
from tests.support.openapi_check import check_exchange


class RefusingInbox(NoCommands):
    """Stores messages and records events; refuses the messages `no` and `full`."""

    def __init__(self, store: Store) -> None:
        self.events: list[Incoming] = []
        self._store = store

    async def accept(self, event: Incoming) -> str:
        """Record the event."""
        self.events.append(event)
        if isinstance(event, Message):
            if event.text == "no":
                raise Refused("Not this.")
            if event.text == "full":
                raise StorageError("Nothing was recorded.")
            self._store.accept(event)
        assert not isinstance(event, PlaceRemoved)
        return event.id


class Site:
    """A running web app with its inbox, and a client."""

    def __init__(
        self, page: WebApp, store: Store, inbox: RefusingInbox, url: str, session: aiohttp.ClientSession
    ) -> None:
        self.page, self.store, self.inbox, self.url, self.session = page, store, inbox, url, session

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Return the status and the JSON of a request."""
        data = None if body is None else body if isinstance(body, str) else json.dumps(body)
        headers = {"Content-Type": "application/json"} | {
            key.replace("_", "-"): value for key, value in headers.items()
        }
        async with self.session.request(
            method, self.url + path, data=data, headers=headers, allow_redirects=False
        ) as response:
            answer = await response.json() if "json" in response.content_type else None
            if answer is not None:
                check_exchange(method, path, body, response.status, answer)
            return response.status, answer

    async def thread(self) -> str:
        """Open a thread, and return its id."""
        return str((await self.call("POST", "/api/threads", {}))[1]["id"])


@asynccontextmanager
async def running(tmp_path: Path, token: str | None = None) -> AsyncIterator[Site]:
    """Run a web app on a free port."""
    store = Store(tmp_path / "web.sqlite")
    inbox = RefusingInbox(store)
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    page = WebApp(store, PictureFiles(tmp_path / "pictures").path, "127.0.0.1", 0, token, address.set_result)
    task = asyncio.create_task(page.run(inbox))
    async with aiohttp.ClientSession() as session:
        yield Site(page, store, inbox, await address, session)
    task.cancel()
    await asyncio.wait({task})


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """A running web app without a token."""
    async with running(tmp_path) as site:
        yield site


async def test_message_reaches_the_inbox(site: Site) -> None:
    """All fields of a message reach the inbox, and its id stays the same."""
    thread = await site.thread()
    sent = base64.b64encode(b"file").decode()
    body = {"id": "my-1", "author": " Ann  B ", "text": "hi", "about": 3, "pictures": [sent]}
    assert await site.call("POST", f"/api/threads/{thread}/messages", body) == (200, {"message_id": "my-1"})
    (event,) = site.inbox.events
    assert isinstance(event, Message)
    assert (event.id, event.author.name, event.text, event.about, event.uploads) == (
        "my-1",
        "Ann B",
        "hi",
        3,
        (b"file",),
    )
    assert event.thread.thread == thread


REFUSED = [
    ("messages", "not json", 400),
    ("messages", "[]", 400),
    ("messages", {"text": 7}, 400),
    ("messages", {"text": "x", "about": "one"}, 400),
    ("messages", {"text": "x", "about": True}, 400),
    ("messages", {"text": "x", "pictures": "abc"}, 400),
    ("messages", {"text": "x", "pictures": ["?"]}, 400),
    ("messages", {"text": "x", "pictures": [7]}, 400),
    ("messages", {"text": "x", "id": "../x"}, 400),
    ("messages", {"text": "no"}, 400),
    ("messages", {"text": "full"}, 503),
    ("buttons", {"action": "explode", "target": "1"}, 400),
    ("buttons", {"action": "vary"}, 400),
    ("buttons", {"action": ["vary"], "target": "1"}, 400),
]


@pytest.mark.parametrize(("path", "body", "status"), REFUSED)
async def test_wrong_request_is_refused_with_a_sentence(site: Site, path: str, body: Any, status: int) -> None:
    """Each error has its status and a sentence."""
    seen, answer = await site.call("POST", f"/api/threads/{await site.thread()}/{path}", body)
    assert seen == status
    assert answer["error"].endswith(".")


@pytest.mark.parametrize(
    "path",
    ["/api/threads/none", "/api/threads/none/events", "/api/threads/%2e%2e", "/pictures/x.png", "/nothing",
     f"/pictures/{'0' * 64}.png", "/static/../server.py", "/pictures/..%2F..%2Fweb.sqlite.png"],
)  # fmt: skip
async def test_unknown_addresses_are_not_found(site: Site, path: str) -> None:
    """Guessed threads, images and paths answer 404."""
    assert (await site.call("GET", path))[0] == 404


async def test_image_of_no_thread_is_not_served(site: Site, tmp_path: Path) -> None:
    """A file in the folder is served only if a thread contains it."""
    digest = PictureFiles(tmp_path / "pictures").put(b"stray")
    assert (await site.call("GET", f"/pictures/{digest}.png"))[0] == 404


async def test_requests_of_other_sites_are_refused(site: Site) -> None:
    """Another host name and the content type of a form are refused."""
    assert (await site.call("GET", "/api/threads", Host="evil.example"))[0] == 403
    assert (await site.call("POST", "/api/threads", "{}", Content_Type="text/plain"))[0] == 415


async def test_token_protects_everything(tmp_path: Path) -> None:
    """Every request needs the token: in a header or, after one visit with it, in a cookie."""
    async with running(tmp_path, "s3cret") as site:
        for path in ("/", "/api/threads", "/static/app.js", "/healthz", "/?token=wrong"):
            assert (await site.call("GET", path))[0] == 401
        assert (await site.call("GET", "/api/threads", Authorization="Bearer s3cret"))[0] == 200
        async with site.session.get(site.url + "/?token=s3cret", allow_redirects=False) as response:
            assert response.status == 303
            cookie = response.cookies["minidalle"]
            assert cookie["httponly"] and cookie["samesite"] == "Lax"
        assert (await site.call("GET", "/api/threads", Cookie="minidalle=s3cret"))[0] == 200


async def test_every_page_gets_every_change(site: Site) -> None:
    """Two pages get all messages, then each change; text is safe HTML, each image has its state."""
    thread = await site.thread()
    await site.call("POST", f"/api/threads/{thread}/messages", {"id": "m1", "author": "Ann", "text": "**<b>**"})
    event = site.inbox.events[0]
    assert isinstance(event, Message)
    surface = site.page.surface(event.thread, "m1")
    made = PicturePart(3, 4, Operation.EDIT, "p", Rendered(picture(4, "p", source=1)), 1)
    parts = (
        TextPart("![x](http://x/y.png) [l](javascript:alert(1)) <i>"),
        PicturePart(0, 1, Operation.GENERATE, "p", Queued(2)),
        PicturePart(1, 2, Operation.GENERATE, "p", Rendering(0.5, b"jpeg")),
        PicturePart(2, 3, Operation.GENERATE, "p", Failed("No.")),
        made,
    )
    view = View(parts, "Generating…", (Button(Action.STOP, "Stop", "m1"),))

    async def read_stream() -> list[dict[str, Any]]:
        seen: list[dict[str, Any]] = []
        async with site.session.get(f"{site.url}/api/threads/{thread}/events") as stream:
            async for line in stream.content:
                if line.startswith(b"data:"):
                    seen.append(json.loads(line[5:]))
                    if len(seen) == 2:
                        watching.release()
                    if seen[-1]["kind"] == "bot" and len(seen[-1]["parts"]) == 5:
                        return seen
        return seen

    watching = asyncio.Semaphore(0)
    watchers = [asyncio.create_task(read_stream()) for _ in range(2)]
    for _ in watchers:
        await watching.acquire()
    await surface.put(view)
    first, second = await asyncio.gather(*watchers)
    assert first == second
    question, _, reply = first
    assert (
        question["id"] == "m1"
        and question["final"]
        and question["parts"][0]["html"] == "<p><strong>&lt;b&gt;</strong></p>\n"
    )
    assert (reply["id"], reply["reply_to"], reply["final"], reply["status"]) == ("m1.reply", "m1", False, "Generating…")
    words, queued, rendering, failed, done = reply["parts"]
    assert "<img" not in words["html"] and 'href="javascript' not in words["html"] and "&lt;i&gt;" in words["html"]
    assert (queued["state"], queued["note"]) == ("queued", "2 images ahead")
    assert (rendering["state"], rendering["fraction"], rendering["preview"]) == (
        "rendering",
        0.5,
        "data:image/jpeg;base64,anBlZw==",
    )
    assert (failed["state"], failed["reason"]) == ("failed", "No.")
    assert done["picture"] == {
        "number": 4, "url": f"/pictures/{4:064x}.png", "alt": "p", "prompt": "p", "seed": 4, "model": "m",
        "width": 256, "height": 256, "parent": 1, "operation": "generate", "refined": "",
        "way": "", "notes": [],
    }  # fmt: skip
    assert reply["buttons"] == [{"action": "stop", "label": "Stop", "target": "m1"}]
    _, stored = await site.call("GET", f"/api/threads/{thread}")
    assert stored["messages"] == [question, reply]


async def test_port_in_use_is_reported(site: Site, tmp_path: Path) -> None:
    """The error names the variable to change."""
    port = int(site.url.rpartition(":")[2])
    page = WebApp(site.store, PictureFiles(tmp_path / "pictures").path, "127.0.0.1", port)
    with pytest.raises(ConfigError, match=f"WEB_PORT {port} is taken"):
        await page.run(site.inbox)
