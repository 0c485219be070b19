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

from adapters.slack import blocks as draw
from adapters.slack.api_errors import FAULTS, code
from adapters.slack.blocks import Block, Card, Shot
from adapters.slack.files import Uploads
from adapters.slack.history import Reader
from adapters.slack.parse import DIRECT, post_id
from adapters.slack.rate_limits import Budget
from bot.domain import Post, ThreadKey, View
from bot.errors import Unreachable
from bot.ports import Record

log = logging.getLogger(__name__)

PAUSE = 1.2  # seconds between two views of a reply
FOR_PROGRESS, FOR_PICTURES = 0.5, 0.7  # share of a rate limit for updates before a reply is final
MOST_STREAMED = 11_500  # characters; a longer text needs several messages
REPLY = "mini_reply"  # event type in the metadata of a message, which finds the messages of a reply again
NOT_READY = ("invalid_blocks", "slack_file")
GONE = (
    "channel_not_found", "not_in_channel", "is_archived", "account_inactive", "token_revoked", "invalid_auth",
    "missing_scope", "restricted_action", "restricted_action_thread_locked", "cannot_reply_to_message", "msg_too_long",
    "access_denied", "team_access_not_granted", "no_permission", "ekm_access_denied",
)  # fmt: skip
_WHEN = re.compile(r"-(\d{1,12}\.\d{1,9})$")
DELETED = ("message_not_found", "cant_update_message", "thread_not_found")


