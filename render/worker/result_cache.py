"""Disk cache of recent results, so that a batch that is sent again after a crash is not rendered twice."""

import hashlib
import json
import logging
import os
import secrets
import stat
import struct
import tempfile
import time
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path

from bot.notices import loaded
from render.models.image_files import read_metadata
from render.protocol import ImageDone, ImageTask, WorkerReport

log = logging.getLogger(__name__)

MAX_AGE = 600.0  # seconds that a result stays valid
MAX_BYTES = 512 * 2**20  # bytes of all results together
DIGEST_BYTES = hashlib.sha256().digest_size


def default_folder() -> Path:
    """Return the folder that all workers of this operating system user on this machine share."""
    return Path(tempfile.gettempdir()) / f"render-results-{os.getuid() if hasattr(os, 'getuid') else 'own'}"


class ResultCache:
    """A folder of PNGs, each after its SHA-256 digest. Disk errors are logged and count as a missing result."""

    def __init__(self, folder: Path, max_age: float = MAX_AGE, max_bytes: int = MAX_BYTES) -> None:
        """Processes may share the folder, users may not. Ages in seconds, sizes in bytes. Raises OSError."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = folder.lstat()
        if not stat.S_ISDIR(about.st_mode) or (hasattr(os, "getuid") and about.st_uid != os.getuid()):
            raise PermissionError(f"{folder} belongs to somebody else")
        folder.chmod(0o700)
        self._folder = folder
        self._max_age = max_age
        self._max_bytes = max_bytes

    def has(self, task: ImageTask, slots: WorkerReport) -> bool:
        """Whether a file for this task exists, which may be too old or damaged. Does not block on reading the file."""
        return os.path.exists(self._folder / cache_key(task, slots))

    def find(self, task: ImageTask, slots: WorkerReport) -> ImageDone | None:
        """Return the result of this task by the model of this report; None if it is missing, too old or damaged."""
        path = self._folder / cache_key(task, slots)
        try:
            if time.time() - path.stat().st_mtime > self._max_age:
                return None
            data = path.read_bytes()
        except OSError:
            return None
        digest, png = data[:DIGEST_BYTES], data[DIGEST_BYTES:]
        if hashlib.sha256(png).digest() != digest or len(png) < 24:
            log.warning("the cached image %s is damaged", path.name)
            with suppress(OSError):
                path.unlink()
            return None
        width, height = struct.unpack(">II", png[16:24])  # the header chunk; PNG specification, 11.2.1
        told = read_metadata(png)
        texts = [told.get("Way", ""), *told.get("Notes", "").splitlines()]  # an older version wrote no Notices
        way, *notes = map(loaded, json.loads(told["Notices"])) if "Notices" in told else texts
        return ImageDone(task.id, png, width, height, slots.model, way, tuple(notes))

    def put(self, task: ImageTask, slots: WorkerReport, png: bytes) -> None:
        """Write the image atomically, then delete results that are too old or exceed the size limit."""
        path = self._folder / cache_key(task, slots)
        draft = path.with_suffix(f".{secrets.token_hex(8)}")
        try:
            draft.write_bytes(hashlib.sha256(png).digest() + png)
            draft.replace(path)
        except OSError as error:
            log.warning("an image cannot be kept: %s", error)
            with suppress(OSError):
                draft.unlink()
        self._clear()

    def _clear(self) -> None:
        found = []
        with suppress(OSError), os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(OSError):  # another process has deleted the file
                    about = entry.stat()
                    found.append((about.st_mtime, about.st_size, entry.path))
        total = sum(size for _, size, _ in found)
        oldest = time.time() - self._max_age
        for changed, size, path in sorted(found):
            if changed >= oldest and total <= self._max_bytes:
                break
            with suppress(OSError):
                os.unlink(path)
            total -= size


def open_cache(folder: Path | None) -> ResultCache | None:
    """Open the cache in a folder, by default the shared one. Log a warning and return None if that is impossible."""
    try:
        return ResultCache(folder or default_folder())
    except OSError as error:
        log.warning("the result cache is off: %s", error)
        return None


def cache_key(task: ImageTask, slots: WorkerReport) -> str:
    """Return the digest of everything that decides the pixels: model, revision, and all of the task but its id."""
    digest = hashlib.sha256(f"{slots.revision}\0{slots.model}".encode())
    task = replace(task, id="", sampling=replace(task.sampling, model=""))
    for part in fields(task):
        value = getattr(task, part.name)
        content = hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else repr(value)
        digest.update(f"\0{part.name}={content}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
