"""Commands, `/imagine`, version history and attachments of the web API over a real socket."""

import io
import zipfile
from base64 import b64encode
from pathlib import Path

import pytest
from PIL import Image

from adapters.web.command_routes import answer_json
from adapters.web.schemas import MAX_ARGUMENT
from bot.notices import time_marker
from bot.settings.values import Attachment, Command, CommandResponse
from tests.support.doubles import ANN, THREAD
from tests.support.images import noise, png
from tests.support.web_app import running_web_app

# Settings


async def test_setting_is_set_shown_and_reset(tmp_path: Path) -> None:
    """Each result has all settings of the scope with all fields of the API."""
    async with running_web_app(tmp_path) as app:
        thread = await app.thread()
        answer = await app.command(thread, "settings", do="set", scope="me", key="aspect_ratio", value="16:9")
        assert answer["text"] == "Aspect ratio for you: **16:9**."
        assert answer["html"] == "<p>Aspect ratio for you: <strong>16:9</strong>.</p>\n"
        assert (answer["panel"]["scope"], answer["attachment"]) == ("me", None)
        fields = {field["key"]: field for field in answer["panel"]["fields"]}
        choices = fields["aspect_ratio"].pop("choices")
        assert {"default", "1:1", "16:9"} <= set(choices)
        assert fields["aspect_ratio"].pop("choice_names") == ["Default", *choices[1:]]
        assert fields["aspect_ratio"] == {
            "key": "aspect_ratio", "title": "Aspect ratio", "description": "Width to height of new images.",
            "value": "16:9",
            "source": "me", "max_length": 0, "maximum": 0,
        }  # fmt: skip
        answer = await app.command(thread, "settings", do="reset", scope="me", key="aspect_ratio")
        (ratio,) = [field for field in answer["panel"]["fields"] if field["key"] == "aspect_ratio"]
        assert (ratio["value"], ratio["source"]) == ("default", "default")


async def test_settings_apply_in_their_scope(tmp_path: Path) -> None:
    """A setting of a thread applies there only, one of the page in every thread, and one of the user wins."""
    async with running_web_app(tmp_path) as app:
        one, two = await app.thread(), await app.thread()
        for scope, value in (("thread", "3:2"), ("channel", "2:3"), ("me", "4:3")):
            await app.command(one, "settings", do="set", scope=scope, key="aspect_ratio", value=value)

        async def value_and_source(thread: str, scope: str) -> tuple[str, str]:
            panel = (await app.command(thread, "settings", scope=scope))["panel"]
            return next((f["value"], f["source"]) for f in panel["fields"] if f["key"] == "aspect_ratio")

        assert [await value_and_source(one, scope) for scope in ("server", "channel", "thread", "me")] == [
            ("default", "default"), ("2:3", "channel"), ("3:2", "thread"), ("4:3", "me")
        ]  # fmt: skip
        assert await value_and_source(two, "thread") == ("2:3", "channel")


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ([], 400, "JSON object"),
        ({}, 400, "'name'"),
        ({"name": 7}, 400, "'name'"),
        ({"name": "Dance Now"}, 400, "'name'"),
        ({"name": "dance"}, 404, "There is no command “dance”."),
        ({"name": "usage", "id": "../x"}, 400, "'id'"),
        ({"name": "usage", "author": 7}, 400, "'author'"),
        ({"name": "settings", "arguments": "do"}, 400, "'arguments'"),
        ({"name": "settings", "arguments": ["do"]}, 400, "'arguments'"),
        ({"name": "settings", "arguments": {"do": 7}}, 400, "'do' must be a text."),
        ({"name": "settings", "arguments": {"a b": "x"}}, 400, "an argument's name"),
        ({"name": "settings", "arguments": {"a" * 41: "x"}}, 400, "an argument's name"),
        ({"name": "settings", "arguments": dict.fromkeys("abcdefghijk", "x")}, 400, "at most 10 texts"),
        ({"name": "settings", "arguments": {"value": "x" * (MAX_ARGUMENT + 1)}}, 400, "'value' may have 10,000"),
        ({"name": "settings", "arguments": {"scope": "world"}}, 400, "Settings apply to"),
        (
            {"name": "settings", "arguments": {"do": "set", "key": "images_per_request", "value": "9"}},
            400,
            "must be one of 1, 2, 3, and 4",
        ),
        ({"name": "details", "arguments": {"picture": "7"}}, 404, "This thread has no image #7"),
        ({"name": "export"}, 400, "There is nothing to export here"),
        ({"name": "forget"}, 400, "There is nothing to delete here"),
    ],
)
async def test_wrong_command_is_refused(tmp_path: Path, body: object, status: int, error: str) -> None:
    """Each error has its status and a sentence."""
    async with running_web_app(tmp_path) as app:
        found, answer = await app.post(f"{await app.thread()}/commands", body)
        assert (found, list(answer)) == (status, ["error"])
        assert error in answer["error"]
        assert answer["error"].endswith(".")