Streams = dict[tuple[str, str], str]  # channel, and ts of a stream or of its thread -> message id of the reply


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a reply. `thread_ts` is empty in a direct conversation outside any thread. `user` is who asked.

    `quote` is the text that the user wrote into a form, which nobody else saw.
    """

    channel: str
    thread_ts: str
    asker: str
    quoted: str = ""

    def __str__(self) -> str:
        return json.dumps([self.channel, self.thread_ts, self.asker, *filter(None, [self.quoted])])

    @classmethod
    def parse(cls, told: str) -> "Place":
        """Parse the output of `str`. Raises Unreachable for an empty text: no place was stored."""
        if not told:
            raise Unreachable("It is not known any more where this was asked.")
        return cls(*json.loads(told))


@dataclass(slots=True)
class Shown:
    """A posted message and its content; `payload` is None if the content is not known."""

    ts: str
    card: Card | None = None
    gone: bool = False


class ThreadSurface:
    """Shows a reply as messages of the bot in a thread or a direct conversation."""

    pause = PAUSE

    def __init__(
        self,
        client: AsyncWebClient,
        record: Record,
        thread: ThreadKey,
        message_id: str,
        *,
        uploads: Uploads,
        budget: Budget,
        reader: Reader,
        streams: Streams,
        resumed: bool,
    ) -> None:
        """`resumed` is true for a reply that another process of the bot may have begun to show."""
        self._reader = reader
        self._streams = streams
        self._client = client
        self._record = record
        self._thread = thread
        self._message_id = message_id
        self._uploads = uploads
        self._budget = budget
        self._unsure = resumed  # Slack may have a message of this reply that is not recorded
        self._shown: list[Shown] | None = None
        self._place: Place | None = None
        self._status = ""
        self._said = "active"  # status of the agent session
        self._stream = ""  # ts of the message that is streamed now
        self._streamed = ""
        self._may_stream = True
        self._began = ""  # first text of a stream whose start Slack did not confirm

    async def put(self, view: View) -> None:
        """Make the messages match the view. Raises Unreachable and the errors of slack_sdk."""
        try:
            await self._put(view)
        except SlackApiError as error:
            if (why := code(error)) in GONE:
                raise Unreachable(_WHY.get(why, "The place where it was asked is closed to me.")) from error
            raise

    async def _put(self, view: View) -> None:
        shown = self._begun()
        assert self._place
        if not view.final and not view.parts and self._place.thread_ts and not shown:
            await self._say_status(view.status)
            return
        said = None if view.final else draw.words(view)
        if said is not None and await self._streaming(said):
            return
        await self._end_stream()
        await self._session("active")  # from here on the messages have a Stop button
        wanted = draw.cards(view)
        if wanted and self._place.quoted:
            wanted[0] = draw.below_quote(wanted[0], self._place.quoted)
        if not view.final and not self._may_show(wanted):
            return
        for nth, card in enumerate(wanted):
            if nth < len(shown):
                await self._match(shown[nth], nth, card)
            else:
                await self._post(shown, nth, card)
        while len(shown) > len(wanted):
            await self._take_back(len(shown) - 1, shown.pop())

    def _begun(self) -> list[Shown]:
        if self._shown is None:
            self._place = Place.parse(self._record.place(self._message_id))
            self._shown = [Shown(post.id.split("/")[2]) for post in self._record.of(self._message_id)]
        return self._shown

    def _may_show(self, wanted: list[Card]) -> bool:
        """Return whether the rate limit leaves room for an update that could be skipped: progress or a new image.

        The first message is always posted: it has the buttons, and the next update may be far off.
        """
        assert self._shown is not None
        if not self._shown:
            return True
        known = [picture.digest for each in self._shown if each.card for picture in each.card.pictures]
        news = [picture.digest for card in wanted for picture in card.pictures] != known
        return self._budget.has("chat.update", self._thread.space, share=FOR_PICTURES if news else FOR_PROGRESS)

    # Before the reply has text or images

    async def _say_status(self, status: str) -> None:
        assert self._place
        if status == self._status:
            return
        self._status = status
        await self._session("processing")
        if self._budget.has("assistant.threads.setStatus", self._thread.space):
            with suppress(SlackApiError):  # without the permission, only the status line is missing
                await self._call(
                    "assistant.threads.setStatus",
                    channel_id=self._place.channel, thread_ts=self._place.thread_ts, status=f"is {status.lower()}",
                )  # fmt: skip

    # While the reply has only text

    async def _streaming(self, said: str) -> bool:
        """Show the text as a native stream. Return False if Slack cannot stream this reply, or not any more.

        If a user presses Slack's own stop button, the stream ends here; the event of the press may end the reply.
        """
        assert self._place
        direct = not self._place.thread_ts or self._thread.thread == DIRECT
        if not self._may_stream or not said or self._shown or direct or len(said) > MOST_STREAMED:
            return False
        more = said[len(self._streamed) :] if said.startswith(self._streamed) else ""
        try:
            if not self._stream:
                if self._unsure or not self._budget.has("chat.startStream", self._thread.space):
                    self._may_stream = False
                    return False
                await self._start(said)
            elif more and self._budget.has("chat.appendStream", self._thread.space, share=FOR_PROGRESS):
                await self._call("chat.appendStream", channel=self._place.channel, ts=self._stream, markdown_text=more)
                self._streamed = said
        except FAULTS as error:
            log.info("a stream ended early: %s", code(error))
            self._may_stream = False
            if not self._stream and not isinstance(error, SlackApiError):
                self._unsure, self._began = True, said  # the stream may have started
            return False
        return True

    async def _start(self, said: str) -> None:
        assert self._place
        began = await self._call(
            "chat.startStream",
            channel=self._place.channel, thread_ts=self._place.thread_ts, markdown_text=said,
            recipient_user_id=self._place.asker, recipient_team_id=self._thread.space,
        )  # fmt: skip
        self._stream, self._streamed = str(began["ts"]), said
        self._keep(0, Shown(self._stream), None)
        self._streams[self._place.channel, self._stream] = self._message_id
        await self._session("processing")

    async def _session(self, status: str) -> None:
        """Set the status of the agent session: Slack shows its stop button during `processing`. Agent apps only."""
        assert self._place
        if status == self._said or not self._place.thread_ts:
            return
        self._said = status
        if status == "active":
            self._streams.pop((self._place.channel, self._place.thread_ts), None)
        else:
            self._streams[self._place.channel, self._place.thread_ts] = self._message_id
        if self._budget.has("agents.sessions.setStatus", self._thread.space):
            with suppress(*FAULTS):
                await self._call(
                    "agents.sessions.setStatus",
                    channel_id=self._place.channel, thread_ts=self._place.thread_ts, status=status,
                )  # fmt: skip

    async def _end_stream(self) -> None:
        """Close the stream before the wait for an image: Slack ends long streams."""
        if not self._stream:
            return
        assert self._place
        assert self._shown is not None
        ts, self._stream, self._may_stream = self._stream, "", False
        self._shown.append(Shown(ts))
        self._streams.pop((self._place.channel, ts), None)
        with suppress(*FAULTS):  # the stream has ended, or the next update reports the error
            await self._call("chat.stopStream", channel=self._place.channel, ts=ts)

    # Messages

    async def _match(self, shown: Shown, nth: int, card: Card) -> None:
        assert self._place
        if shown.gone or shown.card == card:
            return
        try:
            await self._write("chat.update", card, channel=self._place.channel, ts=shown.ts)
        except SlackApiError as error:
            if code(error) in DELETED:
                shown.gone = True
                return
            if code(error) != "streaming_state_conflict":
                raise
            await self._call("chat.stopStream", channel=self._place.channel, ts=shown.ts)  # old process
            await self._write("chat.update", card, channel=self._place.channel, ts=shown.ts)
        self._keep(nth, shown, card)

    async def _post(self, shown: list[Shown], nth: int, card: Card) -> None:
        assert self._place
        if self._unsure:
            await self._look_for(shown)
            self._unsure = False
            if nth < len(shown):
                await self._match(shown[nth], nth, card)
                return
        metadata = {"event_type": REPLY, "event_payload": {"id": self._message_id, "nth": nth}}
        arguments: dict[str, Any] = {"channel": self._place.channel, "metadata": metadata}
        if self._place.thread_ts:
            arguments["thread_ts"] = self._place.thread_ts
        try:
            posted = await self._write("chat.postMessage", card, **arguments, unfurl_links=False, unfurl_media=False)
        except (aiohttp.ClientError, TimeoutError):
            self._unsure = True  # Slack may have posted the message
            raise
        shown.append(Shown(str(posted["ts"])))
        self._keep(nth, shown[nth], card)

    async def _look_for(self, shown: list[Shown]) -> None:
        """Find messages of this reply that Slack did not confirm: by their metadata, or a stream by its text."""
        assert self._place
        asked = _WHEN.search(self._message_id)
        since = {"oldest": asked[1]} if asked else {}
        try:
            replies = self._reader.replies(
                self._thread.space, self._place.channel, self._place.thread_ts, include_all_metadata=True, **since
            )
            async with aclosing(replies) as messages:
                found = [each async for each in messages if each.get("bot_id")]
        except SlackApiError as error:
            log.info("could not look for posted messages: %s", code(error))
            return
        known = {each.ts for each in shown}
        for message in sorted(found, key=lambda each: float(each["ts"])):
            if message["ts"] not in known and self._is_next(message, len(shown)):
                shown.append(Shown(str(message["ts"])))
                self._keep(len(shown) - 1, shown[-1], None)

    def _is_next(self, message: Mapping[str, Any], nth: int) -> bool:
        metadata = message.get("metadata") or {}
        payload = metadata.get("event_payload") or {}
        ours = metadata.get("event_type") == REPLY and payload.get("id") == self._message_id
        streamed = nth == 0 and self._began and not metadata and not message.get("blocks")
        return bool((ours and payload.get("nth") == nth) or (streamed and message.get("text") == self._began))

    async def _write(self, method: str, card: Card, **arguments: Any) -> Any:
        """Send a message with its images as Slack files; a note replaces an image that Slack does not take."""
        files: dict[str, str | None] = {}
        for picture in card.pictures:
            files[picture.digest] = await self._uploads.file(picture, self._thread)
        for wait in (*self._uploads.waits, None):
            try:
                return await self._call(method, text=card.text, blocks=self._filled(card, files), **arguments)
            except SlackApiError as error:
                if not any(files.values()) or code(error) not in NOT_READY:
                    raise
            if wait is not None:
                await asyncio.sleep(wait)
        for digest in files:
            self._uploads.forget(digest)
        return await self._call(method, text=card.text, blocks=self._filled(card, {}), **arguments)

    def _filled(self, card: Card, files: Mapping[str, str | None]) -> list[Block]:
        blocks, lost = list[Block](), False
        for block in card.blocks:
            if not isinstance(block, Shot):
                blocks.append(block)
            elif file := files.get(block.picture.digest):
                blocks.append(draw.image(block.picture, file))
            else:
                blocks.append(draw.lost(block.picture))
                lost = True
        return [*blocks, draw.again(self._message_id)] if lost else blocks

    async def _take_back(self, nth: int, shown: Shown) -> None:
        assert self._place
        with suppress(SlackApiError):  # a user may have deleted the message
            await self._call("chat.delete", channel=self._place.channel, ts=shown.ts)
        self._record.drop(self._message_id, nth)

    def _keep(self, nth: int, shown: Shown, card: Card | None) -> None:
        numbers = [picture.number for picture in card.pictures] if card else []
        if shown.card is None or [picture.number for picture in shown.card.pictures] != numbers:
            post = Post(post_id(self._thread.channel, shown.ts), numbers[-1] if numbers else None)
            self._record.keep(self._message_id, nth, post, self._thread)
        shown.card = card

    async def _call(self, method: str, **arguments: Any) -> Any:
        await self._budget.take(method, self._thread.space, self._thread.channel)
        return await self._client.api_call(method, json=arguments)


_WHY = {
    "not_in_channel": "I am not in that channel: /invite me there first.",
    "is_archived": "The channel is archived.",
    "token_revoked": "Slack has taken my token back.",
    "missing_scope": "I lack a permission in this workspace: see docs/slack.md for the scopes.",
}
