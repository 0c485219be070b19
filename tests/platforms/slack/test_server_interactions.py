"""The Slack double against the real Bolt: commands, buttons, shortcuts and modals."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_sdk.webhook.async_client import AsyncWebhookClient

from tests.support.slack_server import RESPONSE, Channel, Error, Message, NotInThreads, Person, SlackDouble, View
from tests.support.slack_server.client import App, refusal, running

TITLE = {"type": "plain_text", "text": "Edit"}
BUTTON = {"type": "button", "action_id": "again", "value": "1", "text": TITLE}
SIZES = [{"text": TITLE | {"text": size}, "value": size} for size in ("square", "wide")]
MODAL: dict[str, Any] = {
    "type": "modal",
    "callback_id": "edit",
    "title": TITLE,
    "submit": TITLE,
    "notify_on_close": True,
    "blocks": [
        {
            "type": "input",
            "block_id": "prompt",
            "label": TITLE,
            "element": {"type": "plain_text_input", "action_id": "text", "max_length": 20},
        },
        {
            "type": "input",
            "block_id": "size",
            "label": TITLE,
            "element": {
                "type": "static_select",
                "action_id": "size",
                "options": SIZES,
                "initial_option": SIZES[0],
            },
        },
        {"type": "actions", "elements": [BUTTON]},
    ],
}
HOME: dict[str, Any] = {"type": "home", "blocks": [{"type": "header", "text": TITLE}]}


class Acting(App):
    """An app that opens a modal at each shortcut, answers commands, and refuses hens."""

    def __init__(self, slack: SlackDouble) -> None:
        super().__init__(slack)
        self.pressed: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.commands: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.opened: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.submitted: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.closed: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.bolt.action("again")(self._press)
        self.bolt.command("/imagine")(self._command)
        self.bolt.command("/slow")(self._nothing)
        self.bolt.shortcut("edit")(self._shortcut)
        self.bolt.view("edit")(self._submit)
        self.bolt.view_closed("edit")(self._close)

    async def _press(self, ack: Any, body: dict[str, Any]) -> None:
        await ack()
        await self.pressed.put(body)

    async def _command(self, ack: Any, respond: Any, command: dict[str, Any]) -> None:
        await ack("One moment")
        await respond(text=f"Drawing {command['text']}", response_type="in_channel")
        await self.commands.put(command)

    async def _nothing(self) -> None:
        pass

    async def _shortcut(self, ack: Any, shortcut: dict[str, Any]) -> None:
        await ack()
        await self.client.views_open(trigger_id=shortcut["trigger_id"], view=MODAL)
        await self.opened.put(shortcut)

    async def _submit(self, ack: Any, view: dict[str, Any]) -> None:
        prompt = view["state"]["values"]["prompt"]["text"]["value"]
        match prompt:
            case "a hen":
                await ack(response_action="errors", errors={"prompt": "No hens."})
            case "more":
                await ack(response_action="push", view=MODAL)
            case "another":
                await ack(response_action="update", view=MODAL | {"title": TITLE | {"text": "Another"}})
            case _:
                await ack()
        await self.submitted.put(view["state"]["values"])

    async def _close(self, ack: Any, view: dict[str, Any]) -> None:
        await ack()
        await self.closed.put(view)


@pytest.fixture
async def app(slack: SlackDouble) -> AsyncIterator[Acting]:
    """An app that opens modals and answers commands, connected."""
    app = Acting(slack)
    async with running(slack, app):
        yield app


async def shown(slack: SlackDouble, app: Acting, channel: Channel, **more: Any) -> Message:
    """A message of the bot with a button."""
    blocks: list[dict[str, Any]] = [{"type": "actions", "block_id": "row", "elements": [BUTTON]}]
    output = await app.client.chat_postMessage(channel=channel.id, text="A fox", blocks=blocks, **more)
    return channel.log[output["ts"]]


async def opened(slack: SlackDouble, app: Acting, said: Message, person: Person) -> View:
    """The modal of the shortcut."""
    assert (await slack.shortcut(said, "edit", person)).acknowledged
    await app.opened.get()
    view = slack.modal(person)
    assert view is not None
    return view


async def test_a_command_is_answered(slack: SlackDouble, general: Channel, ana: Person, app: Acting) -> None:
    """For the user in the acknowledgement, and for everybody through the response_url."""
    envelope = await slack.command(ana, general, "/imagine", "a fox")
    command = await app.commands.get()
    assert envelope.acknowledged and command["text"] == "a fox" and command["user_id"] == ana.id
    assert [one.text for one in slack.ephemerals(ana)] == ["One moment"]
    assert [one.text for one in slack.messages(general)] == ["Drawing a fox"]
    with pytest.raises(NotInThreads, match="/imagine is not supported in threads"):
        await slack.command(ana, general, "/imagine", "a fox", thread_ts="1.2")
    assert slack.violations == []


async def test_an_unacknowledged_command_is_lost(
    slack: SlackDouble, general: Channel, ana: Person, app: Acting
) -> None:
    """Slack does not send it again."""
    slack.link.ack_seconds = 0.05
    envelope = await slack.command(ana, general, "/slow")
    assert not envelope.acknowledged and slack.unacknowledged == [envelope]
    slack.link.refresh()
    envelope = await slack.command(ana, general, "/imagine")  # between two sockets
    assert slack.unacknowledged[-1] is envelope


async def test_a_button_is_pressed(slack: SlackDouble, general: Channel, ana: Person, app: Acting) -> None:
    """The bot learns the button and its message, and can answer the user or edit the message."""
    said = await slack.say(general, ana, "a fox")
    message = await shown(slack, app, general, thread_ts=said.ts)
    assert (await slack.press(message, "again", ana)).acknowledged
    body = await app.pressed.get()
    assert body["actions"][0]["value"] == "1" and body["actions"][0]["block_id"] == "row"
    assert body["container"]["message_ts"] == message.ts and body["message"]["thread_ts"] == said.ts
    with pytest.raises(LookupError, match="no 'other' to press among"):
        await slack.press(message, "other", ana)


async def test_a_response_url_works_five_times(slack: SlackDouble, general: Channel, ana: Person, app: Acting) -> None:
    """For one user, for everybody, to replace the message and to delete it."""
    message = await shown(slack, app, general)
    await slack.press(message, "again", ana)
    answer = AsyncWebhookClient((await app.pressed.get())["response_url"])
    slack.fail(RESPONSE, Error("action_prohibited"))
    assert (await answer.send(text="refused")).status_code == 400
    assert (await answer.send(text="You pressed")).body == "ok"
    assert [one.text for one in slack.ephemerals(ana)] == ["You pressed"]
    await answer.send(text="Pressed", replace_original=True)
    assert (message.text, message.blocks) == ("Pressed", [])
    await answer.send(text="Look", response_type="in_channel")
    assert [one.text for one in slack.messages(general)] == ["Pressed", "Look"]
    await answer.send(delete_original=True)
    assert message.deleted
    await answer.send(text="again")
    assert (await answer.send(text="and again")).status_code == 404


async def test_a_modal_is_submitted(slack: SlackDouble, general: Channel, ana: Person, app: Acting) -> None:
    """A shortcut opens a modal; errors are in the acknowledgement, a valid submission closes it."""
    said = await slack.say(general, ana, "a fox")
    view = await opened(slack, app, said, ana)
    with pytest.raises(LookupError, match="must be filled in"):
        await slack.submit(view, {}, ana)
    with pytest.raises(LookupError, match="does not take 21"):
        await slack.submit(view, {"text": "x" * 21}, ana)
    await slack.submit(view, {"text": "a hen"}, ana)
    assert view.open and view.errors == {"prompt": "No hens."}
    await slack.submit(view, {"text": "a fox", "size": "wide"}, ana)
    assert slack.modal(ana) is None
    first, second = await app.submitted.get(), await app.submitted.get()
    assert first["size"]["size"]["selected_option"]["value"] == "square"
    assert second["size"]["size"]["selected_option"]["value"] == "wide"
    assert slack.violations == []


async def test_modals_follow_each_other(slack: SlackDouble, general: Channel, ana: Person, app: Acting) -> None:
    """An acknowledgement updates a modal or pushes another; its buttons can be pressed; it can be closed."""
    view = await opened(slack, app, await slack.say(general, ana, "a fox"), ana)
    await slack.submit(view, {"text": "another"}, ana)
    assert view.content["title"]["text"] == "Another"
    await slack.submit(view, {"text": "more"}, ana)
    top = slack.modal(ana)
    assert top is not None and top is not view and top.previous is view
    await slack.press(top, "again", ana)
    pressed = await app.pressed.get()
    assert pressed["container"] == {"type": "view", "view_id": top.id}
    old = pressed["view"]["hash"]
    await app.client.views_update(view_id=top.id, view=MODAL, hash=old)
    assert await refusal(app.client.views_update(view_id=top.id, view=MODAL, hash=old)) == "hash_conflict"
    await app.client.views_push(trigger_id=pressed["trigger_id"], view=MODAL)
    highest = slack.modal(ana)
    assert highest is not None and highest.previous is top
    await slack.dismiss(highest, ana)
    assert (await app.closed.get())["id"] == highest.id
    assert slack.modal(ana) is top


async def test_a_trigger_is_valid_once_and_briefly(
    slack: SlackDouble, general: Channel, ana: Person, app: Acting
) -> None:
    """A modal needs a fresh trigger."""
    await slack.shortcut(None, "edit", ana)
    trigger = (await app.opened.get())["trigger_id"]
    assert await refusal(app.client.views_open(trigger_id=trigger, view=MODAL)) == "exchanged_trigger_id"
    assert await refusal(app.client.views_open(trigger_id="1.2", view=MODAL)) == "invalid_trigger_id"
    slack.modals.trigger_seconds = 0.0
    late = app.client.views_open(trigger_id=slack.modals.trigger(ana), view=MODAL)
    assert await refusal(late) == "expired_trigger_id"


async def test_a_home_tab_is_shown(slack: SlackDouble, ana: Person, app: Acting) -> None:
    """Each user has a Home tab; a view that Slack would refuse is recorded."""
    await app.client.views_publish(user_id=ana.id, view=HOME)
    home = slack.home(ana)
    assert home is not None and home.blocks[0]["type"] == "header"
    await slack.open_home(ana)
    assert (await app.next("app_home_opened"))["view"]["id"] == home.id
    if slack.validated:
        wrong = MODAL | {"title": TITLE | {"text": "x" * 25}}
        publish = app.client.views_publish(user_id=ana.id, view=wrong)
        assert await refusal(publish) == "invalid_arguments"
        assert any("25 characters" in one for one in slack.violations)
        assert any("a modal where a home is wanted" in one for one in slack.violations)
