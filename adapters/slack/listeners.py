"""Bolt listeners: acknowledge every request at once and call the event handlers."""

import html
import json
import logging
import re
from collections.abc import Sequence
from typing import Any

from slack_bolt import BoltResponse
from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond
from slack_bolt.error import BoltUnhandledRequestError

from adapters.slack import blocks, modals, parse
from adapters.slack.api_errors import API_ERRORS, error_code
from adapters.slack.ephemeral import Send
from adapters.slack.handlers import EventHandlers
from adapters.slack.parse import DIRECT, MessageRef
from adapters.slack.surface import ReplyPlace
from bot.domain import Action, ImagineCommand, PlaceRemoved, ThreadKey
from bot.errors import BotError, Refused
from bot.region import find_region
from bot.settings.values import THREAD_COMMANDS, Scope

log = logging.getLogger(__name__)

Body = dict[str, Any]

_OWN_ACTIONS = re.compile("mini:.*")


def register_listeners(app: AsyncApp, handlers: EventHandlers) -> None:
    """Register all listeners of the app; each listener calls the event handlers."""
    _register_messages(app, handlers)
    _register_buttons(app, handlers)
    _register_commands(app, handlers)
    _register_forms(app, handlers)

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
        if said := parse.message(body, handlers.bot_user):
            await handlers.on_mention(said)

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
                if said := parse.message(body, handlers.bot_user):
                    await handlers.on_message(said)

    @app.event("agent_session_stopped")
    async def on_session_stopped(body: Body) -> None:
        event = body.get("event") or {}
        team, channel, thread_ts, user = (
            body.get("team_id"),
            event.get("channel"),
            event.get("thread_ts"),
            event.get("user"),
        )
        if team and channel and thread_ts and user:
            spot = MessageRef(str(team), str(channel), str(thread_ts), str(thread_ts))
            streams = [str(each) for each in event.get("streaming_message_ts") or ()]
            await handlers.on_stop(spot, str(user), streams, str(body.get("event_id") or ""))

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


def _register_buttons(app: AsyncApp, handlers: EventHandlers) -> None:
    @app.action(_OWN_ACTIONS)
    async def on_button(ack: AsyncAck, body: Body) -> None:
        await ack()
        chosen = (body.get("actions") or [{}])[0]
        name = str(chosen.get("action_id", "")).removeprefix("mini:").partition(":")[0]
        user = str((body.get("user") or {}).get("id", ""))
        value, trigger = str(chosen.get("value") or ""), str(body.get("trigger_id") or "")
        spot = parse.message_ref(body)
        if name == blocks.SCOPE:
            await _change_scope(handlers, body, str((chosen.get("selected_option") or {}).get("value", "")))
        elif name == "home-settings":
            await _open_settings(handlers, _home_ref(body), user, trigger)
        elif spot is None:
            log.info("ignored a button press without a channel or a message")
        elif name == blocks.SETTINGS:
            await _open_settings(handlers, MessageRef.parse(value), user, trigger)
        elif name == blocks.DETAILS:
            author = await handlers.users.person(user)
            told = await handlers.command(spot.key, author, trigger, "details", {"picture": value})
            place = handlers.reply_place(spot, user)
            await handlers.ephemeral.send_answer(place, told, handlers.ephemeral.sender(place))
        elif name == blocks.RETRY_UPLOAD:
            await handlers.retry_upload(spot, user, value)
        elif name == Action.EDIT and value.isdecimal():
            picture = handlers.archive.picture(spot.key, int(value))
            form = modals.edit_form(int(value), picture.prompt if picture else "", _form_metadata(spot, value))
            await _open_form(handlers, trigger, form, handlers.reply_place(spot, user))
        elif action := parse.action(name):
            await handlers.on_button(spot, user, action, value, f"{spot.channel}-{chosen.get('action_ts')}")
        else:
            await handlers.ephemeral.send(handlers.reply_place(spot, user), "This button is not known any more.")

    for callback_id, question, example in (
        ("edit_picture", "What is to change?", "make the sky red"),
        ("ask_picture", "What would you like to know?", "what could the sign say?"),
    ):
        _register_shortcut(app, handlers, callback_id, question, example)


def _register_shortcut(app: AsyncApp, handlers: EventHandlers, callback_id: str, question: str, example: str) -> None:
    @app.shortcut(callback_id)
    async def on_shortcut(ack: AsyncAck, body: Body) -> None:
        await ack()
        spot, user = parse.message_ref(body), str((body.get("user") or {}).get("id", ""))
        if spot is None:
            return
        pictures = handlers.pictures_of(spot, body.get("message") or {})
        if not pictures:
            await handlers.ephemeral.send(handlers.reply_place(spot, user), "There is no picture in that message.")
            return
        title = "Edit picture" if callback_id == "edit_picture" else "Ask about picture"
        single = pictures[0][1] if len(pictures) == 1 else ""
        form = modals.about_form(title, question, pictures, _form_metadata(spot, single), example)
        await _open_form(handlers, str(body.get("trigger_id") or ""), form, handlers.reply_place(spot, user))


