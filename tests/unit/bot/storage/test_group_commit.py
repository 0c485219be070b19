"""Writes that share a commit: each is told for itself, and never of what is not on the disk."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from sqlite_utils import Database

from bot.domain import MessageDeleted
from bot.errors import Refused, StorageError
from bot.storage.database import open_database
from bot.storage.group_commit import GroupCommit
from bot.storage.store import Store
from tests.support.conversation import running
from tests.support.doubles import THREAD, ScriptedModel, message, picture

MANY = 20


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    """A database with one empty table, which waits for nobody."""
    db = open_database(tmp_path / "test.sqlite")
    db.execute("PRAGMA busy_timeout = 0")
    db.execute("CREATE TABLE words (word TEXT UNIQUE)")
    yield db
    db.close()


def says(db: Database, word: str, error: Exception | None = None) -> Callable[[], str]:
    """Work that records a word and returns it, or then fails."""

    def work() -> str:
        db.execute("INSERT INTO words VALUES (?)", [word])
        if error:
            raise error
        return word

    return work


def seen(path: Path) -> list[str]:
    """The words that another process finds."""
    with closing(sqlite3.connect(path / "test.sqlite")) as file:
        return [word for (word,) in file.execute("SELECT word FROM words ORDER BY rowid")]


async def all_of(*writes: asyncio.Task[str]) -> list[str | BaseException]:
    """What each is told."""
    return await asyncio.gather(*writes, return_exceptions=True)


async def test_what_comes_in_one_turn_is_one_commit(db: Database, tmp_path: Path) -> None:
    """In the order in which it came; a single write has one commit too."""
    together, statements = GroupCommit(db), list[str]()
    assert db.conn
    db.conn.set_trace_callback(statements.append)
    words = [f"w{nth}" for nth in range(MANY)]
    assert await asyncio.gather(*(together.write(says(db, word)) for word in words)) == words
    assert statements.count("COMMIT") == 1
    assert await together.write(says(db, "alone")) == "alone"
    assert statements.count("COMMIT") == 2
    assert seen(tmp_path) == [*words, "alone"]


@pytest.mark.parametrize("error", [Refused("Not this."), UnicodeError("a bug"), sqlite3.DataError("too long")])
async def test_one_that_fails_undoes_nothing_of_its_neighbours(db: Database, tmp_path: Path, error: Exception) -> None:
    """It alone is told so, and nothing that it wrote is kept."""
    together = GroupCommit(db)
    works = says(db, "first"), says(db, "second", error), says(db, "first"), says(db, "last")
    first, second, twice, last = await asyncio.gather(*map(together.write, works), return_exceptions=True)
    assert (first, last) == ("first", "last") and seen(tmp_path) == ["first", "last"]
    assert type(second) is (StorageError if isinstance(error, sqlite3.Error) else type(error))
    assert isinstance(twice, StorageError) and "UNIQUE" in str(twice)


async def test_nothing_is_reported_before_it_is_on_the_disk(db: Database, tmp_path: Path) -> None:
    """When the first of a group is told, all of it is there for another process."""
    together, found = GroupCommit(db), list[list[str]]()
    words = ["one", "two"]
    await asyncio.gather(*(together.write(says(db, word), lambda _: found.append(seen(tmp_path))) for word in words))
    assert found == [words, words]


async def test_where_the_file_is_locked_every_writer_gets_the_error(db: Database, tmp_path: Path) -> None:
    """Nothing of the group is recorded, nobody is told otherwise; later it goes on."""
    together, committed = GroupCommit(db), list[str]()
    with closing(sqlite3.connect(tmp_path / "test.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writes = (together.write(says(db, word), committed.append) for word in ("one", "two"))
        errors = await asyncio.gather(*writes, return_exceptions=True)
        other.execute("ROLLBACK")
    assert [type(error) for error in errors] == [StorageError, StorageError] and errors[0] is not errors[1]
    assert (committed, seen(tmp_path)) == ([], [])
    assert await together.write(says(db, "one"), committed.append) == "one"
    assert committed == seen(tmp_path) == ["one"]


async def test_on_a_full_disk_what_is_reported_is_what_is_there(db: Database, tmp_path: Path) -> None:
    """However many of a group still fit."""
    together, committed = GroupCommit(db), list[str]()
    [pages] = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages + 2}")
    words = [f"w{nth}" * size for nth, size in enumerate((10, 10_000, 10, 10_000, 10))]
    ends = await asyncio.gather(
        *(together.write(says(db, word), committed.append) for word in words), return_exceptions=True
    )
    assert any(isinstance(end, StorageError) for end in ends)
    assert [end for end in ends if isinstance(end, str)] == committed == seen(tmp_path)
    db.execute("PRAGMA max_page_count = 10000")
    assert await together.write(says(db, "later")) == "later"


async def test_a_transaction_that_is_gone_is_nobodys(db: Database, tmp_path: Path) -> None:
    """SQLite may give the whole transaction up in the middle; those before it are told too."""
    together = GroupCommit(db)

    def gone() -> str:
        db.execute("INSERT OR ROLLBACK INTO words VALUES ('one')")
        return "never"

    works = says(db, "one"), gone, says(db, "last")
    ends = await asyncio.gather(*map(together.write, works), return_exceptions=True)
    assert [type(end) for end in ends] == [StorageError] * 3 and "UNIQUE" in str(ends[2])
    assert seen(tmp_path) == []


async def test_what_is_cancelled_before_the_commit_is_not_recorded(db: Database, tmp_path: Path) -> None:
    """After the commit it is, and what follows from it is done although nobody waits."""
    together, committed = GroupCommit(db), list[str]()
    early, late = (asyncio.create_task(together.write(says(db, word), committed.append)) for word in ("early", "late"))
    await asyncio.sleep(0)
    early.cancel()
    together.flush()
    late.cancel()
    assert [type(end) for end in await all_of(early, late)] == [asyncio.CancelledError] * 2
    assert committed == seen(tmp_path) == ["late"]


async def test_what_follows_may_fail_for_one_alone(db: Database, tmp_path: Path) -> None:
    """The others are told what is true."""
    together = GroupCommit(db)

    def follow(word: str) -> None:
        if word == "one":
            raise RuntimeError(word)

    writes = (together.write(says(db, word), follow) for word in ("one", "two"))
    one, two = await asyncio.gather(*writes, return_exceptions=True)
    assert isinstance(one, RuntimeError) and two == "two"
    assert seen(tmp_path) == ["one", "two"]


# In the inbox


class Hasty(Store):
    """A store that waits for nobody."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._db.execute("PRAGMA busy_timeout = 0")


