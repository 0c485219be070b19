"""The flat worker with a folder of its latest images: `python -m tests.support.chaos.worker PORT`.

`FLAT_CACHE` names the folder; the rest is as in `tests.support.fake_models.flat_worker`.
"""

import asyncio
import os
import sys
from pathlib import Path

from aiohttp import web

from render.worker.result_cache import ResultCache
from render.worker.server import WorkerServer
from tests.support.fake_models.flat_worker import FlatModel


async def serve(port: int, folder: Path) -> None:
    """Listen until killed."""
    worker = WorkerServer(FlatModel, cache=ResultCache(folder))
    runner = web.AppRunner(worker.app(), handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
    print("listening", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), Path(os.environ["FLAT_CACHE"])))
