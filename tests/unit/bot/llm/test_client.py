"""The client of an OpenAI-compatible server: its requests, and the events for every kind of answer."""

import asyncio
import json
import socket
from collections.abc import Sequence
from contextlib import aclosing

import httpx2
import openai
import pytest

from bot.llm.client import OpenAICompatible
from bot.llm.messages import ChatMessage, ModelEvent, ModelFailed, Role, StreamEnd, TextDelta
from bot.llm.provider_errors import classify_error as refusal_of
from bot.llm.provider_errors import explain
from tests.support.openai_server import (
    CUT,
    DONE,
    HOLD,
    Answer,
    Stream,
    chunk,
    completion,
    error,
    openai_server,
    refusal,
    usage,
)

KEY = "sk-very-secret-key"
NOISE = "Traceback: line 7 of /srv/model.py said " + KEY  # what a server may say and a person must not read
ASKED = (ChatMessage(Role.SYSTEM, "You draw."), ChatMessage(Role.USER, "Ann: hi"), ChatMessage(Role.ASSISTANT, "Hi."))
HTML = {"Content-Type": "text/html"}


async def read_answer(url: str, history: Sequence[ChatMessage] = ASKED) -> list[ModelEvent]:
    """Every event of one answer."""
    model = OpenAICompatible("small", url, KEY)
    try:
        async with aclosing(model.stream(history)) as events:
            return [event async for event in events]
    finally:
        await model.close()


async def events_of(*answers: Answer | Stream) -> list[ModelEvent]:
    """Every event of the answer of a server with these responses."""
    async with openai_server(*answers) as double:
        return await read_answer(double.url)


def reason(event: ModelEvent) -> str:
    """The sentence of a failure, which contains no internal detail."""
    assert isinstance(event, ModelFailed)
    sentence = str(event.reason)
    for private in (KEY, "Traceback", "/srv", "<", "{", "Error", "\n", "secret"):
        assert private not in sentence
    assert sentence[0].isupper()
    assert sentence.endswith(".")
    return sentence


async def test_the_text_arrives_as_it_is_streamed() -> None:
    """Every text delta in order, and then the end."""
    script = [chunk(""), chunk("A red "), chunk("circle"), chunk("."), chunk(finish="stop"), DONE]
    assert await events_of(Stream(script)) == [TextDelta("A red "), TextDelta("circle"), TextDelta("."), StreamEnd()]


async def test_the_history_is_sent_with_its_roles() -> None:
    """The request names the model, asks for a stream, sends the key, and keeps every role and text."""
    async with openai_server(Stream([chunk("Hi", "stop"), DONE])) as double:
        await read_answer(double.url)
    (request,) = double.asked
    assert request.path == "/v1/chat/completions"
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert (request.body["model"], request.body["stream"]) == ("small", True)
    assert request.body["messages"] == [
        {"role": "system", "content": "You draw."},
        {"role": "user", "content": "Ann: hi"},
        {"role": "assistant", "content": "Hi."},
    ]


async def test_a_local_server_needs_no_key() -> None:
    """Without a key the request is sent all the same."""
    async with openai_server(Stream([chunk("Hi", "stop"), DONE])) as double:
        model = OpenAICompatible("small", double.url, None)
        assert [event async for event in model.stream(ASKED)] == [TextDelta("Hi"), StreamEnd()]
        await model.close()


@pytest.mark.parametrize("choices", [[], None])
async def test_an_event_of_token_counts_adds_no_text(choices: list[object] | None) -> None:
    """An event with no choices, or with null for them, changes nothing."""
    script = [usage(choices), chunk("Hi"), chunk(finish="stop"), usage(choices), DONE]
    assert await events_of(Stream(script)) == [TextDelta("Hi"), StreamEnd()]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_reasoning_fields_are_left_out(field: str) -> None:
    """Only the text of the answer itself is streamed."""
    thought = json.dumps({"choices": [{"index": 0, "delta": {field: "Hm.", "content": None}}]})
    assert await events_of(Stream([thought, chunk("Hi", "stop"), DONE])) == [TextDelta("Hi"), StreamEnd()]


