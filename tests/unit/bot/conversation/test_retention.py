"""Forgotten threads are deleted from the bytes of the database, from its log, and from the folder of images."""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bot.conversation.dispatcher import Dispatcher
from bot.conversation.retention import Retention
from bot.domain import (
    Action,
    ImageRequest,
    Message,
    Operation,
    Post,
    Rendered,
    RenderJob,
    RenderUpdate,
    ThreadKey,
    View,
)
from bot.storage.picture_files import AsyncPictureFiles, PictureFiles
from bot.storage.store import Store
from bot.storage.usage import DAY
from render.models.image_files import sanitize_upload
from tests.support.conversation import running
from tests.support.doubles import ANN, BOB, THREAD, InstantRenderer, Screen, ScriptedModel, message, picture
from tests.support.images import png
from tests.support.records import OTHER, Shelf, choose, command, commands_of, imagine, press, recorded

NOW = 1_800_000_000.0
SECRETS = ("zorblax", "quuxian", "frobnic", "wibblet", "splunge", "gribble", "snorkle", "plughed")
FILLING = "and a great many further words about it, so that they need pages of their own. " * 90  # 7,000 characters


@dataclass
class FileRenderer(InstantRenderer):
    """Writes a file for each image, with the prompt in it."""

    files: PictureFiles | None = None

    async def render(self, job: RenderJob) -> AsyncGenerator[RenderUpdate]:
        """A new file."""
        self.jobs.append(job)
        assert self.files
        digest = self.files.put(png("red") + job.request.prompt.encode())
        made = replace(
            picture(job.number, job.request.prompt, job.request.source),
            digest=digest,
            refined_prompt=job.refined_prompt,
        )
        self.keep(job, made)
        yield Rendered(made)


def found_words(folder: Path, *words: str) -> set[str]:
    """The words that are in the bytes of any file of a folder, or below it."""
    files = [path.read_bytes().lower() for path in folder.rglob("*") if path.is_file()]
    return {word for word in words if any(word.encode() in data for data in files)}


async def conversation(inbox: Dispatcher, screen: Screen, store: Store, thread: ThreadKey, words: str) -> None:
    """A thread with everything: messages, answers, rendered, refined, edited, uploaded and selected images."""
    name = thread.thread
    upload = png("blue", 80 + len(words)) + words.encode()
    message = Message(f"{name}1", thread, ANN, f"draw a {words} {FILLING}", (upload,))
    await inbox.accept(message)
    await screen.final(message.id)
    await recorded(store, message.id)
    await inbox.accept(replace(imagine(f"one more {words}", 2, f"{name}2"), thread=thread))
    await screen.final(f"{name}2")
    await recorded(store, f"{name}2")
    store.edit_text(message.id, f"short {words}")
    store.posts.save_place(message.id, f"place of {words}")
    store.posts.save_post(message.id, 0, Post(f"post of {words}", 1), thread)


async def test_nothing_of_a_forgotten_thread_is_found_on_the_disk(store: Store, tmp_path: Path) -> None:
    """The files contain no word of it; another thread keeps all of its own."""
    files, commands = PictureFiles(tmp_path / "pictures"), commands_of(store)
    secret, kept = " ".join(SECRETS), "keepsake"
    for scope, value in (("thread", f"You are a {secret}."), ("server", "You are kind.")):
        choose(commands, scope, "persona", value, BOB)
    choose(commands, "server", "style", "ink", BOB)
    scripts = [[f"**Here** is {word}: <image>a {word} {FILLING}</image> there {FILLING}"] for word in (secret, kept)]
    renderer, album = FileRenderer(files=files), AsyncPictureFiles(files, sanitize_upload)
    async with running(store, ScriptedModel(list(scripts)), renderer, commands=commands, album=album) as (
        inbox,
        screen,
        _,
    ):
        await conversation(inbox, screen, store, THREAD, secret)
        await conversation(inbox, screen, store, OTHER, kept)
        gone = [each.digest for each in store.pictures(THREAD)]
        assert found_words(tmp_path, *SECRETS) == {*SECRETS} and len(set(gone)) > 2
        await inbox.accept(press(Action.DELETE, "2"))
        response = await inbox.run_command(command("forget"))
        assert response.text == "Deleted from this thread: 2 messages and 3 images."
        assert found_words(tmp_path, *SECRETS) == set()  # while the bot goes on, with its log open
        assert found_words(tmp_path, kept) == {kept}
        mine = {each.digest for each in store.pictures(OTHER)}
        assert {path.stem for path in files._folder.iterdir()} == mine
    store.close()
    assert found_words(tmp_path, *SECRETS, *gone) == set()
    assert found_words(tmp_path, kept) == {kept}


async def test_a_log_that_another_process_reads_is_truncated_the_next_time(store: Store, tmp_path: Path) -> None:
    """A long read delays the truncation, and not the bot."""
    store.accept(message("m1", SECRETS[0]))
    with reading(tmp_path / "test.sqlite"):
        store.forget(THREAD)
        assert found_words(tmp_path, *SECRETS)
    store.accept(replace(message("m2", "x"), thread=OTHER))
    store.forget(OTHER)
    assert not found_words(tmp_path, *SECRETS)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Read in the file meanwhile."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN")
    other.execute("SELECT COUNT(*) FROM messages").fetchone()
    yield
    other.close()


