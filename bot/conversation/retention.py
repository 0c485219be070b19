"""Retention: deletes old threads and their image files, at the start and then once a day."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from bot.conversation.edits_and_deletions import throw_away
from bot.conversation.permissions import DAY
from bot.conversation.turn_context import Album
from bot.errors import Unrecorded
from bot.formatting import count_of
from bot.storage.store import Store

log = logging.getLogger(__name__)

AT_A_TIME = 20  # threads between two yields to the event loop


class Retention:
    """Deletes threads without a message for `days` days."""

    def __init__(self, store: Store, album: Album, days: int, now: Callable[[], float] = time.time) -> None:
        """`now` is in seconds since 1970."""
        self._store = store
        self._album = album
        self._days = days
        self._now = now

    async def keep(self, wait: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Delete old threads once a day, until cancelled; the first time after one day."""
        while True:
            await wait(DAY)
            await self.sweep()

    async def sweep(self, *, answering: bool = False) -> int:
        """Delete the old threads. Returns how many were deleted.

        `include_open` also deletes threads with open replies: use it only before any turn runs. Threads that
        cannot be deleted now are left for the next time.
        """
        since, forgotten = self._now() - self._days * DAY, 0
        try:
            while due := self._store.silent(since, AT_A_TIME, answering=answering):
                digests = [digest for thread in due for digest in self._store.forget(thread)]
                forgotten += len(due)
                await throw_away(self._store, self._album, digests)
        except Unrecorded as error:
            log.error("cannot delete old threads: %s", error)
        if forgotten:
            log.info("%s deleted by retention", count_of(forgotten, "thread"))
        return forgotten
