"""The pictures of a thread and their numbers, as rows. The files are elsewhere."""

from dataclasses import replace

from pydantic import TypeAdapter
from sqlite_utils import Database

from bot.domain import Picture, ThreadKey

_PICTURE = TypeAdapter(Picture)


def pictures(db: Database, thread: ThreadKey) -> list[Picture]:
    """The finished pictures of a thread by number."""
    rows = db.execute("SELECT picture FROM pictures WHERE thread = ? ORDER BY number", [str(thread)])
    return [_PICTURE.validate_json(text) for (text,) in rows]


def picture(db: Database, thread: ThreadKey, number: int) -> Picture | None:
    """The picture with this number, if it is finished."""
    rows = db.execute("SELECT picture FROM pictures WHERE thread = ? AND number = ?", [str(thread), number])
    return next((_PICTURE.validate_json(text) for (text,) in rows), None)


def next_number(db: Database, thread: ThreadKey) -> int:
    """A number that no picture of the thread has had. To be called within a transaction."""
    sql = "UPDATE threads SET pictures = pictures + 1 WHERE key = ? RETURNING pictures"
    return int(db.execute(sql, [str(thread)]).fetchone()[0])


def keep(db: Database, thread: ThreadKey, number: int, picture: Picture) -> int:
    """Record the picture under this number. To be called within a transaction."""
    numbered = _PICTURE.dump_json(replace(picture, number=number)).decode()
    sql = "INSERT INTO pictures (thread, number, picture, digest) VALUES (?, ?, ?, ?)"
    db.execute(sql, [str(thread), number, numbered, picture.digest])
    return number


def remove(db: Database, thread: ThreadKey, number: int) -> None:
    """Forget the picture; its number stays taken."""
    db.execute("DELETE FROM pictures WHERE thread = ? AND number = ?", [str(thread), number])
