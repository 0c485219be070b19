"""Rate limits of Discord: for the writes to one channel, and for all requests together."""

from enum import IntEnum
from weakref import WeakSet

from adapters.rate_limit import RateLimiter

Rate = tuple[int, float]  # (count, seconds)

CHANNEL_RATE: Rate = (5, 5.2)  # writes; observed, not documented; 0.2 s more because requests can overtake each other
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


class RateLimits:
    """The rate limiters of all channels and of the bot. Discord blocks a bot that sends too many refused requests."""

    def __init__(self, channel: Rate = CHANNEL_RATE, overall: Rate = OVERALL_RATE) -> None:
        self._rate = channel
        self._overall = RateLimiter(*overall)
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
        return self._channels.setdefault(channel, RateLimiter(*self._rate))
