"""Edited messages and forgotten threads."""

import asyncio
from dataclasses import replace

import pytest

from bot.conversation.dispatcher import Dispatcher
from bot.conversation.reply import offer_retry
from bot.domain import (
    Action,
    Button,
    Entry,
    Failed,
    MessageEdited,
    Post,
    TextPart,
    View,
)
from bot.errors import Refused
from bot.i18n import localized
from bot.notices import notice
from bot.settings.values import Scope
from bot.storage.store import Store
from tests.support.conversation import running
from tests.support.doubles import ANN, BOB, CID, THREAD, Screen, ScriptedModel, message
from tests.support.records import OTHER, Shelf, choose, come, command, commands_of, press, recorded

GONE = Failed("Deleted by Ann.", again=False)
TWO = "<image>a sun</image> and <image>a moon</image>"
ONE = f"{1:064x}"  # the digest of picture #1


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


def test_an_edited_message_offers_to_answer_again() -> None:
    """Below the other buttons, once after any number of edits."""
    vary, retry = Button(Action.VARY, "Vary #1", "1"), Button(Action.RETRY, "Retry", "m1")
    offered = offer_retry(View((TextPart("hi"),), "It broke.", (retry, vary), True), "m1")
    assert offered.buttons == (vary, Button(Action.RETRY, notice("button-answer-again"), "m1"))
    assert (offered.parts, offered.status, offered.final) == (
        (TextPart("hi"),), notice("message-edited"), True,
    )  # fmt: skip
    assert offer_retry(offered, "m1") == offered


async def test_an_edited_message_is_answered_again_on_demand(store: Store) -> None:
    """The answer stays until the button is pressed; the model then gets the new text."""
    model = ScriptedModel([["a dog"], ["a cat"]])
    async with running(store, model) as (inbox, screen, _):
        await send(inbox, screen, store, "what is a dog?", "m1")
        assert await inbox.accept(MessageEdited("m1", THREAD, " what is a cat? ")) == "m1"
        offered = await screen.final("m1", 2)
        assert offered.parts == (TextPart("a dog"),)
        assert offered.status == "The message was edited after this answer."
        assert offered.buttons == (Button(Action.RETRY, "Answer again", "m1"),)
        assert entry_of(store, "m1").view == offered and len(model.received) == 1
        await inbox.accept(press(Action.RETRY, "m1"))
        final = await screen.final("m1", 3)
        assert await recorded(store, "m1") == final
    assert (final.parts, final.status, final.buttons) == ((TextPart("a cat"),), "", ())
    assert model.received[1][-1].text.endswith("what is a cat?")
    entry = entry_of(store, "m1")
    assert (entry.text, entry.raw_answer, entry.is_edited) == ("what is a cat?", "a cat", False)


async def test_an_edit_during_the_answer_offers_to_answer_again_at_the_end(store: Store) -> None:
    """The answer to the old text is completed first."""
    model = ScriptedModel([["a ", None, "dog"], ["a cat"]])
    async with running(store, model) as (inbox, screen, _):
        await inbox.accept(message("m1", "what is a dog?"))
        await model.waiting.wait()
        await inbox.accept(MessageEdited("m1", THREAD, "what is a cat?"))
        model.go.set()
        assert (await screen.final("m1")).parts == (TextPart("a dog"),)
        assert (await screen.final("m1", 2)).buttons == (Button(Action.RETRY, "Answer again", "m1"),)
        await inbox.accept(press(Action.RETRY, "m1"))
        assert (await screen.final("m1", 3)).parts == (TextPart("a cat"),)
    assert model.received[1][-1].text.endswith("what is a cat?")


async def test_an_edit_without_a_change_has_no_effect(store: Store) -> None:
    """The same text, none, an unknown message, one of another thread, and one of a button."""
    async with running(store, ScriptedModel([["<image>a sun</image>"]])) as (inbox, screen, _):
        await send(inbox, screen, store, "a sun", "m1")
        vary = press(Action.VARY, "1")
        await inbox.accept(vary)
        await screen.final(vary.id)
        await recorded(store, vary.id)
        before = store.entries(THREAD)
        for event in (
            MessageEdited("m1", THREAD, "a sun "),
            MessageEdited("m1", THREAD, "  "),
            MessageEdited("m9", THREAD, "a moon"),
            MessageEdited("m1", OTHER, "a moon"),
            MessageEdited(vary.id, THREAD, "a moon"),
        ):
            assert await inbox.accept(event) == event.id
        await asyncio.sleep(0)
        assert store.entries(THREAD) == before
        assert {name: sum(view.final for view in views) for name, views in screen.views.items()} == {
            "m1": 1,
            vary.id: 1,
        }


