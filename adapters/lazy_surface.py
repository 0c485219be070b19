"""A surface of a platform that may not be connected yet."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from bot.domain import View
from bot.ports import Surface

C = TypeVar("C")


class LazySurface(Generic[C]):
    """A surface that is created for the connection that exists at the time of each update."""

    def __init__(self, connect: Callable[[], Awaitable[C]], create: Callable[[C], Surface], pause: float = 0.0) -> None:
        """`connect` waits for a connection; `create` returns the surface for one.

        `pause` is that of the surface before the first update, in seconds.
        """
        self._connect = connect
        self._create = create
        self._pause = pause
        self._connection: C | None = None
        self._surface: Surface | None = None

    @property
    def pause(self) -> float:
        """The pause of the created surface, in seconds."""
        return self._surface.pause if self._surface else self._pause

    async def put(self, view: View) -> None:
        """Wait for a connection, and show the view."""
        connection = await self._connect()
        if self._surface is None or connection is not self._connection:
            self._connection, self._surface = connection, self._create(connection)
        await self._surface.put(view)
