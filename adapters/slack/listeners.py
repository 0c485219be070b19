"""What Bolt listens to: everything is acknowledged at once, whatever comes of it, and handed over to the desk."""

import logging
import re
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.errors import SlackApiError

from adapters.slack import draw, parse
from adapters.slack.desk import Desk, arguments, meant, metadata, summary
from adapters.slack.parse import DIRECT, Spot
from adapters.slack.surface import Place
from bot.domain import Action, Left, ThreadKey, Wish
from bot.errors import BotError

log = logging.getLogger(__name__)

Body = dict[str, Any]

_ANY, _MINE = re.compile(".*"), re.compile("mini:.*")


def listen(app: AsyncApp, desk: Desk) -> None:
    """Have the app hand everything to the desk."""
    _to_messages(app, desk)
    _to_buttons(app, desk)
    _to_commands(app, desk)
    _to_forms(app, desk)

    @app.event(_ANY)
    async def anything(body: Body) -> None:
        """What nobody listens to is acknowledged all the same, or it would come again."""


def _to_messages(app: AsyncApp, desk: Desk) -> None:
    @app.event("app_mention")
    async def mention(body: Body) -> None:
        if said := parse.heard(body, desk.bot_user):
            await desk.mentioned(said)

    @app.event("message")
    async def message(body: Body) -> None:
        event = body.get("event") or {}
        channel = str(event.get("channel") or "")
        match event.get("subtype"):
            case "message_changed":
                new, old = event.get("message") or {}, event.get("previous_message") or {}
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
        team, channel, thread_ts = body.get("team_id"), event.get("channel"), event.get("thread_ts")
        if team and channel and thread_ts:
            spot = Spot(str(team), str(channel), str(thread_ts), str(thread_ts))
            author = await desk.person(str(event.get("user") or ""), direct=False)
            await desk.command(spot.key, author, str(body.get("event_id") or ""), "cancel", {})

    @app.event("app_home_opened")
    async def home(body: Body) -> None:
        event = body.get("event") or {}
        if event.get("tab") == "home" and event.get("user"):
            await show_home(desk, str(body.get("team_id") or ""), str(event["user"]))

    @app.event("app_uninstalled")
    @app.event("tokens_revoked")
    async def revoked(body: Body) -> None:
        log.warning("Slack has taken the bot's token back")
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
        if name == "scope":
            await _other_scope(desk, body, str((chosen.get("selected_option") or {}).get("value", "")))
        elif name == "home-settings":
            await _open_settings(desk, _at_home(body), user, trigger, "me")
        elif spot is None:
            log.info("a button was pressed of which it is not known where")
        elif name == draw.DETAILS:
            author = await desk.person(user, spot.channel.startswith("D"))
            told = await desk.command(spot.key, author, trigger, "details", {"picture": value})
            await desk.whisper(desk.place(spot, user), told if isinstance(told, str) else summary(told))
        elif name == Action.EDIT:
            picture = desk.archive.picture(spot.key, int(value)) if value.isdecimal() else None
            form = draw.edit_form(int(value or 0), picture.prompt if picture else "", metadata(spot, value))
            await _open(desk, trigger, form, desk.place(spot, user))
        elif action := parse.action(name):
            await desk.pressed(spot, user, action, value, f"{spot.channel}-{chosen.get('action_ts')}")
        else:
            await desk.whisper(desk.place(spot, user), "This button is not known any more.")

    @app.action(_ANY)
    async def unknown(ack: AsyncAck) -> None:
        await ack()

    for callback_id, question in (
        ("edit_picture", "What is to change?"),
        ("ask_picture", "What would you like to know?"),
    ):
        _shortcut(app, desk, callback_id, question)


def _shortcut(app: AsyncApp, desk: Desk, callback_id: str, question: str) -> None:
    @app.shortcut(callback_id)
    async def chosen(ack: AsyncAck, body: Body) -> None:
        await ack()
        spot, user = parse.spot(body), str((body.get("user") or {}).get("id", ""))
        if spot is None:
            return
        message = body.get("message") or {}
        numbers = parse.numbers(message.get("blocks"))
        if not numbers and not list(parse.files_in(message)):
            await desk.whisper(desk.place(spot, user), "There is no picture in that message.")
            return
        title = "Edit picture" if callback_id == "edit_picture" else "Ask about picture"
        single = str(numbers[0]) if len(numbers) == 1 else ""
        form = draw.about_form(title, question, numbers, metadata(spot, single))
        await _open(desk, str(body.get("trigger_id") or ""), form, desk.place(spot, user))


