"""The replies under way as the page sees them, and everybody who is watching."""

import asyncio
from collections import defaultdict
from typing import Any

from adapters.web import draw
from bot.domain import ThreadKey, View

MOST_LIVE = 500  # replies


class Watcher:
    """One open page. A slow one misses steps in between, never the newest state of a message."""

    def __init__(self) -> None:
        self._news: dict[str, dict[str, Any]] = {}
        self._some = asyncio.Event()

    def tell(self, message: dict[str, Any]) -> None:
        """Have this state of the message sent, instead of an older one that waits still."""
        self._news[message["id"]] = message
        self._some.set()

    async def next(self) -> dict[str, Any]:
        """The next changed message, in the order in which they first changed."""
        await self._some.wait()
        message = self._news.pop(next(iter(self._news)))
        if not self._news:
            self._some.clear()
        return message


class Hub:
    """What is on the screens. The last view of each reply is kept until the store has it."""

    def __init__(self) -> None:
        self.live: dict[str, View] = {}
        self._watchers: defaultdict[ThreadKey, set[Watcher]] = defaultdict(set)

    def show(self, message_id: str, view: View) -> None:
        """Keep the newest view of a reply; those long final are in the store, and are let go."""
        self.live[message_id] = view
        if len(self.live) > MOST_LIVE:
            self.live = {known: shown for known, shown in self.live.items() if not shown.final or known == message_id}

    def watch(self, thread: ThreadKey) -> Watcher:
        """Somebody who is told every changed message of the thread from now on."""
        watcher = Watcher()
        self._watchers[thread].add(watcher)
        return watcher

    def leave(self, thread: ThreadKey, watcher: Watcher) -> None:
        """Stop watching."""
        self._watchers[thread].discard(watcher)
        if not self._watchers[thread]:
            del self._watchers[thread]

    def tell(self, thread: ThreadKey, message: dict[str, Any]) -> None:
        """Send a message object to everybody who watches the thread."""
        for watcher in self._watchers.get(thread, ()):
            watcher.tell(message)


class PageSurface:
    """One reply on all open pages."""

    pause = 0.1

    def __init__(self, hub: Hub, thread: ThreadKey, message_id: str) -> None:
        self._hub = hub
        self._thread = thread
        self._message_id = message_id

    async def put(self, view: View) -> None:
        """Show the view to whoever watches."""
        self._hub.show(self._message_id, view)
        self._hub.tell(self._thread, draw.reply(self._message_id, view))
