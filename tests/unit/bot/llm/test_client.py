"""The chat model behind an OpenAI-compatible server: what it sends, and what becomes of every kind of answer."""

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


async def heard(url: str, transcript: Sequence[ChatMessage] = ASKED) -> list[ModelEvent]:
    """Every event of one answer."""
    model = OpenAICompatible("small", url, KEY)
    try:
        async with aclosing(model.stream(transcript)) as events:
            return [event async for event in events]
    finally:
        await model.close()


async def answered(*answers: Answer | Stream) -> list[ModelEvent]:
    """Every event of the answer of a server that answers so."""
    async with openai_server(*answers) as double:
        return await heard(double.url)


def reason(event: ModelEvent) -> str:
    """The sentence of a failure, which says nothing that is not for people."""
    assert isinstance(event, ModelFailed)
    sentence = str(event.reason)
    for private in (KEY, "Traceback", "/srv", "<", "{", "Error", "\n", "secret"):
        assert private not in sentence
    assert sentence[0].isupper()
    assert sentence.endswith(".")
    return sentence


async def test_the_words_arrive_as_they_are_written() -> None:
    """Every delta is told in order, and then the end."""
    script = [chunk(""), chunk("A red "), chunk("circle"), chunk("."), chunk(finish="stop"), DONE]
    assert await answered(Stream(script)) == [TextDelta("A red "), TextDelta("circle"), TextDelta("."), StreamEnd()]


async def test_the_transcript_is_sent_with_its_roles() -> None:
    """The request names the model, asks for a stream, shows the key, and keeps every role and word."""
    async with openai_server(Stream([chunk("Hi", "stop"), DONE])) as double:
        await heard(double.url)
    (asked,) = double.asked
    assert asked.path == "/v1/chat/completions"
    assert asked.headers["Authorization"] == f"Bearer {KEY}"
    assert (asked.body["model"], asked.body["stream"]) == ("small", True)
    assert asked.body["messages"] == [
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
async def test_counted_tokens_are_no_words(choices: list[object] | None) -> None:
    """An event with no choices, or with null for them, changes nothing."""
    script = [usage(choices), chunk("Hi"), chunk(finish="stop"), usage(choices), DONE]
    assert await answered(Stream(script)) == [TextDelta("Hi"), StreamEnd()]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_a_thinking_model_says_only_its_answer(field: str) -> None:
    """Fields that are not the answer's own words are left out."""
    thought = json.dumps({"choices": [{"index": 0, "delta": {field: "Hm.", "content": None}}]})
    assert await answered(Stream([thought, chunk("Hi", "stop"), DONE])) == [TextDelta("Hi"), StreamEnd()]


async def test_words_in_parts_are_words_but_for_the_thoughts() -> None:
    """Content may be a list of parts, of which some are thoughts."""
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "Hi"}]
    event = json.dumps({"choices": [{"delta": {"content": parts}, "finish_reason": "stop"}]})
    assert await answered(Stream([event, DONE])) == [TextDelta("Hi"), StreamEnd()]


async def test_an_answer_in_one_piece_is_taken_as_well() -> None:
    """A server that does not stream answers with one JSON body."""
    assert await answered(completion("A red circle.")) == [TextDelta("A red circle."), StreamEnd()]
    assert await answered(completion("A red", finish="length")) == [TextDelta("A red"), StreamEnd(is_truncated=True)]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (json.dumps({"error": {"message": NOISE}}), "stopped with an error"),
        (json.dumps({"error": NOISE}), "stopped with an error"),
        ("{broken", "not a chat completion"),
        ("[]", "not a chat completion"),
        ("", "not a chat completion"),
    ],
)
async def test_a_body_that_is_no_answer_is_a_failure(body: str, told: str) -> None:
    """JSON that calls itself a success and holds none ends in a sentence."""
    (event,) = await answered(Answer(200, body))
    assert told in reason(event)


@pytest.mark.parametrize(
    "end",
    [[chunk(finish="length"), DONE], [chunk(finish="content_filter"), DONE], [DONE], []],
    ids=["length", "content_filter", "no finish_reason", "no end at all"],
)
async def test_an_answer_that_was_cut_short_says_so(end: list[str]) -> None:
    """A limit, or an end without a reason, makes the answer truncated."""
    assert await answered(Stream([chunk("A red "), *end])) == [TextDelta("A red "), StreamEnd(is_truncated=True)]


