"""Which jobs run next: fairness, caps, batches, model affinity, positions. Pure; the line does the I/O.

An index of the jobs that wait. Servers take turns, and the people of a server; what a turn costs is counted in
megapixel-steps, not in pictures. Times are seconds of one clock that never jumps.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import count, islice

from sortedcontainers import SortedDict

from render.fair import Mark, Turns

AGEING = 20.0  # seconds after which a job is not passed by urgent ones any more
OWN = 8  # jobs of one person among which the one that suits the slot may be chosen
WINDOW = 64  # people among whom company for a batch, and urgent jobs, are looked for
HORIZON = 200  # jobs whose position is foretold


@dataclass(frozen=True, slots=True)
class Kind:
    """What jobs must have in common to be rendered in one batch. An empty `model` stands for any.

    `change` tells how a source is used; it is empty without one.
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
    """A job as the policy sees it. `cost` is in megapixel-steps; `alone` keeps it out of batches after a crash."""

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
        """The person within the server."""
        return f"{self.server}\n{self.person}"


@dataclass(frozen=True, slots=True)
class Slot:
    """A free slot: the loaded model, all that it can load and how long that takes, and how many pictures it paints.

    `seats` are for pictures of `usual` megapixels.
    """

    model: str = ""
    models: frozenset[str] = frozenset()
    load_time: float = 0.0
    seats: int = 1
    usual: float = 1.0

    def takes(self, kind: Kind) -> bool:
        """Whether it can paint such pictures at all."""
        return not kind.model or kind.model == self.model or kind.model in self.models

    def is_warm(self, kind: Kind) -> bool:
        """Whether nothing has to be loaded for them."""
        return kind.model in ("", self.model)

    def seats_for(self, kind: Kind) -> int:
        """How many such pictures fit into one batch."""
        if kind.size is None:
            return self.seats
        return max(1, min(self.seats, int(self.seats * self.usual / (kind.size[0] * kind.size[1] / 1e6))))


@dataclass(frozen=True, slots=True)
class Caps:
    """How many jobs may run at once, of one person and in one channel."""

    person: int = 8
    channel: int = 16


@dataclass(frozen=True, slots=True)
class Busy:
    """A slot at work, or not, and in how many seconds it is free."""

    slot: Slot
    left: float = 0.0
    jobs: tuple[Waiting, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job stands: how many come before it, those that run included, and in how many seconds it is done."""

    ahead: int
    eta: float | None = None


class Schedule:
    """The jobs that wait, and who has had how much."""

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

    # What happens

    def add(self, job: Waiting) -> None:
        """Let the job wait; one that has waited before finds its place again by `since`."""
        self._put(job, (not job.urgent, job.since, next(self._counter)))

    def remove(self, job: Waiting) -> None:
        """The job is not wanted any more; nothing happens if it does not wait."""
        if job.id in self._places:
            self._drop(job.id)

    def waiting_for(self, server: str, person: str) -> int:
        """How many jobs of this person wait."""
        return len(self._queues.get(f"{server}\n{person}", ()))

    def ended(self, jobs: Iterable[Waiting]) -> None:
        """These have left their slot."""
        for job in jobs:
            for capped in (job.owner, job.channel):
                self._running[capped] -= 1
                if self._running[capped] <= 0:
                    del self._running[capped]

    def give_back(self, job: Waiting) -> None:
        """The job came to nothing: it does not count."""
        self._charge(job, -job.cost)

    def again(self, job: Waiting) -> None:
        """An attempt at the job came to nothing: it waits as if it had not been."""
        self.give_back(job)
        self._people[job.server].enter(job.person, keeps=True)
        self._servers.enter(job.server, keeps=True)
        self.add(job)

    def recall(self, server: str, person: str, cost: float) -> None:
        """Somebody was served before this index was made; called in the order of service."""
        self._servers.charge(server, cost)
        self._people.setdefault(server, Turns()).charge(person, cost)

    # What is next

    def next(self, slot: Slot, now: float) -> tuple[Waiting, ...]:
        """The batch to be rendered now, which has left the line; empty if there is nothing for this slot.

        It waits for no company: what comes together is in the line together, and a busy slot gathers the rest.
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
        """The fairest job, or an urgent one before it, but not twice running and not before a job that is old."""
        fairest = self._fairest(slot, now)
        if fairest is None or fairest.urgent or not self._urgent or self._favoured or now - fairest.since > AGEING:
            return fairest
        for queue in islice(self._in_turn(), WINDOW):
            job: Waiting = queue.peekitem(0)[1]
            if job.urgent and self._may_run(job, slot, Counter()) and slot.is_warm(job.kind):
                return job
        return fairest

    def _fairest(self, slot: Slot, now: float) -> Waiting | None:
        """The first person's first job; of the next few of the same urgency, one whose model is loaded.

        For a job that waits longer than loading its model takes, the slot changes its model.
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
        """The leader's batch: jobs of its kind, of other people first, in the order of their turns."""
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
        """Everybody's jobs: the first person of each server in turn, then the second of each, and so on."""
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

    # What is to come

    def foretell(self, busy: Sequence[Busy], now: float, pace: float | None) -> dict[str, Place]:
        """The places of the first HORIZON jobs, found by letting this policy run on and undoing it.

        `busy` are all slots; `pace` is seconds per megapixel-step, None where nothing was measured yet.
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
                if free and (jobs or any(others for *_, others in free)):  # those that run may be what it waits for
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
