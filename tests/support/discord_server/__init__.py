"""A Discord on one port of this machine: REST, gateway and CDN, for the real client to log in to, and to be hurt by.

async with DiscordDouble() as double:  # and inside `with aimed(double)` the client
    channel, ana = double.channel(double.guild()), double.person("Ana")
    double.fail("POST /channels/{channel_id}/messages", Limited(0.01))
    await double.say(channel, ana, f"{double.bot.mention} a red fox")
    await double.until(lambda: len(double.messages(channel)) == 2)
    assert double.violations == []
"""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from aiohttp import web

from tests.support.discord_server.contract import Violation
from tests.support.discord_server.faults import CODES, Asked, Broken, Code, Fault, Hang, Limited, Lose, Rate, Windows
from tests.support.discord_server.gateway import Gateway
from tests.support.discord_server.interactions import Interaction, Interactions
from tests.support.discord_server.people import People
from tests.support.discord_server.posting import Posting
from tests.support.discord_server.rest import Rest
from tests.support.discord_server.routes import Routes
from tests.support.discord_server.state import (
    DEFAULT_PERMISSIONS,
    EVERYTHING,
    Attachment,
    Channel,
    Guild,
    Message,
    Permission,
    Person,
    Role,
    Upload,
    World,
    Write,
)

__all__ = [
    "CODES",
    "DEFAULT_PERMISSIONS",
    "EVERYTHING",
    "TOKEN",
    "Asked",
    "Attachment",
    "Broken",
    "Channel",
    "Code",
    "DiscordDouble",
    "Guild",
    "Hang",
    "Interaction",
    "Limited",
    "Lose",
    "Message",
    "Permission",
    "Person",
    "Rate",
    "Role",
    "Upload",
    "Violation",
    "Write",
    "busiest",
]

TOKEN = "a-token-of-the-double"
QUICK = Rate(50, 1.0)  # as Discord limits all requests together; `Rate(5, 5.0)` is how it limits edits of a channel
LARGEST = 256 * 2**20  # bytes; Discord's own limits are checked after the body is read


class DiscordDouble(People):
    """Discord, for as long as the block lasts. `rate` holds for each route of each channel."""

    def __init__(self, *, rate: Rate = QUICK) -> None:
        world = World()
        gateway = Gateway(world, TOKEN)
        posting = Posting(world, gateway)
        super().__init__(world, gateway, posting, Interactions(world, posting))
        self.rest = Rest(world, TOKEN, Windows(rate))
        self._routes = Routes(world, gateway, posting)
        self._endpoints = self._routes.routes() | self.interactions.routes()
        self._runner: web.AppRunner | None = None
        self.api_url = ""

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=LARGEST)
        app.router.add_get("/gateway", self.gateway.connect)
        app.router.add_get("/attachments/{channel}/{attachment}/{filename}", self.rest.download)
        for route, handler in self._endpoints.items():
            app.router.add_routes([self.rest.endpoint(route, handler)])
        app.router.add_route("*", "/{tail:.*}", self.rest.missing)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.api_url = f"http://{host}:{port}/api/v10"
        self.world.cdn_url = f"http://{host}:{port}"
        self.gateway.url = f"ws://{host}:{port}/gateway"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.rest.release()
        self.gateway.drop(1001)
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def gateway_url(self) -> str:
        """Where the gateway is."""
        return self.gateway.url

    @property
    def cdn_url(self) -> str:
        """Where files are."""
        return self.world.cdn_url

    @property
    def shards(self) -> int:
        """Into how many shards Discord asks a client to split."""
        return self._routes.shards

    @shards.setter
    def shards(self, count: int) -> None:
        self._routes.shards = count

    @property
    def validated(self) -> bool:
        """Whether bodies are held against Discord's OpenAPI document, or it is not there."""
        return self.rest.contract is not None

    @property
    def violations(self) -> list[Violation]:
        """Every body that Discord would have refused."""
        return self.rest.violations

    @property
    def asked(self) -> list[Asked]:
        """Every request, in order."""
        return self.rest.asked

    def calls(self, route: str) -> list[Asked]:
        """Every request to a route."""
        return [asked for asked in self.asked if asked.route == route]

    def fail(
        self, route: str, fault: Fault, *, times: int = 1, where: Callable[[Asked], bool] = lambda asked: True
    ) -> None:
        """The next requests to a route meet a fault: `POST /channels/{channel_id}/messages`."""
        if route not in self._endpoints:
            raise LookupError(f"no route {route!r}")
        self.rest.faults.add(route, fault, times, where)

    def release(self) -> None:
        """Let hanging requests continue."""
        self.rest.release()

    async def until(self, predicate: Callable[[], object], *, seconds: float = 10.0) -> None:
        """Waits until something is true of the double, looking again whenever anything changes."""
        await self.world.until(predicate, seconds)


def busiest(writes: list[Write], seconds: float = 5.0) -> int:
    """The most messages and edits that a channel got in any span of so many seconds."""
    times = sorted(write.at for write in writes)
    return max((sum(begin <= at < begin + seconds for at in times) for begin in times), default=0)
