"""One batch on one worker, from the first byte to the last: every way in which it can end is told."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Protocol

from bot.domain import Failed, Picture, Queued, Rendered, Rendering, RenderJob, RenderUpdate
from bot.errors import Unrecorded
from render.engine import EngineLost
from render.fleet import Worker
from render.pace import Pace
from render.schedule import Place, Waiting
from render.tasks import picture, task
from render.wire import Batch, Made, Preview, Spoilt, Started, Step, Task, WorkerEvent

log = logging.getLogger(__name__)

MOST_FAULTS = 3  # times that a job may have taken the worker down with it
MOST_REFUSALS = 40  # times that a worker that says it is free may not take a job
NOTICED = (1.0, 0.1)  # seconds, and share, by which a foretold time must change to be told again


class Attempts(Protocol):
    """What is written down about an attempt."""

    def lost(self, job: RenderJob, blamed: bool) -> int: ...  # noqa: D102
    async def keep(self, job: RenderJob, made: Picture) -> bool: ...  # noqa: D102
    def dead(self, job: RenderJob, reason: str) -> None: ...  # noqa: D102
    def refuse(self, job: RenderJob, reason: str) -> None: ...  # noqa: D102


class Files(Protocol):
    """Where pictures are kept; both methods block."""

    def put(self, png: bytes) -> str: ...  # noqa: D102
    def read(self, digest: str) -> bytes: ...  # noqa: D102


class Ticket:
    """A job that somebody waits for."""

    def __init__(self, job: RenderJob, place: Waiting) -> None:
        self.job = job
        self.waiting = place
        self.place: Place | None = None
        self.round: Round | None = None
        self.refusals = 0
        self.updates: asyncio.Queue[RenderUpdate] = asyncio.Queue()
        self.tell = self.updates.put_nowait

    def stands(self, place: Place) -> None:
        """Tell how many are ahead, if that is news."""
        before, self.place = self.place, place
        if before is None or before.ahead != place.ahead or _differ(before.eta, place.eta):
            self.tell(Queued(place.ahead, place.eta))


class Round:
    """A batch under way. `open` are the tickets that are not settled yet."""

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
        """In megapixel-steps."""
        return sum(job.cost for job in self.jobs)

    def left(self, now: float, pace: float | None) -> float:
        """Seconds until it is done, by its own progress or, before there is any, by what others took."""
        if self.fraction > 0.1:
            return max(0.0, (now - self.since) * (1 / self.fraction - 1))
        return max(0.0, self.cost * (pace or 0.0) - (now - self.since))

    def forget(self, ticket: Ticket) -> bool:
        """Go on without this one, or not at all if it was the last; False if it was settled already."""
        if self.open.get(ticket.job.id) is not ticket:
            return False
        del self.open[ticket.job.id]
        if not self.open and self.task:
            self.task.cancel()
        return True


class Painting:
    """Sends batches to workers, and settles their jobs."""

    def __init__(
        self, store: Attempts, files: Files, num_inference_steps: int | None, again: Callable[[Ticket, bool], None]
    ) -> None:
        """`again` puts a ticket back into the line; it is told whether the job may have been to blame."""
        self._store = store
        self._files = files
        self._steps = num_inference_steps
        self._again = again

    async def paint(self, round_: Round, pace: Pace, group: asyncio.TaskGroup) -> None:
        """See the batch through. Pictures are stored in tasks of the group: the slot is free at the last one."""
        try:
            tasks = await self._tasks(round_)
            if not tasks:
                return
            async with aclosing(round_.worker.engine.run(Batch(tasks))) as events:
                async for event in events:
                    self._heard(round_, event, group)
            round_.worker.kept_its_word()
            if round_.fraction:  # else it was known already, and took no time
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
            log.exception("a batch met a bug")
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
        """The picture is a file and a row before it is told."""
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
        log.warning("job %s lost its worker (%s of %s)", ticket.job.id, faults, MOST_FAULTS)
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
