"""Status of the render queue as users see it, and its load for the autoscaler. Pure."""

from bot.queue_status import Bench, Lineup, Standing
from render.queue.autoscaler import Load
from render.queue.batch_run import Ticket
from render.queue.queue import Line
from render.queue.workers import Worker


def lineup(line: Line, now: float) -> Lineup:
    """Return the running and waiting jobs and the workers. `now` is seconds of the loop's clock."""
    standings = []
    for ticket in line.tickets.values():
        job, place, round_ = ticket.job, ticket.place, ticket.round
        runs = round_ is not None and job.id in round_.open
        standings.append(
            Standing(
                job=job.id,
                thread=job.thread,
                number=job.number,
                operation=job.operation,
                owner=job.owner,
                model=job.model,
                running=runs,
                fraction=round_.fraction if round_ and runs else 0.0,
                ahead=0 if runs or place is None else place.ahead,
                eta=_eta(ticket, now, line.pace.typical),
                waited=now - ticket.waiting.since,
            )
        )
    standings.sort(key=lambda each: (not each.running, each.ahead))
    return Lineup(tuple(standings), tuple(map(_bench, line.fleet.workers)), dict(line.pace.by_model))


def load(line: Line) -> Load:
    """Return how many batches run and how much work waits, for the autoscaler."""
    busy = sum(len(worker.rounds) for worker in line.fleet.workers)
    return Load(busy, sum(job.cost for job in line.schedule), line.pace.typical or 0.0)


def _eta(ticket: Ticket, now: float, pace: float | None) -> float | None:
    if ticket.round and ticket.job.id in ticket.round.open:
        return ticket.round.left(now, pace)
    return ticket.place.eta if ticket.place else None


def _bench(worker: Worker) -> Bench:
    told = worker.told
    return Bench(worker.engine.name, told.model, told.slots, len(worker.rounds), told.trouble or "")
