"""Interactions of users: buttons, menus, commands, shortcuts and modals."""

from collections.abc import Mapping
from typing import Any

from tests.support.slack_server import payloads
from tests.support.slack_server.contract import forms
from tests.support.slack_server.contract.schemas import Contract
from tests.support.slack_server.link import COMMANDS, INTERACTIVE, Envelope, Link
from tests.support.slack_server.modals import Modals
from tests.support.slack_server.responses import Responses
from tests.support.slack_server.state import Channel, Json, Message, Person, View, World, parts

BUTTONS = ("button", "workflow_button")


class NotInThreads(Exception):
    """`/imagine is not supported in threads. Sorry!`, for the user; the bot gets no event."""

    def __init__(self, command: str) -> None:
        super().__init__(f"{command} is not supported in threads. Sorry!")


class Interactions:
    """Each method waits until the bot has acknowledged the interaction or it is too late."""

    def __init__(self, link: Link, modals: Modals, responses: Responses, contract: Contract | None) -> None:
        self.link = link
        self.modals = modals
        self.responses = responses
        self.contract = contract
        self.world: World = link.world

    async def press(self, place: Message | View, action: str, person: Person, value: Any = None) -> Envelope:
        """Press a button, or choose `value` in a menu."""
        block, element = _found(place.blocks, action)
        output = payloads.base(self.world, "block_actions", person) | self._where(place, person)
        act: Json = {"action_id": action, "block_id": block["block_id"], "type": element["type"]}
        if element["type"] in BUTTONS:
            act |= {"text": element["text"]} | ({"value": element["value"]} if "value" in element else {})
        else:
            act |= forms.chosen(element, value)
        act["action_ts"] = self.world.ts()
        output["actions"] = [act]
        return await self._send(INTERACTIVE, output)

    async def command(
        self, person: Person, channel: Channel, name: str, text: str = "", *, thread_ts: str | None = None
    ) -> Envelope:
        """Give a slash command; Slack allows none in threads."""
        if thread_ts is not None:
            raise NotInThreads(name)
        output: Json = {
            "token": payloads.VERIFICATION,
            "team_id": self.world.team_id,
            "team_domain": self.world.domain,
            "channel_id": channel.id,
            "channel_name": channel.name,
            "user_id": person.id,
            "user_name": person.name.lower(),
            "command": name,
            "text": text,
            "api_app_id": self.world.app_id,
            "is_enterprise_install": "false",
            "response_url": self.responses.url(channel, person),
            "trigger_id": self.modals.trigger(person),
        }

        def answered(said: Json) -> None:
            if said.get("text") or said.get("blocks"):
                self.responses.say(channel, person, said)

        return await self._send(COMMANDS, output, answered)

    async def shortcut(self, message: Message | None, callback_id: str, person: Person) -> Envelope:
        """Choose a shortcut in the menu of a message; without a message, a global one."""
        kind = "shortcut" if message is None else "message_action"
        output = payloads.base(self.world, kind, person) | {"callback_id": callback_id, "action_ts": self.world.ts()}
        output["trigger_id"] = self.modals.trigger(person)
        if message is not None:
            del output["user"]["username"]  # which Slack leaves out here
            output |= {"message": payloads.message(self.world, message), "message_ts": message.ts}
            output["channel"] = {"id": message.channel.id, "name": message.channel.name}
            output["response_url"] = self.responses.url(message.channel, person, message)
        return await self._send(INTERACTIVE, output)

    async def submit(self, view: View, values: Mapping[str, Any], person: Person) -> Envelope:
        """Submit a modal with values by action ids or block ids."""
        if not view.open or "submit" not in view.content:
            raise LookupError("nothing to send")
        output = payloads.base(self.world, "view_submission", person)
        output |= {"trigger_id": self.modals.trigger(person, view), "response_urls": []}
        output["view"] = payloads.view(self.world, view, forms.state(view, values))
        return await self._send(INTERACTIVE, output, lambda said: self._submitted(view, said))

    async def dismiss(self, view: View, person: Person) -> Envelope | None:
        """Close a modal; the bot gets an event if it asked for one."""
        view.open = False
        if not view.content.get("notify_on_close"):
            return None
        output = payloads.base(self.world, "view_closed", person)
        return await self._send(INTERACTIVE, output | {"view": payloads.view(self.world, view), "is_cleared": False})

    def _where(self, place: Message | View, person: Person) -> Json:
        if isinstance(place, View):
            shown = payloads.view(self.world, place)
            output: Json = {"container": {"type": "view", "view_id": place.id}, "view": shown}
            return output | {"trigger_id": self.modals.trigger(person, place)}
        container: Json = {"type": "message", "message_ts": place.ts, "channel_id": place.channel.id}
        container |= {"is_ephemeral": place.only_for is not None}
        if place.thread_ts:
            container["thread_ts"] = place.thread_ts
        return {
            "container": container,
            "trigger_id": self.modals.trigger(person),
            "channel": {"id": place.channel.id, "name": place.channel.name},
            "message": payloads.message(self.world, place),
            "state": {"values": {}},
            "response_url": self.responses.url(place.channel, person, place),
        }

    def _submitted(self, view: View, said: Json) -> None:
        """Apply the acknowledgement of a modal."""
        shown = said.get("view")
        if shown is not None and self.contract is not None:
            self.world.violations += [f"response_action: {why}" for why in self.contract.blocks.view_faults(shown)]
        match said.get("response_action"):
            case None:
                view.open = False
            case "errors":
                view.errors = said["errors"]
                names = {block["block_id"] for block in view.blocks if block["type"] == "input"}
                for name in view.errors.keys() - names:
                    self.world.violations.append(f"response_action: no input block {name!r} for an error")
            case "update":
                self.modals.replace(view, said["view"])
            case "push":
                self.modals.show(view.person, said["view"], view)
            case "clear":
                below: View | None = view
                while below is not None:
                    below.open, below = False, below.previous
            case unknown:
                self.world.violations.append(f"no response_action: {unknown!r}")

    async def _send(self, kind: str, payload: Json, on_answer: Any = None) -> Envelope:
        envelope = self.link.send(Envelope(kind, payload, on_answer=on_answer))
        self.world.changed()
        await envelope.settled()
        return envelope


def _found(blocks: list[Json], action: str) -> tuple[Json, Json]:
    for block in blocks:
        for element in parts(block):
            if element.get("action_id") == action:
                return block, element
    there = [part["action_id"] for part in parts(blocks) if "action_id" in part]
    raise LookupError(f"no {action!r} to press among {there}")
