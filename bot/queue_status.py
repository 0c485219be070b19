"""The status of the render queue for users: values only."""

from dataclasses import dataclass, field

from bot.domain import Operation, ThreadKey
from bot.notices import UserText


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """A waiting or running job. `ahead` jobs come before it; None if no worker can take it yet.

    `eta` and `waited` are in seconds; `fraction` is the share of finished steps, 0 to 1.
    """

    job_id: str
    thread: ThreadKey
    number: int
    operation: Operation
    owner: str
    model: str
    running: bool
    fraction: float
    ahead: int | None
    eta: float | None
    waited: float


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A worker with its image model. `busy_slots` is the number of batches that it renders now."""

    name: str
    model: str
    slots: int
    busy_slots: int
    problem: UserText = ""


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """The render queue: running jobs, then waiting jobs in order. `pace` is in seconds per megapixel-step, by model."""

    jobs: tuple[QueuedJob, ...] = ()
    workers: tuple[WorkerStatus, ...] = ()
    pace: dict[str, float] = field(default_factory=dict)
