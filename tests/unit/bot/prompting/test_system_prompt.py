"""What chat models are told, before every kind of picture model."""

import re
from itertools import product

import pytest

from bot.capabilities import Dialect, Editing, ModelCapabilities
from bot.domain import ImageRequest, Operation, Text
from bot.llm.messages import ModelProfile, RequestProtocol
from bot.llm.token_budget import estimate_tokens, input_budget
from bot.parsing.stream_parser import Event, ParserContext, StreamParser
from bot.prompting.system_prompt import (
    FOLDER,
    PLACEHOLDERS,
    build_refinement_prompt,
    build_reminder,
    build_system_prompt,
    check_templates,
)
from render.builtin.training.scenes import COLOURS, KINDS, SCENIC
from tests.support.paths import DATA

GOLDEN = DATA / "golden"
TAGS, TOOLS = ModelProfile(request_protocol=RequestProtocol.TAGS), ModelProfile(request_protocol=RequestProtocol.TOOLS)
EVERY = [
    (ModelCapabilities(editing, dialect, ratios), ModelProfile(request_protocol=front_end))
    for editing, dialect, ratios, front_end in product(Editing, Dialect, (False, True), RequestProtocol)
]


def examples(text: str) -> list[tuple[str, list[str]]]:
    """What a person says and the lines that are answered to it, in the examples of a system text."""
    found = re.findall(r"^(?:Ann|Ben): (.*)\n((?:(?!\n\n).|\n(?!\n))*)", text.partition("# Examples")[2], re.MULTILINE)
    return [(said, answer.removeprefix("You: ").split("\n")) for said, answer in found]


def parsed(said: str, answer: str) -> list[Event]:
    """The events of an answer in a thread of three pictures."""
    parser = StreamParser(ParserContext(said, 3))
    return [*parser.feed(answer), *parser.end()]


@pytest.mark.parametrize(
    ("name", "abilities", "profile", "persona"),
    [
        (
            "system_tags",
            ModelCapabilities(Editing.DESCRIBE, Dialect.SENTENCES, ratios=True),
            TAGS,
            "You speak like a pirate.",
        ),
        ("system_tools", ModelCapabilities(Editing.INSTRUCT, Dialect.PHRASES), TOOLS, ""),
        ("system_builtin", ModelCapabilities(Editing.DESCRIBE, Dialect.SCENES), TAGS, ""),
    ],
)
def test_whole_prompts_are_as_they_were_read(
    name: str, abilities: ModelCapabilities, profile: ModelProfile, persona: str
) -> None:
    """A change of any part shows in the whole text, where it is read as the model reads it."""
    golden = (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")
    assert build_system_prompt(abilities, profile, persona) + "\n" == golden


@pytest.mark.parametrize(("abilities", "profile"), EVERY)
def test_every_example_is_understood_as_it_is_meant(abilities: ModelCapabilities, profile: ModelProfile) -> None:
    """The parser draws exactly what the examples want drawn, and questions get words alone."""
    drawn = []
    for said, lines in examples(build_system_prompt(abilities, profile)):
        events = parsed(said, "\n".join(lines))
        drawn.append([event.operation for event in events if isinstance(event, ImageRequest)])
        shown = "".join(event.markdown for event in events if isinstance(event, Text))
        assert not re.search(r"</?(?:image|edit|vary|select|refine)\b(?! href)|_image\(", shown)
    generate, edit = Operation.GENERATE, Operation.EDIT
    assert drawn == [[generate], [edit], [Operation.VARY], [Operation.SELECT], [], [generate, edit], []]


@pytest.mark.parametrize(("abilities", "profile"), EVERY)
def test_nothing_is_left_to_be_filled_in(abilities: ModelCapabilities, profile: ModelProfile) -> None:
    """No placeholder survives, and each front end is told of alone."""
    text = build_system_prompt(abilities, profile)
    assert "$" not in text
    assert ("generate_image" in text) is (profile.request_protocol is RequestProtocol.TOOLS)
    assert ("<image>" in text) is (profile.request_protocol is RequestProtocol.TAGS)
    assert ("16:9" in text) is abilities.ratios


def test_an_instruction_model_is_given_instructions() -> None:
    """What stands in an edit depends on what the picture model wants to be told."""
    assert "the change alone" in build_system_prompt(ModelCapabilities(Editing.INSTRUCT), TAGS)
    assert "the whole picture as it is to be" in build_system_prompt(ModelCapabilities(Editing.DESCRIBE), TAGS)
    assert "drawn again" in build_system_prompt(ModelCapabilities(Editing.REDRAW), TAGS)


def test_the_persona_is_told_as_it_is() -> None:
    """The channel's own words stand in the system text, dollar signs and all; without them no heading is empty."""
    assert "You charge $5 a word." in build_system_prompt(ModelCapabilities(), TAGS, "  You charge $5 a word.\n")
    assert "Who you are" not in build_system_prompt(ModelCapabilities(), TAGS, "  \n")


def test_the_system_text_leaves_room_in_a_small_context() -> None:
    """A server with 4096 tokens still has more than a third of them for the conversation."""
    longest = max(estimate_tokens(build_system_prompt(abilities, profile)) for abilities, profile in EVERY)
    assert longest < input_budget(ModelProfile(context_window=4096)) * 0.62


def test_the_built_in_painter_is_described_by_the_words_that_it_knows() -> None:
    """Its vocabulary is told in full, and nothing that it cannot paint."""
    told = build_refinement_prompt(Dialect.SCENES)
    for word in (*KINDS, *COLOURS):
        assert word in told
    for scenic in SCENIC.values():
        assert scenic[0] in told


def test_a_reminder_shows_how_in_either_front_end() -> None:
    """Both name the tag, because both are understood always."""
    for front_end in RequestProtocol:
        assert "<image>" in build_reminder(front_end)


def test_every_prompt_file_is_used_and_has_its_placeholders() -> None:
    """A file that nobody reads would rot."""
    assert {path.stem for path in FOLDER.glob("*.md")} == set(PLACEHOLDERS)
    check_templates()
