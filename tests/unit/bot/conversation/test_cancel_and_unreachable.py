"""Replies that end early: `/cancel`, removed places, and a surface that is unreachable."""

import asyncio
from dataclasses import replace

import pytest

from bot.conversation.pacer import Pacer
from bot.conversation.reply import Reply
from bot.conversation.running_reply import RunningReply
from bot.domain import (
    Action,
    Failed,
    PlaceRemoved,
    TextPart,
    ThreadKey,
)
from bot.errors import Refused
from bot.storage.store import Store
from tests.support.conversation import running
from tests.support.doubles import ANN, BOB, CID, THREAD, InstantRenderer, Screen, ScriptedModel, message
from tests.support.records import (
    OTHER,
    GatedScreen,
    KnowingRenderer,
    come,
    command,
    failures,
    imagine,
    pictures_of,
    press,
    recorded,
)


async def test_cancel_ends_ones_own_replies_in_this_thread(store: Store) -> None:
    """Running and waiting ones; those of other users go on, and so do one's own in other threads."""
    renderer = InstantRenderer(held={"a sun"})
    model = ScriptedModel([["<image>a sun</image>"], ["<image>a sun</image>"], ["hi Cid"]])
    async with running(store, model, renderer) as (inbox, screen, _):
        await inbox.accept(message("m1", "one"))
        await inbox.accept(message("m2", "two"))
        await inbox.accept(message("m3", "three", author=CID))
        await inbox.accept(replace(message("m4", "four"), thread=OTHER))
        while len(renderer.jobs) < 2:
            await asyncio.sleep(0)
        assert (await inbox.run_command(command("cancel"))).text == "2 answers cancelled."
        ends = [await screen.final(name) for name in ("m1", "m2", "m3")]
        assert [end.status for end in ends] == ["Cancelled by Ann.", "Cancelled by Ann.", ""]
        assert [job.thread for job in renderer.cancelled] == [THREAD]
        assert [row.thread for row in store.jobs.unfinished()] == [OTHER]
        await recorded(store, "m1")
        await recorded(store, "m2")
        assert (await inbox.run_command(command("cancel"))).text == "Nothing is in progress here."
        renderer.go.set()
        assert come(await screen.final("m4")) == [1]


async def test_cancel_applies_to_the_place_where_it_is_given(store: Store) -> None:
    """In a channel to all of its threads; other channels go on."""
    model = ScriptedModel([["one", None] for _ in range(3)])
    async with running(store, model) as (inbox, screen, _):
        for name, thread in (("m1", THREAD), ("m2", OTHER), ("m3", replace(THREAD, channel="2"))):
            await inbox.accept(replace(message(name, "hello"), thread=thread))
        while len(model.received) < 3:
            await asyncio.sleep(0)
        response = await inbox.run_command(command("cancel", ANN, replace(THREAD, thread="")))
        assert response.text == "2 answers cancelled."
        for name in ("m1", "m2"):
            assert (await screen.final(name)).status == "Cancelled by Ann."
        model.go.set()
        assert (await screen.final("m3")).status == ""


async def test_cancelling_a_waiting_imagine_command_cancels_its_images(store: Store) -> None:
    """They were ordered with it."""
    model = ScriptedModel([["one", None]])
    async with running(store, model) as (inbox, screen, _):
        await inbox.accept(message("m1", "hello", author=CID))
        await inbox.accept(imagine("a cat", 2))
        assert len(store.jobs.unfinished()) == 2
        await inbox.run_command(command("cancel"))
        assert (await screen.final("w1")).status == "Cancelled by Ann."
        await recorded(store, "w1")
        assert not store.jobs.unfinished()


async def test_only_managers_cancel_replies_to_others(store: Store) -> None:
    """With `all`; without it a manager cancels nothing of others."""
    model = ScriptedModel([["one", None]])
    async with running(store, model) as (inbox, screen, _):
        await inbox.accept(message("m1", "one"))
        await model.waiting.wait()
        with pytest.raises(Refused, match="Only managers can cancel the requests of other users"):
            await inbox.run_command(command("cancel", CID, whose="all"))
        assert (await inbox.run_command(command("cancel", BOB))).text == "Nothing is in progress here."
        assert (await inbox.run_command(command("cancel", BOB, whose="all"))).text == "1 answer cancelled."
        assert (await screen.final("m1")).status == "Cancelled by Bob."