def _register_commands(app: AsyncApp, handlers: EventHandlers) -> None:
    @app.command("/imagine")
    async def imagine(ack: AsyncAck, respond: AsyncRespond, body: Body) -> None:
        await ack()
        if trouble := await _imagine(handlers, body):
            await _response_sender(respond)(trouble, ())

    @app.command("/minidalle")
    async def minidalle(ack: AsyncAck, respond: AsyncRespond, body: Body) -> None:
        await ack()
        channel, user, team = str(body["channel_id"]), str(body["user_id"]), str(body["team_id"])
        text, trigger = str(body.get("text") or "").strip(), str(body.get("trigger_id") or "")
        name, rest = parse.command(html.unescape(text)) or ("help", "")
        if name == "help" and text.lower() not in ("", "help"):
            unknown = f"There is no command “{html.unescape(text)[:50]}”. To draw, use `/imagine`, or mention me.\n\n"
            await _response_sender(respond)(unknown + modals.HELP, ())
            return
        spot, say = MessageRef(team, channel, "", ""), _response_sender(respond)
        if name == "settings" and not rest:
            await _open_settings(handlers, spot, user, trigger, say)
            return
        if name in THREAD_COMMANDS and not rest and not spot.is_direct:
            await say(f"Slack takes no commands in threads: mention me in the thread that you mean, with `{name}`.", ())
            return
        author = await handlers.users.person(user)
        told = await handlers.command(spot.key, author, trigger, name, parse.arguments(name, rest))
        await handlers.ephemeral.send_answer(ReplyPlace(channel, "", user), told, say, str(spot))


async def _imagine(handlers: EventHandlers, body: Body) -> str:
    """Post a message that says who asks for which image, and request the image in its thread.

    Return a sentence if that is refused, else an empty string.
    """
    channel, user, team = str(body["channel_id"]), str(body["user_id"]), str(body["team_id"])
    direct = channel.startswith("D")
    author = await handlers.users.person(user)
    try:
        request, count = parse.imagine(html.unescape(str(body.get("text") or "")))
        await _check_model(handlers, MessageRef(team, channel, "", ""), user, request.model)
    except BotError as refused:
        return str(refused)
    said = f"{blocks.escape(author.name)} asks for: {blocks.escape(request.prompt)}"[: blocks.LONGEST_TEXT]
    try:
        await handlers.rate_limits.acquire("chat.postMessage", team, channel)
        posted = await handlers.client.chat_postMessage(
            channel=channel, text=said, unfurl_links=False, unfurl_media=False
        )
    except API_ERRORS as error:
        log.info("could not post the message of /imagine: %s", error_code(error))
        outside = error_code(error) in ("not_in_channel", "channel_not_found")
        return (
            "I am not in this channel: /invite me first." if outside else f"Slack did not take it: {error_code(error)}."
        )
    ts = str(posted["ts"])
    key, place = (
        parse.thread_key(team, channel, DIRECT if direct else ts),
        ReplyPlace(channel, "" if direct else ts, user),
    )
    try:
        await handlers.hand_over(ImagineCommand(parse.message_id(channel, ts), key, author, request, count), place)
    except BotError as refused:
        await _delete_post(handlers, channel, ts)
        return str(refused)
    return ""


async def _check_model(handlers: EventHandlers, ref: MessageRef, user: str, model: str) -> None:
    """Raise Refused if there is no image model of this name."""
    panel = await handlers.settings_panel(ref, user, Scope.PERSON, "") if model else ""
    fields = () if isinstance(panel, str) else panel.fields
    known = next((field.choices for field in fields if field.key == "picture_model"), ())
    if model and model not in known:
        raise Refused(f"There is no picture model {model[:50]!r}; there is {', '.join(known)}.")


async def _delete_post(handlers: EventHandlers, channel: str, ts: str) -> None:
    try:
        await handlers.client.chat_delete(channel=channel, ts=ts)
    except API_ERRORS as error:
        log.info("could not delete the message of a refused /imagine: %s", error_code(error))


