"""One reply on Slack: a status, then a stream of words, then messages with words and pictures in order."""

import asyncio
import json
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack import draw
from adapters.slack.budget import Budget
from adapters.slack.draw import Block, Card, Shot
from adapters.slack.files import Uploads
from adapters.slack.parse import DIRECT, post_id
from bot.domain import Post, ThreadKey, View
from bot.errors import Unreachable

log = logging.getLogger(__name__)

PAUSE = 1.2  # seconds between two views of a reply
FOR_PROGRESS = 0.7  # the share of a method's budget that progress may use
REPLY = "mini_reply"  # the metadata's type by which a message of a reply is found again
NOT_READY = ("invalid_blocks", "slack_file")
GONE = (
    "channel_not_found", "not_in_channel", "is_archived", "account_inactive", "token_revoked", "invalid_auth",
    "missing_scope", "restricted_action", "restricted_action_thread_locked", "cannot_reply_to_message", "msg_too_long",
    "access_denied", "team_access_not_granted", "no_permission", "ekm_access_denied",
)  # fmt: skip
DELETED = ("message_not_found", "cant_update_message", "thread_not_found")


class Record(Protocol):
    """What of the posts survives a restart."""

    def place(self, message_id: str) -> str: ...  # noqa: D102
    def open(self, message_id: str, place: str) -> None: ...  # noqa: D102
    def of(self, message_id: str) -> list[Post]: ...  # noqa: D102
    def keep(self, message_id: str, nth: int, post: Post, thread: ThreadKey) -> None: ...  # noqa: D102
    def drop(self, message_id: str, nth: int) -> None: ...  # noqa: D102
    def shows(self, post_id: str) -> tuple[ThreadKey, int | None] | None: ...  # noqa: D102
    def mark(self, name: str) -> str: ...  # noqa: D102
    def note(self, name: str, value: str) -> None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Place:
    """Where a reply is shown: `thread_ts` is empty in a direct conversation outside any thread. `asker` is a user."""

    channel: str
    thread_ts: str
    asker: str

    def __str__(self) -> str:
        return json.dumps([self.channel, self.thread_ts, self.asker])

    @classmethod
    def parse(cls, told: str) -> "Place":
        """The place that `str` printed. Raises Unreachable if there never was one."""
        if not told:
            raise Unreachable("It is not known any more where this was asked.")
        return cls(*json.loads(told))


@dataclass(slots=True)
class Shown:
    """A posted message and how it looks; None if that is not known."""

    ts: str
    card: Card | None = None
    gone: bool = False


