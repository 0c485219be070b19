"""The limits in the running bot: no event exceeds them, and images that failed do not count."""

import asyncio
import sqlite3
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from bot.commands.slash_commands import SlashCommands
from bot.domain import Action, Message, Person, PicturePart, Rendered, ThreadKey, View
from bot.errors import Refused
from bot.formatting import replace_time_markers
from bot.storage.store import Store
from bot.storage.usage import DAY
from tests.support.conversation import running
from tests.support.doubles import ANN, BOB, CID, THREAD, InstantRenderer, ScriptedModel, message
from tests.support.records import (
    KnowingRenderer,
    Shelf,
    choose,
    come,
    command,
    commands_of,
    failures,
    imagine,
    press,
    recorded,
)

CAT = ["<image>a cat</image>"]
MANY = 20


def commands_with_limits(store: Store, **limits: int) -> SlashCommands:
    """Commands of a server for which a manager chose these limits."""
    commands = commands_of(store)
    for key, value in limits.items():
        choose(commands, "server", key, str(value), BOB)
    return commands


def message_in_own_thread(nth: int, author: Person = ANN) -> Message:
    """A message in a thread of its own."""
    return replace(message(f"m{nth}", "draw a cat", author=author), thread=replace(THREAD, thread=f"t{nth}"))


def used(store: Store, person: Person = ANN) -> int:
    """How many images of the day a user has had."""
    return store.jobs.usage_today(THREAD, person.id).by_user


def reasons(views: Iterable[View]) -> list[str]:
    """Why images of several replies failed."""
    return [str(failed.reason) for view in views for failed in failures(view)]


# However they are asked for


@pytest.mark.parametrize("apart", [True, False])
async def test_twenty_messages_at_once_do_not_exceed_the_limit(store: Store, apart: bool) -> None:
    """In separate threads or in one; the others say when the next image is free."""
    async with running(store, ScriptedModel([CAT] * MANY), commands=commands_with_limits(store, daily=5)) as (
        inbox,
        screen,
        renderer,
    ):
        asked = [message_in_own_thread(nth) if apart else message(f"m{nth}", "draw a cat") for nth in range(MANY)]
        await asyncio.gather(*map(inbox.accept, asked))
        views = [await screen.final(each.id) for each in asked]
    assert len(renderer.jobs) == sum(len(come(view)) for view in views) == used(store) == 5
    sentence = "Your limit is 5 images a day. The next one is free in about 24 hr."
    assert {replace_time_markers(reason) for reason in reasons(views)} == {sentence}


async def test_many_users_at_once_do_not_exceed_the_limit_of_the_server(store: Store) -> None:
    """Another server has its own limit."""
    commands = commands_with_limits(store, server_daily=5)
    async with running(store, ScriptedModel([CAT] * (MANY + 1)), commands=commands) as (inbox, screen, renderer):
        asked = [message_in_own_thread(nth, Person(f"p{nth}", "P")) for nth in range(MANY)]
        await asyncio.gather(*map(inbox.accept, asked))
        views = [await screen.final(each.id) for each in asked]
        assert len(renderer.jobs) == 5
        assert all(reason.startswith("This server's limit is 5") for reason in reasons(views))
        await inbox.accept(replace(message("else", "draw"), thread=replace(THREAD, space="space2")))
        assert come(await screen.final("else")) == [1]


async def test_a_user_has_a_maximum_of_unfinished_images(store: Store) -> None:
    """Other users have their own; when one is done, the next can be requested."""
    commands, renderer = commands_with_limits(store, at_once=2), InstantRenderer(held={"a cat"})
    async with running(store, ScriptedModel([CAT] * (MANY + 2)), renderer, commands=commands) as (inbox, screen, _):
        asked = [message_in_own_thread(nth) for nth in range(MANY)]
        await asyncio.gather(*map(inbox.accept, asked))
        for nth in range(2, MANY):
            assert len(failures(await screen.final(f"m{nth}"))) == 1
        await inbox.accept(message_in_own_thread(MANY, CID))
        while len(renderer.jobs) < 3:
            await asyncio.sleep(0)
        assert sorted(job.owner for job in renderer.jobs) == ["ann", "ann", "cid"]
        with pytest.raises(Refused, match="You have 2 images in progress, and your limit is 2 at a time"):
            await inbox.accept(imagine("a cat", 1))
        renderer.go.set()
        for nth in (0, 1):
            await screen.final(f"m{nth}")
            await recorded(store, f"m{nth}")
        await inbox.accept(message_in_own_thread(MANY + 1))
        assert len(come(await screen.final(f"m{MANY + 1}"))) == 1


