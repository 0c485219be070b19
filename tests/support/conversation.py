"""The inbox at work, with a chat model of the test's choice and a renderer that takes no time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType

from bot.capabilities import RefineMode
from bot.commands.slash_commands import SlashCommands
from bot.conversation.dispatcher import Dispatcher, DispatcherOptions
from bot.domain import Picture, RenderJob
from bot.errors import Refused
from bot.ports import ChatModel, PictureFolder
from bot.storage.store import Store
from tests.support.doubles import InstantRenderer, Screen, claimed


class Glances:
    """An album without uploads, in which every picture is a few bytes."""

    async def add_upload(self, upload: bytes) -> Picture:
        """Refused."""
        raise Refused("no uploads")

    async def delete(self, digest: str) -> None:
        """There is no file."""

    async def read_thumbnail(self, digest: str) -> bytes:
        """Something like a JPEG."""
        return b"\xff\xd8" + digest.encode()


def recording(store: Store) -> Callable[[RenderJob, Picture], None]:
    """What the render line does with a finished picture."""

    def keep(job: RenderJob, made: Picture) -> None:
        if store.jobs.outcome(job) is None:
            assert store.jobs.mark_rendered(claimed(store, job), made)

    return keep


@asynccontextmanager
async def running(
    store: Store,
    model: ChatModel,
    renderer: InstantRenderer | None = None,
    refining: RefineMode = RefineMode.OFF,
    *,
    commands: SlashCommands | None = None,
    others: Mapping[str, ChatModel] = MappingProxyType({}),
    album: PictureFolder | None = None,
    screen: Screen | None = None,
    moderate: Callable[[str], Awaitable[None]] | None = None,
) -> AsyncIterator[tuple[Dispatcher, Screen, InstantRenderer]]:
    """The inbox at work with one test platform."""
    renderer = renderer or InstantRenderer()
    renderer.keep = recording(store)
    screen = screen or Screen()
    rules = DispatcherOptions(refining=refining)
    inbox = Dispatcher(
        store, model, renderer, album or Glances(), rules, commands=commands, other_models=others, moderate=moderate
    )
    task = asyncio.create_task(inbox.run({"test": screen}))
    await asyncio.sleep(0)
    try:
        yield inbox, screen, renderer
    finally:
        task.cancel()
        await asyncio.wait({task})
