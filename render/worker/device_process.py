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

from bot.notices import notice
from render.image_model import (
    Cancelled,
    DeviceBroken,
    EventCallback,
    ImageModel,
    ModelLoadError,
    Options,
    describe_error,
)
from render.protocol import Batch, End, ImageDone, ImageFailed, Started, WorkerEvent, WorkerReport

log = logging.getLogger(__name__)

DeviceCommand = Batch | None  # None: cancel the running batch
DeviceMessage = WorkerReport | WorkerEvent  # a report: after loading or its failure, and whenever it changes


def main(pipe: Connection, load: Callable[[], ImageModel]) -> None:
    """Load the model, then render batches one by one. All on this thread: torch's current device is per thread."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C; this process exits with it
    os.set_inheritable(pipe.fileno(), False)
    sending, orders = Lock(), SimpleQueue[tuple[Batch, Event]]()

    def tell(told: DeviceMessage) -> None:
        with sending, suppress(OSError):  # the parent is gone: `_receive_commands` ends the process
            pipe.send(told)

    Thread(target=_receive_commands, args=(pipe, orders), daemon=True).start()
    try:
        studio = load()
        slots = _report(studio)
    except ModelLoadError as error:
        log.error("%s", error, exc_info=error.__cause__)
        tell(WorkerReport(trouble=error.notice))
        return
    except Exception as error:  # a missing file, a broken model, no memory: reported to users
        log.exception("the model cannot be loaded")
        tell(WorkerReport(trouble=notice("model-not-loaded", error=type(error).__name__)))
        return
    log.info("loaded %s", studio.model)
    tell(slots)
    while True:
        batch, cancelled = orders.get()
        _render_batch(studio, batch, tell, cancelled)
        if slots != (slots := _report(studio)):
            tell(slots)
        tell(End())


def _receive_commands(pipe: Connection, orders: "SimpleQueue[tuple[Batch, Event]]") -> None:
    """Receive commands on a separate thread, and exit when the parent is gone, for whatever reason."""
    cancelled = Event()
    with suppress(EOFError, OSError):
        while True:
            order: DeviceCommand = pipe.recv()
            if order is None:
                cancelled.set()
            else:
                cancelled = Event()
                orders.put((order, cancelled))
    os._exit(0)


def _render_batch(model: ImageModel, batch: Batch, send: EventCallback, cancelled: Event) -> None:
    waiting = {task.id for task in batch.tasks}

    def happened(event: WorkerEvent) -> None:
        if isinstance(event, ImageDone | ImageFailed):
            waiting.discard(event.task)
        send(event)

    send(Started())
    try:
        model.render(batch, happened, cancelled)
    except Cancelled:
        log.info("a batch of %s was cancelled", len(batch.tasks))
    except DeviceBroken:
        log.exception("the device is broken: its process exits")
        os._exit(1)
    except Exception as error:
        log.exception("a batch of %s failed", len(batch.tasks))
        for task in batch.tasks:
            if task.id in waiting:
                send(ImageFailed(task.id, describe_error(error)))


def _report(model: ImageModel) -> WorkerReport:
    return WorkerReport(
        slots=1,
        free=1,
        model=model.model,
        revision=model.revision,
        capabilities=model.capabilities,
        defaults=model.defaults,
        largest_batch=model.largest_batch,
    )


def load_diffusers_model(
    model: str, device: str, largest_batch: int | None, level: str, options: Options
) -> ImageModel:
    """Load the image model of `python -m render`. Torch is imported only here, in the device process."""
    configure_logging(level)
    from render.diffusion.diffusers_model import DiffusersModel as Diffusion

    return Diffusion(model, device, largest_batch, options=options)


def load_model_class(
    class_path: str, model: str, device: str, largest_batch: int | None, options: Options
) -> ImageModel:
    """Load the image model of a Ray deployment, whose class is given as `module:class`."""
    module, _, name = class_path.partition(":")
    made: ImageModel = getattr(importlib.import_module(module), name)(model, device, largest_batch, options=options)
    return made


def configure_logging(level: str) -> None:
    """Configure the log format that both processes of a worker use."""
    logging.basicConfig(level=level, format="%(asctime)s worker %(levelname)s %(message)s")
