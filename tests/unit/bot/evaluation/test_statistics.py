"""Evaluation: the numbers, against values that can be computed by hand or looked up."""

import pytest

from bot.evaluation.datasets import AnswerKind
from bot.evaluation.statistics import macro_f1, paired_difference, scores_by_kind, share, wilson

T, G, E = AnswerKind.TEXT, AnswerKind.GENERATE, AnswerKind.EDIT


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe (1998), table I, method 3
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0),
    ],
)
def test_the_interval_of_a_share_is_wilsons(right: int, n: int, low: float, high: float) -> None:
    """The published examples come out to four digits."""
    assert wilson(right, n) == pytest.approx((low, high), abs=5e-5)


def test_the_interval_of_a_difference_is_that_of_agresti_and_min() -> None:
    """With n = 100, b = 12 and c = 3: (12.5 - 3.5) / 102 and its standard error, computed by hand."""
    pairs = [(True, False)] * 12 + [(False, True)] * 3 + [(True, True)] * 60 + [(False, False)] * 25
    measure = paired_difference("difference", pairs)
    # sqrt(16 - 81 / 102) / 102 = 0.03823; 1.959964 times that is 0.07492; 9 / 102 = 0.08824
    assert measure.n == 100
    assert measure.value == pytest.approx(0.09)
    assert measure.low == pytest.approx(0.01332, abs=2e-5)
    assert measure.high == pytest.approx(0.16316, abs=2e-5)


def test_two_models_that_never_differ_still_have_an_uncertain_difference() -> None:
    """Six questions without a difference do not prove that there is none."""
    measure = paired_difference("difference", [(True, True)] * 6)
    assert measure.value == 0
    assert measure.low is not None
    assert measure.high is not None
    assert measure.low == pytest.approx(-measure.high)
    assert measure.high > 0.2


def test_macro_f1_weighs_every_kind_the_same() -> None:
    """Ten texts of which one was drawn, and two pictures of which one was talked about."""
    pairs = [(T, T)] * 9 + [(T, G)] + [(G, G), (G, T)]
    scores = scores_by_kind(pairs)
    assert (scores[T].precision, scores[T].recall, scores[T].n) == (0.9, 0.9, 10)
    assert (scores[G].precision, scores[G].recall, scores[G].f1) == (0.5, 0.5, 0.5)
    assert macro_f1("macro-F1", [pairs]).value == pytest.approx((0.9 + 0.5) / 2)


def test_a_kind_that_was_not_expected_only_costs_the_others() -> None:
    """A failure is no kind of its own: what should have come is missed."""
    scores = scores_by_kind([(E, E), (E, AnswerKind.FAILED), (T, AnswerKind.VARY)])
    assert set(scores) == {E, T}
    assert scores[E].f1 == pytest.approx(2 / 3)
    assert scores[T].f1 == 0


def test_the_bootstrap_draws_whole_dialogues_and_always_the_same() -> None:
    """Dialogues that are all alike leave no doubt; different ones do, and the interval is the same again."""
    alike = [[(T, T), (G, G), (G, T)]] * 20
    same = macro_f1("f", alike)
    assert same.low == same.value == same.high
    mixed = [*alike[:10], *[[(T, G), (G, G)]] * 10]
    assert macro_f1("f", mixed) == macro_f1("f", mixed)
    low, value, high = macro_f1("f", mixed).low, macro_f1("f", mixed).value, macro_f1("f", mixed).high
    assert low is not None and value is not None and high is not None
    assert low < value < high


def test_without_any_case_there_is_no_number() -> None:
    """Nothing is not zero."""
    for measure in (share("s", []), macro_f1("f", []), paired_difference("d", [])):
        assert (measure.value, measure.n, measure.low, measure.high) == (None, 0, None, None)
