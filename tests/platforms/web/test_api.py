"""The API of threads, messages and buttons over a real socket."""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapters.web.server import WebApp
from bot.domain import (
    MANAGER,
    OWNER,
    Action,
    Button,
    ButtonPress,
    Failed,
    ImageRequest,
    Incoming,
    Message,
    Operation,
    Part,
    Person,
    Picture,
    PicturePart,
    Queued,
    Rendered,
    Rendering,
    RenderUpdate,
    Sampling,
    TextPart,
    ThreadKey,
    View,
)
from bot.storage.picture_files import PictureFiles
from bot.storage.store import Store
from tests.support.doubles import NoCommands
from tests.support.openapi_check import check_event, check_exchange

ANN = Person("Ann", "Ann", frozenset({MANAGER, OWNER}))


@dataclass
class RecordingInbox(NoCommands):
    """Stores messages and records all events."""

    store: Store
    events: list[Incoming] = field(default_factory=list)

    async def accept(self, event: Incoming) -> str:
        """Return the id of the message that the bot answers; a repeated message changes nothing."""
        self.events.append(event)
        if isinstance(event, ButtonPress) and event.action is not Action.VARY:
            return event.target
        if isinstance(event, ButtonPress):
            event = Message(event.id, event.thread, event.author, f"More like #{event.target}", about=int(event.target))
        assert isinstance(event, Message)
        uploads = [replace(PICTURE, digest=f"{n:064x}") for n, _ in enumerate(event.uploads)]
        self.store.accept(event, uploads)
        return event.id


@dataclass
class Site:
    """A running web app, its store and files, and a client."""

    url: str
    page: WebApp
    store: Store
    files: PictureFiles
    inbox: RecordingInbox
    session: aiohttp.ClientSession

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        """Return the status and the JSON of an address."""
        async with self.session.get(self.url + path, headers=headers) as response:
            answer = await response.json()
            check_exchange("GET", path, None, response.status, answer)
            return response.status, answer

    async def post(self, path: str, body: object, content_type: str = "application/json") -> tuple[int, Any]:
        """Return the status and the JSON of a POST; bytes are sent unchanged."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.session.post(self.url + path, data=data, headers={"Content-Type": content_type}) as response:
            answer = await response.json()
            check_exchange("POST", path, body, response.status, answer)
            return response.status, answer

    async def thread(self) -> str:
        """Open a thread, and return its address."""
        return f"/api/threads/{(await self.post('/api/threads', {}))[1]['id']}"

    async def messages(self, thread: str) -> list[Any]:
        """Return all messages of a thread."""
        return list((await self.get(thread))[1]["messages"])

    @asynccontextmanager
    async def watch(self, thread: str) -> AsyncGenerator[AsyncGenerator[Any]]:
        """Return the messages of the thread's event stream."""

        async def events(response: aiohttp.ClientResponse) -> AsyncGenerator[Any]:
            assert response.content_type == "text/event-stream"
            async for line in response.content:
                name, _, value = line.decode().strip().partition(": ")
                assert name != "event" or value == "message"
                if name == "data":
                    message = json.loads(value)
                    check_event(f"{thread}/events", "message", message)
                    yield message

        async with self.session.get(f"{self.url}{thread}/events") as response:
            yield events(response)


@asynccontextmanager
async def site(folder: Path, token: str | None = None) -> AsyncGenerator[Site]:
    """Run a web app on a free port."""
    store, files = Store(folder / "test.sqlite"), PictureFiles(folder / "pictures")
    inbox, ready = RecordingInbox(store), asyncio.get_running_loop().create_future()
    page = WebApp(store, files.path, "127.0.0.1", 0, token, ready.set_result)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        serving = group.create_task(page.run(inbox))
        async with aiohttp.ClientSession() as session:
            yield Site(await ready, page, store, files, inbox, session)
        serving.cancel()
    store.close()


def key(thread: str) -> ThreadKey:
    """Return the key of the thread with this address."""
    return ThreadKey("web", "local", "page", thread.rpartition("/")[2])


PICTURE = Picture(
    2,
    "ab" * 32,
    64,
    48,
    "A red circle",
    ImageRequest(0, Operation.EDIT, "a red circle", source=1, sampling=Sampling(seed=7)),
    model="builtin",
    edit_method="image to image, strength 0.6",
    notes=("It could not be wider.",),
)
SHOWN = {
    "number": 2, "url": f"/pictures/{'ab' * 32}.png", "alt": "A red circle", "prompt": "a red circle", "seed": 7,
    "model": "builtin", "width": 64, "height": 48, "parent": 1, "operation": "edit", "refined": "",
    "way": "image to image, strength 0.6", "notes": ["It could not be wider."],
}  # fmt: skip
NO_PICTURE = {"type": "picture", "fraction": None, "note": None, "reason": None, "preview": None, "picture": None}


