"""Reads and checks the datasets of the evaluation, and turns them into values.

Every file is JSON Lines. `bot/evaluation/data/README.md` describes the fields of a line.
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

SHIPPED_FOLDER = Path(__file__).parent / "data"

_STRICT = ConfigDict(extra="forbid", strict=True)
_Count = Annotated[int, Field(ge=1, le=10)]
_Number = Annotated[int, Field(ge=1)]
_Words = Annotated[str, Field(min_length=1)]


class AnswerKind(StrEnum):
    """The kind of an answer: one of the six kinds of turn of the paper, or `failed` because the model failed."""

    TEXT = "text"
    GENERATE = "generate"
    VARY = "vary"
    SELECT = "select"
    EDIT = "edit"
    REFINE = "refine"
    FAILED = "failed"

    @property
    def coarse(self) -> "AnswerKind":
        """The kind among `generate`, `edit` and `text`: every kind that starts from an image counts as `edit`."""
        return AnswerKind.EDIT if self in (AnswerKind.VARY, AnswerKind.SELECT, AnswerKind.REFINE) else self


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class Exchange:
    """A message of a user and the expected answer. `also` lists further kinds that are right.

    `of` lists the expected source images, None if any is right; `pictures` is the expected number of images.
    """

    user: _Words
    kind: AnswerKind
    also: tuple[AnswerKind, ...] = ()
    of: _Number | tuple[_Number, ...] | None = None
    about: _Number | None = None
    uploads: Annotated[int, Field(ge=0, le=10)] = 0
    pictures: _Count | None = None
    author: _Words = "Ann"
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if AnswerKind.FAILED in (self.kind, *self.also):
            raise ValueError("failed is not a kind that can be expected")
        if self.kind is AnswerKind.TEXT and (self.of or self.pictures):
            raise ValueError("a turn of kind text has neither `of` nor `pictures`")
        if self.kind is AnswerKind.GENERATE and self.of:
            raise ValueError("a turn of kind generate has no `of`")

    @property
    def expected_count(self) -> int:
        """The number of images that the answer should contain."""
        return 0 if self.kind is AnswerKind.TEXT else self.pictures or 1

    @property
    def new_count(self) -> int:
        """The number of images in the answer that are new: a selected image keeps its number."""
        return 0 if self.kind is AnswerKind.SELECT else self.expected_count

    @property
    def expected_sources(self) -> tuple[int, ...]:
        """The expected source image of each image in the answer; empty if any source is right."""
        if self.of is None:
            return ()
        return (self.of,) * self.expected_count if isinstance(self.of, int) else self.of


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class Dialogue:
    """A conversation in one thread. Its images are numbered as if every answer were right."""

    id: _Words
    turns: Annotated[tuple[Exchange, ...], Field(min_length=1)]
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known = 0
        for place, turn in enumerate(self.turns, 1):
            known += turn.uploads
            named = (*turn.expected_sources, *filter(None, [turn.about]))
            if beyond := [number for number in named if number > known]:
                raise ValueError(f"turn {place} speaks of picture {beyond[0]}, but there are {known} by then")
            if turn.kind not in (AnswerKind.TEXT, AnswerKind.GENERATE) and not known:
                raise ValueError(f"turn {place} is of kind {turn.kind}, but there is no picture by then")
            known += turn.new_count


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class InterleavedTask:
    """A request for several images with text between them.

    `expect` has one entry for each image: the words of which at least one must be in its prompt.
    """

    id: _Words
    user: _Words
    expect: Annotated[tuple[Annotated[tuple[_Words, ...], Field(min_length=1)], ...], Field(min_length=1)]
    between: bool = True


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class Question:
    """A question with one right answer: a letter or an index from 0 if there are choices, else the answer's text."""

    question: _Words
    answer: str | int
    choices: Annotated[tuple[_Words, ...], Field(max_length=26)] = ()
    id: str = ""

    def __post_init__(self) -> None:
        if self.choices and not self.right_answer:
            raise ValueError(f"the answer {self.answer!r} is none of the choices")

    @property
    def right_answer(self) -> str:
        """The letter of the right choice, or the text of the right answer; empty if no choice fits."""
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
    """A task to write a function: `tests` is Python code that raises unless the function named `entry` is right."""

    task: _Words
    tests: _Words
    entry: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]
    id: str = ""


