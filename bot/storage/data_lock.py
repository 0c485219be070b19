"""Locks the data folder while a bot runs: two bots on one database would answer and render everything twice."""

import errno
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout, has_fcntl

from bot.errors import ConfigError


@contextmanager
def lock_data_dir(data_dir: Path, *, is_supported: bool = has_fcntl) -> Generator[None]:
    """Lock the folder, and create it if it is missing; the system unlocks it when the process ends.

    Raises ConfigError if another bot uses it, if it cannot be written or locked, or on a platform without such locks.
    """
    if not is_supported:
        raise ConfigError("The bot does not run on this platform: start it on Linux, on macOS, or on Windows in WSL.")
    lock = FileLock(data_dir / "lock", timeout=0, fallback_to_soft=False)
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise ConfigError(f"Another bot runs on {data_dir}: stop it, or set another DATA_DIR.") from None
    except OSError as error:
        fault = "locked" if error.errno in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK) else "written"
        raise ConfigError(f"DATA_DIR {data_dir} cannot be {fault}: {error.strerror}.") from error
    try:
        yield
    finally:
        lock.release()
