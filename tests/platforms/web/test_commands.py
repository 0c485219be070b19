"""The web page's commands, wishes and papers over a real socket."""

import io
import zipfile
from base64 import b64encode
from pathlib import Path

import pytest
from PIL import Image

from adapters.web import command_routes as page_desk
from adapters.web.schemas import MAX_ARGUMENT
from bot.notices import time_marker
from bot.settings.values import Attachment, Command, CommandResponse
from tests.support.doubles import ANN, THREAD
from tests.support.images import noise, png
from tests.support.web_app import house

# Settings


async def test_a_setting_is_set_shown_and_reset(tmp_path: Path) -> None:
    """Each answer has the panel of its scope with every field of the API."""
    async with house(tmp_path) as here:
        thread = await here.thread()
        told = await here.command(thread, "settings", do="set", scope="me", key="ratio", value="16:9")
        assert told["text"] == "Shape for you: **16:9**."
        assert told["html"] == "<p>Shape for you: <strong>16:9</strong>.</p>\n"
        assert (told["panel"]["scope"], told["attachment"]) == ("me", None)
        fields = {field["key"]: field for field in told["panel"]["fields"]}
        choices = fields["ratio"].pop("choices")
        assert {"usual", "1:1", "16:9"} <= set(choices)
        assert fields["ratio"] == {
            "key": "ratio", "title": "Shape", "description": "Width to height of new pictures.", "value": "16:9",
            "source": "me", "max_length": 0, "maximum": 0,
        }  # fmt: skip
        told = await here.command(thread, "settings", do="reset", scope="me", key="ratio")
        (ratio,) = [field for field in told["panel"]["fields"] if field["key"] == "ratio"]
        assert (ratio["value"], ratio["source"]) == ("usual", "default")


async def test_scopes_reach_as_far_as_they_say(tmp_path: Path) -> None:
    """A thread's setting holds in it alone, the page's in every thread, a person's own is the nearest."""
    async with house(tmp_path) as here:
        one, two = await here.thread(), await here.thread()
        for scope, value in (("thread", "3:2"), ("channel", "2:3"), ("me", "4:3")):
            await here.command(one, "settings", do="set", scope=scope, key="ratio", value=value)

        async def held(thread: str, scope: str) -> tuple[str, str]:
            panel = (await here.command(thread, "settings", scope=scope))["panel"]
            return next((f["value"], f["source"]) for f in panel["fields"] if f["key"] == "ratio")

        assert [await held(one, scope) for scope in ("server", "channel", "thread", "me")] == [
            ("usual", "default"), ("2:3", "channel"), ("3:2", "thread"), ("4:3", "me")
        ]  # fmt: skip
        assert await held(two, "thread") == ("2:3", "channel")


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ([], 400, "JSON object"),
        ({}, 400, "'name'"),
        ({"name": 7}, 400, "'name'"),
        ({"name": "Dance Now"}, 400, "'name'"),
        ({"name": "dance"}, 404, "There is no command 'dance'."),
        ({"name": "usage", "id": "../x"}, 400, "'id'"),
        ({"name": "usage", "author": 7}, 400, "'author'"),
        ({"name": "settings", "arguments": "do"}, 400, "'arguments'"),
        ({"name": "settings", "arguments": ["do"]}, 400, "'arguments'"),
        ({"name": "settings", "arguments": {"do": 7}}, 400, "'do' must be a text."),
        ({"name": "settings", "arguments": {"a b": "x"}}, 400, "An argument's name"),
        ({"name": "settings", "arguments": {"a" * 41: "x"}}, 400, "An argument's name"),
        ({"name": "settings", "arguments": dict.fromkeys("abcdefghijk", "x")}, 400, "at most 10 texts"),
        ({"name": "settings", "arguments": {"value": "x" * (MAX_ARGUMENT + 1)}}, 400, "'value' may have 10,000"),
        ({"name": "settings", "arguments": {"scope": "world"}}, 400, "Settings hold for"),
        ({"name": "settings", "arguments": {"do": "set", "key": "count", "value": "9"}}, 400, "can be 1, 2, 3, 4"),
        ({"name": "details", "arguments": {"picture": "7"}}, 404, "This thread has no image #7"),
        ({"name": "export"}, 400, "There is nothing to export here"),
        ({"name": "forget"}, 400, "There is nothing to delete here"),
    ],
)
async def test_a_wrong_command_is_refused(tmp_path: Path, body: object, status: int, told: str) -> None:
    """Each fault gets its status and a sentence."""
    async with house(tmp_path) as here:
        found, answer = await here.post(f"{await here.thread()}/commands", body)
        assert (found, list(answer)) == (status, ["error"])
        assert told in answer["error"]
        assert answer["error"].endswith(".")


