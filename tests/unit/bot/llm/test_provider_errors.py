"""Features that a chat server refuses: the request is repeated without them, and the model profile is corrected."""

import json
import logging
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace

import pytest

from bot.llm.client import OpenAICompatible
from bot.llm.messages import (
    ChatMessage,
    ModelEvent,
    ModelFailed,
    ModelProfile,
    RequestProtocol,
    Role,
    StreamEnd,
    TextDelta,
)
from bot.llm.provider_errors import MIN_CONTEXT, reduce_context
from bot.llm.token_budget import estimate_message_tokens, input_budget
from bot.notices import notice
from tests.support.openai_server import Answer, Asked, Clever, Stream, error, openai_server, refusal, said

JPEG = b"\xff\xd8\xff picture"
SYSTEM = ChatMessage(Role.SYSTEM, "You draw.")
PLAIN = (SYSTEM, ChatMessage(Role.USER, "Ann: hi"))
SHOWN = (
    SYSTEM,
    ChatMessage(Role.USER, "Ann: a cat"),
    ChatMessage(Role.ASSISTANT, "<image>a cat</image>"),
    ChatMessage(Role.USER, '[pictures: #1 "a cat"]\n[shown: #1, #2]\nAnn: what is it?', (JPEG, JPEG + b"2")),
)
LONG = (
    SYSTEM,
    *(ChatMessage(role, "word " * 500) for role in (Role.USER, Role.ASSISTANT) * 2),
    ChatMessage(Role.USER, "Ann: more"),
)


async def dialogue(
    history: Sequence[ChatMessage], *answers: Answer | Stream | Clever, profile: ModelProfile, times: int = 1
) -> tuple[list[ModelEvent], list[Asked], ModelProfile]:
    """The events of the last of some answers, the requests, and the model profile afterwards."""
    async with openai_server(*answers) as double:
        model = OpenAICompatible("small", double.url, None, model_profile=profile)
        try:
            for _ in range(times):
                async with aclosing(model.stream(history)) as events:
                    last = [event async for event in events]
        finally:
            await model.close()
    return last, double.asked, model.profile


# Images


async def test_a_model_with_vision_gets_images() -> None:
    """They follow the text of their message, as data URIs."""
    _, (requests,), _ = await dialogue(SHOWN, said("A cat."), profile=ModelProfile(has_vision=True))
    assert requests.images == ["data:image/jpeg;base64,/9j/IHBpY3R1cmU=", "data:image/jpeg;base64,/9j/IHBpY3R1cmUy"]
    assert [part["type"] for part in requests.body["messages"][-1]["content"]] == ["text", "image_url", "image_url"]
    assert requests.words[-1] == SHOWN[-1].text
    assert isinstance(requests.body["messages"][1]["content"], str)


REFUSE_IMAGES = {
    "vLLM": refusal(400, "At most 0 image(s) may be provided in one prompt."),
    "vLLM, no such model": refusal(400, "small is not a multimodal model"),
    "llama.cpp": refusal(500, "image input is not supported - hint: you may need to provide the mmproj"),
    "LM Studio": error(400, "Model does not support images. Please use a model that does."),
    "OpenAI": refusal(400, "Invalid content type. image_url is only supported by certain models."),
    "serde": refusal(422, "messages[1]: unknown variant `image_url`, expected `text`"),
    "pydantic": Answer(422, json.dumps({"detail": [{"loc": ["body", "content"], "msg": "should be a valid string"}]})),
    "a proxy": refusal(404, "No endpoints found that support image input"),
}


@pytest.mark.parametrize("refused", REFUSE_IMAGES.values(), ids=REFUSE_IMAGES.keys())
async def test_a_request_that_refuses_images_is_repeated_without_them(refused: Answer) -> None:
    """The user gets an answer; the model loses the notes about images, and its profile has no vision."""
    events, requests, profile = await dialogue(
        SHOWN, refused, said("Hi"), profile=ModelProfile(has_vision=True), times=2
    )
    assert events == [TextDelta("Hi"), StreamEnd()]
    assert [len(request.images) for request in requests] == [2, 0, 0]
    assert requests[1].words[-1] == '[pictures: #1 "a cat"]\nAnn: what is it?'
    assert profile == ModelProfile(has_vision=False)


async def test_a_server_that_accepts_one_image_gets_one() -> None:
    """The limit that the server names is kept, and the profile keeps vision."""
    events, requests, profile = await dialogue(SHOWN, Clever(images=1), profile=ModelProfile(has_vision=True), times=2)
    assert isinstance(events[-1], StreamEnd)
    assert [len(request.images) for request in requests] == [2, 1, 1]
    assert profile.has_vision


