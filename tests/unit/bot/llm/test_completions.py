"""The tools that an OpenAI-compatible server gets, and the tool calls that come back, in every known shape."""

import json
from collections.abc import Sequence
from contextlib import aclosing

import pytest

from bot.capabilities import ModelCapabilities
from bot.domain import ImageRequest, Operation
from bot.llm.client import OpenAICompatible
from bot.llm.completions import CompletionReader as Reading
from bot.llm.messages import (
    ChatMessage,
    ModelEvent,
    ModelFailed,
    ModelProfile,
    RequestProtocol,
    Role,
    StreamEnd,
    TextDelta,
    ToolCall,
)
from bot.notices import notice
from bot.parsing.tool_calls import image_tools, parse_tool_call
from tests.support.openai_server import (
    CUT,
    DONE,
    Answer,
    Asked,
    Clever,
    Stream,
    call_chunk,
    call_chunks,
    chunk,
    completion,
    error,
    function_chunk,
    openai_server,
    piece,
    refusal,
    said,
)

ASKED = (ChatMessage(Role.SYSTEM, "You draw."), ChatMessage(Role.USER, "Ann: draw a cat"))
TOOLS = image_tools(ModelCapabilities(ratios=True))
CAT = '{"prompt": "a \\"cat\\" on a mat, 猫"}'
DOG = '{"prompt": "a dog", "ratio": "1:1"}'
FIRST, SECOND = ToolCall("generate_image", CAT), ToolCall("generate_image", DOG)


async def read_answer(*answers: Answer | Stream | Clever) -> list[ModelEvent]:
    """Every event of the answer to a request that offers tools."""
    return (await dialogue(*answers))[0]


async def dialogue(
    *answers: Answer | Stream | Clever, times: int = 1
) -> tuple[list[ModelEvent], list[Asked], ModelProfile]:
    """The events of the last of some answers, the requests, and the model profile afterwards."""
    async with openai_server(*answers) as double:
        model = OpenAICompatible("small", double.url, None, model_profile=ModelProfile(RequestProtocol.TOOLS))
        try:
            for _ in range(times):
                async with aclosing(model.stream(ASKED, TOOLS)) as events:
                    last = [event async for event in events]
        finally:
            await model.close()
    return last, double.asked, model.profile


def read(*events: str) -> Sequence[ModelEvent]:
    """The events of a stream, without a server."""
    answer = Reading()
    return [part for event in events for part in answer.feed(json.loads(event))] + answer.end()


async def test_tools_are_offered_in_their_schema() -> None:
    """Names, types, choices and required arguments; the server decides whether to call a tool."""
    _, (requests,), _ = await dialogue(said("Hi"))
    assert requests.tools == ["generate_image", "edit_image", "vary_image", "select_image", "refine_image"]
    edit = requests.body["tools"][1]
    assert edit["type"] == "function"
    assert edit["function"]["parameters"]["type"] == "object"
    assert edit["function"]["parameters"]["required"] == ["prompt"]
    properties = edit["function"]["parameters"]["properties"]
    assert {name: given["type"] for name, given in properties.items()} == {
        "prompt": "string",
        "of": "integer",
        "change": "string",
        "ratio": "string",
    }
    assert properties["change"]["enum"] == ["small", "large"]
    assert "tool_choice" not in requests.body


async def test_without_tools_the_field_is_left_out() -> None:
    """Some servers refuse an empty list."""
    async with openai_server(said("Hi")) as double:
        model = OpenAICompatible("small", double.url, None)
        _ = [event async for event in model.stream(ASKED)]
        await model.close()
    assert "tools" not in double.asked[0].body


@pytest.mark.parametrize("finish", ["tool_calls", "function_call", "stop"])
async def test_text_and_tool_calls_keep_their_order(finish: str) -> None:
    """A call follows the text before it; each of these finish reasons is a proper end."""
    calls = call_chunks(("generate_image", CAT), ("generate_image", DOG))
    events = await read_answer(Stream([chunk("Here: "), *calls, chunk(finish=finish), DONE]))
    assert events == [TextDelta("Here: "), FIRST, SECOND, StreamEnd()]


async def test_a_tool_call_is_emitted_before_the_next_one_is_complete() -> None:
    """The first image starts while the second call and text are still being written."""
    first, *rest = call_chunks(("generate_image", CAT), ("generate_image", DOG), size=1000)
    answer = Reading()
    events = [answer.feed(json.loads(event)) for event in (first, *rest, chunk(" Now"))]
    assert events == [[], [], [FIRST], [], [SECOND, TextDelta(" Now")]]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
