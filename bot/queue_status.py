"""The status of the render queue for users: values only."""

from dataclasses import dataclass, field

from bot.domain import Operation, ThreadKey


@dataclass(frozen=True, slots=True)
class Standing:
    """A waiting or running job. `eta` and `waited` are in seconds; `fraction` the share of finished steps, 0 to 1."""

    job: str
    thread: ThreadKey
    number: int
    operation: Operation
    owner: str
    model: str
    running: bool
    fraction: float
    ahead: int
    eta: float | None
    waited: float


@dataclass(frozen=True, slots=True)
class Bench:
    """A worker with its image model. `busy_slots` is the number of batches that it renders now."""

    name: str
    model: str
    slots: int
    busy: int
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Lineup:
    """The render queue: running jobs, then waiting jobs in order. `pace` is in seconds per megapixel-step, by model."""

    standings: tuple[Standing, ...] = ()
    benches: tuple[Bench, ...] = ()
    pace: dict[str, float] = field(default_factory=dict)
