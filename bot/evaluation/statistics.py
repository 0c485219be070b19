"""Computes measures with confidence intervals from expected and actual results. Pure."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt

from bot.evaluation.datasets import AnswerKind

Z = 1.959964  # of a 95 % confidence interval
SEED = 20231013
RESAMPLES = 1000

Pair = tuple[AnswerKind, AnswerKind]  # expected kind, actual kind


@dataclass(frozen=True, slots=True)
class Measure:
    """A number from -1 to 1 over `n` cases: None if there was no case; bounds None if none were computed."""

    name: str
    value: float | None
    n: int
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class KindScore:
    """How well one kind is distinguished from the others; `n` is how often that kind was expected."""

    precision: float
    recall: float
    f1: float
    n: int


def share(name: str, outcomes: Iterable[bool]) -> Measure:
    """The share of outcomes that are true, with the interval of Wilson."""
    seen = list(outcomes)
    if not seen:
        return Measure(name, None, 0)
    low, high = wilson(sum(seen), len(seen))
    return Measure(name, sum(seen) / len(seen), len(seen), low, high)


def wilson(right: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927), valid also for few cases and for shares near 0 and 1."""
    p, z2 = right / n, Z * Z / n
    middle, half = p + z2 / 2, Z * sqrt(p * (1 - p) / n + z2 / (4 * n))
    return max(0.0, (middle - half) / (1 + z2)), min(1.0, (middle + half) / (1 + z2))


def scores_by_kind(pairs: Iterable[Pair]) -> dict[AnswerKind, KindScore]:
    """Precision, recall and F1 of every kind that was expected at least once."""
    return _scores_by_kind(Counter(pairs))


def macro_f1(name: str, groups: Sequence[Iterable[Pair]]) -> Measure:
    """The mean F1 of the expected kinds, all with the same weight; `groups` holds the pairs of each dialogue.

    The interval is a bootstrap over dialogues, because the turns of a dialogue depend on each other; the seed is fixed.
    """
    counts = [Counter(group) for group in groups]
    whole = sum(counts, Counter[Pair]())
    if not whole:
        return Measure(name, None, 0)
    chance = random.Random(SEED)
    draws = sorted(_macro(sum(chance.choices(counts, k=len(counts)), Counter[Pair]())) for _ in range(RESAMPLES))
    low, high = draws[round(0.025 * (RESAMPLES - 1))], draws[round(0.975 * (RESAMPLES - 1))]
    return Measure(name, _macro(whole), whole.total(), low, high)


def paired_difference(name: str, pairs: Iterable[tuple[bool, bool]]) -> Measure:
    """The share of the first minus the share of the second, over the same cases.

    The interval is that of Agresti and Min (2005) for matched pairs: the Wald interval on the two discordant cells of
    McNemar, with half a case added to each of the four cells, so that the interval has a width even if the two never
    differ.
    """
    seen = list(pairs)
    if not seen:
        return Measure(name, None, 0)
    only_first = sum(first and not second for first, second in seen)
    only_second = sum(second and not first for first, second in seen)
    n, b, c = len(seen) + 2, only_first + 0.5, only_second + 0.5
    half = Z * sqrt(b + c - (b - c) ** 2 / n) / n
    middle = (b - c) / n
    value = (only_first - only_second) / len(seen)
    return Measure(name, value, len(seen), max(-1.0, middle - half), min(1.0, middle + half))


def _scores_by_kind(counts: Counter[Pair]) -> dict[AnswerKind, KindScore]:
    expected: Counter[AnswerKind] = Counter()
    came: Counter[AnswerKind] = Counter()
    for (gold, got), count in counts.items():
        expected[gold] += count
        came[got] += count
    return {kind: _score(counts[kind, kind], came[kind], expected[kind]) for kind in AnswerKind if expected[kind]}


def _score(right: int, came: int, expected: int) -> KindScore:
    return KindScore(right / came if came else 0.0, right / expected, 2 * right / (came + expected), expected)


def _macro(counts: Counter[Pair]) -> float:
    scores = _scores_by_kind(counts).values()
    return sum(score.f1 for score in scores) / len(scores)
