"""The process that owns a device. It lives as long as the pipe to the process that started it."""

import importlib
import logging
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Event, Lock, Thread

from render.studio import Broken, Cancelled, Options, Studio, Tell, Unusable, sentence
from render.wire import Batch, End, Made, Slots, Spoilt, Started, WorkerEvent

log = logging.getLogger(__name__)

Order = Batch | None  # None: the batch under way is not wanted any more
Told = Slots | WorkerEvent  # Slots: once it is loaded or cannot be, and whenever they change


def main(pipe: Connection, load: Callable[[], Studio]) -> None:
    """Load, then render one batch after the other, on this thread alone: torch's current device is a thread's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the other process; this one follows it
    os.set_inheritable(pipe.fileno(), False)
    sending, orders = Lock(), SimpleQueue[tuple[Batch, Event]]()

    def tell(told: Told) -> None:
        with sending, suppress(OSError):  # nobody hears: `_listen` ends the process
            pipe.send(told)

    Thread(target=_listen, args=(pipe, orders), daemon=True).start()
    try:
        studio = load()
        slots = _slots(studio)
    except Unusable as error:
        log.error("%s", error, exc_info=error.__cause__)
        tell(Slots(trouble=str(error)))
        return
    except Exception as error:  # a missing file, a broken model, no memory: told to whoever asks for a picture
        log.exception("the model cannot be loaded")
        tell(Slots(trouble=f"The picture model cannot be loaded ({type(error).__name__}); the worker's log says why."))
        return
    log.info("loaded %s", studio.model)
    tell(slots)
    while True:
        batch, cancelled = orders.get()
        _paint(studio, batch, tell, cancelled)
        if slots != (slots := _slots(studio)):
            tell(slots)
        tell(End())


def _listen(pipe: Connection, orders: "SimpleQueue[tuple[Batch, Event]]") -> None:
    """On a thread of its own, which also notices that the other process is gone, however it went."""
    cancelled = Event()
    with suppress(EOFError, OSError):
        while True:
            order: Order = pipe.recv()
            if order is None:
                cancelled.set()
            else:
                cancelled = Event()
                orders.put((order, cancelled))
    os._exit(0)


def _paint(studio: Studio, batch: Batch, tell: Tell, cancelled: Event) -> None:
    waiting = {task.id for task in batch.tasks}

    def happened(event: WorkerEvent) -> None:
        if isinstance(event, Made | Spoilt):
            waiting.discard(event.task)
        tell(event)

    tell(Started())
    try:
        studio.paint(batch, happened, cancelled)
    except Cancelled:
        log.info("a batch of %s was cancelled", len(batch.tasks))
    except Broken:
        log.exception("the device is lost")
        os._exit(1)
    except Exception as error:
        log.exception("a batch of %s failed", len(batch.tasks))
        for task in batch.tasks:
            if task.id in waiting:
                tell(Spoilt(task.id, sentence(error)))


def _slots(studio: Studio) -> Slots:
    return Slots(
        slots=1,
        free=1,
        model=studio.model,
        revision=studio.revision,
        abilities=studio.abilities,
        usual=studio.usual,
        largest_batch=studio.largest_batch,
    )


def load_diffusion(model: str, device: str, largest_batch: int | None, level: str, options: Options) -> Studio:
    """The studio of `python -m render`; torch is imported only here, in the device's process."""
    log_as_worker(level)
    from render.diffusion.studio import Studio as Diffusion

    return Diffusion(model, device, largest_batch, options=options)


def load_named(studio: str, model: str, device: str, largest_batch: int | None, options: Options) -> Studio:
    """The studio of a deployment, which names its class as `module:class`."""
    module, _, name = studio.partition(":")
    made: Studio = getattr(importlib.import_module(module), name)(model, device, largest_batch, options=options)
    return made


def log_as_worker(level: str) -> None:
    """Both processes of a worker write alike."""
    logging.basicConfig(level=level, format="%(asctime)s worker %(levelname)s %(message)s")
