"""Databases of every earlier schema: they open, and their jobs, pictures and views have the values of today."""

import json
import sqlite3
from pathlib import Path

import pytest
from sqlite_utils import Database

from bot.domain import (
    Failed,
    ImageRequest,
    Operation,
    Person,
    Picture,
    PicturePart,
    Rendered,
    Sampling,
    TextPart,
    ThreadKey,
    View,
)
from bot.storage.migrations import migrations
from bot.storage.store import Store

_NAMES = [migration.name for migration in migrations.pending(Database(memory=True))]
SCHEMAS = _NAMES[: _NAMES.index("image_requests") + 1]  # the rows below are of the schemas before it
THREAD = ThreadKey("test", "space", "channel", "thread")
REGION = "0,0 50,0 50,50"
UPLOAD = {"number": 1, "digest": "u", "width": 8, "height": 8, "prompt": "", "alt": "a photo", "operation": "upload",
          "seed": None, "model": None, "parent": None}  # fmt: skip
EDITED = {"number": 2, "digest": "e", "width": 8, "height": 8, "prompt": "a red sun", "alt": "a sun",
          "operation": "edit", "seed": 7, "model": "flat", "parent": 1, "refined": "a deep red sun",
          "way": "by instruction", "notes": ["It is small."]}  # fmt: skip
OLD_VIEW = {
    "parts": [
        {"markdown": "Here:"},
        {"key": 0, "number": 2, "operation": "edit", "prompt": "a red sun", "state": {"picture": EDITED}, "parent": 1},
        {"key": 1, "number": 3, "operation": "generate", "prompt": "a moon", "state": {"reason": "No.", "again": False},
         "parent": None},
    ],
    "status": "", "buttons": [], "final": True, "language": "",
}  # fmt: skip
PICTURE = Picture(
    2, "e", 8, 8, "a sun", ImageRequest(0, Operation.EDIT, "a red sun", source=1, sampling=Sampling(seed=7)),
    model="flat", refined_prompt="a deep red sun", edit_method="by instruction", notes=("It is small.",),
)  # fmt: skip
VIEW = View(
    (
        TextPart("Here:"),
        PicturePart(0, 2, Operation.EDIT, "a red sun", Rendered(PICTURE), 1),
        PicturePart(1, 3, Operation.GENERATE, "a moon", Failed("No.", again=False)),
    ),
    final=True,
)


def columns(db: sqlite3.Connection, table: str) -> set[str]:
    """The columns of a table; empty if there is no such table."""
    return {row[1] for row in db.execute(f"PRAGMA table_info({table})")}


def insert(db: sqlite3.Connection, table: str, **values: object) -> None:
    """Insert a row, as far as this schema has the columns."""
    known = {name: value for name, value in values.items() if name in columns(db, table)}
    db.execute(f"INSERT INTO {table} ({', '.join(known)}) VALUES ({', '.join('?' * len(known))})", [*known.values()])


def write_old_database(path: Path, newest: str) -> set[str]:
    """Write a database whose newest migration is `newest`, with rows in all tables; returns the columns of jobs."""
    later = SCHEMAS[SCHEMAS.index(newest) + 1]
    connection = sqlite3.connect(path, isolation_level=None)
    migrations.apply(Database(connection), stop_before=later)
    insert(connection, "threads", key=str(THREAD), platform="test", title="A sun", updated=5.0, pictures=4)
    for message_id, view in (("m1", json.dumps(OLD_VIEW)), ("m.2", None)):
        insert(
            connection, "messages", id=message_id, thread=str(THREAD), author_id="ann", author_name="Ann", text="draw",
            uploads="[1]", words="<image>a moon</image>", received=1, view=view,
            settled=json.dumps([
                {"key": 0, "operation": "edit", "prompt": "a red sun", "of": 1, "change": "small", "ratio": "16:9",
                 "model": "deep", "seed": 7, "negative": "dogs", "part": REGION},
            ]),
        )  # fmt: skip
    for record in (UPLOAD, EDITED):
        insert(connection, "pictures", thread=str(THREAD), number=record["number"], picture=json.dumps(record),
               digest=record["digest"], owner="ann")  # fmt: skip
    insert(connection, "pictures", thread=str(THREAD), number=4, picture="", digest="", owner="ann")  # deleted
    states = [("m1.0", 2, "rendered"), ("m1.1", 3, "dead"), ("m.2.10", 5, "queued"), ("m.2.11", 6, "running")]
    for job_id, number, state in states:
        insert(
            connection, "jobs", id=job_id, message=job_id.rpartition(".")[0], thread=str(THREAD), number=number,
            owner="ann", operation="edit", prompt='a "red" sun', parent=1, seed=7, change="small", ratio="16:9",
            refined="a deep red sun", wanted="deep", negative="dogs", part=REGION, state=state, attempt=2, faults=1,
            reason="No." if state == "dead" else None, ordered=5.0, claimed=6.0, ended=7.0, cost=2.0, batch="b",
            model="flat",
        )  # fmt: skip
    if "ordered" in columns(connection, "jobs"):
        insert(connection, "jobs", id="/ff", message="", thread=str(THREAD), number=9, owner="ann", operation="",
               prompt="", seed=0, state="forgotten", ordered=5.0)  # fmt: skip
    known = columns(connection, "jobs")
    connection.close()
    return known