async def test_an_edit_survives_a_restart(store: Store) -> None:
    """The button is still offered, and works."""
    async with running(store, ScriptedModel([["a dog"]])) as (inbox, screen, _):
        await send(inbox, screen, store, "a dog?", "m1")
        await inbox.accept(MessageEdited("m1", THREAD, "a cat?"))
    model = ScriptedModel([["a cat"]])
    async with running(store, model) as (inbox, screen, _):
        await inbox.accept(press(Action.RETRY, "m1"))
        assert (await screen.final("m1")).parts == (TextPart("a cat"),)


# Threads forgotten


async def test_a_thread_is_forgotten(store: Store) -> None:
    """Messages, images, jobs, posts and files; other threads keep theirs, and no number is reused."""
    shelf, model = Shelf(), ScriptedModel([[TWO], ["<image>a sun</image>"], ["<image>a star</image>"]])
    async with running(store, model, album=shelf) as (inbox, screen, _):
        await send(inbox, screen, store, "draw both", "m1")
        await inbox.accept(replace(message("m2", "draw"), thread=OTHER))
        await screen.final("m2")
        await recorded(store, "m2")
        for thread, name in ((THREAD, "m1"), (OTHER, "m2")):
            store.posts.save_place(name, "here")
            store.posts.save_post(name, 0, Post(f"p-{name}", 1), thread)
        answer = await inbox.run_command(command("forget"))
        assert answer.text == "Deleted from this thread: 1 message and 2 images."
        assert not store.entries(THREAD) and not store.pictures(THREAD)
        assert shelf.thrown == [f"{2:064x}"]  # the other thread has a #1 of the same content
        assert store.jobs.count_rendered("test/space", 0.0) == 1
        assert (
            store.posts.posts_of("m1") == []
            and store.posts.find_post("p-m1") is None
            and store.posts.reply_place("m1") == ""
        )
        assert store.posts.posts_of("m2") == [Post("p-m2", 1)] and store.posts.reply_place("m2") == "here"
        assert len(store.entries(OTHER)) == len(store.pictures(OTHER)) == 1
        assert all(each.title != "draw both" for each in store.threads("test"))
        assert come(await send(inbox, screen, store, "a star", "m3")) == [3]
    assert all("both" not in message.text for message in model.received[2])


async def test_an_empty_thread_cannot_be_forgotten(store: Store) -> None:
    """The sentence says where to give the command."""
    async with running(store, ScriptedModel([])) as (inbox, _, _):
        with pytest.raises(Refused, match="There is nothing to delete here"):
            await inbox.run_command(command("forget"))


async def test_only_managers_forget_messages_of_others(store: Store) -> None:
    """In a thread with messages of several users."""
    model = ScriptedModel([["one"], ["two"]])
    async with running(store, model) as (inbox, screen, _):
        await send(inbox, screen, store, "hello", "m1")
        await inbox.accept(message("m2", "hello", author=CID))
        await screen.final("m2")
        await recorded(store, "m2")
        for person in (ANN, CID):
            with pytest.raises(Refused, match="Other users wrote in this thread"):
                await inbox.run_command(command("forget", person))
        assert len(store.entries(THREAD)) == 2
        answer = await inbox.run_command(command("forget", BOB))
    assert answer.text == "Deleted from this thread: 2 messages and 0 images."


async def test_a_thread_with_an_open_reply_cannot_be_forgotten(store: Store) -> None:
    """Also by managers; afterwards it can be."""
    model = ScriptedModel([["one", None]])
    async with running(store, model) as (inbox, screen, _):
        await inbox.accept(message("m1", "hello"))
        await model.waiting.wait()
        for person in (ANN, BOB):
            with pytest.raises(Refused, match="I am still working in this thread"):
                await inbox.run_command(command("forget", person))
        model.go.set()
        await screen.final("m1")
        await recorded(store, "m1")
        await inbox.run_command(command("forget"))
    assert store.entries(THREAD) == []


async def test_ones_own_settings_are_forgotten(store: Store) -> None:
    """Settings of other users and of the thread stay, and so do the messages."""
    commands = commands_of(store)
    choose(commands, "me", "aspect_ratio", "3:2")
    choose(commands, "me", "aspect_ratio", "2:1", CID)
    choose(commands, "thread", "images_per_request", "2")
    async with running(store, ScriptedModel([["hi"]]), commands=commands) as (inbox, screen, _):
        await send(inbox, screen, store, "hello", "m1")
        answer = await inbox.run_command(command("forget", what="settings"))
        assert str(answer.text).startswith("Your own settings are deleted")
        assert (inbox.settings(THREAD, ANN).aspect_ratio, inbox.settings(THREAD, ANN).images_per_request) == ("", 2)
        assert inbox.settings(THREAD, CID).aspect_ratio == "2:1"
    assert len(store.entries(THREAD)) == 1
    assert Scope.PERSON not in store.settings.values(THREAD, ANN.id)
