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

from bot.capabilities import ModelCapabilities
from bot.evaluation import abilities as kept
from bot.evaluation import decisions, interleaving
from bot.evaluation.datasets import CodeTask, Dialogue, InterleavedTask, Item, Question, Suite, load_suites
from bot.evaluation.dry_run import PromptContext
from bot.evaluation.report import Report, SuiteResult, print_report, write_reports
from bot.ports import ChatModel

MOST_FAILURES = 5  # in a row; then the model is not there, and asking on is of no use


class JudgedItem(Protocol):
    """An answer that was judged."""

    @property
    def failure(self) -> str:
        """Why the model failed; empty if it did not."""
        ...


RecordAnswer = Callable[[int, JudgedItem], bool]  # takes an answer to the item in this place; whether that is enough


@dataclass(frozen=True, slots=True)
class Procedure:
    """How the items of one type are asked and judged."""

    ask: Callable[[ChatModel, Any, PromptContext], AsyncGenerator[JudgedItem]]
    judge: Callable[[Sequence[Any]], SuiteResult]


PROCEDURES: dict[type[Item], Procedure] = {
    Dialogue: Procedure(decisions.ask, decisions.judge),
    InterleavedTask: Procedure(interleaving.ask, interleaving.judge),
    Question: Procedure(kept.ask, kept.judge),
    CodeTask: Procedure(kept.ask, kept.judge),
}


@dataclass(slots=True)
class AnswerLog:
    """The answers so far, and how many of the last ones failed in a row."""

    entries: list[tuple[int, JudgedItem]] = field(default_factory=list)
    consecutive_failures: int = 0

    def add(self, index: int, answer: JudgedItem) -> None:
        """Add an answer to the item with this index."""
        self.entries.append((index, answer))
        self.consecutive_failures = self.consecutive_failures + 1 if answer.failure else 0

    @property
    def answers(self) -> list[JudgedItem]:
        """All answers in the order of the suite, so that a report does not depend on the order of arrival."""
        return [answer for _, answer in sorted(self.entries, key=itemgetter(0))]

    @property
    def has_given_up(self) -> bool:
        """Whether the model failed too often to continue."""
        return self.consecutive_failures >= MOST_FAILURES


async def evaluate(
    model: ChatModel,
    suite: str,
    *,
    name: str,
    capabilities: ModelCapabilities,
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
    suites = load_suites(suite, questions, limit)
    console, reports = console or Console(), list[Report]()
    brief = PromptContext(capabilities, persona)
    if out:
        write_reports(reports, out)  # so that a wrong path is reported now, not after hours
    for one in suites:
        record, began = AnswerLog(), time.monotonic()
        stopped = "Interrupted: this is what there is so far."
        try:
            with _progress(console) as progress:
                bar = progress.add_task(one.name, total=_total(one))
                await _ask_all(model, one, brief, parallel=parallel, on_answer=_record_into(record, progress, bar))
            stopped = _stop_reason(record)
        finally:
            seconds = round(time.monotonic() - began, 1)
            finding = PROCEDURES[one.item_type].judge(record.answers)
            report = Report(one.name, name, len(record.entries), _total(one), seconds, finding, stopped)
            reports.append(report)
            print_report(report, console)
            if out:
                write_reports(reports, out)
        if stopped:
            break
    return reports


async def _ask_all(
    model: ChatModel, suite: Suite, context: PromptContext, *, parallel: int, on_answer: RecordAnswer
) -> None:
    """Ask every item, at most `parallel` at a time; stop once `on_answer` returns True."""
    course = PROCEDURES[suite.item_type]
    waiting = iter(enumerate(suite.items))
    async with asyncio.TaskGroup() as askers:
        for _ in range(min(parallel, len(suite.items))):
            askers.create_task(_ask(model, context, course, remaining=waiting, on_answer=on_answer))


async def _ask(
    model: ChatModel,
    context: PromptContext,
    procedure: Procedure,
    *,
    remaining: Iterator[tuple[int, Item]],
    on_answer: RecordAnswer,
) -> None:
    """Ask the remaining items one after another."""
    for place, item in remaining:
        async with aclosing(procedure.ask(model, item, context)) as answers:
            async for answer in answers:
                if on_answer(place, answer):
                    return


def _record_into(answer_log: AnswerLog, progress: Progress, bar: TaskID) -> RecordAnswer:
    def note(place: int, answer: JudgedItem) -> bool:
        if not answer_log.has_given_up:
            answer_log.add(place, answer)
            progress.advance(bar)
        return answer_log.has_given_up

    return note


def _stop_reason(answer_log: AnswerLog) -> str:
    if not answer_log.has_given_up:
        return ""
    return f"Stopped after {MOST_FAILURES} failures in a row. The last one: {answer_log.entries[-1][1].failure}"


def _total(suite: Suite) -> int:
    return sum(len(item.turns) if isinstance(item, Dialogue) else 1 for item in suite.items)


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
