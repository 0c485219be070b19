"""Handles Slack events: converts them to events and commands of the inbox, and answers the user."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack import modals as forms
from adapters.slack import parse
from adapters.slack.api_errors import FAULTS, code
from adapters.slack.ephemeral import Voice
from adapters.slack.files import Downloads
from adapters.slack.history import Reader
from adapters.slack.parse import DIRECT, Heard, Spot
from adapters.slack.rate_limits import Budget
from adapters.slack.surface import Place, Streams
from adapters.slack.users import People
from bot.domain import Action, ButtonPress, Deleted, Edited, Entry, Incoming, Message, Person, Picture, ThreadKey, Wish
from bot.errors import BotError, NotLet
from bot.ports import Inbox, Record, Surface
from bot.settings.values import Answer, Command, Panel

log = logging.getLogger(__name__)

BUG = "Something went wrong here; the log says what."
TWIN = 1.0  # seconds to wait for the `message` event of a mention, which has the files
MOST_FRESH = 10_000  # message ids
_NEW_REPLY = (Action.VARY, Action.EDIT, Action.UPSCALE, Action.REDO)


class Archive(Protocol):
    """Reads stored threads."""

    def entry(self, message_id: str) -> Entry | None:
        """Return the stored message and its reply; None for an unknown id."""
        ...

    def picture(self, thread: ThreadKey, number: int) -> Picture | None:
        """Return the image with this number in the thread; None if there is none."""
        ...

    def knows_thread(self, key: ThreadKey) -> bool:
        """Return whether the thread is stored."""
        ...


@dataclass
class Desk:
    """Handles the events of one workspace. `surface` returns the surface of a reply, by its thread and message id.

    `second_delivery_timeout` is in seconds.
    """

    client: AsyncWebClient
    inbox: Inbox
    archive: Archive
    record: Record
    downloads: Downloads
    budget: Budget
    bot_user: str
    surface: Callable[[ThreadKey, str], Surface]
    streams: Streams
    twin: float = TWIN
    revoked: bool = False
    fresh: dict[str, None] = field(default_factory=dict)  # message ids that this process received
    _twins: dict[str, "asyncio.Future[Heard]"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.people = People(self.client, self.budget)
        self.voice = Voice(self.client, self.budget)
        self.reader = Reader(self.client, self.budget, self.people, self.bot_user)

    # Messages

    async def mentioned(self, said: Heard) -> None:
        """Handle an `app_mention` event.

        Slack may send a second event, `message`, for the same message, and only that event has the files: wait for it.
        """
        if not said.files and said.id not in self.fresh:
            twin = self._twins.setdefault(said.id, asyncio.get_running_loop().create_future())
            done, _ = await asyncio.wait({twin}, timeout=self.twin)
            self._twins.pop(said.id, None)
            said = twin.result() if done else said
        await self.message(said)

    async def said(self, said: Heard) -> None:
        """Handle a `message` event, which may be the second event of a mention."""
        twin = self._twins.get(said.id)
        if twin and not twin.done():
            twin.set_result(said)
            return
        await self.message(said)

    async def message(self, said: Heard) -> None:
        """Answer the message once, if it is for the bot."""
        if said.id in self.fresh or self.archive.entry(said.id):
            return
        ours = self.archive.knows_thread(said.key)
        if not parse.may_concern(said, self.bot_user, ours):  # saves a users.info call
            return
        author = await self.people.person(said.user)
        unasked = self.inbox.settings(said.key, author).unasked
        if not parse.wanted(said, self.bot_user, unasked, ours) or said.id in self.fresh:
            return
        self._remember(said.id)
        place = Place(said.channel, "" if said.key.thread == DIRECT else said.thread_ts or said.ts, said.user)
        try:
            await self._answer(said, author, place, ours)
        except Exception:
            log.exception("a message was not handled because of a bug")
            await self.voice.whisper(place, BUG)

    async def _answer(self, said: Heard, author: Person, place: Place, ours: bool) -> None:
        words = parse.text(said.text, self.bot_user, await self.reader.names(said.text))
        command = None if said.files else parse.command(words)
        if command:
            name, rest = command
            if name == "settings":
                _, rest = parse.command(parse.as_written(said.text, self.bot_user)) or command
            told = await self.command(said.key, author, said.id, name, parse.arguments(name, rest))
            spot = Spot(said.team, said.channel, said.ts, place.thread_ts or said.ts)
            await self.voice.tell(place, told, self.voice.whispering(place), str(spot))
            return
        pictures, notes = await self.downloads.pictures(said.files, said.team)
        before: Sequence[tuple[Person, str]] = ()
        if not ours:
            before, shown = await self.reader.before(said)
            if not said.files:
                pictures, _ = await self.downloads.pictures(shown, said.team)
        message = Message(said.id, said.key, author, words, tuple(pictures), before=tuple(before))
        await self._ask(message, place, notes, called=said.direct or self.bot_user in parse.mentions(said.text))

    async def _ask(self, message: Message, place: Place, notes: list[str], *, called: bool = True) -> None:
        """Give the message to the inbox, and send the notes to the user.

        A user who may not use the bot is told so only if the message `is_addressed` to the bot, because users also talk
        to each other.
        """
        try:
            await self.hand_over(message, place)
        except NotLet as refused:
            notes[:] = [str(refused)] if called else []
        except BotError as refused:
            notes.append(str(refused))
        if notes:
            await self.voice.whisper(place, " ".join(notes))

    async def changed(self, channel: str, ts: str, raw: str) -> None:
        """Handle an edited message."""
        entry = self.archive.entry(parse.message_id(channel, ts))
        if entry:
            words = parse.text(raw, self.bot_user, await self.reader.names(raw))
            await self.hand_over(Edited(entry.id, entry.thread, words))

    async def deleted(self, channel: str, ts: str) -> None:
        """Handle a deleted message."""
        entry = self.archive.entry(parse.message_id(channel, ts))
        if entry:
            await self.hand_over(Deleted(entry.id, entry.thread))

    async def hand_over(self, event: Incoming, place: Place | None = None) -> None:
        """Give the event to the inbox, and store the place of the reply to the event. Raises BotError."""
        if place is not None and isinstance(event, Message | ButtonPress | Wish):
            self.record.open(event.id, str(place))
            self._remember(event.id)
        await self.inbox.accept(event)

    def _remember(self, event_id: str) -> None:
        self.fresh[event_id] = None
        if len(self.fresh) > MOST_FRESH:
            del self.fresh[next(iter(self.fresh))]

    # Buttons

    async def pressed(
        self, spot: Spot, user: str, action: Action, target: str, press_id: str, words: str = "", part: str = ""
    ) -> None:
        """Give the button press to the inbox. Only the user who pressed the button sees a refusal."""
        author = await self.people.person(user)
        place = self.place(spot, user, _said(author, words))
        try:
            press = ButtonPress(press_id, spot.key, author, action, target, words, part)
            await self.hand_over(press, place if action in _NEW_REPLY else None)
        except BotError as refused:
            await self.voice.whisper(place, str(refused))
        except Exception:
            log.exception("a button press was not handled because of a bug")
            await self.voice.whisper(place, BUG)

    async def again(self, spot: Spot, user: str, reply: str) -> None:
        """Show a final reply again and upload the images that Slack did not take."""
        entry = self.archive.entry(reply)
        if entry is None or entry.view is None or entry.thread != spot.key:
            await self.voice.whisper(self.place(spot, user), "There is no such reply in this thread.")
            return
        try:
            await self.surface(entry.thread, entry.id).put(entry.view)
        except (*FAULTS, BotError) as error:
            log.info("could not show a reply again: %s", code(error))
            await self.voice.whisper(self.place(spot, user), "That did not work; please try again later.")

    async def stopped(self, spot: Spot, user: str, streams: Sequence[str], event_id: str) -> None:
        """Handle Slack's own stop button: stop the replies of these streams and of the thread.

        If none of them is known, run the command `cancel`.
        """
        found = [self.streams.get((spot.channel, each), "") for each in (*streams, spot.thread_ts)]
        replies = dict.fromkeys(filter(None, found))
        for reply in replies:
            await self.pressed(spot, user, Action.STOP, reply, event_id)
        if not replies:
            author = await self.people.person(user)
            await self.command(spot.key, author, event_id, "cancel", {})

    async def about(self, spot: Spot, user: str, event_id: str, words: str, chosen: str) -> None:
        """Handle a message shortcut: send the text together with an image of the selected message.

        `chosen` is the number of an image, the id of a file of the message, or empty for all files of the message.
        """
        author = await self.people.person(user)
        place, notes = self.place(spot, user, _said(author, words)), list[str]()
        number, files = int(chosen) if chosen.isdecimal() else None, list[bytes]()
        if number is None:
            message = await self.reader.message(spot)
            if message is None:
                await self.voice.whisper(place, "I cannot read that message: /invite me to its channel first.")
                return
            brought = [file for file in parse.files_in(message) if chosen in ("", file.get("id"))]
            files, notes = await self.downloads.pictures(brought, spot.team)
            if not files:
                await self.voice.whisper(place, " ".join(notes) or "There is no picture in that message.")
                return
        await self._ask(Message(event_id, spot.key, author, words, tuple(files), number), place, notes)

    def pictures_of(self, spot: Spot, message: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return the images of a message: for each image its label, and its number or the id of its file."""
        entry = self.archive.entry(parse.message_id(spot.channel, spot.ts))
        numbers = parse.numbers(message.get("blocks"))
        if entry and entry.thread == spot.key:
            numbers += [upload.number for upload in entry.uploads]
        if numbers:
            return [(f"#{number}", str(number)) for number in numbers]
        return [
            (str(file.get("title") or file.get("name") or f"Picture {nth}"), str(file.get("id") or ""))
            for nth, file in enumerate(parse.files_in(message), 1)
        ]

    def place(self, spot: Spot, user: str, quoted: str = "") -> Place:
        """Return the place of a reply to an action of the user on this message."""
        return Place(spot.channel, "" if spot.key.thread == DIRECT else spot.thread_ts, user, quoted)

    # Commands

    async def command(
        self, key: ThreadKey, author: Person, event_id: str, name: str, told: Mapping[str, str]
    ) -> Answer | str:
        """Run a command and return its answer, or a sentence that says why it was refused."""
        if name == "help":
            return forms.HELP
        try:
            return await self.inbox.command(Command(event_id, key, author, name, told))
        except BotError as refused:
            return str(refused)
        except Exception:
            log.exception("the command %s failed because of a bug", name)
            return BUG

    async def panel(self, spot: Spot, user: str, scope: str, event_id: str) -> Panel | str:
        """Return the settings of a scope in this place, or a sentence that says why they are not shown."""
        author = await self.people.person(user)
        told = await self.command(spot.key, author, event_id, "settings", {"scope": scope})
        return told if isinstance(told, str) else told.panel or told.text

    async def choose(
        self, spot: Spot, user: str, scope: str, event_id: str, chosen: Mapping[str, str]
    ) -> dict[str, str]:
        """Set or reset the changed fields of the form. Return the error of each refused setting by its key."""
        author = await self.people.person(user)
        faults = {}
        for key, value in chosen.items():
            do = {"do": "set", "value": value} if value.strip() else {"do": "reset"}
            told = await self.command(spot.key, author, event_id, "settings", {"scope": scope, "key": key, **do})
            if isinstance(told, str):
                faults[key] = told
        return faults


def _said(author: Person, words: str) -> str:
    """Return the text of a form with the author's name, so that everybody in the channel sees the question."""
    return f"{author.name}: {words}" if words else ""
