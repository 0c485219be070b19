"""The render jobs: `queued -> running -> rendered -> posted`, or `cancelled`, `dead`, `deleted`. They are the record.

Of those of a forgotten thread nothing but the number is left, for a day.

What is written after a claim counts only for the attempt that the claim began: a late result of an older attempt
changes nothing.
"""

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlite_utils import Database

from bot.database import watch, writing
from bot.domain import Failed, ImageRequest, Message, Operation, Picture, Rendered, RenderJob, ThreadKey
from bot.limits import DAY, Used
from bot.pictures import keep, next_number, picture
from bot.together import Together

_COLUMNS = (
    "id, thread, number, owner, operation, prompt, seed, parent, change, ratio, refined, attempt, faults, ordered,"
    " wanted, negative, part"
)
_WANTED = ("operation", "prompt", "parent", "change", "ratio")


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job in a list. Times are in seconds since 1970, `cost` in megapixel-steps."""

    id: str
    message: str
    thread: ThreadKey
    number: int
    owner: str
    owner_name: str
    operation: str
    prompt: str
    state: str
    reason: str | None
    attempt: int
    faults: int
    ordered: float
    claimed: float | None
    cost: float


class Jobs:
    """The table of jobs. Whatever writes raises Unrecorded when the file cannot be written."""

    def __init__(self, db: Database, together: Together) -> None:
        self._db = db
        self._together = together

    # From the reply's side

    def order(
        self,
        message_id: str,
        request: ImageRequest,
        parent: int | None,
        *,
        ratio: str = "",
        model: str = "",
        allow: Callable[[], None] = lambda: None,
    ) -> RenderJob:
        """The job for the nth picture of a reply, with its number in the thread; recorded before anything runs.

        `ratio` and `model` were chosen for a request that leaves them open. After a restart the same request finds its
        job again, rendered or not, whatever is chosen then. If the model asks for something else this time, the old
        job gives way to a new one. `allow` is asked before a new one is made: what it raises is raised.
        """
        job_id = f"{message_id}.{request.key}"
        wanted = [request.operation.value, request.prompt, parent, request.change]
        wanted += [request.ratio] if request.ratio else []
        with writing(self._db):
            row = self._row(job_id)
            if row and all(row[column] == value for column, value in zip(_WANTED, wanted, strict=False)):
                # no worker has it: its end could not be recorded
                self._db.execute("UPDATE jobs SET state = 'queued' WHERE id = ? AND state = 'running'", [job_id])
                return _job(row)
            if row:  # it gives way, and does not count beside the new one
                self._db.execute("DELETE FROM jobs WHERE id = ?", [job_id])
            allow()
            sql = "SELECT thread, author_id FROM messages WHERE id = ?"
            thread, owner = self._db.execute(sql, [message_id]).fetchone()
            key = ThreadKey.parse(thread)
            number = next_number(self._db, key)
            attempt = row["attempt"] if row else 0  # an attempt of the old job is none of the new
            return self._place(message_id, RenderJob(
                job_id, key, number, owner, request.operation, request.prompt, self._seed(key, request, parent), parent,
                request.change, request.ratio or ratio, model=request.model or model, negative=request.negative,
                part=request.part, attempt=attempt, ordered=time.time(),
            ))  # fmt: skip

    def place(self, message: Message, request: ImageRequest, number: int) -> None:
        """Order a picture together with its message, within the transaction that accepts it."""
        seed = self._seed(message.thread, request, request.of)
        self._place(message.id, RenderJob(
            f"{message.id}.{request.key}", message.thread, number, message.author.id, request.operation, request.prompt,
            seed, request.of, request.change, request.ratio, model=request.model, negative=request.negative,
            part=request.part, ordered=time.time(),
        ))  # fmt: skip

    def _place(self, message_id: str, job: RenderJob) -> RenderJob:
        self._db.execute(
            f"INSERT OR REPLACE INTO jobs (message, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, {'?, ' * 12}?)",
            [message_id, job.id, str(job.thread), job.number, job.owner, job.operation.value, job.prompt, job.seed,
             job.parent, job.change, job.ratio, job.refined, job.attempt, job.faults, job.ordered, job.model,
             job.negative, job.part],
        )  # fmt: skip
        return job

    def _seed(self, thread: ThreadKey, request: ImageRequest, parent: int | None) -> int:
        """An edit starts from its picture's own seed, so that what need not change does not."""
        if request.seed is not None:
            return request.seed
        start = picture(self._db, thread, parent) if parent and request.operation is Operation.EDIT else None
        return start.seed if start and start.seed is not None else random.getrandbits(31)

    def refine(self, job: RenderJob, prompt: str) -> None:
        """Keep what the picture model is told instead of the job's own prompt."""
        with writing(self._db):
            self._db.execute("UPDATE jobs SET refined = ? WHERE id = ?", [prompt, job.id])

    def outcome(self, job: RenderJob) -> Rendered | Failed | None:
        """How the job ended, or None while it has not."""
        state, reason = self._db.execute("SELECT state, reason FROM jobs WHERE id = ?", [job.id]).fetchone() or ("", "")
        if state in ("rendered", "posted"):
            made = picture(self._db, job.thread, job.number)
            return Rendered(made) if made else None
        if state == "deleted":
            return Failed(reason, again=False)
        return Failed(reason) if state in ("dead", "cancelled") else None

    def posted(self, message_id: str) -> None:
        """The reply is final, and its pictures are on the screen."""
        self._of_message(message_id, "state = 'posted'", "state = 'rendered'")

    def deleted(self, thread: ThreadKey, number: int, reason: str) -> None:
        """The picture was deleted, which settles its job for good."""
        sql = "SELECT id FROM messages WHERE thread = ?"
        for (message_id,) in self._db.execute(sql, [str(thread)]).fetchall():
            self._of_message(message_id, "state = 'deleted', reason = ?", f"number = {number:d}", reason)

    def reopen(self, message_id: str, anew: bool = False) -> None:
        """Have what did not succeed made again; if the model is asked `anew`, also what was deleted."""
        if anew:
            with writing(self._db):
                sql = "DELETE FROM jobs WHERE id > ? AND id < ? AND state = 'deleted'"
                self._db.execute(sql, [f"{message_id}.", f"{message_id}/"])
        change = "state = 'queued', faults = 0, reason = NULL, ordered = ?"  # from now on it counts for the limits
        self._of_message(message_id, change, "state IN ('dead', 'cancelled')", time.time())

    def in_vain(self, message_id: str) -> int:
        """How many pictures of a reply were given up or cancelled."""
        sql = "SELECT COUNT(*) FROM jobs WHERE id > ? AND id < ? AND state IN ('dead', 'cancelled')"
        return int(self._db.execute(sql, [f"{message_id}.", f"{message_id}/"]).fetchone()[0])

    def forget(self, thread: ThreadKey) -> None:
        """Keep of a thread's jobs only, for a day, who had how many drawn: that counts for the limits."""
        past = time.time() - DAY
        with writing(self._db):
            self._db.execute("DELETE FROM jobs WHERE state = 'forgotten' AND ordered <= ?", [past])
            sql = "DELETE FROM jobs WHERE thread = ? AND (ordered <= ? OR state IN ('dead', 'cancelled'))"
            self._db.execute(sql, [str(thread), past])
            sql = (
                "UPDATE jobs SET state = 'forgotten', id = '/' || hex(randomblob(16)), message = '', prompt = '',"
                " refined = '', negative = '', change = '', ratio = '', part = '', operation = '', parent = NULL,"
                " seed = 0, reason = NULL WHERE thread = ?"
            )
            self._db.execute(sql, [str(thread)])

    def cancel_all(self, message_id: str, reason: str) -> None:
        """Nobody wants the unfinished pictures of this reply any more."""
        change = "state = 'cancelled', reason = ?, ended = ?"
        self._of_message(message_id, change, "state IN ('queued', 'running')", reason, time.time())

    def _of_message(self, message_id: str, change: str, which: str, *values: object) -> None:
        with writing(self._db):
            sql = f"UPDATE jobs SET {change} WHERE id > ? AND id < ? AND {which}"
            self._db.execute(sql, [*values, f"{message_id}.", f"{message_id}/"])  # a slash follows the dot

    # From the line's side

    def recover(self) -> None:
        """What ran when the last bot ended waits again; that was no fault of the job."""
        with writing(self._db):
            self._db.execute("UPDATE jobs SET state = 'queued' WHERE state = 'running'")

    def claim(self, batch: str, costs: Mapping[str, float]) -> dict[str, int]:
        """Have these jobs run in one batch: the attempt of each, which is the token of every later write.

        `costs` are in megapixel-steps by job. A job that was cancelled meanwhile, or runs already, is not among them.
        """
        sql = (
            "UPDATE jobs SET state = 'running', attempt = attempt + 1, claimed = ?, cost = ?, batch = ?"
            " WHERE id = ? AND state = 'queued' RETURNING attempt"
        )
        now = time.time()
        with writing(self._db):
            rows = {job: self._db.execute(sql, [now, cost, batch, job]).fetchone() for job, cost in costs.items()}
        return {job: row[0] for job, row in rows.items() if row}

    def at_once(self) -> AbstractContextManager[None]:
        """What is claimed within it is one transaction."""
        return writing(self._db)

    async def keep(self, job: RenderJob, made: Picture) -> bool:
        """Record the finished picture, in one transaction with those that are finished at the same time."""
        return await self._together.write(partial(self.rendered, job, made))

    def lost(self, job: RenderJob, blamed: bool) -> int:
        """Put a running job back into the line; how often it may have been to blame, this time included if `blamed`."""
        self._write(job, "state = 'queued', faults = faults + ?", int(blamed))
        return int(self._db.execute("SELECT faults FROM jobs WHERE id = ?", [job.id]).fetchone()[0])

    def rendered(self, job: RenderJob, made: Picture) -> bool:
        """Record the finished picture; False if this attempt is not the job's any more."""
        with writing(self._db):
            if not self._changed(job, "state = 'rendered', ended = ?, model = ?", time.time(), made.model or ""):
                return False
            keep(self._db, job.thread, job.number, made, job.owner)
        return True

    def dead(self, job: RenderJob, reason: str) -> None:
        """Give the running job up."""
        self._write(job, "state = 'dead', reason = ?, ended = ?", reason, time.time())

    def _write(self, job: RenderJob, change: str, *values: object) -> None:
        with writing(self._db):
            self._changed(job, change, *values)

    def _changed(self, job: RenderJob, change: str, *values: object) -> bool:
        """Whether this attempt is the job's still, which then is changed. To be called within a transaction."""
        sql = f"UPDATE jobs SET {change} WHERE id = ? AND attempt = ? AND state = 'running'"
        return self._db.execute(sql, [*values, job.id, job.attempt]).rowcount == 1

    def refuse(self, job: RenderJob, reason: str) -> None:
        """Give up a job that waits."""
        sql = "UPDATE jobs SET state = 'dead', reason = ?, ended = ? WHERE id = ? AND state = 'queued'"
        with writing(self._db):
            self._db.execute(sql, [reason, time.time(), job.id])

    def cancel(self, job_id: str, reason: str) -> bool:
        """Nobody wants this job any more; False if it has ended, or there is none."""
        sql = (
            "UPDATE jobs SET state = 'cancelled', reason = ?, ended = ? WHERE id = ? AND state IN ('queued', 'running')"
        )
        with writing(self._db):
            return self._db.execute(sql, [reason, time.time(), job_id]).rowcount == 1

    def served(self, seconds: float) -> list[tuple[ThreadKey, str, float]]:
        """Thread, owner and cost of what was served in the last so many seconds, in order.

        What was cancelled or failed does not count.
        """
        sql = (
            "SELECT thread, owner, cost FROM jobs WHERE claimed > ?"
            " AND state IN ('running', 'rendered', 'posted', 'deleted') ORDER BY claimed"
        )
        rows = self._db.execute(sql, [time.time() - seconds])
        return [(ThreadKey.parse(thread), owner, cost) for thread, owner, cost in rows]

    def paces(self, batches: int) -> list[tuple[str, float, float]]:
        """Model, cost in megapixel-steps and seconds of the newest batches that gave a picture, the oldest first."""
        sql = (
            "SELECT model, SUM(cost), MAX(ended) - MIN(claimed) FROM jobs WHERE batch IN"
            " (SELECT DISTINCT batch FROM (SELECT batch FROM jobs WHERE claimed IS NOT NULL"
            " AND state IN ('rendered', 'posted') ORDER BY claimed DESC LIMIT ?)) GROUP BY batch ORDER BY MIN(claimed)"
        )
        return [row for row in self._db.execute(sql, [batches]) if row[1] and row[2] and row[2] > 0]

    def watch(self) -> Callable[[], bool]:
        """A question that tells whether another process has written since it was asked last."""
        return watch(self._db)

    # For people

    def job(self, job_id: str) -> RenderJob | None:
        """The job with this id."""
        row = self._row(job_id)
        return _job(row) if row else None

    def making(self, thread: ThreadKey, number: int) -> str:
        """The id of the newest job that made the picture with this number; empty if none did."""
        sql = "SELECT id FROM jobs WHERE thread = ? AND number = ? ORDER BY ordered DESC LIMIT 1"
        row = self._db.execute(sql, [str(thread), number]).fetchone()
        return str(row[0]) if row else ""

    def used(self, server: str, owner: str, since: float) -> Used:
        """What was ordered for one person and for a whole server since then; failed and cancelled ones do not count."""
        sql = (
            "SELECT owner, state, ordered FROM jobs WHERE ordered > ? AND substr(thread, 1, ?) = ?"
            " AND state NOT IN ('dead', 'cancelled') ORDER BY ordered"
        )
        rows = self._db.execute(sql, [since, len(server) + 1, f"{server}/"]).fetchall()
        mine = [(state, ordered) for whose, state, ordered in rows if whose == owner]
        return Used(
            mine=len(mine),
            ours=len(rows),
            under_way=sum(state in ("queued", "running") for state, _ in mine),
            next_mine=mine[0][1] if mine else 0.0,
            next_ours=rows[0][2] if rows else 0.0,
        )

    def used_today(self, thread: ThreadKey, owner: str) -> Used:
        """What was ordered in the last day on the server of a thread."""
        return self.used(f"{thread.platform}/{thread.space}", owner, time.time() - DAY)

    def made(self, server: str, since: float, owner: str = "") -> int:
        """How many pictures were made for a server's people, or for one of them, since then (seconds since 1970)."""
        sql = (
            "SELECT COUNT(*) FROM jobs WHERE claimed > ? AND state IN ('rendered', 'posted', 'deleted')"
            " AND substr(thread, 1, ?) = ? AND (owner = ? OR ? = '')"
        )
        start = f"{server}/"
        return int(self._db.execute(sql, [since, len(start), start, owner, owner]).fetchone()[0])

    def unfinished(self) -> list[JobRow]:
        """The jobs that wait or run, the oldest first."""
        return self._rows("jobs.state IN ('queued', 'running')", "jobs.ordered")

    def failures(self, most: int = 50) -> list[JobRow]:
        """The newest jobs that were given up."""
        return self._rows("jobs.state = 'dead'", f"jobs.ended DESC LIMIT {most}")

    def find(self, job_ids: Iterable[str]) -> list[JobRow]:
        """The jobs with these ids that there are."""
        return [row for job_id in job_ids for row in self._rows("jobs.id = ?", "jobs.ordered", job_id)]

    def _rows(self, which: str, order: str, *values: object) -> list[JobRow]:
        sql = (
            "SELECT jobs.id, message, jobs.thread, number, owner, author_name, operation, prompt, state, reason,"
            " attempt, faults, ordered, claimed, cost"
            f" FROM jobs JOIN messages ON messages.id = jobs.message WHERE {which} ORDER BY {order}"
        )
        rows: Iterable[Sequence[Any]] = self._db.execute(sql, list(values))
        return [JobRow(row[0], row[1], ThreadKey.parse(row[2]), *row[3:]) for row in rows]

    def _row(self, job_id: str) -> dict[str, Any] | None:
        found: Sequence[Any] | None = self._db.execute(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", [job_id]).fetchone()
        return dict(zip(_COLUMNS.split(", "), found, strict=True)) if found else None


def _job(row: dict[str, Any]) -> RenderJob:
    told = row | {"thread": ThreadKey.parse(row["thread"]), "operation": Operation(row["operation"])}
    return RenderJob(model=told.pop("wanted"), **told)
