"""One running reply: its state, its display, and how to cancel it."""

import asyncio
import logging
from collections.abc import Awaitable

from bot.conversation.pacer import Pacer
from bot.conversation.reply import Event, ImageProgress, PictureRemoved, Reply, ReplyStopped, step, view
from bot.domain import Rendering, View
from bot.errors import INTERNAL_ERROR, BotError
from bot.i18n import translate_view

log = logging.getLogger(__name__)


class RunningReply:
    """One reply, from its first view to the final one.

    `stop_reason` is why it was stopped, a sentence for the user; `recorded` is set once the turn has ended.
    """

    def __init__(self, reply: Reply, pacer: Pacer, *, previews: bool = True, language: str = "") -> None:
        self._language = language
        self.reply = reply
        self._previews = previews
        self._pacer = pacer
        self._task: asyncio.Task[None] | None = None
        self.stop_reason = ""
        self.recorded = asyncio.Event()
        self._pacer.show(self.view)

    @property
    def view(self) -> View:
        """The view now, in the language of the user."""
        return translate_view(view(self.reply), self._language)

    def on_event(self, event: Event) -> None:
        """Apply an event and display the new view; a final reply only takes a PictureRemoved."""
        match event:
            case ImageProgress(key, Rendering(fraction)) if not self._previews:
                event = ImageProgress(key, Rendering(fraction))
        if not self.reply.final or isinstance(event, PictureRemoved):
            self.reply = step(self.reply, event)
            self._pacer.show(self.view)

    def stop(self, reason: str) -> None:
        """Stop the reply now. `reason` is a sentence for the user."""
        self.stop_reason = reason
        if self._task:
            self._task.cancel()

    async def run(self, turn: Awaitable[None]) -> None:
        """Run the turn to its end; a stop or a bug ends the reply visibly."""

        async def answered() -> None:
            await turn

        self._task = asyncio.create_task(answered())
        try:
            await asyncio.wait({self._task})
        except asyncio.CancelledError:
            self._task.cancel()
            await asyncio.wait({self._task})
            raise
        if self._task.cancelled():
            self.on_event(ReplyStopped(self.stop_reason))
        elif error := self._task.exception():
            log.error("the reply to %s met a bug", self.reply.id, exc_info=error)
            told = str(error) if isinstance(error, BotError) else INTERNAL_ERROR
            self.stop_reason = told
            self.on_event(ReplyStopped(told))