# The system text


REFUSE_SYSTEM = {
    "Gemma": refusal(400, "System role not supported"),
    "Mistral": refusal(400, "After the optional system message, conversation roles must alternate user/assistant/..."),
    "Mistral, older": refusal(400, "Conversation roles must alternate user/assistant/user/assistant/..."),
    "llama.cpp": refusal(500, "Jinja Exception: System role not supported"),
    "LM Studio": error(400, 'Error rendering prompt: "Only user and assistant roles are supported!"'),
    "Google": refusal(400, "Developer instruction is not enabled for models/gemma-3-27b-it"),
    "OpenAI": refusal(400, "Unsupported value: 'messages[0].role' does not support 'system' with this model."),
}  # fmt: skip


@pytest.mark.parametrize("refused", REFUSE_SYSTEM.values(), ids=REFUSE_SYSTEM.keys())
async def test_a_template_without_a_system_role_gets_its_text_in_the_first_message(refused: Answer) -> None:
    """Also from then on; and the roles alternate."""
    events, requests, profile = await dialogue(
        SHOWN, refused, said("Hi"), profile=ModelProfile(has_vision=True), times=2
    )
    assert events == [TextDelta("Hi"), StreamEnd()]
    assert [request.roles for request in requests] == [
        ["system", "user", "assistant", "user"],
        ["user", "assistant", "user"],
        ["user", "assistant", "user"],
    ]
    assert requests[-1].words[0] == "You draw.\n\nAnn: a cat"
    assert profile == ModelProfile(has_vision=True, takes_system_message=False)


async def test_a_model_known_to_have_no_system_role_gets_none() -> None:
    """The profile applies from the first request on."""
    clever = Clever(takes_system=False)
    _, requests, _ = await dialogue(PLAIN, clever, profile=ModelProfile(takes_system_message=False))
    assert [request.roles for request in requests] == [["user"]]
    _, (alone,), _ = await dialogue((SYSTEM,), clever, profile=ModelProfile(takes_system_message=False))
    assert (alone.roles, alone.words) == (["user"], ["You draw."])


async def test_several_refusals_are_handled_one_after_the_other() -> None:
    """A server that accepts neither a system message nor images gets three requests, and then its profile is known."""
    clever = Clever(takes_system=False)
    _, requests, profile = await dialogue(SHOWN, clever, profile=ModelProfile(has_vision=True), times=2)
    assert len(requests) == 4
    assert profile == ModelProfile(takes_system_message=False)


async def test_a_refusal_without_a_remedy_ends_in_a_sentence() -> None:
    """Every remedy is tried once; the profile does not change."""
    stubborn = refusal(400, "tools, images and system roles are not supported")
    (event,), requests, profile = await dialogue(SHOWN, stubborn, profile=ModelProfile(has_vision=True))
    assert event == ModelFailed(notice("chat-error", status=400))
    assert len(requests) == 3
    assert profile == ModelProfile(has_vision=True)


