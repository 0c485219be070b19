"""The crowd in the line, with painters of a Ray cluster in the place of a worker: they are killed as well."""

import asyncio
from pathlib import Path

import pytest

from tests.e2e.ray.cluster import ROUTE, Cluster, cluster, ready
from tests.support.chaos.run import Sizes, chaos

SIZES = Sizes.from_environment()


class Replicas:
    """Two painters, of which one is killed at a time."""

    def __init__(self, there: Cluster, log: Path) -> None:
        self._there = there
        self.url, self.token, self.log = f"http://127.0.0.1:{there.port}/{ROUTE}", there.token, log

    async def start(self) -> None:
        """Wait until both are there."""
        await (await ready(self._there, idle=False)).session.close()

    async def kill(self) -> None:
        """`kill -9` of one painter, once there is one again, and wait until it is gone."""
        while not (workers := self._there.workers()):
            await asyncio.sleep(0.05)
        worker = workers[0]
        self._there.kill(worker)
        while worker in self._there.processes():
            await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """The cluster ends by itself."""


@pytest.mark.timeout(300 + 30 * SIZES.kills)
async def test_a_crowd_is_served_while_bot_and_workers_are_killed(tmp_path: Path) -> None:
    """Every picture that was asked for is posted once, few are rendered twice, and a single wish is served soon."""
    log = tmp_path / "renders.jsonl"
    settings = {"FLAT_LOG": str(log), "FLAT_STEP_TIME": "0.06", "FLAT_BATCH": "4"}
    with cluster(image_model="tests.support.fake_models.flat_worker:load_model", **settings) as there:
        evidence = await chaos(Replicas(there, log), tmp_path, SIZES)
        print(f"\n{evidence.table()}")
        evidence.check()
    assert not there.processes()
