"""How often the line writes to the disk: what begins or ends at the same time is one commit."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from bot.domain import Failed, Rendered
from bot.storage.database import open_database
from bot.storage.group_commit import GroupCommit
from bot.storage.jobs import Jobs
from bot.storage.picture_files import PictureFiles
from bot.storage.store import Store
from tests.support.doubles import picture
from tests.support.render_queue import DONE, ONE, ScriptedEngine, gather, jobs_of, serving

TWO = replace(ONE, slots=2)


@pytest.fixture
def traced(store: Store, tmp_path: Path) -> Iterator[tuple[Jobs, list[str]]]:
    """The table of jobs through a connection of its own, and the statements that go over it."""
    db, statements = open_database(tmp_path / "test.sqlite"), list[str]()
    db.execute("PRAGMA busy_timeout = 0")
    assert db.conn
    db.conn.set_trace_callback(statements.append)
    yield Jobs(db, GroupCommit(db)), statements
    db.close()


def in_each(statements: list[str], begins: str) -> list[int]:
    """How many statements that begin so each transaction had, of those that had any."""
    counted, transaction = Counter[int](), 0
    for each in statements:
        transaction += each.startswith("BEGIN")
        counted[transaction] += each.startswith(begins)
    return [count for count in counted.values() if count]


async def test_the_batches_of_all_free_slots_are_claimed_at_once(
    store: Store, files: PictureFiles, traced: tuple[Jobs, list[str]]
) -> None:
    """Those of two workers, and of two slots of one, in a single transaction."""
    engines = [ScriptedEngine([[DONE], [DONE]], TWO), ScriptedEngine([[DONE]])]
    people = jobs_of(store, "ann", "bob", "cid")
    jobs, statements = traced
    async with serving(jobs, files, *engines) as line:
        assert all(isinstance(each[-1], Rendered) for each in await gather(line, people))
    assert sorted(len(engine.batches) for engine in engines) == [1, 2]
    assert in_each(statements, "UPDATE jobs SET state = 'running'") == [3]


async def test_pictures_that_are_finished_together_are_recorded_together(
    store: Store, traced: tuple[Jobs, list[str]]
) -> None:
    """In one commit; one whose attempt is over is not recorded, and takes nothing from the other."""
    ann, bob = jobs_of(store, "ann", "bob")
    jobs, statements = traced
    attempts = jobs.claim("b", {ann.id: 1.0, bob.id: 1.0})
    statements.clear()
    ann, late = replace(ann, attempt=attempts[ann.id]), replace(bob, attempt=attempts[bob.id] - 1)
    kept = await asyncio.gather(jobs.complete(ann, picture(1)), jobs.complete(late, picture(2)))
    assert list(kept) == [True, False]
    assert statements.count("COMMIT") == 1
    assert isinstance(store.jobs.outcome(ann), Rendered) and store.jobs.outcome(bob) is None


async def test_where_nothing_can_be_claimed_all_who_wait_get_the_error(
    store: Store, files: PictureFiles, traced: tuple[Jobs, list[str]], tmp_path: Path
) -> None:
    """The file is locked: no batch is sent to any worker, and the line goes on."""
    engines = [ScriptedEngine([[DONE]], TWO), ScriptedEngine([])]
    people = jobs_of(store, "ann", "bob", "cid", "dan")
    async with serving(traced[0], files, *engines) as line:
        await line.capabilities_ready.wait()
        with closing(sqlite3.connect(tmp_path / "test.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            ends = await gather(line, people[:3])
        assert all(isinstance(each[-1], Failed) for each in ends)
        assert not any(engine.batches for engine in engines)
        assert isinstance((await gather(line, people[3:]))[0][-1], Rendered)
