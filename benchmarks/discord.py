"""Measures the cost of many replies at once on Discord: `python -m benchmarks.discord`.

Users mention the bot, each in a channel of their own; each gets a thread in which a chat model writes, with an image in
the middle that takes no time. No two answers keep step. Discord is a test double in a process of its own; everything
between is real: sockets, discord.py, adapter, dispatcher, turns, store, render queue, files. The baseline is the bare
library, which posts and edits the same text at the same times and does nothing else.
"""

import argparse
import asyncio
import io
import json
import logging
import random
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import discord
from rich.console import Console
from rich.table import Table

from adapters.discord import payloads
from adapters.discord.platform import Account, Discord
from benchmarks.queue import quantile_ms
from benchmarks.turn import NoAlbum
from bot.capabilities import ModelCapabilities, RefineMode
from bot.conversation.dispatcher import Dispatcher, DispatcherOptions
from bot.domain import ThreadKey, View
from bot.llm.messages import ChatMessage, ModelEvent, ModelProfile, StreamEnd, TextDelta, Tool
from bot.ports import Surface
from bot.storage.picture_files import PictureFiles
from bot.storage.store import Store
from render.protocol import Batch, ImageDone, Started, StepDone, WorkerEvent, WorkerReport
from render.queue.queue import RenderQueue
from tests.support.discord_server import TOKEN
from tests.support.scripted_bot import WatchedSurface

THREADS = 200
SPREAD = 10.0  # seconds over which they begin
CHUNKS, PACE = 60, 0.05  # seconds from one to the next, in the mean
TICK = 0.005  # seconds between two looks at how late the loop is
PNG = b"\x89PNG" + bytes(60_000)
RECORD_DELAY = 0.5  # seconds from the last view to its record, at most
TIMEOUT = 120.0  # seconds for all of it
CHANNEL_LIMIT = 5  # writes of a channel in 5 seconds
GLOBAL_LIMIT = 50  # requests a second; Discord docs, topics/rate-limits


def next_pause() -> float:
    """Return the seconds to the next chunk, random so that no two answers keep step."""
    return random.uniform(0.5, 1.5) * PACE


