"""Pictures as files named by their content. A file is there whole or not at all."""

import hashlib
import io
import os
import re
import tempfile
from pathlib import Path

from PIL import Image

_DIGEST = re.compile(r"[0-9a-f]{64}")


class PictureFiles:
    """A folder of PNG files. All methods block on the disk: call them off the event loop."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def put(self, png: bytes) -> str:
        """Keep the picture; its SHA-256, by which it is found again. Raises OSError."""
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
        """Where the picture is, or None if it is not there; nothing but a digest is ever looked up."""
        path = self._folder / f"{digest}.png"
        return path if _DIGEST.fullmatch(digest) and path.is_file() else None

    def read(self, digest: str) -> bytes:
        """The whole file. Raises FileNotFoundError."""
        path = self.path(digest)
        if path is None:
            raise FileNotFoundError(digest)
        return path.read_bytes()

    def delete(self, digest: str) -> None:
        """Have the picture no more. Raises OSError."""
        if path := self.path(digest):
            path.unlink(missing_ok=True)

    def glance(self, digest: str, longest: int = 1024) -> bytes:
        """The picture as a JPEG of at most so many pixels on its longest side. Raises FileNotFoundError."""
        file = io.BytesIO()
        with Image.open(io.BytesIO(self.read(digest)), formats=("PNG",)) as image:
            small = image.convert("RGBA") if image.has_transparency_data else image.convert("RGB")
            small.thumbnail((longest, longest))
            paper = Image.new("RGB", small.size, "white")  # JPEG knows no transparency
            paper.paste(small, mask=small if small.mode == "RGBA" else None)
            paper.save(file, "JPEG", quality=85)
        return file.getvalue()
