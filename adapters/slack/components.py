"""Buttons, shortcuts and forms of Slack: each payload is parsed and given to the event handlers."""

import json
import logging
import re
from dataclasses import dataclass

from slack_bolt.async_app import AsyncAck, AsyncApp

from adapters.slack import blocks, modals, parse
from adapters.slack.api_errors import API_ERRORS, error_code
from adapters.slack.ephemeral import Send
from adapters.slack.handlers import EventHandlers
from adapters.slack.parse import Body, MessageRef
from adapters.slack.surface import ReplyPlace
from bot.domain import Action
from bot.notices import notice, text
from bot.region import find_region
from bot.settings.values import Scope

log = logging.getLogger(__name__)

_OWN_ACTIONS = re.compile("mini:.*")
_MESSAGE_FORMS = {  # shortcuts of messages: the title, the question and the example of the form that they open
    "edit_picture": ("edit-image", "edit-question", "edit-example-sky"),
    "ask_picture": ("ask-about-image", "ask-question", "ask-example-sign"),
}


def register_buttons(app: AsyncApp, handlers: EventHandlers) -> None:
    """Register the listeners of buttons, menus and message shortcuts."""

    @app.action(_OWN_ACTIONS)
    async def on_button(ack: AsyncAck, body: Body) -> None:
        await ack()
        press, ref = _parse_press(body), parse.message_ref(body)
        if press.name in _PRESSES_IN_VIEWS:
            await _PRESSES_IN_VIEWS[press.name](handlers, press)
        elif ref is None:
            log.info("ignored a button press without a channel or a message")
        else:
            await _PRESSES_IN_MESSAGES.get(press.name, _press_action)(handlers, press, ref)

    for callback_id, form in _MESSAGE_FORMS.items():
        _register_shortcut(app, handlers, callback_id, form)


def _register_shortcut(app: AsyncApp, handlers: EventHandlers, callback_id: str, form: tuple[str, str, str]) -> None:
    @app.shortcut(callback_id)
    async def on_shortcut(ack: AsyncAck, body: Body) -> None:
        await ack()
        ref, user = parse.message_ref(body), _user_id(body)
        if ref is None:
            return
        pictures = handlers.pictures_of(ref, body.get("message") or {})
        if not pictures:
            await handlers.notify(ref, user, notice("no-image-in-message"))
            return
        single = pictures[0][1] if len(pictures) == 1 else ""
        language = handlers.language(ref.key, await handlers.users.person(user))
        view = modals.about_form(form, pictures, _form_metadata(ref, single), language)
        await _open_form(
            handlers, str(body.get("trigger_id") or ""), view, handlers.reply_place(ref, user), None, language
        )


@dataclass(frozen=True, slots=True)
class _Press:
    """A press of a button or a choice in a menu. `value` is the value of the button or the chosen option."""

    body: Body
    name: str
    value: str
    user: str
    trigger: str
    action_ts: str


def _parse_press(body: Body) -> _Press:
    chosen = (body.get("actions") or [{}])[0]
    return _Press(
        body,
        name=str(chosen.get("action_id", "")).removeprefix("mini:").partition(":")[0],
        value=str((chosen.get("selected_option") or chosen).get("value") or ""),
        user=_user_id(body),
        trigger=str(body.get("trigger_id") or ""),
        action_ts=str(chosen.get("action_ts")),
    )


async def _press_scope(handlers: EventHandlers, press: _Press) -> None:
    """Show the settings of the chosen scope in the open form."""
    view = press.body.get("view") or {}
    ref, _ = _parse_metadata(str(view.get("private_metadata") or ""))
    panel = await handlers.settings_panel(ref, press.user, press.value, str(view.get("id")))
    if not isinstance(panel, str):
        form = modals.settings_form(panel, _form_metadata(ref, press.value), _scopes(ref))
        try:
            await handlers.client.views_update(view_id=str(view.get("id")), hash=view.get("hash"), view=form)
        except API_ERRORS as error:
            log.info("could not update a modal: %s", error_code(error))


async def _press_home_settings(handlers: EventHandlers, press: _Press) -> None:
    home = MessageRef(str((press.body.get("team") or {}).get("id", "")), "", "", "")
    await open_settings(handlers, home, press.user, press.trigger)


async def _press_settings(handlers: EventHandlers, press: _Press, ref: MessageRef) -> None:
    await open_settings(handlers, MessageRef.parse(press.value), press.user, press.trigger)


async def _press_details(handlers: EventHandlers, press: _Press, ref: MessageRef) -> None:
    author = await handlers.users.person(press.user)
    response = await handlers.command(ref.key, author, press.trigger, "details", {"picture": press.value})
    place = handlers.reply_place(ref, press.user)
    await handlers.ephemeral.send_answer(place, response, handlers.ephemeral.sender(place))


async def _press_retry_upload(handlers: EventHandlers, press: _Press, ref: MessageRef) -> None:
    await handlers.retry_upload(ref, press.user, press.value)


