"""The slash commands of Slack: /imagine and /minidalle."""

import html
import logging
from collections.abc import Sequence

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond

from adapters.slack import blocks, parse
from adapters.slack.api_errors import API_ERRORS, error_code
from adapters.slack.components import open_settings
from adapters.slack.ephemeral import Send
from adapters.slack.handlers import EventHandlers
from adapters.slack.parse import DIRECT, Body, MessageRef
from adapters.slack.surface import ReplyPlace
from bot.domain import ImagineCommand
from bot.errors import BotError, Refused
from bot.notices import lines, listed, notice
from bot.notices import text as to_text
from bot.settings.values import THREAD_COMMANDS, Scope

log = logging.getLogger(__name__)


def register_commands(app: AsyncApp, handlers: EventHandlers) -> None:
    """Register the listeners of the slash commands."""

    @app.command("/imagine")
    async def imagine(ack: AsyncAck, respond: AsyncRespond, body: Body) -> None:
        await ack()
        if refusal := await _imagine(handlers, body):
            await _response_sender(respond)(refusal, ())

    @app.command("/minidalle")
    async def minidalle(ack: AsyncAck, respond: AsyncRespond, body: Body) -> None:
        await ack()
        channel, user, team = str(body["channel_id"]), str(body["user_id"]), str(body["team_id"])
        text, trigger = str(body.get("text") or "").strip(), str(body.get("trigger_id") or "")
        name, rest = parse.command(html.unescape(text)) or ("help", "")

        async def language() -> str:
            key = MessageRef(team, channel, "", "").key
            return handlers.language(key, await handlers.users.person(user))

        if name == "help" and text.lower() not in ("", "help"):
            unknown = notice("slack-unknown-command", name=html.unescape(text)[:50])
            help_text = lines([unknown, "", notice("slack-help")])
            await _response_sender(respond)(to_text(help_text, await language()), ())
            return
        ref, send = MessageRef(team, channel, "", ""), _response_sender(respond)
        if name == "settings" and not rest:
            await open_settings(handlers, ref, user, trigger, send)
            return
        if name in THREAD_COMMANDS and not rest and not ref.is_direct:
            await send(to_text(notice("slack-commands-not-in-threads", name=name), await language()), ())
            return
        author = await handlers.users.person(user)
        response = await handlers.command(ref.key, author, trigger, name, parse.arguments(name, rest))
        await handlers.ephemeral.send_answer(ReplyPlace(channel, "", user), response, send, str(ref))


async def _imagine(handlers: EventHandlers, body: Body) -> str:
    """Post a message that says who asks for which image, and request the image in its thread.

    Return a sentence if that is refused, else an empty string.
    """
    channel, user, team = str(body["channel_id"]), str(body["user_id"]), str(body["team_id"])
    direct = channel.startswith("D")
    author = await handlers.users.person(user)
    language = handlers.language(MessageRef(team, channel, "", "").key, author)
    try:
        request, count = parse.imagine(html.unescape(str(body.get("text") or "")))
        await _check_model(handlers, MessageRef(team, channel, "", ""), user, request.sampling.model)
    except BotError as refused:
        return to_text(refused.notice, language)
    asked = notice("asks-for", name=blocks.escape(author.name), prompt=blocks.escape(request.prompt))
    text = to_text(asked, language)[: blocks.LONGEST_TEXT]
    try:
        await handlers.rate_limits.acquire("chat.postMessage", team, channel)
        posted = await handlers.client.chat_postMessage(
            channel=channel, text=text, unfurl_links=False, unfurl_media=False
        )
    except API_ERRORS as error:
        log.info("could not post the message of /imagine: %s", error_code(error))
        outside = error_code(error) in ("not_in_channel", "channel_not_found")
        why = notice("slack-not-in-channel") if outside else notice("slack-refused", code=error_code(error))
        return to_text(why, language)
    ts = str(posted["ts"])
    key, place = (
        parse.thread_key(team, channel, DIRECT if direct else ts),
        ReplyPlace(channel, "" if direct else ts, user),
    )
    try:
        await handlers.hand_over(ImagineCommand(parse.message_id(channel, ts), key, author, request, count), place)
    except BotError as refused:
        await _delete_post(handlers, channel, ts)
        return refused.text
    return ""


async def _check_model(handlers: EventHandlers, ref: MessageRef, user: str, model: str) -> None:
    """Raise Refused if there is no image model of this name."""
    panel = await handlers.settings_panel(ref, user, Scope.PERSON, "") if model else ""
    fields = () if isinstance(panel, str) else panel.fields
    known = next((field.choices for field in fields if field.key == "image_model"), ())
    if model and model not in (*known, "usual"):  # an old name of the default
        raise Refused("no-such-image-model", model=model[:50], models=listed(known))


async def _delete_post(handlers: EventHandlers, channel: str, ts: str) -> None:
    try:
        await handlers.client.chat_delete(channel=channel, ts=ts)
    except API_ERRORS as error:
        log.info("could not delete the message of a refused /imagine: %s", error_code(error))


def _response_sender(respond: AsyncRespond) -> Send:
    """Return a function that answers a slash command, also in channels where the bot is not a member."""

    async def send(text: str, below: Sequence[blocks.Block]) -> None:
        try:
            await respond(**blocks.message_body(text, below), response_type="ephemeral")
        except API_ERRORS as error:
            log.info("could not answer a slash command: %s", error_code(error))

    return send
