"""The pictures table: the record of each picture of a thread by number. The files are in `picture_files`."""

from dataclasses import replace

from pydantic import TypeAdapter
from sqlite_utils import Database

from bot.domain import Picture, ThreadKey

_PICTURE = TypeAdapter(Picture)


def pictures(db: Database, thread: ThreadKey) -> list[Picture]:
    """Return the finished pictures of a thread, ordered by number."""
    rows = db.execute("SELECT picture FROM pictures WHERE thread = ? AND digest != '' ORDER BY number", [str(thread)])
    return [_PICTURE.validate_json(text) for (text,) in rows]


def picture(db: Database, thread: ThreadKey, number: int) -> Picture | None:
    """Return the picture with this number; None if it is not finished or deleted."""
    sql = "SELECT picture FROM pictures WHERE thread = ? AND number = ? AND digest != ''"
    rows = db.execute(sql, [str(thread), number])
    return next((_PICTURE.validate_json(text) for (text,) in rows), None)


def next_number(db: Database, thread: ThreadKey) -> int:
    """Reserve a number that no picture of the thread had before. Call this inside a transaction."""
    sql = "UPDATE threads SET pictures = pictures + 1 WHERE key = ? RETURNING pictures"
    return int(db.execute(sql, [str(thread)]).fetchone()[0])


def insert_picture(db: Database, thread: ThreadKey, number: int, picture: Picture, owner: str) -> int:
    """Record the picture under this number and return the number. Call this inside a transaction."""
    numbered = _PICTURE.dump_json(replace(picture, number=number)).decode()
    sql = "INSERT INTO pictures (thread, number, picture, digest, owner) VALUES (?, ?, ?, ?, ?)"
    db.execute(sql, [str(thread), number, numbered, picture.digest, owner])
    return number


def remove_picture(db: Database, thread: ThreadKey, number: int) -> None:
    """Delete the picture; the row keeps its number, so the number is not used again and counts as deleted."""
    sql = "UPDATE pictures SET picture = '', digest = '' WHERE thread = ? AND number = ?"
    db.execute(sql, [str(thread), number])


def update_picture(db: Database, thread: ThreadKey, picture: Picture) -> None:
    """Update the record of the picture with this number, unless the picture was deleted."""
    sql = "UPDATE pictures SET picture = ? WHERE thread = ? AND number = ? AND digest = ?"
    db.execute(sql, [_PICTURE.dump_json(picture).decode(), str(thread), picture.number, picture.digest])


def picture_owner(db: Database, thread: ThreadKey, number: int) -> str:
    """Return the id of the user who requested or uploaded the picture; empty if it is not recorded."""
    sql = "SELECT owner FROM pictures WHERE thread = ? AND number = ?"
    return next((str(row[0]) for row in db.execute(sql, [str(thread), number])), "")


def deleted_numbers(db: Database, thread: ThreadKey) -> list[int]:
    """Return the numbers of the deleted pictures."""
    sql = "SELECT number FROM pictures WHERE thread = ? AND digest = '' ORDER BY number"
    return [number for (number,) in db.execute(sql, [str(thread)])]
