"""Rate limits of Discord: for the writes to one channel, and for all requests together."""

import asyncio
from collections import deque
from enum import IntEnum
from heapq import heappop, heappush
from itertools import count
from weakref import WeakSet

Rate = tuple[int, float]  # (count, seconds)

CHANNEL_RATE: Rate = (
    5,
    5.2,
)  # writes; observed, not documented; slightly longer, because requests can overtake each other
OVERALL_RATE: Rate = (45, 1.0)  # requests; Discord allows 50 a second; Discord docs, topics/rate-limits
PROGRESS_PER_SECOND = 20  # requests for progress of replies; the rest is for the first messages of replies
MIN_PAUSE = 1.0  # seconds between two views of a reply, at least
MAX_CHANNELS = 1_000  # channels whose limiter is kept even when it is idle


class WritePriority(IntEnum):
    """The order of requests that wait for a rate limit; the lowest value goes first."""

    FIRST = 0  # the reply shows nothing yet
    FIRST_TEXT = 1  # the first text, in a thread that was created for the reply
    FINAL = 2
    PROGRESS = 3


class RateLimiter:
    """Allows at most `count` requests in any `seconds` (sliding window), by priority, then in order of arrival."""

    def __init__(self, rate: Rate) -> None:
        self._limit, self._seconds = rate
        self._times: deque[list[float]] = deque(maxlen=self._limit)  # one-item lists: `acquire` corrects the time
        self._waiting: list[tuple[WritePriority, int, asyncio.Future[list[float]]]] = []
        self._order = count()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no request waits and all released requests are outside the window."""
        return not self._waiting and (
            not self._times or self._times[-1][0] + self._seconds < asyncio.get_running_loop().time()
        )

    async def acquire(self, priority: WritePriority) -> None:
        """Wait until a request is allowed."""
        loop = asyncio.get_running_loop()
        if not self._waiting and self._wait_seconds(loop) <= 0:
            self._times.append([loop.time()])
            return
        turn: asyncio.Future[list[float]] = loop.create_future()
        heappush(self._waiting, (priority, next(self._order), turn))
        self._start_timer(loop)
        used = await turn
        used[0] = loop.time()  # a blocked event loop resumes many waiters at once, later than their release

    def _wait_seconds(self, loop: asyncio.AbstractEventLoop) -> float:
        return self._times[0][0] + self._seconds - loop.time() if len(self._times) == self._limit else 0.0

    def _start_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._waiting and self._timer is None:
            self._timer = loop.call_later(max(0.0, self._wait_seconds(loop)), self._release_waiting, loop)

    def _release_waiting(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        while self._waiting and self._wait_seconds(loop) <= 0:
            _, _, turn = heappop(self._waiting)
            if not turn.done():  # the waiting task may be cancelled
                self._times.append([loop.time()])
                turn.set_result(self._times[-1])
        self._start_timer(loop)


class RateLimits:
    """The rate limiters of all channels and of the bot. Discord blocks a bot that sends too many refused requests."""

    def __init__(self, channel: Rate = CHANNEL_RATE, overall: Rate = OVERALL_RATE) -> None:
        self._rate = channel
        self._overall = RateLimiter(overall)
        self._channels: dict[int, RateLimiter] = {}
        self.running_replies: WeakSet[object] = WeakSet()  # the surfaces of running replies

    @property
    def pause(self) -> float:
        """Seconds between two updates of a reply: longer if more replies run."""
        return max(MIN_PAUSE, len(self.running_replies) / PROGRESS_PER_SECOND)

    async def acquire(self, channel: int | None, priority: WritePriority) -> None:
        """Wait until a write to the channel is allowed; with None, until any other request is allowed."""
        if channel is not None:
            await self._channel_limiter(channel).acquire(priority)
        await self._overall.acquire(priority)

    def _channel_limiter(self, channel: int) -> RateLimiter:
        if len(self._channels) > MAX_CHANNELS and channel not in self._channels:
            self._channels = {name: each for name, each in self._channels.items() if not each.is_idle}
        return self._channels.setdefault(channel, RateLimiter(self._rate))
