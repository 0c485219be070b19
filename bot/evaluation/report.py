"""What an evaluation found: as a value, on the terminal, and as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import rich.table
from rich.console import Console
from rich.text import Text

from bot.errors import BotError
from bot.evaluation.statistics import Measure

MOST_MISSES = 20  # that are shown on the terminal; the JSON file has them all


@dataclass(frozen=True, slots=True)
class Miss:
    """One wrong answer: where it is, what was asked, what was expected and came, and what the model said."""

    where: str
    asked: str
    expected: str
    got: str
    said: str


@dataclass(frozen=True, slots=True)
class Table:
    """Measures that are broken down; shares are told as numbers from 0 to 1."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float, ...], ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """What the answers to one suite come to."""

    measures: tuple[Measure, ...]
    tables: tuple[Table, ...] = ()
    misses: tuple[Miss, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """A whole evaluation. `stopped` is a sentence when it ended before all `total` answers were in."""

    suite: str
    model: str
    answered: int
    total: int
    seconds: float
    finding: Finding
    stopped: str = ""


def write(reports: Sequence[Report], path: Path) -> None:
    """Keep the reports as JSON. Raises BotError when the file cannot be written."""
    try:
        path.write_text(
            json.dumps([asdict(report) for report in reports], indent=2, ensure_ascii=False) + "\n", "utf-8"
        )
    except OSError as error:
        raise BotError(f"The report cannot be written to {path}: {error.strerror}.") from error


def show(report: Report, console: Console) -> None:
    """Print the measures, what they are made of, and the first misses."""
    console.print(_measures(report))
    for table in report.finding.tables:
        if table.rows:
            console.print(_grid(table))
    misses = report.finding.misses
    if misses:
        first = f", the first {MOST_MISSES}" if len(misses) > MOST_MISSES else ""
        rows = tuple((miss.where, miss.asked, miss.expected, miss.got) for miss in misses[:MOST_MISSES])
        console.print(_grid(Table(f"Misses ({len(misses)}{first})", ("where", "asked", "expected", "got"), rows)))
    if report.stopped:
        console.print(Text(report.stopped, style="bold red"))


def _measures(report: Report) -> rich.table.Table:
    title = f"{report.suite} · {report.model} · {report.answered} of {report.total} in {report.seconds:.0f} s"
    rows = tuple(
        (measure.name, _number(measure.value), _interval(measure), str(measure.n))
        for measure in report.finding.measures
    )
    return _grid(Table(title, ("measure", "value", "95 % interval", "n"), rows))


def _grid(table: Table) -> rich.table.Table:
    """As text, not as markup: what people and models write may hold square brackets."""
    grid = rich.table.Table(*table.columns, title=Text(table.title), title_justify="left")
    for row in table.rows:
        grid.add_row(*(Text(f"{cell:.3f}" if isinstance(cell, float) else str(cell)) for cell in row))
    return grid


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _interval(measure: Measure) -> str:
    return "" if measure.low is None else f"{measure.low:.3f} to {_number(measure.high)}"
