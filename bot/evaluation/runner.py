"""Asks a chat model all items of a suite, several conversations at a time, and reports the results."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from bot.capabilities import Abilities
from bot.evaluation import abilities as kept
from bot.evaluation import decisions, interleaving
from bot.evaluation.datasets import CodeTask, Dialogue, Interleaved, Item, Question, Suite, load
from bot.evaluation.dry_run import Brief
from bot.evaluation.report import Finding, Report, show, write
from bot.ports import ChatModel

MOST_FAILURES = 5  # in a row; after that the model counts as unreachable


class Answer(Protocol):
    """An answer that was judged."""

    @property
    def failure(self) -> str:
        """Why the model failed; empty if it did not."""
        ...


Note = Callable[[int, Answer], bool]  # gets the index of the item and the answer; returns whether to stop


@dataclass(frozen=True, slots=True)
class Course:
    """How the items of one type are asked and judged."""

    ask: Callable[[ChatModel, Any, Brief], AsyncGenerator[Answer]]
    judge: Callable[[Sequence[Any]], Finding]


COURSES: dict[type[Item], Course] = {
    Dialogue: Course(decisions.ask, decisions.judge),
    Interleaved: Course(interleaving.ask, interleaving.judge),
    Question: Course(kept.ask, kept.judge),
    CodeTask: Course(kept.ask, kept.judge),
}


@dataclass(slots=True)
class Record:
    """The answers so far, and how many of the last ones failed in a row."""

    noted: list[tuple[int, Answer]] = field(default_factory=list)
    failures: int = 0

    def note(self, place: int, answer: Answer) -> None:
        """Add an answer to the item with this index."""
        self.noted.append((place, answer))
        self.failures = self.failures + 1 if answer.failure else 0

    @property
    def answers(self) -> list[Answer]:
        """All answers in the order of the suite, so that a report does not depend on the order of arrival."""
        return [answer for _, answer in sorted(self.noted, key=itemgetter(0))]

    @property
    def given_up(self) -> bool:
        """Whether the model failed too often to continue."""
        return self.failures >= MOST_FAILURES


async def evaluate(
    model: ChatModel,
    suite: str,
    *,
    name: str,
    abilities: Abilities,
    persona: str = "",
    questions: Sequence[Path] = (),
    limit: int | None = None,
    parallel: int = 4,
    out: Path | None = None,
    console: Console | None = None,
) -> list[Report]:
    """Run a suite with a progress bar, print the results, and write the reports to `out`; one report for each file.

    `suite` is the name of a shipped suite (`decisions`, `interleaving`, `abilities`) or a file; `questions` are files
    that are asked instead of the shipped ones. `name` is the name of the model in the report. The model gets the system
    prompt that the bot would send with an image model of these `capabilities` and this `persona`. If the evaluation is
    cancelled, the results so far are printed and written. Raises BotError for a suite that cannot be read, and for a
    file that cannot be written.
    """
    suites = load(suite, questions, limit)
    console, reports = console or Console(), list[Report]()
    brief = Brief(abilities, persona)
    if out:
        write(reports, out)  # so that a wrong path is reported now, not after hours
    for one in suites:
        record, began = Record(), time.monotonic()
        stopped = "Interrupted: this is what there is so far."
        try:
            with _progress(console) as progress:
                bar = progress.add_task(one.name, total=_total(one))
                await _ask_all(model, one, brief, parallel=parallel, note=_noting(record, progress, bar))
            stopped = _gave_up(record)
        finally:
            seconds = round(time.monotonic() - began, 1)
            finding = COURSES[one.form].judge(record.answers)
            report = Report(one.name, name, len(record.noted), _total(one), seconds, finding, stopped)
            reports.append(report)
            show(report, console)
            if out:
                write(reports, out)
        if stopped:
            break
    return reports


async def _ask_all(model: ChatModel, suite: Suite, brief: Brief, *, parallel: int, note: Note) -> None:
    """Ask every item, at most `parallel` at a time; stop once `on_answer` returns True."""
    course = COURSES[suite.form]
    waiting = iter(enumerate(suite.items))
    async with asyncio.TaskGroup() as askers:
        for _ in range(min(parallel, len(suite.items))):
            askers.create_task(_ask(model, brief, course, waiting=waiting, note=note))


async def _ask(
    model: ChatModel, brief: Brief, course: Course, *, waiting: Iterator[tuple[int, Item]], note: Note
) -> None:
    """Ask the remaining items one after another."""
    for place, item in waiting:
        async with aclosing(course.ask(model, item, brief)) as answers:
            async for answer in answers:
                if note(place, answer):
                    return


def _noting(record: Record, progress: Progress, bar: TaskID) -> Note:
    def note(place: int, answer: Answer) -> bool:
        if not record.given_up:
            record.note(place, answer)
            progress.advance(bar)
        return record.given_up

    return note


def _gave_up(record: Record) -> str:
    if not record.given_up:
        return ""
    return f"Stopped after {MOST_FAILURES} failures in a row. The last one: {record.noted[-1][1].failure}"


def _total(suite: Suite) -> int:
    return sum(len(item.turns) if isinstance(item, Dialogue) else 1 for item in suite.items)


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
