"""What every test has."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.storage.picture_files import PictureFiles
from bot.storage.store import Store
from tests.support.programs import Program

# Read by OpenMP when torch is imported: threads that spin while they wait starve their neighbours.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")


@pytest.fixture
async def program(tmp_path: Path) -> AsyncIterator[Program]:
    """A started program."""
    program = Program(tmp_path / "data")
    await program.start()
    yield program
    await program.kill()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store(tmp_path / "test.sqlite")


@pytest.fixture
def files(tmp_path: Path) -> PictureFiles:
    """An empty folder of pictures."""
    return PictureFiles(tmp_path / "pictures")
