"""Scores when a chat model creates an image, of which kind, and from which source image, over whole dialogues."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from bot.evaluation.datasets import Dialogue, Exchange, Kind
from bot.evaluation.dry_run import Brief, Heard, Thread, hear
from bot.evaluation.report import Finding, Miss, Table
from bot.evaluation.statistics import Pair, by_kind, macro_f1, share
from bot.ports import ChatModel


@dataclass(frozen=True, slots=True)
class Judged:
    """One turn of a dialogue: the expected answer and the actual one."""

    dialogue: Dialogue
    place: int
    heard: Heard

    @property
    def exchange(self) -> Exchange:
        """The message and its expected answer."""
        return self.dialogue.turns[self.place]

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of the dialogue and of the turn."""
        return tuple(dict.fromkeys((*self.dialogue.tags, *self.exchange.tags)))

    @property
    def failure(self) -> str:
        """Why the model failed; empty if it did not."""
        return self.heard.failure

    @property
    def expected(self) -> Kind:
        """The expected kind. If several are right: the actual one, else one of the same coarse kind, else `kind`."""
        right = (self.exchange.kind, *self.exchange.also)
        near = (kind for kind in right if kind.coarse is self.heard.kind.coarse)
        return self.heard.kind if self.heard.kind in right else next(near, self.exchange.kind)

    @property
    def right_kind(self) -> bool:
        """Whether the answer has the expected kind."""
        return self.heard.kind is self.expected

    @property
    def is_talk(self) -> bool:
        """Whether only text is right, so that any image is a mistake."""
        return {self.exchange.kind, *self.exchange.also} == {Kind.TEXT}

    @property
    def refers(self) -> bool:
        """Whether the source can be judged: one was expected, and the answer has an image.

        A new image that is right as well has no source to judge.
        """
        anew = self.heard.kind is Kind.GENERATE and Kind.GENERATE in self.exchange.also
        return bool(self.exchange.starts and self.heard.asked) and not anew

    @property
    def right_reference(self) -> bool:
        """Whether the images start from the expected sources. A new image has no source."""
        return set(_starts(self.heard)) == set(self.exchange.starts)

    @property
    def counts(self) -> bool:
        """Whether the number of images can be judged: images were expected, and the kind is right."""
        return self.exchange.shown > 0 and self.right_kind and self.heard.kind is not Kind.TEXT

    @property
    def right_count(self) -> bool:
        """Whether the answer has the expected number of images."""
        return len(self.heard.decisive) == self.exchange.shown


async def ask(model: ChatModel, dialogue: Dialogue, brief: Brief) -> AsyncGenerator[Judged]:
    """Run the dialogue, turn by turn."""
    thread = Thread()
    for place, exchange in enumerate(dialogue.turns):
        thread = thread.opened(exchange)
        heard = await hear(model, brief, thread, exchange)
        yield Judged(dialogue, place, heard)
        thread = thread.settled(exchange, heard)


def judge(turns: Sequence[Judged]) -> Finding:
    """Compute the measures over all turns."""
    dialogues: dict[int, list[Judged]] = {}
    for turn in turns:
        dialogues.setdefault(id(turn.dialogue), []).append(turn)
    fine = [[(turn.expected, turn.heard.kind) for turn in held] for held in dialogues.values()]
    rough = [[(turn.expected.coarse, turn.heard.kind.coarse) for turn in held] for held in dialogues.values()]
    drawn = [turn for turn in turns if Kind.TEXT not in (turn.exchange.kind, *turn.exchange.also)]
    measures = (
        macro_f1("macro-F1 of the six kinds", fine),
        macro_f1("coarse macro-F1 (generate, edit, text)", rough),
        share("right kind", (turn.right_kind for turn in turns)),
        share("false pictures (of turns that want words)", (bool(turn.heard.asked) for turn in turns if turn.is_talk)),
        share("missed pictures (of turns that want one)", (not turn.heard.asked for turn in drawn)),
        share("right picture meant", (turn.right_reference for turn in turns if turn.refers)),
        share("right number of pictures", (turn.right_count for turn in turns if turn.counts)),
        share("failed", (bool(turn.failure) for turn in turns)),
    )
    tables = (_kinds("Kinds", fine), _kinds("Coarse kinds", rough), _tags(turns))
    return Finding(measures, tables, tuple(_miss(turn) for turn in turns if not _right(turn)))


def _kinds(title: str, groups: Sequence[Sequence[Pair]]) -> Table:
    scores = by_kind(pair for group in groups for pair in group)
    rows = tuple((kind.value, score.precision, score.recall, score.f1, score.n) for kind, score in scores.items())
    return Table(title, ("kind", "precision", "recall", "F1", "turns"), rows)


def _tags(turns: Sequence[Judged]) -> Table:
    tagged: dict[str, list[bool]] = {}
    for turn in turns:
        for tag in turn.tags:
            tagged.setdefault(tag, []).append(_right(turn))
    rows = tuple((tag, sum(right) / len(right), len(right)) for tag, right in tagged.items())
    return Table("Groups", ("tag", "all right", "turns"), rows)


def _right(turn: Judged) -> bool:
    picture = not turn.refers or turn.right_reference
    return turn.right_kind and picture and (not turn.counts or turn.right_count)


def _miss(turn: Judged) -> Miss:
    expected = "/".join((turn.exchange.kind, *turn.exchange.also)) + _pictures(
        turn.exchange.starts, turn.exchange.shown
    )
    got = turn.heard.kind + _pictures(_starts(turn.heard), len(turn.heard.decisive))
    where = f"{turn.dialogue.id}, turn {turn.place + 1}"
    return Miss(where, turn.exchange.user, expected, got, turn.failure or turn.heard.written())


def _starts(heard: Heard) -> list[int | None]:
    """The source images of the answer; None for a new image and for a source that does not exist."""
    return [None if asked.lost else asked.start for asked in heard.decisive]


def _pictures(starts: Sequence[int | None], count: int) -> str:
    numbers = ", ".join(f"#{number}" for number in dict.fromkeys(starts) if number)
    return (f" of {numbers}" if numbers else "") + (f", {count} pictures" if count > 1 else "")
