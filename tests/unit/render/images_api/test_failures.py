"""The images-API engine before a server that breaks down, refuses, or sends what is no picture."""

import logging
import time

import pytest

from bot.domain import Failed, Rendered, Rendering
from bot.storage.picture_files import PictureFiles
from bot.storage.store import Store
from render.images_api.engine import ImagesApiEngine
from render.protocol import ImageDone, Preview
from tests.support.images_engine import KEY, PROMPT, draw, drawn, engine, lost, received, refused
from tests.support.images_server import Answer, Fault, ImagesDouble, error
from tests.support.render_queue import collect, job, serving

DOWN = error("The server had an error.", 500)


@pytest.mark.parametrize(
    ("fault", "streams", "reason"),
    [
        (Fault.BASE64, True, "damaged"),
        (Fault.BASE64, False, "damaged"),
        (Fault.NO_PICTURE, True, "cannot be used"),
        (Fault.TEXT, False, "image"),
        (Fault.EMPTY, False, "image"),
        (Fault.HUGE, False, "more than 64 MB"),
        (Fault.HUGE, True, "more than 64 MB"),
        (Fault.MODERATED, True, "safety system"),
    ],
)
async def test_what_is_no_picture_is_refused(fault: Fault, streams: bool, reason: str) -> None:
    """The person reads a sentence about it, and nobody tries again."""
    double = ImagesDouble(fault=fault, streams=streams)
    async with engine(double) as there:
        assert reason in await refused(there)
        assert (await there.slots()).free == 4
    assert len(double.asked) == 1


async def test_a_broken_preview_spoils_no_picture() -> None:
    """It was only a preview; the picture that comes after it is good, and paid for."""
    async with engine(ImagesDouble(fault=Fault.PREVIEW)) as there:
        events = await received(there, draw())
    assert isinstance(events[-1], ImageDone) and not any(isinstance(event, Preview) for event in events)


@pytest.mark.parametrize(("fault", "streams"), [(Fault.CUT, True), (Fault.CUT, False), (Fault.UNFINISHED, True)])
async def test_a_stream_that_breaks_off_loses_the_picture(fault: Fault, streams: bool) -> None:
    """The request may be to blame, so the queue counts it."""
    async with engine(ImagesDouble(fault=fault, streams=streams)) as there:
        _, loss = await lost(there)
    assert loss.started


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_server_that_breaks_down_is_left_alone_for_a_while(status: int) -> None:
    """It gets no pictures until it is there again, and is asked less and less often meanwhile."""
    down = error("Down.", status)
    double = ImagesDouble(answers=[down])
    async with engine(double) as there:
        now = 0.0
        there.health.clock = lambda: now
        assert (await there.slots()).free == 4
        _, loss = await lost(there)
        assert loss.started == (status == 500)
        double.models = down
        looks = []
        while now < 8:
            now += 1
            assert (await there.slots()).slots == 0
            looks.append(double.looks)
        assert looks == [2, 2, 3, 3, 3, 3, 4, 4]
        double.models, now = Answer(200, {}), 100.0
        assert (await there.slots()).free == 4
        await drawn(there, draw())


async def test_one_that_is_lost_does_not_spoil_the_others() -> None:
    """The batch goes on to its end, and only then is it lost."""
    double = ImagesDouble(answers=[DOWN])
    async with engine(double) as there:
        events, _ = await lost(there, *(draw(name=name) for name in "abc"))
    assert len([event for event in events if isinstance(event, ImageDone)]) == 2


async def test_a_server_that_is_not_there_takes_nothing() -> None:
    """It is no fault of the picture, which waits."""
    there = ImagesApiEngine("flat", "http://127.0.0.1:9/v1", None)
    slots = await there.slots()
    assert (slots.slots, slots.trouble) == (0, None)
    _, loss = await lost(there)
    assert not loss.started
    await there.close()


async def test_a_refused_key_is_reported_and_ends_the_line() -> None:
    """The sentence names the variable; after a while it is tried again."""
    double = ImagesDouble(models=error("Incorrect API key provided", 401, code="invalid_api_key"))
    async with engine(double) as there:
        assert "IMAGES_API_KEY" in str((await there.slots()).trouble)
    double = ImagesDouble(answers=[error("Your organization must be verified", 403)])
    async with engine(double, key=None) as there:
        now = 0.0
        there.health.clock = lambda: now
        assert (await there.slots()).trouble is None
        assert "IMAGES_API_KEY" in await refused(there)
        assert "IMAGES_API_KEY" in str((await there.slots()).trouble)
        now = 61.0
        assert (await there.slots()).trouble is None


async def test_a_key_that_may_not_list_models_may_draw() -> None:
    """Restricted keys are refused there, and nothing is said by it about pictures."""
    double = ImagesDouble(models=error("Missing scopes: api.model.read", 401))
    async with engine(double) as there:
        assert (await there.slots()).free == 4


async def test_a_busy_server_is_asked_again() -> None:
    """As late as it asks for, if that is not too late; a used-up account is said at once."""
    busy = error("Slow down.", 429, retry_after="0")
    double = ImagesDouble(answers=[busy, busy])
    async with engine(double) as there:
        await drawn(there, draw())
        double.answers = [error("Slow down.", 429, retry_after="3600")]
        assert "Try again later" in await refused(there)
        double.answers = [error("You exceeded your quota.", 429, code="insufficient_quota")]
        assert "no credit left" in await refused(there)
        double.answers = [busy] * 9
        assert "Try again later" in await refused(there)
    assert len(double.asked) == 3 + 1 + 1 + 4


async def test_nothing_secret_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Neither key nor prompt, not even where the server repeats them; the server's code and status are."""
    caplog.set_level(logging.DEBUG, logger="render")
    refusal = error(f"No {PROMPT} for {KEY}.", 400, code="moderation_blocked", param=PROMPT)
    double = ImagesDouble(answers=[refusal, error(f"{KEY} {PROMPT}", 418), error(PROMPT, 500)])
    async with engine(double) as there:
        reasons = await refused(there) + await refused(there)
        _, loss = await lost(there)
    assert "moderation_blocked" in caplog.text
    for text in (caplog.text, reasons, str(loss)):
        assert KEY not in text and "lighthouse" not in text


async def test_the_line_draws_with_it(store: Store, files: PictureFiles) -> None:
    """A picture comes through previews to a file and a row; one that is refused ends with its sentence."""
    async with engine(ImagesDouble()) as there, serving(store, files, there) as line:
        updates = await collect(line, job(store))
        rendered = updates[-1]
        assert isinstance(rendered, Rendered) and files.read(rendered.picture.digest).startswith(b"\x89PNG")
        assert rendered.picture.model == "flat"
        assert [update.preview is not None for update in updates if isinstance(update, Rendering)].count(True) == 2
    double = ImagesDouble(answers=[error("No.", code="content_policy_violation")])
    async with engine(double) as there, serving(store, files, there) as line:
        last = (await collect(line, job(store, 1)))[-1]
    assert isinstance(last, Failed) and "safety system" in str(last.reason)


async def test_a_broken_server_gets_the_job_again(store: Store, files: PictureFiles) -> None:
    """Only the queue tries again: after the pause, and when the server is there."""
    double = ImagesDouble(answers=[DOWN])
    async with engine(double) as there:
        there.health.clock = lambda: 100 * time.monotonic()  # so that nobody waits for the pause
        async with serving(store, files, there) as line:
            assert isinstance((await collect(line, job(store)))[-1], Rendered)
    assert len(double.asked) == 2
