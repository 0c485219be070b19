"""The line as people may see it. Pure."""

from bot.lineup import Bench, Lineup, Standing
from render.fleet import Worker
from render.queue import Line
from render.rounds import Ticket
from render.scaling import Load


def lineup(line: Line, now: float) -> Lineup:
    """Who stands where, what runs, and what the workers do; `now` is on the loop's clock."""
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
    """How much work runs and waits, for those who say how many workers there should be."""
    busy = sum(len(worker.rounds) for worker in line.fleet.workers)
    return Load(busy, sum(job.cost for job in line.schedule), line.pace.typical or 0.0)


def _eta(ticket: Ticket, now: float, pace: float | None) -> float | None:
    if ticket.round and ticket.job.id in ticket.round.open:
        return ticket.round.left(now, pace)
    return ticket.place.eta if ticket.place else None


def _bench(worker: Worker) -> Bench:
    told = worker.told
    return Bench(worker.engine.name, told.model, told.slots, len(worker.rounds), told.trouble or "")
