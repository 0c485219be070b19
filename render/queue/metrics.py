"""Metrics of the render queue for Prometheus. No label contains a name or a text of a user."""

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client import Counter as CounterMetric
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bot.capabilities import Abilities
from bot.domain import Failed, Rendered, RenderJob, RenderUpdate
from bot.ports import Renderer
from bot.queue_status import Lineup

ANY = "any"  # label of a job that names no model while the workers have several models
OUTCOMES = ("rendered", "dead", "cancelled", "lost")
SIZES = (1, 2, 4, 8, 16, 32)  # upper bounds of the histogram: images in a batch


class Metrics(Collector):
    """Counts jobs that end and batches that start, and reads the queue status whenever it is scraped."""

    def __init__(self, look: Callable[[], Lineup], cancelled: Callable[[str], bool]) -> None:
        """`is_cancelled` tells by id whether a user cancelled a job that failed."""
        self._look = look
        self._cancelled = cancelled
        self._begun: set[str] = set()
        self._registry = CollectorRegistry()
        self._sizes = Histogram(
            "minidalle_batch_size", "Pictures of a batch.", ["model"], buckets=SIZES, registry=self._registry
        )
        told = "Jobs that ended, and attempts that came to nothing and were put back into the line (lost)."
        self._ended = CounterMetric("minidalle_jobs", told, ["outcome"], registry=self._registry)
        for outcome in OUTCOMES:
            self._ended.labels(outcome)
        self._registry.register(self)

    def page(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self._registry)

    # Events

    def began(self, model: str, jobs: Sequence[str]) -> None:
        """Count a batch that is sent to a worker. A job that was sent before counts as a lost attempt."""
        self._sizes.labels(model).observe(len(jobs))
        self._ended.labels("lost").inc(len(self._begun.intersection(jobs)))
        self._begun.update(jobs)

    def ended(self, job_id: str, outcome: RenderUpdate | None) -> None:
        """Count a job that nobody waits for any more; None if it had not ended. Images of earlier runs do not count."""
        begun = job_id in self._begun
        self._begun.discard(job_id)
        match outcome:
            case Rendered():
                self._ended.labels("rendered").inc(int(begun))
            case Failed():
                self._ended.labels("cancelled" if self._cancelled(job_id) else "dead").inc()
            case _:
                self._ended.labels("cancelled").inc()

    # Current state

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of the current queue status; called by Prometheus's registry."""
        now = self._look()
        models = {bench.model for bench in now.benches if bench.model}
        usual = next(iter(models)) if len(models) == 1 else ANY
        waiting = Counter(each.model or usual for each in now.standings if not each.running)
        running = Counter(each.model or usual for each in now.standings if each.running)
        known = sorted(models | {*waiting, *running})
        oldest = max((each.waited for each in now.standings if not each.running), default=0.0)
        yield _gauges("jobs_waiting", "Pictures that wait.", "model", ((model, waiting[model]) for model in known))
        yield _gauges("jobs_running", "Pictures under way.", "model", ((model, running[model]) for model in known))
        yield GaugeMetricFamily("minidalle_oldest_wait_seconds", "How long the oldest job has waited.", value=oldest)
        told = "How long a megapixel-step takes, as a moving average."
        yield _gauges("seconds_per_megapixel_step", told, "model", now.pace.items())
        slots, busy = Counter[str](), Counter[str]()  # two workers on one device have the same name
        for bench in now.benches:
            slots[bench.name] += bench.slots
            busy[bench.name] += bench.busy
        yield _gauges("slots", "Batches that the worker takes at once.", "worker", slots.items())
        yield _gauges("slots_busy", "Batches of this bot that are there.", "worker", busy.items())


class Counted:
    """Wraps a Renderer and counts how its jobs end."""

    def __init__(self, renderer: Renderer, metrics: Metrics) -> None:
        self._renderer = renderer
        self._metrics = metrics

    @property
    def abilities(self) -> Abilities:
        """Capabilities of the wrapped renderer."""
        return self._renderer.abilities

    def cancel(self, job_id: str, reason: str) -> bool:
        """Cancel the job in the wrapped renderer; it is counted when its stream of updates ends."""
        return self._renderer.cancel(job_id, reason)

    async def render(self, job: RenderJob) -> AsyncGenerator[RenderUpdate]:
        """Stream the updates of the wrapped renderer."""
        outcome: RenderUpdate | None = None
        try:
            async with aclosing(self._renderer.render(job)) as updates:
                async for update in updates:
                    outcome = update if isinstance(update, Rendered | Failed) else None
                    yield update
        finally:
            self._metrics.ended(job.id, outcome)


def _gauges(name: str, told: str, label: str, values: Iterable[tuple[str, float]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"minidalle_{name}", told, labels=[label])
    for value, number in values:
        family.add_metric([value], number)
    return family
