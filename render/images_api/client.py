"""HTTP client of an OpenAI-compatible images API; reads the image from JSON, from a stream, or from a URL."""

import binascii
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from urllib.parse import urljoin, urlsplit

import httpx2
import openai
from openai import AsyncOpenAI, AsyncStream, DefaultAsyncHttpx2Client
from pydantic_core import from_json

from bot.notices import Argument, notice
from render.images_api.request import OPENAI, ReceivedImage, find_image

MAX_RESPONSE_BYTES = 64 * 2**20  # bytes of a response: an image of 2048 x 2048 pixels and its previews, in base64
CONNECT_TIMEOUT = 5.0  # seconds to connect, and for the list of models
READ_TIMEOUT = 300.0  # seconds without a byte; a server that does not stream sends nothing before the image is done

OnPreview = Callable[[int, bytes], Awaitable[None]]  # gets the number of a preview, from 0, and its file


class NoImageError(Exception):
    """The response contains no usable image. `notice` says why."""

    def __init__(self, id_: str, /, **arguments: Argument) -> None:
        self.notice = notice(id_, **arguments)
        super().__init__(self.notice)


class StreamCut(Exception):
    """The stream ended before the final image."""


class ImagesClient:
    """Connections to one images API server."""

    def __init__(self, base_url: str | None, api_key: str | None) -> None:
        """Without `base_url` the server is OpenAI's. Local servers accept any key, so `api_key` may be None."""
        # no compression: a small compressed response could expand beyond the memory
        headers, timeout = {"Accept-Encoding": "identity"}, httpx2.Timeout(READ_TIMEOUT, connect=CONNECT_TIMEOUT)
        self._http = DefaultAsyncHttpx2Client(timeout=timeout, headers=headers, event_hooks={"response": [_limit_size]})
        self._client = AsyncOpenAI(
            base_url=base_url or OPENAI,
            api_key=api_key or "none",
            http_client=self._http,
            timeout=timeout,
            max_retries=0,
        )
        self._key = api_key
        self.server = str(self._client.base_url.copy_with(userinfo=b"")).rstrip("/")

    async def check_server(self) -> None:
        """Request the list of models, which is free.

        Raises OpenAIError, HTTPError, NoImageError; ValueError if it is not JSON.
        """
        await self._client.get("/models", cast_to=object, options={"timeout": CONNECT_TIMEOUT})

    async def request_image(
        self, body: Mapping[str, object], files: Mapping[str, bytes], on_preview: OnPreview
    ) -> bytes:
        """Request one image and return its file.

        Without `files` it is a new image; with `files` it is an edit of `image` where `mask`, if there, is transparent.
        Raises NoImageError, StreamCut, OpenAIError, HTTPError.
        """
        # not `images.generate`, which waits for events if a server ignores `stream` and sends JSON
        answer = await self._client.post(
            "/images/edits" if files else "/images/generations",
            body=body,
            files=[(name, (f"{name}.png", png, "image/png")) for name, png in files.items()] or None,
            options={"headers": {"Content-Type": "multipart/form-data"}} if files else {},
            cast_to=object,
            stream=True,
            stream_cls=AsyncStream[object],
        )
        async with answer:
            if "event-stream" in answer.response.headers.get("content-type", ""):
                return await self._last_image(answer, on_preview)
            try:
                body = from_json(await answer.response.aread())
            except ValueError:
                raise NoImageError("images-api-not-image") from None
            if isinstance(body, dict) and body.get("error"):  # an error with a status of success
                raise openai.APIError("an error", answer.response.request, body=body["error"])
        return await self._image_bytes(find_image(body))

    async def _last_image(self, events: AsyncStream[object], on_preview: OnPreview) -> bytes:
        try:
            async for event in events:
                match find_image(event):
                    case ReceivedImage(preview_index=int(number), base64=data):
                        with suppress(NoImageError):  # ignore a damaged preview
                            await on_preview(number, _decode_base64(data))
                    case ReceivedImage() as picture:
                        return await self._image_bytes(picture)
        except ValueError as error:
            raise StreamCut from error
        raise StreamCut

    async def _image_bytes(self, image: ReceivedImage | None) -> bytes:
        match image:
            case ReceivedImage(url=url) if url:
                return await self._download(urljoin(f"{self.server}/", url))
            case ReceivedImage(base64=data):
                return _decode_base64(data)
            case _:
                raise NoImageError("images-api-no-image")

    async def _download(self, url: str) -> bytes:
        """Download an image from the server itself, or from another host by https. Only the server gets the key."""
        there, here = urlsplit(url), urlsplit(self.server)
        if there.scheme != "https" and (there.scheme, there.hostname) != (here.scheme, here.hostname):
            raise NoImageError("images-api-unsafe-address")
        own = (there.scheme, there.netloc) == (here.scheme, here.netloc)
        headers = {"Authorization": f"Bearer {self._key}"} if own and self._key else {}
        async with self._http.stream("GET", url, headers=headers, follow_redirects=False) as response:
            if response.status_code != 200:
                raise NoImageError("images-api-gone", status=response.status_code)
            return await response.aread()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def _decode_base64(data: str) -> bytes:
    try:
        return b64decode("".join(data.split()), validate=True)
    except binascii.Error:
        raise NoImageError("images-api-damaged") from None


async def _limit_size(response: httpx2.Response) -> None:
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    response.stream = _SizeLimitedStream(response.stream)


class _SizeLimitedStream(httpx2.AsyncByteStream):
    """A response stream that raises NoImageError above `MAX_RESPONSE_BYTES`."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for part in self._stream:
            size += len(part)
            if size > MAX_RESPONSE_BYTES:
                raise NoImageError("images-api-too-much", megabytes=MAX_RESPONSE_BYTES // 2**20)
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()
