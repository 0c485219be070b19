"""Slack views: the modals, the Home tab and the help text. Pure."""

from collections.abc import Sequence

from adapters.slack import blocks
from adapters.slack.blocks import Block
from bot.notices import notice, text
from bot.region import NAMED_REGIONS
from bot.settings.values import Scope, SettingField, SettingsPanel

LONGEST_INPUT = 3_000  # characters of a field
MOST_OPTIONS = 100  # of a menu
HOME_SETTINGS = "home-settings"  # the button of the Home tab
_SCOPES = {
    Scope.PERSON: "menu-me",
    Scope.THREAD: "menu-thread",
    Scope.CHANNEL: "menu-channel",
    Scope.SERVER: "menu-workspace",
}


def edit_form(number: int, prompt: str, metadata: str, language: str = "en") -> Block:
    """Return the modal of the Edit button: the change, and the area of the image that may change."""
    origin = (
        [blocks.context(text(notice("edit-source-prompt", number=number, prompt=prompt), language))] if prompt else []
    )
    options = [_option(text(notice(f"area-{area}"), language), area) for area in NAMED_REGIONS]
    menu = {"type": "static_select", "action_id": "where", "options": options, "initial_option": options[0]}
    where: Block = {"type": "input", "block_id": "where", "optional": True, "label": _label("edit-where", language)}
    where |= {"hint": _label("edit-rest-stays", language), "element": menu}
    words = _input("words", text(notice("edit-question"), language), text(notice("edit-example"), language))
    return _form(
        "mini:edit", text(notice("edit-title", number=number), language), [*origin, words, where], metadata, language
    )


def about_form(
    form: tuple[str, str, str], pictures: Sequence[tuple[str, str]], metadata: str, language: str = "en"
) -> Block:
    """Return the modal of a message shortcut: a text and, if the message shows several images, a menu of them.

    `form` are the ids of its title, question and example; `pictures` are the labels and the values of the images.
    """
    title, question, example = (text(notice(id_), language) for id_ in form)
    fields = [_input("words", question, example)]
    if len(pictures) > 1:
        options = [_option(name, value) for name, value in pictures[:MOST_OPTIONS]]
        element = {"type": "static_select", "action_id": "picture", "options": options, "initial_option": options[-1]}
        choice = {
            "type": "input",
            "block_id": "picture",
            "label": _label("slack-which-image", language),
            "element": element,
        }
        fields.insert(0, choice)
    return _form("mini:about", title, fields, metadata, language)


def settings_form(panel: SettingsPanel, metadata: str, scopes: Sequence[Scope], note: str = "") -> Block:
    """Return the modal with all settings of a scope, below a menu of the scopes."""
    options = [
        _option(text(notice(id_), panel.language), scope)
        for scope, id_ in _SCOPES.items()
        if scope in scopes or scope is panel.scope
    ]
    current = next(option for option in options if option["value"] == panel.scope)
    menu = {"type": "static_select", "action_id": f"mini:{blocks.SCOPE}", "options": options, "initial_option": current}
    above: list[Block] = [{"type": "actions", "block_id": f"scope-{panel.scope}", "elements": [menu]}]
    if note:
        above.append(blocks.context(note))
    return _form(
        "mini:settings",
        text(notice("settings"), panel.language),
        [*above, *(_field(field, panel.scope, panel.language) for field in panel.fields)],
        metadata,
        panel.language,
    )


def field_id(scope: str, key: str) -> str:
    """Return the block id of a field.

    Slack keeps the input of a block whose id stays the same. The id contains the scope, because each scope has its own
    values.
    """
    return f"{scope}-{key}"


def _field(field: SettingField, scope: Scope, language: str) -> Block:
    source = notice(f"source-{field.source}")
    hint = text(notice("setting-source-hint", about=field.description, source=source), language)
    element: Block = {"type": "plain_text_input", "action_id": field.key, "multiline": True}
    if field.choices:
        options = [
            _option(text(name, language), choice)
            for choice, name in zip(field.choices, field.choice_names or field.choices, strict=True)
        ][:MOST_OPTIONS]
        chosen = next((option for option in options if option["value"] == field.value), None)
        element = {"type": "static_select", "action_id": field.key, "options": options}
        element |= {"initial_option": chosen} if chosen else {}
    elif field.maximum:
        element = {"type": "number_input", "action_id": field.key, "is_decimal_allowed": False}
        element |= {"min_value": "0", "max_value": str(field.maximum)}
        element |= {"initial_value": field.value} if field.value else {}
    else:
        element |= {"max_length": min(field.max_length, LONGEST_INPUT)}
        element |= {"initial_value": field.value[:LONGEST_INPUT]} if field.value else {}
    return {
        "type": "input",
        "block_id": field_id(scope, field.key),
        "optional": True,
        "label": blocks.plain_text(text(field.title, language)),
        "hint": {"type": "plain_text", "text": hint[:2000]},
        "element": element,
    }


def home_tab(help_text: str, queue: str, usage: str, language: str = "en") -> Block:
    """Return the Home tab: help, the render queue, and the usage of the user."""
    button = {"type": "button", "action_id": f"mini:{HOME_SETTINGS}", "text": _label("slack-my-settings", language)}
    content: list[Block] = [
        *blocks.sections(help_text, language),
        {"type": "actions", "elements": [button]},
        {"type": "header", "text": _label("slack-home-queue", language)},
        *blocks.sections(queue, language),
        {"type": "header", "text": _label("slack-home-usage", language)},
        *blocks.sections(usage, language),
    ]
    return {"type": "home", "blocks": content}


def _form(callback_id: str, title: str, content: Sequence[Block], metadata: str, language: str) -> Block:
    return {
        "type": "modal",
        "callback_id": callback_id,
        "title": {"type": "plain_text", "text": title[:24]},
        "submit": _label("slack-ok", language),
        "close": _label("slack-close", language),
        "private_metadata": metadata,
        "blocks": list(content),
    }


def _input(name: str, label: str, example: str) -> Block:
    element = {
        "type": "plain_text_input",
        "action_id": name,
        "multiline": True,
        "max_length": 2000,
        "placeholder": {"type": "plain_text", "text": example},
    }
    return {"type": "input", "block_id": name, "label": blocks.plain_text(label), "element": element}


def _label(id_: str, language: str) -> Block:
    return blocks.plain_text(text(notice(id_), language))


def _option(label: str, value: str) -> Block:
    return {"text": blocks.plain_text(label), "value": value[:150]}
