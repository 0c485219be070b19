"""Joins the messages of a thread from before the bot was mentioned into one line for the chat model. Pure."""

from collections.abc import Sequence

from bot.domain import Person
from bot.prompting.sanitize import names_of, one_line

LONGEST = 3_000  # characters of the whole line
BETWEEN = " · "
LONGEST_LINE = 600  # characters of one message


def told(lines: Sequence[tuple[Person, str]]) -> str:
    """Join names and quoted messages on one line; only the newest messages that fit are included."""
    names, free = names_of(person for person, _ in lines), LONGEST
    kept: list[str] = []
    for person, said in reversed(lines):
        one = one_line(said)
        short = one if len(one) <= LONGEST_LINE else one[: LONGEST_LINE - 1] + "…"
        line = f'{names[person.id]}: "{short}"'
        if not one:
            continue
        if len(line) >= free:
            break
        kept.insert(0, line)
        free -= len(line) + len(BETWEEN)
    return BETWEEN.join(kept)
