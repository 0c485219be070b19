"""Supervises the device process: restarts it, detects a hang, and gives it one batch at a time."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from threading import Thread

from render.image_model import Studio
from render.protocol import KEEP_ALIVE, Alive, Batch, End, Made, Slots, Spoilt, Started, Step, Task, WorkerEvent
from render.worker.device_process import Order, Told, main
from render.worker.result_cache import ResultCache

log = logging.getLogger(__name__)

PATIENCE = 120.0  # seconds without an event during a batch after which a device counts as hung
FIRST_TIME = 3  # times HANG_TIMEOUT for the first batch of a process, which compiles and selects kernels
PAUSE = (0.2, 30.0)  # seconds before a dead process is restarted: the first time, at most
HEALTHY = 60.0  # seconds of life after which the death of a process resets the pause
DIES = "The picture model cannot be loaded: its process ends meanwhile; the worker's log says more."
LAST_WORDS = 2.0  # seconds for an exiting process to report why
DYING = 10.0  # seconds for a killed process to exit
ENDING = 1.0  # seconds that a batch waits for another one that is just ending


class Busy(Exception):
    """The device cannot take the batch now. The text is a sentence for users."""


class DeviceLost(Exception):
    """The device process died during the batch, or hung and was killed."""


class Device:
    """One model on one device in its own process. It renders one batch at a time."""

    def __init__(
        self, load: Callable[[], Studio], *, cache: ResultCache | None = None, patience: float = PATIENCE
    ) -> None:
        """`load` is picklable; it runs in the device process and may take minutes. `hang_timeout` is in seconds."""
        self._load = load
        self._cache = cache
        self._patience = patience
        self._process: _Process | None = None
        self._told = Slots()
        self._work: _Work | None = None
        self._moved = 0.0  # loop time of the last message of the process
        self._warm = False  # whether this process has rendered a batch
        self._answered = False  # whether this process has loaded its model, or reported why it cannot
        self._loaded = False  # whether any process has ever loaded the model
        self._deaths = 0  # consecutive crashes while loading
        self._keeping: set[asyncio.Task[None]] = set()

    @property
    def pid(self) -> int | None:
        """Process id of the device process, or None while there is none."""
        return self._process.pid if self._process else None

    def slots(self) -> Slots:
        """Return the report of the device: one slot, not free while a batch runs; none while the model loads."""
        return replace(self._told, free=0) if self._work else self._told

    async def run(self) -> None:
        """Keep the device process alive until cancelled. If a model reports that it cannot load, do not try again."""
        pause, loop = PAUSE[0], asyncio.get_running_loop()
        while True:
            born = loop.time()
            try:
                self._process = _Process(self._load, self._heard)
            except OSError as error:  # no memory, too many open files: may be temporary
                log.error("the device process cannot be started: %s", error)
                await asyncio.sleep(PAUSE[1])
                continue
            self._answered = self._warm = False
            try:
                await self._watch(self._process)
            finally:
                try:
                    await self._process.end()
                finally:  # only now: until it is dead, the batch may still be rendered, and must not run elsewhere
                    self._process = None
                    self._lost()
            if self._told.trouble and self._answered and not self._loaded:
                await asyncio.Event().wait()
            pause = PAUSE[0] if loop.time() - born > HEALTHY else min(PAUSE[1], pause * 2)
            log.warning("the device process exited; another starts in %.1f s", pause)
            await asyncio.sleep(pause)

    async def _watch(self, process: "_Process") -> None:
        """Return when the process has exited, or hangs and must be killed."""
        loop = asyncio.get_running_loop()
        while not process.gone.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(process.gone.wait(), min(1.0, self._patience / 10))
            silent = loop.time() - self._moved
            if self._work and silent > self._patience * (1 if self._warm else FIRST_TIME):
                log.error("the device hangs: no event of its batch for %.0f s", silent)
                return

    def _heard(self, told: Told) -> None:
        self._moved = asyncio.get_running_loop().time()
        match told:
            case Slots():
                self._told, self._answered = told, True
                self._loaded = self._loaded or told.slots > 0
            case End() if self._work:
                self._warm = True
                self._over(End())
            case _ if self._work:
                if isinstance(told, Made):
                    self._keep(self._work.tasks[told.task], told)
                self._work.happened(told)

    def _lost(self) -> None:
        """Handle the exit of the process: end its batch, and report why it exited or that it died while loading."""
        self._deaths = 0 if self._answered else self._deaths + 1
        if not self._told.trouble or not self._answered:
            self._told = Slots(trouble=DIES if self._deaths > 1 else None)
        self._over(None)

    def _over(self, last: End | None) -> None:
        if self._work:
            self._work.news.put_nowait(last)
            self._work.over.set()
            self._work = None

    async def render(self, batch: Batch) -> AsyncGenerator[WorkerEvent]:
        """Stream the events of the batch: Started, StepDone, one ImageDone or ImageFailed for each task, End.

        A Heartbeat is sent during each silence. Closing the generator cancels the batch at the next step. Images in
        the result cache are not rendered again. A batch that arrives when another batch is just ending waits for its
        end. Raises DeviceBusy before the first event; DeviceLost.
        """
        slots = self._check(batch)
        found = await self._found(batch.tasks, slots)
        rest = [task for task in batch.tasks if task.id not in found]
        if not rest:
            yield Started()
            for made in found.values():
                yield made
            yield End()
            return
        work = await self._take(Batch(rest))
        try:
            async with aclosing(work.events()) as events:
                async for event in events:
                    yield event
                    if isinstance(event, Started):
                        for made in found.values():
                            yield made
        finally:
            if not work.over.is_set():
                work.ending = True
                if self._process:
                    self._process.order(None)

    def _check(self, batch: Batch) -> Slots:
        if not self._told.slots:
            raise Busy(self._told.trouble or "The picture model is being loaded.")
        if any(task.model not in ("", self._told.model) for task in batch.tasks):
            raise Busy(f"This render worker has the picture model {self._told.model!r} and no other.")
        return self._told

    async def _take(self, batch: Batch) -> "_Work":
        """Send the batch to the device process; its only batch until it ends. Raises DeviceBusy."""
        with suppress(TimeoutError):
            async with asyncio.timeout(ENDING):
                while self._work and self._work.ending:
                    await self._work.over.wait()
        self._check(batch)
        if self._work or not self._process:
            raise Busy("The device renders another batch.")
        self._work = _Work({task.id: task for task in batch.tasks})
        self._moved = asyncio.get_running_loop().time()
        self._process.order(batch)
        return self._work

    async def _found(self, tasks: list[Task], slots: Slots) -> dict[str, Made]:
        """Return the images of these tasks that are in the result cache, by task id."""
        if not self._cache or not slots.revision:
            return {}
        cache, known = self._cache, [task for task in tasks if self._cache.has(task, slots)]
        found = await asyncio.to_thread(lambda: [cache.find(task, slots) for task in known]) if known else []
        return {made.task: made for made in found if made}

    def _keep(self, task: Task, made: Made) -> None:
        """Write the image to the result cache in the background, even if the request was cancelled."""
        if self._cache and self._told.revision:
            keeping = asyncio.create_task(asyncio.to_thread(self._cache.keep, task, self._told, made.png))
            self._keeping.add(keeping)
            keeping.add_done_callback(self._keeping.discard)


@dataclass
class _Work:
    """A batch on the device. `is_ending`: all its steps are done, or it is cancelled."""

    tasks: dict[str, Task]
    settled: int = 0
    ending: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)
    news: "asyncio.Queue[WorkerEvent | None]" = field(default_factory=asyncio.Queue)  # None: the device process is gone

    def happened(self, event: WorkerEvent) -> None:
        match event:
            case Made() | Spoilt():
                self.settled += 1
                self.ending = self.ending or self.settled == len(self.tasks)
            case Step(fraction) if fraction >= 1:
                self.ending = True
        self.news.put_nowait(event)

    async def events(self) -> AsyncGenerator[WorkerEvent]:
        while True:
            try:
                event = await asyncio.wait_for(self.news.get(), KEEP_ALIVE)
            except TimeoutError:
                event = Alive()
            if event is None:
                raise DeviceLost("The device's process is gone.")
            yield event
            if isinstance(event, End):
                return


class _Process:
    """The device process. Two threads use its pipe, because sending and receiving may block."""

    def __init__(self, load: Callable[[], Studio], heard: Callable[[Told], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._heard = heard
        self.gone = asyncio.Event()
        self._ended = False
        context = get_context("spawn")  # torch and threads do not survive a fork
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=main, args=(theirs, load), name="painter", daemon=True)
        self._process.start()
        theirs.close()
        self.pid = self._process.pid
        self._orders: asyncio.Queue[Order] = asyncio.Queue()
        self._sending = asyncio.create_task(self._send())
        Thread(target=self._listen, name="painter's news", daemon=True).start()

    def order(self, order: Order) -> None:
        """Send a batch, or None to cancel the running one."""
        self._orders.put_nowait(order)

    async def _send(self) -> None:
        with suppress(OSError):  # the process is gone: `_receive_messages` notices
            while True:
                await asyncio.to_thread(self._pipe.send, await self._orders.get())

    def _listen(self) -> None:
        with suppress(RuntimeError):  # the event loop is closed
            with suppress(EOFError, OSError):
                while True:
                    self._loop.call_soon_threadsafe(self._happened, self._pipe.recv())
            self._loop.call_soon_threadsafe(self.gone.set)

    def _happened(self, told: Told) -> None:
        if not self._ended:
            self._heard(told)

    async def end(self) -> None:
        """Kill the process if it is alive; no message of it is delivered afterwards."""
        try:
            if self.gone.is_set():  # it is about to exit, and may still be writing the reason to the log
                await asyncio.to_thread(self._process.join, LAST_WORDS)
            self._process.kill()
            await asyncio.to_thread(self._process.join, DYING)
        finally:
            self._ended = True
            self._sending.cancel()
