"""Views, panels and forms -> Slack's blocks. Pure."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.markup import closed, pages
from bot.domain import (
    Action,
    Button,
    Failed,
    Operation,
    Part,
    Picture,
    PicturePart,
    Queued,
    Rendered,
    Rendering,
    TextPart,
    View,
)
from bot.panel import Field, Panel, Scope
from bot.words import about, count_of, with_moments

PAGE = 6_000  # characters of one markdown block
MOST_WORDS = 11_500  # characters of all markdown blocks of a message: Slack takes 12,000
MOST_BLOCKS = 45  # of a message: Slack takes 50
LONGEST_TEXT = 2_900  # characters of mrkdwn in a block: Slack takes 3,000
LONGEST_ALT = 2_000  # characters
LONGEST_CAPTION = 200
MOST_OPTIONS = 100  # of a menu
DETAILS = "details"

_OF_PICTURES = (Action.VARY, Action.EDIT, Action.REDO, Action.DELETE)
_LIVE = re.compile(r"<(?=[!@#])")
_WAYS = {
    Operation.EDIT: "edit of #{parent}",
    Operation.VARY: "like #{parent}",
    Operation.REFINE: "refined from #{parent}",
}
_SCOPES = {
    Scope.PERSON: "Only me",
    Scope.THREAD: "This thread",
    Scope.CHANNEL: "This channel",
    Scope.SERVER: "This workspace",
}

Block = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shot:
    """The place of a picture among the blocks, until it is known as which file Slack has it."""

    picture: Picture


@dataclass(frozen=True)
class Card:
    """One message as it should look. `text` is for notifications and for whoever cannot see blocks."""

    text: str
    blocks: tuple["Block | Shot", ...]

    @property
    def pictures(self) -> list[Picture]:
        """The pictures that it shows."""
        return [block.picture for block in self.blocks if isinstance(block, Shot)]


def cards(view: View) -> list[Card]:
    """The messages of a reply, in order: nearly always one. Text that grows changes the last one alone."""
    made: list[list[Block | Shot]] = [[]]
    words = 0
    for piece in _pieces(view):
        size = sum(len(block["text"]) for block in piece if isinstance(block, dict) and block["type"] == "markdown")
        if made[-1] and (words + size > MOST_WORDS or len(made[-1]) + len(piece) > MOST_BLOCKS):
            made.append([])
            words = 0
        made[-1] += piece
        words += size
    text = fallback(view)
    return [Card(text if nth == 0 else "…", tuple(blocks)) for nth, blocks in enumerate(made) if blocks]


def words(view: View) -> str | None:
    """All the words, where there is nothing but words yet: what a native stream can show."""
    if any(not isinstance(part, TextPart) for part in view.parts):
        return None
    return quiet("\n\n".join(part.markdown for part in view.parts if isinstance(part, TextPart)))


def fallback(view: View) -> str:
    """The reply in one line."""
    said = [part.markdown if isinstance(part, TextPart) else f"[picture #{part.number}]" for part in view.parts] or [
        view.status
    ]
    return escaped(" ".join(" ".join(said).split()))[:LONGEST_TEXT] or "…"


def _pieces(view: View) -> list[list["Block | Shot"]]:
    """What must stay together."""
    pieces: list[list[Block | Shot]] = [piece for part in view.parts for piece in _part(part, view.buttons)]
    if view.status and not (view.parts and _draws(view.parts[-1]) and not view.final):
        pieces.append([_small(f"⚠️ {view.status}" if view.final else view.status)])
    rest = [button for button in view.buttons if button.action in (Action.STOP, Action.RETRY)]
    if rest:
        pieces.append([_actions(map(_button, rest))])
    return pieces


def _part(part: Part, buttons: Sequence[Button]) -> list[list["Block | Shot"]]:
    match part:
        case TextPart(markdown):
            return [[{"type": "markdown", "text": closed(page)}] for page in pages(quiet(markdown), PAGE)]
        case PicturePart(state=Queued(ahead, eta)):
            place = f"{count_of(ahead, 'picture')} ahead of it" if ahead else "next"
            when = f", done in {about(eta)}" if eta is not None and ahead else ""
            return [[_small(f"⏳ #{part.number} {place}{when}"), *_cancel(part, buttons)]]
        case PicturePart(state=Rendering(fraction)):
            return [[_small(f"🎨 #{part.number} {_bar(fraction)}"), *_cancel(part, buttons)]]
        case PicturePart(state=Rendered(picture)):
            mine = [b for b in buttons if b.action in _OF_PICTURES and b.target == str(picture.number)]
            return [[Shot(picture), _small(_caption(picture)), *_row(picture, mine)]]
        case PicturePart(state=Failed(reason)):
            name = f" #{part.number}" if part.number else ""
            return [[_small(f"⚠️{name} {with_moments(reason)}")]]
    raise AssertionError(part)


def _draws(part: Part) -> bool:
    return isinstance(part, PicturePart) and isinstance(part.state, Queued | Rendering)


def _caption(picture: Picture) -> str:
    way = _WAYS.get(picture.operation, "").format(parent=picture.parent) if picture.parent else ""
    prompt = " ".join(picture.prompt.split())
    short = prompt if len(prompt) <= LONGEST_CAPTION else prompt[: LONGEST_CAPTION - 1].rstrip() + "…"
    return " · ".join(filter(None, (f"#{picture.number}", way, short)))


def _row(picture: Picture, buttons: Sequence[Button]) -> list[Block]:
    if not buttons:
        return []
    drawn = [_button(button, button.label.partition(" #")[0]) for button in buttons]
    details = {
        "type": "button",
        "action_id": f"mini:{DETAILS}",
        "text": _plain("Details"),
        "value": str(picture.number),
    }
    return [_actions([*drawn[:-1], details, drawn[-1]])]


def _cancel(part: PicturePart, buttons: Iterable[Button]) -> list[Block]:
    mine = [b for b in buttons if b.action is Action.CANCEL and b.target.endswith(f".{part.key}")]
    return [_actions(map(_button, mine))] if mine else []


def _button(button: Button, label: str = "") -> Block:
    drawn: Block = {
        "type": "button",
        "action_id": f"mini:{button.action}",
        "text": _plain(label or button.label),
        "value": button.target,
    }
    return drawn | ({"style": "danger"} if button.action in (Action.STOP, Action.DELETE) else {})


def _actions(elements: Iterable[Block]) -> Block:
    several = list(elements)
    for nth, each in enumerate(several):  # names must differ within a block
        each["action_id"] = f"{each['action_id']}:{nth}"
    return {"type": "actions", "elements": several}


def _small(words: str) -> Block:
    return {"type": "context", "elements": [{"type": "plain_text", "text": words[:LONGEST_TEXT], "emoji": True}]}


def _plain(words: str) -> Block:
    return {"type": "plain_text", "text": words[:75], "emoji": True}


def _bar(fraction: float) -> str:
    full = max(0, min(10, math.floor(fraction * 10)))
    return f"{'█' * full}{'░' * (10 - full)} {full * 10} %"


def image(picture: Picture, file_id: str) -> Block:
    """A picture that Slack has as this file."""
    alt = f"#{picture.number}: {picture.alt or picture.prompt or 'a picture'}"
    return {"type": "image", "slack_file": {"id": file_id}, "alt_text": alt[:LONGEST_ALT]}


def lost(picture: Picture) -> Block:
    """Instead of a picture that Slack does not take."""
    return _small(f"⚠️ Slack has not taken #{picture.number}; it is safe here, and Retry tries again.")


def escaped(words: str) -> str:
    """Words that ping nobody, in a text field or in mrkdwn; Slack docs, formatting text."""
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def quiet(markdown: str) -> str:
    """Markdown in which what Slack would take for a mention is none, also within code."""
    return _LIVE.sub("<\u200b", markdown)


def told(markdown: str) -> list[Block]:
    """A text of our own or a refusal."""
    return [{"type": "markdown", "text": page} for page in pages(quiet(with_moments(markdown)), PAGE)[:2]]


# Forms


def edit_form(number: int, prompt: str, spot: str) -> Block:
    """What is to change in a picture."""
    shown = [_small(f"#{number} was drawn from: {prompt}")] if prompt else []
    return _form(
        "mini:edit", f"Edit #{number}", [*shown, _input("words", "What is to change?", "make the cape red")], spot
    )


def about_form(title: str, question: str, numbers: Sequence[int], spot: str) -> Block:
    """Words about a picture of a message; which one, if it shows several."""
    blocks = [_input("words", question, "make the sky red")]
    if len(numbers) > 1:
        options = [_option(f"#{number}", str(number)) for number in numbers]
        element = {"type": "static_select", "action_id": "picture", "options": options, "initial_option": options[-1]}
        blocks.insert(
            0, {"type": "input", "block_id": "picture", "label": _plain("Which picture?"), "element": element}
        )
    return _form("mini:about", title, blocks, spot)


def settings_form(panel: Panel, spot: str, text: str = "") -> Block:
    """All settings of a scope in one form, with a menu of the scopes above."""
    scopes = [_option(label, scope) for scope, label in _SCOPES.items()]
    current = next(option for option in scopes if option["value"] == panel.scope)
    menu = {"type": "static_select", "action_id": "mini:scope", "options": scopes, "initial_option": current}
    blocks: list[Block] = [{"type": "actions", "block_id": "scope", "elements": [menu]}]
    if text:
        blocks.append(_small(text))
    return _form("mini:settings", "Settings", [*blocks, *map(_field, panel.fields)], spot)


def _field(field: Field) -> Block:
    hint = f"{field.about} Now from: {field.source}."
    if field.choices:
        options = [_option(choice, choice) for choice in field.choices[:MOST_OPTIONS]]
        chosen = next((option for option in options if option["value"] == field.value), None)
        element: Block = {"type": "static_select", "action_id": field.key, "options": options}
        element |= {"initial_option": chosen} if chosen else {}
    else:
        element = {"type": "plain_text_input", "action_id": field.key, "multiline": True, "max_length": field.longest}
        element |= {"initial_value": field.value} if field.value else {}
    return {
        "type": "input",
        "block_id": field.key,
        "optional": True,
        "label": _plain(field.title),
        "hint": {"type": "plain_text", "text": hint[:2000]},
        "element": element,
    }


def home(text: str, queue: str, pictures: str) -> Block:
    """The Home tab: what there is to do, what is under way, what was drawn."""
    blocks: list[Block] = [
        *told(text),
        {
            "type": "actions",
            "elements": [{"type": "button", "action_id": "mini:home-settings", "text": _plain("My settings")}],
        },
        {"type": "header", "text": _plain("The line")},
        *told(queue),
        {"type": "header", "text": _plain("Drawn for you")},
        *told(pictures),
    ]
    return {"type": "home", "blocks": blocks}


def _form(callback_id: str, title: str, blocks: Sequence[Block], spot: str) -> Block:
    return {
        "type": "modal",
        "callback_id": callback_id,
        "title": {"type": "plain_text", "text": title[:24]},
        "submit": {"type": "plain_text", "text": "OK"},
        "close": {"type": "plain_text", "text": "Cancel"},
        "private_metadata": spot,
        "blocks": list(blocks),
    }


def _input(name: str, label: str, example: str) -> Block:
    element = {
        "type": "plain_text_input",
        "action_id": name,
        "multiline": True,
        "max_length": 2000,
        "placeholder": {"type": "plain_text", "text": example},
    }
    return {"type": "input", "block_id": name, "label": _plain(label), "element": element}


def _option(label: str, value: str) -> Block:
    return {"text": _plain(label), "value": value[:150]}


def changed(panel: Panel, chosen: Mapping[str, str]) -> dict[str, str]:
    """What in a form differs from what holds."""
    now = {field.key: field.value for field in panel.fields}
    return {key: value for key, value in chosen.items() if key in now and value.strip() != now[key].strip()}
