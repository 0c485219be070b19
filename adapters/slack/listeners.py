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

from adapters.slack import blocks as draw
from adapters.slack import modals as forms
from adapters.slack import parse
from adapters.slack.api_errors import FAULTS, code
from adapters.slack.ephemeral import Say
from adapters.slack.handlers import Desk
from adapters.slack.parse import DIRECT, Spot
from adapters.slack.surface import Place
from bot.domain import Action, Left, ThreadKey, Wish
from bot.errors import BotError, Refused
from bot.region import area
from bot.settings.values import Scope

log = logging.getLogger(__name__)

Body = dict[str, Any]

_MINE = re.compile("mini:.*")


def listen(app: AsyncApp, desk: Desk) -> None:
    """Register all listeners of the app; each listener calls the event handlers."""
    _to_messages(app, desk)
    _to_buttons(app, desk)
    _to_commands(app, desk)
    _to_forms(app, desk)

    @app.error
    async def failed(error: Exception, body: Body) -> BoltResponse | None:
        """Acknowledge also a request that no listener handles, or Slack would send it again."""
        if isinstance(error, BoltUnhandledRequestError):
            return BoltResponse(status=200)
        log.error("a request from Slack was not handled because of a bug: %s", body.get("type"), exc_info=error)
        return None


def _to_messages(app: AsyncApp, desk: Desk) -> None:
    @app.event("app_mention")
    async def mention(body: Body) -> None:
        if said := parse.heard(body, desk.bot_user):
            await desk.mentioned(said)

    @app.event("message")
    async def message(body: Body) -> None:
        event = body.get("event") or {}
        channel = str(event.get("channel") or "")
        new, old = event.get("message") or {}, event.get("previous_message") or {}
        match event.get("subtype"):
            case "message_changed" if new.get("subtype") == "tombstone":  # deleted, but the message has a thread
                await desk.deleted(channel, str(new.get("ts") or ""))
            case "message_changed":
                if new.get("text") != old.get("text"):
                    await desk.changed(channel, str(new.get("ts") or ""), str(new.get("text") or ""))
            case "message_deleted":
                await desk.deleted(channel, str(event.get("deleted_ts") or ""))
            case _:
                if said := parse.heard(body, desk.bot_user):
                    await desk.said(said)

    @app.event("agent_session_stopped")
    async def stopped(body: Body) -> None:
        event = body.get("event") or {}
        team, channel, thread_ts, user = (
            body.get("team_id"),
            event.get("channel"),
            event.get("thread_ts"),
            event.get("user"),
        )
        if team and channel and thread_ts and user:
            spot = Spot(str(team), str(channel), str(thread_ts), str(thread_ts))
            streams = [str(each) for each in event.get("streaming_message_ts") or ()]
            await desk.stopped(spot, str(user), streams, str(body.get("event_id") or ""))

    @app.event("app_home_opened")
    async def home(body: Body) -> None:
        event = body.get("event") or {}
        if event.get("tab") == "home" and event.get("user"):
            await show_home(desk, str(body.get("team_id") or ""), str(event["user"]))

    @app.event("subteam_members_changed")
    @app.event("subteam_updated")
    async def regrouped(body: Body) -> None:
        desk.people.groups.changed()

    @app.event("app_uninstalled")
    @app.event("tokens_revoked")
    async def revoked(body: Body) -> None:
        log.warning("Slack has revoked the bot's token")
        desk.revoked = True
        await desk.hand_over(Left(ThreadKey(parse.PLATFORM, str(body.get("team_id") or ""), "", "")))


def _to_buttons(app: AsyncApp, desk: Desk) -> None:
    @app.action(_MINE)
    async def pressed(ack: AsyncAck, body: Body) -> None:
        await ack()
        chosen = (body.get("actions") or [{}])[0]
        name = str(chosen.get("action_id", "")).removeprefix("mini:").partition(":")[0]
        user = str((body.get("user") or {}).get("id", ""))
        value, trigger = str(chosen.get("value") or ""), str(body.get("trigger_id") or "")
        spot = parse.spot(body)
        if name == draw.SCOPE:
            await _other_scope(desk, body, str((chosen.get("selected_option") or {}).get("value", "")))
        elif name == "home-settings":
            await _open_settings(desk, _at_home(body), user, trigger)
        elif spot is None:
            log.info("ignored a button press without a channel or a message")
        elif name == draw.SETTINGS:
            await _open_settings(desk, Spot.parse(value), user, trigger)
        elif name == draw.DETAILS:
            author = await desk.people.person(user)
            told = await desk.command(spot.key, author, trigger, "details", {"picture": value})
            place = desk.place(spot, user)
            await desk.voice.tell(place, told, desk.voice.whispering(place))
        elif name == draw.AGAIN:
            await desk.again(spot, user, value)
        elif name == Action.EDIT and value.isdecimal():
            picture = desk.archive.picture(spot.key, int(value))
            form = forms.edit_form(int(value), picture.prompt if picture else "", _metadata(spot, value))
            await _open(desk, trigger, form, desk.place(spot, user))
        elif action := parse.action(name):
            await desk.pressed(spot, user, action, value, f"{spot.channel}-{chosen.get('action_ts')}")
        else:
            await desk.voice.whisper(desk.place(spot, user), "This button is not known any more.")

    for callback_id, question, example in (
        ("edit_picture", "What is to change?", "make the sky red"),
        ("ask_picture", "What would you like to know?", "what could the sign say?"),
    ):
        _shortcut(app, desk, callback_id, question, example)


