"""The payloads of the Discord adapter."""

import pytest

from adapters.discord.payloads import CONTENT_LIMIT, MessagePayload, add_note

NOTE = "I lack a permission."


@pytest.mark.parametrize(("left", "output"), [(100, True), (0, True), (-1, False), (-20, False)])
def test_a_note_cuts_no_text(left: int, output: bool) -> None:
    """If both do not fit into one message, the note is left out."""
    words = "x" * (CONTENT_LIMIT - len(f"-# {NOTE}\n") - left)
    content = add_note(MessagePayload(words), NOTE).content
    assert content == (f"-# {NOTE}\n{words}" if output else words)
    assert len(content) <= CONTENT_LIMIT
