"""Where a batch runs: a worker process that speaks HTTP. The engine remembers nothing and repeats nothing."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import aiohttp
from pydantic import ValidationError

from bot.domain import Abilities
from render.wire import BATCH, EVENT, SILENCE, SLOTS, VERSION, Alive, Batch, End, Slots, Started, WorkerEvent

LONGEST_LINE = 64 * 2**20  # bytes: a picture of 2048 x 2048 pixels in base64, several times over


class EngineLost(Exception):
    """The stream broke. `started` tells whether the batch was on the device, and so may be to blame."""

    def __init__(self, started: bool) -> None:
        super().__init__("the render worker is gone")
        self.started = started


class WorkerEngine:
    """A worker at an address that may change when it is restarted."""

    def __init__(self, address: Callable[[], str | None], token: str | None = None) -> None:
        """`address` gives the worker's URL, or None while there is none."""
        self._address = address
        self._token = token
        self._session: aiohttp.ClientSession | None = None
        self.abilities = Abilities()  # until a worker has told those of its model

    async def slots(self) -> Slots:
        """What the worker can take now; no slots if it cannot be reached."""
        if self._address() is None:
            return Slots()
        try:
            async with self._client().get(self._url("slots"), timeout=aiohttp.ClientTimeout(5)) as response:
                if response.status in (401, 403):
                    return Slots(trouble="The render worker refused the bot: check RENDER_TOKEN.")
                slots = SLOTS.validate_json(await response.read())
                if slots.version != VERSION:
                    return Slots(trouble="The render worker is of another version than the bot: update the older one.")
                self.abilities = slots.abilities or self.abilities
                return slots
        except (aiohttp.ClientError, TimeoutError, OSError, ValidationError):
            return Slots()

    async def run(self, batch: Batch) -> AsyncGenerator[WorkerEvent]:
        """Render the batch, at most once. Closing the generator cancels it. Raises EngineLost."""
        started = False
        try:
            async with aclosing(self._lines(batch)) as lines:
                async for line in lines:
                    event = EVENT.validate_json(line)
                    started = started or isinstance(event, Started)
                    if isinstance(event, End):
                        return
                    if not isinstance(event, Alive):
                        yield event
        except (aiohttp.ClientError, TimeoutError, OSError, ValidationError, ValueError) as error:
            raise EngineLost(started) from error
        raise EngineLost(started)

    async def _lines(self, batch: Batch) -> AsyncGenerator[bytes]:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=SILENCE)
        async with self._client().post(self._url("batches"), data=BATCH.dump_json(batch), timeout=timeout) as response:
            response.raise_for_status()
            async for line in response.content:
                yield line

    def _url(self, path: str) -> str:
        return f"{(self._address() or '').rstrip('/')}/{path}"

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
            self._session = aiohttp.ClientSession(headers=headers, read_bufsize=LONGEST_LINE)
        return self._session

    async def close(self) -> None:
        """Let go of the connections."""
        if self._session:
            await self._session.close()