async def test_imagine_and_buttons_count_like_messages(store: Store) -> None:
    """`/imagine` is accepted as a whole or not at all; Vary and Redo are refused if nothing is left."""
    async with running(store, ScriptedModel([]), commands=commands_with_limits(store, daily=5)) as (
        inbox,
        screen,
        renderer,
    ):
        results = await asyncio.gather(
            *(inbox.accept(imagine("a cat", 2, f"w{nth}")) for nth in range(MANY)), return_exceptions=True
        )
        assert [isinstance(each, Refused) for each in results] == [False] * 2 + [True] * (MANY - 2)
        assert "You can ask for 1 more now." in str(results[2])
        await screen.final("w1")
        await inbox.accept(press(Action.VARY, "1"))
        for action in (Action.VARY, Action.REDO):
            with pytest.raises(Refused, match="The next one is free"):
                await inbox.accept(press(action, "1", nth=2))
        await screen.final("vary-1-1")
    assert len(renderer.jobs) == used(store) == 5


async def test_one_answer_gets_as_many_images_as_are_left(store: Store) -> None:
    """The first ones, in the order of the requests."""
    async with running(store, ScriptedModel([CAT * 4]), commands=commands_with_limits(store, daily=3)) as (
        inbox,
        screen,
        _,
    ):
        await inbox.accept(message("m1", "draw"))
        view = await screen.final("m1")
    states = [isinstance(part.state, Rendered) for part in view.parts if isinstance(part, PicturePart)]
    assert states == [True, True, True, False]


# What counts


async def test_a_failed_or_cancelled_image_does_not_count(store: Store) -> None:
    """Whether it was cancelled alone or with its reply."""
    renderer = InstantRenderer(refused={"a dog": "It broke."}, held={"a cow"})
    model = ScriptedModel([["<image>a dog</image>"], ["<image>a cow</image>"], CAT])
    async with running(store, model, renderer, commands=commands_with_limits(store, daily=1)) as (inbox, screen, _):
        await inbox.accept(message("m1", "draw"))
        await screen.final("m1")
        await recorded(store, "m1")
        assert used(store) == 0
        await inbox.accept(message("m2", "draw"))
        await renderer.waiting.wait()
        assert used(store) == 1
        await inbox.accept(press(Action.STOP, "m2"))
        await screen.final("m2")
        await recorded(store, "m2")
        assert used(store) == 0
        await inbox.accept(message("m3", "draw"))
        assert len(come(await screen.final("m3"))) == 1


async def test_retry_counts_for_the_limit(store: Store) -> None:
    """Like any other order, also of an `/imagine` that never started; later it can be rendered."""
    renderer = KnowingRenderer(refused={"a dog": "It broke."}, store=store)
    commands = commands_with_limits(store, daily=2)
    async with running(store, ScriptedModel([]), renderer, commands=commands) as (inbox, screen, _):
        await inbox.accept(imagine("a dog", 2))
        await screen.final("w1")
        await recorded(store, "w1")
        await inbox.accept(imagine("a cat", 1, "w2"))
        await screen.final("w2")
        renderer.refused.clear()
        with pytest.raises(Refused, match="You can ask for 1 more now"):
            await inbox.accept(press(Action.RETRY, "w1"))
        assert used(store) == 1
        choose(commands, "server", "daily_limit", "3", BOB)
        await inbox.accept(press(Action.RETRY, "w1"))
        assert len(come(await screen.final("w1", 2))) == 2
    assert used(store) == 3


async def test_a_deleted_or_forgotten_image_still_counts(store: Store, tmp_path: Path) -> None:
    """Only its count is kept, for a day."""
    model = ScriptedModel([CAT])
    async with running(store, model, commands=commands_with_limits(store, daily=2), album=Shelf()) as (
        inbox,
        screen,
        _,
    ):
        await inbox.accept(imagine("a cat", 2))
        await screen.final("w1")
        await recorded(store, "w1")
        await inbox.accept(press(Action.DELETE, "1"))
        assert used(store) == 2
        await inbox.run_command(command("forget"))
        assert (used(store), used(store, CID)) == (2, 0)
        with pytest.raises(Refused, match="The next one is free"):
            await inbox.accept(imagine("a cat", 1, "w2"))
    other = Store(tmp_path / "test.sqlite")
    with sqlite3.connect(tmp_path / "test.sqlite") as file:
        file.execute("UPDATE jobs SET ordered = ordered - ?", [DAY + 1])
    file.close()
    other.accept(message_in_own_thread(1))
    other.forget(message_in_own_thread(1).thread)
    assert used(store) == 0
    assert other.jobs.recent_charges(2 * DAY) == [] and not other.jobs.unfinished() and not other.jobs.failures()


