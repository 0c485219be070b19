"""Shows a reply where the bot is not a member: one message, editable through the interaction for 15 minutes."""

import time
from collections.abc import Callable
from typing import Any

import discord

from adapters.discord import payloads
from adapters.discord.api_errors import EXPIRED
from adapters.discord.parse import post_id
from adapters.discord.reply_place import ReplyPlace
from adapters.discord.surface import button_view, to_file
from adapters.image_file import fit_to_limit
from bot.domain import Picture, Post, ThreadKey, View
from bot.errors import Unreachable
from bot.ports import PostStore

FILE_LIMIT = 10 * 2**20  # bytes of one file, in any channel; Discord docs, reference
PAUSE = 2.0  # seconds between two updates


class UserInstallSurface:
    """A reply as the single response to an interaction."""

    pause = PAUSE

    def __init__(
        self,
        client: discord.Client,
        record: PostStore,
        thread: ThreadKey,
        message_id: str,
        read: Callable[[str], bytes],
    ) -> None:
        self._client = client
        self._record = record
        self._thread = thread
        self._message_id = message_id
        self._read = read
        self._posted: payloads.SingleMessagePayload | None = None

    async def put(self, view: View) -> None:
        """Make the message match the view. Raises Unreachable if the interaction expired or the message was deleted."""
        wanted = payloads.single_message(view, time.time())
        if wanted == self._posted:
            return
        place = ReplyPlace.parse(self._record.reply_place(self._message_id))
        assert self._client.application_id
        webhook = discord.Webhook.partial(self._client.application_id, place.token, client=self._client)
        changed: dict[str, Any] = {"content": wanted.content or "…", "view": button_view(wanted.rows)}
        if self._posted is None or self._posted.pictures != wanted.pictures:
            changed["attachments"] = [file for picture in wanted.pictures if (file := self._to_file(picture))]
        try:
            message = await webhook.edit_message("@original", **changed)  # type: ignore[call-overload]
        except discord.HTTPException as error:
            if error.code in EXPIRED:
                raise Unreachable("discord-answer-closed") from error
            raise
        if self._posted is None or view.final:
            numbers = [picture.number for picture in wanted.pictures]
            post = Post(post_id(place.channel, message.id), numbers[-1] if numbers else None)
            self._record.save_post(self._message_id, 0, post, self._thread)
        self._posted = wanted

    def _to_file(self, picture: Picture) -> discord.File | None:
        try:
            upload = fit_to_limit(self._read(picture.digest), FILE_LIMIT)
        except OSError:
            return None
        return to_file(picture, upload) if upload else None
