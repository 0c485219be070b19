"""The surface of a platform that may not be connected yet."""

import asyncio
from dataclasses import dataclass, field

from adapters.lazy_surface import LazySurface
from bot.domain import View


@dataclass
class RecordingSurface:
    """Records the views that it shows."""

    pause: float = 2.0
    views: list[View] = field(default_factory=list)

    async def put(self, view: View) -> None:
        """Record the view."""
        self.views.append(view)


async def test_a_view_waits_for_the_connection() -> None:
    """Before the first update the pause is the one that was given."""
    connected: asyncio.Future[RecordingSurface] = asyncio.get_running_loop().create_future()
    surface = LazySurface(lambda: connected, lambda connection: connection, pause=0.5)
    putting = asyncio.create_task(surface.put(View(())))
    await asyncio.sleep(0)
    assert not putting.done() and surface.pause == 0.5
    real = RecordingSurface()
    connected.set_result(real)
    await putting
    assert len(real.views) == 1 and surface.pause == 2.0


async def test_a_surface_is_created_for_each_connection() -> None:
    """After a reconnect, views go to a surface of the new connection."""
    connections = [RecordingSurface()]

    async def connect() -> RecordingSurface:
        return connections[-1]

    created = list[RecordingSurface]()

    def create(connection: RecordingSurface) -> RecordingSurface:
        created.append(connection)
        return connection

    surface = LazySurface(connect, create)
    await surface.put(View(()))
    await surface.put(View((), "one"))
    connections.append(RecordingSurface())
    await surface.put(View((), "two"))
    assert created == connections
    assert [len(each.views) for each in connections] == [2, 1]