async def test_a_restart_does_not_change_the_count(tmp_path: Path) -> None:
    """Unfinished images count once, even if the chat model requests something else this time."""
    first = Store(tmp_path / "test.sqlite")
    commands, renderer = commands_with_limits(first, daily=2), InstantRenderer(held={"a cow"})
    async with running(first, ScriptedModel([CAT, ["<image>a cow</image>", None]]), renderer, commands=commands) as (
        inbox,
        screen,
        _,
    ):
        await inbox.accept(message("m1", "draw"))
        await screen.final("m1")
        await inbox.accept(message("m2", "draw"))
        await renderer.waiting.wait()
    first.close()
    store = Store(tmp_path / "test.sqlite")
    assert used(store) == 2
    model = ScriptedModel([["<image>a brown cow</image>"]])
    async with running(store, model, KnowingRenderer(store=store), commands=commands_of(store)) as (
        inbox,
        screen,
        again,
    ):
        assert len(come(await screen.final("m2"))) == 1
        assert [job.request.prompt for job in again.jobs] == ["a brown cow"]
        with pytest.raises(Refused, match="Your limit is 2 images a day"):
            await inbox.accept(imagine("a cat", 1))
    assert used(store) == 2


async def test_images_count_for_24_hours(store: Store, tmp_path: Path) -> None:
    """From the time of the order; the sentence names the end as a time marker of each platform."""
    async with running(store, ScriptedModel([]), commands=commands_with_limits(store, daily=1)) as (inbox, screen, _):
        await inbox.accept(imagine("a cat", 1))
        await screen.final("w1")
        with pytest.raises(Refused) as refused:
            await inbox.accept(imagine("a cat", 1, "w2"))
        free = store.jobs.usage_today(THREAD, ANN.id).oldest_by_user + DAY
        assert replace_time_markers(str(refused.value), lambda at: f"<t:{at:.0f}:R>").endswith(
            f"free <t:{round(free, 1):.0f}:R>."
        )
        assert replace_time_markers(str(refused.value)).endswith("free in about 24 hr.")
        answer = (await inbox.run_command(command("usage"))).text
        assert (
            "Your limit is 1 image in 24 hours. You have used 1. The next one is free in about 24 hr."
            in replace_time_markers(str(answer))
        )
        with sqlite3.connect(tmp_path / "test.sqlite") as file:
            file.execute("UPDATE jobs SET ordered = ordered - ?", [DAY + 1])
        file.close()
        await inbox.accept(imagine("a cat", 1, "w3"))
        assert len(come(await screen.final("w3"))) == 1


# Who sets them


async def test_a_changed_limit_applies_at_once_also_to_managers(store: Store) -> None:
    """For all users; a channel may have its own limit."""
    commands = commands_with_limits(store, daily=1)
    async with running(store, ScriptedModel([]), commands=commands) as (inbox, screen, _):
        for person in (ANN, BOB):
            await inbox.accept(replace(imagine("a cat", 1, f"{person.id}1"), author=person))
            with pytest.raises(Refused, match="Your limit is 1 image a day"):
                await inbox.accept(replace(imagine("a cat", 1, f"{person.id}2"), author=person))
        with pytest.raises(Refused, match="Only managers"):
            choose(commands, "server", "daily_limit", "9", ANN)
        choose(commands, "server", "daily_limit", "2", BOB)
        await inbox.accept(imagine("a cat", 1, "ann2"))
        await screen.final("ann2")
        choose(commands, "channel", "daily_limit", "3", BOB)
        with pytest.raises(Refused, match="Your limit is 2 images a day"):
            there = ThreadKey(THREAD.platform, THREAD.space, "other", "t")
            await inbox.accept(replace(imagine("a cat", 1, "ann3"), thread=there))
        await inbox.accept(imagine("a cat", 1, "ann3"))
        await screen.final("ann3")
    assert used(store) == 3
