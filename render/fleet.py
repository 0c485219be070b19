"""The workers that there are: what each can take, whether it can be trusted, and what runs there."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from typing import Protocol

from bot.abilities import Abilities
from render.schedule import Busy, Kind, Slot, Waiting
from render.tasks import TYPICAL
from render.wire import Batch, Slots, Usual, WorkerEvent

log = logging.getLogger(__name__)

POLL = (0.05, 1.0)  # seconds between two looks at a worker: the first that is away, the longest
REST = (5.0, 300.0)  # seconds for which a worker that lied is given nothing: the first time, at most


class Engine(Protocol):
    """Where a batch runs, at most once."""

    @property
    def name(self) -> str: ...  # noqa: D102
    async def slots(self) -> Slots: ...  # noqa: D102
    def run(self, batch: Batch) -> AsyncGenerator[WorkerEvent]: ...  # noqa: D102


class UnderWay(Protocol):
    """A batch that runs."""

    @property
    def jobs(self) -> tuple[Waiting, ...]: ...  # noqa: D102
    def left(self, now: float, pace: float | None) -> float: ...  # noqa: D102


class Worker:
    """What is known of one worker."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.told = Slots()
        self.rounds: list[UnderWay] = []
        self.others = 0  # batches there that are not of this line
        self.doubt = asyncio.Event()  # what it told may not hold any more
        self._lies = 0
        self._resting_until = 0.0

    def free(self, now: float) -> int:
        """How many batches it can be given."""
        if now < self._resting_until or self.told.trouble or self.doubt.is_set():
            return 0
        return self.told.slots - self.others - len(self.rounds)

    def slot(self) -> Slot:
        """One of its slots, for the policy."""
        usual = self.told.usual or TYPICAL
        models = frozenset([self.told.model])
        return Slot(self.told.model, models, seats=self.told.largest_batch, usual=usual.width * usual.height / 1e6)

    def hear(self, told: Slots) -> None:
        """It was asked, and this is how it is."""
        self.told = told
        self.others = max(0, told.slots - told.free - len(self.rounds))
        self.doubt.clear()

    def lost(self) -> None:
        """A stream broke, or it took nothing: nothing is sent there before it has been asked again."""
        self.doubt.set()

    def lied(self, lie: str, now: float) -> None:
        """It said what cannot be: it rests, each time for longer."""
        rest = min(REST[1], REST[0] * 2**self._lies)
        self._lies += 1
        self._resting_until = now + rest
        log.warning("the render worker %s rests for %.0f s: %s", self.engine.name, rest, lie)

    def kept_its_word(self) -> None:
        """A batch came out right."""
        self._lies = 0


class Fleet:
    """All workers."""

    def __init__(self, engines: Sequence[Engine], abilities: Abilities, news: Callable[[], None]) -> None:
        """`abilities` hold until a worker has told its own; `news` is called when something may have changed."""
        self.workers = [Worker(engine) for engine in engines]
        self.abilities = abilities
        self.usual: Usual = TYPICAL
        self.introduced = asyncio.Event()  # a worker has told what its model can do, or there will be none
        self._news = news

    @property
    def trouble(self) -> str | None:
        """Why no picture can come, if no worker will ever take one."""
        troubles = [worker.told.trouble for worker in self.workers]
        return troubles[0] if all(troubles) else None

    @property
    def models(self) -> list[str]:
        """What each worker paints with; empty for one that has not told."""
        return [worker.told.model for worker in self.workers]

    def refuses(self, kind: Kind) -> str | None:
        """Why no worker could ever paint such a picture, as far as all have told what they can."""
        known = [worker for worker in self.workers if worker.told.model and not worker.told.trouble]
        if len(known) < len(self.workers) or any(worker.slot().takes(kind) for worker in known):
            return None
        models = ", ".join(sorted({worker.told.model for worker in known}))
        return f"No render worker has the picture model {kind.model!r}; there is {models}."

    def busy(self, now: float, pace: float | None) -> list[Busy]:
        """Every slot, and when it is free."""
        slots = []
        for worker in self.workers:
            slot = worker.slot()
            slots += [Busy(slot, each.left(now, pace), each.jobs) for each in worker.rounds]
            slots += [Busy(slot)] * max(0, worker.told.slots - len(worker.rounds))
        return slots or [Busy(Slot())]  # one will come

    async def run(self) -> None:
        """Ask every worker again and again, until cancelled."""
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
                    await asyncio.sleep(POLL[0])  # one that is just going away is not asked at once

    def _learn(self, told: Slots) -> None:
        self.abilities = told.abilities or self.abilities
        self.usual = told.usual or self.usual
        if told.abilities or all(worker.told.trouble for worker in self.workers):
            self.introduced.set()
