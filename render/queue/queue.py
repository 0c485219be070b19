"""The render queue: takes jobs and streams updates. The store records them, `scheduler` decides their order."""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from typing import Protocol

from bot.capabilities import Abilities
from bot.domain import Failed, Rendered, RenderJob, RenderUpdate, ThreadKey
from bot.errors import Unrecorded
from render.queue.batch_run import Attempts, Files, Painting, Round, Ticket
from render.queue.job_mapping import kind, server, waiting
from render.queue.scheduler import HORIZON, Caps, Place, Schedule, Waiting
from render.queue.speed_estimate import Pace
from render.queue.workers import Engine, Fleet, Worker

log = logging.getLogger(__name__)

REMEMBERED = 600.0  # seconds of past service that count for fair share after a restart
MEASURED = 50  # batches that give the speed estimate after a start
MOST_WAITING = 200  # waiting jobs of one user
FORETELL = 0.25  # seconds between two forecasts of positions
AGAIN = 5.0  # seconds before a failed write of the table is tried again
LOOK = 0.5  # seconds between two checks for changes of the table by other processes


class JobStore(Attempts, Protocol):
    """The jobs table, as the queue uses it. Writes after `claim` count only for the newest attempt of the job."""

    def recover(self) -> None:
        """Put jobs that ran when the last bot process ended back into the queue. Raises Unrecorded."""
        ...

    def served(self, seconds: float) -> list[tuple[ThreadKey, str, float]]:
        """Return thread, owner and cost in megapixel-steps of the jobs of the last `seconds`, in order of service.

        Cancelled and failed jobs do not count.
        """
        ...

    def paces(self, batches: int) -> list[tuple[str, float, float]]:
        """Return model, cost in megapixel-steps and seconds of the newest batches, the oldest first."""
        ...

    def watch(self) -> Callable[[], bool]:
        """Return a function that tells whether another process has written since the last call."""
        ...

    def outcome(self, job: RenderJob) -> Rendered | Failed | None:
        """Return how the job ended, or None if it has not ended."""
        ...

    def claim(self, batch: str, costs: Mapping[str, float]) -> dict[str, int]:
        """Mark jobs as running in one batch; return the attempt of each claimed job by id. Raises Unrecorded.

        `costs` are in megapixel-steps by job id. Jobs that do not wait any more are not in the result.
        """
        ...

    def at_once(self) -> AbstractContextManager[None]:
        """Combine the claims within this context into one transaction. Raises Unrecorded."""
        ...

    def cancel(self, job_id: str, reason: str) -> bool:
        """Record that a waiting or running job was cancelled; False if it has ended. Raises Unrecorded."""
        ...


