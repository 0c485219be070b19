"""The probe that finds out whether a chat model does better with tags or tools, against a clever server."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bot.capabilities import Editing, ModelCapabilities
from bot.domain import ImageRequest, Operation
from bot.evaluation.protocol_probe import (
    DIALOGUES,
    ProbeAnswer,
    ProbeDialogue,
    ProbeResult,
    choose_protocol,
    is_right,
    probe,
)
from bot.llm.client import OpenAICompatible
from bot.llm.messages import ModelProfile, RequestProtocol
from bot.parsing.image_request import as_tag
from tests.support.openai_server import HOLD, Answer, Clever, OpenAIDouble, Stream, chunk, openai_server, refusal, said

ABILITIES = ModelCapabilities()
CALLS = {
    Operation.GENERATE: "generate_image",
    Operation.EDIT: "edit_image",
    Operation.VARY: "vary_image",
    Operation.SELECT: "select_image",
}


def requests(dialogue: ProbeDialogue) -> list[ImageRequest]:
    """What is right to ask for."""
    return [
        ImageRequest(
            key, operation, f"a castle {key}", source=None if operation is Operation.GENERATE else dialogue.source
        )
        for key, operation in enumerate(dialogue.expected[0])
    ]


def call(request: ImageRequest) -> tuple[str, str]:
    """The same as a call."""
    given = {"prompt": request.prompt} if request.operation in (Operation.GENERATE, Operation.EDIT) else {}
    return CALLS[request.operation], json.dumps(given | ({"of": request.source} if request.source else {}))


PICTURES = [dialogue for dialogue in DIALOGUES if dialogue.expected != ((),)]
TAGS = {dialogue.text: "Look: " + " ".join(map(as_tag, requests(dialogue))) for dialogue in PICTURES}
TOOLS = {dialogue.text: [call(request) for request in requests(dialogue)] for dialogue in PICTURES}
WORDS = len(DIALOGUES) - len(PICTURES)  # are right even for a model that never draws


@asynccontextmanager
async def connected(
    *answers: Answer | Stream | Clever, profile: ModelProfile | None = None
) -> AsyncGenerator[tuple[OpenAICompatible, OpenAIDouble]]:
    """A model behind a server that answers so."""
    async with openai_server(*answers) as double:
        model = OpenAICompatible("small", double.url, "key", model_profile=profile)
        try:
            yield model, double
        finally:
            await model.close()


def test_about_ten_dialogues_tell_drawing_from_talking() -> None:
    """Every kind of decision is in them, and as many that want words."""
    assert 8 <= len(DIALOGUES) <= 12
    assert {operation for dialogue in PICTURES for operation in dialogue.expected[0]} == set(CALLS)
    assert WORDS >= 4


@pytest.mark.parametrize(
    ("clever", "found"),
    [
        (Clever(tags=TAGS, calls=TOOLS), ProbeResult(RequestProtocol.TAGS, False, len(DIALOGUES), len(DIALOGUES))),
        (Clever(tags=TAGS), ProbeResult(RequestProtocol.TAGS, False, len(DIALOGUES), WORDS)),
        (Clever(calls=TOOLS), ProbeResult(RequestProtocol.TOOLS, False, WORDS, len(DIALOGUES))),
        (Clever(tags=TAGS, otherwise=""), ProbeResult(RequestProtocol.TAGS, False, len(PICTURES), 0)),
    ],
    ids=["both", "tags", "tools", "never a word"],
)
async def test_the_better_way_is_found(clever: Clever, found: ProbeResult) -> None:
    """By what the model decides, dialogue by dialogue."""
    async with connected(clever) as (model, _):
        assert await probe(model, ABILITIES) == found


async def test_a_tie_goes_to_what_is_known_of_the_model() -> None:
    """A profile that prefers tools keeps them."""
    async with connected(Clever(tags=TAGS, calls=TOOLS), profile=ModelProfile(RequestProtocol.TOOLS)) as (model, _):
        finding = await probe(model, ABILITIES)
    assert finding == ProbeResult(RequestProtocol.TOOLS, False, len(DIALOGUES), len(DIALOGUES))


async def test_every_way_has_its_own_prompt() -> None:
    """Tags are not explained to a model that is offered tools, nor the other way round."""
    async with connected(Clever(tags=TAGS, calls=TOOLS)) as (model, double):
        await probe(model, ABILITIES)
    assert len(double.asked) == 2 * len(DIALOGUES)
    for asked in double.asked:
        assert ("<image>" in asked.words[0]) is not bool(asked.tools)
        assert ("generate_image" in asked.words[0]) is bool(asked.tools)


async def test_a_server_without_tools_settles_it_at_once(tmp_path: Path) -> None:
    """Nothing is kept either: it may be started with tools tomorrow."""
    async with connected(Clever(tags=TAGS, takes_tools=False), profile=ModelProfile(RequestProtocol.TOOLS)) as (
        model,
        double,
    ):
        await choose_protocol(model, tmp_path / "probe.json", ABILITIES)
        assert model.profile.request_protocol is RequestProtocol.TAGS
    assert len(double.asked) == 2
    assert not (tmp_path / "probe.json").exists()


async def test_the_finding_is_kept_for_the_next_start(tmp_path: Path) -> None:
    """The same model on the same server with the same prompts is not asked again; another is."""
    cache = tmp_path / "probe.json"
    async with connected(Clever(calls=TOOLS)) as (model, double):
        await choose_protocol(model, cache, ABILITIES)
        asked = len(double.asked)
        again = OpenAICompatible("small", double.url, "another key")
        await choose_protocol(again, cache, ABILITIES)
        assert (again.profile, len(double.asked)) == (model.profile, asked)
        await choose_protocol(again, cache, replace(ABILITIES, editing=Editing.INSTRUCT))  # other prompts
        assert len(double.asked) == 2 * asked
        other = OpenAICompatible("large", double.url, None)
        await choose_protocol(other, cache, ABILITIES)
        assert len(double.asked) == 3 * asked
        await again.close()
        await other.close()
    assert model.profile.request_protocol is RequestProtocol.TOOLS
    assert len(json.loads(cache.read_bytes())) == 3
    assert "key" not in cache.read_text()


@pytest.mark.parametrize("kept", ["", "{broken", "[]", '{"x": 7}'])
async def test_a_broken_file_counts_as_none(tmp_path: Path, kept: str) -> None:
    """The model is asked, and the file is whole again."""
    cache = tmp_path / "probe.json"
    cache.write_text(kept)
    async with connected(Clever(calls=TOOLS)) as (model, _):
        await choose_protocol(model, cache, ABILITIES)
        assert model.profile.request_protocol is RequestProtocol.TOOLS
    assert len(json.loads(cache.read_bytes())) == 1


async def test_a_file_that_cannot_be_written_spoils_nothing(tmp_path: Path) -> None:
    """The finding holds for this run."""
    async with connected(Clever(calls=TOOLS)) as (model, _):
        await choose_protocol(model, tmp_path / "missing" / "probe.json", ABILITIES)
        assert model.profile.request_protocol is RequestProtocol.TOOLS


@pytest.mark.parametrize(
    "answers",
    [
        (refusal(401, "no"),),
        (Stream([]),),
        (said("Canberra."), said("Canberra."), refusal(404, "gone")),
    ],
    ids=["refused", "silent", "refused later"],
)
async def test_a_server_that_is_away_is_left_in_peace(tmp_path: Path, answers: tuple[Answer | Stream, ...]) -> None:
    """The probe ends with the first failure, keeps nothing, and leaves the model as it is."""
    async with connected(*answers, profile=ModelProfile(RequestProtocol.TOOLS)) as (model, double):
        await choose_protocol(model, tmp_path / "probe.json", ABILITIES)
        assert model.profile == ModelProfile(RequestProtocol.TOOLS)
    assert len(double.asked) == len(answers)
    assert not (tmp_path / "probe.json").exists()


async def test_the_probe_can_be_cancelled(tmp_path: Path) -> None:
    """The request that is under way is let go of, and nothing is kept."""
    async with connected(Stream([chunk("Well, "), HOLD])) as (model, double):
        task = asyncio.create_task(choose_protocol(model, tmp_path / "probe.json", ABILITIES))
        async with asyncio.timeout(10):
            await double.arrived.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await double.hung_up.wait()
        assert model.profile == ModelProfile()
    assert not (tmp_path / "probe.json").exists()


@pytest.mark.parametrize("expected", [True, False])
async def test_thoughts_without_an_opening_tag_are_found_out(expected: bool) -> None:
    """Whether the profile knew of them or not; what was decided behind them counts."""
    opener = "" if expected else "<think>"
    thinking = {text: f"{opener}An <image>owl</image> or so?</think>{tag}" for text, tag in TAGS.items()}
    clever = Clever(thinking, TOOLS, f"{opener}Words alone.</think>Well.")
    async with connected(clever, profile=ModelProfile(thinks_first=not expected)) as (model, _):
        finding = await probe(model, ABILITIES)
    assert finding
    assert (finding.thinks_first, finding.tags) == (expected, len(DIALOGUES))


async def test_one_line_with_the_scores_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """No words of the dialogues are in it."""
    caplog.set_level(logging.DEBUG, logger="bot")
    async with connected(Clever(tags=TAGS)) as (model, _):
        await choose_protocol(model, tmp_path / "probe.json", ABILITIES)
    (line,) = [record.getMessage() for record in caplog.records if record.name == "bot.evaluation.protocol_probe"]
    right = len(DIALOGUES)
    assert line == f"the chat model small is told of tags: tags {right}, tools {WORDS} of {right} right"


@pytest.mark.parametrize(
    ("asked", "right"),
    [
        ([ImageRequest(0, Operation.EDIT, "x", source=1)], True),
        ([ImageRequest(0, Operation.EDIT, "x", source=2)], False),
        ([ImageRequest(0, Operation.EDIT, "x")], False),  # the newest is #2
        ([ImageRequest(0, Operation.GENERATE, "x")], False),
        ([ImageRequest(0, Operation.EDIT, "x", source=1)] * 2, False),
        ([], False),
    ],
)
def test_the_picture_that_is_meant_counts(asked: list[ImageRequest], right: bool) -> None:
    """An edit of another picture is no right answer, nor is it twice the same."""
    dialogue = ProbeDialogue("make the sofa in #1 red", ((Operation.EDIT,),), ("a cat", "a hill"), source=1)
    assert is_right(dialogue, ProbeAnswer(tuple(asked), text_length=10)) is right