class PacedModel:
    """Writes a chunk every PACE seconds, with an image request in the middle."""

    profile = ModelProfile()

    async def stream(self, history: Sequence[ChatMessage], tools: Sequence[Tool] = ()) -> AsyncGenerator[ModelEvent]:
        """Stream the script."""
        due = time.perf_counter()
        for nth in range(CHUNKS):
            due += next_pause()
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            yield TextDelta("<image>a sun</image>" if nth == CHUNKS // 2 else f"word{nth} ")
        yield StreamEnd()


class InstantEngine:
    """A worker that always has free slots and takes no time."""

    name = "instant"

    async def slots(self) -> WorkerReport:
        """Report that all slots are free."""
        return WorkerReport(8, 8, "instant", capabilities=ModelCapabilities())

    async def run(self, batch: Batch) -> AsyncGenerator[WorkerEvent]:
        """Report one step, then all images."""
        yield Started()
        yield StepDone(0.5)
        for task in batch.tasks:
            yield ImageDone(task.id, PNG + task.id.encode(), 256, 256, "instant")


class CountingDiscord(Discord):
    """The Discord platform, which reports each reply that is shown to its end."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.final: asyncio.Queue[None] = asyncio.Queue()

    def surface(self, thread: ThreadKey, message_id: str) -> Surface:
        """Return the surface of the platform, which reports a final view after RECORD_DELAY seconds."""

        def on_shown(view: View) -> None:
            if view.final:
                asyncio.get_running_loop().call_later(RECORD_DELAY, self.final.put_nowait, None)

        return WatchedSurface(super().surface(thread, message_id), on_shown)


class BareDiscord(discord.AutoShardedClient):
    """The library alone: posts the same text at the same times and does nothing else."""

    def __init__(self) -> None:
        intents = discord.Intents(guilds=True, guild_messages=True, message_content=True)
        super().__init__(intents=intents, max_messages=None, chunk_guilds_at_startup=False)
        self.final: asyncio.Queue[None] = asyncio.Queue()

    async def on_message(self, message: discord.Message) -> None:
        """Answer a mention."""
        if self.user not in message.mentions:
            return
        thread = await message.create_thread(name="draw a sun")
        words, said = "", await thread.send("-# Thinking…")
        due = shown = time.perf_counter()
        for nth in range(CHUNKS):
            due += next_pause()
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            if nth == CHUNKS // 2:
                await said.edit(content=words)
                await thread.send("**#1**", file=discord.File(io.BytesIO(PNG), "a-sun.png"))
                words, said = "", await thread.send("-# Writing…")
            else:
                words += f"word{nth} "
            if due - shown >= 1:
                shown = due
                await said.edit(content=words or "…")
        await said.edit(content=words)
        self.final.put_nowait(None)


@dataclass
class DiscordDouble:
    """The test double of Discord in its own process."""

    process: Process
    api: str
    gateway: str
    cdn: str

    async def ask(self, **command: Any) -> dict[str, Any]:
        """Send a line of JSON and return the answer."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(command).encode() + b"\n")
        return dict(json.loads(await self.process.stdout.readline()))


@asynccontextmanager
async def discord_double() -> AsyncIterator[DiscordDouble]:
    """Start a new test double of Discord."""
    command = [sys.executable, "-m", "tests.support.discord_server"]
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, limit=2**26)
    assert process.stdin
    assert process.stdout
    try:
        yield DiscordDouble(process, **json.loads(await process.stdout.readline()))
    finally:
        process.stdin.close()
        await process.wait()


@dataclass
class DiscordMeasurement:
    """The measurements of one run. Times are in seconds."""

    opened: list[float] = field(default_factory=list)
    firsts: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    busy: float = 0.0  # share of one core
    lost: int = 0
    busiest: int = 0
    most_a_second: int = 0
    limited: int = 0


async def watch_lag(lags: list[float]) -> None:
    """Record the lag of the event loop, until cancelled."""
    while True:
        due = time.perf_counter() + TICK
        await asyncio.sleep(TICK)
        lags.append(time.perf_counter() - due)


async def ask_and_wait(
    server: DiscordDouble, final: "asyncio.Queue[None]", threads: int, seconds: float
) -> DiscordMeasurement:
    """Let users ask, and wait for all replies."""
    outcome = DiscordMeasurement()
    watching = asyncio.create_task(watch_lag(outcome.lags))
    began, used = time.perf_counter(), time.process_time()
    async with asyncio.timeout(TIMEOUT):
        await server.ask(threads=threads, seconds=seconds)
        for _ in range(threads):
            await final.get()
    outcome.busy = (time.process_time() - used) / (time.perf_counter() - began)
    watching.cancel()
    return outcome


async def read_double(
    server: DiscordDouble, outcome: DiscordMeasurement, expected: dict[str, list[Any]] | None = None
) -> DiscordMeasurement:
    """Add the figures of the test double; `expected` says how each reply should look."""
    seen = await server.ask()
    outcome.opened = [reply["opened"] for reply in seen["replies"].values()]
    outcome.firsts = [reply["first"] for reply in seen["replies"].values()]
    outcome.busiest = max(reply["busiest"] for reply in seen["replies"].values())
    outcome.most_a_second, outcome.limited = seen["most_a_second"], seen["limited"]
    for name, reply in seen["replies"].items():
        outcome.lost += reply["messages"] != expected[name] if expected is not None else len(reply["messages"]) != 3
    return outcome


