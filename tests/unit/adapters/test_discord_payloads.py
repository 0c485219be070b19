"""What the Discord adapter draws, on plain values."""

import pytest

from adapters.discord.payloads import CONTENT_LIMIT, MessagePayload, add_note

NOTE = "I lack a permission."


@pytest.mark.parametrize(("left", "told"), [(100, True), (0, True), (-1, False), (-20, False)])
def test_no_words_of_an_answer_are_cut_for_a_note(left: int, told: bool) -> None:
    """Where there is no room for both in one message, the note is left out."""
    words = "x" * (CONTENT_LIMIT - len(f"-# {NOTE}\n") - left)
    content = add_note(MessagePayload(words), NOTE).content
    assert content == (f"-# {NOTE}\n{words}" if told else words)
    assert len(content) <= CONTENT_LIMIT
