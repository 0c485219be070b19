"""HTTP client of a render worker, on this machine or another. It keeps no state and repeats no request."""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import aiohttp
from pydantic import ValidationError

from bot.notices import notice
from render.models.image_files import PNG_SIGNATURE
from render.protocol import (
    BATCH,
    EVENT,
    HEARTBEAT_TIMEOUT,
    REPORT,
    VERSION,
    Batch,
    End,
    Heartbeat,
    ImageDone,
    ImageFailed,
    Started,
    WorkerEvent,
    WorkerReport,
)

MAX_LINE_BYTES = 64 * 2**20  # bytes: several times an image of 2048 x 2048 pixels in base64
STUCK_TIMEOUT = 600.0  # seconds with heartbeats and no other event


class EngineLost(Exception):
    """The stream of events broke or violated the protocol.

    `started` says whether the device had started the batch, which may then be to blame. `violation` describes the
    protocol violation; it is empty if the connection was only lost.
    """

    def __init__(self, started: bool, violation: str = "") -> None:
        super().__init__(violation or "the render worker is gone")
        self.started = started
        self.violation = violation


class WorkerEngine:
    """Engine that runs batches on a worker, whose address may change when the worker restarts."""

    def __init__(self, name: str, address: Callable[[], str | None], token: str | None = None) -> None:
        """`address` returns the URL of the worker, or None while the worker has none."""
        self.name = name
        self._address = address
        self._token = token
        self._session: aiohttp.ClientSession | None = None
        self.clock = time.monotonic

    async def slots(self) -> WorkerReport:
        """Return the report of the worker; a report without slots if the worker cannot be reached."""
        if self._address() is None:
            return WorkerReport()
        try:
            async with self._client().get(self._url("slots"), timeout=aiohttp.ClientTimeout(5)) as response:
                if response.status in (401, 403):
                    return WorkerReport(trouble=notice("worker-token-refused"))
                if response.status != 200:
                    return WorkerReport()
                slots = REPORT.validate_json(await response.read())
                if slots.version != VERSION:
                    return WorkerReport(trouble=notice("worker-other-version"))
                return slots
        except (aiohttp.ClientError, TimeoutError, OSError, ValidationError):
            return WorkerReport()

    async def run(self, batch: Batch) -> AsyncGenerator[WorkerEvent]:
        """Render the batch at most once: every task ends as ImageDone or ImageFailed. Closing the generator cancels it.

        Raises EngineLost.
        """
        started, open_tasks, moved = False, {task.id for task in batch.tasks}, self.clock()
        try:
            async with aclosing(self._lines(batch)) as lines:
                async for line in lines:
                    event = EVENT.validate_json(line)
                    match event:
                        case Heartbeat() if self.clock() - moved > STUCK_TIMEOUT:
                            raise EngineLost(started, "it lives, but does not get on")
                        case Heartbeat():
                            continue
                        case Started():
                            started = True
                        case ImageDone(task, png) if task not in open_tasks or not png.startswith(PNG_SIGNATURE):
                            raise EngineLost(started, "it sent what nobody asked for")
                        case ImageFailed(task) if task not in open_tasks:
                            raise EngineLost(started, "it sent what nobody asked for")
                        case ImageDone(task) | ImageFailed(task):
                            open_tasks.discard(task)
                        case End() if open_tasks:
                            raise EngineLost(started, "it ended without all pictures")
                        case End():
                            return
                    moved = self.clock()
                    yield event
        except ValidationError as error:
            raise EngineLost(started, "it sent what is no event") from error
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise EngineLost(started) from error
        raise EngineLost(started)

    async def _lines(self, batch: Batch) -> AsyncGenerator[bytes]:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=HEARTBEAT_TIMEOUT)
        async with self._client().post(self._url("batches"), data=BATCH.dump_json(batch), timeout=timeout) as response:
            response.raise_for_status()
            async for line in response.content:
                yield line

    def _url(self, path: str) -> str:
        return f"{(self._address() or '').rstrip('/')}/{path}"

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
            self._session = aiohttp.ClientSession(headers=headers, read_bufsize=MAX_LINE_BYTES)
        return self._session

    async def close(self) -> None:
        """Close the connections."""
        if self._session:
            await self._session.close()
