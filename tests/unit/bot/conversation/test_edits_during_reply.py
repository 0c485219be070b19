"""What comes after a reply, or into it: deleting, editing, stopping and forgetting at an awkward moment."""

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
    Door,
    Shelf,
    buttons,
    choose,
    come,
    command,
    desk_of,
    failures,
    press,
    recorded,
    upload,
)

GONE = Failed("Deleted by Ann.", again=False)
SUN = "<image>a sun</image>"
TWO = f"{SUN} and <image>a moon</image>"


async def told(inbox: Dispatcher, screen: Screen, store: Store, text: str, message_id: str) -> View:
    """Say something, and wait until the reply is on record."""
    await inbox.accept(message(message_id, text))
    await screen.final(message_id)
    return await recorded(store, message_id)


def entry_of(store: Store, message_id: str) -> Entry:
    """A message that is on record, with its reply in English."""
    entry = store.entry(message_id)
    assert entry
    return replace(entry, view=entry.view and localized(entry.view, "en"))


@dataclass
class Slow(Screen):
    """A screen on which views with one deleted picture take until `go`."""

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


async def test_a_picture_is_deleted_while_the_last_view_is_put_on_the_screen(store: Store) -> None:
    """It is on record without it, and the screen is mended."""
    door = Door()
    async with running(store, ScriptedModel([[TWO]]), screen=door) as (inbox, screen, _):
        await inbox.accept(message("m1", "draw"))
        await door.waiting.wait()
        await inbox.accept(press(Action.DELETE, "1"))
        door.open.set()
        final = await recorded(store, "m1")
        assert (come(final), failures(final)) == ([2], [GONE])
        await screen.until("m1", lambda shown: shown == final)


async def test_of_two_deletions_the_later_view_is_shown_last(store: Store) -> None:
    """However long the platform takes for the first."""
    slow = Slow()
    async with running(store, ScriptedModel([[TWO]]), screen=slow) as (inbox, screen, _):
        await told(inbox, screen, store, "draw", "m1")
        await inbox.accept(press(Action.DELETE, "1"))
        await slow.held.wait()
        await inbox.accept(press(Action.DELETE, "2"))
        slow.go.set()
        assert [come(await screen.final("m1", count)) for count in (2, 3)] == [[2], []]


async def test_a_deletion_is_shown_when_the_platform_is_back(store: Store) -> None:
    """One refused write is not the end of it."""
    async with running(store, ScriptedModel([[TWO]])) as (inbox, screen, _):
        await told(inbox, screen, store, "draw", "m1")
        screen.faults = 1
        await inbox.accept(press(Action.DELETE, "1"))
        final = await screen.final("m1", 2)
        assert entry_of(store, "m1").view == final
    assert (come(final), screen.faults) == ([2], 0)


async def test_a_second_delete_is_silent(store: Store) -> None:
    """Whoever presses it: there is nothing to be refused any more, and nothing is shown or thrown away again."""
    shelf = Shelf()
    async with running(store, ScriptedModel([[SUN], ["hi"]]), album=shelf) as (inbox, screen, _):
        await told(inbox, screen, store, "draw", "m1")
        await inbox.accept(press(Action.DELETE, "1", BOB))
        final = await screen.final("m1", 2)
        for again in (press(Action.DELETE, "1"), press(Action.DELETE, "1", CID, nth=2)):
            assert await inbox.accept(again) == again.id
        await told(inbox, screen, store, "hello", "m2")
        assert entry_of(store, "m1").view == screen.views["m1"][-1] == final
    assert failures(final) == [Failed("Deleted by Bob.", again=False)]
    assert len(shelf.thrown) == 1 and sum(shown.final for shown in screen.views["m1"]) == 2


async def test_the_number_of_a_deleted_picture_stays_taken(store: Store) -> None:
    """Of an upload as well, which no job holds; it is on record that there was one."""
    async with running(store, ScriptedModel([["A cat."], [SUN]]), album=Shelf()) as (inbox, screen, _):
        await inbox.accept(upload("m1"))
        await recorded(store, "m1")
        await inbox.accept(press(Action.DELETE, "1"))
        assert (store.deleted_numbers(THREAD), store.pictures(THREAD), store.picture(THREAD, 1)) == ([1], [], None)
        assert come(await told(inbox, screen, store, "a sun", "m2")) == [2]
    assert store.deleted_numbers(THREAD) == [1] and not store.knows_picture("")


async def test_what_is_made_of_a_picture_that_goes_in_the_same_answer_fails(store: Store) -> None:
    """An edit and a choice of it, though the chat model wrote them without knowing."""
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


async def test_of_the_only_picture_that_was_deleted_no_edit_is_drawn(store: Store) -> None:
    """The thread has no other; the sentence says why."""
    model = ScriptedModel([[SUN], ['<edit of="1">a red sun</edit>']])
    async with running(store, model) as (inbox, screen, renderer):
        await told(inbox, screen, store, "draw", "m1")
        await inbox.accept(press(Action.DELETE, "1"))
        final = await told(inbox, screen, store, "make it red", "m2")
    assert [failed.reason for failed in failures(final)] == ["Image #1 was deleted, so there is nothing to start from."]
    assert not come(final) and len(renderer.jobs) == 1


