"""Scores stories, guides and comparisons: the right images, in the right order, with text between them."""

import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bot.domain import Operation
from bot.evaluation.datasets import AnswerKind, Exchange, InterleavedTask
from bot.evaluation.dry_run import DryRunThread, ParsedAnswer, PromptContext, run_turn
from bot.evaluation.report import Miss, SuiteResult
from bot.evaluation.statistics import share
from bot.ports import ChatModel


@dataclass(frozen=True, slots=True)
class JudgedInterleaving:
    """One request for several images, and the answer to it."""

    item: InterleavedTask
    answer: ParsedAnswer

    @property
    def failure(self) -> str:
        """Why the model failed; empty if it did not."""
        return self.answer.failure

    @property
    def prompts(self) -> tuple[str, ...]:
        """The prompts of the images, in order."""
        drawing = [asked.request for asked in self.answer.images if asked.request.operation is not Operation.SELECT]
        return tuple(request.prompt for request in drawing)

    @property
    def is_right_count(self) -> bool:
        """Whether the answer has the expected number of images."""
        return len(self.prompts) == len(self.item.expect)

    @property
    def is_right_order(self) -> bool:
        """Whether each image shows the subject that was expected at its place."""
        return self.is_right_count and all(map(_shows, self.prompts, self.item.expect))

    @property
    def has_words_between(self) -> bool:
        """Whether there is text between every two images."""
        pictured = [place for place, part in enumerate(self.answer.parts) if not isinstance(part, str)]
        between = [self.answer.parts[one + 1 : other] for one, other in pairwise(pictured)]
        return all(any(str(part).strip() for part in parts) for parts in between)


async def ask(model: ChatModel, item: InterleavedTask, context: PromptContext) -> AsyncGenerator[JudgedInterleaving]:
    """Ask in a thread of its own, with one message."""
    exchange = Exchange(user=item.user, kind=AnswerKind.GENERATE)
    yield JudgedInterleaving(item, await run_turn(model, context, DryRunThread(), exchange))


def judge(answers: Sequence[JudgedInterleaving]) -> SuiteResult:
    """Compute the measures over all requests that were answered."""
    several = [answer for answer in answers if answer.item.between and len(answer.prompts) > 1]
    measures = (
        share("right number of images", (answer.is_right_count for answer in answers)),
        share("right order (where the number is right)", (a.is_right_order for a in answers if a.is_right_count)),
        share("text between the images (if there are several)", (a.has_words_between for a in several)),
        share("all right", map(_is_right, answers)),
        share("failed", (bool(answer.failure) for answer in answers)),
    )
    return SuiteResult(measures, (), tuple(_miss(answer) for answer in answers if not _is_right(answer)))


def _is_right(answer: JudgedInterleaving) -> bool:
    return answer.is_right_order and (not answer.item.between or answer.has_words_between)


def _miss(answer: JudgedInterleaving) -> Miss:
    expected = " | ".join(" or ".join(words) for words in answer.item.expect)
    got = " | ".join(answer.prompts) or "no image"
    return Miss(answer.item.id, answer.item.user, expected, got, answer.failure or answer.answer.as_tagged_text())


def _shows(prompt: str, words: Sequence[str]) -> bool:
    """Whether the prompt contains one of the words, or a word that begins with one of them."""
    return any(re.search(rf"(?<!\w){re.escape(word)}", prompt, re.IGNORECASE) for word in words)
