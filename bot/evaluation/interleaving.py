"""Does a story, a guide or a comparison come with the right pictures, in their order, among words?"""

import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bot.domain import Operation
from bot.evaluation.datasets import Exchange, Interleaved, Kind
from bot.evaluation.dry_run import Brief, Heard, Thread, hear
from bot.evaluation.report import Finding, Miss
from bot.evaluation.statistics import share
from bot.ports import ChatModel


@dataclass(frozen=True, slots=True)
class Judged:
    """One wish for several pictures, and what came."""

    item: Interleaved
    heard: Heard

    @property
    def failure(self) -> str:
        """Why the model failed, if it did."""
        return self.heard.failure

    @property
    def prompts(self) -> tuple[str, ...]:
        """What the pictures show, in their order."""
        drawing = [asked.request for asked in self.heard.asked if asked.request.operation is not Operation.SELECT]
        return tuple(request.prompt for request in drawing)

    @property
    def right_number(self) -> bool:
        """Whether as many pictures came as expected."""
        return len(self.prompts) == len(self.item.expect)

    @property
    def right_order(self) -> bool:
        """Whether each picture shows what was expected in its place."""
        return self.right_number and all(map(_shows, self.prompts, self.item.expect))

    @property
    def has_words_between(self) -> bool:
        """Whether there are words between every picture and the next."""
        pictured = [place for place, part in enumerate(self.heard.parts) if not isinstance(part, str)]
        between = [self.heard.parts[one + 1 : other] for one, other in pairwise(pictured)]
        return all(any(str(part).strip() for part in parts) for parts in between)


async def ask(model: ChatModel, item: Interleaved, brief: Brief) -> AsyncGenerator[Judged]:
    """One message in a thread of its own."""
    exchange = Exchange(user=item.user, kind=Kind.GENERATE)
    yield Judged(item, await hear(model, brief, Thread(), exchange))


def judge(answers: Sequence[Judged]) -> Finding:
    """The measures over all wishes that were answered."""
    several = [answer for answer in answers if answer.item.between and len(answer.prompts) > 1]
    measures = (
        share("right number of pictures", (answer.right_number for answer in answers)),
        share("right order (where the number is right)", (a.right_order for a in answers if a.right_number)),
        share("words between the pictures (where there are several)", (a.has_words_between for a in several)),
        share("all right", map(_right, answers)),
        share("failed", (bool(answer.failure) for answer in answers)),
    )
    return Finding(measures, (), tuple(_miss(answer) for answer in answers if not _right(answer)))


def _right(answer: Judged) -> bool:
    return answer.right_order and (not answer.item.between or answer.has_words_between)


def _miss(answer: Judged) -> Miss:
    expected = " | ".join(" or ".join(words) for words in answer.item.expect)
    got = " | ".join(answer.prompts) or "no picture"
    return Miss(answer.item.id, answer.item.user, expected, got, answer.failure or answer.heard.written())


def _shows(prompt: str, words: Sequence[str]) -> bool:
    """Whether one of the words, or one that begins with it, is in the prompt."""
    return any(re.search(rf"(?<!\w){re.escape(word)}", prompt, re.IGNORECASE) for word in words)
