"""What is killed: the bot, and whatever renders."""

import asyncio
import os
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from tests.support.programs import environment


class Victim(Protocol):
    """A process that is killed again and again."""

    async def start(self) -> None:
        """Have it serve (again); nothing is left of the one before."""
        ...

    async def kill(self) -> None:
        """End it, or a part of it, without warning, and wait until that is gone."""
        ...

    async def stop(self) -> None:
        """The last that is asked of it: nothing of it may stay. It may have been killed, or never started."""
        ...


class Engine(Victim, Protocol):
    """A victim that renders with `tests.support.fake_models.flat_worker`'s studio."""

    @property
    def url(self) -> str:
        """What RENDER_URLS is to be; it holds before the start, and over every kill."""
        ...

    @property
    def token(self) -> str:
        """What RENDER_TOKEN is to be; empty if there is none."""
        ...

    @property
    def log(self) -> Path:
        """Where FLAT_LOG goes to."""
        ...


class Command:
    """`python -m MODULE`, which prints a line when it serves. Its standard error goes to a file."""

    def __init__(self, arguments: tuple[str, ...], settings: Mapping[str, str], errors: Path) -> None:
        self._arguments = arguments
        self._environment = dict(settings)
        self._errors = errors
        self._process: Process | None = None

    async def start(self) -> None:
        """Start it, and wait until it serves."""
        with self._errors.open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", *self._arguments, stdout=PIPE, stderr=errors, env=self._environment
            )
        assert self._process.stdout
        if not await self._process.stdout.readline():
            raise AssertionError(f"{self._arguments[0]} ended before it served: see {self._errors}")

    async def kill(self) -> None:
        """`kill -9`, and wait until its children, which hold the other end of its output, are gone as well."""
        assert self._process
        assert self._process.returncode is None, f"{self._arguments[0]} ended by itself: see {self._errors}"
        await self.stop()

    async def stop(self) -> None:
        """The same, alive or not."""
        if self._process:
            if self._process.returncode is None:
                self._process.kill()
            await self._process.communicate()


class FlatEngine(Command):
    """A render worker of one process and its device's process, on a port that stays."""

    token = ""

    def __init__(self, folder: Path, step_time: float, largest_batch: int) -> None:
        """`step_time` in seconds."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / "renders.jsonl"
        own = {
            "FLAT_LOG": str(self.log),
            "FLAT_STEP_TIME": str(step_time),
            "FLAT_BATCH": str(largest_batch),
            "FLAT_CACHE": str(folder / "results"),
        }
        super().__init__(("tests.support.chaos.worker", str(port)), os.environ | own, folder / "engine.log")


class BotProcess(Command):
    """`tests.support.chaos.bot`."""

    def __init__(self, folder: Path, chat_url: str, engine: Engine) -> None:
        self.data_dir = folder / "data"
        settings = environment(self.data_dir, CHAT_URL=chat_url, RENDER_URLS=engine.url, RENDER_TOKEN=engine.token)
        super().__init__(("tests.support.chaos.bot",), settings, folder / "bot.log")
