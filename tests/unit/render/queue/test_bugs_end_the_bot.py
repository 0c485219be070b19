"""A line that met a bug is noticed: the bot ends with it."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from bot.app import open_queue
from bot.config import Config
from bot.storage.picture_files import PictureFiles
from bot.storage.store import Store


async def test_a_line_that_ends_takes_the_bot_along(store: Store, tmp_path: Path) -> None:
    """Whoever looks after the process starts it again; until then nobody waits for pictures that never come."""
    config = Config(data_dir=tmp_path, image_model="openai:flat", images_base_url="http://127.0.0.1:9")
    store.close()
    with pytest.raises(ExceptionGroup) as ended:
        async with open_queue(config, store, PictureFiles(tmp_path / "pictures")):
            await asyncio.Event().wait()
    assert ended.group_contains(sqlite3.ProgrammingError)
