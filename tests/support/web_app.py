"""The web app with a real dispatcher and real commands, and a client for it."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from adapters.web.server import WebApp
from bot.capabilities import ModelCapabilities
from bot.commands.lineage import build_tree
from bot.commands.thread_export import ThreadExport
from bot.conversation.dispatcher import Dispatcher, DispatcherOptions
from bot.storage.picture_files import PictureFiles
from bot.storage.store import Store
from tests.support.doubles import ScriptedModel
from tests.support.images import Filing, PaintingRenderer
from tests.support.openapi_check import check_event, check_exchange
from tests.support.records import commands_of


@dataclass
class RunningWebApp:
    """A running web app, the dispatcher behind it, and a client."""

    url: str
    session: aiohttp.ClientSession
    model: ScriptedModel
    renderer: PaintingRenderer
    store: Store

    async def get(self, path: str) -> tuple[int, Any]:
        """Return the status and the JSON, or the bytes, of an address."""
        async with self.session.get(self.url + path) as response:
            if response.content_type != "application/json":
                return response.status, await response.read()
            answer = await response.json()
            check_exchange("GET", path, None, response.status, answer)
            return response.status, answer

    async def post(self, path: str, body: object) -> tuple[int, Any]:
        """Return the status and the JSON of a POST."""
        async with self.session.post(self.url + path, json=body) as response:
            answer = await response.json()
            check_exchange("POST", path, body, response.status, answer)
            return response.status, answer

    async def thread(self) -> str:
        """Open a thread, and return its address."""
        return f"/api/threads/{(await self.post('/api/threads', {}))[1]['id']}"

    async def command(self, thread: str, name: str, **arguments: str) -> dict[str, Any]:
        """Run a command that must succeed, and return its result."""
        status, answer = await self.post(f"{thread}/commands", {"author": "Ann", "name": name, "arguments": arguments})
        assert status == 200, answer
        return dict(answer)

    async def say(self, thread: str, script: str, text: str = "draw", **more: object) -> dict[str, Any]:
        """Send a message that the chat model answers with the script, and return the final reply."""
        self.model.scripts.append([script])
        status, answer = await self.post(f"{thread}/messages", {"author": "Ann", "text": text, **more})
        assert status == 200, answer
        return await self.final(thread, answer["message_id"])

    async def final(self, thread: str, message_id: str) -> dict[str, Any]:
        """Wait until the reply to a message is final and stored, and return it."""
        async with self.watch(thread) as events:
            async for _, reply in events:
                if reply.get("reply_to") == message_id and reply["final"]:
                    break
        while not ((entry := self.store.entry(message_id)) and entry.view):
            await asyncio.sleep(0)
        return dict(reply)

    @asynccontextmanager
    async def watch(self, thread: str) -> AsyncGenerator[AsyncGenerator[tuple[str, dict[str, Any]]]]:
        """Return the events of the thread's stream, each with its name."""

        async def events(response: aiohttp.ClientResponse) -> AsyncGenerator[tuple[str, dict[str, Any]]]:
            name = ""
            async for line in response.content:
                field, _, value = line.decode().strip().partition(": ")
                if field == "event":
                    name = value
                if field == "data":
                    check_event(f"{thread}/events", name, json.loads(value))
                    yield name, json.loads(value)

        async with self.session.get(f"{self.url}{thread}/events") as response:
            yield events(response)


@asynccontextmanager
async def running_web_app(folder: Path) -> AsyncGenerator[RunningWebApp]:
    """Run a web app with a dispatcher, and with images that have files."""
    store, files = Store(folder / "test.sqlite"), PictureFiles(folder / "pictures")
    model, renderer = ScriptedModel([]), PaintingRenderer(store, files)
    renderer.capabilities = ModelCapabilities(ratios=True, negatives=True)
    commands = commands_of(store)
    dispatcher = Dispatcher(
        store,
        model,
        renderer,
        Filing(files),
        DispatcherOptions(),
        commands=commands,
        thread_export=ThreadExport(files.read),
    )
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    page = WebApp(
        store,
        files.path,
        "127.0.0.1",
        0,
        None,
        ready.set_result,
        lineage=lambda thread: build_tree(store.pictures(thread)),
    )
    serving = asyncio.create_task(dispatcher.run({"web": page}))
    async with asyncio.timeout(60), aiohttp.ClientSession() as session:
        yield RunningWebApp(await ready, session, model, renderer, store)
    serving.cancel()
    await asyncio.wait({serving})
    store.close()
