"""What any render engine that speaks the worker's protocol must do: checks over its address and token.

The engine must render with `tests.support.fake_models.quiet` and have nothing else to do meanwhile.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from itertools import count, pairwise

import aiohttp

from bot.domain import Operation, Sampling
from render.protocol import (
    BATCH,
    EVENT,
    HEARTBEAT_INTERVAL,
    HEARTBEAT_TIMEOUT,
    REPORT,
    VERSION,
    Batch,
    End,
    Heartbeat,
    ImageDone,
    ImageTask,
    Started,
    StepDone,
    WorkerEvent,
    WorkerReport,
)

LONGEST_LINE = 2**24  # bytes
FREED = 2.0  # seconds after which a slot that nobody wants any more must be free
LATEST = 5.0  # seconds without a line


_fresh = count(time.time_ns() % 2**31)  # seeds that no engine has kept pictures of


def tasks(number: int, prompt: str = "a red circle") -> list[ImageTask]:
    """Tasks that no engine was given before."""
    return [
        ImageTask(f"t{name}", Operation.GENERATE, prompt, sampling=Sampling(seed=next(_fresh)))
        for name in range(number)
    ]


def long() -> Batch:
    """A batch that takes longer than anybody waits: it is always cut."""
    return Batch(tasks(200))


SHORT = Batch(tasks(3))


@dataclass
class Place:
    """An engine that runs somewhere."""

    url: str
    token: str
    session: aiohttp.ClientSession = field(default_factory=lambda: aiohttp.ClientSession(read_bufsize=LONGEST_LINE))

    async def slots(self) -> WorkerReport:
        """What it can take now."""
        async with self.session.get(f"{self.url}/slots", headers=self.headers()) as response:
            response.raise_for_status()
            return REPORT.validate_json(await response.read())

    async def until(self, wanted: Callable[[WorkerReport], bool], hang_timeout: float = 30.0) -> WorkerReport:
        """Ask, as the bot does, until the answer is the wanted one."""
        slots = WorkerReport()
        try:
            async with asyncio.timeout(hang_timeout):
                while not wanted(slots := await self.slots()):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"still {slots} after {hang_timeout} s") from None
        return slots

    async def idle(self) -> WorkerReport:
        """Wait until all is loaded and nothing is rendered."""
        return await self.until(lambda slots: 0 < slots.slots == slots.free)

    async def render(self, batch: Batch) -> AsyncGenerator[WorkerEvent]:
        """What is told of the batch. A stream that is cut raises, or ends without `End`."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=HEARTBEAT_TIMEOUT)
        body = BATCH.dump_json(batch)
        async with self.session.post(
            f"{self.url}/batches", data=body, headers=self.headers(), timeout=timeout
        ) as response:
            response.raise_for_status()
            async for line in response.content:
                yield EVENT.validate_json(line)

    async def status(self, body: bytes, token: str | None = None) -> int:
        """The status with which a request for a batch is answered."""
        headers = self.headers() if token is None else self.headers(token)
        async with self.session.post(f"{self.url}/batches", data=body, headers=headers) as response:
            return response.status

    def headers(self, token: str | None = None) -> dict[str, str]:
        """With its token, or another."""
        return {"Authorization": f"Bearer {self.token if token is None else token}"}


async def tells_its_slots(place: Place) -> None:
    """Loaded and idle, every slot is free and the model is named."""
    slots = await place.idle()
    assert (slots.model, slots.version, slots.trouble) == ("flat", VERSION, None)
    assert slots.capabilities is not None
    assert slots.largest_batch >= 1


async def tells_a_batch_step_by_step(place: Place) -> None:
    """Started, fractions that rise to one, one picture for each task, the end; and then every slot is free."""
    await place.idle()
    events = [event async for event in place.render(SHORT) if not isinstance(event, Heartbeat)]
    fractions = [event.fraction for event in events if isinstance(event, StepDone)]
    pictures = [event.task for event in events if isinstance(event, ImageDone)]
    assert (events[0], events[-1]) == (Started(), End())
    assert fractions and fractions == sorted(fractions) and fractions[-1] == 1
    assert sorted(pictures) == [task.id for task in SHORT.tasks]
    await place.until(lambda slots: slots.free == slots.slots, FREED)


