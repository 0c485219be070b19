"""Metrics of the render queue for Prometheus. No label contains a name or a text of a user."""

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client import Counter as CounterMetric
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bot.capabilities import ModelCapabilities
from bot.domain import Failed, Rendered, RenderJob, RenderUpdate
from bot.notices import UserText
from bot.ports import Renderer
from bot.queue_status import QueueStatus

ANY_MODEL = "any"  # label of a job that names no model while the workers have several models
OUTCOMES = ("rendered", "dead", "cancelled", "lost")
BATCH_SIZE_BUCKETS = (1, 2, 4, 8, 16, 32)  # upper bounds of the histogram: images in a batch


class Metrics(Collector):
    """Counts jobs that end and batches that start, and reads the queue status whenever it is scraped."""

    def __init__(self, queue_status: Callable[[], QueueStatus], is_cancelled: Callable[[str], bool]) -> None:
        """`is_cancelled` tells by id whether a user cancelled a job that failed."""
        self._queue_status = queue_status
        self._is_cancelled = is_cancelled
        self._sent_jobs: set[str] = set()
        self._registry = CollectorRegistry()
        self._sizes = Histogram(
            "minidalle_batch_size",
            "Pictures of a batch.",
            ["model"],
            buckets=BATCH_SIZE_BUCKETS,
            registry=self._registry,
        )
        told = "Jobs that ended, and attempts that came to nothing and were put back into the line (lost)."
        self._ended = CounterMetric("minidalle_jobs", told, ["outcome"], registry=self._registry)
        for outcome in OUTCOMES:
            self._ended.labels(outcome)
        self._registry.register(self)

    def exposition(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self._registry)

    # Events

    def record_batch(self, model: str, jobs: Sequence[str]) -> None:
        """Count a batch that is sent to a worker. A job that was sent before counts as a lost attempt."""
        self._sizes.labels(model).observe(len(jobs))
        self._ended.labels("lost").inc(len(self._sent_jobs.intersection(jobs)))
        self._sent_jobs.update(jobs)

    def record_end(self, job_id: str, outcome: RenderUpdate | None) -> None:
        """Count a job that nobody waits for any more; None if it had not ended. Images of earlier runs do not count."""
        begun = job_id in self._sent_jobs
        self._sent_jobs.discard(job_id)
        match outcome:
            case Rendered():
                self._ended.labels("rendered").inc(int(begun))
            case Failed():
                self._ended.labels("cancelled" if self._is_cancelled(job_id) else "dead").inc()
            case _:
                self._ended.labels("cancelled").inc()

    # Current state

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of the current queue status; called by Prometheus's registry."""
        now = self._queue_status()
        models = {bench.model for bench in now.workers if bench.model}
        usual = next(iter(models)) if len(models) == 1 else ANY_MODEL
        waiting = Counter(each.model or usual for each in now.jobs if not each.running)
        running = Counter(each.model or usual for each in now.jobs if each.running)
        known = sorted(models | {*waiting, *running})
        oldest = max((each.waited for each in now.jobs if not each.running), default=0.0)
        yield _gauges("jobs_waiting", "Pictures that wait.", "model", ((model, waiting[model]) for model in known))
        yield _gauges("jobs_running", "Pictures under way.", "model", ((model, running[model]) for model in known))
        yield GaugeMetricFamily("minidalle_oldest_wait_seconds", "How long the oldest job has waited.", value=oldest)
        told = "How long a megapixel-step takes, as a moving average."
        yield _gauges("seconds_per_megapixel_step", told, "model", now.pace.items())
        slots, busy = Counter[str](), Counter[str]()  # two workers on one device have the same name
        for bench in now.workers:
            slots[bench.name] += bench.slots
            busy[bench.name] += bench.busy_slots
        yield _gauges("slots", "Batches that the worker takes at once.", "worker", slots.items())
        yield _gauges("slots_busy", "Batches of this bot that are there.", "worker", busy.items())


class CountingRenderer:
    """Wraps a Renderer and counts how its jobs end."""

    def __init__(self, renderer: Renderer, metrics: Metrics) -> None:
        self._renderer = renderer
        self._metrics = metrics

    @property
    def capabilities(self) -> ModelCapabilities:
        """Capabilities of the wrapped renderer."""
        return self._renderer.capabilities

    def cancel(self, job_id: str, reason: UserText) -> bool:
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
            self._metrics.record_end(job.id, outcome)


def _gauges(name: str, documentation: str, label: str, values: Iterable[tuple[str, float]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"minidalle_{name}", documentation, labels=[label])
    for value, number in values:
        family.add_metric([value], number)
    return family
