"""The system prompts, for every kind of image model."""

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
    """The messages of users and the lines of the answers, from the examples of a system prompt."""
    found = re.findall(r"^(?:Ann|Ben): (.*)\n((?:(?!\n\n).|\n(?!\n))*)", text.partition("# Examples")[2], re.MULTILINE)
    return [(message, answer.removeprefix("You: ").split("\n")) for message, answer in found]


def parsed(message: str, answer: str) -> list[Event]:
    """The events of an answer in a thread of three images."""
    parser = StreamParser(ParserContext(message, 3))
    return [*parser.feed(answer), *parser.end()]


@pytest.mark.parametrize(
    ("name", "capabilities", "profile", "persona"),
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
def test_whole_prompts_match_the_golden_files(
    name: str, capabilities: ModelCapabilities, profile: ModelProfile, persona: str
) -> None:
    """A change of any part appears in the whole text, as the model reads it."""
    golden = (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")
    assert build_system_prompt(capabilities, profile, persona) + "\n" == golden


@pytest.mark.parametrize(("capabilities", "profile"), EVERY)
def test_every_example_is_parsed_as_meant(capabilities: ModelCapabilities, profile: ModelProfile) -> None:
    """The parser finds exactly the meant requests, and questions get only text."""
    drawn = []
    for message, lines in examples(build_system_prompt(capabilities, profile)):
        events = parsed(message, "\n".join(lines))
        drawn.append([event.operation for event in events if isinstance(event, ImageRequest)])
        shown = "".join(event.markdown for event in events if isinstance(event, Text))
        assert not re.search(r"</?(?:image|edit|vary|select|refine)\b(?! href)|_image\(", shown)
    generate, edit = Operation.GENERATE, Operation.EDIT
    assert drawn == [[generate], [edit], [Operation.VARY], [Operation.SELECT], [], [generate, edit], []]


@pytest.mark.parametrize(("capabilities", "profile"), EVERY)
def test_no_placeholder_is_left(capabilities: ModelCapabilities, profile: ModelProfile) -> None:
    """Only the request protocol of the model is described."""
    text = build_system_prompt(capabilities, profile)
    assert "$" not in text
    assert ("generate_image" in text) is (profile.request_protocol is RequestProtocol.TOOLS)
    assert ("<image>" in text) is (profile.request_protocol is RequestProtocol.TAGS)
    assert ("16:9" in text) is capabilities.ratios


def test_the_edit_prompt_depends_on_the_image_model() -> None:
    """An edit contains the change alone, or a description of the whole image."""
    assert "the change alone" in build_system_prompt(ModelCapabilities(Editing.INSTRUCT), TAGS)
    assert "the whole picture as it is to be" in build_system_prompt(ModelCapabilities(Editing.DESCRIBE), TAGS)
    assert "drawn again" in build_system_prompt(ModelCapabilities(Editing.REDRAW), TAGS)


def test_the_persona_is_included_unchanged() -> None:
    """The text of the setting stays, dollar signs included; without it there is no empty heading."""
    assert "You charge $5 a word." in build_system_prompt(ModelCapabilities(), TAGS, "  You charge $5 a word.\n")
    assert "Who you are" not in build_system_prompt(ModelCapabilities(), TAGS, "  \n")


def test_the_system_prompt_leaves_room_in_a_small_context() -> None:
    """A server with 4096 tokens still has more than a third of them for the conversation."""
    longest = max(estimate_tokens(build_system_prompt(capabilities, profile)) for capabilities, profile in EVERY)
    assert longest < input_budget(ModelProfile(context_window=4096)) * 0.62


def test_the_builtin_image_model_is_described_by_its_vocabulary() -> None:
    """The whole vocabulary is listed, and no other word."""
    prompt = build_refinement_prompt(Dialect.SCENES)
    for word in (*KINDS, *COLOURS):
        assert word in prompt
    for scenic in SCENIC.values():
        assert scenic[0] in prompt


def test_a_reminder_shows_the_tag_for_either_protocol() -> None:
    """Both reminders name the tag, because tags are always understood."""
    for front_end in RequestProtocol:
        assert "<image>" in build_reminder(front_end)


def test_every_prompt_file_is_used_and_has_its_placeholders() -> None:
    """There is no unused prompt file."""
    assert {path.stem for path in FOLDER.glob("*.md")} == set(PLACEHOLDERS)
    check_templates()