async def test_messages_that_come_at_once_are_recorded_one_by_one_where_one_cannot_be(store: Store) -> None:
    """A text that no database takes spoils nothing."""
    async with running(store, ScriptedModel([["fine"]] * MANY)) as (inbox, screen, _):
        asked = [message(f"m{nth}", "half a \ud83d" if nth == 7 else "hello") for nth in range(MANY)]
        ends = await asyncio.gather(*map(inbox.accept, asked), return_exceptions=True)
        good = [f"m{nth}" for nth in range(MANY) if nth != 7]
        assert [end for end in ends if isinstance(end, str)] == good
        for message_id in good:
            await screen.final(message_id)
    assert [entry.id for entry in store.entries(THREAD)] == good


async def test_where_nothing_can_be_recorded_nobody_is_answered(tmp_path: Path) -> None:
    """Everybody is told, and may say it again."""
    store = Hasty(tmp_path / "test.sqlite")
    async with running(store, ScriptedModel([["fine"]] * MANY)) as (inbox, screen, _):
        asked = [message(f"m{nth}", "hello") for nth in range(MANY)]
        with closing(sqlite3.connect(tmp_path / "test.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            ends = await asyncio.gather(*map(inbox.accept, asked), return_exceptions=True)
            other.execute("ROLLBACK")
        assert [type(end) for end in ends] == [StorageError] * MANY
        assert store.entries(THREAD) == [] and not screen.views
        await asyncio.gather(*map(inbox.accept, asked))
        assert (await screen.final(asked[-1].id)).status == ""


async def test_a_message_that_is_deleted_at_once_is_not_answered(store: Store) -> None:
    """Its deletion finds it, although both came in one turn."""
    model = ScriptedModel([["first", None], ["never"]])
    async with running(store, model) as (inbox, screen, _):
        await inbox.accept(message("m1", "hello"))
        await model.waiting.wait()
        await asyncio.gather(inbox.accept(message("m2", "oh")), inbox.accept(MessageDeleted("m2", THREAD)))
        assert (await screen.final("m2")).status == "The message was deleted."
        model.go.set()
        await screen.final("m1")
    assert len(model.received) == 1


async def test_a_client_that_hangs_up_after_the_commit_is_answered(store: Store) -> None:
    """The message is on record, so its reply comes."""
    async with running(store, ScriptedModel([["fine"]])) as (inbox, screen, _):
        sending = asyncio.create_task(inbox.accept(message("m1", "hello")))
        while not store.knows_message("m1"):
            await asyncio.sleep(0)
        assert sending.cancel()
        assert (await screen.final("m1")).status == ""
    assert sending.cancelled()


async def test_numbers_go_on_within_a_group(store: Store) -> None:
    """Messages of one thread that bring pictures at once have pictures of their own."""
    upload = picture(0)
    writes = (
        store.group_commit.write(partial(store.accept, message(f"m{nth}", "look"), [upload, upload]))
        for nth in range(3)
    )
    assert await asyncio.gather(*writes) == [True] * 3
    numbers = [[each.number for each in entry.uploads] for entry in store.entries(THREAD)]
    assert numbers == [[1, 2], [3, 4], [5, 6]]
