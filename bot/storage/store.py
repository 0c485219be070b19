"""Stores threads, messages, replies, pictures and jobs in one SQLite file.

Every method is one short transaction and is called on the event loop: a write takes well under a millisecond, a
commit one flush of the write-ahead log.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import TypeAdapter

from bot.domain import Entry, ImageRequest, Message, Person, Picture, ThreadKey, ThreadSummary, View
from bot.errors import ConfigError
from bot.notices import UserText
from bot.storage.database import open_database, transaction, truncate_wal, watch_changes
from bot.storage.group_commit import GroupCommit
from bot.storage.jobs import Jobs
from bot.storage.pictures import (
    deleted_numbers,
    insert_picture,
    picture,
    picture_owner,
    pictures,
    remove_picture,
    update_picture,
)
from bot.storage.posts import Posts
from bot.storage.settings_table import SettingsTable

_VIEW = TypeAdapter(View)
_REQUESTS = TypeAdapter(tuple[ImageRequest, ...])
TITLE_LENGTH = 60


class Store:
    """The database of the bot. All methods that write raise StorageError if the file cannot be written."""

    def __init__(self, path: Path) -> None:
        self._db = open_database(path)
        self.group_commit = GroupCommit(self._db)
        self.jobs = Jobs(self._db, self.group_commit)
        self.posts = Posts(self._db)
        self.settings = SettingsTable(self._db)

    @classmethod
    def open_existing(cls, path: Path) -> Self:
        """Open the existing database of a bot. Raises ConfigError if there is none, or if it is not readable."""
        if not path.exists():
            raise ConfigError(f"There is no database at {path}: start the bot once, or set DATA_DIR to its folder.")
        try:
            return cls(path)
        except sqlite3.Error as error:
            raise ConfigError(f"The database {path} cannot be opened: {error}.") from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def watch_changes(self) -> Callable[[], bool]:
        """Return a function that says whether another process wrote to the file since its last call."""
        return watch_changes(self._db)

    # Threads

    def open_thread(self, key: ThreadKey, title: str = "") -> None:
        """Record the thread unless it is recorded already."""
        sql = "INSERT OR IGNORE INTO threads (key, platform, title, updated) VALUES (?, ?, ?, ?)"
        with transaction(self._db):
            self._db.execute(sql, [str(key), key.platform, title, time.time()])

    def threads(self, platform: str) -> list[ThreadSummary]:
        """Return the threads of a platform, the thread with the newest message first."""
        rows = self._db.query("SELECT * FROM threads WHERE platform = ? ORDER BY updated DESC", [platform])
        return [ThreadSummary(ThreadKey.parse(row["key"]), row["title"], row["updated"]) for row in rows]

    def all_threads(self) -> list[ThreadSummary]:
        """Return all threads that have messages, the thread with the newest message first."""
        sql = "SELECT key, title, updated FROM threads WHERE key IN (SELECT thread FROM messages) ORDER BY updated DESC"
        return [ThreadSummary(ThreadKey.parse(key), title, updated) for key, title, updated in self._db.execute(sql)]

    def usage(self, since: float) -> list[tuple[str, str, str, int, float, int, int]]:
        """Return the usage since `since` (seconds since 1970), one row for each user of a server, most images first.

        A row is server, user id, user name, images, megapixel-steps, tokens sent to and tokens written by the model.
        """
        sql = (
            "SELECT thread, author_id, author_name, told, said, 0, 0.0 FROM messages WHERE sent > ? UNION ALL"
            " SELECT thread, owner, '', 0, 0, 1, cost FROM jobs WHERE claimed > ?"
            " AND state IN ('rendered', 'posted', 'deleted')"
        )
        sums: dict[tuple[str, str], tuple[str, int, float, int, int]] = {}
        for thread, person, name, sent, written, drawn, cost in self._db.execute(sql, [since, since]):
            who = ("/".join(thread.split("/")[:2]), person)
            so_far = sums.get(who, ("", 0, 0.0, 0, 0))
            sums[who] = (
                name or so_far[0],
                so_far[1] + drawn,
                so_far[2] + cost,
                so_far[3] + sent,
                so_far[4] + written,
            )
        rows = [(*who, *amounts) for who, amounts in sums.items()]
        return sorted(rows, key=lambda row: (-row[3], -row[5], row[0], row[1]))

    def knows_thread(self, key: ThreadKey) -> bool:
        """Whether the thread is recorded."""
        return bool(list(self._db.query("SELECT 1 FROM threads WHERE key = ?", [str(key)])))

    def title(self, key: ThreadKey) -> str:
        """Return the title of a thread."""
        row = self._db.execute("SELECT title FROM threads WHERE key = ?", [str(key)]).fetchone()
        return str(row[0]) if row and row[0] else "Pictures"

    # Messages and replies

    def accept(
        self,
        message: Message,
        uploads: Sequence[Picture] = (),
        raw_answer: str | None = None,
        requests: Sequence[ImageRequest] = (),
        allow: Callable[[], None] = lambda: None,
        earlier_messages: str = "",
    ) -> bool:
        """Record a message and number its uploads; returns False if the message was recorded before.

        `requests` are the image requests of a reply that needs no chat model: their jobs are recorded in the same
        transaction, and `raw_answer` represents them in the history of the chat model. `allow` is called before
        anything is recorded; its exceptions are raised here. `earlier_messages` is the line that the history shows of
        the messages from before the bot was mentioned.
        """
        thread, now = message.thread, time.time()
        with transaction(self._db):
            if self.knows_message(message.id):
                return False
            allow()
            title = _title(message.text)
            last = self._db.execute(
                "INSERT INTO threads (key, platform, title, updated, pictures) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (key) DO UPDATE SET updated = excluded.updated, pictures = pictures + excluded.pictures,"
                " title = CASE title WHEN '' THEN excluded.title ELSE title END RETURNING pictures",
                [str(thread), thread.platform, title, now, len(uploads) + len(requests)],
            ).fetchone()[0]
            first = last - len(uploads) - len(requests) + 1
            owner = message.author.id
            numbers = [
                insert_picture(self._db, thread, first + nth, upload, owner) for nth, upload in enumerate(uploads)
            ]
            self._db.execute(
                "INSERT INTO messages"
                " (id, thread, author_id, author_name, text, about, uploads, words, heard, settled, sent, before, part,"
                " author_locale)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    message.id,
                    str(thread),
                    message.author.id,
                    message.author.name,
                    message.text,
                    message.about,
                    json.dumps(numbers),
                    raw_answer or "",
                    int(raw_answer is not None),
                    _REQUESTS.dump_json(tuple(requests)).decode() if requests else "",
                    now,
                    earlier_messages,
                    message.region,
                    message.author.locale,
                ],
            )
            for number, request in enumerate(requests, first + len(uploads)):
                self.jobs.insert_for_message(message, request, number)
        return True

    def knows_message(self, message_id: str) -> bool:
        """Whether this message is recorded."""
        return self._db.execute("SELECT 1 FROM messages WHERE id = ?", [message_id]).fetchone() is not None

    def entry(self, message_id: str) -> Entry | None:
        """Return one message with its reply; None if it is not recorded."""
        return next(iter(self._entries("messages.id = ?", message_id)), None)

    def entries(self, thread: ThreadKey) -> list[Entry]:
        """Return the messages and replies of a thread, in order."""
        return self._entries("messages.thread = ?", str(thread))

    def open_entries(self) -> list[Entry]:
        """Return the messages whose replies are not final, in order; a restart resumes them."""
        return self._entries("messages.view IS NULL")

    def _entries(self, where: str, *values: str) -> list[Entry]:
        rows = list(self._db.query(f"SELECT * FROM messages WHERE {where} ORDER BY seq", list(values)))
        return [self._entry(row) for row in rows]

    def _entry(self, row: dict[str, Any]) -> Entry:
        thread = ThreadKey.parse(row["thread"])
        uploads = tuple(p for number in json.loads(row["uploads"]) if (p := self.picture(thread, number)))
        view = _VIEW.validate_json(row["view"]) if row["view"] else None
        author = Person(row["author_id"], row["author_name"], locale=row["author_locale"])
        requests = _REQUESTS.validate_json(row["settled"]) if row["settled"] else ()
        changed = bool(row["changed"])
        return Entry(
            row["id"],
            thread,
            author,
            row["text"],
            row["about"],
            uploads,
            row["words"],
            view,
            requests,
            changed,
            row["before"],
            row["part"],
        )

    def finished_answer(self, message_id: str) -> str | None:
        """Return the whole answer of the chat model; None if the answer is not finished."""
        rows = self._db.query("SELECT words FROM messages WHERE id = ? AND heard = 1", [message_id])
        return next((row["words"] for row in rows), None)

    def save_answer(self, message_id: str, raw_answer: str, is_complete: bool) -> None:
        """Store the answer of the chat model so far."""
        with transaction(self._db):
            self._db.table("messages").update(
                self._row_id(message_id), {"words": raw_answer, "heard": int(is_complete)}
            )

    def finish(self, message_id: str, view: View) -> None:
        """Store the final view of a reply and mark its jobs as posted."""
        with transaction(self._db):
            self.jobs.mark_posted(message_id)
            self._db.table("messages").update(self._row_id(message_id), {"view": _VIEW.dump_json(view).decode()})

    def reopen(self, message_id: str) -> None:
        """Open a final reply again: failed jobs are queued again; an edited message also gets a new answer."""
        with transaction(self._db):
            is_edited = self.is_edited(message_id)
            sql = "UPDATE messages SET view = NULL, heard = heard AND NOT changed, changed = 0 WHERE id = ?"
            self._db.execute(sql, [message_id])
            self.jobs.reopen(message_id, is_edited)

    def add_tokens(self, message_id: str, sent: int, written: int) -> None:
        """Add tokens sent to the chat model and tokens written by it to the usage of a message."""
        sql = "UPDATE messages SET told = told + ?, said = said + ? WHERE id = ?"
        with transaction(self._db):
            self._db.execute(sql, [sent, written, message_id])

    def count_tokens(self, server: str, since: float, author: str = "") -> tuple[int, int]:
        """Return the tokens sent and written for a server, or for one of its users, since `since` (s since 1970)."""
        sql = (
            "SELECT COALESCE(SUM(told), 0), COALESCE(SUM(said), 0) FROM messages WHERE sent > ?"
            " AND substr(thread, 1, ?) = ? AND (author_id = ? OR ? = '')"
        )
        start = f"{server}/"
        sent, written = self._db.execute(sql, [since, len(start), start, author, author]).fetchone()
        return int(sent), int(written)

    def clear_edited(self, message_id: str) -> None:
        """Mark the message as not edited: the answer to its current text starts now."""
        if self.is_edited(message_id):
            with transaction(self._db):
                self._db.execute("UPDATE messages SET changed = 0 WHERE id = ?", [message_id])

    def is_edited(self, message_id: str) -> bool:
        """Whether the message was edited since its answer began."""
        row = self._db.execute("SELECT changed FROM messages WHERE id = ?", [message_id]).fetchone()
        return bool(row and row[0])

    def edit_text(self, message_id: str, text: str) -> bool:
        """Replace the text of a message; returns False if the text is the same."""
        sql = "UPDATE messages SET text = ?, changed = 1 WHERE id = ? AND text != ?"
        with transaction(self._db):
            return self._db.execute(sql, [text, message_id, text]).rowcount == 1

    def _row_id(self, message_id: str) -> int:
        return int(next(self._db.query("SELECT seq FROM messages WHERE id = ?", [message_id]))["seq"])

    # Pictures

    def pictures(self, thread: ThreadKey) -> list[Picture]:
        """Return the finished pictures of a thread, ordered by number."""
        return pictures(self._db, thread)

    def picture(self, thread: ThreadKey, number: int) -> Picture | None:
        """Return the picture with this number; None if it is not finished or deleted."""
        return picture(self._db, thread, number)

    def update_picture(self, thread: ThreadKey, picture: Picture) -> None:
        """Update the record of a picture, for example with a better alternative text."""
        with transaction(self._db):
            update_picture(self._db, thread, picture)

    def picture_owner(self, thread: ThreadKey, number: int) -> str:
        """Return the id of the user who requested or uploaded a picture; empty if it is not recorded."""
        return picture_owner(self._db, thread, number)

    def deleted_numbers(self, thread: ThreadKey) -> list[int]:
        """Return the numbers of the deleted pictures of a thread."""
        return deleted_numbers(self._db, thread)

    def remove_picture(self, thread: ThreadKey, number: int, reason: UserText) -> None:
        """Delete the picture and mark its jobs as deleted; its number is not used again."""
        with transaction(self._db):
            remove_picture(self._db, thread, number)
            self.jobs.mark_deleted(thread, number, reason)

    def forget(self, thread: ThreadKey) -> list[str]:
        """Delete the messages and pictures of a thread. Returns the digests of the pictures, whose files remain."""
        key = str(thread)
        with transaction(self._db):
            sql = "SELECT digest FROM pictures WHERE thread = ? AND digest != ''"
            digests = [row[0] for row in self._db.execute(sql, [key])]
            replies = "message IN (SELECT id FROM messages WHERE thread = ?)"
            for sql in (
                f"DELETE FROM posts WHERE {replies}",
                f"DELETE FROM places WHERE {replies}",
                "DELETE FROM pictures WHERE thread = ?",
                "DELETE FROM messages WHERE thread = ?",
                "DELETE FROM settings WHERE scope = ?",
                "UPDATE threads SET title = '' WHERE key = ?",  # a new picture never gets an old number
            ):
                self._db.execute(sql, [key])
            self.jobs.forget(thread)
        truncate_wal(self._db)
        return digests

    def inactive_threads(self, since: float, most: int, *, include_unanswered: bool = False) -> list[ThreadKey]:
        """Return threads without a message since `since` (s since 1970), oldest first, at most `most`.

        Threads with an open reply are included only if `include_unanswered`.
        """
        sql = (
            "SELECT key FROM threads WHERE updated < ?"
            " AND (title != '' OR EXISTS (SELECT 1 FROM messages WHERE thread = key))"
            " AND (? OR NOT EXISTS (SELECT 1 FROM messages WHERE thread = key AND view IS NULL))"
            " ORDER BY updated LIMIT ?"
        )
        return [ThreadKey.parse(row[0]) for row in self._db.execute(sql, [since, include_unanswered, most])]

    def knows_picture(self, digest: str) -> bool:
        """Whether any thread has this picture."""
        return bool(digest and list(self._db.query("SELECT 1 FROM pictures WHERE digest = ? LIMIT 1", [digest])))


def _title(text: str) -> str:
    start = " ".join(text[: 2 * TITLE_LENGTH].split())
    return (start if len(start) <= TITLE_LENGTH else start[: TITLE_LENGTH - 1].rstrip() + "…") or "Pictures"
