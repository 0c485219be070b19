"""Publishes the views of running replies to all open pages."""

import asyncio
from collections import defaultdict

from adapters.web import serializers
from adapters.web.response_schemas import MessageJson
from bot.domain import ThreadKey, View

MAX_LIVE_REPLIES = 500  # replies
_FORGOTTEN = "*"  # takes the place of a message id; no message has this id


class Subscriber:
    """One open page. A slow page misses intermediate states of a message, never its newest state."""

    def __init__(self) -> None:
        self._pending: dict[str, MessageJson | None] = {}
        self._has_pending = asyncio.Event()

    def send(self, message: MessageJson) -> None:
        """Queue this state of the message; it replaces an older state that was not sent yet."""
        self._pending[message.id] = message
        self._has_pending.set()

    def forget(self) -> None:
        """Drop all queued states and queue the event that the thread was forgotten."""
        self._pending = {_FORGOTTEN: None}
        self._has_pending.set()

    async def next_message(self) -> MessageJson | None:
        """Wait for the next changed message, in the order of first change; None if the thread was forgotten."""
        await self._has_pending.wait()
        name = next(iter(self._pending))
        message = self._pending.pop(name)
        if not self._pending:
            self._has_pending.clear()
        return message


class Broadcaster:
    """Sends messages to all open pages, and keeps the last view of each reply until the store has it."""

    def __init__(self) -> None:
        self._live: dict[str, tuple[ThreadKey, View]] = {}
        self._subscribers: defaultdict[ThreadKey, set[Subscriber]] = defaultdict(set)

    def keep_view(self, thread: ThreadKey, message_id: str, view: View) -> None:
        """Keep the newest view of a reply. If there are more than 500, drop the final views, which the store has."""
        self._live[message_id] = thread, view
        if len(self._live) > MAX_LIVE_REPLIES:
            self._live = {known: kept for known, kept in self._live.items() if not kept[1].final or known == message_id}

    def current_view(self, message_id: str, stored: View | None) -> View | None:
        """Return the current view of a reply; drop the view kept here once the final one is stored."""
        _, live = self._live.get(message_id, (None, None))
        if stored and (live is None or live.final):
            self._live.pop(message_id, None)
            return stored
        return live

    def subscribe(self, thread: ThreadKey) -> Subscriber:
        """Return a subscriber that receives every changed message of the thread from now on."""
        subscriber = Subscriber()
        self._subscribers[thread].add(subscriber)
        return subscriber

    def unsubscribe(self, thread: ThreadKey, subscriber: Subscriber) -> None:
        """Remove the subscriber."""
        self._subscribers[thread].discard(subscriber)
        if not self._subscribers[thread]:
            del self._subscribers[thread]

    def publish(self, thread: ThreadKey, message: MessageJson) -> None:
        """Send a message to all subscribers of the thread."""
        for subscriber in self._subscribers.get(thread, ()):
            subscriber.send(message)

    def forget(self, thread: ThreadKey) -> None:
        """Drop the views of the thread, and tell its subscribers that it was forgotten."""
        self._live = {known: kept for known, kept in self._live.items() if kept[0] != thread}
        for subscriber in self._subscribers.get(thread, ()):
            subscriber.forget()


class PageSurface:
    """Shows one reply on all open pages. `pause` is in seconds."""

    pause = 0.1

    def __init__(self, broadcaster: Broadcaster, thread: ThreadKey, message_id: str) -> None:
        self._broadcaster = broadcaster
        self._thread = thread
        self._message_id = message_id

    async def put(self, view: View) -> None:
        """Publish the view to the subscribers of the thread."""
        self._broadcaster.keep_view(self._thread, self._message_id, view)
        self._broadcaster.publish(self._thread, serializers.reply(self._message_id, view))
