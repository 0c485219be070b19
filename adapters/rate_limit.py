"""A rate limiter for the calls of an API, with a sliding window and priorities."""

import asyncio
from collections import deque
from heapq import heappop, heappush
from itertools import count


class RateLimiter:
    """Allows at most `limit` calls in any span of `seconds`: by priority, then in order of arrival."""

    def __init__(self, limit: int, seconds: float) -> None:
        self._limit, self._seconds = limit, seconds
        self._times: deque[list[float]] = deque(maxlen=limit)  # one-item lists: `acquire` corrects the time
        self._waiting: list[tuple[int, int, asyncio.Future[list[float]]]] = []
        self._order = count()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no call waits and all released calls are outside the window."""
        return not self._waiting and (
            not self._times or self._times[-1][0] + self._seconds < asyncio.get_running_loop().time()
        )

    def has_room(self, share: float) -> bool:
        """Return whether no call waits and, after one more call, at most this share of the limit (0 to 1) is used."""
        now = asyncio.get_running_loop().time()
        used = sum(now - at < self._seconds for (at,) in self._times)
        return not self._waiting and used + 1 <= self._limit * share

    async def acquire(self, priority: int = 0) -> None:
        """Wait until a call is allowed, and count it. The lowest priority value goes first."""
        loop = asyncio.get_running_loop()
        if not self._waiting and self._wait_seconds(loop) <= 0:
            self._times.append([loop.time()])
            return
        turn: asyncio.Future[list[float]] = loop.create_future()
        heappush(self._waiting, (priority, next(self._order), turn))
        self._start_timer(loop)
        used = await turn
        used[0] = loop.time()  # a blocked event loop resumes many waiting calls at once, later than their release

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
