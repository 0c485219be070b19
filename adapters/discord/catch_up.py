"""The newest message that each shard handled, so that messages sent while the bot was offline can be fetched."""

from typing import Protocol

import discord

LAST_SEEN_MARK = "discord:seen"


class Marks(Protocol):
    """Named values that survive a restart."""

    def get_mark(self, name: str) -> str:
        """Return the stored value, or an empty string."""
        ...

    def set_mark(self, name: str, value: str) -> None:
        """Store a value."""
        ...


class SeenMessages:
    """The id of the newest handled message, by shard.

    A shard can lose its session alone, and it receives new messages before the missed messages are fetched. So the
    stored value for the next start of the program advances only when every shard has caught up.
    """

    def __init__(self, marks: Marks) -> None:
        self._marks = marks
        self._marked = int(marks.get_mark(LAST_SEEN_MARK) or 0)
        self._start = self._marked
        self._newest: dict[int, int] = {}
        self._missed: dict[int, int] = {}

    def mark_seen(self, shard: int, message_id: int) -> None:
        """Remember that this shard handled a message."""
        self._newest[shard] = max(message_id, self._newest.get(shard, 0))
        self._save()

    def start_session(self, shard: int) -> None:
        """Begin a new session of a shard: Discord does not send the messages that were missed before it."""
        if not self._start:  # the first session ever: earlier messages are not for the bot
            self._start = discord.utils.time_snowflake(discord.utils.utcnow())
        self._missed.setdefault(shard, self._newest.get(shard, self._start))

    def last_seen(self, shard: int) -> int:
        """Return the id of the last message that this shard handled before its session was lost."""
        return self._missed.get(shard, self._start)

    def finish_catch_up(self, shard: int) -> None:
        """Record that all missed messages of this shard are handled."""
        self._missed.pop(shard, None)
        self._save()

    def _save(self) -> None:
        newest = max((self._start, *self._newest.values()))
        if newest > self._marked and not self._missed:
            self._marked = newest
            self._marks.set_mark(LAST_SEEN_MARK, str(newest))
