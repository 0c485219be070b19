"""The bot with the chat server as its only platform: `python -m tests.support.chaos.bot`.

It prints a line when it serves.
`DATA_DIR`, `CHAT_URL`, `RENDER_URLS` and `RENDER_TOKEN` are all that it is told. The pieces are put together as in
`bot.app`; the chat model is a script that draws as many pictures as it is asked for.
"""

import asyncio
import logging
import os
import re
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from pathlib import Path

import aiohttp

from bot.capabilities import RefineMode
from bot.config import DATABASE
from bot.conversation.dispatcher import Dispatcher, DispatcherOptions
from bot.llm.messages import ChatMessage, ModelEvent, ModelProfile, StreamEnd, TextDelta, Tool
from bot.storage.data_lock import lock_data_dir
from bot.storage.picture_files import AsyncPictureFiles, PictureFiles
from bot.storage.store import Store
from render.models.image_files import sanitize_upload
from render.queue.queue import RenderQueue
from render.worker.client import WorkerEngine
from tests.support.chaos.chat import NAME, Chat

PICTURES = "pictures"
OPENING, CLOSING = "Kites for you:", "That is all."
THOUGHT = 0.02  # seconds between two pieces of an answer


class Counting:
    """A chat model that answers `draw 3: a kite` with three pictures, piece by piece."""

    profile = ModelProfile()

    async def stream(self, history: Sequence[ChatMessage], tools: Sequence[Tool] = ()) -> AsyncGenerator[ModelEvent]:
        """The answer to the last message."""
        asked = re.search(r"draw (\d+): (.+)", history[-1].text)
        assert asked, history[-1].text
        yield TextDelta(OPENING)
        for nth in range(int(asked[1])):
            await asyncio.sleep(THOUGHT)
            yield TextDelta(f"\n<image>{asked[2]}, the picture {nth + 1}")
            yield TextDelta("</image>\n")
        yield TextDelta(CLOSING)
        yield StreamEnd()


async def serve(data_dir: Path, chat_url: str, render_urls: Sequence[str], token: str | None) -> None:
    """Run until killed."""
    with lock_data_dir(data_dir):
        store = Store(data_dir / DATABASE)
        files = PictureFiles(data_dir / PICTURES)
        line = RenderQueue(store.jobs, files, [WorkerEngine(url, partial(str, url), token) for url in render_urls])
        inbox = Dispatcher(
            store,
            Counting(),
            line,
            AsyncPictureFiles(files, sanitize_upload),
            DispatcherOptions(refining=RefineMode.OFF),
        )
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
            group.create_task(line.run())
            group.create_task(inbox.run({NAME: Chat(chat_url, session)}))
            print("serving", flush=True)


if __name__ == "__main__":
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = os.environ
    asyncio.run(
        serve(
            Path(settings["DATA_DIR"]),
            settings["CHAT_URL"],
            settings["RENDER_URLS"].split(","),
            settings.get("RENDER_TOKEN") or None,
        )
    )
