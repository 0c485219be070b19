"""A database that version 0.1.0 wrote: it opens, and its open replies finish with the right images."""

import sqlite3
from pathlib import Path

import pytest

from bot.domain import (
    Action,
    Button,
    Failed,
    ImageRequest,
    Operation,
    Picture,
    PicturePart,
    Rendered,
    Sampling,
    TextPart,
    View,
)
from bot.storage.store import Store
from tests.support.conversation import running
from tests.support.doubles import ANN, THREAD, ScriptedModel
from tests.support.records import KnowingRenderer, come, commands_of, failures, press, recorded

RECORDED = Path(__file__).parents[3] / "data" / "recorded" / "database-0.1.0.sql"
OPEN = ("m2", "w1", "e1", "m3")
CAT = Sampling(seed=7, aspect_ratio="3:2", negative_prompt="dogs", model="deep")
SUN = Picture(
    2, f"{2:064x}", 256, 256, "a sun", ImageRequest(0, Operation.GENERATE, "a sun", sampling=Sampling(seed=288545018)),
    model="flat", refined_prompt="a bright sun over hills", edit_method="from text",
)  # fmt: skip


@pytest.fixture
def old_store(tmp_path: Path) -> Store:
    """The store of the recorded database."""
    with sqlite3.connect(tmp_path / "old.sqlite") as db:
        db.executescript(RECORDED.read_text("utf-8"))
    db.close()
    return Store(tmp_path / "old.sqlite")


def test_the_final_reply_is_as_it_was(old_store: Store) -> None:
    """Its view has the finished image with its request, and the failure."""
    entry = old_store.entry("m1")
    assert entry and entry.view == View(
        (
            TextPart("A sun: "),
            PicturePart(0, 2, Operation.GENERATE, "a sun", Rendered(SUN)),
            TextPart(" and "),
            PicturePart(1, 3, Operation.GENERATE, "a gun", Failed("The server refused.")),
        ),
        buttons=(Button(Action.VARY, "Vary", "2"), Button(Action.RETRY, "Retry", "m1")),
        final=True,
    )
    assert [picture.number for picture in entry.uploads] == [1]


async def test_open_replies_finish(old_store: Store) -> None:
    """Jobs that waited or ran are rendered with all their options; jobs that had ended are not rendered again."""
    assert [entry.id for entry in old_store.open_entries()] == list(OPEN)
    old_store.jobs.recover()
    renderer, model = KnowingRenderer(store=old_store), ScriptedModel([["Red: <edit>a red sun</edit>"]])
    async with running(old_store, model, renderer, commands=commands_of(old_store)):
        views = {message_id: await recorded(old_store, message_id) for message_id in OPEN}
    assert {message_id: come(view) for message_id, view in views.items()} == {
        "m2": [4, 5, 6], "w1": [8, 9], "e1": [10], "m3": [11],
    }  # fmt: skip
    assert failures(views["m2"]) == [Failed("The server refused.")]
    requests = {job.id: job.request for job in renderer.jobs}
    region_edit = ImageRequest(
        0, Operation.EDIT, "a red sun", 2, "large", "0,0 50,0 50,50",
        Sampling(seed=9, negative_prompt="clouds", model="flat"),
    )  # fmt: skip
    assert requests == {
        "m2.1": ImageRequest(1, Operation.EDIT, "a red sun", 2, "small", sampling=Sampling(seed=288545018)),
        "m2.2": ImageRequest(
            2, Operation.GENERATE, "a star", sampling=Sampling(seed=1722851096, aspect_ratio="2:3", model="deep")
        ),
        "w1.0": ImageRequest(0, Operation.GENERATE, "a cat", sampling=CAT),
        "w1.1": ImageRequest(
            1, Operation.GENERATE, "a cat", sampling=Sampling(8, CAT.aspect_ratio, CAT.negative_prompt, CAT.model)
        ),
        "e1.0": region_edit,
        "m3.0": ImageRequest(
            0, Operation.EDIT, "a red sun", 2, region="0,0 40,0 40,40", sampling=Sampling(seed=288545018)
        ),
    }
    assert {picture.number: picture.request for picture in old_store.pictures(THREAD)}[10] == region_edit


async def test_an_image_of_the_old_version_is_requested_again(old_store: Store) -> None:
    """Redo uses the request of its job, which has more options than the old record of the image."""
    old_store.jobs.cancel_all("m2", "stopped")
    renderer = KnowingRenderer(store=old_store)
    model = ScriptedModel([["Red."]])
    async with running(old_store, model, renderer, commands=commands_of(old_store)) as (inbox, screen, _):
        for message_id in OPEN:
            await recorded(old_store, message_id)
        await inbox.accept(press(Action.REDO, "2", ANN))
        await screen.final("redo-2-1")
    request = renderer.jobs[-1].request
    assert (request.prompt, request.sampling.aspect_ratio) == ("a sun", "16:9")
    assert request.sampling.seed != SUN.request.sampling.seed
