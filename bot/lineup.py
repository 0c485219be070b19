"""The line before the workers as people may see it: values alone."""

from dataclasses import dataclass, field

from bot.domain import Operation, ThreadKey


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a job stands. `eta` and `waited` are in seconds, `fraction` is of its steps, 0 to 1."""

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
    """A worker, what it paints with, and how many of its slots are taken."""

    name: str
    model: str
    slots: int
    busy: int
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Lineup:
    """The whole line: what runs, then what waits, in order. `pace` is in seconds per megapixel-step by model."""

    standings: tuple[Standing, ...] = ()
    benches: tuple[Bench, ...] = ()
    pace: dict[str, float] = field(default_factory=dict)
