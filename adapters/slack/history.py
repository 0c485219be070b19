"""Reads messages from Slack: one message, and the messages of a thread before the bot was mentioned in it."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack import parse
from adapters.slack.api_errors import API_ERRORS, error_code
from adapters.slack.parse import MessageRef, SlackMessage
from adapters.slack.rate_limits import RateLimits
from adapters.slack.users import Users
from bot.domain import Person
from bot.errors import NotFound, Refused

log = logging.getLogger(__name__)

MOST_MESSAGES = 30  # newest messages of a thread that are read
MOST_PICTURES = 3  # newest images of a thread that are read
THREAD_NOT_FOUND = "thread_not_found"  # the first message was deleted, and nobody replied to it
A_PAGE, MOST_PAGES = 200, 5  # messages in one response, oldest first; number of responses

File = Mapping[str, Any]


class ThreadReader:
    """Reads messages with the rights of the bot."""

    def __init__(self, client: AsyncWebClient, rate_limits: RateLimits, users: Users, bot_user: str) -> None:
        self._client = client
        self._rate_limits = rate_limits
        self._users = users
        self._bot_user = bot_user

    async def fetch_message(self, ref: MessageRef) -> Mapping[str, Any]:
        """Return the message. Raises NotFound if it was deleted, and Refused if the bot cannot read its channel."""
        bounds = {"oldest": ref.ts, "latest": ref.ts, "inclusive": True}
        try:
            async with aclosing(self.replies(ref.team, ref.channel, ref.thread_ts, **bounds)) as messages:
                async for message in messages:
                    if message.get("ts") == ref.ts:
                        return message
        except API_ERRORS as error:
            log.info("could not read a message: %s", error_code(error))
            if error_code(error) != THREAD_NOT_FOUND:
                raise Refused("slack-message-unreadable") from error
        raise NotFound("slack-message-deleted")

    async def fetch_earlier(self, received: SlackMessage) -> tuple[list[tuple[Person, str]], list[File]]:
        """Return the earlier messages of users in the thread, and its three newest images, of users and of bots."""
        if not received.thread_ts:
            return [], []
        try:
            bounds = {"latest": received.ts}
            async with aclosing(
                self.replies(received.team, received.channel, received.thread_ts, **bounds)
            ) as messages:
                read = [each async for each in messages if str(each.get("ts")) < received.ts][-MOST_MESSAGES:]
        except API_ERRORS as error:
            log.info("could not read the thread of a mention: %s", error_code(error))
            return [], []
        files = [file for message in read for file in parse.visible_images(message)]
        return [line for message in read if (line := await self._author_and_text(message))], files[-MOST_PICTURES:]

    async def _author_and_text(self, message: Mapping[str, Any]) -> tuple[Person, str] | None:
        user, raw = str(message.get("user") or ""), str(message.get("text") or "")
        if not user or not raw or message.get("bot_id") or message.get("subtype") not in parse.USER_SUBTYPES:
            return None
        return await self._users.person(user), parse.text(raw, self._bot_user, await self.mentioned_names(raw))

    async def mentioned_names(self, raw: str) -> dict[str, str]:
        """Return the names of the first five mentioned users by id, without the bot."""
        users = [user for user in parse.mentions(raw) if user != self._bot_user][:5]
        found = await asyncio.gather(*(self._users.person(user) for user in users))
        return {person.id: person.name for person in found}

    async def replies(
        self, team: str, channel: str, thread_ts: str, **bounds: Any
    ) -> AsyncGenerator[Mapping[str, Any]]:
        """Yield the messages of a thread; without `thread_ts`, the newest messages of a direct conversation."""
        method = self._client.conversations_replies if thread_ts else self._client.conversations_history
        name = "conversations.replies" if thread_ts else "conversations.history"
        place: dict[str, Any] = {"channel": channel, "limit": A_PAGE} | ({"ts": thread_ts} if thread_ts else {})
        for _ in range(MOST_PAGES):
            await self._rate_limits.acquire(name, team)
            found = await method(**place, **bounds)
            for message in found.get("messages") or ():
                yield message
            cursor = (found.get("response_metadata") or {}).get("next_cursor")
            if not cursor or not thread_ts:
                return
            place["cursor"] = cursor