async def test_what_is_told_can_be_read(tmp_path: Path) -> None:
    """Usage, help and the line come as Markdown and as HTML without anything active."""
    async with house(tmp_path) as here:
        thread = await here.thread()
        for name in ("usage", "help", "queue"):
            told = await here.command(thread, name)
            assert told["text"] and told["html"].startswith("<p>") and told["panel"] is None
        await here.say(thread, "<image><b>sun</b> `x` <script></image>")
        told = await here.command(thread, "details", picture="1")
        assert "Prompt" in told["html"]
        assert not any(active in told["html"] for active in ("<script", "<b>", "<img"))


def test_times_are_told_from_now_on() -> None:
    """A point in time in an answer is no bare mark on the page; a paper without an address comes along."""
    command = Command("c", THREAD, ANN, "usage")
    told = page_desk.answer_json(
        CommandResponse(f"One is free {time_marker(0)}.", attachment=Attachment("usage.csv", b"a,b")), command
    )
    assert told.text == "One is free in about 1 s."
    data = "data:application/octet-stream;base64,YSxi"
    assert told.model_dump()["attachment"] == {"name": "usage.csv", "alt": "", "data": data}


# Wishes


async def test_a_wish_is_drawn_past_the_chat_model(tmp_path: Path) -> None:
    """With everything that can be said of it; the same id sent twice is one wish."""
    async with house(tmp_path) as here:
        thread = await here.thread()
        body = {
            "id": "w-1", "author": "Ann", "prompt": " a  fox ", "aspect_ratio": "3:2", "count": 2, "model": "deep",
            "seed": 7, "negative_prompt": "snow",
        }  # fmt: skip
        async with here.watch(thread) as events:
            for _ in range(2):
                assert await here.post(f"{thread}/imagine", body) == (200, {"message_id": "w-1"})
            name, question = await anext(events)
            assert (name, question["parts"][0]["markdown"]) == ("message", "a fox")
        reply = await here.final(thread, "w-1")
        assert [part["number"] for part in reply["parts"] if part["type"] == "picture"] == [1, 2]
        jobs = [
            (
                job.request.prompt,
                job.request.sampling.aspect_ratio,
                job.request.sampling.model,
                job.request.sampling.seed,
                job.request.sampling.negative_prompt,
            )
            for job in here.renderer.jobs
        ]
        assert jobs == [("a fox", "3:2", "deep", 7, "snow"), ("a fox", "3:2", "deep", 8, "snow")]
        assert not here.model.heard


async def test_a_wish_leaves_open_what_was_chosen(tmp_path: Path) -> None:
    """Shape and number are those of the settings."""
    async with house(tmp_path) as here:
        thread = await here.thread()
        for key, value in (("count", "3"), ("ratio", "2:3")):
            await here.command(thread, "settings", do="set", key=key, value=value)
        _, told = await here.post(f"{thread}/imagine", {"author": "Ann", "prompt": "a fox"})
        await here.final(thread, told["message_id"])
        assert [job.request.sampling.aspect_ratio for job in here.renderer.jobs] == ["2:3"] * 3


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ({}, "empty"),
        ({"prompt": 7}, "'prompt'"),
        ({"prompt": "x" * 8_001}, "8,000 characters"),
        ({"prompt": "x", "aspect_ratio": "wide"}, "'aspect_ratio'"),
        ({"prompt": "x", "aspect_ratio": "0:1"}, "'aspect_ratio'"),
        ({"prompt": "x", "count": 0}, "1 to 4"),
        ({"prompt": "x", "count": 5}, "1 to 4"),
        ({"prompt": "x", "count": "2"}, "'count'"),
        ({"prompt": "x", "count": True}, "'count'"),
        ({"prompt": "x", "count": 10**30}, "'count'"),
        ({"prompt": "x", "seed": -1}, "'seed'"),
        ({"prompt": "x", "seed": 2**31}, "'seed'"),
        ({"prompt": "x", "seed": 0.5}, "'seed'"),
        ({"prompt": "x", "model": "m" * 201}, "'model'"),
        ({"prompt": "x", "negative_prompt": "n" * 501}, "'negative_prompt'"),
        ({"prompt": "x", "negative_prompt": ["n"]}, "'negative_prompt'"),
    ],
)
async def test_a_wrong_wish_is_refused(tmp_path: Path, wish: object, told: str) -> None:
    """With a sentence, and nothing is recorded."""
    async with house(tmp_path) as here:
        thread = await here.thread()
        status, answer = await here.post(f"{thread}/imagine", wish)
        assert (status, list(answer)) == (400, ["error"])
        assert told in answer["error"]
        assert (await here.get(thread))[1] == {"messages": []}


