"""What people do on Slack -> events and commands for the inbox, and what they are told."""

import asyncio
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack import draw, parse
from adapters.slack.budget import Budget
from adapters.slack.files import Downloads
from adapters.slack.parse import DIRECT, Heard, Spot
from adapters.slack.surface import Place, Record
from bot.domain import Action, ButtonPress, Deleted, Edited, Entry, Incoming, Message, Person, Picture, ThreadKey, Wish
from bot.errors import BotError
from bot.panel import Answer, Command, Panel, Scope
from bot.ports import Inbox

log = logging.getLogger(__name__)

BUG = "Something went wrong here; the log says what."
TWIN = 1.0  # seconds in which the second delivery of a mention may bring the files that the first one lacks
KNOWN = 600.0  # seconds for which a person's name and rights are believed
_NEW_REPLY = (Action.VARY, Action.EDIT, Action.REDO)


class Archive(Protocol):
    """What is on record of conversations."""

    def entry(self, message_id: str) -> Entry | None: ...  # noqa: D102
    def picture(self, thread: ThreadKey, number: int) -> Picture | None: ...  # noqa: D102
    def pictures(self, thread: ThreadKey) -> Sequence[Picture]: ...  # noqa: D102
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
    fresh: set[str] = field(default_factory=set)  # what came to this very process
    _people: dict[str, tuple[float, Mapping[str, Any]]] = field(default_factory=dict)
    _twins: dict[str, "asyncio.Future[Heard]"] = field(default_factory=dict)

    # Messages

    async def mentioned(self, said: Heard) -> None:
        """A mention, which may come a second time as a message, with files that it lacks here."""
        if not said.files and said.id not in self.fresh:
            twin = self._twins.setdefault(said.id, asyncio.get_running_loop().create_future())
            done, _ = await asyncio.wait({twin}, timeout=TWIN)
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
        author = await self.person(said.user, said.direct)
        settings = self.inbox.settings(said.key, author)
        if not parse.wanted(said, self.bot_user, settings.unasked, self.archive.knows_thread(said.key)):
            return
        self.fresh.add(said.id)
        names = {user: (await self.person(user, direct=False)).name for user in parse.mentions(said.text)[:5]}
        words = parse.text(said.text, self.bot_user, names)
        place = Place(said.channel, "" if said.key.thread == DIRECT else said.thread_ts or said.ts, said.user)
        command = None if said.files else parse.command(words)
        if command:
            await self._written_command(said, author, place, command)
            return
        files, notes = await self.downloads.pictures(said.files, said.team)
        try:
            await self.hand_over(Message(said.id, said.key, author, words, tuple(files)), place)
        except BotError as refused:
            self.fresh.discard(said.id)
            notes.append(str(refused))
        if notes:
            await self.whisper(place, " ".join(notes))

    async def _written_command(self, said: Heard, author: Person, place: Place, command: tuple[str, str]) -> None:
        name, rest = command
        await self.tell(place, await self.command(said.key, author, said.id, name, arguments(name, rest)))

    async def changed(self, channel: str, ts: str, raw: str) -> None:
        """A question was given other words."""
        entry = self.archive.entry(parse.message_id(channel, ts))
        if entry:
            await self.hand_over(Edited(entry.id, entry.thread, parse.text(raw, self.bot_user, {})))

    async def deleted(self, channel: str, ts: str) -> None:
        """A question was taken back."""
        entry = self.archive.entry(parse.message_id(channel, ts))
        if entry:
            await self.hand_over(Deleted(entry.id, entry.thread))

    async def hand_over(self, event: Incoming, place: Place | None = None) -> None:
        """Give the inbox an event, and remember where the reply to it belongs. Raises BotError."""
        if place is not None and isinstance(event, Message | ButtonPress | Wish):
            self.record.open(event.id, str(place))
            self.fresh.add(event.id)
        await self.inbox.accept(event)

    # Buttons

    async def pressed(self, spot: Spot, user: str, action: Action, target: str, press_id: str, words: str = "") -> None:
        """Hand a pressed button to the inbox; a refusal is told to whoever pressed it, alone."""
        author = await self.person(user, spot.channel.startswith("D"))
        press = ButtonPress(press_id, spot.key, author, action, target, words)
        place = self.place(spot, user)
        try:
            await self.hand_over(press, place if action in _NEW_REPLY else None)
        except BotError as refused:
            await self.whisper(place, str(refused))
        except Exception:
            log.exception("a button met a bug")
            await self.whisper(place, BUG)

    async def about(self, spot: Spot, user: str, event_id: str, words: str, number: int | None) -> None:
        """Words about a message that somebody chose: a numbered picture of it, or the files that it brought along."""
        author = await self.person(user, spot.channel.startswith("D"))
        place = self.place(spot, user)
        notes: list[str] = []
        files: list[bytes] = []
        if number is None:
            entry = self.archive.entry(parse.message_id(spot.channel, spot.ts))
            if entry and entry.uploads and entry.thread == spot.key:
                number = entry.uploads[-1].number
            else:
                files, notes = await self._files_of(spot)
        if number is None and not files:
            await self.whisper(place, " ".join(notes) or "There is no picture in that message.")
            return
        try:
            await self.hand_over(Message(event_id, spot.key, author, words, tuple(files), number), place)
        except BotError as refused:
            notes.append(str(refused))
        if notes:
            await self.whisper(place, " ".join(notes))

    async def _files_of(self, spot: Spot) -> tuple[list[bytes], list[str]]:
        await self.budget.take("conversations.replies", spot.team)
        try:
            found = await self.client.conversations_replies(
                channel=spot.channel, ts=spot.thread_ts, latest=spot.ts, inclusive=True, limit=100
            )
        except SlackApiError:
            return [], ["That message cannot be read: am I in the channel?"]
        messages: list[dict[str, Any]] = found.get("messages") or []
        message = next((each for each in messages if each.get("ts") == spot.ts), {})
        return await self.downloads.pictures(list(parse.files_in(message)), spot.team)

    def place(self, spot: Spot, user: str) -> Place:
        """Where a reply to something done there is shown."""
        return Place(spot.channel, "" if spot.key.thread == DIRECT else spot.thread_ts, user)

    # Commands

    async def command(
        self, key: ThreadKey, author: Person, event_id: str, name: str, told: Mapping[str, str]
    ) -> Answer | str:
        """What comes of a command, or why it was refused."""
        try:
            return await self.inbox.command(Command(event_id, key, author, name, told))
        except BotError as refused:
            return str(refused)
        except Exception:
            log.exception("the command %s met a bug", name)
            return BUG

    async def panel(self, spot: Spot, user: str, scope: str, event_id: str) -> Panel | str:
        """The settings of a scope there, or why they are not shown."""
        author = await self.person(user, spot.channel.startswith("D"))
        told = await self.command(spot.key, author, event_id, "settings", {"scope": scope})
        return told if isinstance(told, str) else told.panel or told.text

    async def choose(
        self, spot: Spot, user: str, scope: str, event_id: str, chosen: Mapping[str, str]
    ) -> dict[str, str]:
        """Choose what differs from what holds; the faults by setting."""
        author = await self.person(user, spot.channel.startswith("D"))
        panel = await self.panel(spot, user, scope, event_id)
        if isinstance(panel, str):
            return {"": panel}
        faults = {}
        for key, value in draw.changed(panel, chosen).items():
            do = {"do": "set", "value": value} if value.strip() else {"do": "reset"}
            told = await self.command(spot.key, author, event_id, "settings", {"scope": scope, "key": key, **do})
            if isinstance(told, str):
                faults[key] = told
        return faults

    async def imagine(self, wish: Wish, place: Place) -> str:
        """Draw at once; what there is to say against it, if anything."""
        try:
            await self.hand_over(wish, place)
        except BotError as refused:
            return str(refused)
        return ""

    # People

    async def person(self, user: str, direct: bool) -> Person:
        """Who it is; a stranger if Slack does not tell."""
        known = self._people.get(user)
        if known is None or time.monotonic() - known[0] > KNOWN:
            try:
                await self.budget.take("users.info", self.bot_user)
                told = (await self.client.users_info(user=user)).get("user") or {}
            except SlackApiError:
                told = {}
            known = self._people[user] = (time.monotonic(), {"id": user, **told})
        return parse.person(known[1], direct)

    async def tell(self, place: Place, told: Answer | str) -> None:
        """Say what came of a command to whoever gave it; a file that goes with it is for the whole thread."""
        await self.whisper(place, told if isinstance(told, str) else summary(told))
        if isinstance(told, Answer) and told.paper:
            try:
                await self.client.files_upload_v2(
                    channel=place.channel,
                    thread_ts=place.thread_ts or None,
                    filename=told.paper.name,
                    file=told.paper.data,
                    title=told.paper.name,
                )
            except SlackApiError as error:
                log.info("a file could not be posted: %s", error.response.get("error"))
                await self.whisper(place, f"Slack does not take the file: {error.response.get('error')}.")

    async def whisper(self, place: Place, words: str) -> None:
        """Say something to one person alone."""
        thread = {"thread_ts": place.thread_ts} if place.thread_ts else {}
        body = {"channel": place.channel, "user": place.asker, "text": draw.escaped(words), "blocks": draw.told(words)}
        try:
            await self.client.api_call("chat.postEphemeral", json=body | thread)
        except SlackApiError as error:
            log.info("a note could not be posted: %s", error.response.get("error"))


