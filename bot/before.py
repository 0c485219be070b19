"""What people said in a thread before the bot was called into it, in few words for the chat model. Pure."""

from collections.abc import Sequence

from bot.domain import Person
from bot.harmless import names_of, one_line

LONGEST = 3_000  # characters of all
BETWEEN = " · "
LONGEST_LINE = 600  # of one message


def told(lines: Sequence[tuple[Person, str]]) -> str:
    """Names and what they said, on one line; the newest that there is room for."""
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
