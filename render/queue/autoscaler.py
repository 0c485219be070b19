"""Decides how many replicas Ray Serve should run (pure), and requests them over HTTP. Does not import ray."""

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

log = logging.getLogger(__name__)

POLL_INTERVAL = 5.0  # seconds between two measurements of the queue


@dataclass(frozen=True, slots=True)
class QueueLoad:
    """Load of the queue: busy replicas, cost of the waiting jobs in megapixel-steps, seconds per megapixel-step."""

    busy_replicas: int
    waiting_cost: float
    seconds_per_cost: float


@dataclass(frozen=True, slots=True)
class ScalingPolicy:
    """Targets of the operator: no job waits longer than `target_wait`, with `min_replicas` to `max_replicas`.

    A replica is stopped only after it was not needed for `downscale_delay`. Starting a replica takes about as long as
    loading its model, so the delay should be several times that. All times are in seconds.
    """

    target_wait: float = 30.0
    min_replicas: int = 1
    max_replicas: int = 1
    downscale_delay: float = 600.0


@dataclass(frozen=True, slots=True)
class Demand:
    """Number of replicas that were needed at the time `at`."""

    at: float
    replicas: int


Demands = tuple[Demand, ...]  # of the last `downscale_delay` seconds, decreasing; the first is what to run


def plan_replicas(load: QueueLoad, policy: ScalingPolicy, now: float, previous: Demands = ()) -> Demands:
    """Return the demands of now and of the last `downscale_delay`. Scale up at once, down only after that delay.

    n replicas finish the waiting work in work / n seconds; n is chosen so that this equals the target wait. A busy
    replica is always needed, so a cluster that keeps up while nothing waits is not scaled down.
    """
    work = load.waiting_cost * load.seconds_per_cost
    needed = max(load.busy_replicas, math.ceil(work / policy.target_wait))
    needed = max(policy.min_replicas, min(policy.max_replicas, needed))
    higher = tuple(need for need in previous if need.replicas > needed and now - need.at < policy.downscale_delay)
    return (*higher, Demand(now, needed))


async def run_autoscaler(scaler: "RayScaler", measure_load: Callable[[], QueueLoad]) -> None:
    """Scale the cluster with the load of the queue until cancelled."""
    while True:
        await scaler.adjust(measure_load(), asyncio.get_running_loop().time())
        await asyncio.sleep(POLL_INTERVAL)


class RayScaler:
    """Requests a number of replicas from the dashboard of a Ray cluster whenever that number changes."""

    def __init__(self, dashboard: str, deployment: str, policy: ScalingPolicy, token: str | None = None) -> None:
        """`deployment` is `application/deployment`; `token` is the token of the cluster, not of the render worker."""
        application, _, name = deployment.partition("/")
        self._url = f"{dashboard.rstrip('/')}/api/v1/applications/{application}/deployments/{name}/scale"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._policy = policy
        self._demands: Demands = ()
        self.last_target: int | None = None  # number of replicas that the cluster accepted last

    async def adjust(self, load: QueueLoad, now: float) -> None:
        """Request the replicas for this load. A request that fails is sent again with the next call."""
        self._demands = plan_replicas(load, self._policy, now, self._demands)
        wanted = self._demands[0].replicas
        if wanted == self.last_target:
            return
        trouble = await self._request_replicas(wanted)
        if trouble:
            log.warning("the Ray cluster refused to run %s replicas: %s", wanted, trouble)
        else:
            log.info("requested %s replicas from the Ray cluster", wanted)
            self.last_target = wanted

    async def _request_replicas(self, target: int) -> str | None:
        timeout, body = aiohttp.ClientTimeout(10), {"target_num_replicas": target}
        try:
            async with (
                aiohttp.ClientSession(headers=self._headers, timeout=timeout) as session,
                session.post(self._url, json=body) as response,
            ):
                return None if response.ok else f"{response.status} {(await response.text())[:200]}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return str(error) or type(error).__name__
