"""The dispatcher: one turn at a time for each thread, duplicate events, Stop and Retry, open turns after a restart."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

from bot.capabilities import Refining
from bot.commands.slash_commands import Desk
from bot.conversation.buttons import Asking
from bot.conversation.edits_and_deletions import Changes, check_rights
from bot.conversation.image_orders import Studio
from bot.conversation.pacer import Pacer
from bot.conversation.permissions import check_place
from bot.conversation.prompt_refiner import Refiner
from bot.conversation.recorded_answer import Dictation
from bot.conversation.reply import Halted, Reply, offering_again, step, view
from bot.conversation.running_reply import Live
from bot.conversation.turn import answer
from bot.conversation.turn_context import Album, brief
from bot.domain import (
    MANAGER,
    Action,
    ButtonPress,
    Deleted,
    Edited,
    Entry,
    Failed,
    ImageRequest,
    Incoming,
    Left,
    Message,
    Person,
    PicturePart,
    RenderJob,
    ThreadKey,
    Wish,
)
from bot.door import admit, check_quota
from bot.errors import BotError, NotFound, Refused, Unreachable, Unrecorded
from bot.formatting import count_of
from bot.i18n import said
from bot.papers import Papers
from bot.parsing.image_request import as_tag
from bot.ports import ChatModel, Platform, Renderer, Surface
from bot.settings.values import Answer, Command, Paper, Settings
from bot.storage.store import Store

log = logging.getLogger(__name__)

LOOK = 1.0  # seconds between two checks for replies that another process has reopened


@dataclass(frozen=True, slots=True)
class Rules:
    """The longest message, in characters, and the default of prompt refinement."""

    refining: Refining = Refining.AUTO
    longest_message: int = 8_000


class Conversations:
    """Receives the events and commands of all platforms and runs the turns."""

    def __init__(
        self,
        store: Store,
        model: ChatModel,
        renderer: Renderer,
        album: Album,
        rules: Rules,
        *,
        desk: Desk | None = None,
        papers: Papers | None = None,
        moderate: Callable[[str], Awaitable[None]] | None = None,
        others: Mapping[str, ChatModel] = MappingProxyType({}),
    ) -> None:
        """`model` is the default chat model; `other_models` are those that users can choose in the settings, by name.

        `moderate` raises Refused for a prompt that must not be rendered.
        """
        self._desk = desk or Desk(store, defaults=Settings(refine=rules.refining))
        self._others = others
        self._papers = papers
        self._moderate = moderate
        self._store = store
        self._model = model
        self._renderer = renderer
        self._album = album
        self._rules = rules
        self._platforms: Mapping[str, Platform] = {}
        self._changes = Changes(store, album, self._surface, self._start, rules.longest_message)
        self._asking = Asking(store, self.settings, lambda: renderer.abilities, self._desk.models)
        self._waiting: dict[ThreadKey, deque[str]] = {}
        self._live: dict[str, Live] = {}
        self._group: asyncio.TaskGroup | None = None

    async def run(self, platforms: Mapping[str, Platform]) -> None:
        """Resume the open turns, then serve the platforms until cancelled."""
        self._platforms = platforms
        async with asyncio.TaskGroup() as self._group:
            for entry in self._store.open_entries():
                if entry.thread.platform in platforms:
                    self._schedule(entry.thread, entry.id)
            looking = self._group.create_task(self._look_elsewhere())
            served = [self._group.create_task(platform.run(self)) for platform in platforms.values()]
            await asyncio.wait(served)  # a terminal ends with its input
            looking.cancel()

    async def accept(self, event: Incoming) -> str:
        """Record the event and start its turn. Returns the id of the message that is answered.

        Raises Refused or Unrecorded, with a sentence in the language of the user.
        """
        try:
            return await self._accepted(self._desk.ranked(event))
        except BotError as refused:
            if isinstance(event, Message | ButtonPress | Wish):
                raise self._in_language(refused, event.thread, event.author) from refused
            raise

    def _in_language(self, refused: BotError, thread: ThreadKey, author: Person) -> BotError:
        return type(refused)(said(str(refused), self.settings(thread, author).language))

    async def _accepted(self, event: Incoming) -> str:
        if not isinstance(event, Message | Wish):  # it may refer to a message that is not committed yet
            self._store.together.flush()
        try:
            match event:
                case Message():
                    return await self._message(event)
                case Deleted():
                    return self._deleted(event)
                case ButtonPress(action=Action.STOP):
                    return self._stop(event)
                case ButtonPress(action=Action.CANCEL):
                    return self._cancel(event)
                case ButtonPress(action=Action.RETRY):
                    return await self._retry(event)
                case ButtonPress(action=Action.VARY):
                    return await self._message(*self._asking.vary(event))
                case ButtonPress(action=Action.UPSCALE):
                    return await self._message(*self._asking.upscale(event))
                case ButtonPress(action=Action.EDIT):
                    return await self._message(*self._asking.edit(event))
                case ButtonPress(action=Action.REDO):
                    return await self._message(*self._asking.redo(event))
                case ButtonPress(action=Action.DELETE):
                    return await self._changes.delete(event, self._live.values())
                case ButtonPress():
                    raise AssertionError(event.action)
                case Wish():
                    return await self._message(*self._asking.wish(event))
                case Edited():
                    return self._changes.edited(event)
                case Left():
                    return self._left(event)
        except OSError as error:
            raise Unrecorded(f"Nothing was recorded, please try again later: {error.strerror}.") from error

    def settings(self, thread: ThreadKey, author: Person) -> Settings:
        """The settings of this user in this thread."""
        return self._desk.settings(thread, author)

    async def command(self, command: Command) -> Answer:
        """Run a slash command. Raises Refused or Unrecorded, with a sentence in the language of the user."""
        try:
            answer = await self._answered(self._desk.ranked(command))
        except BotError as refused:
            raise self._in_language(refused, command.thread, command.author) from refused
        return replace(answer, text=said(answer.text, self.settings(command.thread, command.author).language))

    async def _answered(self, command: Command) -> Answer:
        self._store.together.flush()
        try:
            match command.name:
                case "cancel":
                    return self._cancel_all(command)
                case "forget":
                    return await self._changes.forget(command)
                case "pictures" | "export" if self._papers:
                    return await self._on_paper(command, self._papers)
                case _:
                    return self._desk.answer(command)
        except OSError as error:
            raise Unrecorded(f"That did not work, please try again later: {error.strerror}.") from error

    async def _look_elsewhere(self) -> None:
        """Schedule the replies that another process has reopened."""
        changed = self._store.watch()
        while True:
            await asyncio.sleep(LOOK)
            if changed():
                for entry in self._store.open_entries():
                    known = entry.id in self._live or entry.id in self._waiting.get(entry.thread, ())
                    if entry.thread.platform in self._platforms and not known:
                        self._schedule(entry.thread, entry.id)

    async def _message(self, message: Message, requests: Sequence[ImageRequest] = ()) -> str:
        """Check and record a message, then schedule its turn; a known message changes nothing.

        `requests` are the image requests of the reply if they are fixed without the chat model.
        """
        if not self._store.knows_message(message.id):
            message = replace(message, text=message.text.strip())
            settings = self.settings(message.thread, message.author)
            admit(message, requests, self._store, settings, self._rules.longest_message)
            uploads = [await self._album.take_in(upload) for upload in message.uploads]
            words = "".join(map(as_tag, requests)) if requests else None
            left = partial(check_quota, self._store, settings, message.thread, message.author, len(requests))
            accept = partial(self._store.accept, message, uploads, words, requests, allow=left)
            await self._store.together.write(accept, partial(self._recorded, message))
        return message.id

    def _recorded(self, message: Message, news: bool) -> None:
        if news:
            self._schedule(message.thread, message.id)

    # Buttons

    def _entry(self, press: ButtonPress) -> Entry:
        entry = self._store.entry(press.target)
        if entry is None or entry.thread != press.thread:
            raise NotFound("There is no such reply in this thread.")
        return entry

    def _stop(self, press: ButtonPress) -> str:
        entry = self._entry(press)
        check_rights(press.author, entry.author)
        self._halt(entry, f"Stopped by {press.author.name}.")
        return entry.id

    def _cancel(self, press: ButtonPress) -> str:
        """Cancel one image of a reply; its text and the other images of the reply go on."""
        entry = self._entry(replace(press, target=press.target.rpartition(".")[0]))
        check_rights(press.author, entry.author)
        self._renderer.cancel(press.target, f"Cancelled by {press.author.name}.")
        return entry.id

    def _deleted(self, event: Deleted) -> str:
        entry = self._store.entry(event.id)
        if entry is not None and entry.thread == event.thread:
            self._halt(entry, "The question was deleted.")
        return event.id

    def _halt(self, entry: Entry, reason: str) -> bool:
        """Stop the reply and cancel its images, running or waiting; False if the reply is ending already."""
        live = self._live.get(entry.id)
        if live:
            ends = live.reply.ended or bool(live.halted)
            live.stop(reason)
            return not ends
        if entry.id not in self._waiting.get(entry.thread, ()):
            return False
        self._waiting[entry.thread].remove(entry.id)
        self._store.jobs.cancel_all(entry.id, reason)
        ended = view(step(Reply(entry.id), Halted(reason)))
        self._changes.show_again(entry, ended)
        return True

    async def _retry(self, press: ButtonPress) -> str:
        entry = self._entry(press)
        live = self._live.get(entry.id)
        if live and live.reply.ended:  # displayed as final, but not recorded yet
            await live.recorded.wait()
            entry = self._entry(press)
        if entry.view is None:
            if entry.id not in self._live and entry.id not in self._waiting.get(entry.thread, ()):
                self._schedule(entry.thread, entry.id)  # the turn ended, but its final view could not be recorded
            return entry.id
        failed = any(
            isinstance(part, PicturePart) and isinstance(part.state, Failed) and part.state.again
            for part in entry.view.parts
        )
        if not failed and not entry.view.status:
            raise Refused("That reply is complete: there is nothing to try again.")
        check_place(self.settings(press.thread, press.author), press.thread, press.author)
        settings = self.settings(entry.thread, entry.author)
        check_quota(self._store, settings, entry.thread, entry.author, self._store.jobs.in_vain(entry.id))
        self._store.reopen(entry.id)
        self._schedule(entry.thread, entry.id)
        return entry.id

    # Commands

    def _cancel_all(self, command: Command) -> Answer:
        """Stop the open replies to this user in this thread or place; with `all`, for managers, those to every user."""
        everybody = command.arguments.get("whose") == "all"
        if everybody and MANAGER not in command.author.roles:
            raise Refused("Only managers can cancel what others asked for.")
        ended = 0
        for entry in self._store.open_entries():
            if command.thread.holds(entry.thread) and (everybody or entry.author.id == command.author.id):
                ended += self._halt(entry, f"Cancelled by {command.author.name}.")
        return Answer(f"Cancelled {count_of(ended, 'reply', 'replies')}." if ended else "Nothing is under way here.")

    def _left(self, event: Left) -> str:
        for entry in self._store.open_entries():
            if event.place.holds(entry.thread):
                self._halt(entry, "The place where it was asked is gone.")
        return ""

    async def _on_paper(self, command: Command, papers: Papers) -> Answer:
        """Answer `/pictures` with the contact sheet of the thread, and `/export` with its ZIP."""
        pictures = self._store.pictures(command.thread)
        if command.name == "pictures":
            answer = self._desk.answer(command)
            if not pictures:
                return answer
            alt = f"{count_of(len(pictures), 'picture')}, with arrows from each to what came of it"
            return replace(answer, paper=Paper("pictures.png", await papers.sheet(pictures), alt))
        entries = self._store.entries(command.thread)
        if not entries:
            raise Refused("There is nothing to take away here: give the command in one of my threads.")
        title = self._store.title(command.thread)
        packed = await papers.packed(title, entries, pictures)
        told = (
            f"{count_of(len(entries), 'message')} and {count_of(len(pictures), 'picture')}: unpack it, open index.html."
        )
        return Answer(told, paper=Paper("thread.zip", packed))

    # Turns

    def _surface(self, entry: Entry) -> Surface:
        return self._platforms[entry.thread.platform].surface(entry.thread, entry.id)

    def _start(self, work: Awaitable[None]) -> None:
        assert self._group, "the inbox is not running"

        async def started() -> None:
            await work

        self._group.create_task(started())

    def _schedule(self, thread: ThreadKey, message_id: str) -> None:
        if thread in self._waiting:
            self._waiting[thread].append(message_id)
        else:
            self._waiting[thread] = deque([message_id])
            self._start(self._serve(thread))

    async def _serve(self, thread: ThreadKey) -> None:
        while self._waiting[thread]:
            entry = self._store.entry(self._waiting[thread].popleft())
            if entry is not None:
                await self._reply(entry)
        del self._waiting[thread]

    async def _reply(self, entry: Entry) -> None:
        """Run the turn of one message. Its reply always ends visibly and is recorded as final."""
        self._store.begin(entry.id)
        pacer = Pacer(self._surface(entry))
        settings = self.settings(entry.thread, entry.author)
        live = self._live[entry.id] = Live(
            Reply(entry.id), pacer, previews=settings.previews, language=settings.language
        )
        chat = self._others.get(settings.chat_model, self._model)
        studio = Studio(
            self._store, entry, settings, Refiner(chat, self._store.jobs, settings.refine), self._album, self._moderate,
            self._desk.styles,
        )  # fmt: skip

        async def refine(job: RenderJob) -> RenderJob:
            return await studio.refine(job, self._renderer.abilities)

        async def answering() -> None:
            turn = await brief(
                entry, self._store, self._album,
                abilities=self._renderer.abilities, manners=chat.manners, persona=settings.persona,
            )  # fmt: skip
            model = Dictation(chat, self._store, entry.id, turn.context().pictures)
            await answer(
                turn, model=model, renderer=self._renderer, order=studio.order, refine=refine, happened=live.happened,
                outcome=self._store.jobs.outcome, still=studio.still, describe=studio.describe,
            )  # fmt: skip

        showing = asyncio.create_task(pacer.run())
        showing.add_done_callback(partial(_gone, live))
        try:
            await live.run(answering())
            self._store.jobs.cancel_all(entry.id, live.halted or "The chat model changed its mind.")
            shown = live.view
            with suppress(Unreachable):  # the reply cannot be displayed any more
                await showing
            last = live.view  # an image may have been deleted meanwhile
            if self._store.changed(entry.id):
                last = offering_again(last, entry.id)
            self._store.finish(entry.id, last)
            if last != shown:
                self._changes.show_again(entry, last)
        except Exception:  # a full disk, a lost platform: the next start resumes the reply
            log.exception("the reply to %s is not final", entry.id)
        finally:
            showing.cancel()
            live.recorded.set()
            del self._live[entry.id]


def _gone(live: Live, showing: "asyncio.Task[None]") -> None:
    """Stop a reply that cannot be displayed: nobody would see its images."""
    if not showing.cancelled() and isinstance(error := showing.exception(), Unreachable):
        live.stop(str(error))
