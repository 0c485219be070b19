"""Decides which jobs run next: fair share, limits, batches, model affinity, positions. Pure; the queue does the I/O.

An index of the waiting jobs. Servers take turns, and so do the users of a server; the cost of a turn is counted in
megapixel-steps, not in images. Times are seconds of one monotonic clock.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import count, islice

from sortedcontainers import SortedDict

from render.queue.fair_share import Mark, Turns

AGEING = 20.0  # seconds after which urgent jobs do not overtake a waiting job any more
OWN = 8  # first jobs of a user among which the job that suits the slot is chosen
WINDOW = 64  # users whose jobs may fill up a batch or go first because they are urgent
HORIZON = 200  # jobs whose position is forecast


@dataclass(frozen=True, slots=True)
class Kind:
    """Values that jobs must have in common to be rendered in one batch. An empty `model` means any model.

    `change` says how a source image is used; it is empty without a source.
    """

    model: str = ""
    change: str = ""
    size: tuple[int, int] | None = None
    ratio: str = ""
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    lora: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job as the scheduler sees it. `cost` is in megapixel-steps. After a crash a job `runs_alone` in its batch."""

    id: str
    server: str
    channel: str
    person: str
    kind: Kind
    cost: float
    since: float
    urgent: bool = False
    alone: bool = False

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
    seats: int = 1
    usual: float = 1.0

    def takes(self, kind: Kind) -> bool:
        """Whether the slot has or can load the model for these jobs."""
        return not kind.model or kind.model == self.model or kind.model in self.models

    def is_warm(self, kind: Kind) -> bool:
        """Whether the model for these jobs is loaded."""
        return kind.model in ("", self.model)

    def seats_for(self, kind: Kind) -> int:
        """Return how many images of this size fit into one batch, at least 1."""
        if kind.size is None:
            return self.seats
        return max(1, min(self.seats, int(self.seats * self.usual / (kind.size[0] * kind.size[1] / 1e6))))


@dataclass(frozen=True, slots=True)
class Caps:
    """How many jobs of one user, and of one channel, may run at the same time."""

    person: int = 8
    channel: int = 16