async def _press_edit(handlers: EventHandlers, press: _Press, ref: MessageRef) -> None:
    if not press.value.isdecimal():
        await _press_action(handlers, press, ref)
        return
    picture = handlers.archive.picture(ref.key, int(press.value))
    prompt = picture.request.prompt if picture else ""
    language = handlers.language(ref.key, await handlers.users.person(press.user))
    form = modals.edit_form(int(press.value), prompt, _form_metadata(ref, press.value), language)
    await _open_form(handlers, press.trigger, form, handlers.reply_place(ref, press.user), None, language)


async def _press_action(handlers: EventHandlers, press: _Press, ref: MessageRef) -> None:
    """Hand the button of a reply or an image to the inbox, or answer that the button is not known."""
    action = parse.action(press.name)
    if action:
        await handlers.on_button(ref, press.user, action, press.value, f"{ref.channel}-{press.action_ts}")
    else:
        await handlers.notify(ref, press.user, notice("button-outdated"))


_PRESSES_IN_VIEWS = {blocks.SCOPE: _press_scope, modals.HOME_SETTINGS: _press_home_settings}
_PRESSES_IN_MESSAGES = {
    blocks.SETTINGS: _press_settings,
    blocks.DETAILS: _press_details,
    blocks.RETRY_UPLOAD: _press_retry_upload,
    str(Action.EDIT): _press_edit,
}


def register_forms(app: AsyncApp, handlers: EventHandlers) -> None:
    """Register the listeners of submitted forms."""

    @app.view("mini:edit")
    async def on_edit_form(ack: AsyncAck, body: Body) -> None:
        await ack()
        view, user = body["view"], str(body["user"]["id"])
        ref, number = _parse_metadata(view["private_metadata"])
        values = parse.form_values(view)
        region = find_region(values.get("where", ""))
        await handlers.on_button(ref, user, Action.EDIT, number, str(view["id"]), values.get("words", ""), region)

    @app.view("mini:about")
    async def on_about_form(ack: AsyncAck, body: Body) -> None:
        await ack()
        view, user = body["view"], str(body["user"]["id"])
        ref, single = _parse_metadata(view["private_metadata"])
        values = parse.form_values(view)
        await handlers.ask_about(ref, user, str(view["id"]), values.get("words", ""), values.get("picture") or single)

    @app.view("mini:settings")
    async def on_settings_form(ack: AsyncAck, body: Body) -> None:
        """Save the settings, and show each error in the form below its field."""
        view, user = body["view"], str(body["user"]["id"])
        ref, scope = _parse_metadata(view["private_metadata"])
        faults = await handlers.change_settings(ref, user, scope, str(view["id"]), parse.changed_fields(view))
        ids = [str(block.get("block_id")) for block in view.get("blocks") or () if block.get("type") == "input"]
        below = {modals.field_id(scope, key): fault for key, fault in faults.items()}
        if faults:
            await ack(response_action="errors", errors={key if key in ids else ids[0]: below[key] for key in below})
        else:
            await ack()


async def open_settings(
    handlers: EventHandlers, ref: MessageRef, user: str, trigger: str, send: Send | None = None
) -> None:
    """Open the settings form of a place, or send the user the reason why it is not shown."""
    panel = await handlers.settings_panel(ref, user, Scope.PERSON, trigger)
    place = handlers.reply_place(ref, user)
    if isinstance(panel, str):
        await (send or handlers.ephemeral.sender(place))(panel, ())
    else:
        form = modals.settings_form(panel, _form_metadata(ref, panel.scope), _scopes(ref))
        await _open_form(handlers, trigger, form, place, send, panel.language)


def _scopes(ref: MessageRef) -> list[Scope]:
    """Return the scopes of a place: a command is in no thread, and the Home tab is in no channel."""
    places = ([Scope.CHANNEL] if ref.channel else []) + ([Scope.THREAD] if ref.thread_ts else [])
    return [Scope.PERSON, *places, Scope.SERVER]


async def _open_form(
    handlers: EventHandlers,
    trigger: str,
    form: blocks.Block,
    place: ReplyPlace,
    send: Send | None = None,
    language: str = "en",
) -> None:
    try:
        await handlers.client.views_open(trigger_id=trigger, view=form)
    except API_ERRORS as error:
        log.info("could not open a modal: %s", error_code(error))
        await (send or handlers.ephemeral.sender(place))(text(notice("slack-form-late"), language), ())


def _user_id(body: Body) -> str:
    return str((body.get("user") or {}).get("id", ""))


def _form_metadata(ref: MessageRef, more: str) -> str:
    """Return the private metadata of a form: the place and one more value, such as the scope."""
    return json.dumps([str(ref), more])


def _parse_metadata(private_metadata: str) -> tuple[MessageRef, str]:
    ref, more = json.loads(private_metadata)
    return MessageRef.parse(ref), str(more)
