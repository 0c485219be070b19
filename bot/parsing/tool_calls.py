"""The tools that a chat model may call instead of writing tags, and the parser of its tool calls. Pure."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic_core import from_json

from bot.capabilities import Editing, ModelCapabilities
from bot.domain import ImageRequest, Operation
from bot.llm.messages import Parameter, Tool
from bot.parsing.image_request import find_operation, make_image_request

MAX_COPIES = 8  # images that one call may request
_MAX_DEPTH = 6  # levels of calls inside other calls, lists and strings
_NAME_KEYS = ("name", "tool", "tool_name", "function", "function_name", "action")
_ARGUMENT_KEYS = "arguments parameters args params input tool_input action_input function".split()
_ARGUMENT_KEYS += "tool_calls tool_call function_call calls images".split()
_COUNT_KEYS = ("n", "count", "num_images", "number_of_images", "samples")
TOOL_NAME = re.compile(
    r"((?:generate|create|draw|make|edit|vary|select|refine)_(?:image|picture)s?|dalle[.\w]{0,20}|text2im)",
    re.IGNORECASE,
)
_JSON = re.compile(r"\{|\[(?=\s{0,9}\{)")
_PAIR = re.compile(  # <parameter=prompt>words</parameter>, prompt="words", 'prompt': 'words', prompt => "words",
    # --prompt "words"
    # <arg_key>prompt</arg_key><arg_value>words</arg_value>
    r"<(?:arg_key>|(?:antml:)?parameter(?:=|\s{1,3}name\s{0,2}=\s{0,2}\"?))(\w{1,40})"
    r"(?:</arg_key>\s{0,9}<arg_value>|\"?\s{0,2}>)((?:(?!</).){0,32000})"
    r"|(\w{1,40})[\"']?\s{0,3}(?:=>|=|:|\s)\s{0,3}(?:\"((?:[^\"\\]|\\.)*)\"|'((?:[^'\\]|\\.|'(?=\w))*)'|(\d{1,6})\b)",
    re.DOTALL,
)
_SINGLE_ARGUMENT = re.compile(r"\(\s{0,3}[\"'](.{1,32000})[\"']\s{0,3}\)", re.DOTALL)

_EDIT_PROMPTS = {
    Editing.DESCRIBE: "The whole picture as it is to be after the change, in English.",
    Editing.INSTRUCT: "The change alone, as an instruction, in English.",
    Editing.REDRAW: "The whole picture as it is to be after the change, in English.",
}


def image_tools(capabilities: ModelCapabilities) -> tuple[Tool, ...]:
    """Return the tools for an image model with these capabilities."""
    prompt = Parameter("prompt", "What is to be seen, complete in itself, in English.", required=True)
    ratio = Parameter("ratio", "Width to height, such as 1:1, 3:2, 16:9 or 2:3.")
    of = Parameter("of", "The picture's number in this thread; without it the one that is talked about.", "integer")
    change = Parameter(
        "change",
        "small keeps the composition, large the subject in a new scene.",
        choices=("small", "large"),
    )
    shape = (ratio,) if capabilities.ratios else ()
    edited = Parameter("prompt", _EDIT_PROMPTS[capabilities.editing], required=True)
    return (
        Tool("generate_image", "Draw a new picture.", (prompt, *shape)),
        Tool("edit_image", "Change a picture of this thread.", (edited, of, change, *shape)),
        Tool("vary_image", "Draw another picture like one of this thread.", (of,)),
        Tool("select_image", "Show the picture that the person chose again.", (of,)),
        Tool("refine_image", "Draw a picture of this thread again with more care and detail.", (prompt, of)),
    )


def parse_tool_call(name: str, arguments: str, last_picture_number: int = 0) -> list[ImageRequest]:
    """Return the image requests of a tool call; an empty list if the call is not about images or is no JSON.

    Without a `name` the arguments may contain the name. JSON that is cut off is read up to its end.
    """
    try:
        value = from_json(arguments.strip() or "{}", allow_partial="trailing-strings")
    except ValueError:
        return []
    found = _find_calls(name, value, last_picture_number, 0)
    return [replace(request, key=key) for key, request in enumerate(found)]


def parse_written_call(payload: str, name: str = "", last_picture_number: int = 0) -> list[ImageRequest]:
    """Return the image requests of a tool call in the text of the answer: as JSON, as XML parameters or as code."""
    name = name or next((found[1] for found in TOOL_NAME.finditer(payload)), "")
    if (found := _JSON.search(payload)) and (
        asked := parse_tool_call(name, payload[found.start() :], last_picture_number)
    ):
        return asked
    given = {found[1] or found[3]: next(filter(None, found.group(2, 4, 5, 6)), "") for found in _PAIR.finditer(payload)}
    if not given and name and (argument := _SINGLE_ARGUMENT.search(payload)):
        given = {"prompt": argument[1]}
    return parse_tool_call(given.pop("tool", name), json.dumps(given), last_picture_number) if given else []


def _find_calls(name: str, value: Any, last_picture_number: int, depth: int) -> Iterator[ImageRequest]:
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "[") and depth < _MAX_DEPTH:
        try:
            value = json.loads(value)
        except ValueError:
            return
    if isinstance(value, list) and depth < _MAX_DEPTH:
        for item in value[:MAX_COPIES]:
            yield from _find_calls(name, item, last_picture_number, depth + 1)
    elif isinstance(value, dict):
        inner = next((value[key] for key in _ARGUMENT_KEYS if isinstance(value.get(key), dict | list)), None)
        inner = inner or next((v for key in _ARGUMENT_KEYS if _is_json(v := value.get(key))), None)
        named = next((value[key] for key in _NAME_KEYS if isinstance(value.get(key), str)), name)
        if inner is not None and depth < _MAX_DEPTH:
            yield from _find_calls(named, inner, last_picture_number, depth + 1)
        else:
            yield from _read_call(named, value, last_picture_number)


def _read_call(name: str, arguments: Mapping[str, Any], last_picture_number: int) -> Iterator[ImageRequest]:
    operation = find_operation(name) if name else Operation.GENERATE
    attributes = {key: str(value) for key, value in arguments.items() if isinstance(value, str | int | float)}
    if operation is None or (not name and "prompt" not in attributes):
        return
    request = make_image_request(operation, "", attributes, last_picture_number)
    if request is not None:
        count = next((attributes[key] for key in _COUNT_KEYS if attributes.get(key, "").isdecimal()), "1")
        yield from [request] * max(1, min(int(count[:3]), MAX_COPIES))


def _is_json(value: object) -> bool:
    return isinstance(value, str) and value.lstrip()[:1] == "{"
