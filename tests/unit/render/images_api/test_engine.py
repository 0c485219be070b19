"""The images-API engine before a server of our own: what comes of a batch, and how little a server may take."""

import asyncio
import io
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from urllib.request import urlopen

import pytest
from PIL import Image

from bot.capabilities import Editing
from bot.domain import Operation, Sampling
from render.images_api.engine import NO_LORA_NOTE, REDRAWN_NOTE, UNKNOWN_SOURCE, ImagesApiEngine
from render.protocol import Batch, End, ImageDone, ImageTask, Preview, Started, StepDone, WorkerEvent, WorkerReport
from tests.support.images_engine import KEY, PROMPT, change, draw, drawn, engine, received, refused
from tests.support.images_server import ALL, Answer, ImagesDouble, Way, error, in_words, unprocessable
from tests.support.worker_conformance import (
    Check,
    Place,
    makes_the_same_again,
    stops_when_the_stream_is_closed,
    tells_a_batch_step_by_step,
    tells_its_slots,
)

# The contract of any engine, as far as one without a wire has it


@dataclass
class Direct(Place):
    """An engine in this process, in the place of one at an address."""

    there: ImagesApiEngine | None = None

    async def slots(self) -> WorkerReport:
        """What it can take now."""
        assert self.there
        return await self.there.slots()

    async def render(self, batch: Batch) -> AsyncGenerator[WorkerEvent]:
        """What is told of the batch; that the generator ends is the end."""
        assert self.there
        async with aclosing(self.there.run(batch)) as events:
            async for event in events:
                yield event
        yield End()


@pytest.mark.parametrize(
    "check",
    [tells_its_slots, tells_a_batch_step_by_step, makes_the_same_again, stops_when_the_stream_is_closed],
    ids=lambda check: check.__name__,
)
async def test_the_engine_conforms(check: Check) -> None:
    """Slots, order of events, sameness and cancelling are those of a worker."""
    async with engine(ImagesDouble()) as there:
        place = Direct("", "", there=there)
        try:
            async with asyncio.timeout(60):
                await check(place)
        finally:
            await place.session.close()


# A picture


async def test_a_picture_comes_with_previews_and_tells_how_it_was_made() -> None:
    """Partial images are previews and progress; the file is ours, with our metadata, in the shape that was wished."""
    double = ImagesDouble()
    async with engine(double) as there:
        events = await received(there, draw(aspect_ratio="16:9"))
    assert [type(event) for event in events] == [Started, StepDone, Preview, StepDone, Preview, StepDone, ImageDone]
    assert [round(event.fraction, 2) for event in events if isinstance(event, StepDone)] == [0.33, 0.67, 1.0]
    made = events[-1]
    assert isinstance(made, ImageDone)
    with Image.open(io.BytesIO(made.png)) as image:
        assert (image.format, image.size) == ("PNG", (made.width, made.height))
        assert image.info["Software"] == "flat" and image.info["Description"] == PROMPT
    assert made.width * 9 == pytest.approx(made.height * 16, rel=0.02) and made.width % 16 == made.height % 16 == 0
    (asked,) = double.asked
    assert asked.headers["Authorization"] == f"Bearer {KEY}"
    assert asked.body["prompt"] == PROMPT and asked.body["seed"] == 7 and asked.body["stream"] is True
    assert made.notes == ()


async def test_a_style_that_cannot_be_applied_is_reported() -> None:
    """A LoRA is a file on a worker; the words of its style are drawn all the same."""
    async with engine(ImagesDouble()) as there:
        assert (await drawn(there, draw(lora="ink.safetensors"))).notes == (NO_LORA_NOTE,)


async def test_a_server_that_does_not_stream_is_understood() -> None:
    """One that passes over `stream` answers in JSON, and the picture comes without previews."""
    async with engine(ImagesDouble(streams=False)) as there:
        assert [type(event) for event in await received(there, draw())] == [Started, StepDone, ImageDone]


