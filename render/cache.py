"""Pictures of the last minutes, on disk: what comes again after a crash of whomever is not rendered again."""

import hashlib
import logging
import os
import secrets
import stat
import struct
import tempfile
import time
from contextlib import suppress
from dataclasses import fields
from pathlib import Path

from render.pictures import written
from render.wire import Made, Slots, Task

log = logging.getLogger(__name__)

KEPT = 600.0  # seconds
LARGEST = 512 * 2**20  # bytes of all pictures together
DIGEST = hashlib.sha256().digest_size


def default_folder() -> Path:
    """A folder of this user, which all his workers on this machine share."""
    return Path(tempfile.gettempdir()) / f"render-results-{os.getuid() if hasattr(os, 'getuid') else 'own'}"


class ResultCache:
    """A folder of PNGs, each behind its own digest. Faults of the disk are logged, and mean that nothing is there."""

    def __init__(self, folder: Path, kept: float = KEPT, largest: int = LARGEST) -> None:
        """The folder may be shared with other processes, but not with other users. Raises OSError."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = folder.lstat()
        if not stat.S_ISDIR(about.st_mode) or (hasattr(os, "getuid") and about.st_uid != os.getuid()):
            raise PermissionError(f"{folder} belongs to somebody else")
        folder.chmod(0o700)
        self._folder = folder
        self._kept = kept
        self._largest = largest

    def has(self, task: Task, slots: Slots) -> bool:
        """Whether it is worth looking for this picture; this does not block."""
        return os.path.exists(self._folder / key(task, slots))

    def find(self, task: Task, slots: Slots) -> Made | None:
        """The picture of this task, by the model of these slots, if it was made a moment ago."""
        path = self._folder / key(task, slots)
        try:
            if time.time() - path.stat().st_mtime > self._kept:
                return None
            data = path.read_bytes()
        except OSError:
            return None
        digest, png = data[:DIGEST], data[DIGEST:]
        if hashlib.sha256(png).digest() != digest or len(png) < 24:
            log.warning("the kept picture %s is damaged", path.name)
            with suppress(OSError):
                path.unlink()
            return None
        width, height = struct.unpack(">II", png[16:24])  # the header chunk; PNG specification, 11.2.1
        told = written(png)
        notes = tuple(told.get("Notes", "").splitlines())
        return Made(task.id, png, width, height, slots.model, told.get("Way", ""), notes)

    def keep(self, task: Task, slots: Slots, png: bytes) -> None:
        """Put the picture down, whole or not at all, and clear away what is old or too much."""
        path = self._folder / key(task, slots)
        draft = path.with_suffix(f".{secrets.token_hex(8)}")
        try:
            draft.write_bytes(hashlib.sha256(png).digest() + png)
            draft.replace(path)
        except OSError as error:
            log.warning("a picture cannot be kept: %s", error)
            with suppress(OSError):
                draft.unlink()
        self._clear()

    def _clear(self) -> None:
        found = []
        with suppress(OSError), os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(OSError):  # another process was faster
                    about = entry.stat()
                    found.append((about.st_mtime, about.st_size, entry.path))
        total = sum(size for _, size, _ in found)
        oldest = time.time() - self._kept
        for changed, size, path in sorted(found):
            if changed >= oldest and total <= self._largest:
                break
            with suppress(OSError):
                os.unlink(path)
            total -= size


def key(task: Task, slots: Slots) -> str:
    """All that decides how the picture looks: what the model is, and what the task says beside its name."""
    digest = hashlib.sha256(f"{slots.revision}\0{slots.model}".encode())
    for part in fields(task):
        if part.name not in ("id", "model"):
            value = getattr(task, part.name)
            told = hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else repr(value)
            digest.update(f"\0{part.name}={told}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