async def test_message_reaches_inbox_and_thread(tmp_path: Path) -> None:
    """A message reaches the inbox as a value, and the thread contains it with all fields of the API."""
    async with site(tmp_path) as here:
        thread = await here.thread()
        picture = base64.b64encode(b"\x89PNG").decode()
        body = {"id": "m-1", "text": "Hi *you*", "author": " Ann \n Lee ", "pictures": [picture], "about": 3}
        for _ in range(2):  # a repeated request changes nothing
            assert await here.post(f"{thread}/messages", body) == (200, {"message_id": "m-1"})
        ann = Person("Ann Lee", "Ann Lee", frozenset({MANAGER, OWNER}))
        assert here.inbox.events[0] == Message("m-1", key(thread), ann, "Hi *you*", (b"\x89PNG",), 3)
        question, reply = await here.messages(thread)
        upload = SHOWN | {"number": 1, "url": f"/pictures/{'0' * 64}.png"}
        assert question == {
            "id": "m-1", "author": "Ann Lee", "kind": "person", "final": True, "status": "", "about": 3,
            "parts": [
                {"type": "text", "markdown": "Hi *you*", "html": "<p>Hi <em>you</em></p>\n"},
                NO_PICTURE | {"number": 1, "state": "rendered", "picture": upload},
            ],
            "buttons": [
                {"action": name, "label": f"{name.title()} #1", "target": "1"}
                for name in ("vary", "edit", "upscale", "delete")
            ],
        }  # fmt: skip
        assert reply == {
            "id": "m-1.reply", "author": "Mini-DALL·E 3", "kind": "bot", "final": False, "status": "Waiting…",
            "about": None, "parts": [], "reply_to": "m-1",
            "buttons": [{"action": "stop", "label": "Stop", "target": "m-1"}],
        }  # fmt: skip
        (listed,) = (await here.get("/api/threads"))[1]["threads"]
        assert (listed.pop("updated") > 0, listed) == (True, {"id": key(thread).thread, "title": "Hi *you*"})
        answers = [await here.post(f"{thread}/messages", {"text": "Hi \ud800"}) for _ in range(2)]
        assert answers[0] != answers[1]  # each without an id gets its own
        assert [each["author"] for each in await here.messages(thread)][2::2] == ["Guest", "Guest"]


async def test_reply_has_every_state_of_its_images(tmp_path: Path) -> None:
    """Text and images keep their order, and each state of an image has its own fields."""
    async with site(tmp_path) as here:
        thread = await here.thread()
        await here.post(f"{thread}/messages", {"id": "m", "text": "Hi"})
        states: list[RenderUpdate] = [
            Queued(0),
            Queued(2),
            Rendering(0.5),
            Rendering(0.75, b"\xff"),
            Rendered(PICTURE),
            Failed("No."),
        ]
        parts: list[Part] = [TextPart("Look:")]
        parts += [PicturePart(n, n, Operation.EDIT, "", state) for n, state in enumerate(states, 1)]
        await here.page.surface(key(thread), "m").put(
            View(tuple(parts), "Generating…", (Button(Action.STOP, "Stop", "m"),))
        )
        reply = (await here.messages(thread))[1]
        assert (reply["status"], reply["final"]) == ("Generating…", False)
        assert reply["buttons"] == [{"action": "stop", "label": "Stop", "target": "m"}]
        assert reply["parts"] == [
            {"type": "text", "markdown": "Look:", "html": "<p>Look:</p>\n"},
            NO_PICTURE | {"number": 1, "state": "queued", "note": "next"},
            NO_PICTURE | {"number": 2, "state": "queued", "note": "2 images ahead"},
            NO_PICTURE | {"number": 3, "state": "rendering", "fraction": 0.5},
            NO_PICTURE
            | {"number": 4, "state": "rendering", "fraction": 0.75, "preview": "data:image/jpeg;base64,/w=="},
            NO_PICTURE | {"number": 2, "state": "rendered", "fraction": 1.0, "picture": SHOWN},
            NO_PICTURE | {"number": 6, "state": "failed", "reason": "No."},
        ]
        final = View((TextPart("Done."),), final=True)
        await here.page.surface(key(thread), "m").put(final)
        here.store.finish("m", final)
        reply = (await here.messages(thread))[1]
        assert (reply["parts"][0]["markdown"], reply["final"]) == ("Done.", True)


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("**a** `b`\n\n- c", "<p><strong>a</strong> <code>b</code></p>\n<ul>\n<li>c</li>\n</ul>\n"),
        ("[a](https://b.c/)", '<p><a href="https://b.c/">a</a></p>\n'),
        ("<b>a</b><script>x</script>", "<p>&lt;b&gt;a&lt;/b&gt;&lt;script&gt;x&lt;/script&gt;</p>\n"),
        ("[a](javascript:b)", "<p>[a](javascript:b)</p>\n"),
        ("<JavaScript:b>", "<p>&lt;JavaScript:b&gt;</p>\n"),
        ("![a](https://b.c/d.png)", None),
        ("![a][1]\n\n[1]: https://b.c/d.png", None),
    ],
)
async def test_markdown_becomes_safe_html(tmp_path: Path, markdown: str, html: str | None) -> None:
    """Text of users and of the chat model never becomes raw HTML, images of other sites or scripts."""
    async with site(tmp_path) as here:
        thread = await here.thread()
        await here.post(f"{thread}/messages", {"id": "m", "text": markdown})
        await here.page.surface(key(thread), "m").put(View((TextPart(markdown),)))
        shown = [message["parts"][0]["html"] for message in await here.messages(thread)]
    for each in shown:
        assert html is None or each == html
        assert not any(active in each.lower() for active in ("<img", "<script", "<b>", 'href="java', 'href="data'))


