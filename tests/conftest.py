"""What every test has."""

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import settings

from bot.storage.picture_files import PictureFiles
from bot.storage.store import Store
from tests.support.programs import Program
from tests.support.thorough import THOROUGH

# Read by OpenMP when torch is imported: threads that spin while they wait starve their neighbours.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

settings.register_profile("sample", max_examples=25)
settings.register_profile("thorough", max_examples=100)
settings.load_profile("thorough" if THOROUGH else "sample")


@pytest.fixture
async def program(tmp_path: Path) -> AsyncIterator[Program]:
    """A started program."""
    program = Program(tmp_path / "data")
    await program.start()
    yield program
    await program.kill()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file without content, on which all migrations have been run."""
    path = tmp_path_factory.mktemp("empty") / "test.sqlite"
    Store(path).close()
    return path


@pytest.fixture
def store(tmp_path: Path, empty_database: Path) -> Store:
    """An empty store."""
    return Store(Path(shutil.copy(empty_database, tmp_path / "test.sqlite")))


@pytest.fixture
def files(tmp_path: Path) -> PictureFiles:
    """An empty folder of pictures."""
    return PictureFiles(tmp_path / "pictures")
