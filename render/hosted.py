"""Pictures by a model behind an OpenAI-compatible images API: an engine like a worker's, without a worker."""

import asyncio
import binascii
import logging
from base64 import b64decode
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, replace
from urllib.parse import urljoin, urlsplit

import httpx2
import openai
from openai import AsyncOpenAI, AsyncStream
from PIL import Image
from pydantic_core import from_json

from bot.domain import Operation
from bot.errors import Refused
from render.capped import TooMuch, capped_client
from render.engine import EngineLost
from render.images_api import (
    OPENAI,
    PARTIALS,
    Size,
    abilities,
    closest,
    found,
    misshapen,
    parameters,
    sizes,
    unknown_to,
)
from render.images_refusals import CannotEdit, Final, Later, Lost, NoEntry, Without, read, refusal_of, verdict
from render.operations import Means, Plan, Way, is_local
from render.pictures import decode, encode, preview, safe
from render.sitting import Easel, Wish, described, wish
from render.studio import sentence
from render.tasks import TYPICAL
from render.wire import Batch, Made, Preview, Slots, Spoilt, Started, Step, Task, WorkerEvent

log = logging.getLogger(__name__)

MOST = 64 * 2**20  # bytes of an answer: a picture of 2048 x 2048 pixels and its previews, in base64
CONNECT = 5.0  # seconds
SILENCE = 300.0  # seconds without a byte; a server that does not stream says nothing before the picture is done
LONGEST = 900.0  # seconds of a picture, with all its requests
PAUSES = (1.0, 4.0, 15.0)  # seconds before a busy server is asked again, where it names none
LONGEST_PAUSE = 60.0  # seconds that a server may ask for; a person who waits for longer is told
AWAY = (1.0, 60.0)  # seconds before a server that broke down is tried again: the first time, at most
LOCKED = 60.0  # seconds before one that refused the key is tried again

DREW_ANEW = "The images server cannot change pictures, so this one is drawn anew from words."
NO_PICTURE = "The images server sent no picture."
UNSEEN = "The images server cannot look at pictures, and nothing is known of what is to be seen in this one."

Show = Callable[[float, bytes | None], Awaitable[None]]