async def test_the_text_of_an_error_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The log says what was done, not what the server wrote."""
    caplog.set_level(logging.DEBUG, logger="bot")
    await dialogue(PLAIN, refusal(400, "System role not supported: Ann said hi"), said("Hi"), profile=ModelProfile())
    await dialogue(PLAIN, refusal(400, "Ann said hi"), profile=ModelProfile())
    assert "asked again without" in caplog.text
    assert "Ann" not in caplog.text


# The context


TOO_LONG = {
    "OpenAI": error(
        400,
        {
            "message": "This model's maximum context length is 4097 tokens. However, your messages resulted in 5000"
            " tokens (3000 in the messages, 2000 in the functions). Please reduce the length of the messages.",
            "code": "context_length_exceeded",
        },
    ),
    "vLLM": refusal(400, "This model's maximum context length is 4097 tokens. However, you requested 9000 tokens"),
    "vLLM, decoder": refusal(400, "The decoder prompt (length 5000) is longer than the maximum model length of 4097."),
    "llama.cpp": error(
        400,
        {
            "code": 400,
            "message": "the request exceeds the available context size, try increasing it",
            "type": "exceed_context_size_error",
            "n_prompt_tokens": 5000,
            "n_ctx": 4097,
        },
    ),
    "llama.cpp, newer": refusal(
        400, "request (5000 tokens) exceeds the available context size (4097 tokens), try increasing it"
    ),
    "llama-cpp-python": refusal(500, "Requested tokens (5000) exceed context window of 4097"),
    "LM Studio": error(
        400,
        "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context"
        " length of only 4097 tokens, which is not enough.",
    ),
    "LM Studio, newer": error(
        400,
        "The number of tokens to keep from the initial prompt is greater than the context length (n_keep: 13055>="
        " n_ctx: 4097). Try to load the model with a larger context length, or provide a shorter input.",
    ),
    "LM Studio, latest": error(400, "Cannot truncate prompt with n_keep (15028) >= n_ctx (4097)"),
    "Gemini": refusal(400, "The input token count (5000) exceeds the maximum number of tokens allowed (4097)."),
    "Mistral": refusal(400, "Prompt contains 5000 tokens, too large for model with 4097 maximum context length"),
    "Claude": refusal(400, "prompt is too long: 5000 tokens > 4097 maximum"),
    "TGI": refusal(422, "`inputs` tokens + `max_new_tokens` must be <= 4097. Given: 5000 `inputs` tokens"),
    "Groq": refusal(413, "Request too large for model `m` on tokens per minute (TPM): Limit 4097, Requested 5000"),
    "in the stream": Stream(
        [json.dumps({"error": {"message": "maximum context length is 4097 tokens", "type": "BadRequestError"}})]
    ),
}
UNNUMBERED = {
    "Ollama": error(400, {"message": "the input length exceeds the context length", "type": "invalid_request_error"}),
    "Ollama, prompt": refusal(400, "prompt too long; exceeded max context length by 100 tokens"),
    "LM Studio": error(400, "The number of tokens to keep from the initial prompt is greater than the context length."),
    "a proxy": Answer(413, "<html>Request Entity Too Large</html>", {"Content-Type": "text/html"}),
}


@pytest.mark.parametrize("refused", TOO_LONG.values(), ids=TOO_LONG.keys())
async def test_a_history_that_does_not_fit_is_shortened_to_the_limit_of_the_server(refused: Answer | Stream) -> None:
    """The request is not repeated at once: Retry sends the shorter history, and the sentence says so."""
    (event,), requests, profile = await dialogue(LONG, refused, profile=ModelProfile(context_window=32_768))
    assert event == ModelFailed(notice("chat-too-long"))
    assert len(requests) == 1
    assert profile == ModelProfile(context_window=4097)


@pytest.mark.parametrize("refused", UNNUMBERED.values(), ids=UNNUMBERED.keys())
async def test_without_a_limit_three_quarters_of_the_request_fit(refused: Answer) -> None:
    """The next request is shorter in any case."""
    (event,), _, profile = await dialogue(LONG, refused, profile=ModelProfile(RequestProtocol.TOOLS, 32_768))
    assert event == ModelFailed(notice("chat-too-long"))
    assert profile == ModelProfile(RequestProtocol.TOOLS, sum(map(estimate_message_tokens, LONG)) * 3 // 4)


@pytest.mark.parametrize("sent", [800, 1500, 3000, 6000, 30_000])
@pytest.mark.parametrize(
    "error_text", ["", "maximum context length is 4096", "maximum context length is 1000000", "n_ctx 7"]
)
def test_the_next_request_is_shorter(sent: int, error_text: str) -> None:
    """For every message of a server and every wrong estimate, until nothing is left to shorten."""
    context = 32_768
    while (less := reduce_context(context, sent, error_text)) < context:
        context = less
        assert input_budget(replace(ModelProfile(), context_window=context)) < max(sent, MIN_CONTEXT)
        sent = min(sent, input_budget(replace(ModelProfile(), context_window=context)))
    assert context >= MIN_CONTEXT


async def test_a_context_window_that_is_too_small_is_reported() -> None:
    """If nothing is left to shorten, the sentence does not offer Retry."""
    refused = UNNUMBERED["Ollama"]
    (event,), _, profile = await dialogue(LONG, refused, profile=ModelProfile(context_window=MIN_CONTEXT), times=2)
    sentence = notice("chat-context-too-small")
    assert event == ModelFailed(sentence)
    assert profile.context_window == MIN_CONTEXT


async def test_a_rate_limit_says_nothing_about_the_context_window() -> None:
    """A rate limit on tokens is a matter of time, unless the one request is too large for it."""
    busy = refusal(429, "Rate limit reached on tokens per min. Limit 30000, Used 29000", **{"Retry-After": "9"})
    (event,), _, profile = await dialogue(LONG, busy, profile=ModelProfile(context_window=32_768))
    assert event == ModelFailed(notice("chat-overloaded", wait=9.0))
    assert profile.context_window == 32_768
