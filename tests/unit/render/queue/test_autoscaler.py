"""How many painters are wanted, and how a cluster is told."""

from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from render.queue.autoscaler import Demands, QueueLoad, RayScaler, ScalingPolicy, plan_replicas

RULES = ScalingPolicy(target_wait=30, min_replicas=1, max_replicas=10, downscale_delay=600)
QUIET = QueueLoad(busy_replicas=0, waiting_cost=0, seconds_per_cost=2)


def wanted(*loads: tuple[float, QueueLoad]) -> int:
    """How many painters are wanted after these loads, each at its time."""
    needs: Demands = ()
    for now, load in loads:
        needs = plan_replicas(load, RULES, now, needs)
    return needs[0].replicas


def test_enough_workers_for_the_wanted_wait() -> None:
    """90 seconds of work are done in 30 by three; a second more takes a fourth."""
    assert wanted((0, QueueLoad(0, 45, 2))) == 3
    assert wanted((0, QueueLoad(0, 45.5, 2))) == 4


def test_the_limits_hold() -> None:
    """Never fewer than the lowest, never more than the highest, whatever waits."""
    assert wanted((0, QUIET)) == 1
    assert wanted((0, QueueLoad(99, 1e9, 2))) == 10


def test_a_fleet_that_keeps_up_stays() -> None:
    """Nothing waits, but all are busy: none can be spared, even after a long time."""
    assert wanted((0, QueueLoad(0, 60, 2)), (1e6, QueueLoad(4, 0, 2))) == 4


def test_more_at_once_and_fewer_later() -> None:
    """A lull shorter than the patience changes nothing; after it, the most that was needed meanwhile stays."""
    peak, some = QueueLoad(0, 75, 2), QueueLoad(2, 0, 2)
    assert wanted((0, QUIET), (1, peak)) == 5
    assert wanted((0, peak), (10, QUIET), (599, QUIET)) == 5
    assert wanted((0, peak), (300, some), (600, QUIET)) == 2
    assert wanted((0, peak), (300, some), (899, QUIET)) == 2
    assert wanted((0, peak), (300, some), (900, QUIET)) == 1


LOADS = st.builds(QueueLoad, st.integers(0, 20), st.floats(0, 1e4), st.floats(0, 10))


@given(st.lists(st.tuples(st.floats(0, 400), LOADS), min_size=1, max_size=40))
def test_what_was_needed_lately_is_there(steps: list[tuple[float, QueueLoad]]) -> None:
    """At any time the number wanted is the greatest need of the last `patience` seconds, and the notes stay few."""
    now, needs, needed = 0.0, (), []  # type: tuple[float, Demands, list[tuple[float, int]]]
    for pause, load in steps:
        now += pause
        needs = plan_replicas(load, RULES, now, needs)
        needed.append((now, plan_replicas(load, RULES, now)[0].replicas))
        assert needs[0].replicas == max(
            workers for at, workers in needed if at == now or now - at < RULES.downscale_delay
        )
        assert len(needs) <= RULES.max_replicas


async def test_a_cluster_receives_what_changed() -> None:
    """The call carries the cluster's token; the same number is not told twice; a failure is told again."""
    requests, answers = [], [503, 200, 200]

    async def scale(request: web.Request) -> web.Response:
        requests.append((request.path, request.headers["Authorization"], await request.json()))
        return web.Response(status=answers[len(requests) - 1], text="busy")

    app = web.Application()
    app.router.add_post("/api/v1/applications/{app}/deployments/{name}/scale", scale)
    async with TestServer(app) as server:
        scaler = RayScaler(str(server.make_url("/")), "pictures/Painter", RULES, "secret")
        for now, load in enumerate((QueueLoad(0, 60, 2), QueueLoad(0, 60, 2), QUIET, QueueLoad(0, 75, 2))):
            await scaler.adjust(load, now)
    path = "/api/v1/applications/pictures/deployments/Painter/scale"
    assert requests == [(path, "Bearer secret", {"target_num_replicas": wanted}) for wanted in (4, 4, 5)]


async def test_a_cluster_that_is_away_stops_nobody() -> None:
    """It is told when it is back."""
    scaler = RayScaler("http://127.0.0.1:1", "pictures/Painter", RULES)
    await scaler.adjust(QUIET, 0)
    assert scaler.last_target is None
