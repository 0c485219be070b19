"""Scores when a chat model creates an image, of which kind, and from which source image, over whole dialogues."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from bot.evaluation.datasets import AnswerKind, Dialogue, Exchange
from bot.evaluation.dry_run import DryRunThread, ParsedAnswer, PromptContext, run_turn
from bot.evaluation.report import BreakdownTable, Miss, SuiteResult
from bot.evaluation.statistics import Pair, macro_f1, scores_by_kind, share
from bot.ports import ChatModel


@dataclass(frozen=True, slots=True)
class JudgedTurn:
    """One turn of a dialogue: the expected answer and the actual one."""

    dialogue: Dialogue
    index: int
    answer: ParsedAnswer

    @property
    def exchange(self) -> Exchange:
        """The message and its expected answer."""
        return self.dialogue.turns[self.index]

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of the dialogue and of the turn."""
        return tuple(dict.fromkeys((*self.dialogue.tags, *self.exchange.tags)))

    @property
    def failure(self) -> str:
        """Why the model failed; empty if it did not."""
        return self.answer.failure

    @property
    def expected_kind(self) -> AnswerKind:
        """The expected kind. If several are right: the actual one, else one of the same coarse kind, else `kind`."""
        right = (self.exchange.kind, *self.exchange.also)
        near = (kind for kind in right if kind.coarse is self.answer.kind.coarse)
        return self.answer.kind if self.answer.kind in right else next(near, self.exchange.kind)

    @property
    def is_right_kind(self) -> bool:
        """Whether the answer has the expected kind."""
        return self.answer.kind is self.expected_kind

    @property
    def expects_text(self) -> bool:
        """Whether only text is right, so that any image is a mistake."""
        return {self.exchange.kind, *self.exchange.also} == {AnswerKind.TEXT}

    @property
    def can_judge_source(self) -> bool:
        """Whether the source can be judged: one was expected, and the answer has an image.

        A new image that is right as well has no source to judge.
        """
        anew = self.answer.kind is AnswerKind.GENERATE and AnswerKind.GENERATE in self.exchange.also
        return bool(self.exchange.expected_sources and self.answer.images) and not anew

    @property
    def is_right_source(self) -> bool:
        """Whether the images start from the expected sources. A new image has no source."""
        return set(_sources(self.answer)) == set(self.exchange.expected_sources)

    @property
    def can_judge_count(self) -> bool:
        """Whether the number of images can be judged: images were expected, and the kind is right."""
        return self.exchange.expected_count > 0 and self.is_right_kind and self.answer.kind is not AnswerKind.TEXT

    @property
    def is_right_count(self) -> bool:
        """Whether the answer has the expected number of images."""
        return len(self.answer.images_of_kind) == self.exchange.expected_count


async def ask(model: ChatModel, dialogue: Dialogue, context: PromptContext) -> AsyncGenerator[JudgedTurn]:
    """Run the dialogue, turn by turn."""
    thread = DryRunThread()
    for place, exchange in enumerate(dialogue.turns):
        thread = thread.with_uploads(exchange)
        received = await run_turn(model, context, thread, exchange)
        yield JudgedTurn(dialogue, place, received)
        thread = thread.with_expected_answer(exchange, received)


def judge(turns: Sequence[JudgedTurn]) -> SuiteResult:
    """Compute the measures over all turns."""
    dialogues: dict[int, list[JudgedTurn]] = {}
    for turn in turns:
        dialogues.setdefault(id(turn.dialogue), []).append(turn)
    fine = [[(turn.expected_kind, turn.answer.kind) for turn in held] for held in dialogues.values()]
    rough = [[(turn.expected_kind.coarse, turn.answer.kind.coarse) for turn in held] for held in dialogues.values()]
    drawn = [turn for turn in turns if AnswerKind.TEXT not in (turn.exchange.kind, *turn.exchange.also)]
    measures = (
        macro_f1("macro-F1 of the six kinds", fine),
        macro_f1("coarse macro-F1 (generate, edit, text)", rough),
        share("right kind", (turn.is_right_kind for turn in turns)),
        share(
            "false images (of turns that expect text)",
            (bool(turn.answer.images) for turn in turns if turn.expects_text),
        ),
        share("missed images (of turns that expect one)", (not turn.answer.images for turn in drawn)),
        share("right source image", (turn.is_right_source for turn in turns if turn.can_judge_source)),
        share("right number of images", (turn.is_right_count for turn in turns if turn.can_judge_count)),
        share("failed", (bool(turn.failure) for turn in turns)),
    )
    tables = (_kind_table("Kinds", fine), _kind_table("Coarse kinds", rough), _tag_table(turns))
    return SuiteResult(measures, tables, tuple(_miss(turn) for turn in turns if not _is_right(turn)))


def _kind_table(title: str, groups: Sequence[Sequence[Pair]]) -> BreakdownTable:
    scores = scores_by_kind(pair for group in groups for pair in group)
    rows = tuple((kind.value, score.precision, score.recall, score.f1, score.n) for kind, score in scores.items())
    return BreakdownTable(title, ("kind", "precision", "recall", "F1", "turns"), rows)


def _tag_table(turns: Sequence[JudgedTurn]) -> BreakdownTable:
    tagged: dict[str, list[bool]] = {}
    for turn in turns:
        for tag in turn.tags:
            tagged.setdefault(tag, []).append(_is_right(turn))
    rows = tuple((tag, sum(right) / len(right), len(right)) for tag, right in tagged.items())
    return BreakdownTable("Groups", ("tag", "all right", "turns"), rows)


def _is_right(turn: JudgedTurn) -> bool:
    picture = not turn.can_judge_source or turn.is_right_source
    return turn.is_right_kind and picture and (not turn.can_judge_count or turn.is_right_count)


def _miss(turn: JudgedTurn) -> Miss:
    expected = "/".join((turn.exchange.kind, *turn.exchange.also)) + _describe_images(
        turn.exchange.expected_sources, turn.exchange.expected_count
    )
    got = turn.answer.kind + _describe_images(_sources(turn.answer), len(turn.answer.images_of_kind))
    where = f"{turn.dialogue.id}, turn {turn.index + 1}"
    return Miss(where, turn.exchange.user, expected, got, turn.failure or turn.answer.as_tagged_text())


def _sources(answer: ParsedAnswer) -> list[int | None]:
    """The source images of the answer; None for a new image and for a source that does not exist."""
    return [None if asked.is_missing else asked.source for asked in answer.images_of_kind]


def _describe_images(sources: Sequence[int | None], count: int) -> str:
    numbers = ", ".join(f"#{number}" for number in dict.fromkeys(sources) if number)
    return (f" of {numbers}" if numbers else "") + (f", {count} pictures" if count > 1 else "")
