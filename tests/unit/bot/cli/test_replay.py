"""Recorded answers, replayed from the command line."""

import json
from pathlib import Path

import pytest

from bot.__main__ import main
from bot.cli.replay import RawAnswer, replay_answer
from tests.support.paths import DATA

SHAPES = [
    json.loads(line)
    for name in ("shapes.jsonl", "more_shapes.jsonl")
    for line in (DATA / "recorded" / name).read_text(encoding="utf-8").splitlines()
]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape["id"])
def test_every_recorded_shape_ends_as_expected(shape: dict[str, object], tmp_path: Path) -> None:
    """Jobs, their order and sources, the words around them, and whether the model is reminded."""
    recorded = {name: shape[name] for name in ("id", "user", "pictures_in_thread", "output", "finish_reason")}
    expected = shape["expected"]
    assert isinstance(expected, dict)
    output = replay_answer(RawAnswer(**recorded))  # type: ignore[arg-type]
    jobs = [{"operation": job.operation.value, "prompt": job.prompt, "of": job.of} for job in output.jobs]
    assert jobs == expected["jobs"]
    assert " ".join(output.visible.split()) == " ".join(expected["visible"].split())
    if "repair" in expected:
        assert output.repair is expected["repair"]


def test_a_file_is_replayed_line_by_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line of JSON for each, with the jobs, what is visible, and whether the model is reminded."""
    file = tmp_path / "answers.jsonl"
    output = {"id": "x", "user": "Can you draw a cute dog?", "pictures_in_thread": 0, "expected": {}}
    lines = [output | {"output": "Sure, <image> a cute dog </image>"}, output | {"id": "y", "output": "Sure!"}]
    file.write_text("\n\n".join(map(json.dumps, lines)), encoding="utf-8")
    assert main(["replay", str(file)]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == {
        "id": "x",
        "jobs": [{"operation": "generate", "prompt": "a cute dog", "of": None}],
        "visible": "Sure, [[0]]",
        "repair": False,
    }
    assert second == {"id": "y", "jobs": [], "visible": "Sure!", "repair": True}


@pytest.mark.parametrize(
    ("text", "fault"), [("{", "line 1"), ('{"id": "x"}', "output"), ('{"id": 7, "output": ""}', "id"), ("[]", "line 1")]
)
def test_a_line_that_cannot_be_read_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, fault: str
) -> None:
    """The sentence says where, and nothing is guessed."""
    file = tmp_path / "answers.jsonl"
    file.write_text(text, encoding="utf-8")
    assert main(["replay", str(file)]) == 2
    assert fault in capsys.readouterr().err
    assert main(["replay", str(tmp_path / "none.jsonl")]) == 2


def test_pictures_of_the_same_answer_count_as_zero() -> None:
    """Whether they are named by the number that they will get, or not at all."""
    for of in ("", ' of="3"'):
        output = replay_answer(RawAnswer("x", f"<image>a ball</image><edit{of}>a red ball</edit>", "a ball", 2))
        assert [job.of for job in output.jobs] == [None, 0]