def _shortcut(app: AsyncApp, desk: Desk, callback_id: str, question: str, example: str) -> None:
    @app.shortcut(callback_id)
    async def chosen(ack: AsyncAck, body: Body) -> None:
        await ack()
        spot, user = parse.spot(body), str((body.get("user") or {}).get("id", ""))
        if spot is None:
            return
        pictures = desk.pictures_of(spot, body.get("message") or {})
        if not pictures:
            await desk.voice.whisper(desk.place(spot, user), "There is no picture in that message.")
            return
        title = "Edit picture" if callback_id == "edit_picture" else "Ask about picture"
        single = pictures[0][1] if len(pictures) == 1 else ""
        form = forms.about_form(title, question, pictures, _metadata(spot, single), example)
        await _open(desk, str(body.get("trigger_id") or ""), form, desk.place(spot, user))


def _to_commands(app: AsyncApp, desk: Desk) -> None:
    @app.command("/imagine")
    async def imagine(ack: AsyncAck, respond: AsyncRespond, body: Body) -> None:
        await ack()
        if trouble := await _imagine(desk, body):
            await _responding(respond)(trouble, ())

    @app.command("/minidalle")
    async def minidalle(ack: AsyncAck, respond: AsyncRespond, body: Body) -> None:
        await ack()
        channel, user, team = str(body["channel_id"]), str(body["user_id"]), str(body["team_id"])
        text, trigger = str(body.get("text") or "").strip(), str(body.get("trigger_id") or "")
        name, rest = parse.command(html.unescape(text)) or ("help", "")
        if name == "help" and text.lower() not in ("", "help"):
            unknown = f"There is no command “{html.unescape(text)[:50]}”. To draw, use `/imagine`, or mention me.\n\n"
            await _responding(respond)(unknown + forms.HELP, ())
            return
        spot, say = Spot(team, channel, "", ""), _responding(respond)
        if name == "settings" and not rest:
            await _open_settings(desk, spot, user, trigger, say)
            return
        if name in forms.FOR_THREADS and not rest and not spot.direct:
            await say(f"Slack takes no commands in threads: mention me in the thread that you mean, with `{name}`.", ())
            return
        author = await desk.people.person(user)
        told = await desk.command(spot.key, author, trigger, name, parse.arguments(name, rest))
        await desk.voice.tell(Place(channel, "", user), told, say, str(spot))


async def _imagine(desk: Desk, body: Body) -> str:
    """Post a message that says who asks for which image, and request the image in its thread.

    Return a sentence if that is refused, else an empty string.
    """
    channel, user, team = str(body["channel_id"]), str(body["user_id"]), str(body["team_id"])
    direct = channel.startswith("D")
    author = await desk.people.person(user)
    try:
        request, count = parse.imagine(html.unescape(str(body.get("text") or "")))
        await _check_model(desk, Spot(team, channel, "", ""), user, request.model)
    except BotError as refused:
        return str(refused)
    said = f"{draw.escaped(author.name)} asks for: {draw.escaped(request.prompt)}"[: draw.LONGEST_TEXT]
    try:
        await desk.budget.take("chat.postMessage", team, channel)
        posted = await desk.client.chat_postMessage(channel=channel, text=said, unfurl_links=False, unfurl_media=False)
    except FAULTS as error:
        log.info("could not post the message of /imagine: %s", code(error))
        outside = code(error) in ("not_in_channel", "channel_not_found")
        return "I am not in this channel: /invite me first." if outside else f"Slack did not take it: {code(error)}."
    ts = str(posted["ts"])
    key, place = parse.thread_key(team, channel, DIRECT if direct else ts), Place(channel, "" if direct else ts, user)
    try:
        await desk.hand_over(Wish(parse.message_id(channel, ts), key, author, request, count), place)
    except BotError as refused:
        await _take_back(desk, channel, ts)
        return str(refused)
    return ""


async def _check_model(desk: Desk, spot: Spot, user: str, model: str) -> None:
    """Raise Refused if there is no image model of this name."""
    panel = await desk.panel(spot, user, Scope.PERSON, "") if model else ""
    fields = () if isinstance(panel, str) else panel.fields
    known = next((field.choices for field in fields if field.key == "picture_model"), ())
    if model and model not in known:
        raise Refused(f"There is no picture model {model[:50]!r}; there is {', '.join(known)}.")


