"""A Slack on one port of this machine: Web API, Socket Mode and files, for the real Bolt to talk to, and to be hurt.

async with SlackDouble() as slack:  # and AsyncWebClient(token=BOT_TOKEN, base_url=slack.api_url)
    channel, ana = slack.channel("general"), slack.person("Ana")
    slack.fail("chat.postMessage", Limited(1))
    await slack.say(channel, ana, f"{slack.bot.mention} a red fox")
    await slack.until(lambda: len(slack.messages(channel)) == 2)
    assert slack.violations == []
"""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.support.slack_server.chat import Chat
from tests.support.slack_server.contract.samples import samples
from tests.support.slack_server.endpoints import APP_TOKEN, BOT_TOKEN, Web
from tests.support.slack_server.events import Delivery, Events
from tests.support.slack_server.faults import (
    DOWNLOAD,
    RESPONSE,
    UPLOAD,
    Broken,
    Call,
    Error,
    Fault,
    Hang,
    Limited,
    LoginPage,
    Lose,
    Redirect,
)
from tests.support.slack_server.interactions import Interactions, NotInThreads
from tests.support.slack_server.link import Envelope, Link
from tests.support.slack_server.modals import Modals
from tests.support.slack_server.people import People
from tests.support.slack_server.rates import Rate, busiest
from tests.support.slack_server.responses import Responses
from tests.support.slack_server.rooms import Rooms
from tests.support.slack_server.state import Channel, File, Kind, Message, Person, Ping, Streaming, Upload, View, World
from tests.support.slack_server.streams import Streams
from tests.support.slack_server.uploads import Uploads

__all__ = [
    "APP_TOKEN",
    "BOT_TOKEN",
    "DOWNLOAD",
    "RESPONSE",
    "UPLOAD",
    "Broken",
    "Call",
    "Channel",
    "Delivery",
    "Envelope",
    "Error",
    "Fault",
    "File",
    "Hang",
    "Kind",
    "Limited",
    "LoginPage",
    "Lose",
    "Message",
    "NotInThreads",
    "Person",
    "Ping",
    "Rate",
    "Redirect",
    "SlackDouble",
    "Streaming",
    "Upload",
    "View",
    "busiest",
    "samples",
]

LARGEST = 256 * 2**20  # bytes of one request


class SlackDouble(People):
    """Slack, for as long as the block lasts."""

    def __init__(self) -> None:
        world = World()
        self.link = Link(world)
        self.chat = Chat(world, Events(world, self.link))
        self.uploads = Uploads(self.chat)
        self.modals = Modals(self.chat)
        super().__init__(world, self.chat.events, Streams(self.chat))
        responses = Responses(self.chat)
        methods = Rooms(world).methods() | self.chat.methods() | self.streams.methods()
        methods |= self.uploads.methods() | self.modals.methods()
        methods["apps.connections.open"] = lambda call: self.link.open()
        self.web = Web(world, methods, self.uploads, responses)
        self.interactions = Interactions(self.link, self.modals, responses, self.web.contract)
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=LARGEST)
        app.router.add_routes([*self.web.routes(), web.get("/link/", self.link.connect)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.world.url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.web.release()
        self.link.end()
        await self.link.close()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def api_url(self) -> str:
        """The `base_url` of a client."""
        return f"{self.world.url}/api/"

    @property
    def validated(self) -> bool:
        """Whether requests are held against Slack's method reference, or it is not there."""
        return self.web.contract is not None

    @property
    def violations(self) -> list[str]:
        """A sentence for everything that Slack would have refused, or that it warns of."""
        return self.world.violations

    @property
    def pings(self) -> list[Ping]:
        """Everyone whom the bot's texts called."""
        return self.world.pings

    @property
    def leaks(self) -> list[str]:
        """Tokens that were sent to another host."""
        return self.world.leaks

    @property
    def calls(self) -> list[Call]:
        """Every request, in order, with its time."""
        return self.web.calls

    @property
    def scopes_used(self) -> set[str]:
        """The scopes that a bot needs for the methods that were called."""
        return self.web.scopes_used

    @property
    def unacknowledged(self) -> list[Envelope]:
        """Everything that the bot did not acknowledge in time."""
        return self.link.unacknowledged

    @property
    def delivery(self) -> Delivery:
        """How events come; a new value can be set."""
        return self.events.delivery

    @delivery.setter
    def delivery(self, delivery: Delivery) -> None:
        self.events.delivery = delivery

    def called(self, method: str) -> list[Call]:
        """Every request of a method."""
        return [call for call in self.calls if call.method == method]

    def fail(
        self, method: str, fault: Fault, *, times: int = 1, where: Callable[[Call], bool] = lambda call: True
    ) -> None:
        """The next requests of a method, or of `DOWNLOAD`, `UPLOAD` or `RESPONSE`, meet a fault."""
        if method not in self.web.methods and method not in (DOWNLOAD, UPLOAD, RESPONSE):
            raise LookupError(f"no method {method!r}")
        self.web.faults.add(method, fault, times, where)

    def release(self) -> None:
        """Let hanging requests continue."""
        self.web.release()

    def revoke(self) -> None:
        """Revoke the token of the bot, and send the event."""
        self.web.revoked = True
        self.events.emit({"type": "tokens_revoked", "tokens": {"oauth": [], "bot": [self.bot.id]}})

    def uninstall(self) -> None:
        """The app is thrown out, which takes its tokens too."""
        self.events.emit({"type": "app_uninstalled"})
        self.revoke()

    async def press(self, place: Message | View, action: str, person: Person, value: Any = None) -> Envelope:
        """Press a button, or choose `value` in a menu."""
        return await self.interactions.press(place, action, person, value)

    async def command(
        self, person: Person, channel: Channel, name: str, text: str = "", *, thread_ts: str | None = None
    ) -> Envelope:
        """Give a slash command; raises NotInThreads in a thread."""
        return await self.interactions.command(person, channel, name, text, thread_ts=thread_ts)

    async def shortcut(self, message: Message | None, callback_id: str, person: Person) -> Envelope:
        """Choose a shortcut in the menu of a message; without a message, a global one."""
        return await self.interactions.shortcut(message, callback_id, person)

    async def submit(self, view: View, values: Mapping[str, Any], person: Person) -> Envelope:
        """Submit a modal with values by action ids or block ids."""
        return await self.interactions.submit(view, values, person)

    async def dismiss(self, view: View, person: Person) -> Envelope | None:
        """Close a modal."""
        return await self.interactions.dismiss(view, person)

    def modal(self, person: Person) -> View | None:
        """Return the open modal of a user."""
        return self.modals.top(person)

    def deliver(self, envelope: Envelope) -> Envelope:
        """Sends anything as it is; see `samples`."""
        return self.link.send(envelope)

    async def until(self, predicate: Callable[[], object], *, seconds: float = 10.0) -> None:
        """Waits until something is true of the double, looking again whenever anything changes."""
        await self.world.until(predicate, seconds)