async def test_content_in_parts_is_text_without_the_reasoning() -> None:
    """Content may be a list of parts, of which some are reasoning."""
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "Hi"}]
    event = json.dumps({"choices": [{"delta": {"content": parts}, "finish_reason": "stop"}]})
    assert await events_of(Stream([event, DONE])) == [TextDelta("Hi"), StreamEnd()]


async def test_an_answer_without_streaming_is_accepted() -> None:
    """A server that does not stream answers with one JSON body."""
    assert await events_of(completion("A red circle.")) == [TextDelta("A red circle."), StreamEnd()]
    assert await events_of(completion("A red", finish="length")) == [TextDelta("A red"), StreamEnd(is_truncated=True)]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (json.dumps({"error": {"message": NOISE}}), "stopped with an error"),
        (json.dumps({"error": NOISE}), "stopped with an error"),
        ("{broken", "not a chat completion"),
        ("[]", "not a chat completion"),
        ("", "not a chat completion"),
    ],
)
async def test_a_body_that_is_no_answer_is_a_failure(body: str, sentence: str) -> None:
    """A successful response without an answer ends in a sentence."""
    (event,) = await events_of(Answer(200, body))
    assert sentence in reason(event)


@pytest.mark.parametrize(
    "end",
    [[chunk(finish="length"), DONE], [chunk(finish="content_filter"), DONE], [DONE], []],
    ids=["length", "content_filter", "no finish_reason", "no end at all"],
)
async def test_an_answer_that_was_cut_short_is_marked(end: list[str]) -> None:
    """A token limit, or an end without a reason, makes the answer truncated."""
    assert await events_of(Stream([chunk("A red "), *end])) == [TextDelta("A red "), StreamEnd(is_truncated=True)]


@pytest.mark.parametrize(
    "end",
    [[json.dumps({"error": {"message": NOISE, "code": 500}})], [json.dumps({"error": NOISE})], ["{broken"], [CUT]],
    ids=["error", "error as text", "broken JSON", "cut connection"],
)
async def test_an_error_in_the_middle_keeps_the_text_before_it(end: list[object]) -> None:
    """The text before the error is streamed, then a sentence."""
    events = await events_of(Stream([chunk("A red "), *end]))
    assert events[0] == TextDelta("A red ")
    assert len(events) == 2
    reason(events[1])


@pytest.mark.parametrize("data", ["7", "null", "[]", '"hi"', '{"choices": 7}', '{"choices": [null]}'])
async def test_an_event_that_is_no_chat_completion_is_a_failure(data: str) -> None:
    """JSON of another shape ends in a sentence, not in a bug."""
    events = await events_of(Stream([chunk("Hi"), data, chunk(finish="stop"), DONE]))
    assert events[0] == TextDelta("Hi")
    assert "not a chat completion" in reason(events[-1])


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (refusal(401, NOISE), "OPENAI_API_KEY"),
        (refusal(403, NOISE), "OPENAI_API_KEY"),
        (refusal(404, NOISE), "LLM_MODEL"),
        (
            refusal(400, "This model's maximum context length is 4096 tokens. " + NOISE),
            "Press Retry to send it shortened",
        ),
        (refusal(400, NOISE), "HTTP 400"),
        (refusal(429, NOISE, **{"Retry-After": "3600"}), "Try again in 60 minutes"),
        (error(429, {"message": NOISE, "code": "insufficient_quota"}), "no credit left"),
        (Answer(500, NOISE), "HTTP 500"),
        (Answer(500, json.dumps(NOISE)), "HTTP 500"),
        (Answer(502, f"<html>{NOISE}</html>", HTML), "HTTP 502"),
        (Answer(404, f"<html>{NOISE}</html>", HTML), "OPENAI_BASE_URL"),
        (Answer(200, f"<html>{NOISE}</html>", HTML), "OPENAI_BASE_URL"),
        (Answer(200, "", HTML), "OPENAI_BASE_URL"),
    ],
    ids="401 403 404 context 400 429 quota 500 500-text 502-html 404-html 200-html 200-empty".split(),
)
async def test_every_error_becomes_a_sentence_with_a_remedy(answer: Answer, sentence: str) -> None:
    """The user reads what can be done, and no text of the server."""
    (event,) = await events_of(answer)
    assert sentence in reason(event)


