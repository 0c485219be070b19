"""Which messages were looked at, so that those which came while nobody listened can be looked for."""

from typing import Protocol

import discord

MARK = "discord:seen"


class Marks(Protocol):
    """Notes that survive a restart."""

    def mark(self, name: str) -> str: ...  # noqa: D102
    def note(self, name: str, value: str) -> None: ...  # noqa: D102


class Seen:
    """The newest message that was looked at, by shard.

    Each shard may lose its session alone, and new messages come in before the missed ones are found. So nothing is
    marked as seen for the next start of the program before all has been caught up with.
    """

    def __init__(self, marks: Marks) -> None:
        self._marks = marks
        self._marked = int(marks.mark(MARK) or 0)
        self._start = self._marked
        self._newest: dict[int, int] = {}
        self._missed: dict[int, int] = {}

    def note(self, shard: int, message: int) -> None:
        """A message was looked at."""
        self._newest[shard] = max(message, self._newest.get(shard, 0))
        self._mark()

    def lost(self, shard: int) -> None:
        """A session began, which does not tell what the one before it missed."""
        if not self._start:  # the very first one: what was said before is nobody's question
            self._start = discord.utils.time_snowflake(discord.utils.utcnow())
        self._missed.setdefault(shard, self._newest.get(shard, self._start))

    def missed(self, shard: int) -> int:
        """The last message that this shard did see."""
        return self._missed.get(shard, self._start)

    def caught_up(self, shard: int) -> None:
        """What this shard had missed was looked at."""
        self._missed.pop(shard, None)
        self._mark()

    def _mark(self) -> None:
        newest = max((self._start, *self._newest.values()))
        if newest > self._marked and not self._missed:
            self._marked = newest
            self._marks.note(MARK, str(newest))
