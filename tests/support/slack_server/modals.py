"""Modals and Home tabs, and the short-lived triggers that open them."""

import time
import uuid
from dataclasses import dataclass

from tests.support.slack_server import payloads
from tests.support.slack_server.chat import Chat
from tests.support.slack_server.faults import Call, Refused
from tests.support.slack_server.rooms import Method
from tests.support.slack_server.state import Json, Person, View

DEEPEST = 3  # views on top of each other; docs.slack.dev, surfaces/modals


@dataclass(eq=False)
class Trigger:
    """An interaction for which one view may be opened."""

    person: Person
    at: float
    view: View | None  # where it was done
    used: bool = False


class Modals:
    """The methods of views."""

    def __init__(self, chat: Chat) -> None:
        self.chat = chat
        self.world = chat.world
        self.trigger_seconds = 3.0
        self._triggers: dict[str, Trigger] = {}

    def methods(self) -> dict[str, Method]:
        """The methods, by name."""
        return {
            "views.open": self._open,
            "views.push": self._push,
            "views.update": self._update,
            "views.publish": self._publish,
        }

    def trigger(self, person: Person, view: View | None = None) -> str:
        """A new `trigger_id`."""
        name = f"{len(self._triggers) + 1}.{uuid.uuid4().hex}"
        self._triggers[name] = Trigger(person, time.monotonic(), view)
        return name

    def top(self, person: Person) -> View | None:
        """Return the open modal of a user."""
        shown = [view for view in self.world.views.values() if view.person is person and view.open]
        return shown[-1] if shown else None

    def show(self, person: Person, content: Json, previous: View | None = None) -> View:
        """Opens one."""
        self.chat.check_blocks(content["blocks"])
        view = View(self.world.id("V"), person, self._kept(content), uuid.uuid4().hex[:8], previous)
        self.world.views[view.id] = view
        return view

    def replace(self, view: View, content: Json) -> None:
        """Another content in its place."""
        self.chat.check_blocks(content["blocks"])
        view.content, view.hash, view.errors = self._kept(content), uuid.uuid4().hex[:8], {}

    def _kept(self, content: Json) -> Json:
        return content | {"blocks": payloads.with_ids(self.world, content["blocks"])}

    def _open(self, call: Call) -> Json:
        trigger = self._spend(call)
        return self._report(self.show(trigger.person, call.args["view"]))

    def _push(self, call: Call) -> Json:
        trigger = self._spend(call)
        depth, below = 0, trigger.view
        while below is not None:
            depth, below = depth + 1, below.previous
        if depth == 0:
            raise Refused("not_found")
        if depth >= DEEPEST:
            raise Refused("push_limit_reached")
        return self._report(self.show(trigger.person, call.args["view"], trigger.view))

    def _update(self, call: Call) -> Json:
        named = call.args.get("external_id")
        by_name = (view for view in self.world.views.values() if named and view.content.get("external_id") == named)
        view = self.world.views.get(str(call.args.get("view_id"))) or next(by_name, None)
        if view is None or not view.open:
            raise Refused("not_found")
        self._same(view, call)
        self.replace(view, call.args["view"])
        return self._report(view)

    def _publish(self, call: Call) -> Json:
        person = self.world.people.get(str(call.args["user_id"]))
        if person is None:
            raise Refused("invalid_arguments", "invalid `user_id`")
        home = self.world.homes.get(person.id)
        if home is None:
            self.chat.check_blocks(call.args["view"]["blocks"])
            home = View(self.world.id("V"), person, self._kept(call.args["view"]), uuid.uuid4().hex[:8])
            self.world.homes[person.id] = home
        else:
            self._same(home, call)
            self.replace(home, call.args["view"])
        return self._report(home)

    def _same(self, view: View, call: Call) -> None:
        if call.args.get("hash") and call.args["hash"] != view.hash:
            raise Refused("hash_conflict")

    def _spend(self, call: Call) -> Trigger:
        trigger = self._triggers.get(str(call.args.get("trigger_id")))
        if trigger is None:
            raise Refused("invalid_trigger_id")
        if trigger.used:
            raise Refused("exchanged_trigger_id")
        if time.monotonic() - trigger.at > self.trigger_seconds:
            raise Refused("expired_trigger_id")
        trigger.used = True
        return trigger

    def _report(self, view: View) -> Json:
        return {"view": payloads.view(self.world, view)}