async def test_a_request_is_repeated_after_one_overload() -> None:
    """One overloaded response before the first text is hidden from the user."""
    async with openai_server(Answer(503, "later"), Stream([chunk("Hi", "stop"), DONE])) as double:
        assert await read_answer(double.url) == [TextDelta("Hi"), StreamEnd()]
    assert len(double.asked) == 2


@pytest.mark.parametrize("status", [429, 503])
async def test_a_long_pause_is_reported_at_once(status: int) -> None:
    """Twenty seconds of Retry-After are reported, not waited for; the request is not repeated."""
    async with openai_server(refusal(status, NOISE, **{"Retry-After": "20"})) as double:
        async with asyncio.timeout(10):
            (event,) = await read_answer(double.url)
    assert reason(event).endswith(" Try again in 20 seconds.")
    assert len(double.asked) == 1


async def test_a_pause_may_be_a_date() -> None:
    """A date in the past is no pause."""
    busy = refusal(429, NOISE, **{"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})
    async with openai_server(busy, Stream([chunk("Hi", "stop"), DONE])) as double:
        assert await read_answer(double.url) == [TextDelta("Hi"), StreamEnd()]
    assert len(double.asked) == 2


async def test_a_request_is_not_repeated_after_its_answer_began() -> None:
    """A connection that is cut in the middle of an answer is not opened again."""
    async with openai_server(Stream([chunk("Hi"), CUT])) as double:
        await read_answer(double.url)
    assert len(double.asked) == 1


async def test_an_unreachable_server_is_named() -> None:
    """The sentence about a refused connection contains the address."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        (event,) = await read_answer(url)
    assert url in reason(event)


async def test_a_password_in_the_address_is_not_shown() -> None:
    """The sentence names the server without its credentials."""
    (event,) = await read_answer("http://ann:secret@127.0.0.1:1/v1")
    assert "127.0.0.1:1" in reason(event)


def test_a_timeout_is_reported_in_seconds() -> None:
    """A timeout has its own sentence, not that of a lost connection."""
    timeout = openai.APITimeoutError(request=httpx2.Request("POST", "http://127.0.0.1/v1"))
    assert str(explain(refusal_of(timeout), "small", "here")) == "The chat model did not answer within 90 seconds."


def test_a_connection_timeout_has_its_own_sentence() -> None:
    """Five seconds without a connection differ from ninety seconds without text."""
    timeout = openai.APITimeoutError(request=httpx2.Request("POST", "http://127.0.0.1/v1"))
    timeout.__cause__ = httpx2.ConnectTimeout("no answer")
    assert str(explain(refusal_of(timeout), "small", "here")) == "The chat model at here cannot be reached."


async def test_closing_early_ends_the_request() -> None:
    """The server sees the connection close as soon as the generator is closed."""
    async with openai_server(Stream([chunk("A red "), HOLD])) as double:
        model = OpenAICompatible("small", double.url, KEY)
        async with aclosing(model.stream(ASKED)) as events:
            assert await anext(events) == TextDelta("A red ")
            assert not double.hung_up.is_set()
        async with asyncio.timeout(10):
            await double.hung_up.wait()
        await model.close()


async def test_cancelling_the_reader_ends_the_request() -> None:
    """A cancelled task that waits for the next text closes the connection."""
    first = asyncio.Event()
    async with openai_server(Stream([chunk("A red "), HOLD])) as double:
        model = OpenAICompatible("small", double.url, KEY)

        async def listening() -> None:
            async with aclosing(model.stream(ASKED)) as events:
                async for _ in events:
                    first.set()

        task = asyncio.create_task(listening())
        async with asyncio.timeout(10):
            await first.wait()
            task.cancel()
            await double.hung_up.wait()
        with pytest.raises(asyncio.CancelledError):
            await task
        await model.close()
