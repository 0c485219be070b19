"""The context of the Discord handlers: the objects that they use, and the state that they share."""

import logging
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import discord

from adapters.discord.attachments import PictureFinder
from adapters.discord.parse import PLATFORM, post_id
from adapters.discord.reply_place import ReplyPlace
from bot.domain import Incoming, PlaceRemoved, ThreadKey
from bot.errors import BotError
from bot.ports import Archive, Inbox, PostStore

log = logging.getLogger(__name__)

MAX_CHOSEN_MESSAGES = 500  # messages chosen in menus


class ChosenMessages(OrderedDict[str, discord.Message]):
    """The messages that users chose in menus recently, for the forms that ask what to do with a message."""

    def add(self, message: discord.Message) -> str:
        """Add a message and return its key; drops the oldest messages above `MAX_CHOSEN_MESSAGES`."""
        key = f"{message.channel.id}.{message.id}"
        self[key] = message
        while len(self) > MAX_CHOSEN_MESSAGES:
            self.popitem(last=False)
        return key


@dataclass
class Context:
    """What an event handler may use. `client` is for the cache and the requests of discord.py only."""

    client: discord.Client
    inbox: Inbox
    archive: Archive
    record: PostStore
    picture_finder: PictureFinder
    chosen_messages: ChosenMessages = field(default_factory=ChosenMessages)
    own_event_ids: set[str] = field(default_factory=set)  # ids of the events that this process accepted

    async def hand_over(self, event: Incoming, place: ReplyPlace | None = None) -> str:
        """Hand an event to the inbox, and record where its reply is shown. Raises BotError."""
        if place is not None and not isinstance(event, PlaceRemoved):
            self.record.save_place(event.id, str(place))
            self.own_event_ids.add(event.id)
        return await self.inbox.accept(event)

    def find_post(self, channel: int | str, message: int | str) -> tuple[ThreadKey, int | None] | None:
        """Return the thread of a post of the bot and the number of its image; None if the bot did not post it."""
        return self.record.find_post(post_id(channel, message))

    def record_category(self, channel: Any) -> None:
        """Record the current category of a channel, or of the parent channel of a thread."""
        channel = getattr(channel, "parent", None) or channel
        if isinstance(channel, discord.abc.GuildChannel):
            key = ThreadKey(PLATFORM, str(channel.guild.id), str(channel.id), "")
            try:
                self.record.set_category(key, str(channel.category.id) if channel.category else "")
            except BotError as error:  # for example, the disk is full: the category recorded before still applies
                log.warning("the category of channel %s could not be recorded: %s", channel.id, error)
