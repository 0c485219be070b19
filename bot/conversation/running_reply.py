"""The running replies: their state, their display, and how to stop them."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace

from bot.conversation.pacer import Pacer
from bot.conversation.permissions import check_owner_or_manager
from bot.conversation.reply import Event, ImageProgress, PictureRemoved, Reply, ReplyStopped, step, view
from bot.domain import ButtonPress, Entry, Rendering, ThreadKey, View
from bot.errors import INTERNAL_ERROR, BotError, NotFound
from bot.notices import UserText, notice
from bot.ports import Renderer
from bot.storage.store import Store

log = logging.getLogger(__name__)


class RunningReply:
    """One reply, from its first view to the final one.

    `stop_reason` is why it was stopped, for the user; `recorded` is set once the turn has ended.
    """

    def __init__(self, reply: Reply, pacer: Pacer, *, previews: bool = True) -> None:
        self.reply = reply
        self._previews = previews
        self._pacer = pacer
        self._task: asyncio.Task[None] | None = None
        self.stop_reason: UserText = ""
        self.recorded = asyncio.Event()
        self._pacer.show(self.view)

    @property
    def view(self) -> View:
        """The view now."""
        return view(self.reply)

    def on_event(self, event: Event) -> None:
        """Apply an event and display the new view; a final reply only takes a PictureRemoved."""
        match event:
            case ImageProgress(key, Rendering(fraction)) if not self._previews:
                event = ImageProgress(key, Rendering(fraction))
        if not self.reply.final or isinstance(event, PictureRemoved):
            self.reply = step(self.reply, event)
            self._pacer.show(self.view)

    def stop(self, reason: UserText) -> None:
        """Stop the reply now. `reason` is for the user."""
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
            reason = error.notice if isinstance(error, BotError) else INTERNAL_ERROR
            self.stop_reason = reason
            self.on_event(ReplyStopped(reason))


class RunningReplies:
    """The replies whose turns run or wait for the turn before them in their thread, and how to stop them."""

    def __init__(self, store: Store, renderer: Renderer, update_reply: Callable[[Entry, View], None]) -> None:
        """`update_reply` records and displays the final view of a reply whose turn does not run."""
        self._store = store
        self._renderer = renderer
        self._update_reply = update_reply
        self._waiting: dict[ThreadKey, deque[str]] = {}
        self._running: dict[str, RunningReply] = {}

    # Waiting and running

    def enqueue(self, thread: ThreadKey, message_id: str) -> bool:
        """Add a message to those of its thread that wait. Returns whether it is the first, so that no turn runs."""
        is_first = thread not in self._waiting
        self._waiting.setdefault(thread, deque()).append(message_id)
        return is_first

    def next_message(self, thread: ThreadKey) -> str | None:
        """Remove and return the next message of a thread; None if no message waits any more."""
        if self._waiting[thread]:
            return self._waiting[thread].popleft()
        del self._waiting[thread]
        return None

    def add(self, running: RunningReply) -> None:
        """Add a reply whose turn starts."""
        self._running[running.reply.id] = running

    def remove(self, running: RunningReply) -> None:
        """Remove a reply whose turn has ended, and whose final view is recorded if that was possible."""
        running.recorded.set()
        del self._running[running.reply.id]

    def all_running(self) -> Collection[RunningReply]:
        """The replies whose turns run now."""
        return self._running.values()

    def running(self, entry: Entry) -> RunningReply | None:
        """The running reply to a message; None if its turn does not run."""
        return self._running.get(entry.id)

    def knows(self, entry: Entry) -> bool:
        """Whether the turn of the message runs or waits."""
        return entry.id in self._running or self._is_waiting(entry)

    def _is_waiting(self, entry: Entry) -> bool:
        return entry.id in self._waiting.get(entry.thread, ())

    def find_entry(self, press: ButtonPress) -> Entry:
        """The message and reply that a button refers to. Raises NotFound if it is not in the thread of the press."""
        entry = self._store.entry(press.target)
        if entry is None or entry.thread != press.thread:
            raise NotFound("no-such-reply")
        return entry

    # Stopping

    def stop_by_button(self, press: ButtonPress) -> str:
        """Stop the reply that the Stop button belongs to. Raises NotFound, and Refused for other users."""
        entry = self.find_entry(press)
        check_owner_or_manager(press.author, entry.author)
        self.stop(entry, notice("stopped-by", name=press.author.name))
        return entry.id

    def cancel_image(self, press: ButtonPress) -> str:
        """Cancel one image of a reply; the text and the other images go on. Raises as `stop_by_button`."""
        entry = self.find_entry(replace(press, target=press.target.rpartition(".")[0]))
        check_owner_or_manager(press.author, entry.author)
        self._renderer.cancel(press.target, notice("cancelled-by", name=press.author.name))
        return entry.id

    def stop_all(self, place: ThreadKey, reason: UserText, author_id: str = "") -> int:
        """Stop the open replies in a place, with `author_id` only those to this user. Returns how many were stopped."""
        entries = [entry for entry in self._store.open_entries() if place.contains(entry.thread)]
        return sum(self.stop(entry, reason) for entry in entries if author_id in ("", entry.author.id))

    def stop(self, entry: Entry, reason: UserText) -> bool:
        """Stop a reply and cancel its images, running or waiting; False if the reply is ending already."""
        if running := self._running.get(entry.id):
            is_ending = running.reply.final or bool(running.stop_reason)
            running.stop(reason)
            return not is_ending
        if not self._is_waiting(entry):
            return False
        self._waiting[entry.thread].remove(entry.id)
        self._store.jobs.cancel_all(entry.id, reason)
        self._update_reply(entry, view(step(Reply(entry.id), ReplyStopped(reason))))
        return True
