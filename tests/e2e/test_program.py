"""The whole program with the models it ships: a conversation that draws, looked at pixel by pixel."""

import asyncio
import base64
import io
import os
import resource
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.support.programs import Client, Program, environment, numbers

pytest.importorskip("torch", reason="the built-in picture model needs the render extra")


@pytest.fixture
async def client(program: Program) -> AsyncIterator[Client]:
    """A script that talks to it."""
    client = Client(program)
    yield client
    await client.close()


async def pixels(client: Client, reply: dict[str, Any], number: int) -> Image.Image:
    """A picture of a reply."""
    url = next(p["picture"]["url"] for p in reply["parts"] if p["type"] == "picture" and p["number"] == number)
    return Image.open(io.BytesIO(await client.get(url))).convert("RGB")


def near(image: Image.Image, spot: tuple[int, int], colour: tuple[int, int, int]) -> bool:
    """Whether the picture has about this colour there."""
    seen = image.getpixel(spot)
    assert isinstance(seen, tuple)
    return sum(abs(a - b) for a, b in zip(seen, colour, strict=True)) < 130


RED, BLUE, GREEN, LIGHT_BLUE = (222, 40, 40), (40, 90, 220), (40, 165, 70), (175, 220, 250)


async def test_the_conversation_of_the_readme(client: Client) -> None:
    """Two pictures in one reply, an edit by reference, a variation, a choice, an answer in words, a second person."""
    thread = (await client.post("/api/threads", {}))["id"]
    first = await client.say(thread, "draw a red circle on a light blue background, and two green stars")
    assert [part["type"] for part in first["parts"]] == ["text", "picture", "text", "picture"]
    assert numbers(first) == [1, 2]
    circle, stars = await pixels(client, first, 1), await pixels(client, first, 2)
    assert near(circle, (128, 128), RED) and near(circle, (12, 12), LIGHT_BLUE) and near(circle, (244, 244), LIGHT_BLUE)
    assert near(stars, (69, 128), GREEN) and near(stars, (187, 128), GREEN) and not near(stars, (128, 40), GREEN)

    edited = await client.say(thread, "make it blue", about=1, author="Bob")
    assert numbers(edited) == [3]
    blue = await pixels(client, edited, 3)
    assert near(blue, (128, 128), BLUE) and near(blue, (12, 12), LIGHT_BLUE)
    part = next(part for part in edited["parts"] if part["type"] == "picture")
    assert (part["picture"]["parent"], part["picture"]["operation"]) == (1, "edit")

    varied = await client.say(thread, "More like the first one")
    assert numbers(varied) == [4] and near(await pixels(client, varied, 4), (128, 128), RED)
    chosen = await client.say(thread, "I like the second")
    assert numbers(chosen) == [2]
    for question in ("what can you draw?", "tell me a joke"):
        answer = await client.say(thread, question)
        assert [part["type"] for part in answer["parts"]] == ["text"] and answer["parts"][0]["markdown"]

    pressed = await client.post(f"/api/threads/{thread}/buttons", {"author": "Bob", "action": "vary", "target": "3"})
    another = await client.final(thread, pressed["message_id"])
    assert numbers(another) == [5] and near(await pixels(client, another, 5), (128, 128), BLUE)


async def test_an_uploaded_picture_is_edited(client: Client) -> None:
    """An upload gets a number of its own, and can be worked on."""
    file = io.BytesIO()
    Image.new("RGB", (300, 200), "white").save(file, "JPEG")
    thread = (await client.post("/api/threads", {}))["id"]
    body = {"author": "Ann", "text": "make it a red circle", "pictures": [base64.b64encode(file.getvalue()).decode()]}
    posted = await client.post(f"/api/threads/{thread}/messages", body)
    reply = await client.final(thread, posted["message_id"])
    assert numbers(reply) == [2]
    assert near(await pixels(client, reply, 2), (128, 128), RED)


async def test_a_picture_comes_although_its_worker_is_killed(client: Client, program: Program) -> None:
    """The worker dies in the middle of a render: another is started, and the picture still comes."""
    thread = (await client.post("/api/threads", {}))["id"]
    posted = await client.post(f"/api/threads/{thread}/messages", {"author": "Ann", "text": "draw a green star"})
    await client.until(thread, lambda m: any(part.get("state") == "rendering" for part in m["parts"]))
    os.kill(worker_of(program), signal.SIGKILL)
    reply = await client.final(thread, posted["message_id"])
    assert numbers(reply) == [1] and not reply["status"]


