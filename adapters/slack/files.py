"""Uploads images to Slack without a message that shares them; downloads images of users from Slack only."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from adapters.image_file import fit_to_limit, safe_file_name
from adapters.slack.api_errors import API_ERRORS, error_code
from adapters.slack.parse import download_url, is_image, is_trusted_url
from adapters.slack.rate_limits import RateLimits
from bot.domain import MAX_UPLOAD_BYTES, MAX_UPLOADS, Picture, ThreadKey
from bot.notices import Notice, notice

log = logging.getLogger(__name__)

LARGEST_UPLOAD = 20 * 2**20  # bytes of an uploaded image; the most that Slack shows in a block
WAITS = (0.2, 0.4, 0.8, 1.6, 3.0, 3.0)  # seconds between two checks whether Slack has processed a file
UPLOAD_ERRORS = (
    "missing_scope",
    "access_denied",
    "file_type_not_allowed",
    "file_uploads_disabled",
    "storage_limit_reached",
)
MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*")


class Uploads:
    """Uploads images to Slack as files. Each image is uploaded once."""

    def __init__(
        self,
        client: AsyncWebClient,
        session: aiohttp.ClientSession,
        read: Callable[[str], bytes],
        rate_limits: RateLimits,
        waits: Sequence[float] = WAITS,
    ) -> None:
        """`read` returns the PNG file of an image by its digest."""
        self._client = client
        self._session = session
        self._read = read
        self._rate_limits = rate_limits
        self.waits = waits
        self._file_ids: dict[str, str] = {}

    async def upload(self, picture: Picture, thread: ThreadKey) -> str | None:
        """Return the id of the image's Slack file, uploaded now if needed; None without a file or if Slack refuses."""
        if picture.digest not in self._file_ids:
            try:
                png = await asyncio.to_thread(self._read, picture.digest)
                upload = await asyncio.to_thread(fit_for_slack, png)
            except OSError:
                return None
            if upload is None:
                return None
            data, extension = upload
            name = safe_file_name(picture.request.prompt or picture.alt, extension)
            try:
                self._file_ids[picture.digest] = await self._send(data, name, picture, thread.space)
            except SlackApiError as error:
                if error_code(error) not in UPLOAD_ERRORS:
                    raise
                log.warning("Slack refuses image uploads: %s", error_code(error))
                return None
        return self._file_ids[picture.digest]

    def forget(self, digest: str) -> None:
        """Upload the image again the next time."""
        self._file_ids.pop(digest, None)

    async def _send(self, data: bytes, name: str, picture: Picture, team: str) -> str:
        """Upload in three steps, then wait until Slack has found the file type, or until all `waits` have passed."""
        await self._rate_limits.acquire("files.getUploadURLExternal", team)
        begun = await self._client.files_getUploadURLExternal(filename=name, length=len(data))
        headers = {"Content-Type": "application/octet-stream"}
        async with self._session.post(str(begun["upload_url"]), data=data, headers=headers) as answer:
            answer.raise_for_status()
        file_id = str(begun["file_id"])
        await self._rate_limits.acquire("files.completeUploadExternal", team)
        await self._client.api_call(
            "files.completeUploadExternal", json={"files": [{"id": file_id, "title": f"#{picture.number}"}]}
        )
        for wait in self.waits:
            await self._rate_limits.acquire("files.info", team)
            known = await self._client.files_info(file=file_id)
            if (known.get("file") or {}).get("mimetype"):
                break
            await asyncio.sleep(wait)
        return file_id


def fit_for_slack(png: bytes) -> tuple[bytes, str] | None:
    """Return the image as a file that Slack shows in a block (no WebP, at most 20 MB), and its extension.

    None if the image cannot be made small enough.
    """
    upload = fit_to_limit(png, LARGEST_UPLOAD, webp=False)
    return (upload.data, upload.extension) if upload else None


class Downloads:
    """Downloads files of users with the bot's token, from Slack's servers only."""

    def __init__(
        self, client: AsyncWebClient, session: aiohttp.ClientSession, rate_limits: RateLimits, token: str
    ) -> None:
        self._client = client
        self._session = session
        self._rate_limits = rate_limits
        self._token = token

    async def fetch_pictures(self, files: Sequence[Mapping[str, Any]], team: str) -> tuple[list[bytes], list[Notice]]:
        """Return at most four images, and a message for each kind of failure."""
        taken: list[bytes] = []
        notes: list[Notice] = []
        for file in files:
            if len(taken) == MAX_UPLOADS:
                notes.append(notice("files-left-out", maximum=MAX_UPLOADS))
                break
            picture = await self._fetch_file(file, team)
            if isinstance(picture, bytes):
                taken.append(picture)
            elif picture:
                notes.append(picture)
        return taken, list(dict.fromkeys(notes))

    async def _fetch_file(self, file: Mapping[str, Any], team: str) -> bytes | Notice | None:
        if not file.get("mimetype") or file.get("file_access") == "check_file_info":
            try:
                await self._rate_limits.acquire("files.info", team)
                file = (await self._client.files_info(file=str(file.get("id", "")))).get("file") or {}
            except API_ERRORS:
                return notice("slack-file-forbidden")
        if not is_image(file) or not file.get("mimetype"):
            return None if file.get("mimetype") else notice("slack-file-forbidden")
        url = download_url(file)
        if not url:
            return notice("slack-file-type", type=str(file["mimetype"]))
        if int(file.get("size") or 0) > MAX_UPLOAD_BYTES:
            return notice("file-left-out", megabytes=MAX_UPLOAD_BYTES // 2**20)
        return await self._fetch(url)

    async def _fetch(self, url: str) -> bytes | Notice:
        """Download the image; return a message if that fails.

        Slack may refuse with a login page and status 200, so the first bytes must be those of an image format.
        """
        unread = notice("slack-file-scope")
        if not is_trusted_url(url, str(self._client.base_url)):
            log.warning("did not fetch a file: its address is not one of Slack's")
            return unread
        headers = {"Authorization": f"Bearer {self._token}"}
        try:
            async with self._session.get(url, headers=headers, allow_redirects=False) as answer:
                if answer.status != 200 or not answer.content_type.startswith(("image/", "application/octet-stream")):
                    return unread
                data = bytearray()
                async for chunk in answer.content.iter_chunked(2**16):
                    data += chunk
                    if len(data) > MAX_UPLOAD_BYTES:
                        return notice("file-left-out", megabytes=MAX_UPLOAD_BYTES // 2**20)
        except (aiohttp.ClientError, TimeoutError):
            return notice("slack-unreadable")
        return bytes(data) if data.startswith(MAGIC) else notice("slack-file-not-image")
