"""The doctor finds GPUs by a process of its own, which imports torch."""

import sys

from bot.config import Config
from bot.doctor.checks import Check, Severity
from bot.doctor.doctor import check_rendering, inspect_environment
from render.protocol import VERSION


async def test_a_look_for_gpus_that_hangs_or_fails_is_reported() -> None:
    """The other process is ended, and the bot never waits for it longer than allowed."""
    hung = await inspect_environment((sys.executable, "-c", "import signal; signal.pause()"), 0.1)
    broken = await inspect_environment((sys.executable, "-c", "raise ImportError"), 60)
    assert isinstance(hung, Check) and "within 0.1 s" in hung.message
    assert isinstance(broken, Check) and "cannot be loaded" in broken.message


async def test_torch_is_found_without_being_imported_here() -> None:
    """What the suite runs with is enough to paint."""
    found = await check_rendering(Config(render_devices=("cpu",)), VERSION)
    assert [each.severity for each in found] == [Severity.OK, Severity.OK]