def _register_forms(app: AsyncApp, handlers: EventHandlers) -> None:
    @app.view("mini:edit")
    async def on_edit_form(ack: AsyncAck, body: Body) -> None:
        await ack()
        view, user = body["view"], str(body["user"]["id"])
        spot, number = _parse_metadata(view["private_metadata"])
        told = parse.form_values(view)
        words, part = told.get("words", ""), find_region(told.get("where", ""))
        await handlers.on_button(spot, user, Action.EDIT, number, str(view["id"]), words, part)

    @app.view("mini:about")
    async def on_about_form(ack: AsyncAck, body: Body) -> None:
        await ack()
        view, user = body["view"], str(body["user"]["id"])
        spot, single = _parse_metadata(view["private_metadata"])
        told = parse.form_values(view)
        await handlers.ask_about(spot, user, str(view["id"]), told.get("words", ""), told.get("picture") or single)

    @app.view("mini:settings")
    async def on_settings_form(ack: AsyncAck, body: Body) -> None:
        """Save the settings, and show each error in the form below its field."""
        view, user = body["view"], str(body["user"]["id"])
        spot, scope = _parse_metadata(view["private_metadata"])
        faults = await handlers.change_settings(spot, user, scope, str(view["id"]), parse.changed_fields(view))
        ids = [str(block.get("block_id")) for block in view.get("blocks") or () if block.get("type") == "input"]
        below = {modals.field_id(scope, key): fault for key, fault in faults.items()}
        if faults:
            await ack(response_action="errors", errors={key if key in ids else ids[0]: below[key] for key in below})
        else:
            await ack()


async def show_home(handlers: EventHandlers, team: str, user: str) -> None:
    """Publish the current Home tab for the user."""
    author = await handlers.users.person(user)
    key = parse.thread_key(team, "", "")
    texts = []
    for name in ("help", "queue", "usage"):
        told = await handlers.command(key, author, f"home-{user}", name, {})
        texts.append(told if isinstance(told, str) else told.text)
    try:
        await handlers.rate_limits.acquire("views.publish", team)
        await handlers.client.views_publish(user_id=user, view=modals.home_tab(*texts))
    except API_ERRORS as error:
        log.info("could not publish the Home tab: %s", error_code(error))


async def _open_settings(
    handlers: EventHandlers, ref: MessageRef, user: str, trigger: str, send: Send | None = None
) -> None:
    panel = await handlers.settings_panel(ref, user, Scope.PERSON, trigger)
    place = handlers.reply_place(ref, user)
    if isinstance(panel, str):
        await (send or handlers.ephemeral.sender(place))(panel, ())
    else:
        form = modals.settings_form(panel, _form_metadata(ref, panel.scope), _scopes(ref))
        await _open_form(handlers, trigger, form, place, send)


async def _change_scope(handlers: EventHandlers, body: Body, scope: str) -> None:
    view = body.get("view") or {}
    spot, _ = _parse_metadata(str(view.get("private_metadata") or ""))
    panel = await handlers.settings_panel(spot, str(body["user"]["id"]), scope, str(view.get("id")))
    if not isinstance(panel, str):
        form = modals.settings_form(panel, _form_metadata(spot, scope), _scopes(spot))
        try:
            await handlers.client.views_update(view_id=str(view.get("id")), hash=view.get("hash"), view=form)
        except API_ERRORS as error:
            log.info("could not update a modal: %s", error_code(error))


def _scopes(ref: MessageRef) -> list[Scope]:
    """Return the scopes of a place: a command is in no thread, and the Home tab is in no channel."""
    places = ([Scope.CHANNEL] if ref.channel else []) + ([Scope.THREAD] if ref.thread_ts else [])
    return [Scope.PERSON, *places, Scope.SERVER]


async def _open_form(
    handlers: EventHandlers, trigger: str, form: blocks.Block, place: ReplyPlace, send: Send | None = None
) -> None:
    try:
        await handlers.client.views_open(trigger_id=trigger, view=form)
    except API_ERRORS as error:
        log.info("could not open a modal: %s", error_code(error))
        late = "Slack did not let me open the form in time; please try again."
        await (send or handlers.ephemeral.sender(place))(late, ())


def _response_sender(respond: AsyncRespond) -> Send:
    """Return a function that answers a slash command, also in channels where the bot is not a member."""

    async def say(words: str, below: Sequence[blocks.Block]) -> None:
        try:
            await respond(**blocks.message_body(words, below), response_type="ephemeral")
        except API_ERRORS as error:
            log.info("could not answer a slash command: %s", error_code(error))

    return say


def _home_ref(body: Body) -> MessageRef:
    return MessageRef(str((body.get("team") or {}).get("id", "")), "", "", "")


def _form_metadata(ref: MessageRef, more: str) -> str:
    """Return the private metadata of a form: the place and one more value, such as the scope."""
    return json.dumps([str(ref), more])


def _parse_metadata(private_metadata: str) -> tuple[MessageRef, str]:
    spot, more = json.loads(private_metadata)
    return MessageRef.parse(spot), str(more)
