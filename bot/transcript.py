"""What was said in a thread -> what the chat model is told, within its budget. Pure."""

import re
from collections.abc import Sequence

from bot.domain import Entry, Operation, Picture, Role, Said
from bot.tags import NAMES

_TAGLIKE = re.compile(rf"<(?=\s*/?\s*(?:{'|'.join(NAMES)})\b)", re.IGNORECASE)


def transcript(
    system: str, earlier: Sequence[Entry], now: Entry, pictures: Sequence[Picture], budget: int
) -> list[Said]:
    """The system text, as much of the thread as `budget` characters hold, and the message to be answered.

    The model's own words stand in the history as it wrote them, tags included, so that it goes on to write tags.
    People's words never hold a tag. The oldest turns are left out first; the newest message never is.
    """
    last = "\n".join([*_notes(pictures, now), _line(now)])
    room = budget - len(system) - len(last)
    turns: list[Said] = []
    for entry in reversed(earlier):
        exchange = [Said(Role.USER, "\n".join([*_about(entry), _line(entry)]))]
        if entry.words.strip():
            exchange.append(Said(Role.ASSISTANT, entry.words))
        room -= sum(len(said.text) for said in exchange)
        if room < 0:
            break
        turns[:0] = exchange
    return _alternating([Said(Role.SYSTEM, system), *turns, Said(Role.USER, last)])


def describe(picture: Picture) -> str:
    """The picture in the words by which the model knows it."""
    return picture.prompt or ("uploaded picture" if picture.operation is Operation.UPLOAD else picture.alt)


def _notes(pictures: Sequence[Picture], now: Entry) -> list[str]:
    listed = "; ".join(f'#{picture.number} "{_one_line(describe(picture))}"' for picture in pictures)
    return ([f"[pictures: {listed}]"] if listed else []) + _about(now)


def _about(entry: Entry) -> list[str]:
    return [] if entry.about is None else [f"[about: #{entry.about}]"]


def _line(entry: Entry) -> str:
    return f"{_one_line(entry.author.name)}: {harmless(entry.text)}"


def harmless(text: str) -> str:
    """The text with everything that looks like one of our tags made unlike it."""
    return _TAGLIKE.sub("‹", text)


def _one_line(text: str) -> str:
    return " ".join(harmless(text).replace('"', "'").split())


def _alternating(turns: Sequence[Said]) -> list[Said]:
    """Neighbours of one role joined: the templates of many models refuse two user turns in a row."""
    joined: list[Said] = []
    for said in turns:
        if joined and joined[-1].role is said.role:
            joined[-1] = Said(said.role, f"{joined[-1].text}\n\n{said.text}")
        else:
            joined.append(said)
    return joined
