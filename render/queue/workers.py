"""The pool of workers: polls each worker for its slots, tracks its batches, and backs off after its violations."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from typing import Protocol

from bot.capabilities import Abilities
from render.protocol import Batch, Slots, Usual, WorkerEvent
from render.queue.job_mapping import TYPICAL
from render.queue.scheduler import Busy, Kind, Slot, Waiting

log = logging.getLogger(__name__)

POLL = (0.05, 1.0)  # seconds between two polls of a worker: the shortest, the longest
REST = (5.0, 300.0)  # seconds without batches after a protocol violation: the first time, at most


class Engine(Protocol):
    """Runs a batch at most once: a worker or an images API."""

    @property
    def name(self) -> str:
        """Name of the engine in status and logs."""
        ...

    async def slots(self) -> Slots:
        """Return the report of the engine; a report without slots if it cannot be reached."""
        ...

    def run(self, batch: Batch) -> AsyncGenerator[WorkerEvent]:
        """Render the batch and stream its events. Closing the generator cancels the batch. Raises EngineLost."""
        ...


class UnderWay(Protocol):
    """A running batch, as the pool sees it."""

    @property
    def jobs(self) -> tuple[Waiting, ...]:
        """All jobs of the batch, ended jobs included."""
        ...

    def left(self, now: float, pace: float | None) -> float:
        """Seconds until the batch is done. `pace` is seconds per megapixel-step, None if unknown."""
        ...


class Worker:
    """One worker of the pool: its last report, its running batches, and whether it gets new batches."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.told = Slots()
        self.rounds: list[UnderWay] = []
        self.others = 0  # batches on the worker that another bot sent
        self.doubt = asyncio.Event()  # set if the last report may be outdated
        self._lies = 0
        self._resting_until = 0.0

    def free(self, now: float) -> int:
        """Return how many batches the worker can take now."""
        if now < self._resting_until or self.told.trouble or self.doubt.is_set():
            return 0
        return self.told.slots - self.others - len(self.rounds)

    def slot(self) -> Slot:
        """Return one slot of the worker, for the scheduler."""
        usual = self.told.usual or TYPICAL
        models = frozenset([self.told.model])
        return Slot(self.told.model, models, seats=self.told.largest_batch, usual=usual.width * usual.height / 1e6)

    def hear(self, told: Slots) -> None:
        """Store a new report of the worker."""
        self.told = told
        self.others = max(0, told.slots - told.free - len(self.rounds))
        self.doubt.clear()

    def lost(self) -> None:
        """Send nothing to the worker until it has reported again: a stream broke, or it refused a batch."""
        self.doubt.set()

    def lied(self, lie: str, now: float) -> None:
        """Back off after a protocol violation, twice as long each time, at most the longest backoff."""
        rest = min(REST[1], REST[0] * 2**self._lies)
        self._lies += 1
        self._resting_until = now + rest
        log.warning("the render worker %s gets no batches for %.0f s: %s", self.engine.name, rest, lie)

    def kept_its_word(self) -> None:
        """Forget earlier violations, because a batch ended as it should."""
        self._lies = 0


class Fleet:
    """All workers, and the capabilities and defaults of their model."""

    def __init__(self, engines: Sequence[Engine], abilities: Abilities, news: Callable[[], None]) -> None:
        """`capabilities` apply until a worker has reported its own; `on_change` is called after every report."""
        self.workers = [Worker(engine) for engine in engines]
        self.abilities = abilities
        self.usual: Usual = TYPICAL
        self.introduced = asyncio.Event()  # set when a worker has reported its capabilities, or none ever will
        self._news = news

    @property
    def trouble(self) -> str | None:
        """Why no image can be rendered, if no worker will ever have a slot; None otherwise."""
        troubles = [worker.told.trouble for worker in self.workers]
        return troubles[0] if all(troubles) else None

    @property
    def models(self) -> list[str]:
        """Model of each worker; empty for a worker that has not reported."""
        return [worker.told.model for worker in self.workers]

    def refuses(self, kind: Kind) -> str | None:
        """Return why no worker can render these jobs; None if one can, or if a worker has not reported its model."""
        known = [worker for worker in self.workers if worker.told.model and not worker.told.trouble]
        if len(known) < len(self.workers) or any(worker.slot().takes(kind) for worker in known):
            return None
        models = ", ".join(sorted({worker.told.model for worker in known}))
        return f"No render worker has the picture model {kind.model!r}; there is {models}."

    def busy(self, now: float, pace: float | None) -> list[Busy]:
        """Return every slot, its jobs, and when it is free. `pace` is seconds per megapixel-step, None if unknown."""
        slots = []
        for worker in self.workers:
            slot = worker.slot()
            slots += [Busy(slot, each.left(now, pace), each.jobs) for each in worker.rounds]
            slots += [Busy(slot)] * max(0, worker.told.slots - len(worker.rounds))
        return slots or [Busy(Slot())]  # assume one slot, because a worker will come

    async def run(self) -> None:
        """Poll every worker until cancelled."""
        async with asyncio.TaskGroup() as group:
            for worker in self.workers:
                group.create_task(self._watch(worker))

    async def _watch(self, worker: Worker) -> None:
        pause = POLL[0]
        while True:
            was_there = worker.told.slots > 0
            worker.hear(await worker.engine.slots())
            if worker.told.trouble or (worker.told.slots and not worker.others):
                pause = POLL[1]
            else:
                pause = POLL[0] if was_there else min(POLL[1], pause * 1.5)
            self._learn(worker.told)
            self._news()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await worker.doubt.wait()
                    await asyncio.sleep(POLL[0])  # a worker that is just stopping is not polled at once

    def _learn(self, told: Slots) -> None:
        self.abilities = told.abilities or self.abilities
        self.usual = told.usual or self.usual
        if told.abilities or all(worker.told.trouble for worker in self.workers):
            self.introduced.set()
