"""Decides which jobs run next: fair share, limits, batches, model affinity, positions. Pure; the queue does the I/O.

An index of the waiting jobs. Servers take turns, and so do the users of a server; the cost of a turn is counted in
megapixel-steps, not in images. Times are seconds of one monotonic clock.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import count, islice

from sortedcontainers import SortedDict

from bot.domain import Sampling
from render.queue.fair_share import FairQueue, Snapshot

AGING = 20.0  # seconds after which urgent jobs do not overtake a waiting job any more
LOOKAHEAD_JOBS = 8  # first jobs of a user among which the job that suits the slot is chosen
LOOKAHEAD_USERS = 64  # users whose jobs may fill up a batch or go first because they are urgent
HORIZON = 200  # jobs whose position is forecast


@dataclass(frozen=True, slots=True)
class BatchKey:
    """Values that jobs must have in common to be rendered in one batch.

    `change` says how a source image is used; it is empty without a source.
    """

    sampling: Sampling = field(default_factory=Sampling)
    change: str = ""

    @property
    def model(self) -> str:
        """The image model of the jobs; empty means any model."""
        return self.sampling.model


@dataclass(frozen=True, slots=True)
class ScheduledJob:
    """A job as the scheduler sees it. `cost` is in megapixel-steps. After a crash a job `runs_alone` in its batch."""

    id: str
    server: str
    channel: str
    person: str
    batch_key: BatchKey
    cost: float
    since: float
    is_urgent: bool = False
    runs_alone: bool = False

    @property
    def owner(self) -> str:
        """Key of the user within the server."""
        return f"{self.server}\n{self.person}"


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot of a worker: its loaded model, the models that it can load, and the seconds that loading takes.

    `capacity` is the number of images of `default_megapixels` in one batch.
    """

    model: str = ""
    models: frozenset[str] = frozenset()
    load_time: float = 0.0
    capacity: int = 1
    default_megapixels: float = 1.0

    def supports(self, batch_key: BatchKey) -> bool:
        """Whether the slot has or can load the model for these jobs."""
        return not batch_key.model or batch_key.model == self.model or batch_key.model in self.models

    def is_warm(self, batch_key: BatchKey) -> bool:
        """Whether the model for these jobs is loaded."""
        return batch_key.model in ("", self.model)

    def capacity_for(self, batch_key: BatchKey) -> int:
        """Return how many images of this size fit into one batch, at least 1."""
        if batch_key.sampling.size is None:
            return self.capacity
        return max(
            1,
            min(
                self.capacity,
                int(
                    self.capacity
                    * self.default_megapixels
                    / (batch_key.sampling.size[0] * batch_key.sampling.size[1] / 1e6)
                ),
            ),
        )


@dataclass(frozen=True, slots=True)
class ConcurrencyLimits:
    """How many jobs of one user, and of one channel, may run at the same time."""

    per_user: int = 8
    per_channel: int = 16


@dataclass(frozen=True, slots=True)
class SlotState:
    """A slot, the jobs that run in it, and in how many seconds it is free."""

    slot: Slot
    seconds_left: float = 0.0
    jobs: tuple[ScheduledJob, ...] = ()


@dataclass(frozen=True, slots=True)
class QueuePosition:
    """Position of a job: jobs before it, running jobs included, and seconds until it is done (None if unknown).

    `ahead` is None if no slot can take the job.
    """

    ahead: int | None
    eta: float | None = None