async def test_results_are_safe_html(tmp_path: Path) -> None:
    """Usage, help and queue have a text as Markdown and as HTML without scripts, raw HTML and images."""
    async with running_web_app(tmp_path) as app:
        thread = await app.thread()
        for name in ("usage", "help", "queue"):
            answer = await app.command(thread, name)
            assert answer["text"] and answer["html"].startswith("<p>") and answer["panel"] is None
        await app.say(thread, "<image><b>sun</b> `x` <script></image>")
        answer = await app.command(thread, "details", picture="1")
        assert "Prompt" in answer["html"]
        assert not any(active in answer["html"] for active in ("<script", "<b>", "<img"))


def test_result_has_no_time_marker() -> None:
    """A time marker becomes text; an attachment without a route is part of the result."""
    command = Command("c", THREAD, ANN, "usage")
    answer = answer_json(
        CommandResponse(f"One is free {time_marker(0)}.", attachment=Attachment("usage.csv", b"a,b")), command
    )
    assert answer.text == "One is free in about 1 sec."
    data = "data:application/octet-stream;base64,YSxi"
    assert answer.model_dump()["attachment"] == {"name": "usage.csv", "alt": "", "data": data}


# Images without the chat model


async def test_imagine_requests_images_without_the_chat_model(tmp_path: Path) -> None:
    """All fields are used; a second request with the same id is the same request."""
    async with running_web_app(tmp_path) as app:
        thread = await app.thread()
        body = {
            "id": "w-1", "author": "Ann", "prompt": " a  fox ", "aspect_ratio": "3:2", "count": 2, "model": "deep",
            "seed": 7, "negative_prompt": "snow",
        }  # fmt: skip
        async with app.watch(thread) as events:
            for _ in range(2):
                assert await app.post(f"{thread}/imagine", body) == (200, {"message_id": "w-1"})
            name, question = await anext(events)
            assert (name, question["parts"][0]["markdown"]) == ("message", "a fox")
        reply = await app.final(thread, "w-1")
        assert [part["number"] for part in reply["parts"] if part["type"] == "picture"] == [1, 2]
        jobs = [
            (
                job.request.prompt,
                job.request.sampling.aspect_ratio,
                job.request.sampling.model,
                job.request.sampling.seed,
                job.request.sampling.negative_prompt,
            )
            for job in app.renderer.jobs
        ]
        assert jobs == [("a fox", "3:2", "deep", 7, "snow"), ("a fox", "3:2", "deep", 8, "snow")]
        assert not app.model.received


async def test_imagine_uses_the_settings_for_missing_fields(tmp_path: Path) -> None:
    """Aspect ratio and number of images come from the settings."""
    async with running_web_app(tmp_path) as app:
        thread = await app.thread()
        for key, value in (("images_per_request", "3"), ("aspect_ratio", "2:3")):
            await app.command(thread, "settings", do="set", key=key, value=value)
        _, answer = await app.post(f"{thread}/imagine", {"author": "Ann", "prompt": "a fox"})
        await app.final(thread, answer["message_id"])
        assert [job.request.sampling.aspect_ratio for job in app.renderer.jobs] == ["2:3"] * 3