@pytest.mark.parametrize("way", [Way.DATA_URL, Way.PATH, Way.URL])
async def test_a_picture_may_be_at_an_address(way: Way) -> None:
    """It is fetched from the server itself, to which the key is shown."""
    double = ImagesDouble(streams=False, way=way)
    async with engine(double) as there:
        await drawn(there, draw())
    assert [headers["Authorization"] for headers in double.fetched] == [f"Bearer {KEY}"] * (way is not Way.DATA_URL)


@pytest.mark.parametrize(
    ("way", "reason"), [(Way.PLAIN_ELSEWHERE, "unsafe"), (Way.REDIRECT, "HTTP 302"), (Way.GONE, "HTTP 404")]
)
async def test_not_every_address_is_followed(way: Way, reason: str) -> None:
    """Another host without https, and wherever a redirection leads, are not visited."""
    double = ImagesDouble(way=way)
    async with engine(double) as there:
        assert reason in await refused(there)
    assert len(double.fetched) == (way is not Way.PLAIN_ELSEWHERE)


async def test_no_more_are_asked_for_than_may_be_at_once() -> None:
    """The pictures of a batch are requests of their own, side by side up to the limit."""
    both, go = asyncio.Barrier(3), asyncio.Event()

    async def held() -> None:
        if not go.is_set():
            await both.wait()
        await go.wait()

    double = ImagesDouble(streams=False, between=held)
    async with engine(double, at_once=2) as there:
        drawing = asyncio.create_task(received(there, *(draw(name=name) for name in "abcd")))
        await both.wait()
        for _ in range(20):  # a third one would have come meanwhile
            await asyncio.to_thread(urlopen, f"{double.url}/models")
        assert double.most_at_once == 2
        go.set()
        events = await drawing
    assert sorted(event.task for event in events if isinstance(event, ImageDone)) == list("abcd")


async def test_a_closed_batch_hangs_up() -> None:
    """Nobody wants the picture any more: the request is closed, and the slot is free."""
    double = ImagesDouble(between=asyncio.Event().wait)
    async with engine(double) as there:
        async with aclosing(there.run(Batch([draw()]))) as events:
            async for event in events:
                if isinstance(event, Preview):
                    break
            assert (await there.slots()).free == 3
        assert (await there.slots()).free == 4
        await double.hung_up.wait()


# What servers do not take


@pytest.mark.parametrize("refusal", [None, unprocessable, in_words])
@pytest.mark.parametrize("name", sorted(ALL))
async def test_what_a_server_refuses_is_left_out_from_then_on(name: str, refusal: Any) -> None:
    """However it says so, the picture comes, and the next one costs one request."""
    double = ImagesDouble(takes=ALL - {name})
    double.refusal = refusal or double.refusal
    async with engine(double) as there:
        await drawn(there, draw(num_inference_steps=4))
        before = len(double.asked)
        await drawn(there, draw(num_inference_steps=4))
    assert name in double.asked[0].extras
    assert len(double.asked) == before + 1
    assert ALL - double.asked[-1].extras == ({name, "partial_images"} if name == "stream" else {name})


async def test_a_bare_server_gets_a_bare_request() -> None:
    """One parameter after the other is left out, until nothing is left but model and prompt."""
    double = ImagesDouble(takes=frozenset())
    async with engine(double) as there:
        await drawn(there, draw())
    assert double.asked[-1].body == {"model": "flat", "prompt": PROMPT}


async def test_a_refusal_that_was_about_something_else_is_not_remembered() -> None:
    """What is left out in vain is sent again with the next picture."""
    double = ImagesDouble(answers=[error("The seed of all evil.") for _ in range(2)])
    async with engine(double) as there:
        assert "HTTP 400" in await refused(there)
        await drawn(there, draw())
    assert "seed" not in double.asked[1].extras and "seed" in double.asked[2].extras


