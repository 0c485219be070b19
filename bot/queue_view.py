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
from bot.formatting import count_of
from bot.storage.jobs import JobRow

LONGEST_PROMPT = 40  # characters of a table cell, such as a prompt or a name
SHORTEST_ID = 8  # characters of a message id


@dataclass(frozen=True, slots=True)
class Line:
    """The jobs of the queue: running jobs, then waiting jobs in the order in which they will run.

    `estimates` are by job id; `now` is in seconds since 1970.
    """

    jobs: tuple[JobRow, ...]
    places: dict[str, Queued]
    now: float


def line_table(line: Line, prompts: bool) -> RenderableType:
    """Return a table of the running and waiting jobs; the prompts only if `show_prompts`."""
    running = sum(row.state == "running" for row in line.jobs)
    told = f"{count_of(running, 'picture')} under way, {len(line.jobs) - running} waiting."
    if not line.jobs:
        return Text("The line is empty.")
    names = _names(line.jobs)
    table = _table(
        "#", "job", "picture", "operation", "who", "state", "waited", "done in", "cost", "tries", prompts=prompts
    )
    for position, row in enumerate(line.jobs, start=1 - running):
        place = line.places.get(row.id)
        cells = [
            str(position) if position > 0 else "",
            names[row.id],
            f"#{row.number} in {row.thread.platform}/{row.thread.thread}",
            row.operation,
            row.owner_name,
            row.state,
            duration(line.now - row.ordered),
            "~" + duration(place.eta) if place and place.eta is not None else "",
            f"{row.cost:.1f}" if row.cost else "",
            _tries(row),
            *([row.prompt] if prompts else []),
        ]
        table.add_row(*map(_cell, cells), style="bold" if row.state == "running" else "")
    return Group(table, Text(told))


def dead_table(rows: Sequence[JobRow], prompts: bool) -> RenderableType:
    """Return a table of the jobs that failed for good, with the reasons."""
    if not rows:
        return Text("Nothing was given up.")
    names = _names(rows)
    table = _table("job", "picture", "operation", "who", "ordered", "tries", "reason", prompts=prompts)
    for row in rows:
        ordered = time.strftime("%Y-%m-%d %H:%M", time.localtime(row.ordered))
        picture = f"#{row.number} in {row.thread.platform}/{row.thread.thread}"
        cells = [names[row.id], picture, row.operation, row.owner_name, ordered, _tries(row)]
        table.add_row(*map(_cell, cells), _plain(row.reason or ""), *([_cell(row.prompt)] if prompts else []))
    return table


def _table(*columns: str, prompts: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in (*columns, *(["prompt"] if prompts else [])):
        numeric = column in ("#", "waited", "done in", "cost")
        fold = column in ("reason", "prompt", "picture", "who")
        table.add_column(column, justify="right" if numeric else "left", no_wrap=not fold, overflow="fold")
    return table


def _names(rows: Sequence[JobRow]) -> dict[str, str]:
    """Return the shortest ids, by job id, that still distinguish these jobs."""
    messages = {row.message for row in rows}
    lengths = count_from(SHORTEST_ID)
    length = next(each for each in lengths if len({message[:each] for message in messages}) == len(messages))
    return {row.id: row.message[:length] + row.id.removeprefix(row.message) for row in rows}


def _tries(row: JobRow) -> str:
    return f"{row.attempt}, {row.faults} lost" if row.faults else str(row.attempt)


def _cell(text: str) -> Text:
    shown = _plain(text)
    shown.truncate(LONGEST_PROMPT, overflow="ellipsis")
    return shown


def _plain(text: str) -> Text:
    """Return text of users without markup and without control characters of a terminal."""
    return Text("".join(letter if letter.isprintable() else " " for letter in text))


def duration(seconds: float) -> str:
    """Format a duration in its two largest units: `42 s`, `3 min 10 s`, `2 h 5 min`."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours, left = divmod(minutes, 60)
    if hours:
        return f"{hours} h {left} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


# For scripts


def line_object(line: Line, prompts: bool) -> dict[str, Any]:
    """Return the queue as one JSON object."""
    running = [_told(row, prompts) for row in line.jobs if row.state == "running"]
    waiting = [_told(row, prompts) for row in line.jobs if row.state == "queued"]
    for position, each in enumerate(waiting, start=1):
        place = line.places.get(each["id"])
        each |= {"position": position, "eta": place.eta if place else None}
    for each in (*running, *waiting):
        each["waited"] = line.now - each["ordered"]
    return {"running": running, "waiting": waiting}


def dead_object(rows: Sequence[JobRow], prompts: bool) -> dict[str, Any]:
    """Return the jobs that failed for good as one JSON object."""
    return {"dead": [_told(row, prompts) | {"reason": row.reason} for row in rows]}


def _told(row: JobRow, prompts: bool) -> dict[str, Any]:
    told = {
        "id": row.id,
        "thread": str(row.thread),
        "number": row.number,
        "operation": row.operation,
        "who": row.owner_name,
        "state": row.state,
        "attempts": row.attempt,
        "faults": row.faults,
        "ordered": row.ordered,
        "cost": row.cost,
    }
    return told | ({"prompt": row.prompt} if prompts else {})
