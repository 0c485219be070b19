"""Supervises the device process: restarts it, detects a hang, and gives it one batch at a time."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from threading import Thread

from bot.notices import notice
from render.image_model import ImageModel
from render.protocol import (
    HEARTBEAT_INTERVAL,
    Batch,
    End,
    Heartbeat,
    ImageDone,
    ImageFailed,
    ImageTask,
    Started,
    StepDone,
    WorkerEvent,
    WorkerReport,
)
from render.worker.device_process import DeviceCommand, DeviceMessage, main
from render.worker.result_cache import ResultCache

log = logging.getLogger(__name__)

# Environment of the device process, read by libraries when they are loaded. On a CPU that other programs use too,
# threads that spin while they wait make an image twenty times slower. Large buffers that are kept cost no page faults.
DEVICE_ENVIRONMENT = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "0",
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
    "MALLOC_TRIM_THRESHOLD_": str(2**28),
    "TRANSFORMERS_VERBOSITY": "error",
    "DIFFUSERS_VERBOSITY": "error",  # its warnings contain prompts of users
}
HANG_TIMEOUT = 120.0  # seconds without an event during a batch after which a device counts as hung
FIRST_BATCH_FACTOR = 3  # times HANG_TIMEOUT for the first batch of a process, which compiles and selects kernels
RESTART_PAUSES = (0.2, 30.0)  # seconds before a dead process is restarted: the first time, at most
HEALTHY_AFTER = 60.0  # seconds of life after which the death of a process resets the pause
DIES_WHILE_LOADING = notice("model-process-died")
EXIT_TIMEOUT = 2.0  # seconds for an exiting process to report why
KILL_TIMEOUT = 10.0  # seconds for a killed process to exit
HANDOVER_TIMEOUT = 1.0  # seconds that a batch waits for another one that is just ending


class DeviceBusy(Exception):
    """The device cannot take the batch now. The text is a sentence for users."""


class DeviceLost(Exception):
    """The device process died during the batch, or hung and was killed."""


class Device:
    """One model on one device in its own process. It renders one batch at a time."""

    def __init__(
        self, load: Callable[[], ImageModel], *, cache: ResultCache | None = None, hang_timeout: float = HANG_TIMEOUT
    ) -> None:
        """`load` is picklable; it runs in the device process and may take minutes. `hang_timeout` is in seconds."""
        self._load = load
        self._cache = cache
        self._hang_timeout = hang_timeout
        self._process: _DeviceProcess | None = None
        self._report = WorkerReport()
        self._running_batch: _DeviceBatch | None = None
        self._last_message_at = 0.0  # loop time of the last message of the process
        self._is_warm = False  # whether this process has rendered a batch
        self._has_reported = False  # whether this process has loaded its model, or reported why it cannot
        self._has_ever_loaded = False  # whether any process has ever loaded the model
        self._load_crashes = 0  # consecutive crashes while loading
        self._cache_writes: set[asyncio.Task[None]] = set()

    @property
    def pid(self) -> int | None:
        """Process id of the device process, or None while there is none."""
        return self._process.pid if self._process else None

    def slots(self) -> WorkerReport:
        """Return the report of the device: one slot, not free while a batch runs; none while the model loads."""
        return replace(self._report, free=0) if self._running_batch else self._report

    async def run(self) -> None:
        """Keep the device process alive until cancelled. If a model reports that it cannot load, do not try again."""
        pause, loop = RESTART_PAUSES[0], asyncio.get_running_loop()
        while True:
            born = loop.time()
            try:
                self._process = _DeviceProcess(self._load, self._handle_message)
            except OSError as error:  # no memory, too many open files: may be temporary
                log.error("the device process cannot be started: %s", error)
                await asyncio.sleep(RESTART_PAUSES[1])
                continue
            self._has_reported = self._is_warm = False
            try:
                await self._watch(self._process)
            finally:
                try:
                    await self._process.kill()
                finally:  # only now: until it is dead, the batch may still be rendered, and must not run elsewhere
                    self._process = None
                    self._handle_exit()
            if self._report.trouble and self._has_reported and not self._has_ever_loaded:
                await asyncio.Event().wait()
            pause = RESTART_PAUSES[0] if loop.time() - born > HEALTHY_AFTER else min(RESTART_PAUSES[1], pause * 2)
            log.warning("the device process exited; another starts in %.1f s", pause)
            await asyncio.sleep(pause)

    async def _watch(self, process: "_DeviceProcess") -> None:
        """Return when the process has exited, or hangs and must be killed."""
        loop = asyncio.get_running_loop()
        while not process.exited.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(process.exited.wait(), min(1.0, self._hang_timeout / 10))
            silent = loop.time() - self._last_message_at
            if self._running_batch and silent > self._hang_timeout * (1 if self._is_warm else FIRST_BATCH_FACTOR):
                log.error("the device hangs: no event of its batch for %.0f s", silent)
                return

    def _handle_message(self, message: DeviceMessage) -> None:
        self._last_message_at = asyncio.get_running_loop().time()
        match message:
            case WorkerReport():
                self._report, self._has_reported = message, True
                self._has_ever_loaded = self._has_ever_loaded or message.slots > 0
            case End() if self._running_batch:
                self._is_warm = True
                self._end_batch(End())
            case _ if self._running_batch:
                if isinstance(message, ImageDone):
                    self._write_cache(self._running_batch.tasks[message.task], message)
                self._running_batch.add_event(message)

    def _handle_exit(self) -> None:
        """Handle the exit of the process: end its batch, and report why it exited or that it died while loading."""
        self._load_crashes = 0 if self._has_reported else self._load_crashes + 1
        if not self._report.trouble or not self._has_reported:
            self._report = WorkerReport(trouble=DIES_WHILE_LOADING if self._load_crashes > 1 else None)
        self._end_batch(None)

    def _end_batch(self, last: End | None) -> None:
        if self._running_batch:
            self._running_batch.queue.put_nowait(last)
            self._running_batch.ended.set()
            self._running_batch = None

    async def render(self, batch: Batch) -> AsyncGenerator[WorkerEvent]:
        """Stream the events of the batch: Started, StepDone, one ImageDone or ImageFailed for each task, End.

        A Heartbeat is sent during each silence. Closing the generator cancels the batch at the next step. Images in
        the result cache are not rendered again. A batch that arrives when another batch is just ending waits for its
        end. Raises DeviceBusy before the first event; DeviceLost.
        """
        slots = self._check(batch)
        found = await self._find_cached(batch.tasks, slots)
        rest = [task for task in batch.tasks if task.id not in found]
        if not rest:
            yield Started()
            for made in found.values():
                yield made
            yield End()
            return
        work = await self._start_batch(Batch(rest))
        try:
            async with aclosing(work.events()) as events:
                async for event in events:
                    yield event
                    if isinstance(event, Started):
                        for made in found.values():
                            yield made
        finally:
            if not work.ended.is_set():
                work.is_ending = True
                if self._process:
                    self._process.send(None)

    def _check(self, batch: Batch) -> WorkerReport:
        if not self._report.slots:
            raise DeviceBusy(self._report.trouble or notice("model-loading"))
        if any(task.sampling.model not in ("", self._report.model) for task in batch.tasks):
            raise DeviceBusy(notice("worker-other-model", model=self._report.model))
        return self._report

    async def _start_batch(self, batch: Batch) -> "_DeviceBatch":
        """Send the batch to the device process; its only batch until it ends. Raises DeviceBusy."""
        with suppress(TimeoutError):
            async with asyncio.timeout(HANDOVER_TIMEOUT):
                while self._running_batch and self._running_batch.is_ending:
                    await self._running_batch.ended.wait()
        self._check(batch)
        if self._running_batch or not self._process:
            raise DeviceBusy(notice("device-busy"))
        self._running_batch = _DeviceBatch({task.id: task for task in batch.tasks})
        self._last_message_at = asyncio.get_running_loop().time()
        self._process.send(batch)
        return self._running_batch

    async def _find_cached(self, tasks: list[ImageTask], slots: WorkerReport) -> dict[str, ImageDone]:
        """Return the images of these tasks that are in the result cache, by task id."""
        if not self._cache or not slots.revision:
            return {}
        cache, known = self._cache, [task for task in tasks if self._cache.has(task, slots)]
        found = await asyncio.to_thread(lambda: [cache.find(task, slots) for task in known]) if known else []
        return {made.task: made for made in found if made}

    def _write_cache(self, task: ImageTask, result: ImageDone) -> None:
        """Write the image to the result cache in the background, even if the request was cancelled."""
        if self._cache and self._report.revision:
            keeping = asyncio.create_task(asyncio.to_thread(self._cache.put, task, self._report, result.png))
            self._cache_writes.add(keeping)
            keeping.add_done_callback(self._cache_writes.discard)


@dataclass
class _DeviceBatch:
    """A batch on the device. `is_ending`: all its steps are done, or it is cancelled."""

    tasks: dict[str, ImageTask]
    ended_tasks: int = 0
    is_ending: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    queue: "asyncio.Queue[WorkerEvent | None]" = field(
        default_factory=asyncio.Queue
    )  # None: the device process is gone

    def add_event(self, event: WorkerEvent) -> None:
        match event:
            case ImageDone() | ImageFailed():
                self.ended_tasks += 1
                self.is_ending = self.is_ending or self.ended_tasks == len(self.tasks)
            case StepDone(fraction) if fraction >= 1:
                self.is_ending = True
        self.queue.put_nowait(event)

    async def events(self) -> AsyncGenerator[WorkerEvent]:
        while True:
            try:
                event = await asyncio.wait_for(self.queue.get(), HEARTBEAT_INTERVAL)
            except TimeoutError:
                event = Heartbeat()
            if event is None:
                raise DeviceLost("The device's process is gone.")
            yield event
            if isinstance(event, End):
                return


class _DeviceProcess:
    """The device process. Two threads use its pipe, because sending and receiving may block."""

    def __init__(self, load: Callable[[], ImageModel], on_message: Callable[[DeviceMessage], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_message = on_message
        self.exited = asyncio.Event()
        self._is_killed = False
        context = get_context("spawn")  # torch and threads do not survive a fork
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=main, args=(theirs, load), name="painter", daemon=True)
        self._process.start()
        theirs.close()
        self.pid = self._process.pid
        self._commands: asyncio.Queue[DeviceCommand] = asyncio.Queue()
        self._sender = asyncio.create_task(self._send_commands())
        Thread(target=self._receive_messages, name="painter's news", daemon=True).start()

    def send(self, command: DeviceCommand) -> None:
        """Send a batch, or None to cancel the running one."""
        self._commands.put_nowait(command)

    async def _send_commands(self) -> None:
        with suppress(OSError):  # the process is gone: `_receive_messages` notices
            while True:
                await asyncio.to_thread(self._pipe.send, await self._commands.get())

    def _receive_messages(self) -> None:
        with suppress(RuntimeError):  # the event loop is closed
            with suppress(EOFError, OSError):
                while True:
                    self._loop.call_soon_threadsafe(self._deliver, self._pipe.recv())
            self._loop.call_soon_threadsafe(self.exited.set)

    def _deliver(self, message: DeviceMessage) -> None:
        if not self._is_killed:
            self._on_message(message)

    async def kill(self) -> None:
        """Kill the process if it is alive; no message of it is delivered afterwards."""
        try:
            if self.exited.is_set():  # it is about to exit, and may still be writing the reason to the log
                await asyncio.to_thread(self._process.join, EXIT_TIMEOUT)
            self._process.kill()
            await asyncio.to_thread(self._process.join, KILL_TIMEOUT)
        finally:
            self._is_killed = True
            self._sender.cancel()