def _to_commands(app: AsyncApp, desk: Desk) -> None:
    @app.command("/imagine")
    async def imagine(ack: AsyncAck, body: Body) -> None:
        try:
            request, count = parse.imagine(str(body.get("text") or ""))
        except BotError as refused:
            await ack(str(refused))
            return
        await ack()
        channel, user, team = str(body["channel_id"]), str(body["user_id"]), str(body["team_id"])
        direct = channel.startswith("D")
        author = await desk.person(user, direct)
        said = f"{draw.escaped(author.name)} asks for: {draw.escaped(request.prompt)}"[: draw.LONGEST_TEXT]
        try:
            await desk.budget.take("chat.postMessage", team, channel)
            posted = await desk.client.chat_postMessage(channel=channel, text=said, unfurl_links=False)
        except SlackApiError as error:
            code = error.response.get("error")
            outside = code in ("not_in_channel", "channel_not_found")
            await _respond(
                desk, body, "I am not in this channel: /invite me first." if outside else f"Slack says {code}."
            )
            return
        ts = str(posted["ts"])
        key = parse.thread_key(team, channel, DIRECT if direct else ts)
        wish = Wish(parse.message_id(channel, ts), key, author, request, count)
        if trouble := await desk.imagine(wish, Place(channel, "" if direct else ts, user)):
            await desk.whisper(Place(channel, "" if direct else ts, user), trouble)

    @app.command("/minidalle")
    async def minidalle(ack: AsyncAck, body: Body) -> None:
        await ack()
        channel, user, team = str(body["channel_id"]), str(body["user_id"]), str(body["team_id"])
        name, rest = parse.command(str(body.get("text") or "help")) or ("help", "")
        spot = Spot(team, channel, "", "")
        if name == "settings" and not rest:
            await _open_settings(desk, spot, user, str(body.get("trigger_id") or ""), "me")
            return
        author = await desk.person(user, channel.startswith("D"))
        key = parse.thread_key(team, channel, DIRECT if channel.startswith("D") else "")
        told = await desk.command(key, author, str(body.get("trigger_id") or ""), name, arguments(name, rest))
        await desk.tell(Place(channel, "", user), told)


def _to_forms(app: AsyncApp, desk: Desk) -> None:
    @app.view("mini:edit")
    async def edited(ack: AsyncAck, body: Body) -> None:
        await ack()
        spot, number = meant(body["view"]["private_metadata"])
        words = parse.state(body["view"]).get("words", "")
        await desk.pressed(spot, str(body["user"]["id"]), Action.EDIT, number, str(body["view"]["id"]), words)

    @app.view("mini:about")
    async def about(ack: AsyncAck, body: Body) -> None:
        await ack()
        spot, single = meant(body["view"]["private_metadata"])
        told = parse.state(body["view"])
        number = told.get("picture") or single
        await desk.about(
            spot,
            str(body["user"]["id"]),
            str(body["view"]["id"]),
            told.get("words", ""),
            int(number) if number else None,
        )

    @app.view("mini:settings")
    async def chosen(ack: AsyncAck, body: Body) -> None:
        """The faults stand in the form, each below its field."""
        spot, scope = meant(body["view"]["private_metadata"])
        told = parse.state(body["view"])
        faults = await desk.choose(spot, str(body["user"]["id"]), scope, str(body["view"]["id"]), told)
        fields = [
            str(block.get("block_id")) for block in body["view"].get("blocks") or () if block.get("type") == "input"
        ]
        if faults:
            shown = {key if key in fields else fields[0]: fault for key, fault in faults.items()}
            await ack(response_action="errors", errors=shown)
        else:
            await ack()


async def show_home(desk: Desk, team: str, user: str) -> None:
    """The Home tab as it is now."""
    author = await desk.person(user, direct=False)
    key = parse.thread_key(team, "", "")
    texts = []
    for name in ("help", "queue", "usage"):
        told = await desk.command(key, author, f"home-{user}", name, {})
        texts.append(told if isinstance(told, str) else told.text)
    await desk.budget.take("views.publish", team)
    try:
        await desk.client.views_publish(user_id=user, view=draw.home(*texts))
    except SlackApiError as error:
        log.info("the Home tab could not be shown: %s", error.response.get("error"))


async def _open_settings(desk: Desk, spot: Spot, user: str, trigger: str, scope: str) -> None:
    panel = await desk.panel(spot, user, scope, trigger)
    place = Place(spot.channel, spot.thread_ts, user)
    if isinstance(panel, str):
        await desk.whisper(place, panel)
    else:
        await _open(desk, trigger, draw.settings_form(panel, metadata(spot, scope)), place)


async def _other_scope(desk: Desk, body: Body, scope: str) -> None:
    view = body.get("view") or {}
    spot, _ = meant(str(view.get("private_metadata") or ""))
    panel = await desk.panel(spot, str(body["user"]["id"]), scope, str(view.get("id")))
    if not isinstance(panel, str):
        form = draw.settings_form(panel, metadata(spot, scope))
        await desk.client.views_update(view_id=str(view.get("id")), hash=view.get("hash"), view=form)


async def _open(desk: Desk, trigger: str, form: draw.Block, place: Place) -> None:
    try:
        await desk.client.views_open(trigger_id=trigger, view=form)
    except SlackApiError as error:
        log.info("a form could not be opened: %s", error.response.get("error"))
        await desk.whisper(place, "Slack did not let me open the form in time; please try again.")


async def _respond(desk: Desk, body: Body, words: str) -> None:
    await desk.whisper(Place(str(body["channel_id"]), "", str(body["user_id"])), words)


def _at_home(body: Body) -> Spot:
    return Spot(str((body.get("team") or {}).get("id", "")), "", "", "")
