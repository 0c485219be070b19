"""The replies under way as the page sees them, and everybody who is watching."""

import asyncio
from collections import defaultdict
from typing import Any

from adapters.web import draw
from bot.domain import ThreadKey, View

MOST_LIVE = 500  # replies
_ALL = "*"  # in the place of a message's id, which never looks so


class Watcher:
    """One open page. A slow one misses steps in between, never the newest state of a message."""

    def __init__(self) -> None:
        self._news: dict[str, dict[str, Any]] = {}
        self._some = asyncio.Event()

    def tell(self, message: dict[str, Any]) -> None:
        """Have this state of the message sent, instead of an older one that waits still."""
        self._news[message["id"]] = message
        self._some.set()

    def forget(self) -> None:
        """Have it sent that nothing of the thread is there any more, before anything that comes after."""
        self._news = {_ALL: {}}
        self._some.set()

    async def next(self) -> tuple[str, dict[str, Any]]:
        """The next event: `message` with a changed one, in the order in which they first changed, or `forgotten`."""
        await self._some.wait()
        name = next(iter(self._news))
        message = self._news.pop(name)
        if not self._news:
            self._some.clear()
        return ("forgotten" if name == _ALL else "message"), message


class Hub:
    """What is on the screens. The last view of each reply is kept until the store has it."""

    def __init__(self) -> None:
        self._live: dict[str, tuple[ThreadKey, View]] = {}
        self._watchers: defaultdict[ThreadKey, set[Watcher]] = defaultdict(set)

    def show(self, thread: ThreadKey, message_id: str, view: View) -> None:
        """Keep the newest view of a reply; those long final are in the store, and are let go."""
        self._live[message_id] = thread, view
        if len(self._live) > MOST_LIVE:
            self._live = {known: kept for known, kept in self._live.items() if not kept[1].final or known == message_id}

    def shown(self, message_id: str, stored: View | None) -> View | None:
        """How a reply looks now; once the store has it, that is kept here no longer."""
        _, live = self._live.get(message_id, (None, None))
        if stored and (live is None or live.final):
            self._live.pop(message_id, None)
            return stored
        return live

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

    def forget(self, thread: ThreadKey) -> None:
        """Let go of all that is shown of the thread, and tell everybody who watches it."""
        self._live = {known: kept for known, kept in self._live.items() if kept[0] != thread}
        for watcher in self._watchers.get(thread, ()):
            watcher.forget()


class PageSurface:
    """One reply on all open pages."""

    pause = 0.1

    def __init__(self, hub: Hub, thread: ThreadKey, message_id: str) -> None:
        self._hub = hub
        self._thread = thread
        self._message_id = message_id

    async def put(self, view: View) -> None:
        """Show the view to whoever watches."""
        self._hub.show(self._thread, self._message_id, view)
        self._hub.tell(self._thread, draw.reply(self._message_id, view))
