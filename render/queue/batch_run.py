"""Runs one batch on one worker and records how each of its jobs ended."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Protocol

from bot.domain import Failed, Picture, Queued, Rendered, Rendering, RenderJob, RenderUpdate
from bot.errors import Unrecorded
from render.protocol import Batch, Made, Preview, Spoilt, Started, Step, Task, WorkerEvent
from render.queue.job_mapping import picture, task
from render.queue.scheduler import Place, Waiting
from render.queue.speed_estimate import Pace
from render.queue.workers import Worker
from render.worker.client import EngineLost

log = logging.getLogger(__name__)

MOST_FAULTS = 3  # lost attempts of a job that may itself have crashed the worker
MOST_REFUSALS = 40  # times that workers with a free slot refused a job
NOTICED = (1.0, 0.1)  # seconds, and fraction, by which an estimate must change to be sent again


class Attempts(Protocol):
    """Records how an attempt ended. A write counts only if its attempt is the newest of the job."""

    def lost(self, job: RenderJob, blamed: bool) -> int:
        """Put a running job back into the queue. Return its number of faults; `blamed` adds one. Raises Unrecorded."""
        ...

    async def keep(self, job: RenderJob, made: Picture) -> bool:
        """Record the finished image; False if the attempt is not the newest any more. Raises Unrecorded."""
        ...

    def dead(self, job: RenderJob, reason: str) -> None:
        """Record that a running job failed for good. Raises Unrecorded."""
        ...

    def refuse(self, job: RenderJob, reason: str) -> None:
        """Record that a waiting job failed for good. Raises Unrecorded."""
        ...


class Files(Protocol):
    """Files of images. Both methods block."""

    def put(self, png: bytes) -> str:
        """Store a PNG and return its digest. Raises OSError."""
        ...

    def read(self, digest: str) -> bytes:
        """Return the PNG with this digest. Raises OSError."""
        ...


class Ticket:
    """A job in the queue or in a batch, and the updates for the reply that waits for it."""

    def __init__(self, job: RenderJob, place: Waiting) -> None:
        self.job = job
        self.waiting = place
        self.place: Place | None = None
        self.round: Round | None = None
        self.refusals = 0
        self.updates: asyncio.Queue[RenderUpdate] = asyncio.Queue()
        self.tell = self.updates.put_nowait

    def stands(self, place: Place) -> None:
        """Send the position in the queue if it or the estimate has changed."""
        before, self.place = self.place, place
        if before is None or before.ahead != place.ahead or _differ(before.eta, place.eta):
            self.tell(Queued(place.ahead, place.eta))


class Round:
    """A running batch. `pending` has the jobs that have not ended yet, by id. Times are of the loop's clock."""

    def __init__(self, worker: Worker, tickets: Mapping[str, Ticket], since: float) -> None:
        self.worker = worker
        self.open = dict(tickets)
        self.jobs = tuple(ticket.waiting for ticket in tickets.values())
        self.since = since
        self.fraction = 0.0
        self.task: asyncio.Task[None] | None = None
        for ticket in tickets.values():
            ticket.round, ticket.place = self, None

    @property
    def cost(self) -> float:
        """Cost of all jobs of the batch, in megapixel-steps."""
        return sum(job.cost for job in self.jobs)

    def left(self, now: float, pace: float | None) -> float:
        """Seconds until the batch is done, by its progress or, before 10 %, by `pace` in seconds per megapixel-step."""
        if self.fraction > 0.1:
            return max(0.0, (now - self.since) * (1 / self.fraction - 1))
        return max(0.0, self.cost * (pace or 0.0) - (now - self.since))

    def forget(self, ticket: Ticket) -> bool:
        """Remove the job and cancel the batch if no job is left; False if the job had already ended."""
        if self.open.get(ticket.job.id) is not ticket:
            return False
        del self.open[ticket.job.id]
        if not self.open and self.task:
            self.task.cancel()
        return True


