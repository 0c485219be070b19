"""One turn at a time in a thread; duplicates dropped; Stop and Retry; what was open is taken up after a restart."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial

from bot.domain import (
    Action,
    ButtonPress,
    Delta,
    Entry,
    Failed,
    Incoming,
    Manners,
    Message,
    ModelEvent,
    Picture,
    PicturePart,
    Said,
    Stopped,
    ThreadKey,
    Tool,
)
from bot.errors import BotError, NotFound, Refused, Unrecorded
from bot.pacer import Pacer
from bot.ports import ChatModel, Platform, Renderer
from bot.reply import Event, Halted, Reply, step, view
from bot.store import Store
from bot.transcript import transcript
from bot.turn import Turn, answer

log = logging.getLogger(__name__)

MOST_UPLOADS = 4  # with one message


@dataclass(frozen=True, slots=True)
class Rules:
    """What a message may be, and how it is answered. Lengths in characters, `pause` between two views in seconds."""

    system: str
    longest_message: int = 8_000
    transcript_budget: int = 48_000
    pause: float = 0.1


class Conversations:
    """The inbox of all platforms."""

    def __init__(
        self,
        store: Store,
        model: ChatModel,
        renderer: Renderer,
        intake: Callable[[bytes], Awaitable[Picture]],
        rules: Rules,
    ) -> None:
        """`intake` makes a safe picture of an uploaded file and keeps it, or raises Refused."""
        self._store = store
        self._model = model
        self._renderer = renderer
        self._intake = intake
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
            for platform in platforms.values():
                self._group.create_task(platform.run(self))

    async def accept(self, event: Incoming) -> str:
        """Record the event and start the work; the id of the message that is answered. Raises Refused, Unrecorded."""
        try:
            match event:
                case Message():
                    return await self._message(event)
                case ButtonPress(action=Action.STOP):
                    return self._stop(event)
                case ButtonPress(action=Action.RETRY):
                    return await self._retry(event)
                case ButtonPress(action=Action.VARY):
                    return await self._vary(event)
                case ButtonPress():
                    raise Refused(f"Say in a message about #{event.target} what should change in it.")
        except OSError as error:
            raise Unrecorded(f"Nothing was recorded, please try again later: {error.strerror}.") from error

    async def _message(self, message: Message, words: str | None = None) -> str:
        if not self._store.knows_message(message.id):
            message = replace(message, text=message.text.strip())
            self._check(message)
            uploads = [await self._intake(upload) for upload in message.uploads]
            if self._store.accept(message, uploads, words):
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
        reason = f"Stopped by {press.author.name}."
        if entry.id in self._live:
            self._live[entry.id].stop(reason)
        elif entry.id in self._waiting.get(entry.thread, ()):
            self._waiting[entry.thread].remove(entry.id)
            self._start(self._say_only(entry, reason))
        return entry.id

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
        return await self._message(message, f'<vary of="{number}"/>')

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
        model = Dictation(self._model, self._store, entry.id)
        order = partial(self._store.order, entry.id)

        async def answering() -> None:
            turn = self._turn(entry)
            await answer(turn, model=model, renderer=self._renderer, order=order, happened=live.happened)

        showing = asyncio.create_task(pacer.run())
        try:
            await live.run(answering())
            if live.halted:
                self._store.cancel_jobs(entry.id, live.halted)
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

    def _turn(self, entry: Entry) -> Turn:
        pictures = self._store.pictures(entry.thread)
        earlier: list[Entry] = []
        for other in self._store.entries(entry.thread):
            if other.id == entry.id:
                break
            earlier.append(other)
        told = transcript(self._rules.system, earlier, entry, pictures, self._rules.transcript_budget)
        about = entry.about or (entry.uploads[-1].number if entry.uploads else None)
        return Turn(tuple(told), tuple(pictures), about)


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


class Dictation:
    """A chat model whose words are kept in the store, and said again from there once it has finished."""

    def __init__(self, model: ChatModel, store: Store, message_id: str) -> None:
        self._model = model
        self._store = store
        self._message_id = message_id

    @property
    def manners(self) -> Manners:
        """Those of the model."""
        return self._model.manners

    async def listen(self, transcript: Sequence[Said], tools: Sequence[Tool] = ()) -> AsyncGenerator[ModelEvent]:
        """The model's events, or those of an answer that was heard before."""
        words = self._store.heard(self._message_id)
        if words is not None:
            yield Delta(words)
            yield Stopped()
            return
        said: list[str] = []
        complete = False
        try:
            async with aclosing(self._model.listen(transcript, tools)) as answer:
                async for event in answer:
                    if isinstance(event, Delta):
                        said.append(event.text)
                    complete = event == Stopped()
                    if complete:
                        self._store.hear(self._message_id, "".join(said), complete=True)
                    yield event
        finally:
            if not complete:
                self._store.hear(self._message_id, "".join(said), complete=False)
