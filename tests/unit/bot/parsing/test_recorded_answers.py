"""Answers as real chat models write them, each with the text and the requests that the parser must produce."""

import codecs
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from bot.conversation.source_picture import resolve_source
from bot.domain import Failed, ImageRequest, Retracted, Text
from bot.parsing.stream_parser import Event, ParserContext
from tests.support.parse import read
from tests.support.paths import DATA
from tests.support.thorough import sample

RECORDED = DATA / "recorded"


@dataclass(frozen=True)
class Shape:
    """An answer and its expected result: requests as `(operation, prompt, of)`, and text with `[[k]]` for the kth."""

    id: str
    output: str
    context: ParserContext
    jobs: list[tuple[str, str, int | None]]
    visible: str

    def __str__(self) -> str:
        return self.id


def shapes(name: str) -> Iterator[Shape]:
    """The recorded answers of a file."""
    for line in (RECORDED / name).read_text(encoding="utf-8").splitlines():
        recorded: dict[str, Any] = json.loads(line)
        context = ParserContext(
            recorded["user"], recorded["pictures_in_thread"], thinks_first=recorded.get("thinks_first", False)
        )
        expected = recorded["expected"]
        jobs = [(job["operation"], job["prompt"], job["of"]) for job in expected["jobs"]]
        yield Shape(recorded["id"], recorded["output"], context, jobs, " ".join(expected["visible"].split()))


SHAPES = [*shapes("shapes.jsonl"), *shapes("more_shapes.jsonl")]


def result(shape: Shape, events: list[Event]) -> tuple[list[tuple[str, str, int | None]], str]:
    """The requests and the text. 0 is an image of this very answer, as it is the newest when its request comes."""
    words, jobs = "", list[tuple[str, str, int | None]]()
    for event in events:
        match event:
            case Text(markdown):
                words += markdown
            case Retracted():
                words, jobs = "", []
            case ImageRequest():
                made = sum(operation != "select" for operation, *_ in jobs)
                known = range(1, shape.context.last_picture_number + made + 1)
                routed = resolve_source(event, known, max(known, default=None), shape.context.text)
                assert not isinstance(routed, Failed)
                words += " " * words.endswith("]]") + f"[[{len(jobs)}]]"
                of = 0 if (routed.source_number or 0) > shape.context.last_picture_number else routed.request.source
                jobs.append((routed.request.operation.value, routed.request.prompt, of))
    return jobs, " ".join(words.split())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_recorded_answer_is_parsed_as_meant(shape: Shape) -> None:
    """The user sees the text that was meant, and the images that were meant are requested."""
    assert result(shape, read(shape.context, iter([shape.output]))) == (shape.jobs, shape.visible)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_recorded_answer_may_be_cut_anywhere(shape: Shape) -> None:
    """In any two pieces, in characters or in bytes, the result is the same."""
    whole, output = read(shape.context, iter([shape.output])), shape.output
    assert read(shape.context, iter(output)) == whole
    for cut in sample(range(0, len(output), 1 if len(output) < 2000 else 13), 30):
        assert read(shape.context, iter((output[:cut], output[cut:]))) == whole
    data = output.encode()
    decoder = codecs.getincrementaldecoder("utf-8")()
    assert read(shape.context, (decoder.decode(data[at : at + 1]) for at in range(len(data)))) == whole
    for size in (2, 3, 5, 7):
        decoder.reset()
        assert read(shape.context, (decoder.decode(data[at : at + size]) for at in range(0, len(data), size))) == whole
