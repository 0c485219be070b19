"""The tools that chat models get, and the image requests that their calls make."""

import json

import pytest

from bot.capabilities import Editing, ModelCapabilities
from bot.domain import ImageRequest, Operation, Sampling
from bot.parsing.tool_calls import MAX_COPIES, image_tools, parse_tool_call, parse_written_call

DOG = ImageRequest(0, Operation.GENERATE, "a dog")


def test_a_call_of_every_tool_is_parsed() -> None:
    """Each tool's name and required arguments make the request that its description promises."""
    operations = []
    for tool in image_tools(ModelCapabilities(ratios=True)):
        given = {each.name: 2 if each.kind == "integer" else "a dog" for each in tool.parameters if not each.choices}
        (request,) = parse_tool_call(tool.name, json.dumps(given | {"ratio": "3:2"}))
        operations.append(request.operation)
        assert request.source == (None if request.operation is Operation.GENERATE else 2)
    assert {*operations, Operation.UPLOAD, Operation.UPSCALE} == {
        *Operation
    }  # people send the one, and press the other


def test_the_tools_match_the_image_model() -> None:
    """A model with one aspect ratio gets no ratio argument; one that takes instructions gets only the change."""
    plain, able = image_tools(ModelCapabilities()), image_tools(ModelCapabilities(Editing.INSTRUCT, ratios=True))
    assert "ratio" not in {each.name for tool in plain for each in tool.parameters}
    assert "ratio" in {each.name for tool in able for each in tool.parameters}
    assert plain[1].parameters[0].description != able[1].parameters[0].description


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("generate_image", {"prompt": "a dog"}, [DOG]),
        (
            "dalle.text2im",
            {"prompt": "a dog", "size": "1024x768"},
            [ImageRequest(0, DOG.operation, "a dog", sampling=Sampling(aspect_ratio="4:3"))],
        ),
        ("create_picture", {"description": "a dog", "n": 2}, [DOG, ImageRequest(1, DOG.operation, "a dog")]),
        ("edit_image", {"prompt": "blue", "image_id": "#1"}, [ImageRequest(0, Operation.EDIT, "blue", source=1)]),
        ("vary_image", {}, [ImageRequest(0, Operation.VARY, "")]),
        ("", {"name": "generate_image", "arguments": {"prompt": "a dog"}}, [DOG]),
        ("", {"tool_calls": [{"function": {"name": "generate_image", "arguments": '{"prompt": "a dog"}'}}]}, [DOG]),
        ("", {"prompt": "a dog"}, [DOG]),
        ("", {"name": "Bob"}, []),
        ("get_weather", {"prompt": "a dog"}, []),
        ("generate_image", {"prompt": ""}, []),
        ("generate_image", ["a dog"], []),
    ],
)
def test_a_call_is_parsed_in_many_spellings(name: str, arguments: object, expected: list[ImageRequest]) -> None:
    """Other names of tools and arguments are accepted, and nested calls are."""
    assert parse_tool_call(name, json.dumps(arguments)) == expected


def test_incomplete_json_is_parsed_as_far_as_it_goes() -> None:
    """An answer that was cut short still requests its image."""
    assert parse_tool_call("generate_image", '{"prompt": "a dog') == [DOG]
    assert parse_tool_call("generate_image", "") == parse_tool_call("generate_image", "[") == []


def test_the_images_of_one_call_are_limited() -> None:
    """Copies are limited for every number, and however deep calls are nested."""
    assert len(parse_tool_call("generate_image", '{"prompt": "a dog", "n": 100}')) == MAX_COPIES
    assert len(parse_tool_call("generate_image", '{"prompt": "a dog", "n": -3}')) == 1
    assert len(parse_tool_call("generate_image", json.dumps([{"prompt": f"dog {n}"} for n in range(50)]))) == MAX_COPIES
    assert parse_tool_call("", "[" * 500 + "]" * 500) == []


@pytest.mark.parametrize(
    "payload",
    [
        '{"name": "generate_image", "arguments": {"prompt": "a dog"}}',
        "{'name': 'generate_image', 'prompt': 'a dog'}",
        'generate_image(prompt="a dog")',
        "generate_image('a dog')",
        '{tool => "generate_image", args => {\n  --prompt "a dog"\n}}',
        "<function=generate_image><parameter=prompt>a dog</parameter>",
        '<invoke name="generate_image"><parameter name="prompt">a dog</parameter>',
    ],
)
def test_a_call_written_in_the_text_is_parsed(payload: str) -> None:
    """As JSON, as a line of Python, and in other notations."""
    assert parse_written_call(payload) == [DOG]
