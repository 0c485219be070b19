"""An OpenAI-compatible chat server on a real socket that answers as it was told to, and remembers what it was asked."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

DONE = "[DONE]"
CUT = object()  # in a script: the connection is reset here
HOLD = object()  # in a script: nothing more is sent until the client hangs up


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


@dataclass
class OpenAIDouble:
    """Gives its answers one after the other, and repeats the last one."""

    answers: list[Answer | Stream]
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The next answer."""
        self.asked.append(Asked(request.path, dict(request.headers), await request.json()))
        match self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]:
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
async def openai_server(*answers: Answer | Stream) -> AsyncGenerator[OpenAIDouble]:
    """A server that gives these answers, at `double.url`."""
    double = OpenAIDouble(list(answers))
    app = web.Application()
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


def chunk(text: str | None = None, finish: str | None = None, **more: object) -> str:
    """The data of one event of a streamed chat completion."""
    choice = {"index": 0, "delta": {} if text is None else {"content": text}, "finish_reason": finish}
    return json.dumps(_envelope() | {"choices": [choice]} | more)


def usage(choices: list[object] | None) -> str:
    """The event that counts tokens: some servers send no choices with it, others null."""
    counted = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    return json.dumps(_envelope() | {"choices": choices, "usage": counted})


def refusal(status: int, message: str, **headers: str) -> Answer:
    """An error in OpenAI's shape."""
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return Answer(status, json.dumps({"error": error}), {"Content-Type": "application/json"} | headers)


def _envelope() -> dict[str, object]:
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