async def test_each_message_is_followed_by_its_reply(tmp_path: Path) -> None:
    """The order of the event stream is the same, while earlier replies are still running."""
    async with site(tmp_path) as here:
        thread = await here.thread()
        async with here.watch(thread) as events:
            for message_id in ("m-1", "m-2"):
                await here.post(f"{thread}/messages", {"id": message_id, "text": "one\ntwo"})
            seen = [await anext(events) for _ in range(4)]
        assert [each["id"] for each in seen] == ["m-1", "m-1.reply", "m-2", "m-2.reply"]
        assert [each["id"] for each in await here.messages(thread)] == [each["id"] for each in seen]
        assert "one<br />\ntwo" in seen[0]["parts"][0]["html"]


async def test_all_pages_get_the_same_events(tmp_path: Path) -> None:
    """A page first gets all messages, then each changed message."""
    async with site(tmp_path) as here:
        thread, other = await here.thread(), await here.thread()
        await here.post(f"{thread}/messages", {"id": "m", "text": "Hi"})
        async with here.watch(thread) as ann, here.watch(thread) as bob:
            for events in (ann, bob):
                assert [await anext(events) for _ in range(2)] == await here.messages(thread)
            await here.page.surface(key(other), "x").put(View((TextPart("elsewhere"),)))
            await here.page.surface(key(thread), "m").put(View((TextPart("One\n\ntwo"),)))
            await here.post(f"{thread}/messages", {"id": "n", "text": "And?"})
            _, reply, question, _ = await here.messages(thread)
            for events in (ann, bob):
                assert [await anext(events) for _ in range(2)] == [reply, question]
        async with here.watch(thread) as late:
            assert [(await anext(late))["id"] for _ in range(4)] == ["m", "m.reply", "n", "n.reply"]


async def test_button_press_reaches_the_inbox(tmp_path: Path) -> None:
    """Stop and Retry name a reply; Vary becomes a message; Edit returns the image that the message will be about."""
    async with site(tmp_path) as here:
        thread = await here.thread()
        press: dict[str, Any] = {"id": "b", "author": "Ann", "action": "stop", "target": "m"}
        assert await here.post(f"{thread}/buttons", press) == (200, {"message_id": "m"})
        assert here.inbox.events == [ButtonPress("b", key(thread), ANN, Action.STOP, "m")]
        async with here.watch(thread) as events:
            vary = press | {"action": "vary", "target": 4}
            assert await here.post(f"{thread}/buttons", vary) == (200, {"message_id": "b"})
            assert (await anext(events))["parts"][0]["markdown"] == "More like #4"
        assert await here.post(f"{thread}/buttons", press | {"action": "edit", "target": "3"}) == (200, {"about": 3})
        assert len(here.inbox.events) == 2


