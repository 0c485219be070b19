"""What people do on Slack -> events and commands for the inbox, and what they are told."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack import forms, parse
from adapters.slack.budget import Budget
from adapters.slack.faults import FAULTS, code
from adapters.slack.files import Downloads
from adapters.slack.parse import DIRECT, Heard, Spot
from adapters.slack.people import People
from adapters.slack.reading import Reader
from adapters.slack.surface import Place, Streams
from adapters.slack.voice import Voice
from bot.domain import Action, ButtonPress, Deleted, Edited, Entry, Incoming, Message, Person, Picture, ThreadKey, Wish
from bot.errors import BotError, NotLet
from bot.panel import Answer, Command, Panel
from bot.ports import Inbox, Record, Surface

log = logging.getLogger(__name__)

BUG = "Something went wrong here; the log says what."
TWIN = 1.0  # seconds in which the second delivery of a mention may bring the files that the first one lacks
MOST_FRESH = 10_000  # messages that are known to have come to this very process
_NEW_REPLY = (Action.VARY, Action.EDIT, Action.UPSCALE, Action.REDO)


class Archive(Protocol):
    """What is on record of conversations."""

    def entry(self, message_id: str) -> Entry | None: ...  # noqa: D102
    def picture(self, thread: ThreadKey, number: int) -> Picture | None: ...  # noqa: D102
    def knows_thread(self, key: ThreadKey) -> bool: ...  # noqa: D102


@dataclass
class Desk:
    """One workspace's front desk."""

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
    fresh: dict[str, None] = field(default_factory=dict)  # what came to this very process
    _twins: dict[str, "asyncio.Future[Heard]"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.people = People(self.client, self.budget)
        self.voice = Voice(self.client, self.budget)
        self.reader = Reader(self.client, self.budget, self.people, self.bot_user)

    # Messages

    async def mentioned(self, said: Heard) -> None:
        """A mention, which may come a second time as a message, with files that it lacks here."""
        if not said.files and said.id not in self.fresh:
            twin = self._twins.setdefault(said.id, asyncio.get_running_loop().create_future())
            done, _ = await asyncio.wait({twin}, timeout=self.twin)
            self._twins.pop(said.id, None)
            said = twin.result() if done else said
        await self.message(said)

    async def said(self, said: Heard) -> None:
        """A message, perhaps the second delivery of a mention."""
        twin = self._twins.get(said.id)
        if twin and not twin.done():
            twin.set_result(said)
            return
        await self.message(said)

    async def message(self, said: Heard) -> None:
        """Answer what is for the bot, once."""
        if said.id in self.fresh or self.archive.entry(said.id):
            return
        ours = self.archive.knows_thread(said.key)
        if not parse.may_concern(said, self.bot_user, ours):  # nobody is asked for who writes in other threads
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
            log.exception("a message met a bug")
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
        """Hand it over. Who may not be answered is told so only if the bot was `called`: people talk to people, too."""
        try:
            await self.hand_over(message, place)
        except NotLet as refused:
            notes[:] = [str(refused)] if called else []
        except BotError as refused:
            notes.append(str(refused))
        if notes:
            await self.voice.whisper(place, " ".join(notes))

    async def changed(self, channel: str, ts: str, raw: str) -> None:
        """A question was given other words."""
        entry = self.archive.entry(parse.message_id(channel, ts))
        if entry:
            words = parse.text(raw, self.bot_user, await self.reader.names(raw))
            await self.hand_over(Edited(entry.id, entry.thread, words))

    async def deleted(self, channel: str, ts: str) -> None:
        """A question was taken back."""
        entry = self.archive.entry(parse.message_id(channel, ts))
        if entry:
            await self.hand_over(Deleted(entry.id, entry.thread))

    async def hand_over(self, event: Incoming, place: Place | None = None) -> None:
        """Give the inbox an event, and remember where the reply to it belongs. Raises BotError."""
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
        """Hand a pressed button to the inbox; a refusal is told to whoever pressed it, alone."""
        author = await self.people.person(user)
        place = self.place(spot, user, _said(author, words))
        try:
            press = ButtonPress(press_id, spot.key, author, action, target, words, part)
            await self.hand_over(press, place if action in _NEW_REPLY else None)
        except BotError as refused:
            await self.voice.whisper(place, str(refused))
        except Exception:
            log.exception("a button met a bug")
            await self.voice.whisper(place, BUG)

    async def again(self, spot: Spot, user: str, reply: str) -> None:
        """Show a reply once more, in which Slack had not taken a picture."""
        entry = self.archive.entry(reply)
        if entry is None or entry.view is None or entry.thread != spot.key:
            await self.voice.whisper(self.place(spot, user), "There is no such reply in this thread.")
            return
        try:
            await self.surface(entry.thread, entry.id).put(entry.view)
        except (*FAULTS, BotError) as error:
            log.info("a reply could not be shown again: %s", code(error))
            await self.voice.whisper(self.place(spot, user), "That did not work; please try again later.")

    async def stopped(self, spot: Spot, user: str, streams: Sequence[str], event_id: str) -> None:
        """Somebody pressed Slack's own stop button."""
        found = [self.streams.get((spot.channel, each), "") for each in (*streams, spot.thread_ts)]
        replies = dict.fromkeys(filter(None, found))
        for reply in replies:
            await self.pressed(spot, user, Action.STOP, reply, event_id)
        if not replies:
            author = await self.people.person(user)
            await self.command(spot.key, author, event_id, "cancel", {})

    async def about(self, spot: Spot, user: str, event_id: str, words: str, chosen: str) -> None:
        """Words about a message that somebody chose: a picture of it by number, or a file that it brought along."""
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
        """What can be chosen in a message: each picture as people call it, and its number or the id of its file."""
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
        """Where a reply to something done there is shown."""
        return Place(spot.channel, "" if spot.key.thread == DIRECT else spot.thread_ts, user, quoted)

    # Commands

    async def command(
        self, key: ThreadKey, author: Person, event_id: str, name: str, told: Mapping[str, str]
    ) -> Answer | str:
        """What comes of a command, or why it was refused."""
        if name == "help":
            return forms.HELP
        try:
            return await self.inbox.command(Command(event_id, key, author, name, told))
        except BotError as refused:
            return str(refused)
        except Exception:
            log.exception("the command %s met a bug", name)
            return BUG

    async def panel(self, spot: Spot, user: str, scope: str, event_id: str) -> Panel | str:
        """The settings of a scope there, or why they are not shown."""
        author = await self.people.person(user)
        told = await self.command(spot.key, author, event_id, "settings", {"scope": scope})
        return told if isinstance(told, str) else told.panel or told.text

    async def choose(
        self, spot: Spot, user: str, scope: str, event_id: str, chosen: Mapping[str, str]
    ) -> dict[str, str]:
        """Choose what was changed in the form; the faults by setting."""
        author = await self.people.person(user)
        faults = {}
        for key, value in chosen.items():
            do = {"do": "set", "value": value} if value.strip() else {"do": "reset"}
            told = await self.command(spot.key, author, event_id, "settings", {"scope": scope, "key": key, **do})
            if isinstance(told, str):
                faults[key] = told
        return faults


def _said(author: Person, words: str) -> str:
    """What was written into a form, for all who see the answer."""
    return f"{author.name}: {words}" if words else ""
