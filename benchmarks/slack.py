"""Measures the cost of many replies at once on Slack: `python -m benchmarks.slack`.

Users mention the bot, ten in each channel; each gets a thread in which a chat model writes, with an image in the middle
that takes no time. No two answers keep step. Slack is a test double in a process of its own, which enforces the rate
limits of Slack's tiers; everything between is real: sockets, Bolt, adapter, dispatcher, turns, store, render queue,
files. The baseline is the bare library, which posts the same text, updates it once, and does nothing else. Slack
accepts 50 updates a minute of all replies together: the spread is chosen so that one update per reply fits. If all
replies begin at once, they can only end one after another.
"""

import argparse
import asyncio
import json
import logging
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack import blocks
from adapters.slack.blocks import PicturePlaceholder
from adapters.slack.platform import Account, Slack
from benchmarks.discord import CHUNKS, PACE, RECORD_DELAY, InstantEngine, PacedModel, next_pause, watch_lag
from benchmarks.queue import quantile_ms
from benchmarks.turn import NoAlbum
from bot.capabilities import RefineMode
from bot.conversation.dispatcher import Dispatcher, DispatcherOptions
from bot.domain import ThreadKey, View
from bot.ports import Surface
from bot.storage.picture_files import PictureFiles
from bot.storage.store import Store
from render.queue.queue import RenderQueue
from tests.support.scripted_bot import WatchedSurface
from tests.support.slack_server import APP_TOKEN, BOT_TOKEN
from tests.support.slack_server.client import direct

THREADS = 200
SPREAD = 300.0  # seconds over which they begin
TIMEOUT = 1_200.0  # seconds for all of it
MAX_RETRIES = 100  # retries of the bare library


class CountingSlack(Slack):
    """The Slack platform, which reports each reply that is shown to its end."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.final: asyncio.Queue[None] = asyncio.Queue()

    def surface(self, thread: ThreadKey, message_id: str) -> Surface:
        """Return the surface of the platform, which reports a final view after RECORD_DELAY seconds."""

        def on_shown(view: View) -> None:
            if view.final:
                asyncio.get_running_loop().call_later(RECORD_DELAY, self.final.put_nowait, None)

        return WatchedSurface(super().surface(thread, message_id), on_shown)


class BareSlack:
    """The library alone: posts the same text at the same times and does nothing else."""

    def __init__(self, api: str) -> None:
        self.web = AsyncWebClient(BOT_TOKEN, base_url=api)
        self.web.retry_handlers = [AsyncRateLimitErrorRetryHandler(max_retry_count=MAX_RETRIES)]
        self.socket = SocketModeClient(APP_TOKEN, web_client=self.web)
        self.socket.socket_mode_request_listeners.append(self.on_request)
        self.final: asyncio.Queue[None] = asyncio.Queue()
        self._answers: set[asyncio.Task[None]] = set()

    async def on_request(self, client: Any, request: SocketModeRequest) -> None:
        """Acknowledge every request, and answer a mention."""
        await client.send_socket_mode_response(SocketModeResponse(request.envelope_id))
        event = request.payload.get("event") or {}
        if event.get("type") == "app_mention":
            task = asyncio.create_task(self._answer(event["channel"], event["ts"]))
            self._answers.add(task)
            task.add_done_callback(self._answers.discard)

    async def _answer(self, channel: str, ts: str) -> None:
        said = await self.web.chat_postMessage(channel=channel, thread_ts=ts, text="Thinking…")
        due = time.perf_counter()
        for _ in range(CHUNKS):
            due += next_pause()
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
        words = " ".join(f"word{nth}" for nth in range(CHUNKS))
        await self.web.chat_update(channel=channel, ts=str(said["ts"]), text=words)
        self.final.put_nowait(None)


@dataclass
class SlackDouble:
    """The test double of Slack in its own process."""

    process: Process
    api: str

    async def ask(self, **command: Any) -> dict[str, Any]:
        """Send a line of JSON and return the answer."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(command).encode() + b"\n")
        return dict(json.loads(await self.process.stdout.readline()))


@asynccontextmanager
async def slack_double() -> AsyncIterator[SlackDouble]:
    """Start a new test double of Slack."""
    command = [sys.executable, "-m", "tests.support.slack_server"]
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, limit=2**26)
    assert process.stdin
    assert process.stdout
    try:
        yield SlackDouble(process, **json.loads(await process.stdout.readline()))
    finally:
        process.stdin.close()
        await process.wait()


@dataclass
class SlackMeasurement:
    """The measurements of one run. Times are in seconds."""

    firsts: list[float] = field(default_factory=list)
    lasts: list[float] = field(default_factory=list)  # from a question to the last change of its reply
    lags: list[float] = field(default_factory=list)
    busy: float = 0.0  # share of one core
    took: float = 0.0  # until the last reply was whole
    lost: int = 0
    limited: int = 0
    methods: dict[str, list[int]] = field(default_factory=dict)  # most in a minute, how many Slack takes, all
    channel: list[int] = field(default_factory=list)  # posts: most in 3 seconds, how many Slack takes, all


async def ask_and_wait(
    server: SlackDouble, final: "asyncio.Queue[None]", threads: int, seconds: float
) -> SlackMeasurement:
    """Let users ask, and wait for all replies."""
    outcome = SlackMeasurement()
    watching = asyncio.create_task(watch_lag(outcome.lags))
    began, used = time.perf_counter(), time.process_time()
    async with asyncio.timeout(TIMEOUT):
        await server.ask(threads=threads, seconds=seconds)
        for _ in range(threads):
            await final.get()
    outcome.took = time.perf_counter() - began
    outcome.busy = (time.process_time() - used) / outcome.took
    watching.cancel()
    return outcome


