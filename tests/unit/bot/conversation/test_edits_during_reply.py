"""Deleting, editing, stopping and forgetting during or just after a reply."""

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from bot.commands.slash_commands import SlashCommands
from bot.conversation.dispatcher import Dispatcher
from bot.domain import Action, Entry, Failed, MessageEdited, Operation, TextPart, ThreadKey, View
from bot.errors import NotFound
from bot.i18n import localized
from bot.queue_status import QueuedJob, QueueStatus
from bot.storage.store import Store
from tests.support.conversation import running
from tests.support.doubles import ANN, BOB, CID, THREAD, Screen, ScreenSurface, ScriptedModel, message
from tests.support.records import (
    GatedScreen,
    Shelf,
    buttons,
    choose,
    come,
    command,
    commands_of,
    failures,
    press,
    recorded,
    upload,
)

GONE = Failed("Deleted by Ann.", again=False)
SUN = "<image>a sun</image>"
TWO = f"{SUN} and <image>a moon</image>"


async def send(inbox: Dispatcher, screen: Screen, store: Store, text: str, message_id: str) -> View:
    """Send a message, and wait until the reply is recorded."""
    await inbox.accept(message(message_id, text))
    await screen.final(message_id)
    return await recorded(store, message_id)


def entry_of(store: Store, message_id: str) -> Entry:
    """A recorded message, with its reply in English."""
    entry = store.entry(message_id)
    assert entry
    return replace(entry, view=entry.view and localized(entry.view, "en"))


@dataclass
class Slow(Screen):
    """A screen on which views with one deleted image wait for `go`."""

    held: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    def surface(self, thread: ThreadKey, message_id: str) -> ScreenSurface:
        """Where the reply to a message is shown."""
        return SlowSurface(self, message_id, self)


@dataclass
class SlowSurface(ScreenSurface):
    """One reply on the slow screen."""

    slow: Slow

    async def put(self, view: View) -> None:
        """Remember the view, at last."""
        if len(failures(view)) == 1:
            self.slow.held.set()
            await self.slow.go.wait()
        await ScreenSurface.put(self, view)


# Deleted


async def test_an_image_is_deleted_while_the_final_view_is_displayed(store: Store) -> None:
    """The recorded view has no image, and the display is corrected."""
    gated = GatedScreen()
    async with running(store, ScriptedModel([[TWO]]), screen=gated) as (inbox, screen, _):
        await inbox.accept(message("m1", "draw"))
        await gated.waiting.wait()
        await inbox.accept(press(Action.DELETE, "1"))
        gated.open.set()
        final = await recorded(store, "m1")
        assert (come(final), failures(final)) == ([2], [GONE])
        await screen.until("m1", lambda shown: shown == final)


async def test_the_view_of_the_later_deletion_is_displayed_last(store: Store) -> None:
    """Also if the platform is slow with the first."""
    slow = Slow()
    async with running(store, ScriptedModel([[TWO]]), screen=slow) as (inbox, screen, _):
        await send(inbox, screen, store, "draw", "m1")
        await inbox.accept(press(Action.DELETE, "1"))
        await slow.held.wait()
        await inbox.accept(press(Action.DELETE, "2"))
        slow.go.set()
        assert [come(await screen.final("m1", count)) for count in (2, 3)] == [[2], []]


async def test_a_deletion_is_displayed_after_an_outage(store: Store) -> None:
    """A failed update is repeated."""
    async with running(store, ScriptedModel([[TWO]])) as (inbox, screen, _):
        await send(inbox, screen, store, "draw", "m1")
        screen.faults = 1
        await inbox.accept(press(Action.DELETE, "1"))
        final = await screen.final("m1", 2)
        assert entry_of(store, "m1").view == final
    assert (come(final), screen.faults) == ([2], 0)


async def test_a_second_delete_has_no_effect(store: Store) -> None:
    """For every user: nothing is refused, displayed or deleted again."""
    shelf = Shelf()
    async with running(store, ScriptedModel([[SUN], ["hi"]]), album=shelf) as (inbox, screen, _):
        await send(inbox, screen, store, "draw", "m1")
        await inbox.accept(press(Action.DELETE, "1", BOB))
        final = await screen.final("m1", 2)
        for again in (press(Action.DELETE, "1"), press(Action.DELETE, "1", CID, nth=2)):
            assert await inbox.accept(again) == again.id
        await send(inbox, screen, store, "hello", "m2")
        assert entry_of(store, "m1").view == screen.views["m1"][-1] == final
    assert failures(final) == [Failed("Deleted by Bob.", again=False)]
    assert len(shelf.thrown) == 1 and sum(shown.final for shown in screen.views["m1"]) == 2