async def measure_bot(threads: int, seconds: float) -> DiscordMeasurement:
    """Measure the whole bot."""
    with tempfile.TemporaryDirectory() as name:
        async with discord_double() as there:
            store, files = Store(Path(name) / "bench.sqlite"), PictureFiles(Path(name) / "pictures")
            line = RenderQueue(store.jobs, files, [InstantEngine()])
            inbox = Dispatcher(store, PacedModel(), line, NoAlbum(), DispatcherOptions(refining=RefineMode.OFF))
            account = Account(TOKEN, there.api, there.gateway, there.cdn)
            platform = CountingDiscord(account, store, store.posts, files.read)
            tasks = [asyncio.create_task(line.run()), asyncio.create_task(inbox.run({"discord": platform}))]
            await platform.connected_client()
            outcome = await ask_and_wait(there, platform.final, threads, seconds)
            wanted = {
                entry.id: expected_messages(entry.view)
                for thread in store.threads("discord")
                for entry in store.entries(thread.key)
            }
            await read_double(there, outcome, wanted)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            store.close()
    return outcome


def expected_messages(view: View | None) -> list[Any]:
    """Return a final view as the test double reports it: text, files and buttons of each message."""
    assert view
    assert view.final
    return [[each.content, int(bool(each.picture)), sum(map(len, each.rows))] for each in payloads.messages(view, 0)]


async def measure_bare(threads: int, seconds: float) -> DiscordMeasurement:
    """Measure the library alone."""
    async with discord_double() as there:
        discord.http.Route.BASE = there.api
        async with BareDiscord() as client:
            running = asyncio.create_task(client.start(TOKEN))
            await asyncio.sleep(0)
            outcome = await ask_and_wait(there, client.final, threads, seconds)
            await read_double(there, outcome)
        with suppress(asyncio.CancelledError):
            await running
    return outcome


async def main() -> None:
    """Measure, and print one table."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.discord", description=__doc__)
    options.add_argument("--threads", type=int, default=THREADS)
    threads = options.parse_args().threads
    logging.disable(logging.CRITICAL)
    spread, at_once = [], []
    for measured in (measure_bare, measure_bot):
        spread.append(await measured(threads, SPREAD))
        at_once.append(await measured(threads, 0))
    table = Table(title=f"{threads} threads on Discord, {CHUNKS} chunks at {PACE * 1000:.0f} ms", title_justify="left")
    for column in ("what", "measured", "the bare library", "goal"):
        table.add_column(column)
    for name, (base, mine), goals in (
        (f"begun within {SPREAD:.0f} s", spread, ("p95 300 ms", "p99 50 ms")),
        ("begun all at once", at_once, ("", "")),
    ):
        table.add_section()
        table.add_row(f"[bold]{name}")
        for what, times, goal in (
            ("first sign of life: the thread", (mine.opened, base.opened), goals[0]),
            ("first words in it", (mine.firsts, base.firsts), ""),
        ):
            table.add_row(
                what, *(f"p50 {quantile_ms(t, 0.5):.0f}   p95 {quantile_ms(t, 0.95):.0f} ms" for t in times), goal
            )
        lags = [
            f"p50 {quantile_ms(each.lags, 0.5):.1f}   p99 {quantile_ms(each.lags, 0.99):.1f} ms"
            for each in (mine, base)
        ]
        table.add_row("the loop is late", *lags, goals[1])
        table.add_row("of one core", f"{mine.busy:.0%}", f"{base.busy:.0%}", "")
        table.add_row("replies that are not whole", f"{mine.lost}", f"{base.lost}", "0")
        table.add_row("most writes of a channel in 5 s", f"{mine.busiest}", f"{base.busiest}", f"{CHANNEL_LIMIT}")
        table.add_row(
            "most requests of all in 1 s", f"{mine.most_a_second}", f"{base.most_a_second}", f"{GLOBAL_LIMIT}"
        )
        table.add_row("requests that were refused", f"{mine.limited}", f"{base.limited}", "0")
    Console().print(table)


if __name__ == "__main__":
    asyncio.run(main())
