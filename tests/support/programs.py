"""The whole program as a process of its own, and a script's way to talk to it."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.paths import ROOT

OURS = ("OPENAI", "LLM_", "WEB_", "RENDER", "DISCORD", "SLACK", "MODERATION")


def environment(data_dir: Path, **more: str) -> dict[str, str]:
    """What the program is started with: nothing of whoever runs the tests that could change what it does."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return own | {"DATA_DIR": str(data_dir), "WEB_PORT": "0", "PYTHONPATH": str(ROOT)} | more


class Program:
    """`python -m bot` on a folder and a port of its own; it can be killed and started again."""

    def __init__(self, data_dir: Path, **more: str) -> None:
        self._environment = environment(data_dir, **more)
        self._folder = data_dir.parent  # not that of the source, which may hold somebody's `.env`
        self._process: Process | None = None
        self.url = ""

    async def start(self) -> None:
        """Start it, and wait until it has printed its address."""
        command = [sys.executable, "-m", "bot"]
        self._process = await asyncio.create_subprocess_exec(
            *command, stdout=PIPE, cwd=self._folder, env=self._environment, start_new_session=True
        )
        assert self._process.stdout
        async for line in self._process.stdout:
            if b"http://" in line:
                self.url = line.split()[-1].decode()
                return
        await self._process.wait()
        raise AssertionError("the program ended before it listened")

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process
        return self._process.pid

    async def kill(self) -> None:
        """End it as a power cut would, without a chance to tidy up."""
        if self._process and self._process.returncode is None:
            self._process.kill()
        await self._gone()

    async def stop(self) -> int:
        """End it as an operator would; its exit status."""
        if self._process and self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        return await self._gone()

    async def _gone(self) -> int:
        assert self._process and self._process.stdout
        await self._process.stdout.read()  # until its worker, which holds the other end too, is gone as well
        return await self._process.wait()


class Client:
    """A script that uses the JSON API."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._session = aiohttp.ClientSession()

    async def close(self) -> None:
        """Let go of the connections."""
        await self._session.close()

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to a POST, its status included."""
        async with self._session.post(self._program.url + path, json=body) as response:
            return dict(await response.json()) | {"http": response.status}

    async def get(self, path: str) -> Any:
        """The answer to a GET."""
        async with self._session.get(self._program.url + path) as response:
            return await (response.json() if response.content_type == "application/json" else response.read())

    async def say(self, thread: str, text: str, about: int | None = None, author: str = "Ann") -> dict[str, Any]:
        """Post a message, and wait for the final reply to it."""
        posted = await self.post(f"/api/threads/{thread}/messages", {"author": author, "text": text, "about": about})
        assert posted["http"] == 200, posted
        return await self.final(thread, posted["message_id"])

    async def final(self, thread: str, message_id: str) -> dict[str, Any]:
        """The reply to a message when it is final."""
        return await self.until(thread, lambda m: m.get("reply_to") == message_id and m["final"])

    async def until(self, thread: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first message object on the event stream that is wanted."""
        async with self._session.get(f"{self._program.url}/api/threads/{thread}/events") as stream:
            async for line in stream.content:
                if line.startswith(b"data:"):
                    message = json.loads(line[5:])
                    if wanted(message):
                        return dict(message)
        raise ConnectionError("the event stream ended")


def numbers(reply: dict[str, Any]) -> list[int]:
    """The numbers of the finished pictures of a reply."""
    return [part["number"] for part in reply["parts"] if part["type"] == "picture" and part["state"] == "rendered"]