async def _take_back(desk: Desk, channel: str, ts: str) -> None:
    try:
        await desk.client.chat_delete(channel=channel, ts=ts)
    except FAULTS as error:
        log.info("could not delete the message of a refused /imagine: %s", code(error))


def _to_forms(app: AsyncApp, desk: Desk) -> None:
    @app.view("mini:edit")
    async def edited(ack: AsyncAck, body: Body) -> None:
        await ack()
        view, user = body["view"], str(body["user"]["id"])
        spot, number = _meant(view["private_metadata"])
        told = parse.state(view)
        words, part = told.get("words", ""), area(told.get("where", ""))
        await desk.pressed(spot, user, Action.EDIT, number, str(view["id"]), words, part)

    @app.view("mini:about")
    async def about(ack: AsyncAck, body: Body) -> None:
        await ack()
        view, user = body["view"], str(body["user"]["id"])
        spot, single = _meant(view["private_metadata"])
        told = parse.state(view)
        await desk.about(spot, user, str(view["id"]), told.get("words", ""), told.get("picture") or single)

    @app.view("mini:settings")
    async def chosen(ack: AsyncAck, body: Body) -> None:
        """Save the settings, and show each error in the form below its field."""
        view, user = body["view"], str(body["user"]["id"])
        spot, scope = _meant(view["private_metadata"])
        faults = await desk.choose(spot, user, scope, str(view["id"]), parse.changed(view))
        ids = [str(block.get("block_id")) for block in view.get("blocks") or () if block.get("type") == "input"]
        below = {forms.field_id(scope, key): fault for key, fault in faults.items()}
        if faults:
            await ack(response_action="errors", errors={key if key in ids else ids[0]: below[key] for key in below})
        else:
            await ack()


async def show_home(desk: Desk, team: str, user: str) -> None:
    """Publish the current Home tab for the user."""
    author = await desk.people.person(user)
    key = parse.thread_key(team, "", "")
    texts = []
    for name in ("help", "queue", "usage"):
        told = await desk.command(key, author, f"home-{user}", name, {})
        texts.append(told if isinstance(told, str) else told.text)
    try:
        await desk.budget.take("views.publish", team)
        await desk.client.views_publish(user_id=user, view=forms.home(*texts))
    except FAULTS as error:
        log.info("could not publish the Home tab: %s", code(error))


async def _open_settings(desk: Desk, spot: Spot, user: str, trigger: str, say: Say | None = None) -> None:
    panel = await desk.panel(spot, user, Scope.PERSON, trigger)
    place = desk.place(spot, user)
    if isinstance(panel, str):
        await (say or desk.voice.whispering(place))(panel, ())
    else:
        form = forms.settings_form(panel, _metadata(spot, panel.scope), _scopes(spot))
        await _open(desk, trigger, form, place, say)


async def _other_scope(desk: Desk, body: Body, scope: str) -> None:
    view = body.get("view") or {}
    spot, _ = _meant(str(view.get("private_metadata") or ""))
    panel = await desk.panel(spot, str(body["user"]["id"]), scope, str(view.get("id")))
    if not isinstance(panel, str):
        form = forms.settings_form(panel, _metadata(spot, scope), _scopes(spot))
        try:
            await desk.client.views_update(view_id=str(view.get("id")), hash=view.get("hash"), view=form)
        except FAULTS as error:
            log.info("could not update a modal: %s", code(error))


def _scopes(spot: Spot) -> list[Scope]:
    """Return the scopes of a place: a command is in no thread, and the Home tab is in no channel."""
    places = ([Scope.CHANNEL] if spot.channel else []) + ([Scope.THREAD] if spot.thread_ts else [])
    return [Scope.PERSON, *places, Scope.SERVER]


async def _open(desk: Desk, trigger: str, form: draw.Block, place: Place, say: Say | None = None) -> None:
    try:
        await desk.client.views_open(trigger_id=trigger, view=form)
    except FAULTS as error:
        log.info("could not open a modal: %s", code(error))
        late = "Slack did not let me open the form in time; please try again."
        await (say or desk.voice.whispering(place))(late, ())


def _responding(respond: AsyncRespond) -> Say:
    """Return a function that answers a slash command, also in channels where the bot is not a member."""

    async def say(words: str, below: Sequence[draw.Block]) -> None:
        try:
            await respond(**draw.note(words, below), response_type="ephemeral")
        except FAULTS as error:
            log.info("could not answer a slash command: %s", code(error))

    return say


def _at_home(body: Body) -> Spot:
    return Spot(str((body.get("team") or {}).get("id", "")), "", "", "")


def _metadata(spot: Spot, more: str) -> str:
    """Return the private metadata of a form: the place and one more value, such as the scope."""
    return json.dumps([str(spot), more])


def _meant(private_metadata: str) -> tuple[Spot, str]:
    spot, more = json.loads(private_metadata)
    return Spot.parse(spot), str(more)
