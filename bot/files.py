"""Pictures as files named by their content. A file is there whole or not at all."""

import hashlib
import os
import re
import tempfile
from pathlib import Path

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
