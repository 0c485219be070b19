"""Stores pictures as PNG files named by their SHA-256; a file is complete or does not exist."""

import asyncio
import hashlib
import io
import logging
import os
import re
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from PIL import Image

from bot.domain import ImageRequest, Operation, Picture
from bot.ports import PictureFolder
from bot.storage.store import Store

log = logging.getLogger(__name__)

_DIGEST = re.compile(r"[0-9a-f]{64}")


class PictureFiles:
    """A folder of PNG files. All methods block on the disk: call them on a thread, not on the event loop."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def put(self, png: bytes) -> str:
        """Store the PNG and return its SHA-256, which is its key. Raises OSError."""
        digest = hashlib.sha256(png).hexdigest()
        path = self._folder / f"{digest}.png"
        if not path.exists():
            with tempfile.NamedTemporaryFile(dir=self._folder, prefix=".new-", delete=False) as file:
                try:
                    file.write(png)
                    file.flush()
                    os.fsync(file.fileno())
                    os.replace(file.name, path)
                except OSError:
                    Path(file.name).unlink(missing_ok=True)
                    raise
        return digest

    def path(self, digest: str) -> Path | None:
        """Return the path of the picture, or None if it does not exist or `digest` is no SHA-256."""
        path = self._folder / f"{digest}.png"
        return path if _DIGEST.fullmatch(digest) and path.is_file() else None

    def read(self, digest: str) -> bytes:
        """Return the whole file. Raises FileNotFoundError."""
        path = self.path(digest)
        if path is None:
            raise FileNotFoundError(digest)
        return path.read_bytes()

    def delete(self, digest: str) -> None:
        """Delete the file if it exists. Raises OSError."""
        if path := self.path(digest):
            path.unlink(missing_ok=True)

    def thumbnail(self, digest: str, max_side: int = 1024) -> bytes:
        """Return the picture as a JPEG of at most `max_side` pixels on the longer side. Raises FileNotFoundError."""
        file = io.BytesIO()
        with Image.open(io.BytesIO(self.read(digest)), formats=("PNG",)) as image:
            small = image.convert("RGBA") if image.has_transparency_data else image.convert("RGB")
            small.thumbnail((max_side, max_side))
            paper = Image.new("RGB", small.size, "white")  # JPEG has no transparency
            paper.paste(small, mask=small if small.mode == "RGBA" else None)
            paper.save(file, "JPEG", quality=85)
        return file.getvalue()


class AsyncPictureFiles:
    """Picture files without blocking the event loop: files are decoded, read and deleted on threads."""

    def __init__(self, files: PictureFiles, sanitize: Callable[[bytes], tuple[bytes, int, int]]) -> None:
        """`sanitize` turns an upload into a safe PNG with its width and height in pixels; it raises Refused."""
        self._files = files
        self._sanitize = sanitize

    async def add_upload(self, upload: bytes) -> Picture:
        """Re-encode an uploaded file as a safe PNG and store it. Raises Refused."""
        return await asyncio.to_thread(self._add_upload, upload)

    async def read_thumbnail(self, digest: str) -> bytes:
        """Return the picture as a small JPEG. Raises OSError."""
        return await asyncio.to_thread(self._files.thumbnail, digest)

    async def delete(self, digest: str) -> None:
        """Delete the file of a picture if it exists. Raises OSError."""
        await asyncio.to_thread(self._files.delete, digest)

    def _add_upload(self, upload: bytes) -> Picture:
        png, width, height = self._sanitize(upload)
        digest = self._files.put(png)
        return Picture(0, digest, width, height, "An uploaded picture", ImageRequest(0, Operation.UPLOAD, ""))


async def delete_unused_files(store: Store, picture_folder: PictureFolder, digests: Iterable[str]) -> int:
    """Delete the files of images that no thread uses any more. Returns how many could not be deleted."""
    left = 0
    for digest in dict.fromkeys(digests):
        if not store.knows_picture(digest):
            try:
                await picture_folder.delete(digest)
            except OSError as error:
                left += 1
                log.error("the file of picture %s cannot be deleted: %s", digest, error.strerror)
    return left