class ThreadSurface:
    """A reply as messages of the bot in a thread or a direct conversation."""

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
        resumed: bool,
    ) -> None:
        """`resumed` is for a reply that an earlier bot began."""
        self._client = client
        self._record = record
        self._thread = thread
        self._message_id = message_id
        self._uploads = uploads
        self._budget = budget
        self._unsure = resumed  # a message of ours may be there of which nothing is known
        self._shown: list[Shown] | None = None
        self._place: Place | None = None
        self._status = ""
        self._stream = ""  # the ts of a message that is being streamed
        self._streamed = ""
        self._streams = True

    async def put(self, view: View) -> None:
        """Make the messages match. Raises Unreachable, and what slack_sdk raises."""
        try:
            await self._put(view)
        except SlackApiError as error:
            code = _code(error)
            if code in GONE:
                raise Unreachable(_WHY.get(code, "The place where it was asked is closed to me.")) from error
            raise

    async def _put(self, view: View) -> None:
        shown = self._begun()
        if not view.final and not view.parts:
            await self._say_status(view.status)
            return
        said = None if view.final else draw.words(view)
        if said is not None and await self._streaming(said):
            return
        await self._end_stream()
        wanted = draw.cards(view)
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
        """Whether there is room for progress, which nobody misses; what changes the pictures is shown in any case."""
        assert self._shown is not None
        known = [picture.digest for each in self._shown if each.card for picture in each.card.pictures]
        news = [picture.digest for card in wanted for picture in card.pictures] != known
        method = "chat.update" if self._shown else "chat.postMessage"
        return news or self._budget.has(method, self._thread.space, self._thread.channel, FOR_PROGRESS)

    # Before there is anything to show

    async def _say_status(self, status: str) -> None:
        assert self._place
        if status == self._status or not self._place.thread_ts:
            return
        self._status = status
        if self._budget.has("assistant.threads.setStatus", self._thread.space):
            with suppress(SlackApiError):  # where it is not allowed, nothing is missing but a sign of life
                await self._call(
                    "assistant.threads.setStatus",
                    channel_id=self._place.channel, thread_ts=self._place.thread_ts, status=f"is {status.lower()}",
                )  # fmt: skip

    # While there are words alone

    async def _streaming(self, said: str) -> bool:
        """Show the words as they come, where Slack can; False where it cannot, or not any more."""
        assert self._place
        if not self._streams or not said or self._shown or not self._place.thread_ts or self._thread.thread == DIRECT:
            return False
        more = said[len(self._streamed) :] if said.startswith(self._streamed) else ""
        try:
            if not self._stream:
                if self._unsure or not self._budget.has("chat.startStream", self._thread.space):
                    self._streams = False
                    return False
                await self._start(said)
            elif more and self._budget.has("chat.appendStream", self._thread.space, share=FOR_PROGRESS):
                await self._call("chat.appendStream", channel=self._place.channel, ts=self._stream, markdown_text=more)
                self._streamed = said
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
            log.info("a stream ended early: %s", _code(error))
            self._streams = False
            self._unsure = self._unsure or not self._stream
            if _code(error) == "stopped_by_user":
                raise Unreachable("Stopped in Slack.") from error
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
        await self._session("processing")

    async def _session(self, status: str) -> None:
        """Have Slack offer to stop while words come, which have no buttons yet; only apps that are agents may."""
        assert self._place
        if self._budget.has("agents.sessions.setStatus", self._thread.space):
            with suppress(SlackApiError, aiohttp.ClientError, TimeoutError):
                await self._call(
                    "agents.sessions.setStatus",
                    channel_id=self._place.channel, thread_ts=self._place.thread_ts, status=status,
                )  # fmt: skip

    async def _end_stream(self) -> None:
        """Close the stream before a picture is waited for: Slack lets none live for long."""
        if not self._stream:
            return
        assert self._place
        assert self._shown is not None
        ts, self._stream, self._streams = self._stream, "", False
        self._shown.append(Shown(ts))
        with suppress(SlackApiError, aiohttp.ClientError, TimeoutError):  # it ended by itself, or the update tells
            await self._call("chat.stopStream", channel=self._place.channel, ts=ts)
        await self._session("active")

    # Messages

    async def _match(self, shown: Shown, nth: int, card: Card) -> None:
        assert self._place
        if shown.gone or shown.card == card:
            return
        try:
            await self._write("chat.update", card, channel=self._place.channel, ts=shown.ts)
        except SlackApiError as error:
            code = _code(error)
            if code in DELETED:
                shown.gone = True
                return
            if code == "streaming_state_conflict":
                await self._call("chat.stopStream", channel=self._place.channel, ts=shown.ts)
            raise
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
            self._unsure = True  # it may be there for all that
            raise
        shown.append(Shown(str(posted["ts"])))
        self._keep(nth, shown[nth], card)

    async def _look_for(self, shown: list[Shown]) -> None:
        """Find messages of this reply that were posted without an answer coming back, by their metadata."""
        assert self._place
        method = "conversations.replies" if self._place.thread_ts else "conversations.history"
        arguments: dict[str, Any] = {"channel": self._place.channel, "limit": 100, "include_all_metadata": True}
        if self._place.thread_ts:
            arguments["ts"] = self._place.thread_ts
        try:
            found = await self._call(method, **arguments)
        except SlackApiError as error:
            log.info("what was posted cannot be looked up: %s", _code(error))
            return
        known = {each.ts for each in shown}
        for message in sorted(found.get("messages") or (), key=lambda each: float(each["ts"])):
            metadata = message.get("metadata") or {}
            payload = metadata.get("event_payload") or {}
            ours = metadata.get("event_type") == REPLY and payload.get("id") == self._message_id
            if ours and payload.get("nth") == len(shown) and message["ts"] not in known:
                shown.append(Shown(str(message["ts"])))
                self._keep(len(shown) - 1, shown[-1], None)

    async def _write(self, method: str, card: Card, **arguments: Any) -> Any:
        """Write a card, with each picture as a file that Slack has."""
        files = {picture.digest: await self._uploads.file(picture, self._thread) for picture in card.pictures}
        blocks = [_filled(block, files) for block in card.blocks]
        for wait in (*self._uploads.waits, None):
            try:
                return await self._call(method, text=card.text, blocks=blocks, **arguments)
            except SlackApiError as error:
                if not files or _code(error) not in NOT_READY:
                    raise
                if wait is None:  # Slack never takes this file: the words come without it
                    for digest in files:
                        self._uploads.forget(digest)
                    blocks = [_filled(block, {}) for block in card.blocks]
                    return await self._call(method, text=card.text, blocks=blocks, **arguments)
                await asyncio.sleep(wait)
        raise AssertionError

    async def _take_back(self, nth: int, shown: Shown) -> None:
        assert self._place
        with suppress(SlackApiError):
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


def _filled(block: "Block | Shot", files: dict[str, str | None]) -> Block:
    if not isinstance(block, Shot):
        return block
    file = files.get(block.picture.digest)
    return draw.image(block.picture, file) if file else draw.lost(block.picture)


def _code(error: Exception) -> str:
    """What Slack says is wrong; for what is no answer of Slack's, what kind of fault it is."""
    if isinstance(error, SlackApiError):
        response = error.response
        return str(response.get("error", "")) if hasattr(response, "get") else str(response)
    return type(error).__name__


_WHY = {
    "not_in_channel": "I am not in that channel: /invite me there first.",
    "is_archived": "The channel is archived.",
    "token_revoked": "Slack has taken my token back.",
    "missing_scope": "I lack a permission in this workspace: see docs/slack.md for the scopes.",
}
