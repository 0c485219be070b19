"""Sends ephemeral messages to one user, and uploads the attachments of answers to the thread."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack import blocks as draw
from adapters.slack.api_errors import FAULTS, code
from adapters.slack.blocks import Block
from adapters.slack.rate_limits import Budget
from adapters.slack.surface import Place
from bot.settings.values import Answer, Paper

log = logging.getLogger(__name__)

OUTSIDE = ("not_in_channel", "channel_not_found")
Say = Callable[[str, Sequence[Block]], Awaitable[None]]  # text, and the blocks below it


class Voice:
    """Sends messages to one user outside of replies. Errors of Slack's API are logged, not raised."""

    def __init__(self, client: AsyncWebClient, budget: Budget) -> None:
        self._client = client
        self._budget = budget

    async def whisper(self, place: Place, words: str, below: Sequence[Block] = ()) -> None:
        """Send a message that only the user sees: in the channel, or as a direct message if the bot is not a member."""
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
                log.info("could not post an ephemeral message: %s", code(error))

    async def _say_directly(self, user: str, body: Mapping[str, Any]) -> None:
        try:
            await self._budget.take("chat.postMessage", "", user)
            await self._client.api_call("chat.postMessage", json={"channel": user, **body})
        except FAULTS as error:
            log.info("could not post an ephemeral message or a direct message: %s", code(error))

    def whispering(self, place: Place) -> Say:
        """Return a function that sends ephemeral messages to the user of this place."""

        async def say(words: str, below: Sequence[Block]) -> None:
            await self.whisper(place, words, below)

        return say

    async def tell(self, place: Place, told: Answer | str, say: Say, settings: str = "") -> None:
        """Send the answer of a command to the user, and upload its attachment to the thread.

        `settings` is the value of the button that opens the settings form; without one, no button is shown.
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
            log.info("could not upload an attachment: %s", code(error))
            if code(error) in OUTSIDE:
                return "I am not in this channel, and cannot put the file there: /invite me first."
            return f"Slack does not take the file: {code(error)}."
        return ""
