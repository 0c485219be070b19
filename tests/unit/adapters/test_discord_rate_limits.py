"""What is asked of Discord in a while, and who goes first."""

import asyncio

from adapters.discord.rate_limits import MIN_PAUSE, RateLimiter, RateLimits, WritePriority


async def test_no_span_has_more_than_its_share() -> None:
    """However many come at once: a window that begins anew would let twice as many through around its edge."""
    window, times = RateLimiter((5, 0.1)), list[float]()

    async def write() -> None:
        await window.acquire(WritePriority.PROGRESS)
        times.append(asyncio.get_running_loop().time())

    await asyncio.gather(*(write() for _ in range(12)))
    assert all(later - earlier > 0.099 for earlier, later in zip(times, times[5:], strict=False))


async def test_the_urgent_go_first() -> None:
    """A first word before a last one, and progress when nobody else waits."""
    window, order = RateLimiter((1, 0.02)), list[str]()

    async def write(name: str, urgency: WritePriority) -> None:
        await window.acquire(urgency)
        order.append(name)

    await asyncio.gather(
        write("now", WritePriority.PROGRESS),
        write("later", WritePriority.PROGRESS),
        write("end", WritePriority.FINAL),
        write("sign", WritePriority.FIRST),
        write("last", WritePriority.PROGRESS),
    )
    assert order == ["now", "sign", "end", "later", "last"]


async def test_whoever_gives_up_takes_no_turn() -> None:
    """A cancelled write leaves its place to the next."""
    window = RateLimiter((1, 0.02))
    await window.acquire(WritePriority.FINAL)
    gone = asyncio.create_task(window.acquire(WritePriority.FIRST))
    await asyncio.sleep(0)
    gone.cancel()
    began = asyncio.get_running_loop().time()
    await window.acquire(WritePriority.FINAL)
    assert asyncio.get_running_loop().time() - began < 0.04


async def test_channels_have_shares_of_their_own_in_what_all_may() -> None:
    """One channel that has used up its share holds up no other one."""
    budget, done = RateLimits((1, 60.0), (3, 0.05)), list[int]()

    async def write(channel: int) -> None:
        await budget.acquire(channel, WritePriority.FINAL)
        done.append(channel)

    second = asyncio.gather(write(1), write(1))
    await asyncio.gather(*(write(channel) for channel in range(2, 6)))
    assert sorted(done) == [1, 2, 3, 4, 5]
    second.cancel()


async def test_replies_change_less_often_when_there_are_many() -> None:
    """And as often as before once they have ended."""

    class Reply:
        pass

    budget = RateLimits()
    replies = [Reply() for _ in range(200)]
    for reply in replies:
        budget.running_replies.add(reply)
    assert budget.pause == 10
    del replies, reply
    assert budget.pause == MIN_PAUSE
