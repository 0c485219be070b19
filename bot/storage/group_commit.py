"""Group commit: all writes of one turn of the event loop share one transaction and one flush to the disk."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlite_utils import Database

from bot.errors import StorageError
from bot.notices import notice
from bot.storage.database import transaction

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Write(Generic[T]):
    work: Callable[[], T]
    on_done: Callable[[T], None]
    result: "asyncio.Future[T]"

    def succeed(self, value: T) -> None:
        try:
            self.on_done(value)
        except Exception as error:
            self.fail(error)
        else:
            if not self.result.done():
                self.result.set_result(value)

    def fail(self, error: Exception) -> None:
        if not self.result.done():
            self.result.set_exception(error)


class GroupCommit:
    """Runs the writes of several callers in one transaction; a write that fails is rolled back alone."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._waiting: list[_Write[Any]] = []

    async def write(self, work: Callable[[], T], on_done: Callable[[T], None] = lambda done: None) -> T:
        """Return the result of `work` once it is on the disk; `on_done` gets it even if the caller was cancelled.

        `work` runs later in this turn of the event loop, after the writes that were added before; it never runs if the
        caller is cancelled before that. An exception of `work` rolls back its own changes and is raised here. If the
        commit fails, StorageError is raised for all callers.
        """
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self.flush)
        result: asyncio.Future[T] = loop.create_future()
        self._waiting.append(_Write(work, on_done, result))
        return await result

    def flush(self) -> None:
        """Commit the waiting writes now."""
        waiting, self._waiting = [each for each in self._waiting if not each.result.cancelled()], []
        if not waiting:
            return
        try:
            with transaction(self._db):
                ends = [self._run_in_savepoint(each.work) for each in waiting]
        except Exception as error:
            failed = error.notice if isinstance(error, StorageError) else notice("not-saved", reason=str(error))
            for each in waiting:
                each.fail(StorageError(failed))
            return
        for each, (done, refused) in zip(waiting, ends, strict=True):
            if refused:
                each.fail(refused)
            else:
                each.succeed(done)

    def _run_in_savepoint(self, work: Callable[[], T]) -> tuple[T | None, Exception | None]:
        """Return the result or the exception of `work`, which runs in a savepoint that an exception rolls back."""
        connection = self._db.conn
        assert connection
        connection.execute("SAVEPOINT apart")
        try:
            with transaction(self._db):
                done = work()
        except Exception as error:
            if not connection.in_transaction:  # a full disk may roll back the whole transaction
                raise
            connection.execute("ROLLBACK TO apart")
            connection.execute("RELEASE apart")
            return None, error
        connection.execute("RELEASE apart")
        return done, None
