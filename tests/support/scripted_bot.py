"""A bot with a scripted chat model and a renderer that takes no time: what the harness of each platform builds on."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bot.capabilities import RefineMode
from bot.commands.slash_commands import SlashCommands
from bot.commands.thread_export import ThreadExport
from bot.conversation.dispatcher import Dispatcher, DispatcherOptions
from bot.domain import Entry, View
from bot.llm.messages import ModelEvent
from bot.ports import Surface
from bot.queue_status import QueueStatus, WorkerStatus
from bot.storage.picture_files import PictureFiles
from tests.support.doubles import ScriptedModel
from tests.support.images import Filing, NotifyingStore, PaintingRenderer

Script = Sequence[str | None | ModelEvent]


class ScriptedBot:
    """A bot without a platform. It can be restarted on the same database: each start creates a new inbox."""

    platform_name = ""

    def __init__(self, folder: Path, scripts: Sequence[Script], on_change: Callable[[], None]) -> None:
        """The chat model answers with the scripts in order. `on_change` is called when a reply becomes final."""
        self.files = PictureFiles(folder / "pictures")
        self.store = NotifyingStore(folder / "db.sqlite", on_change)
        self.model = ScriptedModel(list(scripts))
        self.renderer = PaintingRenderer(self.store, self.files)
        self.queue_status = QueueStatus(workers=(WorkerStatus("b", "sketch", 1, 0),))
        self.inbox: Dispatcher = None  # type: ignore[assignment]
        self._work: set[asyncio.Task[None]] = set()

    def create_inbox(self) -> Dispatcher:
        """Create the inbox of a new process, with all commands."""
        commands = SlashCommands(self.store, queue_status=lambda: self.queue_status, chat_models=("clever", "quick"))
        self.inbox = Dispatcher(
            self.store, self.model, self.renderer, Filing(self.files), DispatcherOptions(refining=RefineMode.OFF),
            commands=commands, thread_export=ThreadExport(self.files.read),
        )  # fmt: skip
        return self.inbox

    async def close(self) -> None:
        """Stop the bot, as a signal would."""
        for task in self._work:
            task.cancel()
        if self._work:
            await asyncio.wait(self._work)

    async def until(self, condition: Callable[[], Any]) -> Any:
        """Return the value of the condition as soon as it is true. Each harness knows when to ask again."""
        raise NotImplementedError

    def entries(self) -> list[Entry]:
        """Return all stored messages, in the order in which they arrived."""
        threads = reversed(self.store.threads(self.platform_name))
        return [entry for known in threads for entry in self.store.entries(known.key)]

    async def final(self, message_id: int | str) -> Entry:
        """Return the stored message as soon as the reply to it is final."""

        def find_final() -> Entry | None:
            entry = self.store.entry(str(message_id))
            return entry if entry and entry.view else None

        return await self.until(find_final)  # type: ignore[no-any-return]

    async def newest(self, more_than: int) -> Entry:
        """Return the newest stored message as soon as there are more than so many, and the reply to it is final."""

        def find_newest() -> Entry | None:
            entries = self.entries()
            return entries[-1] if len(entries) > more_than and entries[-1].view else None

        return await self.until(find_newest)  # type: ignore[no-any-return]


class WatchedSurface:
    """A surface that reports each view that it has shown."""

    def __init__(self, surface: Surface, on_shown: Callable[[View], None]) -> None:
        self._surface = surface
        self._on_shown = on_shown

    @property
    def pause(self) -> float:
        """The pause of the watched surface, in seconds."""
        return self._surface.pause

    async def put(self, view: View) -> None:
        """Show the view, and report it."""
        await self._surface.put(view)
        self._on_shown(view)