async def test_the_words_of_a_prompt_are_not_taken_for_a_parameter() -> None:
    """A server that repeats the prompt in its refusal is not misunderstood."""
    prompt = "a seed beside a stream, in a large size"
    double = ImagesDouble(answers=[error(f"This is too long: {prompt}")])
    async with engine(double) as there:
        assert "HTTP 400" in await refused(there, draw(prompt))
    assert len(double.asked) == 1


async def test_sizes_that_a_server_names_are_taken() -> None:
    """The closest is asked for at once from then on; the difference is told."""
    double = ImagesDouble(sizes=("512x512", "768x512"))
    async with engine(double) as there:
        made = await drawn(there, draw(aspect_ratio="16:9"))
        await drawn(there, draw(aspect_ratio="1:1"))
    assert [asked.body["size"] for asked in double.asked[1:]] == ["768x512", "512x512"]
    assert (made.width, made.height) == (768, 512)
    assert "768 × 512" in str(made.notes[0])


async def test_what_is_known_of_openais_models_is_not_tried() -> None:
    """They are sent what they take, in the first request already."""
    double = ImagesDouble(takes=frozenset({"stream", "partial_images", "output_format", "size"}))
    async with engine(double, "gpt-image-1") as there:
        made = await drawn(there, draw(aspect_ratio="3:4"))
    assert (made.width, made.height, len(double.asked)) == (1024, 1536, 1)


# Pictures from pictures


async def test_an_edit_sends_the_picture_and_the_words() -> None:
    """The server sees the picture as one file, and is told the change alone."""
    double = ImagesDouble()
    async with engine(double) as there:
        made = await drawn(there, change())
        assert await edits(there) is Editing.INSTRUCT
    (asked,) = double.asked
    assert (asked.path, asked.body["prompt"]) == ("/v1/images/edits", "make the sky green")
    with Image.open(io.BytesIO(asked.image or b"")) as image:
        assert (image.format, image.getpixel((0, 0))) == ("PNG", (255, 0, 0))
    assert made.notes == () and "the image" in str(made.edit_method)


async def edits(there: ImagesApiEngine) -> Editing:
    """What it says it wants to be told of a change."""
    capabilities = (await there.slots()).capabilities
    assert capabilities
    return capabilities.editing


@pytest.mark.parametrize(
    "answer",
    [
        Answer(404, {"detail": "Not Found"}),
        Answer(405, {"detail": "Method Not Allowed"}),
        error("Not implemented.", 501),
        error("The model 'flat' does not support image editing."),
    ],
)
async def test_a_server_without_edits_draws_again_and_says_so(answer: Answer) -> None:
    """An instruction comes with what it is about; from then on whole descriptions are wanted, and no edit is tried."""
    double = ImagesDouble(edits=answer)
    async with engine(double) as there:
        made = await drawn(there, change(source_prompt="a lighthouse under a blue sky"))
        assert await edits(there) is Editing.REDRAW
        await drawn(there, change("a lighthouse under a green sky", source_prompt="a lighthouse under a blue sky"))
    assert made.notes == (REDRAWN_NOTE,)
    assert [(asked.path.rpartition("/")[2], asked.body["prompt"]) for asked in double.asked] == [
        ("edits", "make the sky green"),
        ("generations", "a lighthouse under a blue sky\nmake the sky green"),
        ("generations", "a lighthouse under a green sky"),
    ]


async def test_what_needs_no_server_is_done_here() -> None:
    """A picture is enlarged without a request; one of which nothing is known cannot be varied blindly."""
    double = ImagesDouble(edits=Answer(404, {}))
    async with engine(double) as there:
        made = await drawn(there, change("", Operation.UPSCALE))
        assert (made.width, made.height, double.asked) == (128, 128, [])
        broken = ImageTask("a", Operation.EDIT, "bluer", sampling=Sampling(seed=7), source=b"no picture")
        assert "cannot be read" in await refused(there, broken)
        assert await refused(there, change("", Operation.VARY)) == str(UNKNOWN_SOURCE)