async def read_double(
    server: SlackDouble, outcome: SlackMeasurement, expected: dict[str, list[Any]] | None = None
) -> SlackMeasurement:
    """Add the figures of the test double; `expected` says how each reply should look."""
    seen = await server.ask()
    outcome.firsts, outcome.lasts = ([reply[what] for reply in seen["replies"].values()] for what in ("first", "last"))
    outcome.methods, outcome.channel, outcome.limited = seen["methods"], seen["channel"], seen["limited"]
    for name, reply in seen["replies"].items():
        outcome.lost += reply["messages"] != expected[name] if expected is not None else len(reply["messages"]) != 1
    return outcome


async def measure_bot(threads: int, seconds: float) -> SlackMeasurement:
    """Measure the whole bot."""
    with tempfile.TemporaryDirectory() as name:
        async with slack_double() as there:
            store, files = Store(Path(name) / "bench.sqlite"), PictureFiles(Path(name) / "pictures")
            line = RenderQueue(store.jobs, files, [InstantEngine()])
            inbox = Dispatcher(store, PacedModel(), line, NoAlbum(), DispatcherOptions(refining=RefineMode.OFF))
            account = Account(BOT_TOKEN, APP_TOKEN, api_url=there.api)
            platform = CountingSlack(account, store, store.posts, files.read)
            tasks = [asyncio.create_task(line.run()), asyncio.create_task(inbox.run({"slack": platform}))]
            outcome = await ask_and_wait(there, platform.final, threads, seconds)
            wanted = {
                entry.id: expected_messages(entry.view)
                for thread in store.threads("slack")
                for entry in store.entries(thread.key)
            }
            await read_double(there, outcome, wanted)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            store.close()
    return outcome


def expected_messages(view: View | None) -> list[Any]:
    """Return a final view as the test double reports it: the text of each message, and the types of its blocks."""
    assert view
    assert view.final
    found = []
    for card in blocks.messages(view):
        shown = [{"type": "image"} if isinstance(each, PicturePlaceholder) else each for each in card.blocks]
        words = [str(block["text"]) for block in shown if block["type"] == "markdown"]
        found.append(["\n".join(words) or card.text, *(str(block["type"]) for block in shown)])
    return found


async def measure_bare(threads: int, seconds: float) -> SlackMeasurement:
    """Measure the library alone."""
    async with slack_double() as there:
        client = BareSlack(there.api)
        await client.socket.connect()  # type: ignore[no-untyped-call]
        outcome = await ask_and_wait(there, client.final, threads, seconds)
        await read_double(there, outcome)
        await client.socket.close()  # type: ignore[no-untyped-call]
    return outcome


Measure = Callable[[int, float], Awaitable[SlackMeasurement]]


async def main() -> None:
    """Measure, and print one table."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.slack", description=__doc__)
    options.add_argument("--threads", type=int, default=THREADS)
    options.add_argument("--seconds", type=float, default=SPREAD)
    chosen = options.parse_args()
    logging.disable(logging.CRITICAL)
    runs: list[tuple[Measure, float]] = [
        (measure_bare, chosen.seconds),
        (measure_bot, chosen.seconds),
        (measure_bare, 0.0),
        (measure_bot, 0.0),
    ]
    with direct():
        spread_base, spread, once_base, once = [await run(chosen.threads, seconds) for run, seconds in runs]
    table = Table(title=f"{chosen.threads} threads on Slack, {CHUNKS} chunks at {PACE * 1000:.0f} ms")
    for column in ("what", "measured", "the bare library", "goal"):
        table.add_column(column)
    add_rows(table, f"begun within {chosen.seconds:.0f} s", spread, spread_base, "p95 300 ms", "p99 50 ms")
    add_rows(table, "begun all at once", once, once_base)
    Console(width=100).print(table)


def add_rows(
    table: Table, name: str, mine: SlackMeasurement, base: SlackMeasurement, first: str = "", late: str = ""
) -> None:
    """Add the rows of one way to begin."""
    table.add_section()
    table.add_row(f"[bold]{name}")
    both = (mine, base)
    for what, times, part, goal in (
        ("first sign of life", [each.firsts for each in both], 95, first),
        ("a reply is whole", [each.lasts for each in both], 95, ""),
        ("the loop is late", [each.lags for each in both], 99, late),
    ):
        cells = (f"p50 {quantile_ms(each, 0.5):.0f}   p{part} {quantile_ms(each, part / 100):.0f} ms" for each in times)
        table.add_row(what, *cells, goal)
    table.add_row("until the last is whole", *(f"{each.took:.0f} s" for each in both), "")
    table.add_row("of one core", *(f"{each.busy:.1%}" for each in both), "")
    table.add_row("replies that are not whole", *(str(each.lost) for each in both), "0")
    table.add_row("calls that were refused (429)", *(str(each.limited) for each in both), "0")
    table.add_row(
        "most posts of a channel in 3 s", *(format_counts(each.channel) for each in both), str(mine.channel[1])
    )
    for method, counts in mine.methods.items():
        others = format_counts(base.methods.get(method))
        table.add_row(f"most in 60 s: {method}", format_counts(counts), others, str(counts[1]))


def format_counts(counts: list[int] | None) -> str:
    """Format the most at once, and the total."""
    return f"{counts[0]}   of {counts[2]}" if counts else ""


if __name__ == "__main__":
    asyncio.run(main())