class Schedule:
    """The waiting jobs, the running jobs of each user and channel, and the fair share of servers and users."""

    def __init__(self, limits: ConcurrencyLimits | None = None) -> None:
        self._limits = limits or ConcurrencyLimits()
        self._servers = FairQueue()
        self._people: dict[str, FairQueue] = {}
        self._queues: dict[str, SortedDict] = {}
        self._entries: dict[str, tuple[tuple[bool, float, int], ScheduledJob]] = {}
        self._running: Counter[str] = Counter()
        self._counter = count()
        self._urgent_count = 0
        self._last_was_urgent = False  # whether the last batch was led by an urgent job

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[ScheduledJob]:
        return (job for _, job in self._entries.values())

    # Events

    def add(self, job: ScheduledJob) -> None:
        """Add a waiting job. A job that waited before gets its old place among the jobs of its user, by `since`."""
        self._insert(job, (not job.is_urgent, job.since, next(self._counter)))

    def remove(self, job: ScheduledJob) -> None:
        """Remove a job; does nothing if it does not wait."""
        if job.id in self._entries:
            self._delete(job.id)

    def count_waiting(self, server: str, person: str) -> int:
        """Return how many jobs of this user wait."""
        return len(self._queues.get(f"{server}\n{person}", ()))

    def mark_ended(self, jobs: Iterable[ScheduledJob]) -> None:
        """Count jobs that left their slot as not running any more."""
        for job in jobs:
            for capped in (job.owner, job.channel):
                self._running[capped] -= 1
                if self._running[capped] <= 0:
                    del self._running[capped]

    def refund(self, job: ScheduledJob) -> None:
        """Refund the cost of a job that was not rendered."""
        self._charge(job, -job.cost)

    def requeue(self, job: ScheduledJob) -> None:
        """Put a job back after a lost attempt, as if the attempt had not happened."""
        self.refund(job)
        self._people[job.server].enter(job.person, keeps_turn=True)
        self._servers.enter(job.server, keeps_turn=True)
        self.add(job)

    def charge_past(self, server: str, person: str, cost: float) -> None:
        """Charge a user for service before the start of this process. Call in the order of service."""
        self._servers.charge(server, cost)
        self._people.setdefault(server, FairQueue()).charge(person, cost)

    # Choosing the next batch

    def next_batch(self, slot: Slot, now: float) -> tuple[ScheduledJob, ...]:
        """Remove the batch for this slot from the waiting jobs and return it; empty if no job suits the slot.

        A batch does not wait to be filled: jobs that arrive together are together in the queue, and more jobs gather
        while the slots are busy.
        """
        batch = self._choose(slot, now)
        for job in batch:
            self._take(job)
        if batch:
            self._last_was_urgent = batch[0].is_urgent
        return batch

    def _choose(self, slot: Slot, now: float) -> tuple[ScheduledJob, ...]:
        leader = self._choose_leader(slot, now)
        if leader is None:
            return ()
        seats = 1 if leader.runs_alone else slot.capacity_for(leader.batch_key)
        return tuple(self._fill_batch(leader, seats, slot))

    def _choose_leader(self, slot: Slot, now: float) -> ScheduledJob | None:
        """Return the fairest job, or an urgent one if the last was not urgent and the fairest waits less than AGING."""
        fairest = self._choose_fairest(slot, now)
        if (
            fairest is None
            or fairest.is_urgent
            or not self._urgent_count
            or self._last_was_urgent
            or now - fairest.since > AGING
        ):
            return fairest
        for queue in islice(self._queues_in_turn(), LOOKAHEAD_USERS):
            job: ScheduledJob = queue.peekitem(0)[1]
            if job.is_urgent and self._may_run(job, slot, Counter()) and slot.is_warm(job.batch_key):
                return job
        return fairest

    def _choose_fairest(self, slot: Slot, now: float) -> ScheduledJob | None:
        """Return the first job of the first user, or one of the next few of the same urgency whose model is loaded.

        A job that has waited longer than loading its model takes is chosen although its model is not loaded.
        """
        cold: ScheduledJob | None = None
        for queue in self._queues_in_turn():
            jobs: list[ScheduledJob] = [
                job for job in islice(queue.values(), LOOKAHEAD_JOBS) if self._may_run(job, slot, Counter())
            ]
            warm = [job for job in jobs if job.is_urgent == jobs[0].is_urgent and slot.is_warm(job.batch_key)]
            if jobs and not slot.is_warm(jobs[0].batch_key) and now - jobs[0].since >= slot.load_time:
                return jobs[0]
            if warm:
                return warm[0]
            cold = cold or next(iter(jobs), None)
        return cold

    def _fill_batch(self, leader: ScheduledJob, capacity: int, slot: Slot) -> list[ScheduledJob]:
        """Fill a batch with jobs of the leader's batch key, first of other users, in the order of their turns."""
        batch, chosen, taken = [leader], {leader.id}, Counter((leader.owner, leader.channel))
        queues = list(islice(self._queues_in_turn(), LOOKAHEAD_USERS)) if capacity > 1 else []
        for others_only in (True, False):
            for queue in queues:
                for job in islice(queue.values(), LOOKAHEAD_JOBS):
                    if len(batch) == capacity:
                        return batch
                    if others_only and taken[job.owner]:
                        break
                    fits = job.batch_key == leader.batch_key and not job.runs_alone and job.id not in chosen
                    if fits and self._may_run(job, slot, taken):
                        batch.append(job)
                        chosen.add(job.id)
                        taken.update((job.owner, job.channel))
        return batch

    def _queues_in_turn(self) -> Iterator[SortedDict]:
        """Yield the jobs of each user: the first user of each server in turn, then the second of each, and so on."""
        rounds: Iterable[tuple[str, Iterator[str]]]
        rounds = ((server, iter(self._people[server])) for server in self._servers)
        while True:
            left = []
            for server, people in rounds:
                person = next(people, None)
                if person is not None:
                    yield self._queues[f"{server}\n{person}"]
                    left.append((server, people))
            if not left:
                return
            rounds = left

    def _may_run(self, job: ScheduledJob, slot: Slot, taken: Counter[str]) -> bool:
        running = self._running
        return (
            slot.supports(job.batch_key)
            and running[job.owner] + taken[job.owner] < self._limits.per_user
            and running[job.channel] + taken[job.channel] < self._limits.per_channel
        )

    # The index

    def _insert(self, job: ScheduledJob, position: tuple[bool, float, int]) -> None:
        self._entries[job.id] = position, job
        self._queues.setdefault(job.owner, SortedDict())[position] = job
        self._people.setdefault(job.server, FairQueue()).enter(job.person)
        self._servers.enter(job.server)
        self._urgent_count += job.is_urgent

    def _delete(self, job_id: str) -> None:
        position, job = self._entries.pop(job_id)
        del self._queues[job.owner][position]
        self._urgent_count -= job.is_urgent
        if not self._queues[job.owner]:
            del self._queues[job.owner]
            self._people[job.server].leave(job.person)
            if not self._people[job.server]:
                self._servers.leave(job.server)

    def _charge(self, job: ScheduledJob, cost: float) -> None:
        self._people[job.server].charge(job.person, cost)
        self._servers.charge(job.server, cost)

    def _take(self, job: ScheduledJob) -> None:
        self._charge(job, job.cost)
        self._delete(job.id)
        self._running.update((job.owner, job.channel))

    # Forecast

    def forecast(self, slots: Sequence[SlotState], now: float, pace: float | None) -> dict[str, QueuePosition]:
        """Return the positions of the first HORIZON jobs by id: run the scheduler ahead, then undo its changes.

        `slots` are all slots, busy or free; `pace` is seconds per megapixel-step, None if nothing was measured yet.
        """
        running, favoured, undo = self._running.copy(), self._last_was_urgent, []
        positions: dict[str, QueuePosition] = {}
        ahead, tie = sum(len(each.jobs) for each in slots), count()
        free = [(now + each.seconds_left, next(tie), each.slot, each.jobs) for each in slots]
        heapify(free)
        while free and self._entries and len(positions) < HORIZON:
            at, _, slot, jobs = heappop(free)
            self.mark_ended(jobs)
            batch = self._choose(slot, at)
            if not batch:
                if free and (jobs or any(others for *_, others in free)):  # it may wait for the running jobs
                    heappush(free, (free[0][0], next(tie), slot, ()))
                continue
            until = at + sum(job.cost for job in batch) * (pace or 1.0)
            for job in batch:
                undo.append((job, self._entries[job.id][0], self._snapshot(job)))
                self._take(job)
                positions[job.id] = QueuePosition(ahead, until - now if pace else None)
                ahead += 1
            self._last_was_urgent = batch[0].is_urgent
            heappush(free, (until, next(tie), slot, batch))
        for job, position, marks in reversed(undo):
            self._insert(job, position)
            self._people[job.server].restore(job.person, marks[0])
            self._servers.restore(job.server, marks[1])
        self._running, self._last_was_urgent = running, favoured
        return positions

    def _snapshot(self, job: ScheduledJob) -> tuple[Snapshot, Snapshot]:
        return self._people[job.server].snapshot(job.person), self._servers.snapshot(job.server)


def position_without_forecast(job: ScheduledJob, slots: Sequence[SlotState]) -> QueuePosition:
    """Return the position of a job that is not in the forecast: no slot can take it, or HORIZON jobs are before it."""
    return QueuePosition(HORIZON if any(each.slot.supports(job.batch_key) for each in slots) else None)
