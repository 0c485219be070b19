"""A crowd in the line while bot and worker are killed: nothing is lost, nothing comes twice, nobody waits for long.

The sizes come from JOBS, KILLS, LOST and SEED; `make chaos` is the long form.
"""

from pathlib import Path

import pytest

from tests.support.chaos.processes import FlatEngine
from tests.support.chaos.run import Sizes, chaos

SIZES = Sizes.from_environment()
STEP_TIME = 0.06  # seconds, of which a picture takes five
LARGEST_BATCH = 4


@pytest.mark.timeout(120 + 15 * SIZES.kills)
async def test_a_crowd_is_served_while_bot_and_worker_are_killed(tmp_path: Path) -> None:
    """Every picture that was asked for is posted once, few are rendered twice, and a single wish is served soon."""
    evidence = await chaos(FlatEngine(tmp_path, STEP_TIME, LARGEST_BATCH), tmp_path, SIZES)
    print(f"\n{evidence.table()}")
    evidence.check()
