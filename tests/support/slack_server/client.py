"""A bare app of the real Bolt, for the tests of the double: it records events and sends nothing by itself."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from tests.support.slack_server import APP_TOKEN, BOT_TOKEN, SlackDouble

PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")
RECEIVED = ("message", "app_mention", "app_home_opened", "member_joined_channel", "file_shared", "reaction_added")
ENDS = ("agent_session_stopped", "tokens_revoked", "app_uninstalled")


class App:
    """The app, its client, and the recorded events."""

    def __init__(self, slack: SlackDouble) -> None:
        self.client = AsyncWebClient(token=BOT_TOKEN, base_url=slack.api_url)
        self.bolt = AsyncApp(client=self.client, process_before_response=False)
        self.received: asyncio.Queue[dict[str, Any]] = asyncio.Queue()  # whole payloads
        self.retried: list[str] = []  # reasons
        for kind in (*RECEIVED, *ENDS):
            self.bolt.event(kind)(self._event)

    async def _event(self, body: dict[str, Any], request: Any) -> None:
        reason = request.headers.get("x-slack-retry-reason", [""])[0]
        if reason:
            self.retried.append(reason)
        await self.received.put(body)

    async def next(self, kind: str) -> dict[str, Any]:
        """Return the next event of a type or subtype; drop others."""
        while True:
            event: dict[str, Any] = (await asyncio.wait_for(self.received.get(), 10))["event"]
            if kind in (event["type"], event.get("subtype")):
                return event


async def refusal(call: Awaitable[Any]) -> str:
    """Return the error code with which a call is refused."""
    try:
        await call
    except SlackApiError as error:
        return str(error.response["error"])
    raise AssertionError("the call was not refused")


@contextmanager
def direct() -> Iterator[None]:
    """Use no proxy inside the block: the SDK would use it even for this machine."""
    before = {name: os.environ.get(name) for name in PROXIES}
    os.environ.update(dict.fromkeys(PROXIES, ""))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


@asynccontextmanager
async def running(slack: SlackDouble, app: App, *, ping_interval: float = 10.0) -> AsyncIterator[App]:
    """Run the app, connected, until the end of the block."""
    handler: Any = AsyncSocketModeHandler(app.bolt, APP_TOKEN, ping_interval=ping_interval)  # half typed
    await handler.connect_async()
    await slack.until(lambda: slack.link.lines)
    try:
        yield app
    finally:
        await handler.close_async()
