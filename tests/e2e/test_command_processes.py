"""Commands of the operator run as processes of their own, and retention runs when the bot starts."""

import sqlite3
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

from bot.domain import Person, TextPart, View
from bot.storage.store import Store
from tests.support.doubles import ANN, CID, THREAD, message
from tests.support.programs import Program, environment

HEAD = "server,person,name,pictures,megapixel_steps,tokens_sent,tokens_written"


def run_bot(folder: Path, data: Path, *arguments: str) -> tuple[int, str, str]:
    """Run a command in a folder; its status, output and errors."""
    done = subprocess.run(
        [sys.executable, "-m", "bot", *arguments],
        cwd=folder,
        env=environment(data),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_usage_and_export_work_as_processes(tmp_path: Path) -> None:
    """They need no running bot; a fault is one sentence and status 2."""
    data = tmp_path / "data"
    store = Store(data / "minidalle.sqlite")
    for name, author in (("m1", ANN), ("m2", Person("cid", 'Cid, "the" kid'))):
        store.accept(message(name, "hello", author=author))
        store.finish(name, View((TextPart(f"Answer to {name}."),), final=True))
    store.close()
    status, out, _ = run_bot(tmp_path, data, "usage")
    assert (status, out.splitlines()[0]) == (0, HEAD)
    assert run_bot(tmp_path, data, "export", str(THREAD))[0] == 0
    assert zipfile.is_zipfile(tmp_path / "thread.zip")
    assert run_bot(tmp_path, data, "export", "x") == (2, "", "There is no thread 'x'.\n")
    assert run_bot(tmp_path, tmp_path / "none", "usage")[0] == 2
    assert CID.id not in out.replace("cid,", "")


async def test_old_threads_are_deleted_before_the_bot_serves(tmp_path: Path) -> None:
    """Open replies of old threads are deleted too; without RETENTION_DAYS everything is kept."""
    path = tmp_path / "data" / "minidalle.sqlite"
    thread = replace(THREAD, thread="old")
    store = Store(path)
    store.accept(replace(message("old", "hello"), thread=thread))
    store.close()
    with sqlite3.connect(path) as file:
        file.execute("UPDATE threads SET updated = 1 WHERE key = ?", [str(thread)])
    file.close()
    for days, kept in (("", 1), ("30", 0)):
        program = Program(path.parent, RETENTION_DAYS=days, RENDER_URLS="http://127.0.0.1:9")
        await program.start()
        await program.kill()
        store = Store(path)
        assert len(store.entries(thread)) == kept
        store.close()
