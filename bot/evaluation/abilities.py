"""Scores whether the system prompt of the bot makes a chat model worse at answering questions and writing code."""

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from bot.conversation.model_answer import CUT_SHORT
from bot.evaluation.datasets import AnswerKind, CodeTask, Exchange, Question
from bot.evaluation.dry_run import DryRunThread, ParsedAnswer, PromptContext, run_turn
from bot.evaluation.report import Miss, SuiteResult
from bot.evaluation.sandbox import extract_code, run_tests
from bot.evaluation.statistics import paired_difference, share
from bot.llm.messages import ChatMessage, ModelFailed, Role, StreamEnd, TextDelta
from bot.ports import ChatModel

PLAIN_PROMPT = "You are a helpful assistant."
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class JudgedAnswer:
    """One question, answered with and without the system prompt of the bot.

    `error_with_prompt` and `error_without_prompt` say what is wrong with the answer; empty if it is right.
    """

    item: Question | CodeTask
    with_prompt: ParsedAnswer
    without_prompt: ParsedAnswer
    error_with_prompt: str
    error_without_prompt: str

    @property
    def failure(self) -> str:
        """Why the model failed; empty if it did not."""
        return self.with_prompt.failure or self.without_prompt.failure


async def ask(model: ChatModel, item: Question | CodeTask, context: PromptContext) -> AsyncGenerator[JudgedAnswer]:
    """Ask the same question twice: as the bot asks it, and as a plain assistant without the bot."""
    exchange = Exchange(user=_wording(item), kind=AnswerKind.TEXT)
    drawing = await run_turn(model, context, DryRunThread(), exchange)
    plain = await _ask_plainly(model, exchange.user)
    yield JudgedAnswer(item, drawing, plain, await _find_error(drawing, item), await _find_error(plain, item))


def judge(answers: Sequence[JudgedAnswer]) -> SuiteResult:
    """Compute the measures over all questions. A failure counts as a wrong answer."""
    pairs = [(not answer.error_with_prompt, not answer.error_without_prompt) for answer in answers]
    measures = (
        share("right with the system prompt", (drawing for drawing, _ in pairs)),
        share("right without it", (plain for _, plain in pairs)),
        paired_difference("difference (paired, Agresti and Min)", pairs),
        share("false images with the system prompt", (bool(answer.with_prompt.images) for answer in answers)),
        share("failed", (bool(answer.failure) for answer in answers)),
    )
    return SuiteResult(measures, (), tuple(_miss(answer) for answer in answers if answer.error_with_prompt))


async def _ask_plainly(model: ChatModel, question: str) -> ParsedAnswer:
    """Ask without the system prompt of the bot and without its stream parser."""
    words, failure = "", ""
    async with aclosing(
        model.stream([ChatMessage(Role.SYSTEM, PLAIN_PROMPT), ChatMessage(Role.USER, question)])
    ) as received:
        async for event in received:
            match event:
                case TextDelta(text):
                    words += text
                case StreamEnd(truncated):
                    failure = str(CUT_SHORT.reason) if truncated else ""
                case ModelFailed(reason):
                    failure = str(reason)
    return ParsedAnswer((words,), failure)


def _wording(item: Question | CodeTask) -> str:
    if isinstance(item, CodeTask):
        return f"{item.task}\n\nAnswer with one block of Python code that defines `{item.entry}`."
    if not item.choices:
        return f"{item.question}\n\nEnd with a line of the form: Answer: <the answer alone>"
    choices = "\n".join(f"{letter}) {choice}" for letter, choice in zip(LETTERS, item.choices, strict=False))
    return f"{item.question}\n{choices}\n\nEnd with a line of the form: Answer: <the letter alone>"


async def _find_error(answer: ParsedAnswer, item: Question | CodeTask) -> str:
    if answer.failure:
        return answer.failure
    if isinstance(item, CodeTask):
        return await run_tests(extract_code(answer.text, item.entry), item)
    got = extract_answer(answer.text, item.choices)
    right = got.casefold() == item.right_answer.casefold()
    return "" if right else f"answered {got!r} instead of {item.right_answer!r}"


def extract_answer(words: str, choices: Sequence[str]) -> str:
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


def _miss(answer: JudgedAnswer) -> Miss:
    item = answer.item
    question, expected = (item.task, item.entry) if isinstance(item, CodeTask) else (item.question, item.right_answer)
    without = f"without the system prompt: {answer.error_without_prompt or 'right'}"
    return Miss(item.id or question[:40], question, expected, answer.error_with_prompt, without)
