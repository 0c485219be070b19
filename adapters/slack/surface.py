"""Shows one reply on Slack: first a status, then a text stream, then messages with text and images in order."""

import asyncio
import json
import logging
import re
from collections.abc import Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack import blocks
from adapters.slack.api_errors import API_ERRORS, error_code
from adapters.slack.blocks import Block, MessagePayload, PicturePlaceholder
from adapters.slack.files import Uploads
from adapters.slack.history import ThreadReader
from adapters.slack.parse import DIRECT, post_id
from adapters.slack.rate_limits import RateLimits
from bot.domain import Post, ThreadKey, View
from bot.errors import Unreachable
from bot.notices import notice, text
from bot.ports import PostStore

log = logging.getLogger(__name__)

PAUSE = 1.2  # seconds between two views of a reply
PROGRESS_SHARE, PICTURE_SHARE = 0.5, 0.7  # share of a rate limit for updates before a reply is final
MOST_STREAMED = 11_500  # characters; a longer text needs several messages
METADATA_TYPE = "mini_reply"  # event type in the metadata of a message, which finds the messages of a reply again
NOT_READY_ERRORS = ("invalid_blocks", "slack_file")
UNREACHABLE_ERRORS = (
    "channel_not_found", "not_in_channel", "is_archived", "account_inactive", "token_revoked", "invalid_auth",
    "missing_scope", "restricted_action", "restricted_action_thread_locked", "cannot_reply_to_message", "msg_too_long",
    "access_denied", "team_access_not_granted", "no_permission", "ekm_access_denied",
)  # fmt: skip
_TIMESTAMP = re.compile(r"-(\d{1,12}\.\d{1,9})$")
DELETED_ERRORS = ("message_not_found", "cant_update_message", "thread_not_found")


Streams = dict[tuple[str, str], str]  # channel, and ts of a stream or of its thread -> message id of the reply


@dataclass(frozen=True, slots=True)
class ReplyPlace:
    """The place of a reply. `thread_ts` is empty in a direct conversation outside any thread. `user` is who asked.

    `quote` is the text that the user wrote into a form, which nobody else saw.
    """

    channel: str
    thread_ts: str
    user: str
    quote: str = ""

    def __str__(self) -> str:
        return json.dumps([self.channel, self.thread_ts, self.user, *filter(None, [self.quote])])

    @classmethod
    def parse(cls, text: str) -> "ReplyPlace":
        """Parse the output of `str`. Raises Unreachable for an empty text: no place was stored."""
        if not text:
            raise Unreachable("place-unknown")
        return cls(*json.loads(text))


@dataclass(slots=True)
class PostedMessage:
    """A posted message and its content; `payload` is None if the content is not known."""

    ts: str
    payload: MessagePayload | None = None
    is_deleted: bool = False


