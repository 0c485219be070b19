"""Limits how often a surface is updated: the latest view wins, and the final view is always displayed."""

import asyncio
import logging
from contextlib import suppress

from tenacity import AsyncRetrying, before_sleep_log, retry_if_not_exception_type, stop_after_delay, wait_exponential

from bot.domain import View
from bot.errors import Unreachable
from bot.ports import Surface

log = logging.getLogger(__name__)

TIMEOUT = 600  # seconds of retries for the final view while the platform does not answer


class Pacer:
    """Writes the views of one reply to its surface, with the pause that the surface asks for.

    The final view ends the pacer. Do not cancel it: an interrupted post may have reached the platform,
    and the next attempt would post it twice.
    """

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self._newest: View | None = None
        self._new_view = asyncio.Event()
        self._final_view = asyncio.Event()

    def show(self, view: View) -> None:
        """Set the view to display next. Never waits."""
        self._newest = view
        self._new_view.set()
        if view.final:
            self._final_view.set()

    async def run(self) -> None:
        """Display views until the final one is displayed. Raises Unreachable, or the error of the last attempt."""
        while True:
            await self._new_view.wait()
            self._new_view.clear()
            newest = self._newest
            assert newest is not None
            if newest.final:
                await self._put_final(newest)
                return
            try:
                await self._surface.put(newest)
            except Unreachable:
                raise
            except Exception as error:  # the platform's client may raise anything; a later view repairs it
                log.warning("a view was not displayed: %s", type(error).__name__)
            with suppress(TimeoutError):  # the final view does not wait
                await asyncio.wait_for(self._final_view.wait(), self._surface.pause)

    async def _put_final(self, view: View) -> None:
        attempts = AsyncRetrying(
            retry=retry_if_not_exception_type((Unreachable, asyncio.CancelledError)),
            wait=wait_exponential(0.5, max=30),
            stop=stop_after_delay(TIMEOUT),
            before_sleep=before_sleep_log(log, logging.WARNING),
            reraise=True,
        )
        await attempts(self._surface.put, view)