@pytest.mark.parametrize("finish", ["tool_calls", "stop"])
def test_arguments_may_be_cut_anywhere(size: int, finish: str) -> None:
    """Every split of the arguments into pieces gives the same calls."""
    calls = call_chunks(("generate_image", CAT), ("generate_image", DOG), size=size)
    assert read(*calls, chunk(finish=finish)) == [FIRST, SECOND, StreamEnd()]


SHAPES = {
    "whole calls in one event": [
        call_chunk(piece("generate_image", CAT, index=0), piece("generate_image", DOG, index=1))
    ],
    "a call an event": [
        call_chunk(piece("generate_image", CAT, index=0, call_id="a")),
        call_chunk(piece("generate_image", DOG, index=1, call_id="b")),
    ],
    "no index": [
        call_chunk(piece("generate_image", CAT, index=None, call_id="a")),
        call_chunk(piece("generate_image", DOG, index=None, call_id="b")),
    ],
    "neither index nor id": [
        call_chunk(piece("generate_image", CAT, index=None), piece("generate_image", DOG, index=None))
    ],
    "no index, in pieces": [
        call_chunk(piece("generate_image", CAT[:5], index=None, call_id="a")),
        call_chunk(piece(None, CAT[5:], index=None)),
        call_chunk(piece("generate_image", "", index=None, call_id="b")),
        call_chunk(piece(None, DOG, index=None)),
    ],
    "index 0 for all, new ids": [
        call_chunk(piece("generate_image", CAT[:9], call_id="a")),
        call_chunk(piece(None, CAT[9:])),
        call_chunk(piece("generate_image", DOG[:9], call_id="b")),
        call_chunk(piece(None, DOG[9:])),
    ],
    "index 0 for all, no ids": [call_chunk(piece("generate_image", CAT)), call_chunk(piece("generate_image", DOG))],
    "id and name in every piece": [
        call_chunk(piece("generate_image", part, index=index, call_id=call_id))
        for index, call_id, text in ((0, "a", CAT), (1, "b", DOG))
        for part in (text[:6], text[6:12], text[12:], "")
    ],
    "the name in every piece": [
        call_chunk(piece("generate_image", part, index=index))
        for index, text in enumerate((CAT, DOG))
        for part in ("", text[:6], text[6:], "")
    ],
    "the name in pieces": [
        call_chunk(piece("generate", index=0), piece("generate_image", index=1)),
        call_chunk(piece("_image", CAT[:4], index=0)),
        call_chunk(piece(None, CAT[4:], index=0), piece(None, DOG, index=1)),
    ],
    "mixed pieces": [
        call_chunk(piece("generate_image", CAT[:4], index=0), piece("generate_image", DOG[:4], index=1)),
        call_chunk(piece(None, DOG[4:], index=1)),
        call_chunk(piece(None, CAT[4:], index=0)),
    ],
    "arguments as an object": [
        call_chunk(piece("generate_image", json.loads(CAT), index=0), piece("generate_image", json.loads(DOG), index=1))
    ],
    "without `function` around it": [
        call_chunk({"name": "generate_image", "arguments": CAT}, {"name": "generate_image", "arguments": DOG})
    ],
    "empty pieces": [
        *call_chunks(("generate_image", CAT)),
        call_chunk(piece(None, "", index=0), {"index": 0}),
        call_chunk({"index": 1, "function": None}, piece("generate_image", DOG, index=1)),
        call_chunk(),
    ],
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("ends", [[chunk(finish="tool_calls")], [chunk("", finish="stop")]])
def test_every_shape_of_streamed_calls_is_parsed(shape: Sequence[str], ends: Sequence[str]) -> None:
    """Servers differ; the result is the same two calls, each once, in order."""
    *calls, stopped = read(*shape, *ends)
    assert [request_of(call) for call in calls] == [request_of(FIRST), request_of(SECOND)]
    assert stopped == StreamEnd()


async def test_the_old_function_call_field_is_parsed() -> None:
    """The field from before there were tools, in pieces."""
    script = [
        function_chunk(name="generate_image", arguments=""),
        function_chunk(arguments=CAT[:8]),
        function_chunk(arguments=CAT[8:]),
        function_chunk(finish="function_call"),
        DONE,
    ]
    assert await read_answer(Stream(script)) == [FIRST, StreamEnd()]


@pytest.mark.parametrize("arguments", [CAT, json.loads(CAT)], ids=["text", "object"])
async def test_calls_in_an_answer_that_is_not_streamed(arguments: object) -> None:
    """One body with text and calls."""
    text, call, other, stopped = await read_answer(
        completion("Here:", ("generate_image", arguments), ("vary_image", "{}"), finish="tool_calls")
    )
    assert (text, request_of(call), other, stopped) == (
        TextDelta("Here:"),
        request_of(FIRST),
        ToolCall("vary_image", "{}"),
        StreamEnd(),
    )


def test_a_call_without_arguments_is_accepted() -> None:
    """`vary_image` needs none."""
    vary = ToolCall("vary_image", "")
    assert read(*call_chunks(("vary_image", "")), chunk(finish="tool_calls")) == [vary, StreamEnd()]
    assert read(*call_chunks(("vary_image", ""), ("vary_image", "")), chunk(finish="stop")) == [vary, vary, StreamEnd()]


def test_a_truncated_call_is_parsed_as_far_as_it_goes() -> None:
    """Text beyond the token limit is lost, but the image is not."""
    *_, call, stopped = read(*call_chunks(("generate_image", '{"prompt": "a cat on a')), chunk(finish="length"))
    assert stopped == StreamEnd(is_truncated=True)
    assert isinstance(call, ToolCall)
    assert parse_tool_call(call.name, call.arguments) == [ImageRequest(0, Operation.GENERATE, "a cat on a")]


async def test_a_lost_connection_keeps_complete_calls() -> None:
    """An incomplete call is dropped: it would be rendered now, and again with Retry."""
    cut = call_chunks(("generate_image", CAT), ("generate_image", DOG))[:-1]
    first, failed = await read_answer(Stream([*cut, CUT]))
    assert first == FIRST
    assert failed == ModelFailed(notice("chat-lost"))


REFUSE_TOOLS = {
    "Ollama": error(400, {"message": "registry.ollama.ai/library/gemma3:4b does not support tools", "type": "api"}),
    "vLLM": refusal(400, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'),
    "vLLM, flat": Answer(
        400, json.dumps({"object": "error", "message": '"auto" tool choice requires --enable-auto-tool-choice'})
    ),
    "llama.cpp": refusal(500, "tools param requires --jinja flag"),
    "FastAPI": Answer(
        422,
        json.dumps({"detail": [{"type": "extra_forbidden", "loc": ["body", "tools"], "msg": "Extra", "input": 1}]}),
    ),
    "a proxy": refusal(404, "No endpoints found that support tool use."),
    "not built": error(501, "function calling is not implemented"),
    "in the stream": Stream([json.dumps({"error": {"message": "This model does not support tools", "code": 400}})]),
}  # fmt: skip


@pytest.mark.parametrize("refused", REFUSE_TOOLS.values(), ids=REFUSE_TOOLS.keys())
async def test_a_request_that_refuses_tools_is_repeated_without_them(refused: Answer | Stream) -> None:
    """The user notices nothing; from then on the system prompt describes tags, and no tool is offered."""
    events, requests, profile = await dialogue(refused, said("Hi"), times=2)
    assert events == [TextDelta("Hi"), StreamEnd()]
    assert [bool(request.tools) for request in requests] == [True, False, False]
    assert profile == ModelProfile(RequestProtocol.TAGS)


async def test_an_error_for_another_reason_does_not_change_the_profile() -> None:
    """If the server refuses without tools as well, the tools were not the reason."""
    (event,), requests, profile = await dialogue(refusal(400, "some of your tools are out of order"))
    assert event == ModelFailed(notice("chat-error", status=400))
    assert [bool(request.tools) for request in requests] == [True, False]
    assert profile.request_protocol is RequestProtocol.TOOLS


async def test_the_request_within_an_error_is_not_searched() -> None:
    """FastAPI sends back the request with all of its text."""
    echo = json.dumps(
        {"detail": [{"loc": ["body", "model"], "msg": "unknown", "input": {"tools": ["system", "image"]}}]}
    )
    wrapped = refusal(400, "[{'loc': ('body', 'model'), 'msg': 'unknown', 'input': {'tools': 'tools, system'}}]")
    for answer in (Answer(422, echo), wrapped):
        _, requests, _ = await dialogue(answer)
        assert len(requests) == 1


async def test_the_double_calls_tools_or_writes_tags() -> None:
    """The double that other tests use answers by the request protocol."""
    clever = Clever({"draw a cat": "<image>a cat</image>"}, {"draw a cat": [("generate_image", CAT)]})
    assert (await read_answer(clever)) == [FIRST, StreamEnd()]
    async with openai_server(clever) as double:
        model = OpenAICompatible("small", double.url, None)
        words = [event.text async for event in model.stream(ASKED) if isinstance(event, TextDelta)]
        await model.close()
    assert "".join(words) == "<image>a cat</image>"


def request_of(event: ModelEvent) -> object:
    assert isinstance(event, ToolCall)
    return event.name, json.loads(event.arguments)
