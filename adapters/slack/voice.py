"""What is said to one person alone, and papers for a whole thread."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack import draw
from adapters.slack.budget import Budget
from adapters.slack.draw import Block
from adapters.slack.faults import FAULTS, code
from adapters.slack.surface import Place
from bot.panel import Answer, Paper

log = logging.getLogger(__name__)

OUTSIDE = ("not_in_channel", "channel_not_found")
Say = Callable[[str, Sequence[Block]], Awaitable[None]]  # words, and what stands below them


class Voice:
    """Speaks where no reply is shown. Nothing is raised: if it cannot be said, the log tells."""

    def __init__(self, client: AsyncWebClient, budget: Budget) -> None:
        self._client = client
        self._budget = budget

    async def whisper(self, place: Place, words: str, below: Sequence[Block] = ()) -> None:
        """Say something to one person alone: in the place, or in their direct messages if the bot is not in it."""
        body: dict[str, Any] = draw.note(words, below)
        there = {"channel": place.channel, "user": place.asker}
        thread = {"thread_ts": place.thread_ts} if place.thread_ts else {}
        try:
            await self._budget.take("chat.postEphemeral", "")
            await self._client.api_call("chat.postEphemeral", json=body | there | thread)
        except FAULTS as error:
            if code(error) in OUTSIDE:
                await self._say_directly(place.asker, body)
            else:
                log.info("a note could not be posted: %s", code(error))

    async def _say_directly(self, user: str, body: Mapping[str, Any]) -> None:
        try:
            await self._budget.take("chat.postMessage", "", user)
            await self._client.api_call("chat.postMessage", json={"channel": user, **body})
        except FAULTS as error:
            log.info("a note could not be posted, nor told directly: %s", code(error))

    def whispering(self, place: Place) -> Say:
        """A way to say something there."""

        async def say(words: str, below: Sequence[Block]) -> None:
            await self.whisper(place, words, below)

        return say

    async def tell(self, place: Place, told: Answer | str, say: Say, settings: str = "") -> None:
        """Say what came of a command; a file that goes with it is for the whole thread.

        `settings` is what a button brings back by which the form of the settings is opened.
        """
        if isinstance(told, str):
            await say(told, ())
            return
        await say(draw.summary(told), [draw.settings_button(settings)] if settings and told.panel else ())
        if told.paper and (trouble := await self._share(place, told.paper)):
            await say(trouble, ())

    async def _share(self, place: Place, paper: Paper) -> str:
        try:
            await self._client.files_upload_v2(
                channel=place.channel,
                thread_ts=place.thread_ts or None,
                filename=paper.name,
                file=paper.data,
                title=paper.alt or paper.name,
            )
        except FAULTS as error:
            log.info("a file could not be posted: %s", code(error))
            if code(error) in OUTSIDE:
                return "I am not in this channel, and cannot put the file there: /invite me first."
            return f"Slack does not take the file: {code(error)}."
        return ""
