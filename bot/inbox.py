"""One turn at a time in a thread; duplicates dropped; Stop and Retry; what was open is taken up after a restart."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile
from typing import Protocol

from bot.budget import tokens
from bot.dictation import Dictation
from bot.domain import (
    MANAGER,
    Action,
    ButtonPress,
    Deleted,
    Entry,
    Failed,
    ImageRequest,
    Incoming,
    Message,
    Operation,
    Person,
    Picture,
    PicturePart,
    Refining,
    RenderJob,
    ThreadKey,
)
from bot.errors import BotError, NotFound, Refused, Unrecorded
from bot.harmless import names_of
from bot.pacer import Pacer
from bot.ports import ChatModel, Platform, Renderer
from bot.prompts import reminder, system_text
from bot.refine import Refiner
from bot.reply import Event, Halted, Reply, step, view
from bot.speech import FrontEnd
from bot.store import Store
from bot.tools import tools
from bot.transcript import transcript, wanted_images
from bot.turn import Turn, answer

log = logging.getLogger(__name__)

MOST_UPLOADS = 4  # with one message
LOOK = 1.0  # seconds between two looks for what another process has done


@dataclass(frozen=True, slots=True)
class Rules:
    """What a message may be, and how it is answered. Lengths in characters, `pause` between two views in seconds."""

    persona: str = ""
    refining: Refining = Refining.AUTO
    longest_message: int = 8_000
    pause: float = 0.1


class Album(Protocol):
    """Where the files of pictures are."""

    async def take_in(self, upload: bytes) -> Picture:
        """A safe picture of an uploaded file, which is kept. Raises Refused."""
        ...

    async def glance(self, digest: str) -> bytes:
        """The picture as a small JPEG, for a chat model that sees. Raises OSError."""
        ...


class Conversations:
    """The inbox of all platforms."""

    def __init__(
        self,
        store: Store,
        model: ChatModel,
        renderer: Renderer,
        album: Album,
        rules: Rules,
    ) -> None:
        self._store = store
        self._model = model
        self._renderer = renderer
        self._album = album
        self._rules = rules
        self._platforms: Mapping[str, Platform] = {}
        self._waiting: dict[ThreadKey, deque[str]] = {}
        self._live: dict[str, Live] = {}
        self._group: asyncio.TaskGroup | None = None

    async def run(self, platforms: Mapping[str, Platform]) -> None:
        """Take up what was open, then serve the platforms until cancelled."""
        self._platforms = platforms
        async with asyncio.TaskGroup() as self._group:
            for entry in self._store.open_entries():
                if entry.thread.platform in platforms:
                    self._schedule(entry.thread, entry.id)
            looking = self._group.create_task(self._look_elsewhere())
            served = [self._group.create_task(platform.run(self)) for platform in platforms.values()]
            await asyncio.wait(served)  # a terminal ends when nothing more is typed
            looking.cancel()

    async def accept(self, event: Incoming) -> str:
        """Record the event and start the work; the id of the message that is answered. Raises Refused, Unrecorded."""
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
                    return await self._vary(event)
                case ButtonPress():
                    raise Refused(f"Say in a message about #{event.target} what should change in it.")
        except OSError as error:
            raise Unrecorded(f"Nothing was recorded, please try again later: {error.strerror}.") from error

    async def _look_elsewhere(self) -> None:
        """Take up the replies that another process has opened again."""
        changed = self._store.watch()
        while True:
            await asyncio.sleep(LOOK)
            if changed():
                for entry in self._store.open_entries():
                    known = entry.id in self._live or entry.id in self._waiting.get(entry.thread, ())
                    if entry.thread.platform in self._platforms and not known:
                        self._schedule(entry.thread, entry.id)

    async def _message(self, message: Message, words: str | None = None, requests: Sequence[ImageRequest] = ()) -> str:
        """`words` are the reply's, if they are settled, and `requests` the pictures that they ask for."""
        if not self._store.knows_message(message.id):
            message = replace(message, text=message.text.strip())
            self._check(message)
            uploads = [await self._album.take_in(upload) for upload in message.uploads]
            if self._store.accept(message, uploads, words, requests):
                self._schedule(message.thread, message.id)
        return message.id

    def _check(self, message: Message) -> None:
        longest = self._rules.longest_message
        if not message.text and not message.uploads:
            raise Refused("The message is empty: say what to draw, or ask something.")
        if len(message.text) > longest:
            raise Refused(f"A message may have {longest:,} characters; this one has {len(message.text):,}.")
        if len(message.uploads) > MOST_UPLOADS:
            raise Refused(f"A message may bring {MOST_UPLOADS} pictures; this one has {len(message.uploads)}.")
        if message.about is not None and self._store.picture(message.thread, message.about) is None:
            raise NotFound(f"There is no picture #{message.about} in this thread.")

    # Buttons

    def _entry(self, press: ButtonPress) -> Entry:
        entry = self._store.entry(press.target)
        if entry is None or entry.thread != press.thread:
            raise NotFound("There is no such reply in this thread.")
        return entry

    def _stop(self, press: ButtonPress) -> str:
        entry = self._entry(press)
        _check_rights(press.author, entry.author)
        self._halt(entry, f"Stopped by {press.author.name}.")
        return entry.id

    def _cancel(self, press: ButtonPress) -> str:
        """End one picture of a reply; its words and its other pictures go on."""
        entry = self._entry(replace(press, target=press.target.rpartition(".")[0]))
        _check_rights(press.author, entry.author)
        self._renderer.cancel(press.target, f"Cancelled by {press.author.name}.")
        return entry.id

    def _deleted(self, event: Deleted) -> str:
        entry = self._store.entry(event.id)
        if entry is not None and entry.thread == event.thread:
            self._halt(entry, "The question was deleted.")
        return event.id

    def _halt(self, entry: Entry, reason: str) -> None:
        """End the reply and its pictures, wherever they are."""
        if entry.id in self._live:
            self._live[entry.id].stop(reason)
        elif entry.id in self._waiting.get(entry.thread, ()):
            self._waiting[entry.thread].remove(entry.id)
            self._start(self._say_only(entry, reason))

    async def _retry(self, press: ButtonPress) -> str:
        entry = self._entry(press)
        live = self._live.get(entry.id)
        if live and live.reply.ended:  # on the screen already, but not recorded yet
            await live.recorded.wait()
            entry = self._entry(press)
        if entry.view is None:
            if entry.id not in self._live and entry.id not in self._waiting.get(entry.thread, ()):
                self._schedule(entry.thread, entry.id)  # it ended, but could not be recorded as final
            return entry.id
        failed = any(isinstance(part, PicturePart) and isinstance(part.state, Failed) for part in entry.view.parts)
        if not failed and not entry.view.status:
            raise Refused("That reply is complete: there is nothing to try again.")
        self._store.reopen(entry.id)
        self._schedule(entry.thread, entry.id)
        return entry.id

    async def _vary(self, press: ButtonPress) -> str:
        number = int(press.target) if press.target.isdecimal() else 0
        message = Message(press.id, press.thread, press.author, f"More like #{press.target}", about=number)
        request = ImageRequest(0, Operation.VARY, "", of=number)
        return await self._message(message, f'<vary of="{number}"/>', [request])

    # Turns

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
        """Answer one message; whatever happens, its reply ends visibly and is recorded as final."""
        pacer = Pacer(self._platforms[entry.thread.platform].surface(entry.thread, entry.id), self._rules.pause)
        live = self._live[entry.id] = Live(Reply(entry.id), pacer)
        refiner = Refiner(self._model, self._store.jobs, self._rules.refining)

        async def refine(job: RenderJob) -> RenderJob:
            return await refiner(job, self._renderer.abilities)

        async def answering() -> None:
            turn = await self._turn(entry)
            model = Dictation(self._model, self._store, entry.id, turn.context().pictures)
            order = partial(self._store.jobs.order, entry.id)
            await answer(turn, model=model, renderer=self._renderer, order=order, refine=refine, happened=live.happened)

        showing = asyncio.create_task(pacer.run())
        try:
            await live.run(answering())
            self._store.jobs.cancel_all(entry.id, live.halted or "The chat model changed its mind.")
            await showing
            self._store.finish(entry.id, view(live.reply))
        except Exception:  # a full disk, a platform that is gone: the next start takes the reply up again
            log.exception("the reply to %s is not final", entry.id)
        finally:
            showing.cancel()
            live.recorded.set()
            del self._live[entry.id]

    async def _say_only(self, entry: Entry, reason: str) -> None:
        """End a reply that never began."""
        ended = view(step(Reply(entry.id), Halted(reason)))
        await self._platforms[entry.thread.platform].surface(entry.thread, entry.id).put(ended)
        self._store.finish(entry.id, ended)

    async def _turn(self, entry: Entry) -> Turn:
        """What the chat model is told about this message, as it and the picture model are now."""
        abilities, manners = self._renderer.abilities, self._model.manners
        pictures = self._store.pictures(entry.thread)
        earlier = list(takewhile(lambda other: other.id != entry.id, self._store.entries(entry.thread)))
        images = await self._glances(wanted_images(entry, pictures, manners), pictures)
        system = system_text(abilities, manners, self._rules.persona)
        offered = tools(abilities) if manners.front_end is FrontEnd.TOOLS else ()
        told = transcript(system, earlier, entry, pictures, manners, images, reserved=tokens(repr(offered)))
        return Turn(
            transcript=tuple(told),
            pictures=tuple(pictures),
            about=entry.about or (entry.uploads[-1].number if entry.uploads else None),
            text=entry.text,
            names=tuple(names_of(other.author for other in (*earlier, entry)).values()),
            tools=offered,
            reminder=reminder(manners.front_end),
        )

    async def _glances(self, numbers: Sequence[int], pictures: Sequence[Picture]) -> dict[int, bytes]:
        images: dict[int, bytes] = {}
        for picture in pictures:
            if picture.number in numbers:
                with suppress(OSError):  # its file is gone: the model is told of it in words
                    images[picture.number] = await self._album.glance(picture.digest)
        return images


