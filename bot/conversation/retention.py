"""Retention: deletes old threads and their image files, at the start and then once a day."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from bot.errors import StorageError
from bot.formatting import format_count
from bot.ports import PictureFolder
from bot.storage.picture_files import delete_unused_files
from bot.storage.store import Store
from bot.storage.usage import DAY

log = logging.getLogger(__name__)

CHUNK_SIZE = 20  # threads between two yields to the event loop


class Retention:
    """Deletes threads without a message for `days` days."""

    def __init__(
        self, store: Store, picture_folder: PictureFolder, days: int, now: Callable[[], float] = time.time
    ) -> None:
        """`now` is in seconds since 1970."""
        self._store = store
        self._picture_folder = picture_folder
        self._days = days
        self._now = now

    async def run_daily(self, wait: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Delete old threads once a day, until cancelled; the first time after one day."""
        while True:
            await wait(DAY)
            await self.delete_old_threads()

    async def delete_old_threads(self, *, include_open: bool = False) -> int:
        """Delete the old threads. Returns how many were deleted.

        `include_open` also deletes threads with open replies: use it only before any turn runs. Threads that
        cannot be deleted now are left for the next time.
        """
        since, forgotten = self._now() - self._days * DAY, 0
        try:
            while due := self._store.inactive_threads(since, CHUNK_SIZE, include_unanswered=include_open):
                digests = [digest for thread in due for digest in self._store.forget(thread)]
                forgotten += len(due)
                await delete_unused_files(self._store, self._picture_folder, digests)
        except StorageError as error:
            log.error("cannot delete old threads: %s", error)
        if forgotten:
            log.info("%s deleted by retention", format_count(forgotten, "thread"))
        return forgotten
