"""Does a model that may draw answer questions and write code as well as one that may not?"""

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
    """One question, answered with the drawing prompt and without it; `wrong` says what is wrong, nothing if right."""

    item: Question | CodeTask
    drawing: Heard
    plain: Heard
    wrong_drawing: str
    wrong_plain: str

    @property
    def failure(self) -> str:
        """Why the model failed, if it did."""
        return self.drawing.failure or self.plain.failure


async def ask(model: ChatModel, item: Question | CodeTask, brief: Brief) -> AsyncGenerator[Judged]:
    """The same question twice: as the bot asks it, and as it would be asked of the model alone."""
    exchange = Exchange(user=_wording(item), kind=Kind.TEXT)
    drawing = await hear(model, brief, Thread(), exchange)
    plain = await _alone(model, exchange.user)
    yield Judged(item, drawing, plain, await _fault(drawing, item), await _fault(plain, item))


def judge(answers: Sequence[Judged]) -> Finding:
    """The measures over all questions; a failure is a wrong answer."""
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
    """What the model says without any prompt of ours, and without our reading of its answer."""
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
    """The answer that the words give: what follows the last "Answer:", else the last line.

    Where there are choices it is a letter, also for a choice that is named by its text; empty if it is neither.
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