class Line:
    """Renders jobs in batches on all workers, with a fair share for every server and every user."""

    def __init__(
        self,
        store: JobStore,
        files: Files,
        engines: Sequence[Engine],
        *,
        abilities: Abilities | None = None,
        num_inference_steps: int | None = None,
        caps: Caps | None = None,
    ) -> None:
        """`capabilities` apply until a worker has reported the capabilities of its model."""
        self._store = store
        self._steps = num_inference_steps
        self._news = asyncio.Event()
        self._changed = False
        self._foretold = 0.0
        self._models: Sequence[str] = ()  # of the workers at the last check for jobs that no worker can render
        self.fleet = Fleet(engines, abilities or Abilities(), self._news.set)
        self.pace = Pace()
        self.schedule = Schedule(caps)
        self.tickets: dict[str, Ticket] = {}
        self.began: Callable[[str, Sequence[str]], None] = lambda model, jobs: None  # called for each batch
        self._easels = Painting(store, files, num_inference_steps, self._again)

    @property
    def abilities(self) -> Abilities:
        """Capabilities of the workers' image model; until a worker has reported, those given at the start."""
        return self.fleet.abilities

    @property
    def introduced(self) -> asyncio.Event:
        """Set when a worker has reported its capabilities, or when no worker ever will."""
        return self.fleet.introduced

    async def render(self, job: RenderJob) -> AsyncGenerator[RenderUpdate]:
        """Queue the job and stream its updates until it ends. Closing the generator cancels the job."""
        outcome = self._store.outcome(job) or self._refused(job)
        if outcome is not None:
            yield outcome
            return
        ticket = self._stand(job)
        try:
            while True:
                update = await ticket.updates.get()
                yield update
                if isinstance(update, Rendered | Failed):
                    return
        finally:
            self._leave(ticket)

    def cancel(self, job_id: str, reason: str) -> bool:
        """Remove the job from the queue, or from the device at its next step; False if it has ended."""
        cancelled = self._store.cancel(job_id, reason)
        if cancelled and (ticket := self.tickets.get(job_id)):
            ticket.tell(Failed(reason))
        return cancelled

    async def run(self) -> None:
        """Run the queue until cancelled. Jobs that ran when the last bot process ended wait again."""
        await self._recover()
        for thread, owner, cost in self._store.served(REMEMBERED):
            self.schedule.recall(server(thread), owner, cost)
        for model, cost, seconds in self._store.paces(MEASURED):
            self.pace.measured(model, cost, seconds)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.fleet.run())
            group.create_task(self._look_elsewhere())
            while True:
                wake = self._serve(group)
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(wake):
                        await self._news.wait()
                self._news.clear()

    async def _recover(self) -> None:
        """Recover the jobs table; try again while it cannot be written."""
        while True:
            try:
                return self._store.recover()
            except Unrecorded as error:
                log.error("no picture is drawn yet: %s", error)
                await asyncio.sleep(AGAIN)

    # Adding and removing jobs

    def _refused(self, job: RenderJob) -> Failed | None:
        """Refuse a job that no worker can render, or one above the limit of its user; None for any other job."""
        reason = self.fleet.refuses(kind(job, self._steps))
        if self.schedule.waiting_for(server(job.thread), job.owner) >= MOST_WAITING:
            reason = f"You have {MOST_WAITING} pictures in the line already: wait until some of them are done."
        if reason is None:
            return None
        self._store.refuse(job, reason)
        return Failed(reason)

    def _stand(self, job: RenderJob) -> Ticket:
        now = time.time()
        since = self._now() - max(0.0, now - (job.ordered or now))
        ticket = self.tickets[job.id] = Ticket(job, waiting(job, self.fleet.usual, self._steps, since))
        self.schedule.add(ticket.waiting)
        self._moved()
        return ticket

    def _leave(self, ticket: Ticket) -> None:
        """Remove a job that nobody waits for. Other jobs of its batch continue; a batch without jobs is cancelled."""
        if self.tickets.get(ticket.job.id) is ticket:
            del self.tickets[ticket.job.id]
        self.schedule.remove(ticket.waiting)
        if ticket.round and ticket.round.forget(ticket):
            self.schedule.give_back(ticket.waiting)
            with suppress(Unrecorded):  # then `recover` finds it running at the next start and puts it back
                self._store.lost(ticket.job, blamed=False)
        self._moved()

    def _again(self, ticket: Ticket, blamed: bool) -> None:
        """Put a job back after a lost attempt; it runs alone from now on if it may be to blame."""
        if self.tickets.get(ticket.job.id) is not ticket:
            self.schedule.give_back(ticket.waiting)
            return
        ticket.waiting = replace(ticket.waiting, alone=ticket.waiting.alone or blamed)
        self.schedule.again(ticket.waiting)
        self._moved()

    async def _look_elsewhere(self) -> None:
        """Watch for changes by other processes, and send the outcome of a job that one of them ended."""
        changed = self._store.watch()
        while True:
            await asyncio.sleep(LOOK)
            if changed():
                for ticket in list(self.tickets.values()):
                    if outcome := self._store.outcome(ticket.job):
                        ticket.tell(outcome)

    # Sending batches to workers

    def _serve(self, group: asyncio.TaskGroup) -> float | None:
        """Fill every free slot. Return the time of the next forecast, or None if none is due."""
        now = self._now()
        if self.fleet.trouble or self.fleet.models != self._models:
            self._models = self.fleet.models
            self._turn_away()
        chosen: list[tuple[Worker, tuple[Waiting, ...]]] = []
        for worker in self.fleet.workers:
            for _ in range(worker.free(now)):
                batch = self.schedule.next(worker.slot(), now)
                if not batch:
                    break
                chosen.append((worker, batch))
        if chosen:
            self._start(chosen, group)
        return self._foretell(now)

    def _turn_away(self) -> None:
        """Refuse waiting jobs that no worker can render, as far as the workers have reported their models."""
        trouble = self.fleet.trouble
        for each in list(self.schedule):
            if reason := trouble or self.fleet.refuses(each.kind):
                ticket = self.tickets[each.id]
                self.schedule.remove(each)
                ticket.tell(Failed(reason))
                with suppress(Unrecorded):  # then it still waits at the next start, and is refused again
                    self._store.refuse(ticket.job, reason)

    def _start(self, chosen: Sequence[tuple[Worker, tuple[Waiting, ...]]], group: asyncio.TaskGroup) -> None:
        """Claim the batches in one transaction and send them to their workers."""
        self._moved()
        try:
            with self._store.at_once():
                claims = [
                    self._store.claim(uuid.uuid4().hex, {each.id: each.cost for each in batch}) for _, batch in chosen
                ]
        except Unrecorded as error:
            for _, batch in chosen:
                self._drop(batch, Failed(str(error)))
            return
        for (worker, batch), attempts in zip(chosen, claims, strict=True):
            self._drop([each for each in batch if each.id not in attempts], None)
            if attempts:
                self._send(worker, attempts, group)

    def _send(self, worker: Worker, attempts: Mapping[str, int], group: asyncio.TaskGroup) -> None:
        tickets = {job_id: self.tickets[job_id] for job_id in attempts}
        for job_id, ticket in tickets.items():
            ticket.job = replace(ticket.job, attempt=attempts[job_id])
        round_ = Round(worker, tickets, self._now())
        worker.rounds.append(round_)
        self.began(worker.told.model, tuple(tickets))
        round_.task = group.create_task(self._see_through(round_, group))

    def _drop(self, jobs: Sequence[Waiting], outcome: Failed | None) -> None:
        """End jobs that could not be claimed: another process ended them, or the table cannot be written."""
        self.schedule.ended(jobs)
        for each in jobs:
            self.schedule.give_back(each)
            ticket = self.tickets[each.id]
            ticket.tell(outcome or self._store.outcome(ticket.job) or Failed("The picture is not wanted any more."))

    async def _see_through(self, round_: Round, group: asyncio.TaskGroup) -> None:
        try:
            await self._easels.paint(round_, self.pace, group)
        finally:
            round_.worker.rounds.remove(round_)
            self.schedule.ended(round_.jobs)
            self._moved()

    # Positions of waiting jobs

    def _moved(self) -> None:
        self._changed = True
        self._news.set()

    def _foretell(self, now: float) -> float | None:
        """Send changed positions, at most once per interval. Return when the next forecast is due, or None."""
        if not self._changed or not len(self.schedule):
            return None
        if now < self._foretold:
            return self._foretold
        self._changed = False
        places = self.schedule.foretell(self.fleet.busy(now, self.pace.typical), now, self.pace.typical)
        for each in self.schedule:
            self.tickets[each.id].stands(places.get(each.id) or Place(HORIZON))
        self._foretold = self._now() + max(
            FORETELL, 20 * (self._now() - now)
        )  # a forecast of a long queue takes long, so it is made less often
        return None

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