Item = Dialogue | InterleavedTask | Question | CodeTask

_ADAPTERS: tuple[tuple[str, TypeAdapter[Any]], ...] = (  # the key that decides the type of a line
    ("turns", TypeAdapter(Dialogue)),
    ("expect", TypeAdapter(InterleavedTask)),
    ("question", TypeAdapter(Question)),
    ("task", TypeAdapter(CodeTask)),
)


_FILES: dict[type[Item], str] = {  # content of a file, and the name of the shipped file
    Dialogue: "decisions",
    InterleavedTask: "interleaving",
    Question: "questions",
    CodeTask: "code",
}
SUITES: dict[str, tuple[type[Item], ...]] = {
    "decisions": (Dialogue,),
    "interleaving": (InterleavedTask,),
    "abilities": (Question, CodeTask),
}


@value(frozen=True, slots=True)
class Suite:
    """The items of one file, all of one type."""

    name: str
    items: tuple[Item, ...]

    @property
    def item_type(self) -> type[Item]:
        """The type of all items."""
        return type(self.items[0])


def load_suites(name: str, files: Sequence[Path] = (), limit: int | None = None) -> list[Suite]:
    """Load the suites of this name, or those in `files` instead; the first `limit` items of each suite.

    `name` may be the path of a file. Raises BotError, which names the line and its error.
    """
    if limit is not None and limit < 1:
        raise BotError(f"--limit must be at least 1, not {limit}.")
    forms = SUITES.get(name)
    if forms is None and not Path(name).is_file():
        raise BotError(f"There is no suite {name!r}: it is one of {', '.join(SUITES)}, or a file of JSON Lines.")
    paths = files or ([SHIPPED_FOLDER / f"{_FILES[form]}.jsonl" for form in forms] if forms else [Path(name)])
    suites = [_read_suite(path, limit) for path in paths]
    for suite, path in zip(suites, paths, strict=True):
        if forms and suite.item_type not in forms:
            wanted = " and ".join(_FILES[form] for form in forms)
            raise BotError(f"{path} holds {_FILES[suite.item_type]}, but the suite {name} asks {wanted}.")
    return suites


def _read_suite(path: Path, limit: int | None) -> Suite:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise BotError(f"{path} is not UTF-8 text.") from error
    except OSError as error:
        raise BotError(f"{path} cannot be read: {error.strerror}.") from error
    items = [_parse_line(line, f"{path.name}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not items:
        raise BotError(f"{path} is empty: it needs at least one line.")
    if mixed := next((item for item in items if type(item) is not type(items[0])), None):
        raise BotError(f"{path} mixes {_FILES[type(items[0])]} with {_FILES[type(mixed)]}: part them.")
    return Suite(path.stem, tuple(items[:limit]))


def _parse_line(line: str, where: str) -> Item:
    try:
        found = from_json(line)
    except ValueError as error:
        raise BotError(f"{where} is not JSON: {error}.") from error
    form = next((form for key, form in _ADAPTERS if isinstance(found, dict) and key in found), None)
    if form is None:
        raise BotError(f"{where} must be an object with one of {', '.join(repr(key) for key, _ in _ADAPTERS)}.")
    try:
        item: Item = form.validate_json(line)
    except ValidationError as error:
        raise BotError(f"{where}: {_describe_error(error.errors())}.") from None
    return item


def _describe_error(faults: Sequence[ErrorDetails]) -> str:
    """Describe the first error and its place. Pydantic appends the alternatives of a union to the path of the field."""
    fault = faults[0]
    steps = [str(step + 1) if isinstance(step, int) else step for step in fault["loc"]]
    place = ".".join(step for step in steps if re.fullmatch(r"[1-9]\d*|(?!int$|str$)\w+", step))
    known = {"unexpected_keyword_argument": "there is no such field", "missing": "this field is needed"}
    message = known.get(fault["type"], fault["msg"].removeprefix("Value error, "))
    return f"{place}: {message}" if place else message