class Painting:
    """Sends batches to workers and records the results of their jobs."""

    def __init__(
        self, store: Attempts, files: Files, num_inference_steps: int | None, again: Callable[[Ticket, bool], None]
    ) -> None:
        """`requeue` puts a job back into the queue; its second argument says whether the job may be to blame."""
        self._store = store
        self._files = files
        self._steps = num_inference_steps
        self._again = again

    async def paint(self, round_: Round, pace: Pace, group: asyncio.TaskGroup) -> None:
        """Run the batch until it ends. Tasks of the group store its images, which does not block the slot."""
        try:
            tasks = await self._tasks(round_)
            if not tasks:
                return
            async with aclosing(round_.worker.engine.run(Batch(tasks))) as events:
                async for event in events:
                    self._heard(round_, event, group)
            round_.worker.kept_its_word()
            if round_.fraction:  # otherwise the result came from the cache and took no time
                pace.measured(round_.worker.told.model, round_.cost, _now() - round_.since)
        except EngineLost as lost:
            round_.worker.lost()
            if lost.lie:
                round_.worker.lied(lost.lie, _now())
            for ticket in _emptied(round_):
                self._lost(ticket, blamed=lost.started)
        except asyncio.CancelledError:
            for ticket in _emptied(round_):
                self._store.lost(ticket.job, blamed=False)
            raise
        except Exception:
            log.exception("a batch failed with a bug")
            for ticket in _emptied(round_):
                self._give_up(ticket, "Something went wrong here; the log says what.")

    async def _tasks(self, round_: Round) -> list[Task]:
        tasks = []
        for ticket in list(round_.open.values()):
            job = ticket.job
            try:
                source = await asyncio.to_thread(self._files.read, job.source) if job.source else None
            except OSError:
                round_.open.pop(job.id, None)
                self._give_up(ticket, f"The file of picture #{job.parent} is gone, so there is nothing to start from.")
            else:
                tasks.append(task(job, source, self._steps))
        return [each for each in tasks if each.id in round_.open]

    def _heard(self, round_: Round, event: WorkerEvent, group: asyncio.TaskGroup) -> None:
        match event:
            case Started():
                round_.since = _now()
            case Step(fraction):
                round_.fraction = fraction
                for ticket in round_.open.values():
                    ticket.tell(Rendering(fraction))
            case Preview(job_id, jpeg) if job_id in round_.open:
                round_.open[job_id].tell(Rendering(round_.fraction, jpeg))
            case Made(job_id) if job_id in round_.open:
                group.create_task(self._keep(round_.open.pop(job_id), event))
            case Spoilt(job_id, reason) if job_id in round_.open:
                self._give_up(round_.open.pop(job_id), reason)

    async def _keep(self, ticket: Ticket, made: Made) -> None:
        """Store the image as a file and a row before sending the update."""
        try:
            digest = await asyncio.to_thread(self._files.put, made.png)
            finished = picture(ticket.job, made, digest)
            if await self._store.keep(ticket.job, finished):
                log.info("job %s rendered", ticket.job.id)
                ticket.tell(Rendered(finished))
        except OSError as error:
            self._give_up(ticket, f"The picture could not be kept: {error.strerror or error}.")
        except Unrecorded as error:
            ticket.tell(Failed(str(error)))

    def _lost(self, ticket: Ticket, blamed: bool) -> None:
        try:
            faults = self._store.lost(ticket.job, blamed)
        except Unrecorded as error:
            ticket.tell(Failed(str(error)))
            return
        log.warning("job %s lost its worker (fault %s of %s)", ticket.job.id, faults, MOST_FAULTS)
        ticket.refusals += not blamed
        if faults >= MOST_FAULTS:
            self._refuse(ticket, "The renderer broke down over this picture several times.")
        elif ticket.refusals >= MOST_REFUSALS:
            self._refuse(ticket, "The render worker has a free slot, but takes no picture.")
        else:
            self._again(ticket, blamed)

    def _refuse(self, ticket: Ticket, reason: str) -> None:
        self._end(self._store.refuse, ticket, reason)

    def _give_up(self, ticket: Ticket, reason: str) -> None:
        self._end(self._store.dead, ticket, reason)

    def _end(self, record: Callable[[RenderJob, str], None], ticket: Ticket, reason: str) -> None:
        ticket.tell(Failed(reason))
        try:
            record(ticket.job, reason)
        except Unrecorded as error:
            log.error("%s", error)


def _emptied(round_: Round) -> list[Ticket]:
    tickets = list(round_.open.values())
    round_.open.clear()
    return tickets


def _differ(before: float | None, now: float | None) -> bool:
    if before is None or now is None:
        return before is not now
    return abs(before - now) > max(NOTICED[0], NOTICED[1] * before)


def _now() -> float:
    return asyncio.get_running_loop().time()
