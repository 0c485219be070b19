"""The plug is pulled at random, many times: nothing is lost, and nothing comes twice."""

import asyncio
import json
import os
import random
import socket
import sqlite3
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from tests.support.paths import ROOT
from tests.support.programs import Client, Program
from tests.support.thorough import examples

KILLS = int(os.environ.get("KILLS") or examples(50, 12))
LONGEST_LIFE = 0.9  # seconds between two kills
SENTENCES = (
    "draw a red circle on a light blue background, and two green stars",
    "make it blue",
    "more like the first one",
    "I like the second",
    "tell me a joke",
    "three pink hearts on a navy background",
)


class FlatWorker:
    """The render worker of the test, on a port that stays."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._process: Process | None = None

    async def start(self) -> None:
        """Start it, and wait until it listens."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.support.fake_models.flat_worker", str(self.port), cwd=ROOT, stdout=PIPE
        )
        assert self._process.stdout
        await self._process.stdout.readline()

    async def kill(self) -> None:
        """End it without warning."""
        if self._process and self._process.returncode is None:
            self._process.kill()
            await self._process.communicate()


async def talk(client: Client, thread: str, sent: list[str], enough: asyncio.Event) -> None:
    """Say one thing after the other; what was not acknowledged is sent again under the same id."""
    while not enough.is_set() or len(sent) < len(SENTENCES):
        message_id = f"{thread}-{len(sent)}"
        body = {"id": message_id, "author": "Ann", "text": SENTENCES[len(sent) % len(SENTENCES)]}
        while True:
            try:
                posted = await client.post(f"/api/threads/{thread}/messages", body)
                assert posted == {"message_id": message_id, "http": 200}
                sent.append(message_id)
                await client.final(thread, message_id)
                break
            except (aiohttp.ClientError, ConnectionError, TimeoutError):
                if message_id in sent:
                    sent.remove(message_id)
                await asyncio.sleep(0.05)  # the program is being started again


@pytest.mark.timeout(600)
async def test_every_message_is_answered_once_and_every_picture_comes_once(tmp_path: Path) -> None:
    """Bot and worker are killed at random points of a dialogue; after the last start everything is complete."""
    rng = random.Random(20231012)
    worker = FlatWorker()
    program = Program(tmp_path, RENDER_URLS=f"http://127.0.0.1:{worker.port}", LOG_LEVEL="ERROR")
    client = Client(program)
    sent: list[str] = []
    enough = asyncio.Event()
    await asyncio.gather(worker.start(), program.start())
    thread = (await client.post("/api/threads", {}))["id"]
    talking = asyncio.create_task(talk(client, thread, sent, enough))
    try:
        for _ in range(KILLS):
            await asyncio.sleep(rng.uniform(0, LONGEST_LIFE))
            victims: tuple[Program | FlatWorker, ...] = (program, worker)
            for victim in rng.choice((victims[:1], victims[:1], victims[1:], victims)):
                await victim.kill()
                await victim.start()
            assert not talking.done() or talking.result() is None
        enough.set()
        await talking
        messages = (await client.get(f"/api/threads/{thread}"))["messages"]
    finally:
        talking.cancel()
        await client.close()
        await program.kill()
        await worker.kill()
    assert all(message["final"] and not message["status"] for message in messages)
    assert [message["id"] for message in messages if message["kind"] == "person"] == sent
    assert [message["reply_to"] for message in messages if message["kind"] == "bot"] == sent
    check_record(tmp_path / "minidalle.sqlite", tmp_path / "pictures")


def check_record(database: Path, folder: Path) -> None:
    """Jobs, pictures, files and what the replies show agree one to one."""
    db = sqlite3.connect(database)
    jobs = dict(db.execute("SELECT number, state FROM jobs").fetchall())
    pictures = [json.loads(text) for (text,) in db.execute("SELECT picture FROM pictures")]
    made = [picture["number"] for picture in pictures]
    shown = Counter(
        part["number"]
        for (view,) in db.execute("SELECT view FROM messages")
        for part in json.loads(view)["parts"]
        if "number" in part and part["operation"] != "select"
    )
    assert set(jobs.values()) == {"posted"}
    assert sorted(made) == sorted(jobs) == list(range(1, len(made) + 1))
    assert shown == Counter(made)
    assert all((folder / f"{picture['digest']}.png").is_file() for picture in pictures)
    db.close()
