"""Doubles that know what is on record, and the values that most tests of commands and buttons are about."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from bot.commands.slash_commands import SlashCommands
from bot.domain import (
    Action,
    ButtonPress,
    Failed,
    ImageRequest,
    ImagineCommand,
    Message,
    Operation,
    Person,
    Picture,
    PicturePart,
    Rendered,
    RenderJob,
    RenderUpdate,
    Sampling,
    ThreadKey,
    View,
)
from bot.errors import Unreachable
from bot.i18n import localized
from bot.notices import text
from bot.queue_status import QueueStatus, WorkerStatus
from bot.settings.values import Command, CommandResponse
from bot.storage.store import Store
from tests.support.doubles import ANN, THREAD, InstantRenderer, Screen, ScreenSurface, picture

DEL = replace(ANN, id="del", name="Del")
OTHER = replace(THREAD, thread="other")
QUEUE_STATUS = QueueStatus(
    workers=(WorkerStatus("one", "flat", 1, 0), WorkerStatus("two", "deep", 1, 0), WorkerStatus("three", "flat", 1, 0))
)


def commands_of(store: Store) -> SlashCommands:
    """A desk that offers two picture models and one more chat model."""
    return SlashCommands(store, queue_status=lambda: QUEUE_STATUS, chat_models=["wise"])


def command(name: str, author: Person = ANN, thread: ThreadKey = THREAD, /, **arguments: str) -> Command:
    """A slash command."""
    return Command("c", thread, author, name, arguments)


def choose(desk: SlashCommands, scope: str, key: str, value: str, author: Person = ANN) -> CommandResponse:
    """Set a setting."""
    return desk.answer(command("settings", author, do="set", scope=scope, key=key, value=value))


def press(action: Action, target: str, author: Person = ANN, *, nth: int = 1, words: str = "") -> ButtonPress:
    """A pressed button; another `nth` is another press."""
    return ButtonPress(f"{action}-{target}-{nth}", THREAD, author, action, target, words)


def imagine(text: str, count: int | None = None, command_id: str = "w1", **sampling: Any) -> ImagineCommand:
    """Pictures asked for past the chat model."""
    request = ImageRequest(0, Operation.GENERATE, text, sampling=Sampling(**sampling))
    return ImagineCommand(command_id, THREAD, ANN, request, count)


def pictures_of(view: View) -> list[PicturePart]:
    """The pictures of a view, come or not."""
    return [part for part in view.parts if isinstance(part, PicturePart)]


def come(view: View) -> list[int]:
    """The numbers of the pictures that a view shows."""
    return [part.state.picture.number for part in pictures_of(view) if isinstance(part.state, Rendered)]


def failures(view: View) -> list[Failed]:
    """Why pictures of a view did not come."""
    return [
        replace(part.state, reason=text(part.state.reason))
        for part in pictures_of(view)
        if isinstance(part.state, Failed)
    ]


def buttons(view: View) -> set[tuple[Action, str]]:
    """What the buttons of a view do."""
    return {(button.action, button.target) for button in view.buttons}


async def recorded(store: Store, message_id: str) -> View:
    """The final view of a reply in English, as soon as it is on record."""
    while not ((entry := store.entry(message_id)) and entry.view):
        await asyncio.sleep(0)
    return localized(entry.view, "en")


@dataclass
class KnowingRenderer(InstantRenderer):
    """Takes a job that has ended as what it came to, as the line does."""

    store: Store | None = None

    async def render(self, job: RenderJob) -> AsyncGenerator[RenderUpdate]:
        """What is on record, or else a new picture."""
        if self.store and (known := self.store.jobs.outcome(job)):
            yield known
            return
        async with aclosing(InstantRenderer.render(self, job)) as updates:
            async for update in updates:
                yield update


@dataclass
class Shelf:
    """An album that remembers what was thrown away; every upload becomes picture 99."""

    thrown: list[str] = field(default_factory=list)
    stuck: bool = False

    async def add_upload(self, upload: bytes) -> Picture:
        """A picture that was uploaded."""
        return replace(picture(99, "", operation=Operation.UPLOAD, seed=None), alt="a photo", model=None)

    async def read_thumbnail(self, digest: str) -> bytes:
        """Something like a JPEG."""
        return b"\xff\xd8"

    async def delete(self, digest: str) -> None:
        """Remember the digest, unless the disk is stuck."""
        if self.stuck:
            raise OSError(5, "Input/output error")
        self.thrown.append(digest)


@dataclass
class GatedScreen(Screen):
    """A screen whose final views wait for `open`; what is put in the messages of `shut` is Unreachable."""

    open: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    shut: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)

    def surface(self, thread: ThreadKey, message_id: str) -> ScreenSurface:
        """Where the reply to a message is shown."""
        return GatedSurface(self, message_id, self)


@dataclass
class GatedSurface(ScreenSurface):
    """One reply on the gated screen."""

    gated: GatedScreen

    async def put(self, view: View) -> None:
        """Remember the view, as soon as the gate is open."""
        if self.message_id in self.gated.shut:
            self.gated.refused.append(self.message_id)
            raise Unreachable("The channel is gone.")
        if view.final:
            self.gated.waiting.set()
            await self.gated.open.wait()
        await ScreenSurface.put(self, view)


def upload(message_id: str, author: Person = ANN, thread: ThreadKey = THREAD) -> Message:
    """A message that brings a picture."""
    return Message(message_id, thread, author, "what is this?", (b"png",))