async def test_the_number_of_a_deleted_image_is_not_reused(store: Store) -> None:
    """Also that of an upload, which has no job; the database keeps it."""
    async with running(store, ScriptedModel([["A cat."], [SUN]]), album=Shelf()) as (inbox, screen, _):
        await inbox.accept(upload("m1"))
        await recorded(store, "m1")
        await inbox.accept(press(Action.DELETE, "1"))
        assert (store.deleted_numbers(THREAD), store.pictures(THREAD), store.picture(THREAD, 1)) == ([1], [], None)
        assert come(await send(inbox, screen, store, "a sun", "m2")) == [2]
    assert store.deleted_numbers(THREAD) == [1] and not store.knows_picture("")


async def test_requests_for_an_image_deleted_during_the_answer_fail(store: Store) -> None:
    """An edit and a selection of it, which the chat model wrote without knowing."""
    model = ScriptedModel([[SUN, None, '<edit of="1">a red sun</edit><select of="1"/>']])
    async with running(store, model) as (inbox, screen, renderer):
        await inbox.accept(message("m1", "draw"))
        await screen.until("m1", lambda shown: come(shown) == [1])
        await inbox.accept(press(Action.DELETE, "1"))
        model.go.set()
        final = await screen.final("m1")
    reasons = [failed.reason for failed in failures(final)]
    assert reasons[:2] == ["Deleted by Ann.", "Image #1 was deleted, so there is nothing to start from."]
    assert (come(final), len(reasons)) == ([], 3)
    assert [job.request.prompt for job in renderer.jobs] == ["a sun"]


async def test_an_edit_of_the_only_image_fails_after_its_deletion(store: Store) -> None:
    """The thread has no other image; the sentence says why."""
    model = ScriptedModel([[SUN], ['<edit of="1">a red sun</edit>']])
    async with running(store, model) as (inbox, screen, renderer):
        await send(inbox, screen, store, "draw", "m1")
        await inbox.accept(press(Action.DELETE, "1"))
        final = await send(inbox, screen, store, "make it red", "m2")
    assert [failed.reason for failed in failures(final)] == ["Image #1 was deleted, so there is nothing to start from."]
    assert not come(final) and len(renderer.jobs) == 1


