"""Slack views: the modals, the Home tab and the help text. Pure."""

from collections.abc import Sequence

from adapters.slack import blocks
from adapters.slack.blocks import Block
from bot.notices import text
from bot.region import NAMED_REGIONS
from bot.settings.values import Scope, SettingField, SettingsPanel

LONGEST_INPUT = 3_000  # characters of a field
MOST_OPTIONS = 100  # of a menu
HOME_SETTINGS = "home-settings"  # the button of the Home tab
_SCOPES = {
    Scope.PERSON: "Only me",
    Scope.THREAD: "This thread",
    Scope.CHANNEL: "This channel",
    Scope.SERVER: "This workspace",
}

HELP = """\
**Ask me for pictures in plain words**, and talk on: “draw our mascot as a knight”, “make the cape red”, “more like #2”.
- Mention me in a channel, also in a thread of others; in my threads and in direct messages there is no need to.
- Say “#2” to speak of that picture; else I take the newest. Send pictures along with a mention, and say what to do.
- **Below each picture**: Vary, Edit, Upscale, Redo, Details, Delete. Stop ends an answer.
- In the menu of any message with an image: Edit this image, Ask about this image.
- `/imagine a fox in snow --ratio 16:9 --count 2 --seed 7` draws at once, past the chat model.
- `/minidalle settings` says who talks, who draws and how; `queue`, `cancel`, `usage`, `images`, `export` and \
`forget` are there, too. Slack takes no commands in threads: mention me there with that one word.\
"""


def edit_form(number: int, prompt: str, metadata: str) -> Block:
    """Return the modal of the Edit button: the change, and the area of the image that may change."""
    origin = [blocks.context(f"#{number} was drawn from: {prompt}")] if prompt else []
    options = [_option(area, area) for area in NAMED_REGIONS]
    menu = {"type": "static_select", "action_id": "where", "options": options, "initial_option": options[0]}
    where: Block = {"type": "input", "block_id": "where", "optional": True, "label": blocks.plain_text("Where?")}
    where |= {"hint": {"type": "plain_text", "text": "Everything else stays as it is."}, "element": menu}
    words = _input("words", "What should change?", "make the cape red")
    return _form("mini:edit", f"Edit #{number}", [*origin, words, where], metadata)


def about_form(
    title: str, question: str, pictures: Sequence[tuple[str, str]], metadata: str, example: str = "make the sky red"
) -> Block:
    """Return the modal of a message shortcut: a text and, if the message shows several images, a menu of them.

    `pictures` are the labels and the values of the images.
    """
    fields = [_input("words", question, example)]
    if len(pictures) > 1:
        options = [_option(name, value) for name, value in pictures[:MOST_OPTIONS]]
        element = {"type": "static_select", "action_id": "picture", "options": options, "initial_option": options[-1]}
        choice = {
            "type": "input",
            "block_id": "picture",
            "label": blocks.plain_text("Which picture?"),
            "element": element,
        }
        fields.insert(0, choice)
    return _form("mini:about", title, fields, metadata)


def settings_form(panel: SettingsPanel, metadata: str, scopes: Sequence[Scope], text: str = "") -> Block:
    """Return the modal with all settings of a scope, below a menu of the scopes."""
    options = [_option(label, scope) for scope, label in _SCOPES.items() if scope in scopes or scope is panel.scope]
    current = next(option for option in options if option["value"] == panel.scope)
    menu = {"type": "static_select", "action_id": f"mini:{blocks.SCOPE}", "options": options, "initial_option": current}
    above: list[Block] = [{"type": "actions", "block_id": f"scope-{panel.scope}", "elements": [menu]}]
    if text:
        above.append(blocks.context(text))
    return _form(
        "mini:settings", "Settings", [*above, *(_field(field, panel.scope) for field in panel.fields)], metadata
    )


def field_id(scope: str, key: str) -> str:
    """Return the block id of a field.

    Slack keeps the input of a block whose id stays the same. The id contains the scope, because each scope has its own
    values.
    """
    return f"{scope}-{key}"


def _field(field: SettingField, scope: Scope) -> Block:
    hint = f"{field.description} Now from: {field.source}."
    element: Block = {"type": "plain_text_input", "action_id": field.key, "multiline": True}
    if field.choices:
        options = [_option(choice, choice) for choice in field.choices[:MOST_OPTIONS]]
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
        "label": blocks.plain_text(text(field.title)),
        "hint": {"type": "plain_text", "text": hint[:2000]},
        "element": element,
    }


def home_tab(text: str, queue: str, usage: str) -> Block:
    """Return the Home tab: help, the render queue, and the usage of the user."""
    button = {"type": "button", "action_id": f"mini:{HOME_SETTINGS}", "text": blocks.plain_text("My settings")}
    content: list[Block] = [
        *blocks.sections(text),
        {"type": "actions", "elements": [button]},
        {"type": "header", "text": blocks.plain_text("The line")},
        *blocks.sections(queue),
        {"type": "header", "text": blocks.plain_text("Drawn for you")},
        *blocks.sections(usage),
    ]
    return {"type": "home", "blocks": content}


def _form(callback_id: str, title: str, content: Sequence[Block], metadata: str) -> Block:
    return {
        "type": "modal",
        "callback_id": callback_id,
        "title": {"type": "plain_text", "text": title[:24]},
        "submit": {"type": "plain_text", "text": "OK"},
        "close": {"type": "plain_text", "text": "Cancel"},
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


def _option(label: str, value: str) -> Block:
    return {"text": blocks.plain_text(label), "value": value[:150]}
