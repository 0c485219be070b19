"""Waiting for a change of the state of a test double."""

import asyncio
from collections.abc import Callable


class Changes:
    """Lets tests wait until a condition holds; `changed()` makes each of them check its condition again."""

    def __init__(self) -> None:
        self._change = asyncio.Event()

    def changed(self) -> None:
        """Let each `until` check its condition again."""
        change, self._change = self._change, asyncio.Event()
        change.set()

    async def until(self, predicate: Callable[[], object], seconds: float) -> None:
        """Wait until the condition holds. Raises TimeoutError after so many seconds."""
        async with asyncio.timeout(seconds):
            while not predicate():
                await self._change.wait()