@pytest.mark.parametrize("newest", SCHEMAS[:-1])
def test_a_database_of_every_earlier_schema_opens(tmp_path: Path, newest: str) -> None:
    """Each job has its whole request, as far as its schema recorded it; pictures and views are those of before."""
    known = write_old_database(tmp_path / "old.sqlite", newest)
    store = Store(tmp_path / "old.sqlite")
    job = store.jobs.job("m.2.10")
    sampling = Sampling(
        seed=7,
        aspect_ratio="16:9" if "ratio" in known else "",
        negative_prompt="dogs" if "negative" in known else "",
        model="deep" if "wanted" in known else "",
    )
    change, region = "small" if "change" in known else "", REGION if "part" in known else ""
    assert job
    assert job.request == ImageRequest(10, Operation.EDIT, 'a "red" sun', 1, change, region, sampling)
    assert job.refined_prompt == ("a deep red sun" if "refined" in known else "")
    assert (job.number, job.owner, job.attempt, job.faults) == (5, "ann", 2, 1)
    assert job.ordered == (5.0 if "ordered" in known else 0.0)
    assert {row.id: row.state for row in store.jobs.unfinished()} == {"m.2.10": "queued", "m.2.11": "running"}
    assert [row.reason for row in store.jobs.failures()] == ["No."]
    upload = Picture(1, "u", 8, 8, "a photo", ImageRequest(0, Operation.UPLOAD, ""))
    assert store.pictures(THREAD) == [upload, PICTURE]
    final, still_open = store.entries(THREAD)
    assert final.view == VIEW and still_open.view is None
    assert final.uploads == (upload,) and final.author == Person("ann", "Ann")


def test_requests_without_the_chat_model_are_converted(tmp_path: Path) -> None:
    """They are read again after a restart, and find their jobs."""
    write_old_database(tmp_path / "old.sqlite", SCHEMAS[-2])
    (entry,) = Store(tmp_path / "old.sqlite").open_entries()
    sampling = Sampling(seed=7, aspect_ratio="16:9", negative_prompt="dogs", model="deep")
    assert entry.fixed_requests == (ImageRequest(0, Operation.EDIT, "a red sun", 1, "small", REGION, sampling),)


def test_the_indexes_of_the_jobs_stay(tmp_path: Path) -> None:
    """The queries for usage and for fair share use them."""
    write_old_database(tmp_path / "old.sqlite", SCHEMAS[-2])
    Store(tmp_path / "old.sqlite").close()
    Store(tmp_path / "new.sqlite").close()
    schemas = []
    for name in ("old", "new"):
        with sqlite3.connect(tmp_path / f"{name}.sqlite") as db:
            schemas.append(db.execute("SELECT name, sql FROM sqlite_master WHERE tbl_name = 'jobs'").fetchall())
    assert schemas[0] == schemas[1]
    assert {name for name, _ in schemas[0]} >= {"jobs", "served_jobs", "ordered_jobs"}


def test_a_job_opens_with_missing_and_with_unknown_fields(tmp_path: Path) -> None:
    """A request that an older or a newer version stored is read as far as it is known."""
    write_old_database(tmp_path / "old.sqlite", SCHEMAS[-2])
    store = Store(tmp_path / "old.sqlite")
    for stored, sampling in (
        ('{"key": 0, "operation": "generate", "prompt": "a sun"}', Sampling()),
        ('{"key": 0, "operation": "generate", "prompt": "a sun", "mood": 1, "sampling": {"seed": 3, "eta": 0.5}}',
         Sampling(seed=3)),
    ):  # fmt: skip
        with sqlite3.connect(tmp_path / "old.sqlite") as db:
            db.execute("UPDATE jobs SET request = ? WHERE id = 'm.2.10'", [stored])
        job = store.jobs.job("m.2.10")
        assert job and job.request == ImageRequest(0, Operation.GENERATE, "a sun", sampling=sampling)
