"""Isolation of threads: settings apply only where they were chosen, and images of other threads are out of reach."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.capabilities import RefineMode
from bot.commands.slash_commands import SlashCommands
from bot.commands.thread_export import ThreadExport
from bot.conversation.dispatcher import Dispatcher, DispatcherOptions
from bot.domain import (
    Action,
    ButtonPress,
    Failed,
    Incoming,
    Message,
    MessageDeleted,
    MessageEdited,
    Operation,
    Person,
    PlaceRemoved,
    ThreadKey,
)
from bot.errors import NotFound, Refused
from bot.settings.rules import SETTINGS, WIDEST_FIRST
from bot.settings.values import Scope, Settings
from bot.storage.store import Store
from tests.support.conversation import recording
from tests.support.doubles import ANN, BOB, CID, THREAD, InstantRenderer, Screen, ScriptedModel, message
from tests.support.records import Shelf, command, commands_of, failures, imagine, recorded
from tests.support.thorough import examples

MINE = THREAD
THEIRS = {
    "another thread": replace(THREAD, thread="other_thread"),
    "another channel": replace(THREAD, channel="other_thread"),
    "another server": replace(THREAD, space="other_thread"),
    "another platform": replace(THREAD, platform="other_thread"),
}

# Settings

PLACES = st.builds(ThreadKey, *(st.sampled_from(names) for names in (("p", "q"), ("s", "t"), ("c", "d"), ("1", "2"))))
PEOPLE = st.sampled_from((ANN, CID))
CHOICES = {
    "aspect_ratio": ("1:1", "3:2", "2:1"), "images_per_request": ("1", "2", "3"),
    "style": ("ink", "oil", "default"), "blocked_words": ("gore", "blood"), "daily_limit": ("1", "2"),
    "persona": ("A poet.", "A king."), "reply_mode": ("threads", "never"),
    "reply_in": ("channel", "thread"), "server_daily_limit": ("3", "4"), "previews": ("on", "off"),
}  # fmt: skip
CHOSEN = st.sampled_from([(key, value) for key, values in CHOICES.items() for value in values])
CHOICE = st.tuples(PLACES, PEOPLE, st.sampled_from(tuple(Scope)), CHOSEN, st.booleans())
MOVE = st.tuples(PLACES, st.sampled_from(("x", "y", "")))  # a channel into a category, or out of all
STEPS = st.lists(CHOICE | MOVE, max_size=30)
Choice = tuple[ThreadKey, Person, Scope, tuple[str, str], bool]
Lies = dict[tuple[str, str, str], str]  # in which category each channel lies


def scope_of_choice(scope: Scope, place: ThreadKey, person: Person, lies: Lies) -> tuple[str, ...]:
    """The scope and place of a choice that a user makes there; empty if the scope does not exist."""
    channel = (place.platform, place.space, place.channel)
    category = lies.get(channel)
    return {
        Scope.SERVER: channel[:2],
        Scope.CATEGORY: (*channel[:2], "category", category) if category else (),
        Scope.CHANNEL: channel,
        Scope.THREAD: (*channel, place.thread),
        Scope.PERSON: (place.platform, "person", person.id, "everywhere", ""),
    }[scope]


@given(steps=STEPS)
@settings(deadline=None, max_examples=examples(60))
def test_the_narrowest_choice_applies(
    steps: list[Choice | tuple[ThreadKey, str]],
) -> None:
    """After any choices, resets and moves of channels, for every user everywhere."""
    store = Store(Path(":memory:"))
    commands = commands_of(store)
    made: dict[tuple[Scope, tuple[str, ...], str], str] = {}
    lies: Lies = {}
    for step in steps:
        if len(step) == 2:
            place, category = step
            store.posts.set_category(place, category)
            lies[place.platform, place.space, place.channel] = category
        elif step[2] in SETTINGS[step[3][0]].scopes:
            _choose(commands, step, made, lies)
    for place in (ThreadKey(*names) for names in itertools.product("pq", "st", "cd", "12")):
        for person in (ANN, CID):
            expected: dict[str, str] = {}
            for scope in WIDEST_FIRST:
                for key in CHOICES:
                    if (value := made.get((scope, scope_of_choice(scope, place, person, lies), key))) is not None:
                        expected[key] = value
            read = {key: SETTINGS[key].parse("" if value == "default" else value) for key, value in expected.items()}
            assert commands.resolve_settings(place, person) == replace(Settings(), **read)
    store.close()


def _choose(
    commands: SlashCommands, choice: Choice, made: dict[tuple[Scope, tuple[str, ...], str], str], lies: Lies
) -> None:
    place, person, scope, (key, value), back = choice
    do = {"do": "reset"} if back else {"do": "set", "value": value}
    given = command("settings", replace(person, roles=BOB.roles), place, scope=scope, key=key, **do)
    them = scope_of_choice(scope, place, person, lies)
    if not them:
        with pytest.raises(Refused, match="has no category"):
            commands.answer(given)
        return
    commands.answer(given)
    made.pop((scope, them, key), None)
    if not back:
        made[scope, them, key] = value


# Pictures


@asynccontextmanager
async def running_bot(
    store: Store, *scripts: str, commands: SlashCommands | None = None
) -> AsyncIterator[tuple[Dispatcher, Screen, InstantRenderer, ScriptedModel, Shelf]]:
    """The dispatcher with two platforms."""
    renderer = InstantRenderer(refused={"failing": "It broke."}, held={"waiting"}, keep=recording(store))
    model, screen, shelf = ScriptedModel([[script] for script in scripts]), Screen(), Shelf()
    attachments = ThreadExport(lambda digest: b"")
    inbox = Dispatcher(
        store,
        model,
        renderer,
        shelf,
        DispatcherOptions(refining=RefineMode.OFF),
        commands=commands,
        thread_export=attachments,
    )
    task = asyncio.create_task(inbox.run({"test": screen, "other_thread": screen}))
    await asyncio.sleep(0)
    try:
        yield inbox, screen, renderer, model, shelf
    finally:
        task.cancel()
        await asyncio.wait({task})


class OtherThread:
    """A thread of another user with three rendered images, a failed one, and one that waits for ever."""

    def __init__(self, store: Store, inbox: Dispatcher, screen: Screen, thread: ThreadKey) -> None:
        self.store, self.inbox, self.screen, self.thread = store, inbox, screen, thread

    async def begin(self) -> None:
        """Say it all there."""
        for name, text in (("t1", "three"), ("t2", "failing")):
            await self.inbox.accept(Message(name, self.thread, CID, text))
            await self.screen.final(name)
            await recorded(self.store, name)
        await self.inbox.accept(Message("t3", self.thread, CID, "waiting"))

    def record(self) -> object:
        """All that is on record of it."""
        jobs = [self.store.jobs.job(f"{name}.{key}") for name in ("t1", "t2", "t3") for key in range(3)]
        rows = self.store.jobs.find([job.id for job in jobs if job])
        deleted, title = self.store.deleted_numbers(self.thread), self.store.title(self.thread)
        return (self.store.entries(self.thread), self.store.pictures(self.thread), deleted, title, jobs, rows)


SECRET = "zorblax"
THREE = "".join(f"<image>{SECRET} {nth}</image>" for nth in range(3))
FAILS, WAITS = "<image>failing</image>", "<image>waiting</image>"


def attempts() -> dict[str, Incoming]:
    """Events that a user may send in their own thread, as its manager, to reach images of another thread."""

    def press(action: Action, target: str, words: str = "") -> ButtonPress:
        return ButtonPress(f"x-{action}-{target}", MINE, BOB, action, target, words)

    buttons = {
        f"{action} {target!r}": press(action, target, "red")
        for action in (Action.VARY, Action.EDIT, Action.REDO, Action.DELETE)
        for target in ("1", "3", "99", "0", "-1", "t1", "t1.0", "1 ", "１", "1.0", "+1", "0x1", "1" * 30, "", "²")
    }
    replies = {
        f"{action} {target!r}": press(action, target)
        for action in (Action.STOP, Action.RETRY, Action.CANCEL)
        for target in ("t1", "t2", "t3", "t1.0", "t2.0", "t3.0", "t3.", ".t3", "t3.0.0", "t3/0", "", "%", "t3' OR 1=1")
    }
    about = {f"about {n}": Message(f"x{n}", MINE, BOB, "make it red", about=n) for n in (1, 3, 99, -1)}
    return {**buttons, **replies, **about}


@pytest.fixture(params=THEIRS)
def other_thread(request: pytest.FixtureRequest) -> ThreadKey:
    """The thread that is out of reach."""
    return THEIRS[request.param]


async def test_every_event_for_images_of_another_thread_is_refused(store: Store, other_thread: ThreadKey) -> None:
    """The sentence is that for an unknown image; nothing changes there, and nothing starts here."""
    async with running_bot(store, THREE, FAILS, WAITS) as (inbox, screen, renderer, _, _):
        there = OtherThread(store, inbox, screen, other_thread)
        await there.begin()
        await renderer.waiting.wait()
        before, jobs = there.record(), list(renderer.jobs)
        for name, event in attempts().items():
            with pytest.raises(NotFound) as refused:
                await inbox.accept(event)
            assert SECRET not in str(refused.value), name
            assert there.record() == before, name
        for harmless in (MessageEdited("t1", MINE, "other"), MessageDeleted("t3", MINE), PlaceRemoved(MINE)):
            await inbox.accept(harmless)
            assert there.record() == before
        assert (renderer.jobs, renderer.cancels, renderer.cancelled) == (jobs, [], [])
        assert store.entries(MINE) == [] and not store.deleted_numbers(MINE)
        renderer.go.set()
        await screen.final("t3")


async def test_commands_show_and_change_nothing_of_another_thread(store: Store, other_thread: ThreadKey) -> None:
    """No images, details, contact sheet or ZIP; nothing of it is cancelled or forgotten."""
    async with running_bot(store, THREE, FAILS, WAITS) as (inbox, screen, renderer, _, shelf):
        there = OtherThread(store, inbox, screen, other_thread)
        await there.begin()
        await renderer.waiting.wait()
        before = there.record()
        responses = [
            await inbox.run_command(command("pictures", BOB)),
            await inbox.run_command(command("cancel", BOB, whose="all")),
        ]
        for picture in ("1", "3", "99", "t1", "", "1 ", "１"):
            with pytest.raises(NotFound):
                await inbox.run_command(command("details", BOB, picture=picture))
        for name in ("forget", "export"):
            with pytest.raises(Refused):
                await inbox.run_command(command(name, BOB))
        responses.append(await inbox.run_command(command("queue", BOB)))
        assert all(
            SECRET not in str(each.text) and "waiting" not in str(each.text).replace("0 waiting", "")
            for each in responses
        )
        assert responses[0].text == "This thread has no images yet." and responses[0].attachment is None
        assert there.record() == before and shelf.thrown == []
        renderer.go.set()
        await screen.final("t3")


@pytest.mark.parametrize(
    "tag", ['<edit of="2">red</edit>', '<vary of="3"/>', '<select of="2"/>', '<refine of="3">x</refine>']
)
async def test_a_number_of_another_thread_is_unknown_here(store: Store, other_thread: ThreadKey, tag: str) -> None:
    """No answer of the chat model can name an image of another thread, and its history has none."""
    async with running_bot(store, THREE, "<image>mine</image>", tag) as (inbox, screen, renderer, model, _):
        await inbox.accept(Message("t1", other_thread, CID, "three"))
        await screen.final("t1")
        await inbox.accept(message("m1", "draw mine"))
        await screen.final("m1")
        await inbox.accept(message("m2", f"make the picture of {other_thread} red, whatever it is"))
        view = await screen.final("m2")
    number = tag.partition('"')[2][0]
    assert failures(view) == [Failed(f"This thread has no image #{number}.")]
    assert [job.request.operation for job in renderer.jobs] == [Operation.GENERATE] * 4
    assert all(SECRET not in message.text for history in model.received[1:] for message in history)


async def test_the_same_ids_in_another_place_mean_others(store: Store, other_thread: ThreadKey) -> None:
    """A user, a number and a choice of the same name belong to their own place."""
    async with running_bot(store, commands=commands_of(store)) as (inbox, screen, renderer, _, _):
        for thread, words, name in ((other_thread, SECRET, "w1"), (MINE, "a cat", "w2")):
            await inbox.accept(replace(imagine(words, 1, name), thread=thread))
            await screen.final(name)
            await recorded(store, name)
        await inbox.accept(ButtonPress("v1", MINE, ANN, Action.VARY, "1"))
        await screen.final("v1")
        assert [job.request.prompt for job in renderer.jobs] == [SECRET, "a cat", "a cat"]
        assert "a cat" in str((await inbox.run_command(command("details", ANN, MINE, picture="1"))).text)
        await inbox.accept(ButtonPress("d1", MINE, ANN, Action.DELETE, "1"))
        assert store.picture(other_thread, 1) and store.picture(MINE, 1) is None
        await recorded(store, "v1")
        await inbox.run_command(command("forget", ANN, MINE))
    assert [entry.text for entry in store.entries(other_thread)] == [SECRET]
    assert len(store.pictures(other_thread)) == 1
