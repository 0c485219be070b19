"""The jobs table. The states of a job are `queued -> running -> rendered -> posted`, or `cancelled`, `dead`, `deleted`.

The jobs of a forgotten thread get the state `forgotten`: without content, they count for the limits for a day.

A write after a claim counts only for the attempt of that claim: a late result of an older attempt changes nothing.
"""

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pydantic import TypeAdapter
from sqlite_utils import Database

from bot.domain import Failed, ImageRequest, Message, Operation, Picture, Rendered, RenderJob, Sampling, ThreadKey
from bot.notices import UserText, loaded, stored
from bot.storage.database import transaction, watch_changes
from bot.storage.group_commit import GroupCommit
from bot.storage.pictures import insert_picture, next_number, picture
from bot.storage.usage import DAY, DailyUsage

_REQUEST = TypeAdapter(ImageRequest)
_COLUMNS = "id, thread, number, owner, request, refined, attempt, faults, ordered"


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job in a list. Times are in seconds since 1970, `cost` in megapixel-steps."""

    id: str
    message: str
    thread: ThreadKey
    number: int
    owner: str
    owner_name: str
    request: ImageRequest
    state: str
    reason: UserText | None
    attempt: int
    faults: int
    ordered: float
    claimed: float | None
    cost: float


class Jobs:
    """The jobs table. All methods that write raise StorageError if the file cannot be written."""

    def __init__(self, db: Database, group_commit: GroupCommit) -> None:
        self._db = db
        self._together = group_commit

    # Called for replies

    def order(
        self,
        message_id: str,
        request: ImageRequest,
        source: int | None,
        *,
        sampling: Sampling | None = None,
        allow: Callable[[], None] = lambda: None,
    ) -> RenderJob:
        """Return the job for an image request of a reply; a new job is recorded with a number in the thread.

        A new job has the given `sampling` instead of that of the request. After a restart the same request finds its
        job again, rendered or not, even if other settings apply then. A different request with the same key replaces
        the old job. `allow` is called before a new job is recorded; its exceptions are raised here.
        """
        job_id = f"{message_id}.{request.key}"
        request = replace(request, source=source)
        with transaction(self._db):
            known = self.job(job_id)
            if known and _is_same(request, known.request):
                # no worker has this job: its end could not be recorded
                self._db.execute("UPDATE jobs SET state = 'queued' WHERE id = ? AND state = 'running'", [job_id])
                return known
            if known:  # the new job replaces the old one, which must not count for the limits
                self._db.execute("DELETE FROM jobs WHERE id = ?", [job_id])
            allow()
            sql = "SELECT thread, author_id FROM messages WHERE id = ?"
            thread, owner = self._db.execute(sql, [message_id]).fetchone()
            key = ThreadKey.parse(thread)
            attempt = known.attempt if known else 0  # a late result of the old job must not count for the new one
            chosen = replace(request, sampling=sampling or request.sampling)
            return self._insert(message_id, key, next_number(self._db, key), owner, chosen, attempt)

    def insert_for_message(self, message: Message, request: ImageRequest, number: int) -> None:
        """Record the job of an image request inside the transaction that records its message."""
        self._insert(message.id, message.thread, number, message.author.id, request)

    def _insert(
        self, message_id: str, thread: ThreadKey, number: int, owner: str, request: ImageRequest, attempt: int = 0
    ) -> RenderJob:
        request = self._choose_seed(thread, request)
        job = RenderJob(
            f"{message_id}.{request.key}", thread, number, owner, request, attempt=attempt, ordered=time.time()
        )
        self._db.execute(
            "INSERT OR REPLACE INTO jobs (message, id, thread, number, owner, request, attempt, ordered)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                message_id,
                job.id,
                str(thread),
                number,
                owner,
                _REQUEST.dump_json(request, exclude_defaults=True).decode(),
                attempt,
                job.ordered,
            ],
        )
        return job

    def _choose_seed(self, thread: ThreadKey, request: ImageRequest) -> ImageRequest:
        """Choose the seed: an edit uses the seed of its source picture, to keep the rest of the image."""
        if request.sampling.seed is not None:
            return request
        source = request.source if request.operation is Operation.EDIT else None
        start = picture(self._db, thread, source) if source else None
        known = start.request.sampling.seed if start else None
        seed = random.getrandbits(31) if known is None else known
        return replace(request, sampling=replace(request.sampling, seed=seed))

    def refine(self, job: RenderJob, prompt: str) -> None:
        """Store the refined prompt, which the image model gets instead of the prompt of the job."""
        with transaction(self._db):
            self._db.execute("UPDATE jobs SET refined = ? WHERE id = ?", [prompt, job.id])

    def outcome(self, job: RenderJob) -> Rendered | Failed | None:
        """Return how the job ended; None if it has not ended."""
        state, reason = self._db.execute("SELECT state, reason FROM jobs WHERE id = ?", [job.id]).fetchone() or ("", "")
        if state in ("rendered", "posted"):
            made = picture(self._db, job.thread, job.number)
            return Rendered(made) if made else None
        if state == "deleted":
            return Failed(loaded(reason or ""), again=False)
        return Failed(loaded(reason or "")) if state in ("dead", "cancelled") else None

    def mark_posted(self, message_id: str) -> None:
        """Mark the rendered jobs of a reply as posted: the reply is final."""
        self._update_jobs_of(message_id, "state = 'posted'", "state = 'rendered'")

    def mark_deleted(self, thread: ThreadKey, number: int, reason: UserText) -> None:
        """Mark the jobs of a deleted picture as deleted; they are not rendered again."""
        sql = "SELECT id FROM messages WHERE thread = ?"
        for (message_id,) in self._db.execute(sql, [str(thread)]).fetchall():
            self._update_jobs_of(message_id, "state = 'deleted', reason = ?", f"number = {number:d}", stored(reason))

    def reopen(self, message_id: str, include_deleted: bool = False) -> None:
        """Queue the failed and cancelled jobs of a reply again; `include_deleted` also removes its deleted jobs.

        Without these jobs, a new answer of the chat model can request the deleted images again.
        """
        if include_deleted:
            with transaction(self._db):
                sql = "DELETE FROM jobs WHERE id > ? AND id < ? AND state = 'deleted'"
                self._db.execute(sql, [f"{message_id}.", f"{message_id}/"])
        change = "state = 'queued', faults = 0, reason = NULL, ordered = ?"  # the limits count the job from now on
        self._update_jobs_of(message_id, change, "state IN ('dead', 'cancelled')", time.time())

    def count_failed(self, message_id: str) -> int:
        """Return how many jobs of a reply failed for good or were cancelled."""
        sql = "SELECT COUNT(*) FROM jobs WHERE id > ? AND id < ? AND state IN ('dead', 'cancelled')"
        return int(self._db.execute(sql, [f"{message_id}.", f"{message_id}/"]).fetchone()[0])

    def forget(self, thread: ThreadKey) -> None:
        """Delete the jobs of a thread; jobs of the last day stay without content, because they count for the limits."""
        past = time.time() - DAY
        with transaction(self._db):
            self._db.execute("DELETE FROM jobs WHERE state = 'forgotten' AND ordered <= ?", [past])
            sql = "DELETE FROM jobs WHERE thread = ? AND (ordered <= ? OR state IN ('dead', 'cancelled'))"
            self._db.execute(sql, [str(thread), past])
            sql = (
                "UPDATE jobs SET state = 'forgotten', id = '/' || hex(randomblob(16)), message = '', request = '',"
                " refined = '', reason = NULL WHERE thread = ?"
            )
            self._db.execute(sql, [str(thread)])

    def cancel_all(self, message_id: str, reason: UserText) -> None:
        """Cancel the unfinished jobs of this reply."""
        change = "state = 'cancelled', reason = ?, ended = ?"
        self._update_jobs_of(message_id, change, "state IN ('queued', 'running')", stored(reason), time.time())

    def _update_jobs_of(self, message_id: str, change: str, which: str, *values: object) -> None:
        with transaction(self._db):
            sql = f"UPDATE jobs SET {change} WHERE id > ? AND id < ? AND {which}"
            self._db.execute(sql, [*values, f"{message_id}.", f"{message_id}/"])  # a slash follows the dot

    # Called by the render queue

    def recover(self) -> None:
        """Queue the jobs again that ran when the bot ended; that does not count as a fault of the job."""
        with transaction(self._db):
            self._db.execute("UPDATE jobs SET state = 'queued' WHERE state = 'running'")

    def claim(self, batch: str, costs: Mapping[str, float]) -> dict[str, int]:
        """Mark these jobs as running in one batch. Returns attempts by job id; an attempt is the token of later writes.

        `costs` are in megapixel-steps by job id. Jobs that are cancelled or run already are not in the result.
        """
        sql = (
            "UPDATE jobs SET state = 'running', attempt = attempt + 1, claimed = ?, cost = ?, batch = ?"
            " WHERE id = ? AND state = 'queued' RETURNING attempt"
        )
        now = time.time()
        with transaction(self._db):
            rows = {job: self._db.execute(sql, [now, cost, batch, job]).fetchone() for job, cost in costs.items()}
        return {job: row[0] for job, row in rows.items() if row}

    def transaction(self) -> AbstractContextManager[None]:
        """Return a context manager that runs all claims inside it in one transaction."""
        return transaction(self._db)

    async def complete(self, job: RenderJob, made: Picture) -> bool:
        """Record the finished picture, in one transaction with the other pictures of the same turn of the event loop.

        Returns False if the attempt is outdated.
        """
        return await self._together.write(partial(self.mark_rendered, job, made))

    def release(self, job: RenderJob, blamed: bool) -> int:
        """Queue a running job again, with one more fault if `blamed`. Returns the number of faults of the job."""
        self._write_attempt(job, "state = 'queued', faults = faults + ?", int(blamed))
        return int(self._db.execute("SELECT faults FROM jobs WHERE id = ?", [job.id]).fetchone()[0])

    def mark_rendered(self, job: RenderJob, made: Picture) -> bool:
        """Record the finished picture; returns False if the attempt is outdated."""
        with transaction(self._db):
            if not self._update_attempt(job, "state = 'rendered', ended = ?, model = ?", time.time(), made.model or ""):
                return False
            insert_picture(self._db, job.thread, job.number, made, job.owner)
        return True

    def fail(self, job: RenderJob, reason: UserText) -> None:
        """Mark the running job as failed for good."""
        self._write_attempt(job, "state = 'dead', reason = ?, ended = ?", stored(reason), time.time())

    def _write_attempt(self, job: RenderJob, change: str, *values: object) -> None:
        with transaction(self._db):
            self._update_attempt(job, change, *values)

    def _update_attempt(self, job: RenderJob, change: str, *values: object) -> bool:
        """Update the job if its attempt is current; returns whether it is. Call this inside a transaction."""
        sql = f"UPDATE jobs SET {change} WHERE id = ? AND attempt = ? AND state = 'running'"
        return self._db.execute(sql, [*values, job.id, job.attempt]).rowcount == 1

    def refuse(self, job: RenderJob, reason: UserText) -> None:
        """Mark a waiting job as failed for good."""
        sql = "UPDATE jobs SET state = 'dead', reason = ?, ended = ? WHERE id = ? AND state = 'queued'"
        with transaction(self._db):
            self._db.execute(sql, [stored(reason), time.time(), job.id])

    def cancel(self, job_id: str, reason: UserText) -> bool:
        """Cancel a job; returns False if the job has ended or does not exist."""
        sql = (
            "UPDATE jobs SET state = 'cancelled', reason = ?, ended = ? WHERE id = ? AND state IN ('queued', 'running')"
        )
        with transaction(self._db):
            return self._db.execute(sql, [stored(reason), time.time(), job_id]).rowcount == 1

    def recent_charges(self, seconds: float) -> list[tuple[ThreadKey, str, float]]:
        """Return thread, owner and cost (megapixel-steps) of the jobs claimed in the last `seconds`, in order of claim.

        Cancelled and failed jobs are not included.
        """
        sql = (
            "SELECT thread, owner, cost FROM jobs WHERE claimed > ?"
            " AND state IN ('running', 'rendered', 'posted', 'deleted') ORDER BY claimed"
        )
        rows = self._db.execute(sql, [time.time() - seconds])
        return [(ThreadKey.parse(thread), owner, cost) for thread, owner, cost in rows]

    def batch_timings(self, batches: int) -> list[tuple[str, float, float]]:
        """Return model, cost in megapixel-steps and seconds of the newest batches with a picture, oldest first."""
        sql = (
            "SELECT model, SUM(cost), MAX(ended) - MIN(claimed) FROM jobs WHERE batch IN"
            " (SELECT DISTINCT batch FROM (SELECT batch FROM jobs WHERE claimed IS NOT NULL"
            " AND state IN ('rendered', 'posted') ORDER BY claimed DESC LIMIT ?)) GROUP BY batch ORDER BY MIN(claimed)"
        )
        return [row for row in self._db.execute(sql, [batches]) if row[1] and row[2] and row[2] > 0]

    def watch_changes(self) -> Callable[[], bool]:
        """Return a function that says whether another process wrote to the file since its last call."""
        return watch_changes(self._db)

    # Called for users

    def job(self, job_id: str) -> RenderJob | None:
        """Return the job with this id; None if there is none."""
        row = self._db.execute(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", [job_id]).fetchone()
        if row is None:
            return None
        job_id, thread, number, owner, request, refined, attempt, faults, ordered = row
        return RenderJob(
            job_id, ThreadKey.parse(thread), number, owner, _REQUEST.validate_json(request), refined,
            attempt=attempt, faults=faults, ordered=ordered,
        )  # fmt: skip

    def newest_job_id(self, thread: ThreadKey, number: int) -> str:
        """Return the id of the newest job of the picture with this number; empty if there is none."""
        sql = "SELECT id FROM jobs WHERE thread = ? AND number = ? ORDER BY ordered DESC LIMIT 1"
        row = self._db.execute(sql, [str(thread), number]).fetchone()
        return str(row[0]) if row else ""

    def usage_since(self, server: str, owner: str, since: float) -> DailyUsage:
        """Return the usage of one user and of a whole server since `since` (seconds since 1970).

        Failed and cancelled jobs do not count. `server` is `PLATFORM/SPACE`.
        """
        sql = (
            "SELECT owner, state, ordered FROM jobs WHERE ordered > ? AND substr(thread, 1, ?) = ?"
            " AND state NOT IN ('dead', 'cancelled') ORDER BY ordered"
        )
        rows = self._db.execute(sql, [since, len(server) + 1, f"{server}/"]).fetchall()
        mine = [(state, ordered) for whose, state, ordered in rows if whose == owner]
        return DailyUsage(
            by_user=len(mine),
            by_server=len(rows),
            unfinished=sum(state in ("queued", "running") for state, _ in mine),
            oldest_by_user=mine[0][1] if mine else 0.0,
            oldest_by_server=rows[0][2] if rows else 0.0,
        )

    def usage_today(self, thread: ThreadKey, owner: str) -> DailyUsage:
        """Return the usage of the last 24 hours on the server of a thread."""
        return self.usage_since(f"{thread.platform}/{thread.space}", owner, time.time() - DAY)

    def count_rendered(self, server: str, since: float, owner: str = "") -> int:
        """Return how many images were rendered for a server, or for one of its users, since `since` (s since 1970)."""
        sql = (
            "SELECT COUNT(*) FROM jobs WHERE claimed > ? AND state IN ('rendered', 'posted', 'deleted')"
            " AND substr(thread, 1, ?) = ? AND (owner = ? OR ? = '')"
        )
        start = f"{server}/"
        return int(self._db.execute(sql, [since, len(start), start, owner, owner]).fetchone()[0])

    def unfinished(self) -> list[JobRow]:
        """Return the waiting and running jobs, oldest first."""
        return self._rows("jobs.state IN ('queued', 'running')", "jobs.ordered")

    def failures(self, most: int = 50) -> list[JobRow]:
        """Return the newest jobs that failed for good."""
        return self._rows("jobs.state = 'dead'", f"jobs.ended DESC LIMIT {most}")

    def find(self, job_ids: Iterable[str]) -> list[JobRow]:
        """Return the existing jobs with these ids."""
        return [row for job_id in job_ids for row in self._rows("jobs.id = ?", "jobs.ordered", job_id)]

    def _rows(self, which: str, order: str, *values: object) -> list[JobRow]:
        sql = (
            "SELECT jobs.id, message, jobs.thread, number, owner, author_name, request, state, reason,"
            " attempt, faults, ordered, claimed, cost"
            f" FROM jobs JOIN messages ON messages.id = jobs.message WHERE {which} ORDER BY {order}"
        )
        rows: Iterable[Sequence[Any]] = self._db.execute(sql, list(values))
        return [
            JobRow(
                job_id,
                message_id,
                ThreadKey.parse(thread),
                number,
                owner,
                name,
                _REQUEST.validate_json(request),
                state,
                reason and loaded(reason),
                *rest,
            )
            for job_id, message_id, thread, number, owner, name, request, state, reason, *rest in rows
        ]


def _is_same(request: ImageRequest, known: ImageRequest) -> bool:
    """Whether a repeated request is that of a known job; what it leaves open may have come from settings."""
    aspect_ratio = request.sampling.aspect_ratio
    return (request.operation, request.prompt, request.source, request.change) == (
        known.operation, known.prompt, known.source, known.change
    ) and aspect_ratio in ("", known.sampling.aspect_ratio)  # fmt: skip
