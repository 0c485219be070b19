"""Code and choices are found in the answer of a chat model."""

import pytest

from bot.evaluation.abilities import extract_answer
from bot.evaluation.sandbox import extract_code

RIGHT = "def double(n):\n    return 2 * n\n"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (f"Sure:\n\n```python\n{RIGHT}```\nDone.", RIGHT),
        (f"```python\n{RIGHT}```\nUse it so:\n```python\nprint(double(1))\n```", RIGHT),
        ("```\nx = 1\n```\n```\ny = 2\n```", "y = 2\n"),
        (f"```python\n{RIGHT}", RIGHT),
        (RIGHT, RIGHT),
    ],
)
def test_the_program_is_found_in_the_answer(answer: str, code: str) -> None:
    """The block that defines the function counts, however it is fenced."""
    assert extract_code(answer, "double") == code


@pytest.mark.parametrize(
    ("words", "choices", "given"),
    [
        ("It is B.\nAnswer: B", ("x", "y"), "B"),
        ("**Answer: (b)**", ("x", "y"), "B"),
        ("Answer: B) y", ("x", "y"), "B"),
        ("The answer is: y", ("x", "y"), "B"),
        ("Answer: A\nNo, wait.\nAnswer: B", ("x", "y"), "B"),
        ("B", ("x", "y"), "B"),
        ("A good question.", ("x", "y"), ""),
        ("", ("x", "y"), ""),
        ("So it is 42.\n\nAnswer: **42**.", (), "42"),
        ("Lisbon", (), "Lisbon"),
    ],
)
def test_the_answer_is_found_among_the_words(words: str, choices: tuple[str, ...], given: str) -> None:
    """Models wrap an answer in words and stars; the last one counts."""
    assert extract_answer(words, choices) == given