@pytest.mark.parametrize(
    ("place", "gone"),
    [
        (PlaceRemoved(ThreadKey("test", "space", "", "")), {"m1", "m2", "m3", "m4"}),
        (PlaceRemoved(ThreadKey("test", "space", "channel", "")), {"m1", "m2", "m3"}),
        (PlaceRemoved(THREAD), {"m1", "m2"}),
        (PlaceRemoved(ThreadKey("test", "space", "", "other")), {"m3"}),
        (PlaceRemoved(ThreadKey("test", "elsewhere", "", "")), {"m5"}),
        (PlaceRemoved(ThreadKey("web", "space", "", "")), set()),
    ],
)
async def test_the_replies_in_a_removed_place_are_stopped(store: Store, place: PlaceRemoved, gone: set[str]) -> None:
    """With their images; all other places go on."""
    keys = [THREAD, THREAD, OTHER, replace(THREAD, channel="2"), ThreadKey("test", "elsewhere", "channel", "thread")]
    renderer = KnowingRenderer(held={"a sun"}, store=store)
    model = ScriptedModel([["<image>a sun</image>"] for _ in keys])
    async with running(store, model, renderer) as (inbox, screen, _):
        for nth, key in enumerate(keys, 1):
            await inbox.accept(replace(message(f"m{nth}", "draw"), thread=key))
        while len(renderer.jobs) < 4:
            await asyncio.sleep(0)
        await inbox.accept(place)
        for name in gone:
            assert (await screen.final(name)).status == "The channel or thread does not exist any more."
        left = {f"m{nth}" for nth in range(1, 6)} - gone
        assert {entry.id for entry in store.open_entries()} >= left
        while {row.message for row in store.jobs.unfinished()} & gone:
            await asyncio.sleep(0)
        renderer.go.set()
        for name in left:
            assert (await screen.final(name)).status == ""
    assert {job.id[:2] for job in renderer.cancelled} == gone - {"m2"}


async def test_an_unreachable_reply_is_stopped_at_once(store: Store) -> None:
    """It is tried once; its images are cancelled; it is recorded as final and not resumed."""
    gated, renderer = GatedScreen(shut={"m1"}), InstantRenderer(held={"a sun"})
    gated.open.set()
    model = ScriptedModel([["<image>a sun</image>", None], ["hello"]])
    async with running(store, model, renderer, screen=gated) as (inbox, screen, _):
        await inbox.accept(message("m1", "draw"))
        final = await recorded(store, "m1")
        await inbox.accept(message("m2", "hello"))
        assert (await screen.final("m2")).parts == (TextPart("hello"),)
    assert gated.refused == ["m1"]
    assert final.final and final.status == "The channel is gone."
    assert failures(final) in ([], [Failed("The channel is gone.")])
    assert store.jobs.unfinished() == [] and store.open_entries() == []
    assert len(renderer.cancelled) == len(renderer.jobs)


async def test_a_place_removed_during_rendering_stops_the_reply(store: Store) -> None:
    """The next view finds it unreachable; the running job is cancelled."""
    gated, renderer = GatedScreen(), InstantRenderer(held={"a sun"})
    model = ScriptedModel([["<image>a sun</image>", None, "more", None]])
    async with running(store, model, renderer, screen=gated) as (inbox, screen, _):
        await inbox.accept(message("m1", "draw"))
        await screen.until("m1", lambda view: bool(pictures_of(view)))
        await asyncio.gather(renderer.waiting.wait(), model.waiting.wait())
        gated.shut.add("m1")
        model.go.set()
        final = await recorded(store, "m1")
    assert (final.status, failures(final)) == ("The channel is gone.", [Failed("The channel is gone.")])
    assert gated.refused == ["m1"]
    assert len(renderer.cancelled) == 1
    assert [str(row.reason) for row in store.jobs.find(["m1.0"])] == ["The channel is gone."]


async def test_a_place_removed_at_the_end_is_not_tried_again(store: Store) -> None:
    """The answer is complete and recorded; so is the end of a reply that waited."""
    gated, model = GatedScreen(), ScriptedModel([["one", None, " two"]])
    async with running(store, model, screen=gated) as (inbox, screen, _):
        await inbox.accept(message("m1", "hello"))
        await inbox.accept(message("m2", "hello"))
        await screen.until("m1", lambda view: view.parts == (TextPart("one"),))
        await model.waiting.wait()
        gated.shut |= {"m1", "m2"}
        await inbox.accept(press(Action.STOP, "m2"))
        assert (await recorded(store, "m2")).status == "Stopped by Ann."
        model.go.set()
        final = await recorded(store, "m1")
    assert final.parts == (TextPart("one two"),)
    assert gated.refused.count("m1") == 1 and gated.refused.count("m2") == 1


async def test_a_stopped_running_reply_shows_the_reason() -> None:
    """Its turn is cancelled."""
    closed = asyncio.Event()

    async def endless() -> None:
        """An answer without an end of its own."""
        try:
            live.stop("Enough.")
            await asyncio.Event().wait()
        finally:
            closed.set()

    live = RunningReply(Reply("r"), Pacer(Screen().surface(THREAD, "r")))
    await live.run(endless())
    assert live.reply.final and live.reply.error == live.stop_reason == "Enough."
    assert closed.is_set()