class ThreadSurface:
    """Shows a reply as messages of the bot in a thread or a direct conversation."""

    def __init__(
        self,
        client: AsyncWebClient,
        record: PostStore,
        thread: ThreadKey,
        message_id: str,
        *,
        uploads: Uploads,
        rate_limits: RateLimits,
        reader: ThreadReader,
        streams: Streams,
        resumed: bool,
        pause: float = PAUSE,
    ) -> None:
        """`resumed` is true for a reply that another process of the bot may have begun to show."""
        self.pause = pause
        self._reader = reader
        self._streams = streams
        self._client = client
        self._record = record
        self._thread = thread
        self._message_id = message_id
        self._uploads = uploads
        self._rate_limits = rate_limits
        self._may_have_posted = resumed  # Slack may have a message of this reply that is not recorded
        self._posted: list[PostedMessage] | None = None
        self._place: ReplyPlace | None = None
        self._status = ""
        self._session_status = "active"  # status of the agent session
        self._stream_ts = ""  # ts of the message that is streamed now
        self._streamed_text = ""
        self._may_stream = True
        self._language = "en"
        self._unconfirmed_text = ""  # first text of a stream whose start Slack did not confirm

    async def put(self, view: View) -> None:
        """Make the messages match the view. Raises Unreachable and the errors of slack_sdk."""
        self._language = view.language or "en"
        try:
            await self._put(view)
        except SlackApiError as error:
            if (why := error_code(error)) in UNREACHABLE_ERRORS:
                raise Unreachable(_REASONS.get(why, "place-closed")) from error
            raise

    async def _put(self, view: View) -> None:
        messages = self._load_posts()
        assert self._place
        if not view.final and not view.parts and self._place.thread_ts and not messages:
            await self._set_status(text(notice("slack-thinking"), view.language))
            return
        streamed = None if view.final else blocks.streamable_text(view)
        if streamed is not None and await self._stream_text(streamed):
            return
        await self._end_stream()
        await self._set_session("active")  # from here on the messages have a Stop button
        wanted = blocks.messages(view)
        if wanted and self._place.quote:
            wanted[0] = blocks.add_quote(wanted[0], self._place.quote)
        if not view.final and not self._may_update(wanted):
            return
        for nth, payload in enumerate(wanted):
            if nth < len(messages):
                await self._update(messages[nth], nth, payload)
            else:
                await self._post(messages, nth, payload)
        while len(messages) > len(wanted):
            await self._delete(len(messages) - 1, messages.pop())

    def _load_posts(self) -> list[PostedMessage]:
        if self._posted is None:
            self._place = ReplyPlace.parse(self._record.reply_place(self._message_id))
            self._posted = [PostedMessage(post.id.split("/")[2]) for post in self._record.posts_of(self._message_id)]
        return self._posted

    def _may_update(self, payloads: list[MessagePayload]) -> bool:
        """Return whether the rate limit leaves room for an update that could be skipped: progress or a new image.

        The first message is always posted: it has the buttons, and the next update may be far off.
        """
        assert self._posted is not None
        if not self._posted:
            return True
        known = [picture.digest for each in self._posted if each.payload for picture in each.payload.pictures]
        has_new_image = [picture.digest for payload in payloads for picture in payload.pictures] != known
        return self._rate_limits.allows(
            "chat.update", self._thread.space, share=PICTURE_SHARE if has_new_image else PROGRESS_SHARE
        )

    # Before the reply has text or images

    async def _set_status(self, status: str) -> None:
        assert self._place
        if status == self._status:
            return
        self._status = status
        await self._set_session("processing")
        if self._rate_limits.allows("assistant.threads.setStatus", self._thread.space):
            with suppress(SlackApiError):  # without the permission, only the status line is missing
                await self._call(
                    "assistant.threads.setStatus",
                    channel_id=self._place.channel, thread_ts=self._place.thread_ts, status=status,
                )  # fmt: skip

    # While the reply has only text

    async def _stream_text(self, text: str) -> bool:
        """Show the text as a native stream. Return False if Slack cannot stream this reply, or not any more.

        If a user presses Slack's own stop button, the stream ends here; the event of the press may end the reply.
        """
        assert self._place
        direct = not self._place.thread_ts or self._thread.thread == DIRECT
        if not self._may_stream or not text or self._posted or direct or len(text) > MOST_STREAMED:
            return False
        more = text[len(self._streamed_text) :] if text.startswith(self._streamed_text) else ""
        try:
            if not self._stream_ts:
                if self._may_have_posted or not self._rate_limits.allows("chat.startStream", self._thread.space):
                    self._may_stream = False
                    return False
                await self._start_stream(text)
            elif more and self._rate_limits.allows("chat.appendStream", self._thread.space, share=PROGRESS_SHARE):
                await self._call(
                    "chat.appendStream", channel=self._place.channel, ts=self._stream_ts, markdown_text=more
                )
                self._streamed_text = text
        except API_ERRORS as error:
            log.info("a stream ended early: %s", error_code(error))
            self._may_stream = False
            if not self._stream_ts and not isinstance(error, SlackApiError):
                self._may_have_posted, self._unconfirmed_text = True, text  # the stream may have started
            return False
        return True

    async def _start_stream(self, text: str) -> None:
        assert self._place
        began = await self._call(
            "chat.startStream",
            channel=self._place.channel, thread_ts=self._place.thread_ts, markdown_text=text,
            recipient_user_id=self._place.user, recipient_team_id=self._thread.space,
        )  # fmt: skip
        self._stream_ts, self._streamed_text = str(began["ts"]), text
        self._record_post(0, PostedMessage(self._stream_ts), None)
        self._streams[self._place.channel, self._stream_ts] = self._message_id
        await self._set_session("processing")

    async def _set_session(self, status: str) -> None:
        """Set the status of the agent session: Slack shows its stop button during `processing`. Agent apps only."""
        assert self._place
        if status == self._session_status or not self._place.thread_ts:
            return
        self._session_status = status
        if status == "active":
            self._streams.pop((self._place.channel, self._place.thread_ts), None)
        else:
            self._streams[self._place.channel, self._place.thread_ts] = self._message_id
        if self._rate_limits.allows("agents.sessions.setStatus", self._thread.space):
            with suppress(*API_ERRORS):
                await self._call(
                    "agents.sessions.setStatus",
                    channel_id=self._place.channel, thread_ts=self._place.thread_ts, status=status,
                )  # fmt: skip

    async def _end_stream(self) -> None:
        """Close the stream before the wait for an image: Slack ends long streams."""
        if not self._stream_ts:
            return
        assert self._place
        assert self._posted is not None
        ts, self._stream_ts, self._may_stream = self._stream_ts, "", False
        self._posted.append(PostedMessage(ts))
        self._streams.pop((self._place.channel, ts), None)
        with suppress(*API_ERRORS):  # the stream has ended, or the next update reports the error
            await self._call("chat.stopStream", channel=self._place.channel, ts=ts)

    # Messages

    async def _update(self, posted: PostedMessage, nth: int, payload: MessagePayload) -> None:
        assert self._place
        if posted.is_deleted or posted.payload == payload:
            return
        try:
            await self._send("chat.update", payload, channel=self._place.channel, ts=posted.ts)
        except SlackApiError as error:
            if error_code(error) in DELETED_ERRORS:
                posted.is_deleted = True
                return
            if error_code(error) != "streaming_state_conflict":
                raise
            await self._call("chat.stopStream", channel=self._place.channel, ts=posted.ts)  # old process
            await self._send("chat.update", payload, channel=self._place.channel, ts=posted.ts)
        self._record_post(nth, posted, payload)

    async def _post(self, own_messages: list[PostedMessage], nth: int, payload: MessagePayload) -> None:
        assert self._place
        if self._may_have_posted:
            await self._find_unconfirmed(own_messages)
            self._may_have_posted = False
            if nth < len(own_messages):
                await self._update(own_messages[nth], nth, payload)
                return
        metadata = {"event_type": METADATA_TYPE, "event_payload": {"id": self._message_id, "nth": nth}}
        arguments: dict[str, Any] = {"channel": self._place.channel, "metadata": metadata}
        if self._place.thread_ts:
            arguments["thread_ts"] = self._place.thread_ts
        try:
            posted = await self._send("chat.postMessage", payload, **arguments, unfurl_links=False, unfurl_media=False)
        except (aiohttp.ClientError, TimeoutError):
            self._may_have_posted = True  # Slack may have posted the message
            raise
        own_messages.append(PostedMessage(str(posted["ts"])))
        self._record_post(nth, own_messages[nth], payload)

    async def _find_unconfirmed(self, own_messages: list[PostedMessage]) -> None:
        """Find messages of this reply that Slack did not confirm: by their metadata, or a stream by its text."""
        assert self._place
        asked = _TIMESTAMP.search(self._message_id)
        since = {"oldest": asked[1]} if asked else {}
        try:
            replies = self._reader.replies(
                self._thread.space, self._place.channel, self._place.thread_ts, include_all_metadata=True, **since
            )
            async with aclosing(replies) as messages:
                found = [each async for each in messages if each.get("bot_id")]
        except SlackApiError as error:
            log.info("could not look for posted messages: %s", error_code(error))
            return
        known = {each.ts for each in own_messages}
        for message in sorted(found, key=lambda each: float(each["ts"])):
            if message["ts"] not in known and self._is_unconfirmed(message, len(own_messages)):
                own_messages.append(PostedMessage(str(message["ts"])))
                self._record_post(len(own_messages) - 1, own_messages[-1], None)

    def _is_unconfirmed(self, message: Mapping[str, Any], nth: int) -> bool:
        metadata = message.get("metadata") or {}
        payload = metadata.get("event_payload") or {}
        ours = metadata.get("event_type") == METADATA_TYPE and payload.get("id") == self._message_id
        streamed = nth == 0 and self._unconfirmed_text and not metadata and not message.get("blocks")
        return bool(
            (ours and payload.get("nth") == nth) or (streamed and message.get("text") == self._unconfirmed_text)
        )

    async def _send(self, method: str, payload: MessagePayload, **arguments: Any) -> Any:
        """Send a message with its images as Slack files; a note replaces an image that Slack does not take."""
        files: dict[str, str | None] = {}
        for picture in payload.pictures:
            files[picture.digest] = await self._uploads.upload(picture, self._thread)
        for wait in (*self._uploads.waits, None):
            try:
                return await self._call(
                    method, text=payload.text, blocks=self._fill_placeholders(payload, files), **arguments
                )
            except SlackApiError as error:
                if not any(files.values()) or error_code(error) not in NOT_READY_ERRORS:
                    raise
            if wait is not None:
                await asyncio.sleep(wait)
        for digest in files:
            self._uploads.forget(digest)
        return await self._call(method, text=payload.text, blocks=self._fill_placeholders(payload, {}), **arguments)

    def _fill_placeholders(self, payload: MessagePayload, files: Mapping[str, str | None]) -> list[Block]:
        filled, lost = list[Block](), False
        for block in payload.blocks:
            if not isinstance(block, PicturePlaceholder):
                filled.append(block)
            elif file := files.get(block.picture.digest):
                filled.append(blocks.image(block.picture, file, self._language))
            else:
                filled.append(blocks.missing_picture(block.picture, self._language))
                lost = True
        return [*filled, blocks.retry_button(self._message_id, self._language)] if lost else filled

    async def _delete(self, nth: int, posted: PostedMessage) -> None:
        assert self._place
        with suppress(SlackApiError):  # a user may have deleted the message
            await self._call("chat.delete", channel=self._place.channel, ts=posted.ts)
        self._record.delete_post(self._message_id, nth)

    def _record_post(self, nth: int, posted: PostedMessage, payload: MessagePayload | None) -> None:
        numbers = [picture.number for picture in payload.pictures] if payload else []
        if posted.payload is None or [picture.number for picture in posted.payload.pictures] != numbers:
            post = Post(post_id(self._thread.channel, posted.ts), numbers[-1] if numbers else None)
            self._record.save_post(self._message_id, nth, post, self._thread)
        posted.payload = payload

    async def _call(self, method: str, **arguments: Any) -> Any:
        await self._rate_limits.acquire(method, self._thread.space, self._thread.channel)
        return await self._client.api_call(method, json=arguments)


_REASONS = {
    "not_in_channel": "slack-not-in-channel",
    "is_archived": "slack-archived",
    "token_revoked": "slack-token-revoked",
    "missing_scope": "slack-missing-scope",
}