class HostedEngine:
    """A model on a server. Every picture is a request of its own, and at most `at_once` are under way."""

    def __init__(self, model: str, base_url: str | None, api_key: str | None, *, at_once: int = 4) -> None:
        """Without `base_url` it is OpenAI's own server. Local servers take any key, so none is needed for them."""
        self._http = capped_client(MOST, httpx2.Timeout(SILENCE, connect=CONNECT))
        self._client = AsyncOpenAI(
            base_url=base_url or OPENAI, api_key=api_key or "none", http_client=self._http, max_retries=0
        )  # that the picture is retried is for the queue to decide
        self._server = str(self._client.base_url.copy_with(userinfo=b"")).rstrip("/")
        self.name = f"{model} at {self._server}"
        self._model = model
        self._at_once = at_once
        self._room = asyncio.Semaphore(at_once)
        self._running = 0  # batches
        self._sizes = sizes(model)
        self._edits = True
        self._without = dict.fromkeys((False, True), unknown_to(model))  # what is not sent, for new pictures and edits
        self._trouble: str | None = None
        self._look_at: float | None = 0.0  # when to look whether it is there; None: it is
        self._pause = AWAY[0]

    async def slots(self) -> Slots:
        """What can be given to the server now; nothing while it is away."""
        if self._look_at is not None and _now() >= self._look_at:
            await self._look()
        there = 0 if self._look_at is not None else self._at_once
        return Slots(
            there,
            max(0, there - self._running),
            model=self._model,
            trouble=self._trouble,
            abilities=abilities(self._model, self._edits),
            usual=TYPICAL,
        )

    async def _look(self) -> None:
        """Ask for the list of models, which costs nothing; that there is none says nothing."""
        try:
            await self._client.get("/models", cast_to=object, options={"timeout": CONNECT})
        except openai.APIConnectionError:
            self._is_away()
            return
        except openai.APIStatusError as error:
            if error.status_code >= 500 and error.status_code != 501:
                self._is_away()
                return
            if error.status_code == 401 and not {"scope", "permission"} & set(read(error).words.lower().split()):
                self._is_locked(f"The images server at {self._server} refused the bot: check IMAGES_API_KEY.")
                return
        except (openai.OpenAIError, ValueError):  # it is no list of models
            pass
        self._trouble = self._look_at = None

    def _is_away(self) -> None:
        if self._look_at is None or _now() >= self._look_at:
            self._look_at = _now() + self._pause
            self._pause = min(AWAY[1], self._pause * 2)

    def _is_locked(self, reason: str) -> None:
        self._trouble, self._look_at = reason, _now() + LOCKED

    async def run(self, batch: Batch) -> AsyncGenerator[WorkerEvent]:
        """Draw the batch, at most once: every task ends as `Made` or `Spoilt`. Closing the generator cancels it.

        Raises EngineLost, after all those that can be drawn.
        """
        events: asyncio.Queue[WorkerEvent | None] = asyncio.Queue()
        progress = _Progress(len(batch.tasks), events.put_nowait)
        self._running += 1
        calls = [asyncio.create_task(self._draw(task, progress)) for task in batch.tasks]
        for call in calls:
            call.add_done_callback(lambda _: events.put_nowait(None))
        try:
            yield Started()
            left = len(calls)
            while left:
                event = await events.get()
                if event is None:
                    left -= 1
                else:
                    yield event
        finally:
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)
            self._running -= 1
        faults = [fault for call in calls if (fault := call.exception())]
        for fault in faults:
            if not isinstance(fault, EngineLost):
                raise fault
        if faults:
            raise EngineLost(any(isinstance(fault, EngineLost) and fault.started for fault in faults))

    # One picture

    async def _draw(self, task: Task, progress: "_Progress") -> None:
        """Tell of it until it is made or spoilt. Raises EngineLost."""
        try:
            async with asyncio.timeout(LONGEST), self._room:
                made = await self._made(task, progress)
        except TimeoutError as error:
            raise EngineLost(started=True) from error
        except (_Spoilt, ValueError) as error:
            progress.at(task, 1.0)
            progress.tell(Spoilt(task.id, str(error) if isinstance(error, _Spoilt) else sentence(error)))
        else:
            progress.at(task, 1.0)  # also where nothing was told meanwhile: so it is known how long it took
            progress.tell(made)

    async def _made(self, task: Task, progress: "_Progress") -> Made:
        """The picture, in the best way that the server has. Raises _Spoilt, ValueError, EngineLost."""
        could = self._edits
        wished = await self._wish(task)
        try:
            image = await self._image(wished, progress)
        except _NoEdits:
            self._edits = False
            wished = await self._wish(task)
            if could and task.before and task.prompt and not is_local(task.before, task.prompt):
                words = f"{task.before}\n{task.prompt}"  # these were instructions, which alone say too little
                wished = replace(wished, plan=replace(wished.plan, prompt=words))
            image = await self._image(wished, progress)
        notes = wished.notes
        if wished.plan.way is Way.WORDS and task.source and task.operation in (Operation.EDIT, Operation.REFINE):
            notes += (DREW_ANEW,)
        if wished.size and wished.plan.way is not Way.RESIZE and (note := misshapen(task, wished.size, image.size)):
            notes += (note,)
        way = str(wished.plan)
        told = described(task, self._model, way, notes)
        png = await asyncio.to_thread(encode, image, told)
        return Made(task.id, png, image.width, image.height, self._model, way, notes)

    async def _wish(self, task: Task) -> Wish:
        easel = Easel(Means(words=True, looks=self._edits), (TYPICAL.width, TYPICAL.height))
        return await asyncio.to_thread(wish, task, easel)

    async def _image(self, wished: Wish, progress: "_Progress") -> Image.Image:
        plan, source = wished.plan, wished.source
        if plan.way is Way.RESIZE and source:
            return await asyncio.to_thread(source.resize, wished.size or source.size, Image.Resampling.LANCZOS)
        if not plan.prompt:
            raise _Spoilt(UNSEEN)
        png = await asyncio.to_thread(encode, source, {}) if source and plan.way is Way.LOOK else None
        data = await self._asked(_Order(wished.task, plan, wished.size or (TYPICAL.width, TYPICAL.height), png), progress)
        try:
            return await asyncio.to_thread(safe, data)
        except Refused as refused:
            raise _Spoilt(f"What the images server sent cannot be used. {refused}") from refused

    async def _asked(self, order: "_Order", progress: "_Progress") -> bytes:
        """The picture's file. What the server does not take is left out, and that is remembered if it helps."""
        edits = order.source is not None
        without, known, pauses = self._without[edits], self._sizes, iter(PAUSES)
        while True:
            size = closest(order.size, known)
            sent = parameters(order.task, self._model, order.plan.prompt, size, without)
            try:
                data = await self._call(order, sent, progress)
            except Exception as error:
                refused = self._judged(error, sent, edits)
            else:
                self._without[edits] |= without
                self._sizes, self._pause = known, AWAY[0]
                return data
            match refused:
                case Without(names, named):
                    log.info("the images server is asked again: other sizes, or without %s", ", ".join(names) or "none")
                    without, known = without | names, named or known
                case Later(seconds):
                    pause = next(pauses, None)
                    if pause is None or (seconds or 0) > LONGEST_PAUSE:
                        raise _Spoilt(f"The images server at {self._server} is overloaded; try again later.")
                    await asyncio.sleep(pause if seconds is None else seconds)
                case CannotEdit():
                    raise _NoEdits
                case NoEntry(reason):
                    self._is_locked(reason)
                    raise _Spoilt(reason)
                case Final(reason):
                    raise _Spoilt(reason)
                case Lost(blamed):
                    self._is_away()
                    raise EngineLost(blamed)

    def _judged(
        self, error: Exception, sent: dict[str, object], edits: bool
    ) -> Without | Later | CannotEdit | NoEntry | Final | Lost:
        """What to do about a fault. Raises it if it is one of ours."""
        match error:
            case _Spoilt():
                raise error
            case TooMuch():
                return Final(f"The images server sent more than {MOST // 2**20} MB.")
            case openai.APIConnectionError() | httpx2.HTTPError():
                before = isinstance(error.__cause__ or error, httpx2.ConnectError | httpx2.ConnectTimeout)
                log.warning("the images server is lost: %s", type(error.__cause__ or error).__name__)
                return Lost(blamed=not before)
            case openai.APIError():
                refused = read(error)
                log.warning("the images server refuses: status %s, code %s", refused.status, refused.name)
                return verdict(refused, sent, edits=edits, model=self._model, server=self._server)
            case ValueError():
                return Final(NO_PICTURE)
            case _:
                raise error