def _check_rights(who: Person, owner: Person) -> None:
    if who.id != owner.id and MANAGER not in who.roles:
        raise Refused(f"Only {owner.name}, who asked for it, and managers can stop this.")


class Live:
    """A reply under way: its state, its screen, and how to stop it."""

    def __init__(self, reply: Reply, pacer: Pacer) -> None:
        self.reply = reply
        self._pacer = pacer
        self._task: asyncio.Task[None] | None = None
        self.halted = ""
        self.recorded = asyncio.Event()
        self._pacer.show(view(reply))

    def happened(self, event: Event) -> None:
        """Take one event in, and show what comes of it."""
        if not self.reply.ended:
            self.reply = step(self.reply, event)
            self._pacer.show(view(self.reply))

    def stop(self, reason: str) -> None:
        """End the reply now."""
        self.halted = reason
        if self._task:
            self._task.cancel()

    async def run(self, answering: Awaitable[None]) -> None:
        """See the answer through to its end, be it a stop or a bug."""

        async def answered() -> None:
            await answering

        self._task = asyncio.create_task(answered())
        try:
            await asyncio.wait({self._task})
        except asyncio.CancelledError:
            self._task.cancel()
            await asyncio.wait({self._task})
            raise
        if self._task.cancelled():
            self.happened(Halted(self.halted))
        elif error := self._task.exception():
            log.error("the reply to %s met a bug", self.reply.id, exc_info=error)
            told = str(error) if isinstance(error, BotError) else "Something went wrong here; the log says what."
            self.halted = told
            self.happened(Halted(told))
