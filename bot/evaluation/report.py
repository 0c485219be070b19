"""The report of an evaluation: its values, the output on the terminal, and JSON."""

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
    """One wrong answer: its place, the question, the expected and the actual answer, and the text of the model."""

    where: str
    asked: str
    expected: str
    got: str
    said: str


@dataclass(frozen=True, slots=True)
class BreakdownTable:
    """A breakdown of measures; shares are numbers from 0 to 1."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float, ...], ...]


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """The results of one suite."""

    measures: tuple[Measure, ...]
    tables: tuple[BreakdownTable, ...] = ()
    misses: tuple[Miss, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """A whole evaluation. `stopped` is a sentence if it ended before all `total` answers had arrived."""

    suite: str
    model: str
    answered: int
    total: int
    seconds: float
    finding: SuiteResult
    stopped: str = ""


def write_reports(reports: Sequence[Report], path: Path) -> None:
    """Write the reports as JSON. Raises BotError if the file cannot be written."""
    try:
        path.write_text(
            json.dumps([asdict(report) for report in reports], indent=2, ensure_ascii=False) + "\n", "utf-8"
        )
    except OSError as error:
        raise BotError(f"The report cannot be written to {path}: {error.strerror}.") from error


def print_report(report: Report, console: Console) -> None:
    """Print the measures, their breakdowns and the first misses."""
    console.print(_measures(report))
    for table in report.finding.tables:
        if table.rows:
            console.print(_grid(table))
    misses = report.finding.misses
    if misses:
        first = f", the first {MOST_MISSES}" if len(misses) > MOST_MISSES else ""
        rows = tuple((miss.where, miss.asked, miss.expected, miss.got) for miss in misses[:MOST_MISSES])
        console.print(
            _grid(BreakdownTable(f"Misses ({len(misses)}{first})", ("where", "asked", "expected", "got"), rows))
        )
    if report.stopped:
        console.print(Text(report.stopped, style="bold red"))


def _measures(report: Report) -> rich.table.Table:
    title = f"{report.suite} · {report.model} · {report.answered} of {report.total} in {report.seconds:.0f} s"
    rows = tuple(
        (measure.name, _number(measure.value), _interval(measure), str(measure.n))
        for measure in report.finding.measures
    )
    return _grid(BreakdownTable(title, ("measure", "value", "95 % interval", "n"), rows))


def _grid(table: BreakdownTable) -> rich.table.Table:
    """Build a table of plain text without markup: users and models may write square brackets."""
    grid = rich.table.Table(*table.columns, title=Text(table.title), title_justify="left")
    for row in table.rows:
        grid.add_row(*(Text(f"{cell:.3f}" if isinstance(cell, float) else str(cell)) for cell in row))
    return grid


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _interval(measure: Measure) -> str:
    return "" if measure.low is None else f"{measure.low:.3f} to {_number(measure.high)}"
