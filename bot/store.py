"""What is remembered: threads, messages, replies, pictures and jobs, in one SQLite file.

Every method is one short transaction. They are called on the event loop: a write takes well under a millisecond,
a commit one flush of the write-ahead log.
"""

import json
import random
import sqlite3
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from textwrap import shorten
from typing import Any

from pydantic import TypeAdapter
from sqlite_utils import Database

from bot.domain import (
    Entry,
    Failed,
    ImageRequest,
    Message,
    Operation,
    Person,
    Picture,
    Rendered,
    RenderJob,
    ThreadKey,
    ThreadSummary,
    View,
)
from bot.errors import Unrecorded
from bot.schema import migrations

_VIEW = TypeAdapter(View)
_PICTURE = TypeAdapter(Picture)
TITLE_LENGTH = 60


class Store:
    """The bot's memory. Whatever writes raises Unrecorded when the file cannot be written."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = Database(sqlite3.connect(path, isolation_level=None))
        self._db.enable_wal()
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA foreign_keys = ON")
        migrations.apply(self._db)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    @contextmanager
    def _writing(self) -> Generator[None]:
        try:
            with self._db.atomic():
                yield
        except sqlite3.Error as error:
            raise Unrecorded(f"Nothing was recorded, please try again later: {error}.") from error

    # Threads

    def open_thread(self, key: ThreadKey, title: str = "") -> None:
        """Make the thread known; nothing happens if it is."""
        row = {"key": str(key), "platform": key.platform, "title": title, "updated": time.time()}
        with self._writing():
            self._db.table("threads").insert(row, ignore=True)

    def threads(self, platform: str) -> list[ThreadSummary]:
        """A platform's threads, the one with the newest message first."""
        rows = self._db.query("SELECT * FROM threads WHERE platform = ? ORDER BY updated DESC", [platform])
        return [ThreadSummary(ThreadKey.parse(row["key"]), row["title"], row["updated"]) for row in rows]

    def knows_thread(self, key: ThreadKey) -> bool:
        """Whether the thread was ever opened."""
        return bool(list(self._db.query("SELECT 1 FROM threads WHERE key = ?", [str(key)])))

    # Messages and replies

    def accept(self, message: Message, uploads: Sequence[Picture] = (), words: str | None = None) -> bool:
        """Record a message with its uploads, which get their numbers here; False if it was known already.

        `words` are the reply's, where they are settled without asking the chat model.
        """
        with self._writing():
            if self.knows_message(message.id):
                return False
            self.open_thread(message.thread)
            numbers = [self._keep(message.thread, self._next_number(message.thread), picture) for picture in uploads]
            row: dict[str, Any] = {"id": message.id, "thread": str(message.thread), "text": message.text}
            row |= {"author_id": message.author.id, "author_name": message.author.name, "about": message.about}
            row |= {"uploads": json.dumps(numbers), "words": words or "", "heard": int(words is not None)}
            self._db.table("messages").insert(row)
            title = shorten(message.text, TITLE_LENGTH, placeholder="…") or "Pictures"
            self._db.execute(
                "UPDATE threads SET updated = ?, title = CASE title WHEN '' THEN ? ELSE title END WHERE key = ?",
                [time.time(), title, str(message.thread)],
            )
        return True

    def knows_message(self, message_id: str) -> bool:
        """Whether this message was accepted before."""
        return bool(list(self._db.query("SELECT 1 FROM messages WHERE id = ?", [message_id])))

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
        return Entry(row["id"], thread, author, row["text"], row["about"], uploads, row["words"], view)

    def heard(self, message_id: str) -> str | None:
        """The model's whole answer, or None while it has not finished."""
        rows = self._db.query("SELECT words FROM messages WHERE id = ? AND heard = 1", [message_id])
        return next((row["words"] for row in rows), None)

    def hear(self, message_id: str, words: str, complete: bool) -> None:
        """Keep what the model wrote."""
        with self._writing():
            self._db.table("messages").update(self._seq(message_id), {"words": words, "heard": int(complete)})

    def finish(self, message_id: str, view: View) -> None:
        """The reply is final."""
        with self._writing():
            self._db.table("messages").update(self._seq(message_id), {"view": _VIEW.dump_json(view).decode()})

    def reopen(self, message_id: str) -> None:
        """Have the reply made again, keeping what succeeded."""
        with self._writing():
            self._db.table("messages").update(self._seq(message_id), {"view": None})
            self._db.execute(
                "UPDATE jobs SET state = 'queued', faults = 0, reason = NULL"
                " WHERE message = ? AND state IN ('dead', 'cancelled')",
                [message_id],
            )

    def _seq(self, message_id: str) -> int:
        return int(next(self._db.query("SELECT seq FROM messages WHERE id = ?", [message_id]))["seq"])

    # Pictures

    def pictures(self, thread: ThreadKey) -> list[Picture]:
        """The finished pictures of a thread by number."""
        rows = self._db.query("SELECT picture FROM pictures WHERE thread = ? ORDER BY number", [str(thread)])
        return [_PICTURE.validate_json(row["picture"]) for row in rows]

    def picture(self, thread: ThreadKey, number: int) -> Picture | None:
        """The picture with this number, if it is finished."""
        rows = self._db.query("SELECT picture FROM pictures WHERE thread = ? AND number = ?", [str(thread), number])
        return next((_PICTURE.validate_json(row["picture"]) for row in rows), None)

    def knows_picture(self, digest: str) -> bool:
        """Whether some thread has this picture."""
        return bool(list(self._db.query("SELECT 1 FROM pictures WHERE digest = ? LIMIT 1", [digest])))

    def _next_number(self, thread: ThreadKey) -> int:
        self._db.execute("UPDATE threads SET pictures = pictures + 1 WHERE key = ?", [str(thread)])
        return int(next(self._db.query("SELECT pictures FROM threads WHERE key = ?", [str(thread)]))["pictures"])

    def _keep(self, thread: ThreadKey, number: int, picture: Picture) -> int:
        numbered = _PICTURE.dump_json(replace(picture, number=number)).decode()
        row = {"thread": str(thread), "number": number, "picture": numbered, "digest": picture.digest}
        self._db.table("pictures").insert(row)
        return number

    # Jobs

    def order(self, message_id: str, request: ImageRequest, parent: int | None) -> RenderJob:
        """The job for the nth picture of a reply, with its number in the thread; recorded before anything runs.

        After a restart the same request finds its job again, rendered or not. If the model asks for something else
        this time, the old job gives way to a new one.
        """
        job_id = f"{message_id}.{request.key}"
        with self._writing():
            row = next(self._db.query("SELECT * FROM jobs WHERE id = ?", [job_id]), None)
            wanted = {"operation": request.operation.value, "prompt": request.prompt, "parent": parent}
            wanted |= {"change": request.change, "ratio": request.ratio}
            if row is None or any(row[column] != value for column, value in wanted.items()):
                message = next(self._db.query("SELECT thread, author_id FROM messages WHERE id = ?", [message_id]))
                thread = ThreadKey.parse(message["thread"])
                row = {"id": job_id, "message": message_id, "thread": str(thread), "owner": message["author_id"]}
                row |= {"number": self._next_number(thread), "seed": self._seed(thread, request, parent)} | wanted
                row |= {"state": "queued", "attempt": 0, "faults": 0, "reason": None, "refined": ""}
                self._db.table("jobs").insert(row, replace=True)
            return _job(row)

    def _seed(self, thread: ThreadKey, request: ImageRequest, parent: int | None) -> int:
        """An edit starts from its picture's own seed, so that what need not change does not."""
        picture = self.picture(thread, parent) if parent and request.operation is Operation.EDIT else None
        return picture.seed if picture and picture.seed is not None else random.getrandbits(31)

    def refine(self, job: RenderJob, prompt: str) -> None:
        """Keep what the picture model is told instead of the job's own prompt."""
        with self._writing():
            self._db.table("jobs").update(job.id, {"refined": prompt})

    def outcome(self, job: RenderJob) -> Rendered | Failed | None:
        """How the job ended, or None while it has not."""
        row = next(self._db.query("SELECT state, reason FROM jobs WHERE id = ?", [job.id]), None)
        if row is not None and row["state"] == "rendered":
            picture = self.picture(job.thread, job.number)
            return Rendered(picture) if picture else None
        return Failed(row["reason"]) if row is not None and row["state"] in ("dead", "cancelled") else None

    def claim(self, job: RenderJob) -> RenderJob:
        """Mark the job as running; the attempt's number is the token of every later write."""
        with self._writing():
            self._db.execute("UPDATE jobs SET state = 'running', attempt = attempt + 1 WHERE id = ?", [job.id])
        row = next(self._db.query("SELECT attempt FROM jobs WHERE id = ?", [job.id]))
        return replace(job, attempt=int(row["attempt"]))

    def lost(self, job: RenderJob, blamed: bool) -> int:
        """Put a running job back into the line; how often it may have been to blame, this time included if `blamed`."""
        self._write(job, "state = 'queued', faults = faults + ?", int(blamed))
        return int(next(self._db.query("SELECT faults FROM jobs WHERE id = ?", [job.id]))["faults"])

    def rendered(self, job: RenderJob, picture: Picture) -> bool:
        """Record the finished picture; False if this attempt is not the job's any more."""
        with self._writing():
            if not self._write(job, "state = 'rendered'"):
                return False
            self._keep(job.thread, job.number, picture)
        return True

    def dead(self, job: RenderJob, reason: str) -> None:
        """Give the running job up."""
        self._write(job, "state = 'dead', reason = ?", reason)

    def cancel_jobs(self, message_id: str, reason: str) -> None:
        """Nobody wants the unfinished pictures of this reply any more."""
        with self._writing():
            self._db.execute(
                "UPDATE jobs SET state = 'cancelled', reason = ? WHERE message = ? AND state IN ('queued', 'running')",
                [reason, message_id],
            )

    def _write(self, job: RenderJob, change: str, *values: object) -> bool:
        sql = f"UPDATE jobs SET {change} WHERE id = ? AND attempt = ? AND state = 'running'"
        with self._writing():
            return self._db.execute(sql, [*values, job.id, job.attempt]).rowcount == 1


def _job(row: dict[str, Any]) -> RenderJob:
    return RenderJob(
        id=row["id"],
        thread=ThreadKey.parse(row["thread"]),
        number=row["number"],
        owner=row["owner"],
        operation=Operation(row["operation"]),
        prompt=row["prompt"],
        seed=row["seed"],
        parent=row["parent"],
        change=row["change"],
        ratio=row["ratio"],
        refined=row["refined"],
        attempt=row["attempt"],
    )
