"""Group commit: what is written in one turn of the event loop is flushed to the disk once."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlite_utils import Database

from bot.database import writing
from bot.errors import Unrecorded

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Write(Generic[T]):
    work: Callable[[], T]
    then: Callable[[T], None]
    told: "asyncio.Future[T]"

    def kept(self, done: T) -> None:
        try:
            self.then(done)
        except Exception as error:
            self.failed(error)
        else:
            if not self.told.done():
                self.told.set_result(done)

    def failed(self, error: Exception) -> None:
        if not self.told.done():
            self.told.set_exception(error)


class Together:
    """Writes of many that share a transaction, each undone alone where it fails alone."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._waiting: list[_Write[Any]] = []

    async def write(self, work: Callable[[], T], then: Callable[[T], None] = lambda done: None) -> T:
        """What `work` returns, once it is on the disk; `then` is told it too, even if nobody waits for it any more.

        `work` runs later in this turn of the loop, after what was given before it; if the waiting is cancelled by
        then, never. What it raises is raised here, and nothing of it is kept; Unrecorded is raised for everybody if
        the commit fails.
        """
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self.flush)
        told: asyncio.Future[T] = loop.create_future()
        self._waiting.append(_Write(work, then, told))
        return await told

    def flush(self) -> None:
        """Commit what waits, now."""
        waiting, self._waiting = [each for each in self._waiting if not each.told.cancelled()], []
        if not waiting:
            return
        try:
            with writing(self._db):
                ends = [self._apart(each.work) for each in waiting]
        except Exception as error:
            for each in waiting:
                each.failed(Unrecorded(str(error)))
            return
        for each, (done, refused) in zip(waiting, ends, strict=True):
            if refused:
                each.failed(refused)
            else:
                each.kept(done)

    def _apart(self, work: Callable[[], T]) -> tuple[T | None, Exception | None]:
        """What the work returns or raises; what it raises undoes nothing but its own part of the transaction."""
        connection = self._db.conn
        assert connection
        connection.execute("SAVEPOINT apart")
        try:
            with writing(self._db):
                done = work()
        except Exception as error:
            if not connection.in_transaction:  # a full disk may undo the whole transaction
                raise
            connection.execute("ROLLBACK TO apart")
            connection.execute("RELEASE apart")
            return None, error
        connection.execute("RELEASE apart")
        return done, None