@pytest.mark.parametrize(
    ("body", "error"),
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
async def test_wrong_imagine_request_is_refused(tmp_path: Path, body: object, error: str) -> None:
    """Each error has a sentence, and nothing is stored."""
    async with running_web_app(tmp_path) as app:
        thread = await app.thread()
        status, answer = await app.post(f"{thread}/imagine", body)
        assert (status, list(answer)) == (400, ["error"])
        assert error in answer["error"]
        assert (await app.get(thread))[1] == {"messages": []}


# Version history and attachments


async def test_lineage_has_the_place_of_each_image(tmp_path: Path) -> None:
    """Each node has its column, its row and its source image; a deleted image has no node."""
    async with running_web_app(tmp_path) as app:
        thread = await app.thread()
        assert await app.get(f"{thread}/lineage") == (200, {"nodes": []})
        await app.say(thread, "<image>a sun</image> <image>a moon</image>")
        for words in ("<edit of=1>a red sun</edit>", "<edit of=1>a blue sun</edit>"):
            await app.say(thread, words)

        async def places() -> list[tuple[int, int, int, int | None]]:
            nodes = (await app.get(f"{thread}/lineage"))[1]["nodes"]
            return [(node["picture"]["number"], node["column"], node["row"], node["parent"]) for node in nodes]

        assert await places() == [(1, 0, 0, None), (3, 1, 0, 1), (4, 1, 1, 1), (2, 0, 2, None)]
        (node, *_) = (await app.get(f"{thread}/lineage"))[1]["nodes"]
        assert (await app.get(node["picture"]["url"]))[0] == 200
        await app.post(f"{thread}/buttons", {"author": "Ann", "action": "delete", "target": "1"})
        assert await places() == [(2, 0, 0, None), (3, 1, 0, None), (4, 2, 0, None)]


async def test_attachments_have_addresses(tmp_path: Path) -> None:
    """The contact sheet is a PNG, the export a ZIP file; the results of their commands have the addresses."""
    async with running_web_app(tmp_path) as app:
        thread = await app.thread()
        assert await app.get(f"{thread}/sheet.png") == (
            404, {"error": "This thread has no images yet."},
        )  # fmt: skip
        assert (await app.get(f"{thread}/export.zip"))[0] == 400
        await app.say(thread, "Look: <image>a sun</image>", "draw a sun")
        answer = await app.command(thread, "pictures")
        assert "a sun" in answer["text"]
        assert answer["attachment"] == {
            "name": "pictures.png", "alt": "1 image, with arrows from each source image to its results",
            "url": f"{thread}/sheet.png",
        }  # fmt: skip
        async with app.session.get(app.url + answer["attachment"]["url"]) as response:
            assert (response.content_type, response.headers["Cache-Control"]) == ("image/png", "private, no-cache")
            assert response.headers["Content-Disposition"] == 'inline; filename="pictures.png"'
            with Image.open(io.BytesIO(await response.read())) as sheet:
                assert min(sheet.size) > 200
        answer = await app.command(thread, "export")
        assert answer["attachment"]["url"] == f"{thread}/export.zip"
        async with app.session.get(app.url + answer["attachment"]["url"]) as response:
            assert response.headers["Content-Disposition"] == 'attachment; filename="thread.zip"'
            with zipfile.ZipFile(io.BytesIO(await response.read())) as folder:
                assert sorted(folder.namelist()) == ["index.html", "pictures.json", "pictures/0001.png"]
                assert "draw a sun" in folder.read("index.html").decode()


async def test_unknown_threads_are_not_found(tmp_path: Path) -> None:
    """The routes of a thread that was never opened answer 404."""
    async with running_web_app(tmp_path) as app:
        for thread in ("/api/threads/nobody", "/api/threads/..%2Fx"):
            answers = [await app.get(f"{thread}/{what}") for what in ("lineage", "sheet.png", "export.zip")]
            answers += [await app.post(f"{thread}/{what}", {"name": "help"}) for what in ("commands", "imagine")]
            assert answers == [(404, {"error": "There is no such conversation."})] * 5


# Deleting


async def test_deleted_upload_leaves_its_message(tmp_path: Path) -> None:
    """All open pages get the message again, without the image and its buttons."""
    async with running_web_app(tmp_path) as app:
        thread = await app.thread()
        sent = [b64encode(png(colour)).decode() for colour in ("red", "lime")]
        await app.say(thread, "Nice.", "look", pictures=sent)
        async with app.watch(thread) as events:
            for _ in range(2):
                await anext(events)
            await app.post(f"{thread}/buttons", {"author": "Ann", "action": "delete", "target": "1"})
            _, question = await anext(events)
        assert [part["number"] for part in question["parts"] if part["type"] == "picture"] == [2]
        assert {button["target"] for button in question["buttons"]} == {"2"}


async def test_deleted_thread_disappears_from_all_pages(tmp_path: Path) -> None:
    """All open pages get an event, and later messages after it; the user's settings are deleted separately."""
    async with running_web_app(tmp_path) as app:
        thread, other = await app.thread(), await app.thread()
        reply = await app.say(thread, "<image>a sun</image>")
        await app.say(other, "Hello.")
        url = next(part["picture"]["url"] for part in reply["parts"] if part["type"] == "picture")
        async with app.watch(thread) as ann, app.watch(thread) as bob, app.watch(other) as cid:
            for events in (ann, bob, cid):
                for _ in range(2):
                    await anext(events)
            await app.command(thread, "forget", what="settings")
            answer = await app.command(thread, "forget", what="thread")
            assert answer["text"] == "Deleted from this thread: 1 message and 1 image."
            await app.say(thread, "Hi again.", "hi")
            await app.say(other, "Still here.", "hi")
            for events in (ann, bob):
                assert await anext(events) == ("forgotten", {})
                assert (await anext(events))[1]["parts"][0]["markdown"] == "hi"
            assert (await anext(cid))[0] == "message"
        assert len((await app.get(thread))[1]["messages"]) == 2
        assert (await app.get(url))[0] == 404


async def test_id_of_a_deleted_message_can_be_used_again(tmp_path: Path) -> None:
    """The old reply is not shown while the new one starts."""
    async with running_web_app(tmp_path) as app:
        thread = await app.thread()
        await app.say(thread, "The secret.", "hi", id="m-1")
        await app.command(thread, "forget", what="thread")
        app.model.scripts.append([None, "Hello."])
        await app.post(f"{thread}/messages", {"id": "m-1", "author": "Ann", "text": "hi"})
        await app.model.waiting.wait()
        assert "secret" not in str(await app.get(thread))
        app.model.go.set()
        assert (await app.final(thread, "m-1"))["parts"][0]["markdown"] == "Hello."


async def test_export_of_a_large_thread_is_complete(tmp_path: Path) -> None:
    """A ZIP file of some megabytes arrives byte for byte."""
    async with running_web_app(tmp_path) as app:
        thread = await app.thread()
        app.renderer.size = 512
        await app.say(thread, "".join(f"<image>sun {n}</image>" for n in range(4)))
        _, packed = await app.get(f"{thread}/export.zip")
        with zipfile.ZipFile(io.BytesIO(packed)) as folder:
            assert folder.read("pictures/0004.png") == noise(512)
            assert len(packed) > 4 * 512 * 512


async def test_old_path_and_old_keys_of_imagine_still_work(tmp_path: Path) -> None:
    """`/wishes` with `ratio` and `negative` is the same request as `/imagine` with the new keys."""
    async with running_web_app(tmp_path) as app:
        thread = await app.thread()
        body = {"author": "Ann", "prompt": "a fox", "ratio": "3:2", "negative": "snow"}
        status, answer = await app.post(f"{thread}/wishes", body)
        assert status == 200
        await app.final(thread, answer["message_id"])
        assert [
            (job.request.sampling.aspect_ratio, job.request.sampling.negative_prompt) for job in app.renderer.jobs
        ] == [("3:2", "snow")]
        status, answer = await app.post(f"{thread}/messages", {"text": "Hi", "part": "0,0 1,0 1,1"})
        assert (status, "needs 'about'" in answer["error"]) == (400, True)
