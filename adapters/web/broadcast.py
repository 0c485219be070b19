"""Publishes the views of running replies to all open pages."""

import asyncio
from collections import defaultdict
from typing import Any

from adapters.web import serializers as draw
from bot.domain import ThreadKey, View

MOST_LIVE = 500  # replies
_ALL = "*"  # takes the place of a message id; no message has this id


class Watcher:
    """One open page. A slow page misses intermediate states of a message, never its newest state."""

    def __init__(self) -> None:
        self._news: dict[str, dict[str, Any]] = {}
        self._some = asyncio.Event()

    def tell(self, message: dict[str, Any]) -> None:
        """Queue this state of the message; it replaces an older state that was not sent yet."""
        self._news[message["id"]] = message
        self._some.set()

    def forget(self) -> None:
        """Drop all queued states and queue the event that the thread was forgotten."""
        self._news = {_ALL: {}}
        self._some.set()

    async def next(self) -> tuple[str, dict[str, Any]]:
        """Wait for the next event: `message` with the changed message, in the order of first change, or `forgotten`."""
        await self._some.wait()
        name = next(iter(self._news))
        message = self._news.pop(name)
        if not self._news:
            self._some.clear()
        return ("forgotten" if name == _ALL else "message"), message


class Hub:
    """Sends messages to all open pages, and keeps the last view of each reply until the store has it."""

    def __init__(self) -> None:
        self._live: dict[str, tuple[ThreadKey, View]] = {}
        self._watchers: defaultdict[ThreadKey, set[Watcher]] = defaultdict(set)

    def show(self, thread: ThreadKey, message_id: str, view: View) -> None:
        """Keep the newest view of a reply. If there are more than 500, drop the final views, which the store has."""
        self._live[message_id] = thread, view
        if len(self._live) > MOST_LIVE:
            self._live = {known: kept for known, kept in self._live.items() if not kept[1].final or known == message_id}

    def shown(self, message_id: str, stored: View | None) -> View | None:
        """Return the current view of a reply; drop the view kept here once the final one is stored."""
        _, live = self._live.get(message_id, (None, None))
        if stored and (live is None or live.final):
            self._live.pop(message_id, None)
            return stored
        return live

    def watch(self, thread: ThreadKey) -> Watcher:
        """Return a subscriber that receives every changed message of the thread from now on."""
        watcher = Watcher()
        self._watchers[thread].add(watcher)
        return watcher

    def leave(self, thread: ThreadKey, watcher: Watcher) -> None:
        """Remove the subscriber."""
        self._watchers[thread].discard(watcher)
        if not self._watchers[thread]:
            del self._watchers[thread]

    def tell(self, thread: ThreadKey, message: dict[str, Any]) -> None:
        """Send a message object to all subscribers of the thread."""
        for watcher in self._watchers.get(thread, ()):
            watcher.tell(message)

    def forget(self, thread: ThreadKey) -> None:
        """Drop the views of the thread, and tell its subscribers that it was forgotten."""
        self._live = {known: kept for known, kept in self._live.items() if kept[0] != thread}
        for watcher in self._watchers.get(thread, ()):
            watcher.forget()


class PageSurface:
    """Shows one reply on all open pages. `pause` is in seconds."""

    pause = 0.1

    def __init__(self, hub: Hub, thread: ThreadKey, message_id: str) -> None:
        self._hub = hub
        self._thread = thread
        self._message_id = message_id

    async def put(self, view: View) -> None:
        """Publish the view to the subscribers of the thread."""
        self._hub.show(self._thread, self._message_id, view)
        self._hub.tell(self._thread, draw.reply(self._message_id, view))
