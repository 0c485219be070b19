"""The line before the workers: jobs in, updates back. The record is the store's, the policy `schedule`'s."""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from typing import Protocol

from bot.abilities import Abilities
from bot.domain import Failed, Rendered, RenderJob, RenderUpdate, ThreadKey
from bot.errors import Unrecorded
from render.fleet import Engine, Fleet, Worker
from render.pace import Pace
from render.rounds import Attempts, Files, Painting, Round, Ticket
from render.schedule import HORIZON, Caps, Place, Schedule, Waiting
from render.tasks import kind, server, waiting

log = logging.getLogger(__name__)

REMEMBERED = 600.0  # seconds for which it is remembered who was served, over a restart
MEASURED = 50  # batches from which the pace is known after a start
MOST_WAITING = 200  # jobs of one person
FORETELL = 0.25  # seconds between two forecasts
AGAIN = 5.0  # seconds before the table is written again, where it could not be
LOOK = 0.5  # seconds between two looks for what another process has done to the table


class JobStore(Attempts, Protocol):
    """What the line asks of the table. Writes after `claim` count only for the job's newest attempt."""

    def recover(self) -> None: ...  # noqa: D102
    def served(self, seconds: float) -> list[tuple[ThreadKey, str, float]]: ...  # noqa: D102
    def paces(self, batches: int) -> list[tuple[str, float, float]]: ...  # noqa: D102
    def watch(self) -> Callable[[], bool]: ...  # noqa: D102
    def outcome(self, job: RenderJob) -> Rendered | Failed | None: ...  # noqa: D102
    def claim(self, batch: str, costs: Mapping[str, float]) -> dict[str, int]: ...  # noqa: D102
    def at_once(self) -> AbstractContextManager[None]: ...  # noqa: D102
    def cancel(self, job_id: str, reason: str) -> bool: ...  # noqa: D102


class Line:
    """Fair between servers and people, in batches, over all workers."""

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
        """`abilities` hold until a worker has told those of its model."""
        self._store = store
        self._steps = num_inference_steps
        self._news = asyncio.Event()
        self._changed = False
        self._foretold = 0.0
        self._models: Sequence[str] = ()  # of the workers, when it was last looked who waits in vain
        self.fleet = Fleet(engines, abilities or Abilities(), self._news.set)
        self.pace = Pace()
        self.schedule = Schedule(caps)
        self.tickets: dict[str, Ticket] = {}
        self.began: Callable[[str, Sequence[str]], None] = lambda model, jobs: None  # told of each batch
        self._easels = Painting(store, files, num_inference_steps, self._again)

    @property
    def abilities(self) -> Abilities:
        """What the workers' picture model can do; until a worker has said so, what most can."""
        return self.fleet.abilities

    @property
    def introduced(self) -> asyncio.Event:
        """Set once the abilities are those of a worker's model, or there will be no worker."""
        return self.fleet.introduced

    async def render(self, job: RenderJob) -> AsyncGenerator[RenderUpdate]:
        """Stand in line until the job has ended; leaving early takes it off the line, or off the device."""
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
        """Take the job off the line, or off the device at its next step; False if it has ended."""
        cancelled = self._store.cancel(job_id, reason)
        if cancelled and (ticket := self.tickets.get(job_id)):
            ticket.tell(Failed(reason))
        return cancelled

    async def run(self) -> None:
        """Serve the line until cancelled. What ran when the last bot ended waits again."""
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
        """Again and again, while the table cannot be written."""
        while True:
            try:
                return self._store.recover()
            except Unrecorded as error:
                log.error("no picture is drawn yet: %s", error)
                await asyncio.sleep(AGAIN)

    # Into the line, and out of it

    def _refused(self, job: RenderJob) -> Failed | None:
        """A job that can never run, or is one too many, is refused at once."""
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
        """Nobody waits for this job any more. The others of its batch go on; without any, the batch is stopped."""
        if self.tickets.get(ticket.job.id) is ticket:
            del self.tickets[ticket.job.id]
        self.schedule.remove(ticket.waiting)
        if ticket.round and ticket.round.forget(ticket):
            self.schedule.give_back(ticket.waiting)
            with suppress(Unrecorded):  # then it is found running at the next start, and waits again
                self._store.lost(ticket.job, blamed=False)
        self._moved()

    def _again(self, ticket: Ticket, blamed: bool) -> None:
        """An attempt came to nothing; the next one is rendered alone if the job may have been to blame."""
        if self.tickets.get(ticket.job.id) is not ticket:
            self.schedule.give_back(ticket.waiting)
            return
        ticket.waiting = replace(ticket.waiting, alone=ticket.waiting.alone or blamed)
        self.schedule.again(ticket.waiting)
        self._moved()

    async def _look_elsewhere(self) -> None:
        """Notice what other processes do to the table: a job that was cancelled there is told so."""
        changed = self._store.watch()
        while True:
            await asyncio.sleep(LOOK)
            if changed():
                for ticket in list(self.tickets.values()):
                    if outcome := self._store.outcome(ticket.job):
                        ticket.tell(outcome)

    # Out to the workers

    def _serve(self, group: asyncio.TaskGroup) -> float | None:
        """Fill every free slot; until when to wait at most before looking again."""
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
        """Refuse whoever waits for what no worker can paint, as far as the workers have told what they can."""
        trouble = self.fleet.trouble
        for each in list(self.schedule):
            if reason := trouble or self.fleet.refuses(each.kind):
                ticket = self.tickets[each.id]
                self.schedule.remove(each)
                ticket.tell(Failed(reason))
                with suppress(Unrecorded):  # then it is found waiting at the next start, and refused again
                    self._store.refuse(ticket.job, reason)

    def _start(self, chosen: Sequence[tuple[Worker, tuple[Waiting, ...]]], group: asyncio.TaskGroup) -> None:
        """Claim the batches in one transaction, and send them off."""
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
        """These did not begin: somebody else has settled them, or the table cannot be written."""
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

    # What those who wait are told

    def _moved(self) -> None:
        self._changed = True
        self._news.set()

    def _foretell(self, now: float) -> float | None:
        """Tell everybody whose place has changed, not too often; when to look again."""
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
        )  # a long line is not counted all the time
        return None

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
