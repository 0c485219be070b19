"""The whole program before an images API: a conversation that draws, without a worker."""

from pathlib import Path

from tests.support.images_server import ImagesDouble, images_server
from tests.support.programs import Client, Program, numbers


def children(program: Program) -> str:
    """The process ids of whatever the program has started."""
    return Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text()


async def test_a_conversation_is_drawn_by_a_server(tmp_path: Path) -> None:
    """Pictures and an edit come from the server; the bot has no child process, and ends when it is told to."""
    async with images_server(ImagesDouble()) as double:
        program = Program(
            tmp_path / "data", IMAGE_MODEL="openai:gpt-image-1", IMAGES_BASE_URL=double.url, IMAGES_API_KEY=""
        )
        await program.start()
        client = Client(program)
        try:
            thread = (await client.post("/api/threads", {}))["id"]
            assert numbers(await client.say(thread, "draw two pictures of a cat in the snow")) == [1, 2]
            edited = await client.say(thread, "make it green", about=1)
            assert numbers(edited) == [3]
            (picture,) = [part["picture"] for part in edited["parts"] if part["type"] == "picture"]
            assert (picture["model"], picture["operation"], picture["parent"]) == ("gpt-image-1", "edit", 1)
            assert children(program) == ""
        finally:
            await client.close()
            status = await program.stop()
    assert status == 0
    assert [asked.path.rpartition("/")[2] for asked in double.asked] == ["generations", "generations", "edits"]
