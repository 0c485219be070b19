"""Options of commands and fields of forms, as Discord sends them to the bot."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.discord_server import payloads
from tests.support.discord_server.state import Attachment, Channel, Json, Person, Upload, World

CHAT, ON_MESSAGE = 1, 3  # types of commands
LISTS = frozenset({3, 5, 6, 7, 8, 19, 22})  # types of components that take several values: menus, files, boxes


@dataclass
class Form:
    """One submission. Files and users are in `resolved`; the values name them."""

    world: World
    channel: Channel
    resolved: Json = field(default_factory=dict)

    def value(self, given: Any) -> Any:
        """Return the value that represents an option."""
        match given:
            case Upload(filename, content):
                made = Attachment(self.world.snowflake(), self.channel.id, filename, content)
                self.world.attachments[made.id] = made
                drawn = payloads.attachment(self.world, made, ephemeral=True)
                self.resolved.setdefault("attachments", {})[str(made.id)] = drawn
                return str(made.id)
            case Person():
                self.resolved.setdefault("users", {})[str(given.id)] = payloads.user(given)
                return str(given.id)
            case _:
                return given

    def filled(self, component: Json, values: Mapping[str, Any]) -> Json:
        """Return a component of a form with its input, or with its default."""
        output: Json = {"type": component["type"]} | ({"id": component["id"]} if "id" in component else {})
        if "component" in component:
            return output | {"component": self.filled(component["component"], values)}
        if "components" in component:
            return output | {"components": [self.filled(one, values) for one in component["components"]]}
        if "custom_id" not in component:
            return output
        output["custom_id"] = name = component["custom_id"]
        if component["type"] in LISTS:
            return output | {"values": [self.value(one) for one in values.get(name, _chosen(component))]}
        return output | {"value": values.get(name, component.get("value", ""))}


def command(form: Form, line: str, given: Mapping[str, Any]) -> Json:
    """A slash command with its options; a subcommand's name follows after a space."""
    name, *subcommands = line.split()
    level = registered(form, name, CHAT)
    data: Json = {"id": level["id"], "name": name, "type": CHAT, "options": [], "resolved": form.resolved}
    inner = data
    for part in subcommands:
        level = _named(level, part)
        inner["options"] = [{"name": part, "type": level["type"], "options": []}]
        inner = inner["options"][0]
    for key, value in given.items():
        inner["options"].append({"name": key, "type": _named(level, key)["type"], "value": form.value(value)})
    return data


def registered(form: Form, name: str, kind: int) -> Json:
    """A command as the bot registered it; people cannot give any other."""
    known: list[Json] = [*form.world.commands[None], *form.world.commands.get(form.channel.guild_id or 0, ())]
    for one in known:
        if one["name"] == name and one["type"] == kind:
            return one
    raise LookupError(f"no command {name!r} among {[one['name'] for one in known]}")


def focused(data: Json) -> Json:
    """The same command while its last option is being typed."""
    inner = data["options"]
    while inner[-1]["type"] <= 2:  # a subcommand, or a group of them
        inner = inner[-1]["options"]
    inner[-1]["focused"] = True
    return data


def _chosen(component: Json) -> list[str]:
    return [option["value"] for option in component.get("options", ()) if option.get("default")]


def _named(level: Json, name: str) -> Json:
    for option in level.get("options", ()):
        if option["name"] == name:
            return dict(option)
    raise LookupError(f"{level['name']!r} has no option {name!r}")
