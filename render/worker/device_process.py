"""Main loop of the device process, which holds the model. It exits when the pipe to its parent closes."""

import importlib
import logging
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Event, Lock, Thread

from render.image_model import Broken, Cancelled, Options, Studio, Tell, Unusable, sentence
from render.protocol import Batch, End, Made, Slots, Spoilt, Started, WorkerEvent

log = logging.getLogger(__name__)

Order = Batch | None  # None: cancel the running batch
Told = Slots | WorkerEvent  # a report: after loading or its failure, and whenever it changes


def main(pipe: Connection, load: Callable[[], Studio]) -> None:
    """Load the model, then render batches one by one. All on this thread: torch's current device is per thread."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C; this process exits with it
    os.set_inheritable(pipe.fileno(), False)
    sending, orders = Lock(), SimpleQueue[tuple[Batch, Event]]()

    def tell(told: Told) -> None:
        with sending, suppress(OSError):  # the parent is gone: `_receive_commands` ends the process
            pipe.send(told)

    Thread(target=_listen, args=(pipe, orders), daemon=True).start()
    try:
        studio = load()
        slots = _slots(studio)
    except Unusable as error:
        log.error("%s", error, exc_info=error.__cause__)
        tell(Slots(trouble=str(error)))
        return
    except Exception as error:  # a missing file, a broken model, no memory: reported to users
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
    """Receive commands on a separate thread, and exit when the parent is gone, for whatever reason."""
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
        log.exception("the device is broken: its process exits")
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
    """Load the image model of `python -m render`. Torch is imported only here, in the device process."""
    log_as_worker(level)
    from render.diffusion.diffusers_model import Studio as Diffusion

    return Diffusion(model, device, largest_batch, options=options)


def load_named(studio: str, model: str, device: str, largest_batch: int | None, options: Options) -> Studio:
    """Load the image model of a Ray deployment, whose class is given as `module:class`."""
    module, _, name = studio.partition(":")
    made: Studio = getattr(importlib.import_module(module), name)(model, device, largest_batch, options=options)
    return made


def log_as_worker(level: str) -> None:
    """Configure the log format that both processes of a worker use."""
    logging.basicConfig(level=level, format="%(asctime)s worker %(levelname)s %(message)s")
