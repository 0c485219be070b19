"""Decides how many replicas Ray Serve should run (pure), and requests them over HTTP. Does not import ray."""

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

log = logging.getLogger(__name__)

LOOK = 5.0  # seconds between two measurements of the queue


@dataclass(frozen=True, slots=True)
class Load:
    """Load of the queue: busy replicas, cost of the waiting jobs in megapixel-steps, seconds per megapixel-step."""

    busy: int
    waiting_cost: float
    seconds_per_cost: float


@dataclass(frozen=True, slots=True)
class Rules:
    """Targets of the operator: no job waits longer than `target_wait`, with `min_replicas` to `max_replicas`.

    A replica is stopped only after it was not needed for `downscale_delay`. Starting a replica takes about as long as
    loading its model, so the delay should be several times that. All times are in seconds.
    """

    wanted_wait: float = 30.0
    lowest: int = 1
    highest: int = 1
    patience: float = 600.0


@dataclass(frozen=True, slots=True)
class Need:
    """Number of replicas that were needed at the time `at`."""

    at: float
    painters: int


Needs = tuple[Need, ...]  # of the last `downscale_delay` seconds, decreasing; the first is what to run


def replicas(load: Load, rules: Rules, now: float, last: Needs = ()) -> Needs:
    """Return the demands of now and of the last `downscale_delay`. Scale up at once, down only after that delay.

    n replicas finish the waiting work in work / n seconds; n is chosen so that this equals the target wait. A busy
    replica is always needed, so a cluster that keeps up while nothing waits is not scaled down.
    """
    work = load.waiting_cost * load.seconds_per_cost
    needed = max(load.busy, math.ceil(work / rules.wanted_wait))
    needed = max(rules.lowest, min(rules.highest, needed))
    higher = tuple(need for need in last if need.painters > needed and now - need.at < rules.patience)
    return (*higher, Need(now, needed))


async def keep_scaled(scaler: "RayScaler", load: Callable[[], Load]) -> None:
    """Scale the cluster with the load of the queue until cancelled."""
    while True:
        await scaler.follow(load(), asyncio.get_running_loop().time())
        await asyncio.sleep(LOOK)


class RayScaler:
    """Requests a number of replicas from the dashboard of a Ray cluster whenever that number changes."""

    def __init__(self, dashboard: str, deployment: str, rules: Rules, token: str | None = None) -> None:
        """`deployment` is `application/deployment`; `token` is the token of the cluster, not of the render worker."""
        application, _, name = deployment.partition("/")
        self._url = f"{dashboard.rstrip('/')}/api/v1/applications/{application}/deployments/{name}/scale"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._rules = rules
        self._needs: Needs = ()
        self.told: int | None = None  # number of replicas that the cluster accepted last

    async def follow(self, load: Load, now: float) -> None:
        """Request the replicas for this load. A request that fails is sent again with the next call."""
        self._needs = replicas(load, self._rules, now, self._needs)
        wanted = self._needs[0].painters
        if wanted == self.told:
            return
        trouble = await self._tell(wanted)
        if trouble:
            log.warning("the Ray cluster refused to run %s replicas: %s", wanted, trouble)
        else:
            log.info("requested %s replicas from the Ray cluster", wanted)
            self.told = wanted

    async def _tell(self, wanted: int) -> str | None:
        timeout, body = aiohttp.ClientTimeout(10), {"target_num_replicas": wanted}
        try:
            async with (
                aiohttp.ClientSession(headers=self._headers, timeout=timeout) as session,
                session.post(self._url, json=body) as response,
            ):
                return None if response.ok else f"{response.status} {(await response.text())[:200]}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return str(error) or type(error).__name__
