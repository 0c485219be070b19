"""The pictures of a thread and their numbers, as rows. The files are elsewhere."""

from dataclasses import replace

from pydantic import TypeAdapter
from sqlite_utils import Database

from bot.domain import Picture, ThreadKey

_PICTURE = TypeAdapter(Picture)


def pictures(db: Database, thread: ThreadKey) -> list[Picture]:
    """The finished pictures of a thread by number."""
    rows = db.execute("SELECT picture FROM pictures WHERE thread = ? AND digest != '' ORDER BY number", [str(thread)])
    return [_PICTURE.validate_json(text) for (text,) in rows]


def picture(db: Database, thread: ThreadKey, number: int) -> Picture | None:
    """The picture with this number, if it is finished."""
    sql = "SELECT picture FROM pictures WHERE thread = ? AND number = ? AND digest != ''"
    rows = db.execute(sql, [str(thread), number])
    return next((_PICTURE.validate_json(text) for (text,) in rows), None)


def next_number(db: Database, thread: ThreadKey) -> int:
    """A number that no picture of the thread has had. To be called within a transaction."""
    sql = "UPDATE threads SET pictures = pictures + 1 WHERE key = ? RETURNING pictures"
    return int(db.execute(sql, [str(thread)]).fetchone()[0])


def keep(db: Database, thread: ThreadKey, number: int, picture: Picture, owner: str) -> int:
    """Record the picture under this number. To be called within a transaction."""
    numbered = _PICTURE.dump_json(replace(picture, number=number)).decode()
    sql = "INSERT INTO pictures (thread, number, picture, digest, owner) VALUES (?, ?, ?, ?, ?)"
    db.execute(sql, [str(thread), number, numbered, picture.digest, owner])
    return number


def remove(db: Database, thread: ThreadKey, number: int) -> None:
    """Forget the picture; its number stays taken, and is known to have been one's."""
    sql = "UPDATE pictures SET picture = '', digest = '' WHERE thread = ? AND number = ?"
    db.execute(sql, [str(thread), number])


def describe(db: Database, thread: ThreadKey, picture: Picture) -> None:
    """Keep what else is known of the picture with its number, unless it was deleted."""
    sql = "UPDATE pictures SET picture = ? WHERE thread = ? AND number = ? AND digest = ?"
    db.execute(sql, [_PICTURE.dump_json(picture).decode(), str(thread), picture.number, picture.digest])


def owner(db: Database, thread: ThreadKey, number: int) -> str:
    """The id of whoever asked for the picture, or sent it; empty if that is not on record."""
    sql = "SELECT owner FROM pictures WHERE thread = ? AND number = ?"
    return next((str(row[0]) for row in db.execute(sql, [str(thread), number])), "")


def deleted(db: Database, thread: ThreadKey) -> list[int]:
    """The numbers of the pictures that were deleted."""
    sql = "SELECT number FROM pictures WHERE thread = ? AND digest = '' ORDER BY number"
    return [number for (number,) in db.execute(sql, [str(thread)])]
