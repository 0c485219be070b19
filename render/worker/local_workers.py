"""Starts a render worker on this machine and restarts it when it dies."""

import asyncio
import json
import logging
import secrets
import sys
from asyncio.subprocess import PIPE, Process

log = logging.getLogger(__name__)

RESTART_PAUSES = (0.2, 30.0)  # seconds before a dead worker is restarted: the first time, at most
HEALTHY_AFTER = 60.0  # seconds of life after which the death of a worker resets the pause


class LocalWorker:
    """One worker process. It exits with this process, because its standard input is closed then."""

    def __init__(self, model: str, device: str, environment: dict[str, str]) -> None:
        self._command = [sys.executable, "-m", "render", "--listen", "127.0.0.1:0", "--attached"]
        self._command += ["--model", model, "--device", device]
        self.device = device
        self.token = secrets.token_urlsafe()
        self._environment = environment | {"RENDER_TOKEN": self.token}
        self.address: str | None = None
        self.pid: int | None = None

    def get_address(self) -> str | None:
        """Return the URL of the worker, or None while it does not listen."""
        return self.address

    async def run(self) -> None:
        """Keep the worker alive until cancelled."""
        pause = RESTART_PAUSES[0]
        loop = asyncio.get_running_loop()
        while True:
            born = loop.time()
            try:
                worker = await asyncio.create_subprocess_exec(
                    *self._command, stdin=PIPE, stdout=PIPE, env=self._environment
                )
            except OSError as error:  # no memory, too many open files: may be temporary
                log.error("no render worker could be started: %s", error)
                await asyncio.sleep(RESTART_PAUSES[1])
                continue
            self.pid = worker.pid
            try:
                await self._watch(worker)
            finally:
                self.address = self.pid = None
                if worker.returncode is None:
                    worker.kill()
                    await worker.wait()
            pause = RESTART_PAUSES[0] if loop.time() - born > HEALTHY_AFTER else min(RESTART_PAUSES[1], pause * 2)
            log.warning("the render worker exited with %s; another starts in %.1f s", worker.returncode, pause)
            await asyncio.sleep(pause)

    async def _watch(self, worker: Process) -> None:
        assert worker.stdout
        async for line in worker.stdout:
            try:
                self.address = json.loads(line)["listening"]
            except (ValueError, KeyError, TypeError):
                continue
            log.info("the render worker listens at %s", self.address)
        await worker.wait()