async def test_a_killed_program_finishes_its_reply_after_the_next_start(client: Client, program: Program) -> None:
    """`kill -9` in the middle of a picture; after a start the thread is there, and the reply completes by itself."""
    thread = (await client.post("/api/threads", {}))["id"]
    posted = await client.post(f"/api/threads/{thread}/messages", {"author": "Ann", "text": "draw a house at night"})
    await client.until(thread, lambda m: any(part.get("state") == "rendering" for part in m["parts"]))
    await program.kill()
    await program.start()
    reply = await client.final(thread, posted["message_id"])
    assert numbers(reply) == [1]


async def test_stop_and_retry(client: Client) -> None:
    """Stop ends a reply at once and says who did it; Retry completes it."""
    thread = (await client.post("/api/threads", {}))["id"]
    body = {"author": "Ann", "text": "draw three pictures of a cat"}
    message_id = (await client.post(f"/api/threads/{thread}/messages", body))["message_id"]
    await client.until(thread, lambda m: any(part.get("state") == "rendering" for part in m["parts"]))
    press = {"author": "Bob", "action": "stop", "target": message_id}
    await client.post(f"/api/threads/{thread}/buttons", press)
    stopped = await client.final(thread, message_id)
    assert stopped["status"] == "Stopped by Bob."
    assert any(part.get("reason") == "Stopped by Bob." for part in stopped["parts"])
    await client.post(f"/api/threads/{thread}/buttons", press | {"action": "retry"})
    done = await client.until(thread, lambda m: m["final"] and len(numbers(m)) == 3)
    assert numbers(done) == [1, 2, 3] and not done["status"]


async def test_a_full_disk_is_said_and_survived(client: Client, program: Program) -> None:
    """While nothing can be written, nothing is accepted and a sentence says so; afterwards all goes on."""
    thread = (await client.post("/api/threads", {}))["id"]
    body = {"id": "one", "author": "Ann", "text": "tell me a joke"}
    unlimited = resource.prlimit(program.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    for path in (f"/api/threads/{thread}/messages", "/api/threads"):
        refused = await client.post(path, body)
        assert refused["http"] == 503 and refused["error"].startswith("Nothing was saved")
    resource.prlimit(program.pid, resource.RLIMIT_FSIZE, unlimited)
    assert (await client.post(f"/api/threads/{thread}/messages", body))["http"] == 200
    assert (await client.final(thread, "one"))["parts"]


async def test_a_wrong_chat_server_is_a_sentence_with_a_retry_button(tmp_path: Path) -> None:
    """Nobody answers at OPENAI_BASE_URL: the reply says so and can be tried again."""
    program = Program(tmp_path / "data", OPENAI_BASE_URL="http://127.0.0.1:9/v1")
    await program.start()
    client = Client(program)
    reply = await client.say((await client.post("/api/threads", {}))["id"], "draw a red circle")
    await client.close()
    await program.kill()
    assert reply["status"] == "The chat model at http://127.0.0.1:9/v1/ cannot be reached."
    assert [button["action"] for button in reply["buttons"]] == ["retry"]


async def test_the_terminal_is_a_platform_too(tmp_path: Path) -> None:
    """`python -m bot chat` prints words as they come, and pictures as files. Python complains of nothing left over."""
    command = [sys.executable, "-m", "bot", "chat"]
    chat = await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, stderr=PIPE, cwd=tmp_path, env=environment(tmp_path)
    )
    said, complained = await chat.communicate(b"draw a red circle\n#9 make it blue\n#1 make it blue\n")
    assert b"[#1: a red circle]" in said and b"[#2: a blue circle]" in said
    assert b"This thread has no image #9." in said
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 2
    assert b"leaked" not in complained


async def test_the_program_ends_on_sigterm(program: Program) -> None:
    """SIGTERM is a clean end, and takes the worker along."""
    worker = worker_of(program)
    assert await asyncio.wait_for(program.stop(), 20) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


async def test_a_second_bot_on_the_same_folder_says_so(program: Program, tmp_path: Path) -> None:
    """Two bots never share a database."""
    second = Program(tmp_path / "data")
    with pytest.raises(AssertionError, match="ended before it listened"):
        await second.start()
    assert await second.stop() == 2


def worker_of(program: Program) -> int:
    """The process id of the program's render worker."""
    children = Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()
    return int(children[0])
