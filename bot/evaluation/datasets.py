"""The files of questions that a chat model is judged by: read, checked, and turned into values.

Every file is JSON Lines. What a line may hold is described in `bot/evaluation/data/README.md`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass as value
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import ErrorDetails, from_json

from bot.errors import BotError

SHIPPED = Path(__file__).parent / "data"

_STRICT = ConfigDict(extra="forbid", strict=True)
_Count = Annotated[int, Field(ge=1, le=10)]
_Number = Annotated[int, Field(ge=1)]
_Words = Annotated[str, Field(min_length=1)]


class Kind(StrEnum):
    """What an answer does: one of the paper's six kinds of turn, or nothing because the model failed."""

    TEXT = "text"
    GENERATE = "generate"
    VARY = "vary"
    SELECT = "select"
    EDIT = "edit"
    REFINE = "refine"
    FAILED = "failed"

    @property
    def coarse(self) -> "Kind":
        """The kind among `generate`, `edit` and `text`: whatever starts from a picture counts as `edit`."""
        return Kind.EDIT if self in (Kind.VARY, Kind.SELECT, Kind.REFINE) else self


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class Exchange:
    """What somebody writes, and what is to come of it. `also` are kinds that are right as well.

    `of` are the pictures to start from, None where any is right; `pictures` is how many are to come.
    """

    user: _Words
    kind: Kind
    also: tuple[Kind, ...] = ()
    of: _Number | tuple[_Number, ...] | None = None
    about: _Number | None = None
    uploads: Annotated[int, Field(ge=0, le=10)] = 0
    pictures: _Count | None = None
    author: _Words = "Ann"
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if Kind.FAILED in (self.kind, *self.also):
            raise ValueError("failed is not a kind that can be expected")
        if self.kind is Kind.TEXT and (self.of or self.pictures):
            raise ValueError("a turn of kind text has neither `of` nor `pictures`")
        if self.kind is Kind.GENERATE and self.of:
            raise ValueError("a turn of kind generate has no `of`")

    @property
    def shown(self) -> int:
        """How many pictures are to be in the answer."""
        return 0 if self.kind is Kind.TEXT else self.pictures or 1

    @property
    def made(self) -> int:
        """How many of them are new: a picture that was chosen keeps its number."""
        return 0 if self.kind is Kind.SELECT else self.shown

    @property
    def starts(self) -> tuple[int, ...]:
        """The pictures to start from, one for each that is to come; empty where any is right."""
        if self.of is None:
            return ()
        return (self.of,) * self.shown if isinstance(self.of, int) else self.of


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class Dialogue:
    """A conversation in one thread; its pictures are numbered as if every answer were right."""

    id: _Words
    turns: Annotated[tuple[Exchange, ...], Field(min_length=1)]
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known = 0
        for place, turn in enumerate(self.turns, 1):
            known += turn.uploads
            named = (*turn.starts, *filter(None, [turn.about]))
            if beyond := [number for number in named if number > known]:
                raise ValueError(f"turn {place} speaks of picture {beyond[0]}, but there are {known} by then")
            if turn.kind not in (Kind.TEXT, Kind.GENERATE) and not known:
                raise ValueError(f"turn {place} is of kind {turn.kind}, but there is no picture by then")
            known += turn.made


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class Interleaved:
    """A wish for several pictures among words: `expect` has for each picture the words of which one must be in it."""

    id: _Words
    user: _Words
    expect: Annotated[tuple[Annotated[tuple[_Words, ...], Field(min_length=1)], ...], Field(min_length=1)]
    between: bool = True


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class Question:
    """A question with one right answer: a letter or an index from 0 where there are choices, else its text."""

    question: _Words
    answer: str | int
    choices: Annotated[tuple[_Words, ...], Field(max_length=26)] = ()
    id: str = ""

    def __post_init__(self) -> None:
        if self.choices and not self.right:
            raise ValueError(f"the answer {self.answer!r} is none of the choices")

    @property
    def right(self) -> str:
        """The letter of the right choice, or the right words; empty if no choice fits."""
        if not self.choices:
            return str(self.answer)
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(self.choices)]
        if isinstance(self.answer, int):
            return letters[self.answer] if 0 <= self.answer < len(letters) else ""
        if self.answer in self.choices:
            return letters[self.choices.index(self.answer)]
        return self.answer.upper() if len(self.answer) == 1 and self.answer.upper() in letters else ""


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class CodeTask:
    """A function to be written: `tests` is Python that raises unless the function named `entry` is right."""

    task: _Words
    tests: _Words
    entry: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]
    id: str = ""


