"""How many painters Ray Serve should run: the decision, which is pure, and the call that tells it. Knows no ray."""

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

log = logging.getLogger(__name__)

LOOK = 5.0  # seconds between two looks at the line


@dataclass(frozen=True, slots=True)
class Load:
    """What is to be done: painters `busy` now, and the cost that waits, of which each takes so many seconds."""

    busy: int
    waiting_cost: float
    seconds_per_cost: float


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator wants: nobody waits longer than `wanted_wait`, with `lowest` to `highest` painters.

    `patience`: painters are let go only when for so long none of them was needed. Starting one takes about as long as
    loading its model, so this should be several times that. All in seconds.
    """

    wanted_wait: float = 30.0
    lowest: int = 1
    highest: int = 1
    patience: float = 600.0


@dataclass(frozen=True, slots=True)
class Need:
    """So many painters were needed at that time."""

    at: float
    painters: int


Needs = tuple[Need, ...]  # of the last `patience` seconds, each smaller than the one before; the first is what to run


def replicas(load: Load, rules: Rules, now: float, last: Needs = ()) -> Needs:
    """What is needed now and was lately. More painters are wanted at once, fewer only after the rules' patience.

    The work that waits is cleared by n painters in waiting / n seconds: n is chosen so that this is the wanted wait.
    Painters that are busy are needed at any rate, so a fleet that keeps up without anything waiting is not shrunk.
    """
    work = load.waiting_cost * load.seconds_per_cost
    needed = max(load.busy, math.ceil(work / rules.wanted_wait))
    needed = max(rules.lowest, min(rules.highest, needed))
    higher = tuple(need for need in last if need.painters > needed and now - need.at < rules.patience)
    return (*higher, Need(now, needed))


async def keep_scaled(scaler: "RayScaler", load: Callable[[], Load]) -> None:
    """Have the cluster follow the line until cancelled."""
    while True:
        await scaler.follow(load(), asyncio.get_running_loop().time())
        await asyncio.sleep(LOOK)


class RayScaler:
    """Tells the dashboard of a Ray cluster how many painters are wanted, whenever that changes."""

    def __init__(self, dashboard: str, deployment: str, rules: Rules, token: str | None = None) -> None:
        """`deployment` is `application/deployment`; `token` is the cluster's, not the render worker's."""
        application, _, name = deployment.partition("/")
        self._url = f"{dashboard.rstrip('/')}/api/v1/applications/{application}/deployments/{name}/scale"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._rules = rules
        self._needs: Needs = ()
        self.told: int | None = None  # what the cluster was told last

    async def follow(self, load: Load, now: float) -> None:
        """Take note of the load. What the cluster could not be told is told the next time."""
        self._needs = replicas(load, self._rules, now, self._needs)
        wanted = self._needs[0].painters
        if wanted == self.told:
            return
        trouble = await self._tell(wanted)
        if trouble:
            log.warning("the cluster could not be told to run %s painters: %s", wanted, trouble)
        else:
            log.info("the cluster was told to run %s painters", wanted)
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