async def test_a_file_that_cannot_be_deleted_is_told_in_the_log(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """The picture is out of the record and off the screen all the same."""
    async with running(store, ScriptedModel([[TWO]]), album=Shelf(stuck=True)) as (inbox, screen, _):
        await told(inbox, screen, store, "draw", "m1")
        gone = press(Action.DELETE, "1")
        assert await inbox.accept(gone) == gone.id
        assert come(await screen.final("m1", 2)) == [2]
    assert store.deleted_numbers(THREAD) == [1]
    assert f"the file of picture {1:064x} cannot be deleted: Input/output error" in caplog.text


async def test_deleting_does_not_give_pictures_back(store: Store) -> None:
    """What was drawn was drawn: it counts as used, and so does its work."""
    async with running(store, ScriptedModel([[TWO]])) as (inbox, screen, _):
        await told(inbox, screen, store, "draw", "m1")
        before = (await inbox.run_command(command("usage"))).text
        served = store.jobs.recent_charges(1000)
        await inbox.accept(press(Action.DELETE, "1"))
        assert (await inbox.run_command(command("usage"))).text == before
        assert "2 images" in str(before) and store.jobs.recent_charges(1000) == served


@pytest.mark.parametrize("number", ["9" * 30, f"{2**63}", "10" * 2_000])
async def test_a_number_beyond_all_numbers_is_not_there(store: Store, number: str) -> None:
    """It is told in short, for buttons and commands."""
    async with running(store, ScriptedModel([[TWO]])) as (inbox, screen, _):
        await told(inbox, screen, store, "draw", "m1")
        for action in (Action.DELETE, Action.VARY, Action.REDO):
            with pytest.raises(NotFound) as missing:
                await inbox.accept(press(action, number))
            assert str(missing.value) == f"This thread has no image #{number[:9]}."
        with pytest.raises(NotFound):
            await inbox.run_command(command("details", picture=number))


# Edited, stopped


async def test_a_question_that_changes_before_its_turn_is_answered_as_it_is_now(store: Store) -> None:
    """Its answer is to the new words: nothing is offered."""
    model = ScriptedModel([["one", None], ["two"]])
    async with running(store, model) as (inbox, screen, _):
        await inbox.accept(message("m1", "one?"))
        await inbox.accept(message("m2", "two?"))
        await model.waiting.wait()
        await inbox.accept(MessageEdited("m2", THREAD, "three?"))
        model.go.set()
        final = await screen.final("m2")
        assert await recorded(store, "m2") == final
    assert model.heard[1][-1].text.endswith("three?")
    assert (final.parts, final.status, buttons(final)) == ((TextPart("two"),), "", set())
    assert not entry_of(store, "m2").is_edited


async def test_a_question_may_not_grow_beyond_what_a_message_may_be(store: Store) -> None:
    """It stays as it was; one that is just as long as may be is taken."""
    async with running(store, ScriptedModel([["hi"]])) as (inbox, screen, _):
        await told(inbox, screen, store, "hello", "m1")
        await inbox.accept(MessageEdited("m1", THREAD, "x" * 8_001))
        assert (entry_of(store, "m1").text, entry_of(store, "m1").is_edited) == ("hello", False)
        await inbox.accept(MessageEdited("m1", THREAD, "x" * 8_000))
        assert entry_of(store, "m1").is_edited


async def test_a_reply_that_waits_is_stopped_while_the_platform_is_away(store: Store) -> None:
    """It is shown when the platform is back, and nobody else's reply suffers."""
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


async def test_what_ends_already_is_not_cancelled_twice(store: Store) -> None:
    """The second command finds nothing, though the first's end is not on record yet."""
    model = ScriptedModel([["one", None]])
    async with running(store, model) as (inbox, screen, _):
        await inbox.accept(message("m1", "one"))
        await model.waiting.wait()
        told_first = (await inbox.run_command(command("cancel"))).text
        assert entry_of(store, "m1").view is None
        assert (told_first, (await inbox.run_command(command("cancel"))).text) == (
            "1 answer cancelled.",
            "Nothing is in progress here.",
        )
        assert (await screen.final("m1")).status == "Cancelled by Ann."


# Forgotten, and told


async def test_files_that_stay_are_told_of_when_a_thread_is_forgotten(store: Store) -> None:
    """The record is empty all the same."""
    async with running(store, ScriptedModel([[TWO]]), album=Shelf(stuck=True)) as (inbox, screen, _):
        await told(inbox, screen, store, "draw", "m1")
        answer = await inbox.run_command(command("forget"))
        assert answer.text == (
            "Deleted from this thread: 1 message and 2 images. 2 files could not be deleted."
            " The operator finds the reason in the log."
        )
    assert not store.entries(THREAD) and not store.pictures(THREAD)


async def test_a_thread_is_forgotten_with_what_was_chosen_for_it(store: Store) -> None:
    """A person's own choices hold on, and so do those of the channel."""
    desk = desk_of(store)
    for scope, key, value in (("thread", "persona", "A secret."), ("me", "ratio", "3:2"), ("channel", "count", "2")):
        choose(desk, scope, key, value, BOB)
    async with running(store, ScriptedModel([[SUN]]), desk=desk) as (inbox, screen, _):
        await told(inbox, screen, store, "draw", "m1")
        await inbox.accept(press(Action.DELETE, "1"))
        assert str((await inbox.run_command(command("forget", BOB))).text).startswith(
            "Deleted from this thread: 1 message and 0 images"
        )
        held = inbox.settings(THREAD, BOB)
    assert (held.persona, held.ratio, held.count) == ("", "3:2", 2)
    assert store.deleted_numbers(THREAD) == []


def test_who_goes_by_the_same_id_on_another_platform_is_somebody_else(store: Store) -> None:
    """Their pictures are not told as one's own."""
    there = replace(THREAD, platform="web")
    theirs = QueuedJob("j", there, 4, Operation.GENERATE, ANN.id, "m", False, 0.0, 0, None, 1.0)
    desk = SlashCommands(store, queue_status=lambda: QueueStatus((theirs,)))
    assert "yours" not in str(desk.answer(command("queue")).text)
    assert "- Your image #4: next" in str(desk.answer(command("queue", ANN, there)).text)
