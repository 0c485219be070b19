"""Stopping replies and cancelling images: buttons, a deleted message, another process."""

import asyncio
from pathlib import Path

import pytest

from bot.domain import (
    Action,
    Button,
    ButtonPress,
    Failed,
    ImageRequest,
    MessageDeleted,
    Operation,
    PicturePart,
    Rendered,
    TextPart,
)
from bot.errors import NotFound, Refused
from bot.notices import notice
from bot.storage.store import Store
from tests.support.conversation import running
from tests.support.doubles import ANN, BOB, CID, THREAD, InstantRenderer, ScriptedModel, claimed, message

TWO = "<image>a sun</image> and <image>a moon</image>"


async def test_one_image_of_a_reply_is_cancelled_alone(store: Store) -> None:
    """Each unfinished image has its button; the text and the other image go on."""
    renderer = InstantRenderer(held={"a sun", "a moon"})
    async with running(store, ScriptedModel([[TWO]]), renderer) as (inbox, screen, _):
        await inbox.accept(message("m1", "draw both"))
        shown = await screen.until("m1", lambda view: len(view.buttons) == 3)
        assert shown.buttons[:2] == (
            Button(Action.CANCEL, "Cancel #1", "m1.0"),
            Button(Action.CANCEL, "Cancel #2", "m1.1"),
        )
        await inbox.accept(ButtonPress("b1", THREAD, ANN, Action.CANCEL, "m1.0"))
        assert renderer.cancels == [("m1.0", notice("cancelled-by", name="Ann"))]
        renderer.go.set()
        await screen.final("m1")


async def test_only_the_author_and_managers_stop_a_reply(store: Store) -> None:
    """Other users get a sentence that names the author; nothing happens."""
    renderer = InstantRenderer(held={"a sun", "a moon"})
    async with running(store, ScriptedModel([[TWO]]), renderer) as (inbox, screen, _):
        await inbox.accept(message("m1", "draw both"))
        await screen.until("m1", lambda view: len(view.buttons) == 3)
        for action, target in ((Action.STOP, "m1"), (Action.CANCEL, "m1.0")):
            with pytest.raises(Refused, match=r"Only Ann and managers can do this\."):
                await inbox.accept(ButtonPress("b1", THREAD, CID, action, target))
        assert not renderer.cancels
        await inbox.accept(ButtonPress("b2", THREAD, BOB, Action.STOP, "m1"))
        assert (await screen.final("m1")).status == "Stopped by Bob."


async def test_an_image_of_another_thread_cannot_be_cancelled(store: Store) -> None:
    """A job is reached only from its own thread."""
    async with running(store, ScriptedModel([])) as (inbox, _, _):
        with pytest.raises(NotFound):
            await inbox.accept(ButtonPress("b1", THREAD, BOB, Action.CANCEL, "m9.0"))


async def test_a_deleted_message_stops_its_reply(store: Store) -> None:
    """The reply ends with the reason, running or waiting; other replies are not touched."""
    renderer = InstantRenderer(held={"a sun"})
    async with running(store, ScriptedModel([["<image>a sun</image>"]]), renderer) as (inbox, screen, _):
        await inbox.accept(message("m1", "draw"))
        await inbox.accept(message("m2", "draw another"))
        await renderer.waiting.wait()
        await inbox.accept(MessageDeleted("m2", THREAD))
        await inbox.accept(MessageDeleted("m1", THREAD))
        await inbox.accept(MessageDeleted("m9", THREAD))
        ends = await asyncio.gather(screen.final("m1"), screen.final("m2"))
    assert [end.status for end in ends] == ["The message was deleted."] * 2
    assert len(renderer.cancelled) == 1
    assert store.jobs.unfinished() == []


async def test_a_reply_that_another_process_reopened_is_resumed(store: Store, tmp_path: Path) -> None:
    """A failed job that an operator queues again is rendered without a restart of the bot."""
    renderer = InstantRenderer(refused={"a sun": "It broke."})
    async with running(store, ScriptedModel([["<image>a sun</image>"]]), renderer) as (inbox, screen, _):
        await inbox.accept(message("m1", "draw"))
        part = (await screen.final("m1")).parts[0]
        assert isinstance(part, PicturePart) and part.state == Failed("It broke.")
        renderer.refused.clear()
        while not ((entry := store.entry("m1")) and entry.view):
            await asyncio.sleep(0)
        other = Store(tmp_path / "test.sqlite")
        other.reopen("m1")
        other.close()
        part = (await screen.final("m1", 2)).parts[0]
    assert not isinstance(part, TextPart) and isinstance(part.state, Rendered)


def test_a_claim_takes_only_waiting_jobs(store: Store) -> None:
    """A job that was cancelled between the decision and the claim does not run."""
    store.accept(message("m1", "draw"))
    sun, moon = (store.jobs.order("m1", ImageRequest(key, Operation.GENERATE, "x"), None) for key in (0, 1))
    assert store.jobs.cancel(sun.id, "Cancelled by Ann.")
    assert not store.jobs.cancel(sun.id, "Cancelled by Ann.")
    assert store.jobs.claim("b", {sun.id: 1.0, moon.id: 2.0}) == {moon.id: 1}
    assert store.jobs.claim("b", {moon.id: 2.0}) == {}
    store.jobs.recover()
    assert claimed(store, moon).attempt == 2
