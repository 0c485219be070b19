"""Inputs of a modal, as Slack sends them."""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.support.slack_server.state import Json, View

CHOICES = ("static_select", "radio_buttons", "external_select", "overflow")
SEVERAL = ("multi_static_select", "checkboxes", "multi_external_select")
OTHERS = {
    "users_select": ("selected_user", "initial_user"),
    "multi_users_select": ("selected_users", "initial_users"),
    "channels_select": ("selected_channel", "initial_channel"),
    "conversations_select": ("selected_conversation", "initial_conversation"),
    "datepicker": ("selected_date", "initial_date"),
    "timepicker": ("selected_time", "initial_time"),
    "datetimepicker": ("selected_date_time", "initial_date_time"),
    "file_input": ("files", ""),
}


def state(view: View, values: Mapping[str, Any]) -> Json:
    """Return the `state.values` of a view: the inputs by action id or block id, else the initial values."""
    output: Json = {}
    unknown = set(values)
    for block, element in _elements(view.blocks):
        action, name = element.get("action_id", ""), block["block_id"]
        key = action if action in values else name
        unknown.discard(key)
        filled = chosen(element, values[key]) if key in values else _initial(element)
        empty = all(value in (None, "", [], ()) for name_, value in filled.items() if name_ != "type")
        if block["type"] == "input" and empty and not block.get("optional"):
            raise LookupError(f"{action or name!r} must be filled in")
        output.setdefault(name, {})[action] = filled
    if unknown:
        raise LookupError(f"nothing to fill in at {sorted(unknown)}")
    return output


def chosen(element: Json, value: Any) -> Json:
    """Return the value of a field, or the choice in a menu."""
    kind = element["type"]
    if kind in CHOICES:
        return {"type": kind, "selected_option": None if value is None else _option(element, value)}
    if kind in SEVERAL:
        return {"type": kind, "selected_options": [_option(element, one) for one in value]}
    if kind in OTHERS:
        return {"type": kind, OTHERS[kind][0]: value}
    text = None if value is None else str(value)
    if text is not None and not element.get("min_length", 0) <= len(text) <= element.get("max_length", 3_000):
        raise LookupError(f"{element.get('action_id')!r} does not take {len(text)} characters")
    return {"type": kind, "value": text}


def _initial(element: Json) -> Json:
    kind = element["type"]
    if kind in CHOICES:
        return {"type": kind, "selected_option": element.get("initial_option")}
    if kind in SEVERAL:
        return {"type": kind, "selected_options": element.get("initial_options", [])}
    if kind in OTHERS:
        field, initial = OTHERS[kind]
        return {"type": kind, field: element.get(initial)}
    return {"type": kind, "value": element.get("initial_value")}


def _option(element: Json, value: object) -> Json:
    groups = [group["options"] for group in element.get("option_groups", ())]
    for option in [*element.get("options", ()), *(one for group in groups for one in group)]:
        if option.get("value") == value:
            return dict(option)
    raise LookupError(f"no {value!r} to choose in {element.get('action_id')!r}")


def _elements(blocks: list[Json]) -> Iterator[tuple[Json, Json]]:
    for block in blocks:
        if block["type"] not in ("input", "section", "actions"):
            continue
        for element in (block.get("element"), block.get("accessory"), *block.get("elements", ())):
            if isinstance(element, dict) and element["type"] not in ("button", "image"):
                yield block, element
