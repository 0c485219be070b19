"""What stands in Slack already: one message, and what was said in a thread before the bot was called into it."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack import parse
from adapters.slack.budget import Budget
from adapters.slack.faults import FAULTS, code
from adapters.slack.parse import Heard, Spot
from adapters.slack.people import People
from bot.domain import Person

log = logging.getLogger(__name__)

MOST_MESSAGES = 30  # of a thread that the bot is told of
MOST_PICTURES = 3  # of such a thread
A_PAGE, MOST_PAGES = 200, 5  # messages of one answer, which begins with the oldest; and answers

File = Mapping[str, Any]


class Reader:
    """Reads with the bot's own rights."""

    def __init__(self, client: AsyncWebClient, budget: Budget, people: People, bot_user: str) -> None:
        self._client = client
        self._budget = budget
        self._people = people
        self._bot_user = bot_user

    async def message(self, spot: Spot) -> Mapping[str, Any] | None:
        """The message itself; None if it cannot be read."""
        bounds = {"oldest": spot.ts, "latest": spot.ts, "inclusive": True}
        try:
            async with aclosing(self.replies(spot.team, spot.channel, spot.thread_ts, **bounds)) as messages:
                return await anext((each async for each in messages if each.get("ts") == spot.ts), {})
        except FAULTS as error:
            log.info("a message cannot be read: %s", code(error))
            return None

    async def before(self, said: Heard) -> tuple[list[tuple[Person, str]], list[File]]:
        """What people said in the thread before, and the newest pictures there, of whomever they are."""
        if not said.thread_ts:
            return [], []
        try:
            bounds = {"latest": said.ts}
            async with aclosing(self.replies(said.team, said.channel, said.thread_ts, **bounds)) as messages:
                read = [each async for each in messages if str(each.get("ts")) < said.ts][-MOST_MESSAGES:]
        except FAULTS as error:
            log.info("the thread in which it is called cannot be read: %s", code(error))
            return [], []
        files = [file for message in read for file in parse.shown_in(message)]
        return [line for message in read if (line := await self._line(message))], files[-MOST_PICTURES:]

    async def _line(self, message: Mapping[str, Any]) -> tuple[Person, str] | None:
        user, raw = str(message.get("user") or ""), str(message.get("text") or "")
        if not user or not raw or message.get("bot_id") or message.get("subtype") not in parse.SPOKEN:
            return None
        return await self._people.person(user), parse.text(raw, self._bot_user, await self.names(raw))

    async def names(self, raw: str) -> dict[str, str]:
        """What those are called who are mentioned, by id."""
        users = [user for user in parse.mentions(raw) if user != self._bot_user][:5]
        found = await asyncio.gather(*(self._people.person(user) for user in users))
        return {person.id: person.name for person in found}

    async def replies(
        self, team: str, channel: str, thread_ts: str, **bounds: Any
    ) -> AsyncGenerator[Mapping[str, Any]]:
        """The messages of a thread, or without `thread_ts` those of a direct conversation, the newest of them."""
        method = self._client.conversations_replies if thread_ts else self._client.conversations_history
        name = "conversations.replies" if thread_ts else "conversations.history"
        place: dict[str, Any] = {"channel": channel, "limit": A_PAGE} | ({"ts": thread_ts} if thread_ts else {})
        for _ in range(MOST_PAGES):
            await self._budget.take(name, team)
            found = await method(**place, **bounds)
            for message in found.get("messages") or ():
                yield message
            cursor = (found.get("response_metadata") or {}).get("next_cursor")
            if not cursor or not thread_ts:
                return
            place["cursor"] = cursor