# Pictures and papers


async def test_the_tree_is_told_with_its_places(tmp_path: Path) -> None:
    """Columns from the left, rows from the top, and which picture each came from; a deleted one is not in it."""
    async with house(tmp_path) as here:
        thread = await here.thread()
        assert await here.get(f"{thread}/lineage") == (200, {"nodes": []})
        await here.say(thread, "<image>a sun</image> <image>a moon</image>")
        for words in ("<edit of=1>a red sun</edit>", "<edit of=1>a blue sun</edit>"):
            await here.say(thread, words)

        async def told() -> list[tuple[int, int, int, int | None]]:
            nodes = (await here.get(f"{thread}/lineage"))[1]["nodes"]
            return [(node["picture"]["number"], node["column"], node["row"], node["parent"]) for node in nodes]

        assert await told() == [(1, 0, 0, None), (3, 1, 0, 1), (4, 1, 1, 1), (2, 0, 2, None)]
        (node, *_) = (await here.get(f"{thread}/lineage"))[1]["nodes"]
        assert (await here.get(node["picture"]["url"]))[0] == 200
        await here.post(f"{thread}/buttons", {"author": "Ann", "action": "delete", "target": "1"})
        assert await told() == [(2, 0, 0, None), (3, 1, 0, None), (4, 2, 0, None)]


async def test_papers_have_addresses(tmp_path: Path) -> None:
    """The sheet is a PNG to look at, the ZIP is there to be taken away; their commands say where they are."""
    async with house(tmp_path) as here:
        thread = await here.thread()
        assert await here.get(f"{thread}/sheet.png") == (
            404, {"error": "This thread has no images yet."},
        )  # fmt: skip
        assert (await here.get(f"{thread}/export.zip"))[0] == 400
        await here.say(thread, "Look: <image>a sun</image>", "draw a sun")
        told = await here.command(thread, "pictures")
        assert "a sun" in told["text"]
        assert told["attachment"] == {
            "name": "pictures.png", "alt": "1 picture, with arrows from each to what came of it",
            "url": f"{thread}/sheet.png",
        }  # fmt: skip
        async with here.session.get(here.url + told["attachment"]["url"]) as response:
            assert (response.content_type, response.headers["Cache-Control"]) == ("image/png", "private, no-cache")
            assert response.headers["Content-Disposition"] == 'inline; filename="pictures.png"'
            with Image.open(io.BytesIO(await response.read())) as sheet:
                assert min(sheet.size) > 200
        told = await here.command(thread, "export")
        assert told["attachment"]["url"] == f"{thread}/export.zip"
        async with here.session.get(here.url + told["attachment"]["url"]) as response:
            assert response.headers["Content-Disposition"] == 'attachment; filename="thread.zip"'
            with zipfile.ZipFile(io.BytesIO(await response.read())) as folder:
                assert sorted(folder.namelist()) == ["index.html", "pictures.json", "pictures/0001.png"]
                assert "draw a sun" in folder.read("index.html").decode()


async def test_unknown_threads_have_no_desk(tmp_path: Path) -> None:
    """What was never opened is not there."""
    async with house(tmp_path) as here:
        for thread in ("/api/threads/nobody", "/api/threads/..%2Fx"):
            answers = [await here.get(f"{thread}/{what}") for what in ("lineage", "sheet.png", "export.zip")]
            answers += [await here.post(f"{thread}/{what}", {"name": "help"}) for what in ("commands", "imagine")]
            assert answers == [(404, {"error": "There is no such thread."})] * 5