async def makes_the_same_again(place: Place) -> None:
    """A task that comes again, as it does after a crash, gives the same bytes; another seed gives others."""
    await place.idle()
    pictures = [
        {event.task: event.png async for event in place.render(SHORT) if isinstance(event, ImageDone)} for _ in range(2)
    ]
    assert pictures[0] == pictures[1]
    assert len(set(pictures[0].values())) == len(SHORT.tasks)


async def stops_when_the_stream_is_closed(place: Place) -> None:
    """Nobody listens any more: the slot is free within two seconds, long before the batch would have ended."""
    all_slots = (await place.idle()).slots
    async with aclosing(place.render(long())) as events:
        async for event in events:
            if isinstance(event, StepDone):
                break
        assert (await place.slots()).free == all_slots - 1
    await place.until(lambda slots: slots.free == all_slots, FREED)


async def takes_no_more_than_it_has_slots(place: Place) -> None:
    """With every slot in use another batch is refused with 503, at once and without harm to those that run."""
    all_slots = (await place.idle()).slots
    async with AsyncExitStack() as streams:
        running = [await streams.enter_async_context(aclosing(place.render(long()))) for _ in range(all_slots)]
        for events in running:
            assert await anext(events) == Started()
        assert (await place.slots()).free == 0
        async with asyncio.timeout(1):
            assert await place.status(BATCH.dump_json(SHORT)) == 503
        for events in running:
            assert isinstance(await anext(events), StepDone | Heartbeat)
    await place.until(lambda slots: slots.free == all_slots, FREED)


async def is_never_silent(place: Place) -> None:
    """While the device says nothing, a line comes often enough to know that it lives."""
    await place.idle()
    clock, lines = asyncio.get_running_loop().time, []  # type: Callable[[], float], list[tuple[float, WorkerEvent]]
    begun = clock()
    async for event in place.render(Batch(tasks(1, f"silent for {HEARTBEAT_INTERVAL + 2:.0f}"))):
        lines.append((clock(), event))
    assert any(isinstance(event, Heartbeat) for _, event in lines)
    assert isinstance(lines[-1][1], End)
    times = [begun, *(time for time, _ in lines)]
    assert max(later - earlier for earlier, later in pairwise(times)) < LATEST


async def refuses_strangers(place: Place) -> None:
    """A wrong token, and none, are refused for both requests."""
    for token in ("wrong", "", "é"):
        assert await place.status(BATCH.dump_json(SHORT), token) == 401
        async with place.session.get(f"{place.url}/slots", headers=place.headers(token)) as response:
            assert response.status == 401
    async with place.session.get(f"{place.url}/slots") as response:
        assert response.status == 401


async def refuses_another_version(place: Place) -> None:
    """A bot of another version is told so."""
    assert await place.status(BATCH.dump_json(Batch(SHORT.tasks, VERSION + 1))) == 400


async def refuses_garbage(place: Place) -> None:
    """What is no batch is refused, and no slot is lost over it."""
    for body in (b"", b"{", b"[]", b"\xff\xff", b'{"tasks": 1}', b'{"tasks": [{}], "version": 2}'):
        assert await place.status(body) == 400, body
    slots = await place.slots()
    assert slots.free == slots.slots


Check = Callable[[Place], Awaitable[None]]

CHECKS: tuple[Check, ...] = (
    tells_its_slots,
    tells_a_batch_step_by_step,
    makes_the_same_again,
    stops_when_the_stream_is_closed,
    takes_no_more_than_it_has_slots,
    is_never_silent,
    refuses_strangers,
    refuses_another_version,
    refuses_garbage,
)