Item = Dialogue | Interleaved | Question | CodeTask

_FORMS: tuple[tuple[str, TypeAdapter[Any]], ...] = (  # the key by which a line is known for what it is
    ("turns", TypeAdapter(Dialogue)),
    ("expect", TypeAdapter(Interleaved)),
    ("question", TypeAdapter(Question)),
    ("task", TypeAdapter(CodeTask)),
)


_FILES: dict[type[Item], str] = {  # what is in a file, which is also its name where it is shipped
    Dialogue: "decisions",
    Interleaved: "interleaving",
    Question: "questions",
    CodeTask: "code",
}
SUITES: dict[str, tuple[type[Item], ...]] = {
    "decisions": (Dialogue,),
    "interleaving": (Interleaved,),
    "abilities": (Question, CodeTask),
}


@value(frozen=True, slots=True)
class Suite:
    """The items of one file, all of one form."""

    name: str
    items: tuple[Item, ...]

    @property
    def form(self) -> type[Item]:
        """What all of them are."""
        return type(self.items[0])


def load(name: str, files: Sequence[Path] = (), limit: int | None = None) -> list[Suite]:
    """The suites that are asked under this name, or those in `files` instead; the first `limit` items of each.

    `name` may be a file itself. Raises BotError naming the line and what is wrong with it.
    """
    if limit is not None and limit < 1:
        raise BotError(f"--limit must be at least 1, not {limit}.")
    forms = SUITES.get(name)
    if forms is None and not Path(name).is_file():
        raise BotError(f"There is no suite {name!r}: it is one of {', '.join(SUITES)}, or a file of JSON Lines.")
    paths = files or ([SHIPPED / f"{_FILES[form]}.jsonl" for form in forms] if forms else [Path(name)])
    suites = [_suite(path, limit) for path in paths]
    for suite, path in zip(suites, paths, strict=True):
        if forms and suite.form not in forms:
            wanted = " and ".join(_FILES[form] for form in forms)
            raise BotError(f"{path} holds {_FILES[suite.form]}, but the suite {name} asks {wanted}.")
    return suites


def _suite(path: Path, limit: int | None) -> Suite:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise BotError(f"{path} is not UTF-8 text.") from error
    except OSError as error:
        raise BotError(f"{path} cannot be read: {error.strerror}.") from error
    items = [_item(line, f"{path.name}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not items:
        raise BotError(f"{path} is empty: it needs at least one line.")
    if mixed := next((item for item in items if type(item) is not type(items[0])), None):
        raise BotError(f"{path} mixes {_FILES[type(items[0])]} with {_FILES[type(mixed)]}: part them.")
    return Suite(path.stem, tuple(items[:limit]))


def _item(line: str, where: str) -> Item:
    try:
        found = from_json(line)
    except ValueError as error:
        raise BotError(f"{where} is not JSON: {error}.") from error
    form = next((form for key, form in _FORMS if isinstance(found, dict) and key in found), None)
    if form is None:
        raise BotError(f"{where} must be an object with one of {', '.join(repr(key) for key, _ in _FORMS)}.")
    try:
        item: Item = form.validate_json(line)
    except ValidationError as error:
        raise BotError(f"{where}: {_sentence(error.errors())}.") from None
    return item


def _sentence(faults: Sequence[ErrorDetails]) -> str:
    """The first fault, at the place where it is; pydantic names the alternatives of a field behind the field."""
    fault = faults[0]
    steps = [str(step + 1) if isinstance(step, int) else step for step in fault["loc"]]
    place = ".".join(step for step in steps if re.fullmatch(r"[1-9]\d*|(?!int$|str$)\w+", step))
    known = {"unexpected_keyword_argument": "there is no such field", "missing": "this field is needed"}
    message = known.get(fault["type"], fault["msg"].removeprefix("Value error, "))
    return f"{place}: {message}" if place else message
