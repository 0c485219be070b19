"""The line for people and for scripts: tables of a terminal, and JSON objects. Pure."""

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
from bot.jobs import JobRow
from bot.words import count_of

LONGEST_PROMPT = 40  # characters of a prompt, or of a name, in a table
SHORTEST_ID = 8  # characters of a message's id


@dataclass(frozen=True, slots=True)
class Line:
    """What is in the line: what runs, then what waits, in the order in which it will be served."""

    jobs: tuple[JobRow, ...]
    places: dict[str, Queued]
    now: float


def line_table(line: Line, prompts: bool) -> RenderableType:
    """What runs and what waits; prompts are shown only if wanted."""
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
    """What was given up, and why."""
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
    """The shortest ids by which these jobs can still be told from each other."""
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
    """Words of people as they are: no markup, and nothing that a terminal would obey."""
    return Text("".join(letter if letter.isprintable() else " " for letter in text))


def duration(seconds: float) -> str:
    """So long, in the two largest units: `42 s`, `3 min 10 s`, `2 h 5 min`."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours, left = divmod(minutes, 60)
    if hours:
        return f"{hours} h {left} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


# For scripts


def line_object(line: Line, prompts: bool) -> dict[str, Any]:
    """The line as one JSON object."""
    running = [_told(row, prompts) for row in line.jobs if row.state == "running"]
    waiting = [_told(row, prompts) for row in line.jobs if row.state == "queued"]
    for position, each in enumerate(waiting, start=1):
        place = line.places.get(each["id"])
        each |= {"position": position, "eta": place.eta if place else None}
    for each in (*running, *waiting):
        each["waited"] = line.now - each["ordered"]
    return {"running": running, "waiting": waiting}


def dead_object(rows: Sequence[JobRow], prompts: bool) -> dict[str, Any]:
    """What was given up as one JSON object."""
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
