"""What is asked of Discord in a while, and who goes first."""

import asyncio

from adapters.discord.rate_limits import PAUSE, Budget, Urgency, Window


async def test_no_span_has_more_than_its_share() -> None:
    """However many come at once: a window that begins anew would let twice as many through around its edge."""
    window, times = Window((5, 0.1)), list[float]()

    async def write() -> None:
        await window.acquire(Urgency.PROGRESS)
        times.append(asyncio.get_running_loop().time())

    await asyncio.gather(*(write() for _ in range(12)))
    assert all(later - earlier > 0.099 for earlier, later in zip(times, times[5:], strict=False))


async def test_the_urgent_go_first() -> None:
    """A first word before a last one, and progress when nobody else waits."""
    window, order = Window((1, 0.02)), list[str]()

    async def write(name: str, urgency: Urgency) -> None:
        await window.acquire(urgency)
        order.append(name)

    await asyncio.gather(
        write("now", Urgency.PROGRESS),
        write("later", Urgency.PROGRESS),
        write("end", Urgency.END),
        write("sign", Urgency.SIGN),
        write("last", Urgency.PROGRESS),
    )
    assert order == ["now", "sign", "end", "later", "last"]


async def test_whoever_gives_up_takes_no_turn() -> None:
    """A cancelled write leaves its place to the next."""
    window = Window((1, 0.02))
    await window.acquire(Urgency.END)
    gone = asyncio.create_task(window.acquire(Urgency.SIGN))
    await asyncio.sleep(0)
    gone.cancel()
    began = asyncio.get_running_loop().time()
    await window.acquire(Urgency.END)
    assert asyncio.get_running_loop().time() - began < 0.04


async def test_channels_have_shares_of_their_own_in_what_all_may() -> None:
    """One channel that has used up its share holds up no other one."""
    budget, done = Budget((1, 60.0), (3, 0.05)), list[int]()

    async def write(channel: int) -> None:
        await budget.acquire(channel, Urgency.END)
        done.append(channel)

    second = asyncio.gather(write(1), write(1))
    await asyncio.gather(*(write(channel) for channel in range(2, 6)))
    assert sorted(done) == [1, 2, 3, 4, 5]
    second.cancel()


async def test_replies_change_less_often_when_there_are_many() -> None:
    """And as often as before once they have ended."""

    class Reply:
        pass

    budget = Budget()
    replies = [Reply() for _ in range(200)]
    for reply in replies:
        budget.replies.add(reply)
    assert budget.pause == 10
    del replies, reply
    assert budget.pause == PAUSE
