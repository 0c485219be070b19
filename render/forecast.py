"""Where the recorded jobs stand, told from the record alone: for whoever looks from outside the bot. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import median

from bot.domain import Queued, RenderJob, ThreadKey
from render.pace import Pace
from render.queue import REMEMBERED
from render.schedule import Busy, Place, Schedule, Slot
from render.tasks import TYPICAL, server, waiting
from render.wire import Usual

Served = tuple[ThreadKey, str, float, float]  # thread, owner, cost in megapixel-steps, when it was claimed


def forecast(
    jobs: Sequence[RenderJob], served: Sequence[Served], running: Sequence[Served], pace: float | None, now: float
) -> dict[str, Queued]:
    """The places of the first jobs that wait, by the bot's own policy; the rest of them is too far away to tell.

    `pace` is in seconds per megapixel-step. What the workers can do is not recorded, so as many slots are taken for
    granted as batches run, one at least, and each paints one picture at a time. Times are in seconds since 1970.
    """
