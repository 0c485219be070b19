"""The rate limits of Discord: one for each channel, and one for all requests."""

import asyncio

from adapters.discord.rate_limits import MIN_PAUSE, RateLimits, WritePriority


async def test_a_channel_at_its_limit_does_not_delay_other_channels() -> None:
    """The limit of all requests is shared; the limit of a channel is its own."""
    limits, done = RateLimits((1, 60.0), (3, 0.05)), list[int]()

    async def write(channel: int) -> None:
        await limits.acquire(channel, WritePriority.FINAL)
        done.append(channel)

    second = asyncio.gather(write(1), write(1))
    await asyncio.gather(*(write(channel) for channel in range(2, 6)))
    assert sorted(done) == [1, 2, 3, 4, 5]
    second.cancel()


async def test_many_running_replies_are_updated_less_often() -> None:
    """The pause is the shortest again after they have ended."""

    class Reply:
        pass

    limits = RateLimits()
    replies = [Reply() for _ in range(200)]
    for reply in replies:
        limits.running_replies.add(reply)
    assert limits.pause == 10
    del replies, reply
    assert limits.pause == MIN_PAUSE
