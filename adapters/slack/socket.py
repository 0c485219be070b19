"""The Slack platform: one app in one workspace, over Socket Mode or over signed HTTP requests."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import aiohttp.web
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler, AsyncServerErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.budget import Budget
from adapters.slack.desk import Archive, Desk
from adapters.slack.files import WAITS, Downloads, Uploads
from adapters.slack.listeners import listen
from adapters.slack.surface import PAUSE, Record, ThreadSurface
from bot.domain import ThreadKey, View
from bot.errors import ConfigError
from bot.ports import Inbox, Surface

log = logging.getLogger(__name__)

TIMEOUT = 30.0  # seconds of one call
REFUSED = ("invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "not_allowed_token_type")


@dataclass(frozen=True, slots=True)
class Account:
    """How the bot reaches Slack. With an `app_token` over Socket Mode, else over HTTP with a `signing_secret`."""

    bot_token: str
    app_token: str = ""
    signing_secret: str = ""
    api_url: str = "https://slack.com/api/"
    host: str = "127.0.0.1"
    port: int = 3000


class Slack:
    """The platform."""

    def __init__(
        self,
        account: Account,
        archive: Archive,
        record: Record,
        read: Callable[[str], bytes],
        *,
        waits: tuple[float, ...] = WAITS,
        pause: float = PAUSE,
    ) -> None:
        """`read` gives a picture's file by its digest; `waits` are those for Slack to take a file, in seconds."""
        self._account = account
        self._archive = archive
        self._record = record
        self._read = read
        self._waits = waits
        self._pause = pause
        self._budget = Budget()
        self._handler: AsyncSocketModeHandler | None = None
        self._desk: Desk | None = None
        self._uploads: Uploads | None = None
        self._connected = asyncio.Event()

    def surface(self, thread: ThreadKey, message_id: str) -> Surface:
        """Where the reply to a message is shown."""
        return LateSurface(self, thread, message_id, self._pause)

    async def ready_surface(self, thread: ThreadKey, message_id: str) -> ThreadSurface:
        """The surface, as soon as Slack knows the bot."""
        await self._connected.wait()
        assert self._desk
        assert self._uploads
        return ThreadSurface(
            self._desk.client, self._record, thread, message_id,
            uploads=self._uploads, budget=self._budget, resumed=message_id not in self._desk.fresh,
        )  # fmt: skip

    async def run(self, inbox: Inbox) -> None:
        """Listen until cancelled. Raises ConfigError if a token is refused."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT)) as session:
            client = AsyncWebClient(self._account.bot_token, base_url=self._account.api_url, session=session)
            # A lost connection is not tried again by itself: it may have posted what it was to post
            client.retry_handlers = [
                AsyncRateLimitErrorRetryHandler(max_retry_count=3), AsyncServerErrorRetryHandler(max_retry_count=2)
            ]  # fmt: skip
            user = await self._known(client)
            self._uploads = Uploads(client, session, self._read, self._budget, self._waits)
            downloads = Downloads(client, session, self._budget, self._account.bot_token)
            self._desk = Desk(client, inbox, self._archive, self._record, downloads, self._budget, user)
            app = AsyncApp(client=client, signing_secret=self._account.signing_secret or "unused", token=None)
            listen(app, self._desk)
            self._connected.set()
            try:
                await self._serve(app)
            finally:
                self._connected.clear()

    async def _known(self, client: AsyncWebClient) -> str:
        """Who the bot is. Waits for Slack to answer; raises ConfigError if it refuses the token."""
        wait = 1.0
        while True:
            try:
                told = await client.auth_test()
                log.info("Slack knows this bot as %s in %s", told.get("user"), told.get("team"))
                return str(told["user_id"])
            except SlackApiError as error:
                if error.response.get("error") in REFUSED:
                    raise ConfigError(
                        "SLACK_BOT_TOKEN is refused by Slack: make a new one, see docs/slack.md."
                    ) from error
                log.warning("Slack does not answer yet: %s", error.response.get("error"))
            except (aiohttp.ClientError, TimeoutError) as error:
                log.warning("Slack cannot be reached yet: %s", type(error).__name__)
            await asyncio.sleep(wait)
            wait = min(60.0, wait * 2)

    async def _serve(self, app: AsyncApp) -> None:
        if not self._account.app_token:
            await self._serve_http(app)
            return
        self._handler = AsyncSocketModeHandler(app, self._account.app_token)
        try:
            await self._handler.connect_async()  # type: ignore[no-untyped-call]
            await asyncio.Event().wait()
        except SlackApiError as error:
            raise ConfigError("SLACK_APP_TOKEN is refused by Slack: make a new one, see docs/slack.md.") from error
        finally:
            await self._handler.close_async()  # type: ignore[no-untyped-call]
            self._handler = None

    async def _serve_http(self, app: AsyncApp) -> None:
        """Requests that Slack has signed; whatever else comes is refused by Bolt."""
        runner = aiohttp.web.AppRunner(app.web_app("/slack/events"), access_log=None)
        await runner.setup()
        try:
            await aiohttp.web.TCPSite(runner, self._account.host, self._account.port).start()
            await asyncio.Event().wait()
        except OSError as error:
            raise ConfigError(f"SLACK_PORT {self._account.port} cannot be listened on: {error.strerror}.") from error
        finally:
            await runner.cleanup()

    def health(self) -> dict[str, Any]:
        """Whether it is connected."""
        socket = self._handler.client if self._handler else None
        session = getattr(socket, "current_session", None)
        open_ = self._connected.is_set() and (socket is None or (session is not None and not session.closed))
        return {"connected": bool(open_)}


class LateSurface:
    """A surface that is there once Slack knows the bot."""

    def __init__(self, platform: Slack, thread: ThreadKey, message_id: str, pause: float) -> None:
        self._platform = platform
        self._thread = thread
        self._message_id = message_id
        self._surface: ThreadSurface | None = None
        self.pause = pause

    async def put(self, view: View) -> None:
        """Wait for Slack, and show the view there."""
        if self._surface is None:
            self._surface = await self._platform.ready_surface(self._thread, self._message_id)
        await self._surface.put(view)