@pytest.mark.parametrize(
    ("path", "body", "status", "error"),
    [
        ("messages", b"{", 400, "not JSON"),
        ("messages", b"\xff\xfe{}", 400, "not JSON"),
        ("messages", b"[" * 100_000, 400, "not JSON"),
        ("messages", {"text": 7}, 400, "'text'"),
        ("messages", {"text": "Hi", "author": ["Ann"]}, 400, "'author'"),
        ("messages", {"text": "Hi", "id": "../x"}, 400, "'id'"),
        ("messages", {"text": "Hi", "about": "1"}, 400, "'about'"),
        ("messages", {"text": "Hi", "about": True}, 400, "'about'"),
        ("messages", {"text": "Hi", "about": 2**63}, 400, "'about'"),
        ("messages", {"text": "Hi", "about": 1, "region": "1,1 2"}, 400, "3 to 100 corners"),
        ("messages", {"text": "Hi", "region": "0,0 1,0 1,1"}, 400, "needs 'about'"),
        ("messages", {"text": "Hi", "about": 1, "region": 7}, 400, "'region'"),
        ("messages", {"text": "Hi", "pictures": ["%%%"]}, 400, "base64"),
        ("messages", {"text": "Hi", "pictures": [7, None]}, 400, "base64"),
        (
            "buttons",
            {"target": "1"},
            400,
            "'action' must be one of stop, cancel, retry, vary, edit, redo, upscale, delete.",
        ),
        ("buttons", {"action": "explode", "target": "1"}, 400, "'action'"),
        ("buttons", {"action": "stop"}, 400, "'target'"),
        ("buttons", {"action": "stop", "target": [1]}, 400, "'target'"),
        ("buttons", {"action": "edit", "target": "9" * 5000}, 400, "'target'"),
        ("nothing", {}, 404, "nothing at this address"),
        ("events", {}, 405, "does not accept this method"),
    ],
)
async def test_wrong_request_is_refused(tmp_path: Path, path: str, body: object, status: int, error: str) -> None:
    """Each error has its status and a sentence, and nothing is stored."""
    async with site(tmp_path) as here:
        thread = await here.thread()
        found, answer = await here.post(f"{thread}/{path}", body)
        assert (found, list(answer)) == (status, ["error"])
        assert error in answer["error"]
        assert answer["error"].endswith(".")
        assert not here.inbox.events


async def test_unknown_threads_are_not_found(tmp_path: Path) -> None:
    """A thread that was never opened is not found, whatever its id looks like."""
    async with site(tmp_path) as here:
        for name in ("nobody", "a%2Fb", "..%2F..%2Fetc", "x" * 99, "%00"):
            thread = f"/api/threads/{name}"
            answers = [await here.get(thread), await here.get(f"{thread}/events")]
            answers += [await here.post(f"{thread}/{what}", {"text": "Hi"}) for what in ("messages", "buttons")]
            assert answers == [(404, {"error": "There is no such conversation."})] * 4


async def test_only_json_is_accepted(tmp_path: Path) -> None:
    """A form of another site cannot post: browsers ask before they send JSON to another site."""
    async with site(tmp_path) as here:
        thread = await here.thread()
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            refusal = (415, {"error": "A POST must have the content type application/json."})
            assert await here.post(f"{thread}/messages", {"text": "Hi"}, kind) == refusal
            assert await here.post("/api/threads", {}, kind) == refusal
        async with here.session.options(f"{here.url}{thread}/messages", headers={"Origin": "http://x.org"}) as response:
            assert response.status == 405
            assert not [name for name in response.headers if name.startswith("Access-Control")]


async def test_only_images_of_a_thread_are_served(tmp_path: Path) -> None:
    """A file that no thread contains is not found, and neither is a name that is not a digest."""
    async with site(tmp_path) as here:
        known, unknown = here.files.put(b"known"), here.files.put(b"unknown")
        thread = await here.thread()
        gone = "0" * 64
        here.store.accept(
            Message("m", key(thread), ANN, ""), [replace(PICTURE, digest=known), replace(PICTURE, digest=gone)]
        )
        (tmp_path / "x.png").write_bytes(b"secret")
        async with here.session.get(f"{here.url}/pictures/{known}.png") as response:
            assert (response.status, response.content_type, await response.read()) == (200, "image/png", b"known")
            assert "immutable" in response.headers["Cache-Control"]
        for digest in (unknown, gone, known.upper(), "..%2Fx", "..%2F..%2Fx", f"%2e%2f{known}", "%00"):
            assert await here.get(f"/pictures/{digest}.png") == (404, {"error": "There is no such image."})