# What is gone


async def test_a_deleted_upload_is_gone_from_what_was_said_with_it(tmp_path: Path) -> None:
    """Everybody who watches sees the message again without it, and no button for it is left."""
    async with house(tmp_path) as here:
        thread = await here.thread()
        sent = [b64encode(png(colour)).decode() for colour in ("red", "lime")]
        await here.say(thread, "Nice.", "look", pictures=sent)
        async with here.watch(thread) as events:
            for _ in range(2):
                await anext(events)
            await here.post(f"{thread}/buttons", {"author": "Ann", "action": "delete", "target": "1"})
            _, question = await anext(events)
        assert [part["number"] for part in question["parts"] if part["type"] == "picture"] == [2]
        assert {button["target"] for button in question["buttons"]} == {"2"}


async def test_a_forgotten_thread_is_gone_for_everybody(tmp_path: Path) -> None:
    """All who watch are told; what is said later comes after that, and own settings are forgotten apart."""
    async with house(tmp_path) as here:
        thread, other = await here.thread(), await here.thread()
        reply = await here.say(thread, "<image>a sun</image>")
        await here.say(other, "Hello.")
        url = next(part["picture"]["url"] for part in reply["parts"] if part["type"] == "picture")
        async with here.watch(thread) as ann, here.watch(thread) as bob, here.watch(other) as cid:
            for watcher in (ann, bob, cid):
                for _ in range(2):
                    await anext(watcher)
            await here.command(thread, "forget", what="settings")
            told = await here.command(thread, "forget", what="thread")
            assert told["text"] == "Deleted from this thread: 1 message and 1 image."
            await here.say(thread, "Hi again.", "hi")
            await here.say(other, "Still here.", "hi")
            for watcher in (ann, bob):
                assert await anext(watcher) == ("forgotten", {})
                assert (await anext(watcher))[1]["parts"][0]["markdown"] == "hi"
            assert (await anext(cid))[0] == "message"
        assert len((await here.get(thread))[1]["messages"]) == 2
        assert (await here.get(url))[0] == 404


async def test_an_id_that_was_forgotten_is_new_again(tmp_path: Path) -> None:
    """Nothing of the old reply is shown while the new one is thought about."""
    async with house(tmp_path) as here:
        thread = await here.thread()
        await here.say(thread, "The secret.", "hi", id="m-1")
        await here.command(thread, "forget", what="thread")
        here.model.scripts.append([None, "Hello."])
        await here.post(f"{thread}/messages", {"id": "m-1", "author": "Ann", "text": "hi"})
        await here.model.waiting.wait()
        assert "secret" not in str(await here.get(thread))
        here.model.go.set()
        assert (await here.final(thread, "m-1"))["parts"][0]["markdown"] == "Hello."


async def test_a_big_thread_is_packed_whole(tmp_path: Path) -> None:
    """A ZIP of some megabytes arrives byte for byte."""
    async with house(tmp_path) as here:
        thread = await here.thread()
        here.renderer.size = 512
        await here.say(thread, "".join(f"<image>sun {n}</image>" for n in range(4)))
        _, packed = await here.get(f"{thread}/export.zip")
        with zipfile.ZipFile(io.BytesIO(packed)) as folder:
            assert folder.read("pictures/0004.png") == noise(512)
            assert len(packed) > 4 * 512 * 512


async def test_old_path_and_old_keys_of_imagine_still_work(tmp_path: Path) -> None:
    """`/wishes` with `ratio` and `negative` is the same request as `/imagine` with the new keys."""
    async with house(tmp_path) as here:
        thread = await here.thread()
        body = {"author": "Ann", "prompt": "a fox", "ratio": "3:2", "negative": "snow"}
        status, answer = await here.post(f"{thread}/wishes", body)
        assert status == 200
        await here.final(thread, answer["message_id"])
        assert [
            (job.request.sampling.aspect_ratio, job.request.sampling.negative_prompt) for job in here.renderer.jobs
        ] == [("3:2", "snow")]
        status, answer = await here.post(f"{thread}/messages", {"text": "Hi", "part": "0,0 1,0 1,1"})
        assert (status, "needs 'about'" in answer["error"]) == (400, True)
