"""Bolt listeners: acknowledge every request at once and call the event handlers."""

import logging

from slack_bolt import BoltResponse
from slack_bolt.async_app import AsyncApp
from slack_bolt.error import BoltUnhandledRequestError

from adapters.slack import modals, parse
from adapters.slack.api_errors import API_ERRORS, error_code
from adapters.slack.components import register_buttons, register_forms
from adapters.slack.handlers import EventHandlers
from adapters.slack.parse import Body, MessageRef
from adapters.slack.slash_commands import register_commands
from bot.domain import PlaceRemoved, ThreadKey
from bot.notices import text

log = logging.getLogger(__name__)


def register_listeners(app: AsyncApp, handlers: EventHandlers) -> None:
    """Register all listeners of the app; each listener calls the event handlers."""
    _register_messages(app, handlers)
    register_buttons(app, handlers)
    register_commands(app, handlers)
    register_forms(app, handlers)

    @app.error
    async def on_error(error: Exception, body: Body) -> BoltResponse | None:
        """Acknowledge also a request that no listener handles, or Slack would send it again."""
        if isinstance(error, BoltUnhandledRequestError):
            return BoltResponse(status=200)
        log.error("a request from Slack was not handled because of a bug: %s", body.get("type"), exc_info=error)
        return None


def _register_messages(app: AsyncApp, handlers: EventHandlers) -> None:
    @app.event("app_mention")
    async def on_mention(body: Body) -> None:
        if received := parse.message(body, handlers.bot_user):
            await handlers.on_mention(received)

    @app.event("message")
    async def on_message(body: Body) -> None:
        event = body.get("event") or {}
        channel = str(event.get("channel") or "")
        new, old = event.get("message") or {}, event.get("previous_message") or {}
        match event.get("subtype"):
            case "message_changed" if new.get("subtype") == "tombstone":  # deleted, but the message has a thread
                await handlers.on_delete(channel, str(new.get("ts") or ""))
            case "message_changed":
                if new.get("text") != old.get("text"):
                    await handlers.on_edit(channel, str(new.get("ts") or ""), str(new.get("text") or ""))
            case "message_deleted":
                await handlers.on_delete(channel, str(event.get("deleted_ts") or ""))
            case _:
                if received := parse.message(body, handlers.bot_user):
                    await handlers.on_message(received)

    @app.event("agent_session_stopped")
    async def on_session_stopped(body: Body) -> None:
        event = body.get("event") or {}
        team = body.get("team_id")
        channel, thread_ts, user = event.get("channel"), event.get("thread_ts"), event.get("user")
        if team and channel and thread_ts and user:
            ref = MessageRef(str(team), str(channel), str(thread_ts), str(thread_ts))
            streams = [str(each) for each in event.get("streaming_message_ts") or ()]
            await handlers.on_stop(ref, str(user), streams, str(body.get("event_id") or ""))

    @app.event("app_home_opened")
    async def on_home_opened(body: Body) -> None:
        event = body.get("event") or {}
        if event.get("tab") == "home" and event.get("user"):
            await show_home(handlers, str(body.get("team_id") or ""), str(event["user"]))

    @app.event("subteam_members_changed")
    @app.event("subteam_updated")
    async def on_user_groups_changed(body: Body) -> None:
        handlers.users.groups.invalidate()

    @app.event("app_uninstalled")
    @app.event("tokens_revoked")
    async def on_token_revoked(body: Body) -> None:
        log.warning("Slack has revoked the bot's token")
        handlers.is_revoked = True
        await handlers.hand_over(PlaceRemoved(ThreadKey(parse.PLATFORM, str(body.get("team_id") or ""), "", "")))


async def show_home(handlers: EventHandlers, team: str, user: str) -> None:
    """Publish the current Home tab for the user."""
    author = await handlers.users.person(user)
    key = parse.thread_key(team, "", "")
    texts = []
    for name in ("help", "queue", "usage"):
        response = await handlers.command(key, author, f"home-{user}", name, {})
        texts.append(response if isinstance(response, str) else text(response.text))
    try:
        await handlers.rate_limits.acquire("views.publish", team)
        await handlers.client.views_publish(
            user_id=user, view=modals.home_tab(texts[0], texts[1], texts[2], handlers.language(key, author))
        )
    except API_ERRORS as error:
        log.info("could not publish the Home tab: %s", error_code(error))
