"""Handles Slack events: converts them to events and commands of the inbox, and answers the user."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack import parse
from adapters.slack.api_errors import API_ERRORS, error_code
from adapters.slack.ephemeral import EphemeralMessages
from adapters.slack.files import Downloads
from adapters.slack.history import ThreadReader
from adapters.slack.parse import DIRECT, MessageRef, SlackMessage
from adapters.slack.rate_limits import RateLimits
from adapters.slack.surface import ReplyPlace, Streams
from adapters.slack.users import Users
from bot.domain import (
    NEW_REPLY_ACTIONS,
    Action,
    ButtonPress,
    ImagineCommand,
    Incoming,
    Message,
    MessageDeleted,
    MessageEdited,
    Person,
    ThreadKey,
)
from bot.errors import INTERNAL_ERROR, BotError, NotAllowed, Refused
from bot.i18n import localized
from bot.notices import Notice, notice
from bot.notices import text as to_text
from bot.ports import Archive, Inbox, PostStore, Surface
from bot.settings.values import Command, CommandResponse, SettingsPanel

log = logging.getLogger(__name__)

SECOND_DELIVERY_TIMEOUT = 1.0  # seconds to wait for the `message` event of a mention, which has the files
MAX_SEEN_IDS = 10_000  # message ids


@dataclass
class EventHandlers:
    """Handles the events of one workspace. `surface` returns the surface of a reply, by its thread and message id.

    `second_delivery_timeout` is in seconds.
    """

    client: AsyncWebClient
    inbox: Inbox
    archive: Archive
    record: PostStore
    downloads: Downloads
    rate_limits: RateLimits
    bot_user: str
    surface: Callable[[ThreadKey, str], Surface]
    streams: Streams
    second_delivery_timeout: float = SECOND_DELIVERY_TIMEOUT
    is_revoked: bool = False
    seen_ids: dict[str, None] = field(default_factory=dict)  # message ids that this process received
    _second_deliveries: dict[str, "asyncio.Future[SlackMessage]"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.users = Users(self.client, self.rate_limits)
        self.ephemeral = EphemeralMessages(self.client, self.rate_limits)
        self.reader = ThreadReader(self.client, self.rate_limits, self.users, self.bot_user)

    # Messages

    async def on_mention(self, received: SlackMessage) -> None:
        """Handle an `app_mention` event.

        Slack may send a second event, `message`, for the same message, and only that event has the files: wait for it.
        """
        if not received.files and received.id not in self.seen_ids:
            second = self._second_deliveries.setdefault(received.id, asyncio.get_running_loop().create_future())
            done, _ = await asyncio.wait({second}, timeout=self.second_delivery_timeout)
            self._second_deliveries.pop(received.id, None)
            received = second.result() if done else received
        await self.handle_message(received)

    async def on_message(self, received: SlackMessage) -> None:
        """Handle a `message` event, which may be the second event of a mention."""
        second = self._second_deliveries.get(received.id)
        if second and not second.done():
            second.set_result(received)
            return
        await self.handle_message(received)

    async def handle_message(self, received: SlackMessage) -> None:
        """Answer the message once, if it is for the bot."""
        if received.id in self.seen_ids or self.archive.entry(received.id):
            return
        ours = self.archive.knows_thread(received.key)
        if not parse.may_concern(received, self.bot_user, ours):  # saves a users.info call
            return
        author = await self.users.person(received.user)
        reply_mode = self.inbox.settings(received.key, author).reply_mode
        if not parse.is_for_bot(received, self.bot_user, reply_mode, ours) or received.id in self.seen_ids:
            return
        self._remember(received.id)
        place = ReplyPlace(
            received.channel, "" if received.key.thread == DIRECT else received.thread_ts or received.ts, received.user
        )
        try:
            await self._answer(received, author, place, ours)
        except Exception:
            log.exception("a message was not handled because of a bug")
            await self.ephemeral.send(place, to_text(INTERNAL_ERROR, self.language(received.key, author)))

    async def _answer(self, received: SlackMessage, author: Person, place: ReplyPlace, is_own_thread: bool) -> None:
        text = parse.text(received.text, self.bot_user, await self.reader.mentioned_names(received.text))
        command = None if received.files else parse.command(text)
        if command:
            name, rest = command
            if name == "settings":
                _, rest = parse.command(parse.text_with_ids(received.text, self.bot_user)) or command
            response = await self.command(received.key, author, received.id, name, parse.arguments(name, rest))
            ref = MessageRef(received.team, received.channel, received.ts, place.thread_ts or received.ts)
            await self.ephemeral.send_answer(place, response, self.ephemeral.sender(place), str(ref))
            return
        pictures, notes = await self.downloads.fetch_pictures(received.files, received.team)
        earlier: Sequence[tuple[Person, str]] = ()
        if not is_own_thread:
            earlier, files = await self.reader.fetch_earlier(received)
            if not received.files:
                pictures, _ = await self.downloads.fetch_pictures(files, received.team)
        message = Message(received.id, received.key, author, text, tuple(pictures), earlier_messages=tuple(earlier))
        await self._submit(
            message, place, notes, is_addressed=received.is_direct or self.bot_user in parse.mentions(received.text)
        )

    async def _submit(
        self, message: Message, place: ReplyPlace, notes: list[Notice], *, is_addressed: bool = True
    ) -> None:
        """Give the message to the inbox, and send the notes to the user.

        A user who may not use the bot gets a note only if the message `is_addressed` to the bot, because users also
        talk to each other.
        """
        try:
            await self.hand_over(message, place)
        except NotAllowed as refused:
            notes[:] = [refused.notice] if is_addressed else []
        except BotError as refused:
            notes.append(refused.notice)
        if notes:
            await self.ephemeral.send(place, self._join(notes, message.thread, message.author))

    async def on_edit(self, channel: str, ts: str, raw: str) -> None:
        """Handle an edited message."""
        entry = self.archive.entry(parse.message_id(channel, ts))
        if entry:
            words = parse.text(raw, self.bot_user, await self.reader.mentioned_names(raw))
            await self.hand_over(MessageEdited(entry.id, entry.thread, words))

    async def on_delete(self, channel: str, ts: str) -> None:
        """Handle a deleted message."""
        entry = self.archive.entry(parse.message_id(channel, ts))
        if entry:
            await self.hand_over(MessageDeleted(entry.id, entry.thread))

    async def hand_over(self, event: Incoming, place: ReplyPlace | None = None) -> None:
        """Give the event to the inbox, and store the place of the reply to the event. Raises BotError."""
        if place is not None and isinstance(event, Message | ButtonPress | ImagineCommand):
            self.record.save_place(event.id, str(place))
            self._remember(event.id)
        await self.inbox.accept(event)

    def _remember(self, event_id: str) -> None:
        self.seen_ids[event_id] = None
        if len(self.seen_ids) > MAX_SEEN_IDS:
            del self.seen_ids[next(iter(self.seen_ids))]

    # Buttons

    async def on_button(
        self, ref: MessageRef, user: str, action: Action, target: str, press_id: str, text: str = "", region: str = ""
    ) -> None:
        """Give the button press to the inbox. Only the user who pressed the button sees a refusal."""
        author = await self.users.person(user)
        place = self.reply_place(ref, user, _quote(author, text))
        try:
            press = ButtonPress(press_id, ref.key, author, action, target, text, region)
            await self.hand_over(press, place if action in NEW_REPLY_ACTIONS else None)
        except BotError as refused:
            await self.ephemeral.send(place, refused.text)
        except Exception:
            log.exception("a button press was not handled because of a bug")
            await self.ephemeral.send(place, to_text(INTERNAL_ERROR, self.language(ref.key, author)))

    async def retry_upload(self, ref: MessageRef, user: str, reply: str) -> None:
        """Show a final reply again and upload the images that Slack did not take."""
        entry = self.archive.entry(reply)
        if entry is None or entry.view is None or entry.thread != ref.key:
            await self.notify(ref, user, notice("no-such-reply"))
            return
        try:
            view = localized(entry.view, self.language(entry.thread, entry.author))
            await self.surface(entry.thread, entry.id).put(view)
        except (*API_ERRORS, BotError) as error:
            log.info("could not show a reply again: %s", error_code(error))
            await self.notify(ref, user, notice("slack-try-again"))

    async def on_stop(self, ref: MessageRef, user: str, streams: Sequence[str], event_id: str) -> None:
        """Handle Slack's own stop button: stop the replies of these streams and of the thread.

        If none of them is known, run the command `cancel`.
        """
        found = [self.streams.get((ref.channel, each), "") for each in (*streams, ref.thread_ts)]
        replies = dict.fromkeys(filter(None, found))
        for reply in replies:
            await self.on_button(ref, user, Action.STOP, reply, event_id)
        if not replies:
            author = await self.users.person(user)
            await self.command(ref.key, author, event_id, "cancel", {})

    async def ask_about(self, ref: MessageRef, user: str, event_id: str, text: str, chosen: str) -> None:
        """Handle a message shortcut: send the text together with an image of the selected message.

        `chosen` is the number of an image, the id of a file of the message, or empty for all files of the message.
        """
        author = await self.users.person(user)
        place, notes = self.reply_place(ref, user, _quote(author, text)), list[Notice]()
        number, files = int(chosen) if chosen.isdecimal() else None, list[bytes]()
        if number is None:
            try:
                message = await self.reader.fetch_message(ref)
            except Refused as refused:
                await self.ephemeral.send(place, to_text(refused.notice, self.language(ref.key, author)))
                return
            chosen_files = [file for file in parse.uploaded_images(message) if chosen in ("", file.get("id"))]
            files, notes = await self.downloads.fetch_pictures(chosen_files, ref.team)
            if not files:
                await self.ephemeral.send(place, self._join(notes or [notice("no-image-in-message")], ref.key, author))
                return
        await self._submit(Message(event_id, ref.key, author, text, tuple(files), number), place, notes)

    def pictures_of(self, ref: MessageRef, message: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return the images of a message: for each image its label, and its number or the id of its file."""
        entry = self.archive.entry(parse.message_id(ref.channel, ref.ts))
        numbers = parse.picture_numbers(message.get("blocks"))
        if entry and entry.thread == ref.key:
            numbers += [upload.number for upload in entry.uploads]
        if numbers:
            return [(f"#{number}", str(number)) for number in numbers]
        return [
            (str(file.get("title") or file.get("name") or f"#{nth}"), str(file.get("id") or ""))
            for nth, file in enumerate(parse.uploaded_images(message), 1)
        ]

    def reply_place(self, ref: MessageRef, user: str, quote: str = "") -> ReplyPlace:
        """Return the place of a reply to an action of the user on this message."""
        return ReplyPlace(ref.channel, "" if ref.key.thread == DIRECT else ref.thread_ts, user, quote)

    def language(self, key: ThreadKey, author: Person) -> str:
        """Return the language of the user in this thread."""
        return self.inbox.settings(key, author).language

    async def notify(self, ref: MessageRef, user: str, message: Notice) -> None:
        """Send the message to this user alone."""
        language = self.language(ref.key, await self.users.person(user))
        await self.ephemeral.send(self.reply_place(ref, user), to_text(message, language))

    def _join(self, notes: Sequence[Notice], key: ThreadKey, author: Person) -> str:
        language = self.language(key, author)
        return " ".join(to_text(note, language) for note in notes)

    # Commands

    async def command(
        self, key: ThreadKey, author: Person, event_id: str, name: str, arguments: Mapping[str, str]
    ) -> CommandResponse | str:
        """Run a command and return its answer, or a sentence that says why it was refused."""
        if name == "help":
            language = self.language(key, author)
            return CommandResponse(to_text(notice("slack-help"), language), language=language)
        try:
            return await self.inbox.run_command(Command(event_id, key, author, name, arguments))
        except BotError as refused:
            return refused.text
        except Exception:
            log.exception("the command %s failed because of a bug", name)
            return to_text(INTERNAL_ERROR, self.language(key, author))

    async def settings_panel(self, ref: MessageRef, user: str, scope: str, event_id: str) -> SettingsPanel | str:
        """Return the settings of a scope in this place, or a sentence that says why they are not shown."""
        author = await self.users.person(user)
        response = await self.command(ref.key, author, event_id, "settings", {"scope": scope})
        return response if isinstance(response, str) else response.panel or to_text(response.text)

    async def change_settings(
        self, ref: MessageRef, user: str, scope: str, event_id: str, values: Mapping[str, str]
    ) -> dict[str, str]:
        """Set or reset the changed fields of the form. Return the error of each refused setting by its key."""
        author = await self.users.person(user)
        faults = {}
        for key, value in values.items():
            change = {"do": "set", "value": value} if value.strip() else {"do": "reset"}
            response = await self.command(ref.key, author, event_id, "settings", {"scope": scope, "key": key, **change})
            if isinstance(response, str):
                faults[key] = response
        return faults


def _quote(author: Person, text: str) -> str:
    """Return the text of a form with the author's name, so that everybody in the channel sees the question."""
    return f"{author.name}: {text}" if text else ""