async def test_a_file_that_cannot_be_deleted_is_logged(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """The image is removed from the database and the reply all the same."""
    async with running(store, ScriptedModel([[TWO]]), album=Shelf(stuck=True)) as (inbox, screen, _):
        await send(inbox, screen, store, "draw", "m1")
        gone = press(Action.DELETE, "1")
        assert await inbox.accept(gone) == gone.id
        assert come(await screen.final("m1", 2)) == [2]
    assert store.deleted_numbers(THREAD) == [1]
    assert f"the file of picture {1:064x} cannot be deleted: Input/output error" in caplog.text


async def test_a_deleted_image_still_counts_for_the_limit(store: Store) -> None:
    """It was rendered: it counts as used, and so does its cost."""
    async with running(store, ScriptedModel([[TWO]])) as (inbox, screen, _):
        await send(inbox, screen, store, "draw", "m1")
        before = (await inbox.run_command(command("usage"))).text
        served = store.jobs.recent_charges(1000)
        await inbox.accept(press(Action.DELETE, "1"))
        assert (await inbox.run_command(command("usage"))).text == before
        assert "2 images" in str(before) and store.jobs.recent_charges(1000) == served


@pytest.mark.parametrize("number", ["9" * 30, f"{2**63}", "10" * 2_000])
async def test_a_number_that_is_too_large_is_unknown(store: Store, number: str) -> None:
    """Buttons and commands shorten it in their sentence."""
    async with running(store, ScriptedModel([[TWO]])) as (inbox, screen, _):
        await send(inbox, screen, store, "draw", "m1")
        for action in (Action.DELETE, Action.VARY, Action.REDO):
            with pytest.raises(NotFound) as missing:
                await inbox.accept(press(action, number))
            assert str(missing.value) == f"This thread has no image #{number[:9]}."
        with pytest.raises(NotFound):
            await inbox.run_command(command("details", picture=number))


# Edited, stopped


async def test_a_message_edited_before_its_turn_is_answered_in_its_new_form(store: Store) -> None:
    """The answer is to the new text: no button is offered."""
    model = ScriptedModel([["one", None], ["two"]])
    async with running(store, model) as (inbox, screen, _):
        await inbox.accept(message("m1", "one?"))
        await inbox.accept(message("m2", "two?"))
        await model.waiting.wait()
        await inbox.accept(MessageEdited("m2", THREAD, "three?"))
        model.go.set()
        final = await screen.final("m2")
        assert await recorded(store, "m2") == final
    assert model.received[1][-1].text.endswith("three?")
    assert (final.parts, final.status, buttons(final)) == ((TextPart("two"),), "", set())
    assert not entry_of(store, "m2").is_edited


async def test_an_edit_beyond_the_maximum_length_is_ignored(store: Store) -> None:
    """The message stays as it was; the maximum length itself is accepted."""
    async with running(store, ScriptedModel([["hi"]])) as (inbox, screen, _):
        await send(inbox, screen, store, "hello", "m1")
        await inbox.accept(MessageEdited("m1", THREAD, "x" * 8_001))
        assert (entry_of(store, "m1").text, entry_of(store, "m1").is_edited) == ("hello", False)
        await inbox.accept(MessageEdited("m1", THREAD, "x" * 8_000))
        assert entry_of(store, "m1").is_edited


async def test_a_waiting_reply_is_stopped_during_an_outage(store: Store) -> None:
    """It is displayed afterwards, and no other reply is affected."""
    model = ScriptedModel([["one", None]])
    async with running(store, model) as (inbox, screen, _):
        await inbox.accept(message("m1", "one"))
        await inbox.accept(message("m2", "two"))
        await screen.until("m1", lambda shown: shown.parts == (TextPart("one"),))
        await model.waiting.wait()
        screen.faults = 1
        await inbox.accept(press(Action.STOP, "m2"))
        assert (await recorded(store, "m2")).status == "Stopped by Ann."
        assert (await screen.final("m2")).status == "Stopped by Ann."
        model.go.set()
        assert (await screen.final("m1")).parts == (TextPart("one"),)
        assert (await recorded(store, "m1")).status == ""


async def test_an_ending_reply_is_not_cancelled_twice(store: Store) -> None:
    """The second command finds nothing, though the first is not recorded yet."""
    model = ScriptedModel([["one", None]])
    async with running(store, model) as (inbox, screen, _):
        await inbox.accept(message("m1", "one"))
        await model.waiting.wait()
        reported_first = (await inbox.run_command(command("cancel"))).text
        assert entry_of(store, "m1").view is None
        assert (reported_first, (await inbox.run_command(command("cancel"))).text) == (
            "1 answer cancelled.",
            "Nothing is in progress here.",
        )
        assert (await screen.final("m1")).status == "Cancelled by Ann."


# Forgetting


async def test_files_that_could_not_be_deleted_are_reported(store: Store) -> None:
    """The database has nothing of the thread all the same."""
    async with running(store, ScriptedModel([[TWO]]), album=Shelf(stuck=True)) as (inbox, screen, _):
        await send(inbox, screen, store, "draw", "m1")
        answer = await inbox.run_command(command("forget"))
        assert answer.text == (
            "Deleted from this thread: 1 message and 2 images. 2 files could not be deleted."
            " The operator finds the reason in the log."
        )
    assert not store.entries(THREAD) and not store.pictures(THREAD)


async def test_a_thread_is_forgotten_with_its_settings(store: Store) -> None:
    """Settings of a user and of the channel stay."""
    commands = commands_of(store)
    for scope, key, value in (("thread", "persona", "A secret."), ("me", "ratio", "3:2"), ("channel", "count", "2")):
        choose(commands, scope, key, value, BOB)
    async with running(store, ScriptedModel([[SUN]]), commands=commands) as (inbox, screen, _):
        await send(inbox, screen, store, "draw", "m1")
        await inbox.accept(press(Action.DELETE, "1"))
        assert str((await inbox.run_command(command("forget", BOB))).text).startswith(
            "Deleted from this thread: 1 message and 0 images"
        )
        held = inbox.settings(THREAD, BOB)
    assert (held.persona, held.aspect_ratio, held.images_per_request) == ("", "3:2", 2)
    assert store.deleted_numbers(THREAD) == []


def test_a_user_with_the_same_id_on_another_platform_is_another_user(store: Store) -> None:
    """Their images are not shown as one's own."""
    there = replace(THREAD, platform="web")
    theirs = QueuedJob("j", there, 4, Operation.GENERATE, ANN.id, "m", False, 0.0, 0, None, 1.0)
    commands = SlashCommands(store, queue_status=lambda: QueueStatus((theirs,)))
    assert "yours" not in str(commands.answer(command("queue")).text)
    assert "- Your image #4: next" in str(commands.answer(command("queue", ANN, there)).text)
