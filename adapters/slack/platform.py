"""The Slack platform: one app in one workspace, over Socket Mode or over signed HTTP requests."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp
import aiohttp.web
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler, AsyncServerErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from adapters.lazy_surface import LazySurface
from adapters.slack.api_errors import API_ERRORS, error_code
from adapters.slack.files import WAITS, Downloads, Uploads
from adapters.slack.handlers import SECOND_DELIVERY_TIMEOUT, EventHandlers
from adapters.slack.listeners import register_listeners
from adapters.slack.rate_limits import RateLimits
from adapters.slack.surface import PAUSE, Streams, ThreadSurface
from bot.domain import ThreadKey
from bot.errors import ConfigError
from bot.ports import Archive, Inbox, PostStore, Surface

log = logging.getLogger(__name__)
# Bolt finds SLACK_BOT_TOKEN in the environment and warns at each start that its client already has a token
logging.getLogger("slack_bolt.AsyncApp").addFilter(lambda record: "`token` will be unused" not in record.getMessage())

TIMEOUT = 30.0  # seconds of one API call
DEAD, LOOK = 60.0, 5.0  # seconds without a connection until a reconnect, and between two checks
TOKEN_ERRORS = (
    "invalid_auth",
    "not_authed",
    "account_inactive",
    "token_revoked",
    "token_expired",
    "not_allowed_token_type",
)


@dataclass(frozen=True, slots=True)
class Account:
    """Credentials and addresses. With an `app_token` the bot uses Socket Mode, else HTTP with a `signing_secret`."""

    bot_token: str
    app_token: str = ""
    signing_secret: str = ""
    api_url: str = "https://slack.com/api/"
    host: str = "127.0.0.1"
    port: int = 3000


class Slack:
    """The Slack platform."""

    def __init__(
        self,
        account: Account,
        archive: Archive,
        record: PostStore,
        read: Callable[[str], bytes],
        *,
        waits: tuple[float, ...] = WAITS,
        pause: float = PAUSE,
        second_delivery_timeout: float = SECOND_DELIVERY_TIMEOUT,
    ) -> None:
        """`read` returns the PNG file of an image by its digest.

        In seconds: `waits` are the waits between two checks of an uploaded file, `pause` is the time between two views
        of a reply, `second_delivery_timeout` is the longest wait for the second event of a mention.
        """
        self._account = account
        self._archive = archive
        self._record = record
        self._read = read
        self._waits = waits
        self._pause = pause
        self._second_delivery_timeout = second_delivery_timeout
        self._streams: Streams = {}
        self._rate_limits = RateLimits()
        self._handler: AsyncSocketModeHandler | None = None
        self.serving = asyncio.Event()  # set while the HTTP server accepts requests
        self._event_handlers: EventHandlers | None = None
        self._uploads: Uploads | None = None
        self._connected = asyncio.Event()

    def surface(self, thread: ThreadKey, message_id: str) -> Surface:
        """Return the surface of the reply to a message."""

        def create(handlers: EventHandlers) -> Surface:
            assert self._uploads
            return ThreadSurface(
                handlers.client,
                self._record,
                thread,
                message_id,
                uploads=self._uploads,
                rate_limits=self._rate_limits,
                reader=handlers.reader,
                streams=self._streams,
                resumed=message_id not in handlers.seen_ids,
                pause=self._pause,
            )

        return LazySurface(self._connected_handlers, create, self._pause)

    async def _connected_handlers(self) -> EventHandlers:
        """Wait until Slack has accepted the token, and return the event handlers."""
        await self._connected.wait()
        assert self._event_handlers
        return self._event_handlers

    async def run(self, inbox: Inbox) -> None:
        """Listen until cancelled. Raises ConfigError if a token is refused."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT)) as session:
            client = AsyncWebClient(self._account.bot_token, base_url=self._account.api_url, session=session)
            # No retry handler for lost connections: the lost request may have posted its message
            client.retry_handlers = [
                AsyncRateLimitErrorRetryHandler(max_retry_count=3),
                AsyncServerErrorRetryHandler(max_retry_count=2),
            ]
            user = await self._fetch_bot_user(client)
            self._uploads = Uploads(client, session, self._read, self._rate_limits, self._waits)
            downloads = Downloads(client, session, self._rate_limits, self._account.bot_token)
            self._event_handlers = EventHandlers(
                client,
                inbox,
                self._archive,
                self._record,
                downloads,
                self._rate_limits,
                user,
                surface=self.surface,
                streams=self._streams,
                second_delivery_timeout=self._second_delivery_timeout,
            )
            app = AsyncApp(
                client=client,
                signing_secret=self._account.signing_secret or "unused",
                token=None,
                raise_error_for_unhandled_request=True,
            )
            register_listeners(app, self._event_handlers)
            self._connected.set()
            try:
                await self._serve(app)
            finally:
                self._connected.clear()

    async def _fetch_bot_user(self, client: AsyncWebClient) -> str:
        """Return the user id of the bot. Waits until Slack answers; raises ConfigError if Slack refuses the token."""
        identity = await _call_until_answered(client.auth_test, "SLACK_BOT_TOKEN")
        log.info("connected to Slack as %s in %s", identity.get("user"), identity.get("team"))
        return str(identity["user_id"])

    async def _serve(self, app: AsyncApp) -> None:
        """Receive events until cancelled. Bolt reconnects by itself; after a minute without success, start again."""
        if not self._account.app_token:
            await self._serve_http(app)
            return
        client = app.client
        while True:
            opened = partial(client.apps_connections_open, app_token=self._account.app_token)
            address = await _call_until_answered(opened, "SLACK_APP_TOKEN")
            handler = self._handler = AsyncSocketModeHandler(app, self._account.app_token)
            handler.client.wss_uri = str(address["url"])
            connecting = asyncio.create_task(handler.connect_async())  # type: ignore[no-untyped-call]
            try:
                await self._wait_for_disconnect()
                log.warning("lost the connection to Slack; opening a new one")
            finally:
                connecting.cancel()
                await handler.close_async()  # type: ignore[no-untyped-call]
                self._handler = None

    async def _wait_for_disconnect(self) -> None:
        """Return after a minute without a connection."""
        last = time.monotonic()
        while time.monotonic() - last < DEAD:
            await asyncio.sleep(LOOK)
            if self._is_open():
                last = time.monotonic()

    async def _serve_http(self, app: AsyncApp) -> None:
        """Serve HTTP requests; Bolt refuses every request that Slack has not signed."""
        runner = aiohttp.web.AppRunner(app.web_app("/slack/events"), access_log=None)
        await runner.setup()
        try:
            await aiohttp.web.TCPSite(runner, self._account.host, self._account.port).start()
            self.serving.set()
            await asyncio.Event().wait()
        except OSError as error:
            raise ConfigError(f"SLACK_PORT {self._account.port} cannot be listened on: {error.strerror}.") from error
        finally:
            self.serving.clear()
            await runner.cleanup()

    def health(self) -> dict[str, Any]:
        """Return whether the platform is connected."""
        revoked = self._event_handlers is not None and self._event_handlers.is_revoked
        return {"connected": self._connected.is_set() and self._is_open() and not revoked}

    def _is_open(self) -> bool:
        session = getattr(self._handler.client, "current_session", None) if self._handler else None
        return (session is not None and not session.closed) if self._account.app_token else self.serving.is_set()


async def _call_until_answered(call: Callable[[], Awaitable[Any]], token_name: str) -> Any:
    """Repeat the call until Slack answers, and return the answer.

    Raises ConfigError if Slack refuses the token; `token_name` is its environment variable.
    """
    wait = 1.0
    while True:
        try:
            return await call()
        except API_ERRORS as error:
            if error_code(error) in TOKEN_ERRORS:
                raise ConfigError(f"{token_name} is refused by Slack: make a new one, see docs/slack.md.") from error
            log.warning("no answer from Slack yet: %s", error_code(error))
        await asyncio.sleep(wait)
        wait = min(60.0, wait * 2)
