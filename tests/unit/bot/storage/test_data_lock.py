"""Only one bot runs on a data folder."""

import subprocess
import sys
from pathlib import Path

import pytest

from bot.errors import ConfigError
from bot.storage.data_lock import lock_data_dir

HOLD = """
import sys
from pathlib import Path
from bot.storage.data_lock import lock_data_dir
with lock_data_dir(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_until_the_first_one_is_gone(tmp_path: Path) -> None:
    """The message names the folder; a killed process leaves no lock behind."""
    folder = tmp_path / "data"
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout and other.stdout.readline() == "locked\n"
        with pytest.raises(ConfigError, match=r"Another bot runs on .*data: stop it") as refused, lock_data_dir(folder):
            pass
        assert str(folder) in str(refused.value)
        other.kill()
        other.wait()
    with lock_data_dir(folder):
        pass


def test_a_platform_without_locks_is_named(tmp_path: Path) -> None:
    """The message says where the bot runs."""
    with (
        pytest.raises(ConfigError, match=r"does not run on this platform: .* Linux"),
        lock_data_dir(tmp_path / "data", is_supported=False),
    ):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A file is in its place."""
    (tmp_path / "data").write_text("x")
    with pytest.raises(ConfigError, match=r"DATA_DIR .*data cannot be written"), lock_data_dir(tmp_path / "data"):
        pass
