"""The line in numbers, for Prometheus. No label has a person's name or words in it."""

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client import Counter as CounterMetric
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bot.abilities import Abilities
from bot.domain import Failed, Rendered, RenderJob, RenderUpdate
from bot.lineup import Lineup
from bot.ports import Renderer

ANY = "any"  # the model of a job that leaves the choice to workers with several
OUTCOMES = ("rendered", "dead", "cancelled", "lost")
SIZES = (1, 2, 4, 8, 16, 32)  # pictures of a batch


class Metrics(Collector):
    """Counts what ends, and looks at the line whenever it is asked."""

    def __init__(self, look: Callable[[], Lineup], cancelled: Callable[[str], bool]) -> None:
        """`cancelled` tells whether the job that failed was cancelled by somebody."""
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
        """All of it in Prometheus's text format."""
        return generate_latest(self._registry)

    # What happens

    def began(self, model: str, jobs: Sequence[str]) -> None:
        """These jobs are sent to a worker in one batch; those that were sent before have lost that attempt."""
        self._sizes.labels(model).observe(len(jobs))
        self._ended.labels("lost").inc(len(self._begun.intersection(jobs)))
        self._begun.update(jobs)

    def ended(self, job_id: str, outcome: RenderUpdate | None) -> None:
        """Nobody waits for the job any more; None where it had not ended. What was rendered earlier does not count."""
        begun = job_id in self._begun
        self._begun.discard(job_id)
        match outcome:
            case Rendered():
                self._ended.labels("rendered").inc(int(begun))
            case Failed():
                self._ended.labels("cancelled" if self._cancelled(job_id) else "dead").inc()
            case _:
                self._ended.labels("cancelled").inc()

    # What is

    def collect(self) -> Iterator[Metric]:
        """The line as it is now."""
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
        slots, busy = Counter[str](), Counter[str]()  # two workers on one device have one name
        for bench in now.benches:
            slots[bench.name] += bench.slots
            busy[bench.name] += bench.busy
        yield _gauges("slots", "Batches that the worker takes at once.", "worker", slots.items())
        yield _gauges("slots_busy", "Batches of this bot that are there.", "worker", busy.items())


class Counted:
    """A renderer whose outcomes are counted."""

    def __init__(self, renderer: Renderer, metrics: Metrics) -> None:
        self._renderer = renderer
        self._metrics = metrics

    @property
    def abilities(self) -> Abilities:
        """Those of the renderer."""
        return self._renderer.abilities

    def cancel(self, job_id: str, reason: str) -> bool:
        """As the renderer does it; it is counted when the job's stream ends."""
        return self._renderer.cancel(job_id, reason)

    async def render(self, job: RenderJob) -> AsyncGenerator[RenderUpdate]:
        """The renderer's own stream."""
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
