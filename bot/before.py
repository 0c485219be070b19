"""Joins the messages of a thread from before the bot was mentioned into one line for the chat model. Pure."""

from collections.abc import Sequence

from bot.domain import Person
from bot.prompting.sanitize import display_names, sanitize_line

MAX_LENGTH = 3_000  # characters of the whole line
SEPARATOR = " · "
MAX_MESSAGE_LENGTH = 600  # characters of one message


def join_earlier_messages(messages: Sequence[tuple[Person, str]]) -> str:
    """Join names and quoted messages on one line; only the newest messages that fit are included."""
    names, free = display_names(person for person, _ in messages), MAX_LENGTH
    kept: list[str] = []
    for person, said in reversed(messages):
        one = sanitize_line(said)
        short = one if len(one) <= MAX_MESSAGE_LENGTH else one[: MAX_MESSAGE_LENGTH - 1] + "…"
        line = f'{names[person.id]}: "{short}"'
        if not one:
            continue
        if len(line) >= free:
            break
        kept.insert(0, line)
        free -= len(line) + len(SEPARATOR)
    return SEPARATOR.join(kept)
