"""An OpenAI-compatible images API on a real socket: it draws plain colours, misbehaves as told, and remembers.

`python -m tests.support.images_server PORT` runs it alone, with a second between previews.
"""

import asyncio
import io
import json
import sys
from base64 import b64encode
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from hashlib import sha256
from typing import Any

from aiohttp import web
from PIL import Image

NEEDED = {"model", "prompt", "image"}
MASK = frozenset({"mask"})
ALL = frozenset({"stream", "partial_images", "output_format", "response_format", "size", "seed", "num_inference_steps"})
HUGE = 65 * 2**20  # bytes


class Fault(Enum):
    """What goes wrong with every picture."""

    NONE = auto()
    CUT = auto()  # the connection is reset in the middle
    UNFINISHED = auto()  # the stream ends properly, but without the picture
    BASE64 = auto()
    PREVIEW = auto()  # the previews, and nothing else, are damaged
    NO_PICTURE = auto()  # the file is something else
    TEXT = auto()
    EMPTY = auto()
    HUGE = auto()
    MODERATED = auto()  # the stream says so in its middle


class Way(Enum):
    """How a picture is handed over."""

    INLINE = auto()
    DATA_URL = auto()
    PATH = auto()
    URL = auto()
    REDIRECT = auto()
    PLAIN_ELSEWHERE = auto()
    GONE = auto()


@dataclass(frozen=True)
class Answer:
    """One whole HTTP answer."""

    status: int
    body: object
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    image: bytes | None = None
    mask: bytes | None = None

    @property
    def extras(self) -> set[str]:
        """The parameters that not every server takes."""
        return set(self.body) - NEEDED | ({"mask"} if self.mask else set())


