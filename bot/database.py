"""The SQLite file: how it is opened, and how it is written."""

import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from sqlite_utils import Database

from bot.errors import Unrecorded
from bot.schema import migrations

PATIENCE = 5.0  # seconds to wait for another process that writes
CACHE = 16_000  # KiB of the file in memory: with SQLite's own 2,000 a commit reads before it writes


def open_database(path: Path) -> Database:
    """The database in this file, made or brought up to date. A commit is on the disk when it returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    db = Database(sqlite3.connect(path, isolation_level=None, timeout=PATIENCE))
    db.enable_wal()
    db.execute("PRAGMA synchronous = FULL")
    db.execute(f"PRAGMA cache_size = -{CACHE}")
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA secure_delete = ON")  # what was deleted is overwritten; SQLite, pragma.html
    migrations.apply(db)
    return db


@contextmanager
def writing(db: Database) -> Generator[None]:
    """One transaction; inside another one, part of it. Raises Unrecorded if the file cannot be written."""
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
        if not inside and connection.in_transaction:  # a full disk may have ended it
            connection.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error):
            raise Unrecorded(f"Nothing was recorded, please try again later: {error}.") from error
        raise


def wipe_log(db: Database) -> None:
    """Have nothing in the write-ahead log, which still holds what was deleted; the next time, if it is being read."""
    db.execute("PRAGMA busy_timeout = 200")  # milliseconds: meanwhile nobody is answered
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    db.execute(f"PRAGMA busy_timeout = {PATIENCE * 1000:.0f}")


def watch(db: Database) -> Callable[[], bool]:
    """A question that tells whether another process has written to the file since it was asked last."""

    def version() -> int:
        return int(db.execute("PRAGMA data_version").fetchone()[0])

    last = version()

    def changed() -> bool:
        nonlocal last
        before, last = last, version()
        return before != last

    return changed
