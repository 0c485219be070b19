"""Formats the render queue as terminal tables for people and as JSON objects for scripts. Pure."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count as count_from
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bot.domain import Queued
from bot.formatting import format_count
from bot.storage.jobs import JobRow

LONGEST_PROMPT = 40  # characters of a table cell, such as a prompt or a name
SHORTEST_ID = 8  # characters of a message id


@dataclass(frozen=True, slots=True)
class QueueSnapshot:
    """The jobs of the queue: running jobs, then waiting jobs in the order in which they will run.

    `estimates` are by job id; `now` is in seconds since 1970.
    """

    jobs: tuple[JobRow, ...]
    estimates: dict[str, Queued]
    now: float


def queue_table(queue: QueueSnapshot, show_prompts: bool) -> RenderableType:
    """Return a table of the running and waiting jobs; the prompts only if `show_prompts`."""
    running = sum(row.state == "running" for row in queue.jobs)
    summary = f"{format_count(running, 'picture')} under way, {len(queue.jobs) - running} waiting."
    if not queue.jobs:
        return Text("The line is empty.")
    names = _short_ids(queue.jobs)
    table = _table(
        "#", "job", "picture", "operation", "who", "state", "waited", "done in", "cost", "tries", prompts=show_prompts
    )
    for position, row in enumerate(queue.jobs, start=1 - running):
        place = queue.estimates.get(row.id)
        cells = [
            str(position) if position > 0 else "",
            names[row.id],
            f"#{row.number} in {row.thread.platform}/{row.thread.thread}",
            row.request.operation,
            row.owner_name,
            "waiting for a worker" if place and place.ahead is None else row.state,
            format_duration(queue.now - row.ordered),
            "~" + format_duration(place.eta) if place and place.eta is not None else "",
            f"{row.cost:.1f}" if row.cost else "",
            _format_attempts(row),
            *([row.request.prompt] if show_prompts else []),
        ]
        table.add_row(*map(_truncated_cell, cells), style="bold" if row.state == "running" else "")
    return Group(table, Text(summary))


def failed_jobs_table(rows: Sequence[JobRow], show_prompts: bool) -> RenderableType:
    """Return a table of the jobs that failed for good, with the reasons."""
    if not rows:
        return Text("Nothing was given up.")
    names = _short_ids(rows)
    table = _table("job", "picture", "operation", "who", "ordered", "tries", "reason", prompts=show_prompts)
    for row in rows:
        ordered = time.strftime("%Y-%m-%d %H:%M", time.localtime(row.ordered))
        picture = f"#{row.number} in {row.thread.platform}/{row.thread.thread}"
        cells = [names[row.id], picture, row.request.operation, row.owner_name, ordered, _format_attempts(row)]
        table.add_row(
            *map(_truncated_cell, cells),
            _printable_text(str(row.reason or "")),
            *([_truncated_cell(row.request.prompt)] if show_prompts else []),
        )
    return table


def _table(*columns: str, prompts: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in (*columns, *(["prompt"] if prompts else [])):
        numeric = column in ("#", "waited", "done in", "cost")
        fold = column in ("reason", "prompt", "picture", "who")
        table.add_column(column, justify="right" if numeric else "left", no_wrap=not fold, overflow="fold")
    return table


def _short_ids(rows: Sequence[JobRow]) -> dict[str, str]:
    """Return the shortest ids, by job id, that still distinguish these jobs."""
    messages = {row.message for row in rows}
    lengths = count_from(SHORTEST_ID)
    length = next(each for each in lengths if len({message[:each] for message in messages}) == len(messages))
    return {row.id: row.message[:length] + row.id.removeprefix(row.message) for row in rows}


def _format_attempts(row: JobRow) -> str:
    return f"{row.attempt}, {row.faults} lost" if row.faults else str(row.attempt)


def _truncated_cell(text: str) -> Text:
    shown = _printable_text(text)
    shown.truncate(LONGEST_PROMPT, overflow="ellipsis")
    return shown


def _printable_text(text: str) -> Text:
    """Return text of users without markup and without control characters of a terminal."""
    return Text("".join(letter if letter.isprintable() else " " for letter in text))


def format_duration(seconds: float) -> str:
    """Format a duration in its two largest units: `42 s`, `3 min 10 s`, `2 h 5 min`."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours, left = divmod(minutes, 60)
    if hours:
        return f"{hours} h {left} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


# For scripts


def queue_json(queue: QueueSnapshot, show_prompts: bool) -> dict[str, Any]:
    """Return the queue as one JSON object."""
    running = [_job_json(row, show_prompts) for row in queue.jobs if row.state == "running"]
    waiting = [_job_json(row, show_prompts) for row in queue.jobs if row.state == "queued"]
    for position, each in enumerate(waiting, start=1):
        place = queue.estimates.get(each["id"])
        each |= {"position": position, "eta": place.eta if place else None}
    for each in (*running, *waiting):
        each["waited"] = queue.now - each["ordered"]
    return {"running": running, "waiting": waiting}


def failed_jobs_json(rows: Sequence[JobRow], show_prompts: bool) -> dict[str, Any]:
    """Return the jobs that failed for good as one JSON object."""
    return {"dead": [_job_json(row, show_prompts) | {"reason": row.reason and str(row.reason)} for row in rows]}


def _job_json(row: JobRow, show_prompts: bool) -> dict[str, Any]:
    fields = {
        "id": row.id,
        "thread": str(row.thread),
        "number": row.number,
        "operation": row.request.operation,
        "who": row.owner_name,
        "state": row.state,
        "attempts": row.attempt,
        "faults": row.faults,
        "ordered": row.ordered,
        "cost": row.cost,
    }
    return fields | ({"prompt": row.request.prompt} if show_prompts else {})
