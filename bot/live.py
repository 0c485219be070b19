"""A reply under way: its state, its screen, and how to stop it."""

import asyncio
import logging
from collections.abc import Awaitable

from bot.domain import Rendering, View
from bot.errors import BotError
from bot.language import view_in
from bot.pacer import Pacer
from bot.reply import Event, Halted, Progress, Removed, Reply, step, view

log = logging.getLogger(__name__)


class Live:
    """One reply, from its first view to its last."""

    def __init__(self, reply: Reply, pacer: Pacer, *, previews: bool = True, language: str = "") -> None:
        self._language = language
        self.reply = reply
        self._previews = previews
        self._pacer = pacer
        self._task: asyncio.Task[None] | None = None
        self.halted = ""
        self.recorded = asyncio.Event()
        self._pacer.show(self.view)

    @property
    def view(self) -> View:
        """How it looks now."""
        return view_in(view(self.reply), self._language)

    def happened(self, event: Event) -> None:
        """Take one event in, and show what comes of it."""
        match event:
            case Progress(key, Rendering(fraction)) if not self._previews:
                event = Progress(key, Rendering(fraction))
        if not self.reply.ended or isinstance(event, Removed):
            self.reply = step(self.reply, event)
            self._pacer.show(self.view)

    def stop(self, reason: str) -> None:
        """End the reply now."""
        self.halted = reason
        if self._task:
            self._task.cancel()

    async def run(self, answering: Awaitable[None]) -> None:
        """See the answer through to its end, be it a stop or a bug."""

        async def answered() -> None:
            await answering

        self._task = asyncio.create_task(answered())
        try:
            await asyncio.wait({self._task})
        except asyncio.CancelledError:
            self._task.cancel()
            await asyncio.wait({self._task})
            raise
        if self._task.cancelled():
            self.happened(Halted(self.halted))
        elif error := self._task.exception():
            log.error("the reply to %s met a bug", self.reply.id, exc_info=error)
            told = str(error) if isinstance(error, BotError) else "Something went wrong here; the log says what."
            self.halted = told
            self.happened(Halted(told))
