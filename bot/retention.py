"""Threads in which nothing was said for long are forgotten, with their files: at the start, and then once a day."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from bot.brief import Album
from bot.changes import throw_away
from bot.errors import Unrecorded
from bot.limits import DAY
from bot.store import Store
from bot.words import count_of

log = logging.getLogger(__name__)

AT_A_TIME = 20  # threads, between which others have their turn


class Retention:
    """Forgets what is older than so many days."""

    def __init__(self, store: Store, album: Album, days: int, now: Callable[[], float] = time.time) -> None:
        """`now` is in seconds since 1970."""
        self._store = store
        self._album = album
        self._days = days
        self._now = now

    async def keep(self, wait: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Forget once a day, until cancelled; the first time in a day."""
        while True:
            await wait(DAY)
            await self.sweep()

    async def sweep(self, *, answering: bool = False) -> int:
        """Forget what is due; how many threads that were. Those that are `answering` only before anything is at work.

        What cannot be forgotten now is left for the next time.
        """
        since, forgotten = self._now() - self._days * DAY, 0
        try:
            while due := self._store.silent(since, AT_A_TIME, answering=answering):
                digests = [digest for thread in due for digest in self._store.forget(thread)]
                forgotten += len(due)
                await throw_away(self._store, self._album, digests)
        except Unrecorded as error:
            log.error("old threads could not be forgotten: %s", error)
        if forgotten:
            log.info("%s forgotten", count_of(forgotten, "thread"))
        return forgotten