@dataclass
class ImagesDouble:
    """Gives its `answers` one after the other, and then draws."""

    answers: list[Answer] = field(default_factory=list)
    takes: frozenset[str] = ALL | MASK
    refusal: Callable[[str], Answer] = lambda name: error(f"Unknown parameter: '{name}'.", param=name)
    sizes: Sequence[str] = ()
    edits: Answer | None = None  # what it says instead of changing a picture
    models: Answer = Answer(200, {"object": "list", "data": [{"id": "flat", "object": "model"}]})
    streams: bool = True
    way: Way = Way.INLINE
    fault: Fault = Fault.NONE
    between: Callable[[], Awaitable[object]] = lambda: asyncio.sleep(0)  # after each preview, and before a picture
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    looks: int = 0
    fetched: list[dict[str, str]] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    at_once: int = 0
    most_at_once: int = 0
    _files: dict[str, bytes] = field(default_factory=dict)

    async def listed(self, request: web.Request) -> web.Response:
        """The models."""
        self.looks += 1
        return _json(self.models)

    async def file(self, request: web.Request) -> web.Response:
        """A picture that was handed over by its address."""
        self.fetched.append(dict(request.headers))
        name = request.match_info["name"]
        if name == "moved.png":
            raise web.HTTPFound("/files/other.png")
        if name not in self._files:
            raise web.HTTPNotFound
        return web.Response(body=self._files[name], content_type="image/png")

    async def draw(self, request: web.Request) -> web.StreamResponse:
        """A picture, or what comes instead."""
        asked = await _read(request)
        self.asked.append(asked)
        self.arrived.set()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self._answered(request, asked)
        except asyncio.CancelledError:
            self.hung_up.set()
            raise
        finally:
            self.at_once -= 1

    async def _answered(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        if self.answers:
            return _json(self.answers.pop(0))
        if asked.path.endswith("/edits") and self.edits:
            return _json(self.edits)
        for name in sorted(asked.extras - self.takes):
            return _json(self.refusal(name))
        size = asked.body.get("size", "1024x1024")
        if self.sizes and size not in self.sizes:
            reason = f"Invalid size '{size}'. Supported sizes are {', '.join(self.sizes)}."
            return _json(error(reason, param="size"))
        if self.streams and str(asked.body.get("stream")).lower() == "true":
            return await self._stream(request, asked)
        await self.between()
        match self.fault:
            case Fault.CUT:
                assert request.transport
                request.transport.abort()
                return web.Response()
            case Fault.TEXT:
                return web.Response(text="<html>It works!</html>", content_type="text/html")
            case Fault.EMPTY:
                return web.json_response({"created": 1, "data": []})
            case Fault.HUGE:
                return web.Response(body=b" " * HUGE, content_type="application/json")
            case _:
                return web.json_response({"created": 1, "data": [self._handed(painted(asked))]})

    async def _stream(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        kind = "image_edit" if asked.image else "image_generation"
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for index in range(int(asked.body.get("partial_images", 0))):
            data = "%%%" if self.fault is Fault.PREVIEW else b64encode(painted(asked, 64)).decode()
            event = {"partial_image_index": index, "b64_json": data}
            await response.write(_event(f"{kind}.partial_image", event))
            await self.between()
        match self.fault:
            case Fault.CUT:
                assert request.transport
                request.transport.abort()
                return response
            case Fault.MODERATED:
                event = {
                    "error": {"code": "moderation_blocked", "message": "Rejected.", "type": "image_generation_error"}
                }
                await response.write(_event("error", event))
            case Fault.HUGE:
                await response.write(b": " + b"x" * HUGE + b"\n\n")
            case Fault.UNFINISHED:
                pass
            case _:
                await response.write(_event(f"{kind}.completed", self._handed(painted(asked))))
        await response.write_eof()
        return response

    def _handed(self, png: bytes) -> dict[str, str]:
        name = f"{sha256(png).hexdigest()}.png"
        self._files[name] = png
        root = self.url.removesuffix("/v1")
        match self.way:
            case Way.INLINE:
                match self.fault:
                    case Fault.BASE64:
                        return {"b64_json": "*not base64*"}
                    case Fault.NO_PICTURE:
                        return {"b64_json": b64encode(b"MZ, an archive or whatever").decode()}
                return {"b64_json": b64encode(png).decode()}
            case Way.DATA_URL:
                return {"url": f"data:image/png;base64,{b64encode(png).decode()}"}
            case Way.PATH:
                return {"url": f"/files/{name}"}
            case Way.URL:
                return {"url": f"{root}/files/{name}"}
            case Way.REDIRECT:
                return {"url": f"{root}/files/moved.png"}
            case Way.GONE:
                return {"url": f"{root}/files/gone.png"}
            case Way.PLAIN_ELSEWHERE:
                return {"url": f"{root}/files/{name}".replace("127.0.0.1", "localhost")}


def painted(asked: Asked, side: int | None = None) -> bytes:
    """One colour, which goes by prompt and seed, in the size that was asked for."""
    size = str(asked.body.get("size", "1024x1024"))
    width, height = map(int, size.split("x")) if "x" in size else (1024, 1024)
    key = f"{asked.body.get('prompt')} {asked.body.get('seed')} {sha256(asked.image or b'').hexdigest()}"
    red, green, blue = sha256(key.encode()).digest()[:3]
    file = io.BytesIO()
    Image.new("RGB", (side or width, side or height), (red, green, blue)).save(file, "PNG")
    return file.getvalue()


def error(
    message: str, status: int = 400, *, code: str | None = None, param: str | None = None, **headers: str
) -> Answer:
    """An error in OpenAI's shape."""
    body = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return Answer(status, {"error": body}, {name.replace("_", "-"): value for name, value in headers.items()})


def unprocessable(name: str) -> Answer:
    """A refused parameter as FastAPI tells it, with the request repeated."""
    fault = {"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted", "input": "size"}
    return Answer(422, {"detail": [fault]})


def in_words(name: str) -> Answer:
    """A refused parameter as some servers tell it, in a plain string."""
    return Answer(400, {"error": f"This server does not support {name.replace('_', ' ')}."})


@asynccontextmanager
async def images_server(double: ImagesDouble, port: int = 0) -> AsyncGenerator[ImagesDouble]:
    """The double at `double.url`."""
    app = web.Application(client_max_size=2**26)
    app.add_routes(
        [
            web.get("/v1/models", double.listed),
            web.post("/v1/images/generations", double.draw),
            web.post("/v1/images/edits", double.draw),
            web.get("/files/{name}", double.file),
        ]
    )
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    host, port = runner.addresses[0][:2]
    double.url = f"http://{host}:{port}/v1"
    try:
        yield double
    finally:
        await runner.cleanup()


async def _read(request: web.Request) -> Asked:
    if not request.content_type.startswith("multipart/"):
        return Asked(request.path, dict(request.headers), await request.json())
    form = await request.post()
    files = {name: value.file.read() for name, value in form.items() if isinstance(value, web.FileField)}
    body = {name: value for name, value in form.items() if isinstance(value, str)}
    return Asked(request.path, dict(request.headers), body, files["image"], files.get("mask"))


def _json(answer: Answer) -> web.Response:
    return web.json_response(answer.body, status=answer.status, headers=answer.headers)


def _event(kind: str, data: dict[str, Any]) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind} | data)}\n\n".encode()


async def _alone(port: int) -> None:
    double = ImagesDouble(between=lambda: asyncio.sleep(1))
    async with images_server(double, port):
        print("listening at", double.url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_alone(int(sys.argv[1])))
