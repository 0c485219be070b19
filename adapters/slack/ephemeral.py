"""Sends ephemeral messages to one user, and uploads the attachments of answers to the thread."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack import blocks
from adapters.slack.api_errors import API_ERRORS, error_code
from adapters.slack.blocks import Block
from adapters.slack.rate_limits import RateLimits
from adapters.slack.surface import ReplyPlace
from bot.notices import Notice, notice, text
from bot.settings.values import Attachment, CommandResponse

log = logging.getLogger(__name__)

NOT_A_MEMBER = ("not_in_channel", "channel_not_found")
Send = Callable[[str, Sequence[Block]], Awaitable[None]]  # text, and the blocks below it


class EphemeralMessages:
    """Sends messages to one user outside of replies. Errors of Slack's API are logged, not raised."""

    def __init__(self, client: AsyncWebClient, rate_limits: RateLimits) -> None:
        self._client = client
        self._rate_limits = rate_limits

    async def send(self, place: ReplyPlace, text: str, below: Sequence[Block] = ()) -> None:
        """Send a message that only the user sees: in the channel, or as a direct message if the bot is not a member."""
        body: dict[str, Any] = blocks.message_body(text, below)
        there = {"channel": place.channel, "user": place.user}
        thread = {"thread_ts": place.thread_ts} if place.thread_ts else {}
        try:
            await self._rate_limits.acquire("chat.postEphemeral", "")
            await self._client.api_call("chat.postEphemeral", json=body | there | thread)
        except API_ERRORS as error:
            if error_code(error) in NOT_A_MEMBER:
                await self._send_direct_message(place.user, body)
            else:
                log.info("could not post an ephemeral message: %s", error_code(error))

    async def _send_direct_message(self, user: str, body: Mapping[str, Any]) -> None:
        try:
            await self._rate_limits.acquire("chat.postMessage", "", user)
            await self._client.api_call("chat.postMessage", json={"channel": user, **body})
        except API_ERRORS as error:
            log.info("could not post an ephemeral message or a direct message: %s", error_code(error))

    def sender(self, place: ReplyPlace) -> Send:
        """Return a function that sends ephemeral messages to the user of this place."""

        async def send_here(text: str, below: Sequence[Block]) -> None:
            await self.send(place, text, below)

        return send_here

    async def send_answer(
        self, place: ReplyPlace, answer: CommandResponse | str, send: Send, settings: str = ""
    ) -> None:
        """Send the answer of a command to the user, and upload its attachment to the thread.

        `settings` is the value of the button that opens the settings form; without one, no button is shown.
        """
        if isinstance(answer, str):
            await send(answer, ())
            return
        await send(
            blocks.answer_text(answer),
            [blocks.settings_button(settings, answer.language)] if settings and answer.panel else (),
        )
        if answer.attachment and (refusal := await self._upload(place, answer.attachment)):
            await send(text(refusal, answer.language), ())

    async def _upload(self, place: ReplyPlace, attachment: Attachment) -> Notice | None:
        try:
            await self._client.files_upload_v2(
                channel=place.channel,
                thread_ts=place.thread_ts or None,
                filename=attachment.name,
                file=attachment.data,
                title=text(attachment.alt) or attachment.name,
            )
        except API_ERRORS as error:
            log.info("could not upload an attachment: %s", error_code(error))
            if error_code(error) in NOT_A_MEMBER:
                return notice("slack-file-not-in-channel")
            return notice("slack-file-refused", code=error_code(error))
        return None
