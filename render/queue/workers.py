"""The pool of workers: polls each worker for its slots, tracks its batches, and backs off after its violations."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from typing import Protocol

from bot.capabilities import ModelCapabilities
from bot.notices import UserText, listed, notice
from render.protocol import FALLBACK_DEFAULTS, Batch, Defaults, WorkerEvent, WorkerReport
from render.queue.scheduler import BatchKey, ScheduledJob, Slot, SlotState

log = logging.getLogger(__name__)

POLL_INTERVALS = (0.05, 1.0)  # seconds between two polls of a worker: the shortest, the longest
BACKOFF = (5.0, 300.0)  # seconds without batches after a protocol violation: the first time, at most


class Engine(Protocol):
    """Runs a batch at most once: a worker or an images API."""

    @property
    def name(self) -> str:
        """Name of the engine in status and logs."""
        ...

    async def slots(self) -> WorkerReport:
        """Return the report of the engine; a report without slots if it cannot be reached."""
        ...

    def run(self, batch: Batch) -> AsyncGenerator[WorkerEvent]:
        """Render the batch and stream its events. Closing the generator cancels the batch. Raises EngineLost."""
        ...


class RunningBatch(Protocol):
    """A running batch, as the pool sees it."""

    @property
    def jobs(self) -> tuple[ScheduledJob, ...]:
        """All jobs of the batch, ended jobs included."""
        ...

    def seconds_left(self, now: float, pace: float | None) -> float:
        """Seconds until the batch is done. `pace` is seconds per megapixel-step, None if unknown."""
        ...


class WorkerHandle:
    """One worker of the pool: its last report, its running batches, and whether it gets new batches."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.report = WorkerReport()
        self.batch_runs: list[RunningBatch] = []
        self.foreign_batches = 0  # batches on the worker that another bot sent
        self.recheck = asyncio.Event()  # set if the last report may be outdated
        self._violations = 0
        self._backoff_until = 0.0

    def free_slots(self, now: float) -> int:
        """Return how many batches the worker can take now."""
        if now < self._backoff_until or self.report.trouble or self.recheck.is_set():
            return 0
        return self.report.slots - self.foreign_batches - len(self.batch_runs)

    def as_slot(self) -> Slot:
        """Return one slot of the worker, for the scheduler."""
        defaults = self.report.defaults or FALLBACK_DEFAULTS
        models = frozenset([self.report.model])
        return Slot(
            self.report.model,
            models,
            capacity=self.report.largest_batch,
            default_megapixels=defaults.width * defaults.height / 1e6,
        )

    def update(self, report: WorkerReport) -> None:
        """Store a new report of the worker."""
        self.report = report
        self.foreign_batches = max(0, report.slots - report.free - len(self.batch_runs))
        self.recheck.clear()

    def require_recheck(self) -> None:
        """Send nothing to the worker until it has reported again: a stream broke, or it refused a batch."""
        self.recheck.set()

    def back_off(self, violation: str, now: float) -> None:
        """Back off after a protocol violation, twice as long each time, at most the longest backoff."""
        rest = min(BACKOFF[1], BACKOFF[0] * 2**self._violations)
        self._violations += 1
        self._backoff_until = now + rest
        log.warning("the render worker %s gets no batches for %.0f s: %s", self.engine.name, rest, violation)

    def reset_backoff(self) -> None:
        """Forget earlier violations, because a batch ended as it should."""
        self._violations = 0


class WorkerPool:
    """All workers, and the capabilities and defaults of their model."""

    def __init__(
        self, engines: Sequence[Engine], capabilities: ModelCapabilities, on_change: Callable[[], None]
    ) -> None:
        """`capabilities` apply until a worker has reported its own; `on_change` is called after every report."""
        self.workers = [WorkerHandle(engine) for engine in engines]
        self.capabilities = capabilities
        self.defaults: Defaults = FALLBACK_DEFAULTS
        self.capabilities_ready = asyncio.Event()  # set when a worker has reported its capabilities, or none ever will
        self._on_change = on_change

    @property
    def trouble(self) -> UserText | None:
        """Why no image can be rendered, if no worker will ever have a slot; None otherwise."""
        troubles = [worker.report.trouble for worker in self.workers]
        return troubles[0] if all(troubles) else None

    @property
    def models(self) -> list[str]:
        """Model of each worker; empty for a worker that has not reported."""
        return [worker.report.model for worker in self.workers]

    def explain_refusal(self, batch_key: BatchKey) -> UserText | None:
        """Return why no worker can render these jobs; None if one can, or if a worker has not reported its model."""
        known = [worker for worker in self.workers if worker.report.model and not worker.report.trouble]
        if len(known) < len(self.workers) or any(worker.as_slot().supports(batch_key) for worker in known):
            return None
        models = sorted({worker.report.model for worker in known})
        available = listed(models) if models else notice("no-model-available")
        return notice("no-worker-for-model", model=batch_key.model, models=available)

    def slot_states(self, now: float, pace: float | None) -> list[SlotState]:
        """Return every slot, its jobs, and when it is free. `pace` is seconds per megapixel-step, None if unknown."""
        slots = []
        for worker in self.workers:
            slot = worker.as_slot()
            slots += [SlotState(slot, each.seconds_left(now, pace), each.jobs) for each in worker.batch_runs]
            slots += [SlotState(slot)] * max(0, worker.report.slots - len(worker.batch_runs))
        return slots or [SlotState(Slot())]  # assume one slot, because a worker will come

    async def run(self) -> None:
        """Poll every worker until cancelled."""
        async with asyncio.TaskGroup() as group:
            for worker in self.workers:
                group.create_task(self._poll(worker))

    async def _poll(self, worker: WorkerHandle) -> None:
        pause = POLL_INTERVALS[0]
        while True:
            was_there = worker.report.slots > 0
            worker.update(await worker.engine.slots())
            if worker.report.trouble or (worker.report.slots and not worker.foreign_batches):
                pause = POLL_INTERVALS[1]
            else:
                pause = POLL_INTERVALS[0] if was_there else min(POLL_INTERVALS[1], pause * 1.5)
            self._update_model(worker.report)
            self._on_change()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await worker.recheck.wait()
                    await asyncio.sleep(POLL_INTERVALS[0])  # a worker that is just stopping is not polled at once

    def _update_model(self, report: WorkerReport) -> None:
        self.capabilities = report.capabilities or self.capabilities
        self.defaults = report.defaults or self.defaults
        if report.capabilities or all(worker.report.trouble for worker in self.workers):
            self.capabilities_ready.set()
