"""The local worker keeps the protocol, as any engine must."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from aiohttp import web

from render.worker.server import WorkerServer
from tests.support.fake_models.quiet import QuietModel
from tests.support.worker_conformance import CHECKS, Check, Place

TOKEN = "secret"


@pytest.fixture
async def place() -> AsyncGenerator[Place]:
    """A worker on a free port of this machine."""
    runner = web.AppRunner(WorkerServer(QuietModel, TOKEN).app(), handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    there = Place(f"http://{host}:{port}", TOKEN)
    try:
        async with asyncio.timeout(60):
            yield there
    finally:
        await there.session.close()
        await runner.cleanup()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_the_local_worker_conforms(check: Check, place: Place) -> None:
    """Every check, on a worker that was just started."""
    await check(place)
