"""The rate limiter of both platforms."""

import asyncio

from adapters.discord.rate_limits import WritePriority
from adapters.rate_limit import RateLimiter


async def test_no_span_has_more_calls_than_the_limit() -> None:
    """Also around the edge of a window: a counter that starts again there would let twice as many through."""
    limiter, times = RateLimiter(5, 0.1), list[float]()

    async def write() -> None:
        await limiter.acquire(WritePriority.PROGRESS)
        times.append(asyncio.get_running_loop().time())

    await asyncio.gather(*(write() for _ in range(12)))
    assert all(later - earlier > 0.099 for earlier, later in zip(times, times[5:], strict=False))


async def test_the_most_urgent_call_goes_first() -> None:
    """The first message of a reply goes before a final one, and progress when nothing else waits."""
    limiter, order = RateLimiter(1, 0.02), list[str]()

    async def write(name: str, priority: WritePriority) -> None:
        await limiter.acquire(priority)
        order.append(name)

    await asyncio.gather(
        write("now", WritePriority.PROGRESS),
        write("later", WritePriority.PROGRESS),
        write("end", WritePriority.FINAL),
        write("sign", WritePriority.FIRST),
        write("last", WritePriority.PROGRESS),
    )
    assert order == ["now", "sign", "end", "later", "last"]


async def test_a_cancelled_call_does_not_count() -> None:
    """The next call takes its place."""
    limiter = RateLimiter(1, 0.1)
    await limiter.acquire(WritePriority.FINAL)
    gone = asyncio.create_task(limiter.acquire(WritePriority.FIRST))
    await asyncio.sleep(0)
    gone.cancel()
    began = asyncio.get_running_loop().time()
    await limiter.acquire(WritePriority.FINAL)
    assert asyncio.get_running_loop().time() - began < 0.2


async def test_calls_of_one_priority_go_in_order_of_arrival() -> None:
    """Unused calls are not saved up for a burst."""
    limiter, loop = RateLimiter(3, 0.05), asyncio.get_running_loop()
    times: list[tuple[int, float]] = []

    async def call(nth: int) -> None:
        await limiter.acquire()
        times.append((nth, loop.time()))

    await asyncio.gather(*map(call, range(10)))
    assert [nth for nth, _ in times] == list(range(10))
    assert all(later - earlier >= 0.049 for (_, earlier), (_, later) in zip(times, times[3:], strict=False))


async def test_room_is_left_for_necessary_calls() -> None:
    """A share of the limit has no room if a call more would exceed it, or if a call waits."""
    limiter = RateLimiter(4, 60.0)
    assert limiter.has_room(0.5)
    await limiter.acquire()
    await limiter.acquire()
    assert not limiter.has_room(0.5) and limiter.has_room(0.75)
    await limiter.acquire()
    await limiter.acquire()
    waiting = asyncio.create_task(limiter.acquire())
    await asyncio.sleep(0)
    assert not limiter.has_room(2.0)
    waiting.cancel()
