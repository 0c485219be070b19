"""Evaluation: the files of questions, ours and other people's."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from bot.errors import BotError
from bot.evaluation.datasets import AnswerKind, CodeTask, Dialogue, Exchange, InterleavedTask, Question, load_suites
from tests.support.paths import ROOT

FOLDER = ROOT / "bot" / "evaluation" / "data"
BLOCKS = re.findall(r"^```jsonl\n(.*?)^```", (FOLDER / "README.md").read_text(), re.DOTALL | re.MULTILINE)


def written(folder: Path, *lines: str) -> Path:
    """A file of these lines."""
    path = folder / "own.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("block", BLOCKS)
def test_every_example_in_the_description_of_the_formats_is_read(block: str, tmp_path: Path) -> None:
    """The README shows what may be written, and all of it may."""
    (suite,) = load_suites(str(written(tmp_path, block)))
    assert len(suite.items) == len(block.splitlines()) >= 2


def test_the_readme_shows_every_form_and_every_field() -> None:
    """There is an example of all four forms, and every field of a turn occurs in one."""
    assert len(BLOCKS) == 4
    table = (FOLDER / "README.md").read_text()
    assert [field.name for field in fields(Exchange) if f"`{field.name}`" not in table] == []


def test_what_is_shipped_is_large_enough_and_counted_right_in_its_description() -> None:
    """At least 200 turns of every kind, about twenty requests for several images, and examples of the other forms."""
    ((decisions,), (interleaving,)) = load_suites("decisions"), load_suites("interleaving")
    dialogues = [item for item in decisions.items if isinstance(item, Dialogue)]
    turns = [turn for dialogue in dialogues for turn in dialogue.turns]
    assert len(turns) >= 200
    assert {turn.kind for turn in turns} == set(AnswerKind) - {AnswerKind.FAILED}
    assert f"{len(dialogues)} dialogues of {len(turns)} turns" in (FOLDER / "README.md").read_text()
    assert f"{len(interleaving.items)} requests for several images" in (FOLDER / "README.md").read_text()
    assert [(suite.item_type, len(suite.items)) for suite in load_suites("abilities")] == [(Question, 6), (CodeTask, 3)]
    assert interleaving.item_type is InterleavedTask


@pytest.mark.parametrize("name", ["decisions", "interleaving", "abilities"])
def test_no_item_is_there_twice(name: str) -> None:
    """Every item has an id of its own."""
    for suite in load_suites(name):
        ids = [item.id for item in suite.items]
        assert len(ids) == len(set(ids))


TURN = '{"id": "a", "turns": [{"user": "hi", "kind": "text"}]}'
FAULTS = [
    ("{", "own.jsonl, line 2 is not JSON"),
    ("[1]", "own.jsonl, line 2 must be an object with one of"),
    ('{"id": "b"}', "own.jsonl, line 2 must be an object with one of"),
    (
        '{"id": "b", "turns": [{"user": "hi", "kind": "text", "mood": 3}]}',
        "own.jsonl, line 2: turns.1.mood: there is no such field.",
    ),
    (
        '{"id": "b", "turns": [{"user": "hi", "kind": "draw"}]}',
        "own.jsonl, line 2: turns.1.kind: Input should be 'text'",
    ),
    ('{"id": "b", "turns": [{"user": "hi"}]}', "own.jsonl, line 2: turns.1.kind: this field is needed."),
    ('{"id": "b", "turns": []}', "own.jsonl, line 2: turns: "),
    ('{"id": "b", "turns": [{"user": "", "kind": "text"}]}', "own.jsonl, line 2: turns.1.user: "),
    ('{"id": "b", "turns": [{"user": "a", "kind": "edit", "of": "1"}]}', "own.jsonl, line 2: turns.1.of: "),
    ('{"id": "b", "turns": [{"user": "a", "kind": "edit", "of": 1}]}', "speaks of picture 1, but there are 0 by then"),
    ('{"id": "b", "turns": [{"user": "a", "kind": "edit"}]}', "is of kind edit, but there is no picture by then"),
    ('{"id": "b", "turns": [{"user": "a", "kind": "text", "of": 1}]}', "kind text has neither `of` nor `pictures`"),
    ('{"id": "b", "turns": [{"user": "a", "kind": "failed"}]}', "failed is not a kind that can be expected"),
    ('{"id": "b", "user": "a", "expect": [["x"]]}', "own.jsonl mixes decisions with interleaving: part them."),
    ('{"question": "a", "choices": ["x", "y"], "answer": "C"}', "the answer 'C' is none of the choices"),
    ('{"question": "a", "choices": ["x", "y"], "answer": 2}', "the answer 2 is none of the choices"),
    ('{"task": "a", "tests": "b", "entry": "not a name"}', "own.jsonl, line 2: entry: "),
]


@pytest.mark.parametrize(("line", "sentence"), FAULTS)
def test_a_line_that_cannot_be_used_is_named_in_a_sentence(line: str, sentence: str, tmp_path: Path) -> None:
    """Whoever wrote the file is told which line, which field, and what is wrong with it."""
    with pytest.raises(BotError) as raised:
        load_suites(str(written(tmp_path, TURN, line)))
    assert sentence in str(raised.value)
    assert str(raised.value).endswith(".")
    assert "\n" not in str(raised.value)


def test_a_suite_that_is_not_there_or_holds_something_else_is_reported(tmp_path: Path) -> None:
    """The name, the file, and the form are checked before anything is asked."""
    own = written(tmp_path, TURN)
    for name, files, limit, sentence in (
        ("dreams", (), None, "There is no suite 'dreams': it is one of decisions, interleaving, abilities, or a file"),
        ("decisions", (tmp_path / "gone.jsonl",), None, "gone.jsonl cannot be read: No such file or directory."),
        ("decisions", (tmp_path,), None, "cannot be read: Is a directory."),
        ("abilities", (own,), None, "own.jsonl holds decisions, but the suite abilities asks questions and code."),
        ("decisions", (own,), 0, "--limit must be at least 1, not 0."),
    ):
        with pytest.raises(BotError, match=re.escape(sentence)):
            load_suites(name, files, limit)
    own.write_bytes(b"\xff")
    with pytest.raises(BotError, match=r"own\.jsonl is not UTF-8 text\."):
        load_suites("decisions", (own,))
    own.write_bytes(b"\n\n")
    with pytest.raises(BotError, match=r"own\.jsonl is empty"):
        load_suites("decisions", (own,))


def test_a_file_of_coarse_kinds_is_read_with_its_odd_white_space(tmp_path: Path) -> None:
    """A byte order mark, empty lines, Windows line ends and a line separator inside of words do no harm."""
    line = (
        '{"id": "a", "turns": [{"user": "draw a cat\u2028now", "kind": "generate"}, {"user": "red", "kind": "edit"}]}'
    )
    path = tmp_path / "theirs.jsonl"
    path.write_bytes(f"\ufeff{line}\r\n\r\n{line}\r\n".encode())
    (suite,) = load_suites("decisions", (path,))
    assert (suite.name, len(suite.items)) == ("theirs", 2)
    assert len(load_suites("decisions", (path,), 1)[0].items) == 1


def test_kinds_are_coarse_where_the_picture_is_the_start() -> None:
    """Whatever starts from a picture counts as an edit."""
    assert {kind.value: kind.coarse.value for kind in AnswerKind} == {
        "text": "text",
        "generate": "generate",
        "vary": "edit",
        "select": "edit",
        "edit": "edit",
        "refine": "edit",
        "failed": "failed",
    }
