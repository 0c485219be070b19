"""`python -m bot queue`: shows the render queue in the database, cancels jobs and requeues failed ones.

Works whether the bot runs or not. A running bot notices the changes in the database and acts on them. Nothing here
contacts the bot or its workers.
"""

import json
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live

from bot.cli.queue_table import QueueSnapshot, failed_jobs_json, failed_jobs_table, queue_json, queue_table
from bot.domain import Queued, RenderJob
from bot.errors import NotFound
from bot.formatting import format_count
from bot.notices import notice
from bot.storage.jobs import JobRow, Jobs
from bot.storage.store import Store

REASON = notice("cancelled-by-operator")
PAUSE = 1.0  # seconds between two looks of --watch
MOST_DEAD = 10_000  # jobs among which one that was given up is looked for
UNBOUND = 200  # columns of a table that goes into a file or a pipe

EstimatePositions = Callable[[Jobs, Iterable[RenderJob], Sequence[tuple[float, float]], float], dict[str, Queued]]


def run(options: Namespace, path: Path, estimate_positions: EstimatePositions, console: Console | None = None) -> None:
    """Run the command on the database in this file. Raises BotError with a sentence if it fails."""
    console = console or Console(width=None if sys.stdout.isatty() else UNBOUND)
    with closing(Store.open_existing(path)) as store:
        match options:
            case Namespace(action="cancel"):
                console.print(cancel(store, options.jobs), highlight=False)
            case Namespace(action="requeue"):
                console.print(requeue(store, None if options.all else options.jobs), highlight=False)
            case Namespace(json=True):
                console.out(
                    json.dumps(_build_object(store, estimate_positions, options), ensure_ascii=False), highlight=False
                )
            case Namespace(watch=True):
                watch(console, _repeat_every(PAUSE, lambda: _build_table(store, estimate_positions, options)))
            case _:
                console.print(_build_table(store, estimate_positions, options))


# Actions


def cancel(store: Store, ids: Sequence[str]) -> str:
    """Cancel these jobs and return a sentence. Raises NotFound, and cancels none, if one is not in the queue."""
    ended = [row for row in _find_jobs(store, ids, store.jobs.unfinished()) if store.jobs.cancel(row.id, REASON)]
    return f"{format_count(len(ended), 'job')} cancelled."


def requeue(store: Store, ids: Sequence[str] | None) -> str:
    """Reopen the replies with these dead jobs, or with all of them; rendered images stay. Raises as `cancel` does."""
    dead = store.jobs.failures(MOST_DEAD)
    if ids is None:
        rows = dead
    else:  # one that was cancelled by mistake is in no list
        cancelled = [row for row in store.jobs.find(ids) if row.state == "cancelled"]
        rows = _find_jobs(store, ids, [*dead, *cancelled])
    messages = dict.fromkeys(row.message for row in rows)
    for message in messages:
        store.reopen(message)
    if not messages:
        return "Nothing was given up."
    opened = format_count(len(messages), "reply", "replies")
    return f"{opened} opened again: the bot makes what is missing, as soon as it runs."


def _find_jobs(store: Store, ids: Sequence[str], among: Sequence[JobRow]) -> list[JobRow]:
    """Return the jobs with these ids or unique prefixes of ids. One NotFound reports all errors."""
    rows, faults = [], []
    for job_id in dict.fromkeys(ids):
        start, _, key = job_id.rpartition(".")
        matching = [row for row in among if row.id == job_id] or [
            row for row in among if start and row.message.startswith(start) and row.id == f"{row.message}.{key}"
        ]
        if len(matching) == 1:
            rows += matching
        elif matching:
            faults.append(f"Several jobs have an id like {job_id!r}: write more of it.")
        elif known := store.jobs.find([job_id]):
            faults.append(f"The job {job_id!r} is {known[0].state}: nothing can be done about it here.")
        else:
            faults.append(f"There is no job {job_id!r} here.")
    if faults:
        raise NotFound("\n".join([*faults, "Nothing was done."]))
    return rows


# Output


def read_queue(store: Store, estimate_positions: EstimatePositions) -> QueueSnapshot:
    """Read the queue as it is now."""
    now, rows = time.time(), store.jobs.unfinished()
    running = [row for row in rows if row.state == "running"]
    waiting = [row for row in rows if row.state == "queued"]
    spent = [(row.cost, row.claimed or now) for row in running]
    places = estimate_positions(store.jobs, map(_to_render_job, waiting), spent, now)
    ahead = {row.id: places[row.id].ahead if row.id in places else len(rows) for row in waiting}
    waiting.sort(key=lambda row: len(rows) + 1 if (position := ahead[row.id]) is None else position)
    return QueueSnapshot((*running, *waiting), places, now)


def _to_render_job(row: JobRow) -> RenderJob:
    return RenderJob(row.id, row.thread, row.number, row.owner, row.request, faults=row.faults, ordered=row.ordered)


def watch(console: Console, frames: Iterable[RenderableType]) -> None:
    """Show each frame in place of the one before, until Ctrl-C."""
    with suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False) as live:
        for shown in frames:
            live.update(shown, refresh=True)


def _repeat_every(seconds: float, build: Callable[[], RenderableType]) -> Iterator[RenderableType]:
    while True:
        yield build()
        time.sleep(seconds)


def _build_table(store: Store, estimate_positions: EstimatePositions, options: Namespace) -> RenderableType:
    if options.dead:
        return failed_jobs_table(store.jobs.failures(), options.prompts)
    return queue_table(read_queue(store, estimate_positions), options.prompts)


def _build_object(store: Store, estimate_positions: EstimatePositions, options: Namespace) -> dict[str, Any]:
    if options.dead:
        return failed_jobs_json(store.jobs.failures(MOST_DEAD), options.prompts)
    return queue_json(read_queue(store, estimate_positions), options.prompts)