# After so many days


def old_thread(store: Store, path: Path, name: str, days: float, *, final: bool = True) -> ThreadKey:
    """A thread whose newest message is so many days old; its one image is its own."""
    thread = replace(THREAD, thread=name)
    store.accept(replace(message(name, f"about {name}"), thread=thread), [replace(picture(1), digest=f"{name:0>64}")])
    if final:
        store.finish(name, View((), final=True))
    with sqlite3.connect(path) as file:
        file.execute("UPDATE threads SET updated = ? WHERE key = ?", [NOW - days * DAY, str(thread)])
    file.close()
    return thread


async def test_only_old_threads_are_forgotten(store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With their files; the log has only the number of threads."""
    path, shelf = tmp_path / "test.sqlite", Shelf()
    ages = {"a": 40.0, "b": 30.01, "c": 29.99, "d": 0.0, "e": -1.0}
    threads = {name: old_thread(store, path, name, days) for name, days in ages.items()}
    with caplog.at_level(logging.DEBUG):
        assert await Retention(store, shelf, 30, lambda: NOW).delete_old_threads() == 2
    assert [name for name, thread in threads.items() if store.entries(thread)] == ["c", "d", "e"]
    assert sorted(shelf.thrown) == [f"{name:0>64}" for name in "ab"]
    assert [record.getMessage() for record in caplog.records] == ["2 threads deleted by retention"]
    assert all(summary.title.startswith(("about c", "about d", "about e", "")) for summary in store.threads("test"))
    assert not found_words(tmp_path, "about a", "about b")
    assert await Retention(store, shelf, 30, lambda: NOW).delete_old_threads() == 0


async def test_many_threads_are_forgotten_in_one_go(store: Store, tmp_path: Path) -> None:
    """For any number of threads."""
    for nth in range(45):
        old_thread(store, tmp_path / "test.sqlite", f"n{nth}", 2 + nth)
    shelf = Shelf()
    assert await Retention(store, shelf, 1, lambda: NOW).delete_old_threads() == 45
    assert len(shelf.thrown) == 45 and store.all_threads() == []


async def test_threads_with_an_open_reply_are_left_for_the_next_time(store: Store, tmp_path: Path) -> None:
    """But not at the start, when no turn runs, and their platform may never return."""
    thread = old_thread(store, tmp_path / "test.sqlite", "open", 99, final=False)
    retention = Retention(store, Shelf(), 30, lambda: NOW)
    assert await retention.delete_old_threads() == 0 and store.entries(thread)
    assert await retention.delete_old_threads(include_open=True) == 1 and not store.entries(thread)


async def test_a_file_that_another_thread_shows_stays(store: Store, tmp_path: Path) -> None:
    """Both threads may have the same image."""
    old, new = (old_thread(store, tmp_path / "test.sqlite", name, days) for name, days in (("a", 40), ("b", 1)))
    with sqlite3.connect(tmp_path / "test.sqlite") as file:
        file.execute("UPDATE pictures SET digest = ?", ["f" * 64])
    file.close()
    shelf = Shelf()
    assert await Retention(store, shelf, 30, lambda: NOW).delete_old_threads() == 1
    assert (shelf.thrown, store.entries(old), len(store.entries(new))) == ([], [], 1)


async def test_retention_runs_once_a_day(store: Store, tmp_path: Path) -> None:
    """As long as the program runs; a locked database does not end it."""
    days: list[float] = []
    going, gone = asyncio.Event(), asyncio.Event()
    clock = NOW

    async def wait(seconds: float) -> None:
        nonlocal clock
        days.append(seconds)
        clock += seconds
        if len(days) == 4:
            gone.set()
            await going.wait()

    first, second = (old_thread(store, tmp_path / "test.sqlite", name, age) for name, age in (("a", 28.5), ("b", 27.5)))
    task = asyncio.create_task(Retention(store, Shelf(), 30, lambda: clock).run_daily(wait))
    await gone.wait()
    assert days == [DAY] * 4
    assert not store.entries(first) and not store.entries(second)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_database_that_cannot_be_written_is_logged_and_tried_again(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No file of a recorded image is deleted."""
    thread, shelf = old_thread(store, tmp_path / "test.sqlite", "a", 40), Shelf()
    store._db.execute("PRAGMA query_only = ON")
    retention = Retention(store, shelf, 30, lambda: NOW)
    assert await retention.delete_old_threads() == 0
    assert (shelf.thrown, len(store.entries(thread))) == ([], 1)
    assert "cannot delete old threads" in caplog.text
    store._db.execute("PRAGMA query_only = OFF")
    assert await retention.delete_old_threads() == 1


def test_numbers_continue_after_a_thread_is_forgotten(store: Store, tmp_path: Path) -> None:
    """An old number never means a new image."""
    thread = old_thread(store, tmp_path / "test.sqlite", "a", 40)
    store.forget(thread)
    store.accept(replace(message("again", "draw"), thread=thread))
    assert store.jobs.order("again", ImageRequest(0, Operation.GENERATE, "a sun"), None).number == 2