@pytest.mark.parametrize(
    "end",
    [[json.dumps({"error": {"message": NOISE, "code": 500}})], [json.dumps({"error": NOISE})], ["{broken"], [CUT]],
    ids=["error", "error as text", "broken JSON", "cut connection"],
)
async def test_a_fault_in_the_middle_keeps_what_was_said(end: list[object]) -> None:
    """The words before the fault are told, and then a sentence."""
    events = await answered(Stream([chunk("A red "), *end]))
    assert events[0] == TextDelta("A red ")
    assert len(events) == 2
    reason(events[1])


@pytest.mark.parametrize("data", ["7", "null", "[]", '"hi"', '{"choices": 7}', '{"choices": [null]}'])
async def test_an_event_that_is_no_chat_completion_is_a_failure(data: str) -> None:
    """JSON of another shape ends in a sentence, not in a bug."""
    events = await answered(Stream([chunk("Hi"), data, chunk(finish="stop"), DONE]))
    assert events[0] == TextDelta("Hi")
    assert "not a chat completion" in reason(events[-1])


@pytest.mark.parametrize(
    ("answer", "told"),
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
async def test_every_refusal_becomes_a_sentence_with_the_cure(answer: Answer, told: str) -> None:
    """The person reads what can be done, and nothing of what the server wrote."""
    (event,) = await answered(answer)
    assert told in reason(event)


async def test_a_server_that_stumbles_once_is_asked_again() -> None:
    """One overloaded answer before the first word is not told to anybody."""
    async with openai_server(Answer(503, "later"), Stream([chunk("Hi", "stop"), DONE])) as double:
        assert await heard(double.url) == [TextDelta("Hi"), StreamEnd()]
    assert len(double.asked) == 2


@pytest.mark.parametrize("status", [429, 503])
async def test_a_pause_that_people_would_notice_is_told_at_once(status: int) -> None:
    """Twenty seconds of Retry-After are told, not waited out; nothing is asked again."""
    async with openai_server(refusal(status, NOISE, **{"Retry-After": "20"})) as double:
        async with asyncio.timeout(10):
            (event,) = await heard(double.url)
    assert reason(event).endswith(" Try again in 20 seconds.")
    assert len(double.asked) == 1


async def test_a_pause_may_be_a_date() -> None:
    """A date that has passed is no pause."""
    busy = refusal(429, NOISE, **{"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})
    async with openai_server(busy, Stream([chunk("Hi", "stop"), DONE])) as double:
        assert await heard(double.url) == [TextDelta("Hi"), StreamEnd()]
    assert len(double.asked) == 2


async def test_an_answer_is_never_asked_for_twice_once_it_began() -> None:
    """A connection cut in the middle is no reason to begin again."""
    async with openai_server(Stream([chunk("Hi"), CUT])) as double:
        await heard(double.url)
    assert len(double.asked) == 1


async def test_a_server_that_is_not_there_is_named() -> None:
    """A refused connection tells the address."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        (event,) = await heard(url)
    assert url in reason(event)


async def test_a_password_in_the_address_is_not_told() -> None:
    """The sentence names the server without what opens it."""
    (event,) = await heard("http://ann:secret@127.0.0.1:1/v1")
    assert "127.0.0.1:1" in reason(event)


def test_silence_is_told_in_seconds() -> None:
    """A timeout has its own sentence, before the one of a lost connection."""
    timeout = openai.APITimeoutError(request=httpx2.Request("POST", "http://127.0.0.1/v1"))
    assert str(explain(refusal_of(timeout), "small", "here")) == "The chat model did not answer within 90 seconds."


def test_a_server_that_takes_no_connection_is_not_called_silent() -> None:
    """Five seconds without a connection are not ninety without a word."""
    timeout = openai.APITimeoutError(request=httpx2.Request("POST", "http://127.0.0.1/v1"))
    timeout.__cause__ = httpx2.ConnectTimeout("no answer")
    assert str(explain(refusal_of(timeout), "small", "here")) == "The chat model at here cannot be reached."


async def test_closing_early_ends_the_request() -> None:
    """The server sees the client hang up as soon as nobody listens any more."""
    async with openai_server(Stream([chunk("A red "), HOLD])) as double:
        model = OpenAICompatible("small", double.url, KEY)
        async with aclosing(model.stream(ASKED)) as events:
            assert await anext(events) == TextDelta("A red ")
            assert not double.hung_up.is_set()
        async with asyncio.timeout(10):
            await double.hung_up.wait()
        await model.close()


async def test_cancelling_the_listener_ends_the_request() -> None:
    """A task that is cancelled while it waits for the next word lets go of the server."""
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
