"""A request to an OpenAI-compatible images API, and the picture that comes back: in JSON, in a stream, or elsewhere."""

import binascii
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from urllib.parse import urljoin, urlsplit

import httpx2
import openai
from openai import AsyncOpenAI, AsyncStream, DefaultAsyncHttpx2Client
from pydantic_core import from_json

from render.images_api import OPENAI, Found, found

MOST = 64 * 2**20  # bytes of an answer: a picture of 2048 x 2048 pixels and its previews, in base64
CONNECT = 5.0  # seconds
SILENCE = 300.0  # seconds without a byte; a server that does not stream says nothing before the picture is done

Show = Callable[[int, bytes], Awaitable[None]]  # is told the number of a preview, from 0, and its file


class NoPicture(Exception):
    """The answer holds none. The text is a sentence."""


class Cut(Exception):
    """The stream ended before the picture."""


class ImagesClient:
    """A connection to the server."""

    def __init__(self, base_url: str | None, api_key: str | None) -> None:
        """Without `base_url` it is OpenAI's own server. Local servers take any key, so none is needed for them."""
        # compressed, little could become more than fits in memory
        headers, timeout = {"Accept-Encoding": "identity"}, httpx2.Timeout(SILENCE, connect=CONNECT)
        self._http = DefaultAsyncHttpx2Client(timeout=timeout, headers=headers, event_hooks={"response": [_cap]})
        self._client = AsyncOpenAI(
            base_url=base_url or OPENAI,
            api_key=api_key or "none",
            http_client=self._http,
            timeout=timeout,
            max_retries=0,
        )
        self._key = api_key
        self.server = str(self._client.base_url.copy_with(userinfo=b"")).rstrip("/")

    async def look(self) -> None:
        """Ask for the list of models, which costs nothing. Raises OpenAIError; ValueError if it is no list."""
        await self._client.get("/models", cast_to=object, options={"timeout": CONNECT})

    async def ask(self, body: Mapping[str, object], files: Mapping[str, bytes], show: Show) -> bytes:
        """The file of a new picture, or of the `image` among the files as it was changed, where its `mask` is clear.

        Raises NoPicture, Cut, OpenAIError, HTTPError.
        """
        # not `images.generate`: where a server does not heed `stream`, that waits for events in what is JSON
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
                return await self._last(answer, show)
            try:
                told = from_json(await answer.response.aread())
            except ValueError:
                raise NoPicture("The images server answered with something that is no picture.") from None
            if isinstance(told, dict) and told.get("error"):  # an error that calls itself a success
                raise openai.APIError("an error", answer.response.request, body=told["error"])
        return await self._file(found(told))

    async def _last(self, events: AsyncStream[object], show: Show) -> bytes:
        try:
            async for event in events:
                match found(event):
                    case Found(preview=int(number), base64=data):
                        with suppress(NoPicture):  # it was only a preview
                            await show(number, _decoded(data))
                    case Found() as picture:
                        return await self._file(picture)
        except ValueError as error:
            raise Cut from error
        raise Cut

    async def _file(self, picture: Found | None) -> bytes:
        match picture:
            case Found(url=url) if url:
                return await self._fetched(urljoin(f"{self.server}/", url))
            case Found(base64=data):
                return _decoded(data)
            case _:
                raise NoPicture("The images server sent no picture.")

    async def _fetched(self, url: str) -> bytes:
        """What is there: on the server itself, or on another by https. The key is shown to the server alone."""
        there, here = urlsplit(url), urlsplit(self.server)
        if there.scheme != "https" and (there.scheme, there.hostname) != (here.scheme, here.hostname):
            raise NoPicture("The images server sent an address that is not safe, instead of a picture.")
        own = (there.scheme, there.netloc) == (here.scheme, here.netloc)
        headers = {"Authorization": f"Bearer {self._key}"} if own and self._key else {}
        async with self._http.stream("GET", url, headers=headers, follow_redirects=False) as response:
            if response.status_code != 200:
                raise NoPicture(f"The picture is not where the images server says (HTTP {response.status_code}).")
            return await response.aread()

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.close()


def _decoded(data: str) -> bytes:
    try:
        return b64decode("".join(data.split()), validate=True)
    except binascii.Error:
        raise NoPicture("The images server sent a damaged picture.") from None


async def _cap(response: httpx2.Response) -> None:
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    response.stream = _Capped(response.stream)


class _Capped(httpx2.AsyncByteStream):
    """An answer that may not be larger than `MOST`."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for part in self._stream:
            size += len(part)
            if size > MOST:
                raise NoPicture(f"The images server sent more than {MOST // 2**20} MB.")
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()
