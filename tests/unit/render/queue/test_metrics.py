"""The line in numbers, as Prometheus reads them."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from bot.capabilities import ModelCapabilities
from bot.domain import Failed, ImageRequest, Operation, Queued, Rendered, Rendering, RenderJob, RenderUpdate, Sampling
from bot.notices import UserText
from bot.queue_status import QueuedJob, QueueStatus, WorkerStatus
from render.queue.metrics import CountingRenderer, Metrics
from tests.support.doubles import THREAD, picture
from tests.support.paths import ROOT

DOCS = ROOT / "docs" / "operating.md"


def status(job: str, running: bool = False, waited: float = 1.0, model: str = "") -> QueuedJob:
    """Somebody's place."""
    return QueuedJob(job, THREAD, 1, Operation.GENERATE, "Ann-Owner", model, running, 0.0, 0, None, waited)


def numbers(metrics: Metrics) -> dict[tuple[str, str], float]:
    """Every sample by its name and its labels' values."""
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


def test_the_line_is_looked_at_when_it_is_asked() -> None:
    """Waits, slots and pace are those of now; two workers of one name are one; nobody's name is told."""
    statuses = [
        QueueStatus(
            (status("a", running=True), status("b", waited=7.5), status("c", model="other")),
            (WorkerStatus("cpu", "m", 2, 1), WorkerStatus("cpu", "m", 1, 1), WorkerStatus("http://gpu", "", 0, 0)),
            {"m": 0.25},
        ),
        QueueStatus(workers=(WorkerStatus("cpu", "m", 2, 0),)),
    ]
    metrics = Metrics(lambda: statuses[0], lambda job: False)
    seen = numbers(metrics)
    assert {
        name: value for name, value in seen.items() if "jobs_total" not in name[0] and "created" not in name[0]
    } == {
        ("minidalle_jobs_waiting", "m"): 1,
        ("minidalle_jobs_waiting", "other"): 1,
        ("minidalle_jobs_running", "m"): 1,
        ("minidalle_jobs_running", "other"): 0,
        ("minidalle_oldest_wait_seconds", ""): 7.5,
        ("minidalle_seconds_per_megapixel_step", "m"): 0.25,
        ("minidalle_slots", "cpu"): 3,
        ("minidalle_slots", "http://gpu"): 0,
        ("minidalle_slots_busy", "cpu"): 2,
        ("minidalle_slots_busy", "http://gpu"): 0,
    }
    assert b"Ann-Owner" not in metrics.exposition()
    del statuses[0]
    seen = numbers(metrics)
    assert (seen["minidalle_jobs_waiting", "m"], seen["minidalle_oldest_wait_seconds", ""]) == (0, 0)


@dataclass
class Scripted:
    """A renderer that says what it is told to."""

    updates: list[RenderUpdate]
    cancelled: list[str] = field(default_factory=list)
    capabilities: ModelCapabilities = field(default_factory=ModelCapabilities)

    async def render(self, job: RenderJob) -> AsyncGenerator[RenderUpdate]:
        """The script."""
        for update in self.updates:
            yield update

    def cancel(self, job_id: str, reason: UserText) -> bool:
        """Remember it."""
        self.cancelled.append(job_id)
        return True


async def outcomes(*updates: RenderUpdate, begun: int = 1, cancelled: bool = False, leave: bool = False) -> list[float]:
    """How many were counted as rendered, dead, cancelled and lost after one job with this stream."""
    metrics = Metrics(QueueStatus, lambda job: cancelled)
    job = RenderJob("j", THREAD, 1, "ann", ImageRequest(0, Operation.GENERATE, "p", sampling=Sampling(seed=1)))
    for _ in range(begun):
        metrics.record_batch("m", ["j"])
    received = []
    async with aclosing(CountingRenderer(Scripted(list(updates)), metrics).render(job)) as stream:
        async for update in stream:
            received.append(update)
            if leave:
                break
    assert received == list(updates[: 1 if leave else None])
    counted = numbers(metrics)
    return [counted["minidalle_jobs_total", each] for each in ("rendered", "dead", "cancelled", "lost")]


async def test_every_end_is_counted_once() -> None:
    """Rendered, given up, cancelled in either way, and an attempt that had to be made again."""
    done = Rendered(picture(1))
    assert await outcomes(Queued(0), Rendering(0.5), done) == [1, 0, 0, 0]
    assert await outcomes(Queued(0), Rendering(0.5), Queued(0), done, begun=2) == [1, 0, 0, 1]
    assert await outcomes(Queued(0), Failed("No.")) == [0, 1, 0, 0]
    assert await outcomes(Queued(0), Failed("Cancelled."), cancelled=True) == [0, 0, 1, 0]
    assert await outcomes(Queued(0), Failed("never"), leave=True, begun=0) == [0, 0, 1, 0]
    assert await outcomes(done, begun=0) == [0, 0, 0, 0]  # found again after a restart


async def test_a_counted_renderer_is_the_renderer() -> None:
    """What it can do, and what it is told, are the renderer's."""
    renderer = Scripted([])
    counted = CountingRenderer(renderer, Metrics(QueueStatus, lambda job: False))
    assert counted.capabilities is renderer.capabilities
    assert counted.cancel("j", "No.")
    assert renderer.cancelled == ["j"]


def test_batches_are_measured() -> None:
    """How many pictures each had, by model."""
    metrics = Metrics(QueueStatus, lambda job: False)
    metrics.record_batch("m", ["a"])
    metrics.record_batch("m", ["b", "c", "d"])
    seen = numbers(metrics)
    assert (seen["minidalle_batch_size_sum", "m"], seen["minidalle_batch_size_count", "m"]) == (4, 2)


def test_every_metric_is_documented() -> None:
    """`docs/operating.md` names each of them."""
    metrics = Metrics(
        lambda: QueueStatus(workers=(WorkerStatus("cpu", "m", 1, 0),), pace={"m": 1.0}), lambda job: False
    )
    metrics.record_batch("m", ["a"])
    names = {family.name for family in text_string_to_metric_families(metrics.exposition().decode())}
    documented = DOCS.read_text(encoding="utf-8")
    assert [name for name in names if not name.endswith("_created") and f"`{name}" not in documented] == []
