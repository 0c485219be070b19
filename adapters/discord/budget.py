"""How much is asked of Discord: what a channel takes, and what all of them take together."""

import asyncio
from collections import deque
from enum import IntEnum
from heapq import heappop, heappush
from itertools import count
from weakref import WeakSet

Rate = tuple[int, float]  # so many in so many seconds

CHANNEL: Rate = (5, 5.2)  # writes; observed, Discord does not tell; a bit longer, for requests overtake each other
TOGETHER: Rate = (45, 1.0)  # of the 50 requests that Discord takes in a second; Discord docs, topics/rate-limits
PROGRESS_A_SECOND = 20  # of them for what is not final yet: the rest is for those who wait for a first word
PAUSE = 1.0  # seconds between two views of a reply, at least
MANY = 1_000  # channels of which it is remembered when they were written to


class Urgency(IntEnum):
    """Who goes first when not all can."""

    SIGN = 0  # of life: nothing of the reply is there yet
    WORDS = 1  # the first ones, in a thread that was opened for them
    END = 2
    PROGRESS = 3


class Window:
    """So many in any span of so many seconds; the urgent first, then in the order in which they come."""

    def __init__(self, rate: Rate) -> None:
        self._most, self._seconds = rate
        self._times: deque[list[float]] = deque(maxlen=self._most)  # each a cell: a turn counts from when it is used
        self._waiting: list[tuple[Urgency, int, asyncio.Future[list[float]]]] = []
        self._order = count()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing that was let through counts any more."""
        return not self._waiting and (
            not self._times or self._times[-1][0] + self._seconds < asyncio.get_running_loop().time()
        )

    async def acquire(self, urgency: Urgency) -> None:
        """Wait for a turn."""
        loop = asyncio.get_running_loop()
        if not self._waiting and self._free_in(loop) <= 0:
            self._times.append([loop.time()])
            return
        turn: asyncio.Future[list[float]] = loop.create_future()
        heappush(self._waiting, (urgency, next(self._order), turn))
        self._set_off(loop)
        used = await turn
        used[0] = loop.time()  # a loop that was held up lets many go on at once, later than they were let through

    def _free_in(self, loop: asyncio.AbstractEventLoop) -> float:
        return self._times[0][0] + self._seconds - loop.time() if len(self._times) == self._most else 0.0

    def _set_off(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._waiting and self._timer is None:
            self._timer = loop.call_later(max(0.0, self._free_in(loop)), self._let_through, loop)

    def _let_through(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        while self._waiting and self._free_in(loop) <= 0:
            _, _, turn = heappop(self._waiting)
            if not turn.done():  # whoever waited may have given up
                self._times.append([loop.time()])
                turn.set_result(self._times[-1])
        self._set_off(loop)


class Budget:
    """Who may write now. Too many refused requests would have Discord shut the bot out."""

    def __init__(self, channel: Rate = CHANNEL, together: Rate = TOGETHER) -> None:
        self._rate = channel
        self._together = Window(together)
        self._channels: dict[int, Window] = {}
        self.replies: WeakSet[object] = WeakSet()  # those under way

    @property
    def pause(self) -> float:
        """How long a reply waits from one view to the next: the more are under way, the longer."""
        return max(PAUSE, len(self.replies) / PROGRESS_A_SECOND)

    async def acquire(self, channel: int | None, urgency: Urgency) -> None:
        """Wait for a turn to write in a channel, or for any other request."""
        if channel is not None:
            await self._window(channel).acquire(urgency)
        await self._together.acquire(urgency)

    def _window(self, channel: int) -> Window:
        if len(self._channels) > MANY and channel not in self._channels:
            self._channels = {name: each for name, each in self._channels.items() if not each.idle}
        return self._channels.setdefault(channel, Window(self._rate))
