"""What is remembered: threads, messages, replies, pictures and jobs, in one SQLite file.

Every method is one short transaction. They are called on the event loop: a write takes well under a millisecond,
a commit one flush of the write-ahead log.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import TypeAdapter

from bot import before
from bot.chosen import Chosen
from bot.database import open_database, watch, wipe_log, writing
from bot.domain import Entry, ImageRequest, Message, Person, Picture, ThreadKey, ThreadSummary, View
from bot.errors import ConfigError
from bot.jobs import Jobs
from bot.pictures import deleted, describe, keep, owner, picture, pictures, remove
from bot.posts import Posts
from bot.together import Together

_VIEW = TypeAdapter(View)
_REQUESTS = TypeAdapter(tuple[ImageRequest, ...])
TITLE_LENGTH = 60


class Store:
    """The bot's memory. Whatever writes raises Unrecorded when the file cannot be written."""

    def __init__(self, path: Path) -> None:
        self._db = open_database(path)
        self.together = Together(self._db)
        self.jobs = Jobs(self._db, self.together)
        self.posts = Posts(self._db)
        self.chosen = Chosen(self._db)

    @classmethod
    def existing(cls, path: Path) -> Self:
        """The memory of a bot that was started before. Raises ConfigError if there is none, or it cannot be read."""
        if not path.exists():
            raise ConfigError(f"There is no database at {path}: start the bot once, or set DATA_DIR to its folder.")
        try:
            return cls(path)
        except sqlite3.Error as error:
            raise ConfigError(f"The database {path} cannot be opened: {error}.") from error

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def watch(self) -> Callable[[], bool]:
        """A question that tells whether another process has written since it was asked last."""
        return watch(self._db)

    # Threads

    def open_thread(self, key: ThreadKey, title: str = "") -> None:
        """Make the thread known; nothing happens if it is."""
        sql = "INSERT OR IGNORE INTO threads (key, platform, title, updated) VALUES (?, ?, ?, ?)"
        with writing(self._db):
            self._db.execute(sql, [str(key), key.platform, title, time.time()])

    def threads(self, platform: str) -> list[ThreadSummary]:
        """A platform's threads, the one with the newest message first."""
        rows = self._db.query("SELECT * FROM threads WHERE platform = ? ORDER BY updated DESC", [platform])
        return [ThreadSummary(ThreadKey.parse(row["key"]), row["title"], row["updated"]) for row in rows]

    def all_threads(self) -> list[ThreadSummary]:
        """All threads in which something was said, the one with the newest message first."""
        sql = "SELECT key, title, updated FROM threads WHERE key IN (SELECT thread FROM messages) ORDER BY updated DESC"
        return [ThreadSummary(ThreadKey.parse(key), title, updated) for key, title, updated in self._db.execute(sql)]

    def usage(self, since: float) -> list[tuple[str, str, str, int, float, int, int]]:
        """Server, person's id and name, pictures, megapixel-steps, tokens sent and written since then, most first."""
        sql = (
            "SELECT thread, author_id, author_name, told, said, 0, 0.0 FROM messages WHERE sent > ? UNION ALL"
            " SELECT thread, owner, '', 0, 0, 1, cost FROM jobs WHERE claimed > ?"
            " AND state IN ('rendered', 'posted', 'deleted')"
        )
        sums: dict[tuple[str, str], tuple[str, int, float, int, int]] = {}
        for thread, person, name, told, said, drawn, cost in self._db.execute(sql, [since, since]):
            who = ("/".join(thread.split("/")[:2]), person)
            so_far = sums.get(who, ("", 0, 0.0, 0, 0))
            sums[who] = (
                name or so_far[0], so_far[1] + drawn, so_far[2] + cost, so_far[3] + told, so_far[4] + said,
            )  # fmt: skip
        rows = [(*who, *amounts) for who, amounts in sums.items()]
        return sorted(rows, key=lambda row: (-row[3], -row[5], row[0], row[1]))

    def knows_thread(self, key: ThreadKey) -> bool:
        """Whether the thread was ever opened."""
        return bool(list(self._db.query("SELECT 1 FROM threads WHERE key = ?", [str(key)])))

    def title(self, key: ThreadKey) -> str:
        """What a thread is called."""
        row = self._db.execute("SELECT title FROM threads WHERE key = ?", [str(key)]).fetchone()
        return str(row[0]) if row and row[0] else "Pictures"

    # Messages and replies

    def accept(
        self,
        message: Message,
        uploads: Sequence[Picture] = (),
        words: str | None = None,
        requests: Sequence[ImageRequest] = (),
        allow: Callable[[], None] = lambda: None,
    ) -> bool:
        """Record a message with its uploads, which get their numbers here; False if it was known already.

        `requests` are what the reply shows, where that is settled without asking the chat model: they are ordered in
        the same transaction. `words` then stand for them in what the chat model is told later. `allow` is asked
        before anything is recorded: what it raises is raised.
        """
        thread, now = message.thread, time.time()
        with writing(self._db):
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
            numbers = [keep(self._db, thread, first + nth, upload, owner) for nth, upload in enumerate(uploads)]
            self._db.execute(
                "INSERT INTO messages"
                " (id, thread, author_id, author_name, text, about, uploads, words, heard, settled, sent, before, part)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [message.id, str(thread), message.author.id, message.author.name, message.text, message.about,
                 json.dumps(numbers), words or "", int(words is not None),
                 _REQUESTS.dump_json(tuple(requests)).decode() if requests else "", now, before.told(message.before),
                 message.part],
            )  # fmt: skip
            for number, request in enumerate(requests, first + len(uploads)):
                self.jobs.place(message, request, number)
        return True

    def knows_message(self, message_id: str) -> bool:
        """Whether this message was accepted before."""
        return self._db.execute("SELECT 1 FROM messages WHERE id = ?", [message_id]).fetchone() is not None

    def entry(self, message_id: str) -> Entry | None:
        """One message with its reply."""
        return next(iter(self._entries("messages.id = ?", message_id)), None)

    def entries(self, thread: ThreadKey) -> list[Entry]:
        """Everything said in a thread, in order."""
        return self._entries("messages.thread = ?", str(thread))

    def open_entries(self) -> list[Entry]:
        """The messages whose replies are not final, in order: what to take up after a restart."""
        return self._entries("messages.view IS NULL")

    def _entries(self, where: str, *values: str) -> list[Entry]:
        rows = list(self._db.query(f"SELECT * FROM messages WHERE {where} ORDER BY seq", list(values)))
        return [self._entry(row) for row in rows]

    def _entry(self, row: dict[str, Any]) -> Entry:
        thread = ThreadKey.parse(row["thread"])
        uploads = tuple(p for number in json.loads(row["uploads"]) if (p := self.picture(thread, number)))
        view = _VIEW.validate_json(row["view"]) if row["view"] else None
        author = Person(row["author_id"], row["author_name"])
        settled = _REQUESTS.validate_json(row["settled"]) if row["settled"] else ()
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
            settled,
            changed,
            row["before"],
            row["part"],
        )

    def heard(self, message_id: str) -> str | None:
        """The model's whole answer, or None while it has not finished."""
        rows = self._db.query("SELECT words FROM messages WHERE id = ? AND heard = 1", [message_id])
        return next((row["words"] for row in rows), None)

    def hear(self, message_id: str, words: str, complete: bool) -> None:
        """Keep what the model wrote."""
        with writing(self._db):
            self._db.table("messages").update(self._seq(message_id), {"words": words, "heard": int(complete)})

    def finish(self, message_id: str, view: View) -> None:
        """The reply is final, and on the screen."""
        with writing(self._db):
            self.jobs.posted(message_id)
            self._db.table("messages").update(self._seq(message_id), {"view": _VIEW.dump_json(view).decode()})

    def reopen(self, message_id: str) -> None:
        """Have the reply made again, keeping what succeeded; if its message was changed, the model is asked anew."""
        with writing(self._db):
            anew = self.changed(message_id)
            sql = "UPDATE messages SET view = NULL, heard = heard AND NOT changed, changed = 0 WHERE id = ?"
            self._db.execute(sql, [message_id])
            self.jobs.reopen(message_id, anew)

    def spend(self, message_id: str, told: int, said: int) -> None:
        """Add to what the answer to a message cost, in tokens of the chat model."""
        sql = "UPDATE messages SET told = told + ?, said = said + ? WHERE id = ?"
        with writing(self._db):
            self._db.execute(sql, [told, said, message_id])

    def spent(self, server: str, since: float, author: str = "") -> tuple[int, int]:
        """Tokens that were sent and written for a server's people, or for one of them, since then."""
        sql = (
            "SELECT COALESCE(SUM(told), 0), COALESCE(SUM(said), 0) FROM messages WHERE sent > ?"
            " AND substr(thread, 1, ?) = ? AND (author_id = ? OR ? = '')"
        )
        start = f"{server}/"
        told, said = self._db.execute(sql, [since, len(start), start, author, author]).fetchone()
        return int(told), int(said)

    def begin(self, message_id: str) -> None:
        """The message is answered now, with the words that it has."""
        if self.changed(message_id):
            with writing(self._db):
                self._db.execute("UPDATE messages SET changed = 0 WHERE id = ?", [message_id])

    def changed(self, message_id: str) -> bool:
        """Whether the message was given other words since its answer began."""
        row = self._db.execute("SELECT changed FROM messages WHERE id = ?", [message_id]).fetchone()
        return bool(row and row[0])

    def amend(self, message_id: str, text: str) -> bool:
        """Give a message other words; False if these were its words."""
        sql = "UPDATE messages SET text = ?, changed = 1 WHERE id = ? AND text != ?"
        with writing(self._db):
            return self._db.execute(sql, [text, message_id, text]).rowcount == 1

    def _seq(self, message_id: str) -> int:
        return int(next(self._db.query("SELECT seq FROM messages WHERE id = ?", [message_id]))["seq"])

    # Pictures

    def pictures(self, thread: ThreadKey) -> list[Picture]:
        """The finished pictures of a thread by number."""
        return pictures(self._db, thread)

    def picture(self, thread: ThreadKey, number: int) -> Picture | None:
        """The picture with this number, if it is finished."""
        return picture(self._db, thread, number)

    def describe(self, thread: ThreadKey, picture: Picture) -> None:
        """Keep a better alternative text of a picture."""
        with writing(self._db):
            describe(self._db, thread, picture)

    def owner(self, thread: ThreadKey, number: int) -> str:
        """The id of whoever asked for a picture, or sent it; empty if that is not on record."""
        return owner(self._db, thread, number)

    def deleted(self, thread: ThreadKey) -> list[int]:
        """The numbers of the pictures of a thread that were deleted."""
        return deleted(self._db, thread)

    def remove_picture(self, thread: ThreadKey, number: int, reason: str) -> None:
        """Forget the picture; its number stays taken, and its job is not done again."""
        with writing(self._db):
            remove(self._db, thread, number)
            self.jobs.deleted(thread, number, reason)

    def forget(self, thread: ThreadKey) -> list[str]:
        """Forget all that was said and drawn in a thread; the digests of its pictures."""
        key = str(thread)
        with writing(self._db):
            sql = "SELECT digest FROM pictures WHERE thread = ? AND digest != ''"
            digests = [row[0] for row in self._db.execute(sql, [key])]
            replies = "message IN (SELECT id FROM messages WHERE thread = ?)"
            for sql in (
                f"DELETE FROM posts WHERE {replies}",
                f"DELETE FROM places WHERE {replies}",
                "DELETE FROM pictures WHERE thread = ?",
                "DELETE FROM messages WHERE thread = ?",
                "DELETE FROM settings WHERE scope = ?",
                "UPDATE threads SET title = '' WHERE key = ?",  # its numbers go on: old ones never mean new pictures
            ):
                self._db.execute(sql, [key])
            self.jobs.forget(thread)
        wipe_log(self._db)
        return digests

    def silent(self, since: float, most: int, *, answering: bool = False) -> list[ThreadKey]:
        """Threads in which nothing was said since then, the oldest first; `answering` ones too if that is wanted."""
        sql = (
            "SELECT key FROM threads WHERE updated < ?"
            " AND (title != '' OR EXISTS (SELECT 1 FROM messages WHERE thread = key))"
            " AND (? OR NOT EXISTS (SELECT 1 FROM messages WHERE thread = key AND view IS NULL))"
            " ORDER BY updated LIMIT ?"
        )
        return [ThreadKey.parse(row[0]) for row in self._db.execute(sql, [since, answering, most])]

    def knows_picture(self, digest: str) -> bool:
        """Whether some thread has this picture."""
        return bool(digest and list(self._db.query("SELECT 1 FROM pictures WHERE digest = ? LIMIT 1", [digest])))


def _title(text: str) -> str:
    start = " ".join(text[: 2 * TITLE_LENGTH].split())
    return (start if len(start) <= TITLE_LENGTH else start[: TITLE_LENGTH - 1].rstrip() + "…") or "Pictures"