def arguments(name: str, rest: str) -> dict[str, str]:
    """What stands behind a written command: `settings set ratio 16:9 channel`, `cancel all`, `forget settings`."""
    match name, rest.split():
        case "settings", ["set", key, value]:
            return {"do": "set", "key": key, "value": value}
        case "settings", ["set", key, value, scope]:
            return {"do": "set", "key": key, "value": value, "scope": scope}
        case "settings", ["reset", *more]:
            return {"do": "reset", "key": more[0] if more else "", "scope": more[1] if len(more) > 1 else Scope.PERSON}
        case "settings", ["show", scope] | [scope]:
            return {"scope": scope}
        case "cancel", ["all"]:
            return {"whose": "all"}
        case "forget", ["settings"]:
            return {"what": "settings"}
    return {}


def summary(told: Answer) -> str:
    """An answer in words alone, where no form can be shown."""
    fields = told.panel.fields if told.panel else ()
    lines = [
        f"- **{field.title}** (`{field.key}`): {field.value or 'nothing'}, from: {field.source}" for field in fields
    ]
    how = ["Change one with `settings set KEY VALUE [server|channel|thread|me]`."] if fields else []
    return "\n".join(filter(None, [told.text, *lines, *how]))


def metadata(spot: Spot, scope: str = "") -> str:
    """What a form brings back."""
    return json.dumps([str(spot), scope])


def meant(private_metadata: str) -> tuple[Spot, str]:
    """Spot and scope of a form. Raises ValueError."""
    spot, scope = json.loads(private_metadata)
    return Spot.parse(spot), str(scope)
