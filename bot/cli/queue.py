"""`python -m bot queue`: shows the render queue in the database, cancels jobs and requeues failed ones.

Works whether the bot runs or not. A running bot notices the changes in the database and acts on them. Nothing here
contacts the bot or its workers.
"""

import json
import sys
import time
from argparse import ArgumentParser, Namespace, _SubParsersAction
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live

from bot.domain import Operation, Queued, RenderJob
from bot.errors import NotFound
from bot.formatting import count_of
from bot.queue_view import Line, dead_object, dead_table, line_object, line_table
from bot.storage.jobs import JobRow, Jobs
from bot.storage.store import Store

REASON = "Cancelled by the operator."
PAUSE = 1.0  # seconds between two updates of --watch
MOST_DEAD = 10_000  # dead jobs that are searched for an id
UNBOUND = 200  # columns of a table that is written to a file or a pipe

Forecast = Callable[[Jobs, Iterable[RenderJob], Sequence[tuple[float, float]], float], dict[str, Queued]]


def add_arguments(commands: "_SubParsersAction[ArgumentParser]") -> None:
    """Add the command `queue` to the command line."""
    told = "show the render queue, cancel jobs, or requeue dead jobs"
    queue = commands.add_parser("queue", help=told, description=told[0].upper() + told[1:] + ".")
    shown = queue.add_mutually_exclusive_group()
    shown.add_argument("--watch", action="store_true", help="update the table every second, until Ctrl-C")
    shown.add_argument("--json", action="store_true", help="print one JSON object, for scripts")
    queue.add_argument("--dead", action="store_true", help="show the dead jobs and their errors")
    queue.add_argument("--prompts", action="store_true", help="show the prompts, too")
    deeds = queue.add_subparsers(dest="deed", metavar="cancel | requeue")
    cancel = deeds.add_parser("cancel", help="cancel jobs that are queued or running")
    cancel.add_argument("jobs", nargs="+", metavar="ID", help="the id of a job, as the list shows it")
    requeue = deeds.add_parser("requeue", help="reopen the replies that contain dead jobs")
    which = requeue.add_mutually_exclusive_group(required=True)
    which.add_argument("jobs", nargs="*", default=[], metavar="ID", help="the id of a job, as `queue --dead` shows it")
    which.add_argument("--all", action="store_true", help="all dead jobs")


def run(options: Namespace, path: Path, forecast: Forecast, console: Console | None = None) -> None:
    """Run the command on the database in this file. Raises BotError with a sentence if it fails."""
    console = console or Console(width=None if sys.stdout.isatty() else UNBOUND)
    with closing(Store.existing(path)) as store:
        match options:
            case Namespace(deed="cancel"):
                console.print(cancel(store, options.jobs), highlight=False)
            case Namespace(deed="requeue"):
                console.print(requeue(store, None if options.all else options.jobs), highlight=False)
            case Namespace(json=True):
                console.out(json.dumps(_object(store, forecast, options), ensure_ascii=False), highlight=False)
            case Namespace(watch=True):
                watch(console, _every(PAUSE, lambda: _shown(store, forecast, options)))
            case _:
                console.print(_shown(store, forecast, options))


# Actions


def cancel(store: Store, ids: Sequence[str]) -> str:
    """Cancel these jobs and return a sentence. Raises NotFound, and cancels none, if one is not in the queue."""
    ended = [row for row in _found(store, ids, store.jobs.unfinished()) if store.jobs.cancel(row.id, REASON)]
    return f"{count_of(len(ended), 'job')} cancelled."


def requeue(store: Store, ids: Sequence[str] | None) -> str:
    """Reopen the replies with these dead jobs, or with all of them; rendered images stay. Raises as `cancel` does."""
    dead = store.jobs.failures(MOST_DEAD)
    if ids is None:
        rows = dead
    else:  # a job that was cancelled by mistake is not among the dead ones
        cancelled = [row for row in store.jobs.find(ids) if row.state == "cancelled"]
        rows = _found(store, ids, [*dead, *cancelled])
    messages = dict.fromkeys(row.message for row in rows)
    for message in messages:
        store.reopen(message)
    if not messages:
        return "Nothing was given up."
    opened = count_of(len(messages), "reply", "replies")
    return f"{opened} opened again: the bot makes what is missing, as soon as it runs."


def _found(store: Store, ids: Sequence[str], among: Sequence[JobRow]) -> list[JobRow]:
    """Return the jobs with these ids or unique prefixes of ids. One NotFound reports all errors."""
    rows, faults = [], []
    for told in dict.fromkeys(ids):
        start, _, key = told.rpartition(".")
        matching = [row for row in among if row.id == told] or [
            row for row in among if start and row.message.startswith(start) and row.id == f"{row.message}.{key}"
        ]
        if len(matching) == 1:
            rows += matching
        elif matching:
            faults.append(f"Several jobs have an id like {told!r}: write more of it.")
        elif known := store.jobs.find([told]):
            faults.append(f"The job {told!r} is {known[0].state}: nothing can be done about it here.")
        else:
            faults.append(f"There is no job {told!r} here.")
    if faults:
        raise NotFound("\n".join([*faults, "Nothing was done."]))
    return rows


# Output


def look(store: Store, forecast: Forecast) -> Line:
    """Read the queue as it is now."""
    now, rows = time.time(), store.jobs.unfinished()
    running = [row for row in rows if row.state == "running"]
    waiting = [row for row in rows if row.state == "queued"]
    spent = [(row.cost, row.claimed or now) for row in running]
    places = forecast(store.jobs, map(_job, waiting), spent, now)
    far = Queued(len(rows))
    waiting.sort(key=lambda row: places.get(row.id, far).ahead)
    return Line((*running, *waiting), places, now)


def _job(row: JobRow) -> RenderJob:
    return RenderJob(
        row.id, row.thread, row.number, row.owner, Operation(row.operation), row.prompt, seed=0, faults=row.faults,
        ordered=row.ordered,
    )  # fmt: skip


def watch(console: Console, looks: Iterable[RenderableType]) -> None:
    """Show each frame in place of the one before, until Ctrl-C."""
    with suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False) as live:
        for shown in looks:
            live.update(shown, refresh=True)


def _every(seconds: float, shown: Callable[[], RenderableType]) -> Iterator[RenderableType]:
    while True:
        yield shown()
        time.sleep(seconds)


def _shown(store: Store, forecast: Forecast, options: Namespace) -> RenderableType:
    if options.dead:
        return dead_table(store.jobs.failures(), options.prompts)
    return line_table(look(store, forecast), options.prompts)


def _object(store: Store, forecast: Forecast, options: Namespace) -> dict[str, Any]:
    if options.dead:
        return dead_object(store.jobs.failures(MOST_DEAD), options.prompts)
    return line_object(look(store, forecast), options.prompts)
