"""Scores whether the system prompt of the bot makes a chat model worse at answering questions and writing code."""

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from bot.conversation.turn import CUT_SHORT
from bot.evaluation.datasets import CodeTask, Exchange, Kind, Question
from bot.evaluation.dry_run import Brief, Heard, Thread, hear
from bot.evaluation.report import Finding, Miss
from bot.evaluation.sandbox import code_in, run
from bot.evaluation.statistics import paired_difference, share
from bot.llm.messages import Delta, ModelFailed, Role, Said, Stopped
from bot.ports import ChatModel

PLAIN = "You are a helpful assistant."
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Judged:
    """One question, answered with and without the system prompt of the bot.

    `error_with_prompt` and `error_without_prompt` say what is wrong with the answer; empty if it is right.
    """

    item: Question | CodeTask
    drawing: Heard
    plain: Heard
    wrong_drawing: str
    wrong_plain: str

    @property
    def failure(self) -> str:
        """Why the model failed; empty if it did not."""
        return self.drawing.failure or self.plain.failure


async def ask(model: ChatModel, item: Question | CodeTask, brief: Brief) -> AsyncGenerator[Judged]:
    """Ask the same question twice: as the bot asks it, and as a plain assistant without the bot."""
    exchange = Exchange(user=_wording(item), kind=Kind.TEXT)
    drawing = await hear(model, brief, Thread(), exchange)
    plain = await _alone(model, exchange.user)
    yield Judged(item, drawing, plain, await _fault(drawing, item), await _fault(plain, item))


def judge(answers: Sequence[Judged]) -> Finding:
    """Compute the measures over all questions. A failure counts as a wrong answer."""
    pairs = [(not answer.wrong_drawing, not answer.wrong_plain) for answer in answers]
    measures = (
        share("right with the drawing prompt", (drawing for drawing, _ in pairs)),
        share("right without it", (plain for _, plain in pairs)),
        paired_difference("difference (paired, Agresti and Min)", pairs),
        share("false pictures with the drawing prompt", (bool(answer.drawing.asked) for answer in answers)),
        share("failed", (bool(answer.failure) for answer in answers)),
    )
    return Finding(measures, (), tuple(_miss(answer) for answer in answers if answer.wrong_drawing))


async def _alone(model: ChatModel, question: str) -> Heard:
    """Ask without the system prompt of the bot and without its stream parser."""
    words, failure = "", ""
    async with aclosing(model.listen([Said(Role.SYSTEM, PLAIN), Said(Role.USER, question)])) as heard:
        async for event in heard:
            match event:
                case Delta(text):
                    words += text
                case Stopped(truncated):
                    failure = CUT_SHORT.reason if truncated else ""
                case ModelFailed(reason):
                    failure = reason
    return Heard((words,), failure)


def _wording(item: Question | CodeTask) -> str:
    if isinstance(item, CodeTask):
        return f"{item.task}\n\nAnswer with one block of Python code that defines `{item.entry}`."
    if not item.choices:
        return f"{item.question}\n\nEnd with a line of the form: Answer: <the answer alone>"
    choices = "\n".join(f"{letter}) {choice}" for letter, choice in zip(LETTERS, item.choices, strict=False))
    return f"{item.question}\n{choices}\n\nEnd with a line of the form: Answer: <the letter alone>"


async def _fault(heard: Heard, item: Question | CodeTask) -> str:
    if heard.failure:
        return heard.failure
    if isinstance(item, CodeTask):
        return await run(code_in(heard.words, item.entry), item)
    got = answer_in(heard.words, item.choices)
    right = got.casefold() == item.right.casefold()
    return "" if right else f"answered {got!r} instead of {item.right!r}"


def answer_in(words: str, choices: Sequence[str]) -> str:
    """Return the answer that the text gives: the text after the last "Answer:", else the last line.

    If there are choices, the answer is a letter, also when the text names the choice by its wording; empty if it does
    neither.
    """
    found = re.findall(r"answer\s*(?:is)?\s*[:=]\s*(.+)", words, re.IGNORECASE)
    lines = found or words.strip().splitlines() or [""]
    given = lines[-1].strip(" \t*_`.$\"'")
    if not choices:
        return given
    letters = LETTERS[: len(choices)]
    alone = r"(?![\w'])" if found else r"[)\].:]*\Z"  # "A good question" is no answer
    if letter := re.match(rf"[(\[]?([{letters}]){alone}", given, re.IGNORECASE if len(given) < 4 else 0):
        return letter[1].upper()
    named = [letter for letter, choice in zip(letters, choices, strict=True) if choice.casefold() == given.casefold()]
    return named[0] if named else ""


def _miss(answer: Judged) -> Miss:
    item = answer.item
    question, expected = (item.task, item.entry) if isinstance(item, CodeTask) else (item.question, item.right)
    without = f"without the drawing prompt: {answer.wrong_plain or 'right'}"
    return Miss(item.id or question[:40], question, expected, answer.wrong_drawing, without)
