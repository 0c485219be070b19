"""Opens the SQLite file, runs transactions, and notices writes of other processes."""

import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from sqlite_utils import Database

from bot.errors import StorageError
from bot.storage.migrations import migrations

LOCK_TIMEOUT = 5.0  # seconds to wait while another process writes
CACHE_KIB = 16_000  # KiB of page cache: with SQLite's default of 2,000 a commit must read before it writes


def open_database(path: Path) -> Database:
    """Open the database in this file, create it if necessary, and run the migrations.

    A commit returns when its data is on the disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    db = Database(sqlite3.connect(path, isolation_level=None, timeout=LOCK_TIMEOUT))
    db.enable_wal()
    db.execute("PRAGMA synchronous = FULL")
    db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA secure_delete = ON")  # deleted content is overwritten; SQLite, pragma.html
    migrations.apply(db)
    return db


@contextmanager
def transaction(db: Database) -> Generator[None]:
    """Run one transaction, or a part of the outer one. Raises StorageError if the file cannot be written."""
    connection = db.conn
    assert connection
    inside = connection.in_transaction
    try:
        if not inside:
            connection.execute("BEGIN IMMEDIATE")
        yield
        if not inside:
            connection.execute("COMMIT")
    except BaseException as error:
        if not inside and connection.in_transaction:  # a full disk may have ended the transaction
            connection.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error):
            raise StorageError("not-saved", reason=str(error)) from error
        raise


def truncate_wal(db: Database) -> None:
    """Empty the write-ahead log, which still contains deleted data; while a reader uses the log, nothing happens."""
    db.execute("PRAGMA busy_timeout = 200")  # milliseconds, in which the bot answers nobody
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    db.execute(f"PRAGMA busy_timeout = {LOCK_TIMEOUT * 1000:.0f}")


def watch_changes(db: Database) -> Callable[[], bool]:
    """Return a function that says whether another process wrote to the file since its last call."""

    def version() -> int:
        return int(db.execute("PRAGMA data_version").fetchone()[0])

    last = version()

    def changed() -> bool:
        nonlocal last
        before, last = last, version()
        return before != last

    return changed
