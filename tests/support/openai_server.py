"""An OpenAI-compatible chat server on a real socket that answers as it was told to, and remembers what it was asked.

It gives scripted answers one after the other, well-formed or not, or it is `Clever`: then it looks at the request.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

DONE = "[DONE]"
CUT = object()  # in a script: the connection is reset here
HOLD = object()  # in a script: nothing more is sent until the client hangs up

Calls = Sequence[tuple[str, str]]  # names and arguments


@dataclass(frozen=True)
class Answer:
    """One whole HTTP answer."""

    status: int
    body: str
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


@dataclass(frozen=True)
class Stream:
    """An event stream: texts are sent as the data of an event, CUT and HOLD are done."""

    script: Sequence[object]


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def roles(self) -> list[str]:
        """Who speaks, message by message."""
        return [message["role"] for message in self.body["messages"]]

    @property
    def words(self) -> list[str]:
        """The text of every message."""
        return [_text(message["content"]) for message in self.body["messages"]]

    @property
    def images(self) -> list[str]:
        """The addresses of all images."""
        contents = [message["content"] for message in self.body["messages"]]
        parts = [part for content in contents if isinstance(content, list) for part in content]
        return [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]

    @property
    def tools(self) -> list[str]:
        """The names of the tools that are offered."""
        return [tool["function"]["name"] for tool in self.body.get("tools", ())]


@dataclass(frozen=True)
class Clever:
    """Looks at the request: refuses what it does not take, and answers the last message.

    What it says depends on the words that the message ends with: with `tags` if it is offered no tools, else with
    `calls`, and with `otherwise` if it knows nothing better. `context` is in characters.
    """

    tags: Mapping[str, str] = field(default_factory=dict)
    calls: Mapping[str, Calls] = field(default_factory=dict)
    otherwise: str = "Well."
    takes_tools: bool = True
    takes_system: bool = True
    images: int = 0
    context: int = 1_000_000
    refusals: Mapping[str, Answer] = field(default_factory=dict)  # by `tools`, `system`, `images` or `context`

    def answer(self, asked: Asked) -> Answer | Stream:
        """What it says to that."""
        if asked.tools and not self.takes_tools:
            return self.refusals.get("tools") or refusal(400, "m does not support tools")
        if "system" in asked.roles and not self.takes_system:
            return self.refusals.get("system") or refusal(400, "System role not supported")
        if any(role == before for role, before in zip(asked.roles[1:], asked.roles, strict=False)):
            return refusal(400, "Conversation roles must alternate user/assistant/user/assistant/...")
        if len(asked.images) > self.images:
            output = f"At most {self.images} image(s) may be provided in one prompt."
            return self.refusals.get("images") or refusal(400, output)
        if sum(map(len, asked.words)) > self.context:
            return self.refusals.get("context") or refusal(400, "The prompt is too long.")
        return self._answer(asked)

    def _answer(self, asked: Asked) -> Stream:
        last = asked.words[-1]
        if asked.tools:
            calls = next((calls for words, calls in self.calls.items() if last.endswith(words)), ())
            return said("" if calls else self.otherwise, calls)
        return said(next((tag for words, tag in self.tags.items() if last.endswith(words)), self.otherwise))


@dataclass
class OpenAIDouble:
    """Gives its answers one after the other, and repeats the last one."""

    answers: list[Answer | Stream | Clever]
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The next answer."""
        asked = Asked(request.path, dict(request.headers), await request.json())
        self.asked.append(asked)
        self.arrived.set()
        chosen = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        match chosen.answer(asked) if isinstance(chosen, Clever) else chosen:
            case Answer(status, body, headers):
                return web.Response(status=status, text=body, headers=headers)
            case Stream(script):
                return await self._stream(request, script)

    async def _stream(self, request: web.Request, script: Sequence[object]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            for data in script:
                if data is HOLD:
                    await asyncio.Event().wait()
                elif data is CUT:
                    assert request.transport
                    request.transport.abort()
                    return response
                else:
                    await response.write(f"data: {data}\n\n".encode())
        except asyncio.CancelledError:
            self.hung_up.set()
            raise
        await response.write_eof()
        return response


@asynccontextmanager
async def openai_server(*answers: Answer | Stream | Clever) -> AsyncGenerator[OpenAIDouble]:
    """A server that gives these answers, at `double.url`."""
    double = OpenAIDouble(list(answers))
    app = web.Application(client_max_size=2**24)
    app.router.add_post("/{path:.*}", double.answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    double.url = f"http://{host}:{port}/v1"
    try:
        yield double
    finally:
        await runner.cleanup()


# What is answered


def chunk(text: str | None = None, finish: str | None = None, **more: object) -> str:
    """The data of one event of a streamed chat completion."""
    return _event({} if text is None else {"content": text}, finish, more)


def call_chunk(*pieces: Mapping[str, object], finish: str | None = None) -> str:
    """The data of one event that holds pieces of tool calls, each as `piece` makes it."""
    return _event({"tool_calls": list(pieces)}, finish, {})


def piece(
    name: str | None = None, arguments: object = None, *, index: int | None = 0, call_id: str | None = None
) -> dict[str, object]:
    """A piece of a tool call; what is None is left out."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    given = {"index": index, "id": call_id, "type": "function" if name else None, "function": function}
    return {key: value for key, value in given.items() if value is not None}


def call_chunks(*calls: tuple[str, str], size: int = 7) -> list[str]:
    """Tool calls as OpenAI streams them: index, id and name first, then the arguments in pieces of some characters."""
    chunks: list[str] = []
    for index, (name, arguments) in enumerate(calls):
        chunks.append(call_chunk(piece(name, "", index=index, call_id=f"call_{index}")))
        cut = (arguments[start : start + size] for start in range(0, len(arguments), size))
        chunks += [call_chunk(piece(None, part, index=index)) for part in cut]
    return chunks


def function_chunk(finish: str | None = None, **function: object) -> str:
    """The data of one event that holds a piece of a call in the shape from before there were tools."""
    return _event({"function_call": function}, finish, {})


def said(text: str = "", calls: Calls = ()) -> Stream:
    """A whole streamed answer, in small pieces."""
    words = [chunk(text[start : start + 5]) for start in range(0, len(text), 5)]
    return Stream([*words, *call_chunks(*calls), chunk(finish="tool_calls" if calls else "stop"), DONE])


def completion(text: str | None, *calls: tuple[str, object], finish: str = "stop") -> Answer:
    """An answer that is not streamed."""
    made = [piece(name, arguments, index=None, call_id=f"call_{n}") for n, (name, arguments) in enumerate(calls)]
    message = {"role": "assistant", "content": text, "tool_calls": made or None}
    whole = {"object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": finish}]}
    return Answer(200, json.dumps(_envelope() | whole), {"Content-Type": "application/json; charset=utf-8"})


def usage(choices: list[object] | None) -> str:
    """The event that counts tokens: some servers send no choices with it, others null."""
    counted = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    return json.dumps(_envelope() | {"choices": choices, "usage": counted})


def refusal(status: int, message: str, **headers: str) -> Answer:
    """An error in OpenAI's shape."""
    return error(status, {"message": message, "type": "invalid_request_error", "param": None, "code": None}, **headers)


def error(status: int, output: object, **headers: str) -> Answer:
    """An error in any shape that has `error` around it."""
    return Answer(status, json.dumps({"error": output}), {"Content-Type": "application/json"} | headers)


def _event(delta: Mapping[str, object], finish: str | None, more: Mapping[str, object]) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return json.dumps(_envelope() | {"choices": [choice]} | dict(more))


def _envelope() -> dict[str, object]:
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def _text(content: str | list[dict[str, Any]]) -> str:
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content if part["type"] == "text")