@dataclass(frozen=True, slots=True)
class Busy:
    """A slot, the jobs that run in it, and in how many seconds it is free."""

    slot: Slot
    left: float = 0.0
    jobs: tuple[Waiting, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Position of a job: jobs before it, running jobs included, and seconds until it is done (None if unknown)."""

    ahead: int
    eta: float | None = None


class Schedule:
    """The waiting jobs, the running jobs of each user and channel, and the fair share of servers and users."""

    def __init__(self, caps: Caps | None = None) -> None:
        self._caps = caps or Caps()
        self._servers = Turns()
        self._people: dict[str, Turns] = {}
        self._queues: dict[str, SortedDict] = {}
        self._places: dict[str, tuple[tuple[bool, float, int], Waiting]] = {}
        self._running: Counter[str] = Counter()
        self._counter = count()
        self._urgent = 0
        self._favoured = False  # whether the last batch was led by an urgent job

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Waiting]:
        return (job for _, job in self._places.values())

    # Events

    def add(self, job: Waiting) -> None:
        """Add a waiting job. A job that waited before gets its old place among the jobs of its user, by `since`."""
        self._put(job, (not job.urgent, job.since, next(self._counter)))

    def remove(self, job: Waiting) -> None:
        """Remove a job; does nothing if it does not wait."""
        if job.id in self._places:
            self._drop(job.id)

    def waiting_for(self, server: str, person: str) -> int:
        """Return how many jobs of this user wait."""
        return len(self._queues.get(f"{server}\n{person}", ()))

    def ended(self, jobs: Iterable[Waiting]) -> None:
        """Count jobs that left their slot as not running any more."""
        for job in jobs:
            for capped in (job.owner, job.channel):
                self._running[capped] -= 1
                if self._running[capped] <= 0:
                    del self._running[capped]

    def give_back(self, job: Waiting) -> None:
        """Refund the cost of a job that was not rendered."""
        self._charge(job, -job.cost)

    def again(self, job: Waiting) -> None:
        """Put a job back after a lost attempt, as if the attempt had not happened."""
        self.give_back(job)
        self._people[job.server].enter(job.person, keeps=True)
        self._servers.enter(job.server, keeps=True)
        self.add(job)

    def recall(self, server: str, person: str, cost: float) -> None:
        """Charge a user for service before the start of this process. Call in the order of service."""
        self._servers.charge(server, cost)
        self._people.setdefault(server, Turns()).charge(person, cost)

    # Choosing the next batch

    def next(self, slot: Slot, now: float) -> tuple[Waiting, ...]:
        """Remove the batch for this slot from the waiting jobs and return it; empty if no job suits the slot.

        A batch does not wait to be filled: jobs that arrive together are together in the queue, and more jobs gather
        while the slots are busy.
        """
        batch = self._choose(slot, now)
        for job in batch:
            self._take(job)
        if batch:
            self._favoured = batch[0].urgent
        return batch

    def _choose(self, slot: Slot, now: float) -> tuple[Waiting, ...]:
        leader = self._leader(slot, now)
        if leader is None:
            return ()
        seats = 1 if leader.alone else slot.seats_for(leader.kind)
        return tuple(self._company(leader, seats, slot))

    def _leader(self, slot: Slot, now: float) -> Waiting | None:
        """Return the fairest job, or an urgent one if the last was not urgent and the fairest waits less than AGING."""
        fairest = self._fairest(slot, now)
        if fairest is None or fairest.urgent or not self._urgent or self._favoured or now - fairest.since > AGEING:
            return fairest
        for queue in islice(self._in_turn(), WINDOW):
            job: Waiting = queue.peekitem(0)[1]
            if job.urgent and self._may_run(job, slot, Counter()) and slot.is_warm(job.kind):
                return job
        return fairest

    def _fairest(self, slot: Slot, now: float) -> Waiting | None:
        """Return the first job of the first user, or one of the next few of the same urgency whose model is loaded.

        A job that has waited longer than loading its model takes is chosen although its model is not loaded.
        """
        cold: Waiting | None = None
        for queue in self._in_turn():
            jobs: list[Waiting] = [job for job in islice(queue.values(), OWN) if self._may_run(job, slot, Counter())]
            warm = [job for job in jobs if job.urgent == jobs[0].urgent and slot.is_warm(job.kind)]
            if jobs and not slot.is_warm(jobs[0].kind) and now - jobs[0].since >= slot.load_time:
                return jobs[0]
            if warm:
                return warm[0]
            cold = cold or next(iter(jobs), None)
        return cold

    def _company(self, leader: Waiting, seats: int, slot: Slot) -> list[Waiting]:
        """Fill a batch with jobs of the leader's batch key, first of other users, in the order of their turns."""
        batch, chosen, taken = [leader], {leader.id}, Counter((leader.owner, leader.channel))
        queues = list(islice(self._in_turn(), WINDOW)) if seats > 1 else []
        for others_only in (True, False):
            for queue in queues:
                for job in islice(queue.values(), OWN):
                    if len(batch) == seats:
                        return batch
                    if others_only and taken[job.owner]:
                        break
                    fits = job.kind == leader.kind and not job.alone and job.id not in chosen
                    if fits and self._may_run(job, slot, taken):
                        batch.append(job)
                        chosen.add(job.id)
                        taken.update((job.owner, job.channel))
        return batch

    def _in_turn(self) -> Iterator[SortedDict]:
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

    def _may_run(self, job: Waiting, slot: Slot, taken: Counter[str]) -> bool:
        running = self._running
        return (
            slot.takes(job.kind)
            and running[job.owner] + taken[job.owner] < self._caps.person
            and running[job.channel] + taken[job.channel] < self._caps.channel
        )

    # The index

    def _put(self, job: Waiting, place: tuple[bool, float, int]) -> None:
        self._places[job.id] = place, job
        self._queues.setdefault(job.owner, SortedDict())[place] = job
        self._people.setdefault(job.server, Turns()).enter(job.person)
        self._servers.enter(job.server)
        self._urgent += job.urgent

    def _drop(self, job_id: str) -> None:
        place, job = self._places.pop(job_id)
        del self._queues[job.owner][place]
        self._urgent -= job.urgent
        if not self._queues[job.owner]:
            del self._queues[job.owner]
            self._people[job.server].leave(job.person)
            if not self._people[job.server]:
                self._servers.leave(job.server)

    def _charge(self, job: Waiting, cost: float) -> None:
        self._people[job.server].charge(job.person, cost)
        self._servers.charge(job.server, cost)

    def _take(self, job: Waiting) -> None:
        self._charge(job, job.cost)
        self._drop(job.id)
        self._running.update((job.owner, job.channel))

    # Forecast

    def foretell(self, busy: Sequence[Busy], now: float, pace: float | None) -> dict[str, Place]:
        """Return the positions of the first HORIZON jobs by id: run the scheduler ahead, then undo its changes.

        `slots` are all slots, busy or free; `pace` is seconds per megapixel-step, None if nothing was measured yet.
        """
        running, favoured, undo = self._running.copy(), self._favoured, []
        places: dict[str, Place] = {}
        ahead, tie = sum(len(each.jobs) for each in busy), count()
        free = [(now + each.left, next(tie), each.slot, each.jobs) for each in busy]
        heapify(free)
        while free and self._places and len(places) < HORIZON:
            at, _, slot, jobs = heappop(free)
            self.ended(jobs)
            batch = self._choose(slot, at)
            if not batch:
                if free and (jobs or any(others for *_, others in free)):  # it may wait for the running jobs
                    heappush(free, (free[0][0], next(tie), slot, ()))
                continue
            until = at + sum(job.cost for job in batch) * (pace or 1.0)
            for job in batch:
                undo.append((job, self._places[job.id][0], self._mark(job)))
                self._take(job)
                places[job.id] = Place(ahead, until - now if pace else None)
                ahead += 1
            self._favoured = batch[0].urgent
            heappush(free, (until, next(tie), slot, batch))
        for job, place, marks in reversed(undo):
            self._put(job, place)
            self._people[job.server].reset(job.person, marks[0])
            self._servers.reset(job.server, marks[1])
        self._running, self._favoured = running, favoured
        return places

    def _mark(self, job: Waiting) -> tuple[Mark, Mark]:
        return self._people[job.server].mark(job.person), self._servers.mark(job.server)
