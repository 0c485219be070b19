"""Converts views and texts to Slack blocks. Pure."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from adapters.pagination import closed, pages
from bot.domain import (
    Action,
    Button,
    Failed,
    Part,
    Picture,
    PicturePart,
    Queued,
    Rendered,
    Rendering,
    TextPart,
    View,
)
from bot.formatting import about, count_of, origin, shortened, with_moments
from bot.settings.values import Answer

PAGE = 6_000  # characters of one markdown block
MOST_WORDS = 11_500  # characters of all markdown blocks of a message: Slack takes 12,000
MOST_BLOCKS = 45  # of a message: Slack takes 50
LONGEST_TEXT = 2_900  # characters of mrkdwn in a block: Slack takes 3,000
LONGEST_ALT = 2_000  # characters
LONGEST_CAPTION = 200
LONGEST_QUOTE = 300  # characters of a quoted form input
DETAILS, AGAIN, SETTINGS, SCOPE = "details", "again", "settings", "scope"  # buttons of this adapter only


_OF_PICTURES = (Action.VARY, Action.EDIT, Action.UPSCALE, Action.REDO, Action.DELETE)
_LIVE = re.compile(r"(<|&lt;)(?=[!@#])")
_BOLD = re.compile(r"\*\*(.+?)\*\*")

Block = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shot:
    """Stands for an image among the blocks until the id of its Slack file is known."""

    picture: Picture


@dataclass(frozen=True)
class Card:
    """The content of one Slack message. `text` is the fallback for notifications and for clients without blocks."""

    text: str
    blocks: tuple["Block | Shot", ...]

    @property
    def pictures(self) -> list[Picture]:
        """The images that the message shows."""
        return [block.picture for block in self.blocks if isinstance(block, Shot)]


def cards(view: View) -> list[Card]:
    """Return the messages of a reply, in order: nearly always one. Text that grows changes only the last message."""
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


def below_quote(card: Card, said: str) -> Card:
    """Return the message with the quoted text, at most 300 characters, above its blocks."""
    return replace(card, blocks=(small(shortened(said, LONGEST_QUOTE)), *card.blocks))


def words(view: View) -> str | None:
    """Return the text of a view without images, for a native Slack stream; None if the view has an image."""
    if any(not isinstance(part, TextPart) for part in view.parts):
        return None
    return quiet("\n\n".join(part.markdown for part in view.parts if isinstance(part, TextPart)))


def fallback(view: View) -> str:
    """Return the reply in one line, which notifications show and screen readers read instead of the blocks."""
    said = [part.markdown if isinstance(part, TextPart) else _named(part) for part in view.parts] or [view.status]
    return escaped(" ".join(" ".join(said).split()))[:LONGEST_TEXT] or "…"


def _named(part: PicturePart) -> str:
    match part.state:
        case Rendered(picture):
            seen = shortened(picture.alt or picture.prompt, LONGEST_CAPTION)
            return f"[picture #{part.number}: {seen}]" if seen else f"[picture #{part.number}]"
        case Failed(reason):
            return f"[{with_moments(reason)}]"
        case Queued() | Rendering():
            return f"[picture #{part.number}]"


def _pieces(view: View) -> list[list["Block | Shot"]]:
    """Return groups of blocks; all blocks of a group belong in the same message."""
    pieces: list[list[Block | Shot]] = [piece for part in view.parts for piece in _part(part, view.buttons)]
    if view.status and not (view.parts and _draws(view.parts[-1]) and not view.final):
        pieces.append([small(f"⚠️ {with_moments(view.status)}" if view.final else view.status)])
    rest = [button for button in view.buttons if button.action in (Action.STOP, Action.RETRY)]
    if rest:
        pieces.append([actions(map(_button, rest))])
    return pieces


def _part(part: Part, buttons: Sequence[Button]) -> list[list["Block | Shot"]]:
    match part:
        case TextPart(markdown):
            return [[{"type": "markdown", "text": closed(page)}] for page in pages(quiet(markdown), PAGE)]
        case PicturePart(state=Queued(ahead, eta)):
            place = f"{count_of(ahead, 'picture')} ahead of it" if ahead else "next"
            when = f", done in {about(eta)}" if eta is not None and ahead else ""
            return [[small(f"⏳ #{part.number} {place}{when}"), *_cancel(part, buttons)]]
        case PicturePart(state=Rendering(fraction)):
            return [[small(f"🎨 #{part.number} {_bar(fraction)}"), *_cancel(part, buttons)]]
        case PicturePart(state=Rendered(picture)):
            mine = [b for b in buttons if b.action in _OF_PICTURES and b.target == str(picture.number)]
            return [[Shot(picture), small(_caption(picture)), *_row(picture, mine)]]
        case PicturePart(state=Failed(reason)):
            name = f" #{part.number}" if part.number else ""
            return [[small(f"⚠️{name} {with_moments(reason)}")]]
    raise AssertionError(part)


def _draws(part: Part) -> bool:
    return isinstance(part, PicturePart) and isinstance(part.state, Queued | Rendering)


def _caption(picture: Picture) -> str:
    return " · ".join(filter(None, (f"#{picture.number}", origin(picture), shortened(picture.prompt, LONGEST_CAPTION))))


def _row(picture: Picture, buttons: Sequence[Button]) -> list[Block]:
    if not buttons:
        return []
    drawn = [_button(button, button.label.partition(" #")[0]) for button in buttons]
    details = {
        "type": "button",
        "action_id": f"mini:{DETAILS}",
        "text": plain_text("Details"),
        "value": str(picture.number),
    }
    return [actions([*drawn[:-1], details, drawn[-1]])]


def _cancel(part: PicturePart, buttons: Iterable[Button]) -> list[Block]:
    mine = [b for b in buttons if b.action is Action.CANCEL and b.target.endswith(f".{part.key}")]
    return [actions(map(_button, mine))] if mine else []


def _button(button: Button, label: str = "") -> Block:
    drawn: Block = {
        "type": "button",
        "action_id": f"mini:{button.action}",
        "text": plain_text(label or button.label),
        "value": button.target,
    }
    return drawn | ({"style": "danger"} if button.action in (Action.STOP, Action.DELETE) else {})


def actions(elements: Iterable[Block]) -> Block:
    """Return a block with a row of buttons."""
    several = list(elements)
    for nth, each in enumerate(several):  # Slack requires unique action ids within a block
        each["action_id"] = f"{each['action_id']}:{nth}"
    return {"type": "actions", "elements": several}


def small(words: str) -> Block:
    """Return a context block: text in small print, at most 2,900 characters."""
    return {"type": "context", "elements": [{"type": "plain_text", "text": words[:LONGEST_TEXT], "emoji": True}]}


def plain_text(words: str) -> Block:
    """Return a plain text object for a label, at most 75 characters."""
    return {"type": "plain_text", "text": words[:75], "emoji": True}


def _bar(fraction: float) -> str:
    full = max(0, min(10, math.floor(fraction * 10)))
    return f"{'█' * full}{'░' * (10 - full)} {full * 10} %"


def image(picture: Picture, file_id: str) -> Block:
    """Return a block that shows the image from an uploaded Slack file."""
    alt = f"#{picture.number}: {picture.alt or picture.prompt or 'a picture'}"
    return {"type": "image", "slack_file": {"id": file_id}, "alt_text": alt[:LONGEST_ALT]}


def lost(picture: Picture) -> Block:
    """Return the note in place of an image that could not be uploaded to Slack."""
    return small(f"⚠️ Slack has not taken #{picture.number}; it is safe here, and Retry tries again.")


def again(reply: str) -> Block:
    """Return the button that uploads the missing images of the reply again."""
    return actions([{"type": "button", "action_id": f"mini:{AGAIN}", "text": plain_text("Retry"), "value": reply}])


def escaped(words: str) -> str:
    """Escape the control characters of Slack's text, so that it mentions nobody; Slack docs, formatting text."""
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def quiet(markdown: str) -> str:
    """Insert a zero-width space into every mention, also within code, so that Slack notifies nobody."""
    return _LIVE.sub("\\1\u200b", markdown)


def note(markdown: str, below: Sequence[Block] = ()) -> Block:
    """Return the text and the blocks of a message from a note or a refusal and the blocks `below` it."""
    plain = with_moments(markdown)
    blocks = [{"type": "markdown", "text": closed(page)} for page in pages(quiet(plain), PAGE - 100)[:2]]
    return {"text": escaped(plain)[:LONGEST_TEXT], "blocks": [*blocks, *below]}


def sections(markdown: str) -> list[Block]:
    """Convert Markdown to at most five mrkdwn sections, for places where Slack takes no Markdown blocks."""
    plain = _BOLD.sub(r"*\1*", escaped(with_moments(markdown)))
    listed = re.sub(r"^- ", "• ", plain, flags=re.MULTILINE)
    return [{"type": "section", "text": {"type": "mrkdwn", "text": page}} for page in pages(listed, LONGEST_TEXT)[:5]]


def summary(told: Answer) -> str:
    """Return the answer of a command as text: its own text, or else a list of all settings of its panel."""
    fields = told.panel.fields if told.panel else ()
    if told.text or not fields:
        return told.text or "There is nothing to tell."
    lines = [
        f"- **{field.title}** (`{field.key}`): {field.value or 'nothing'}, from: {field.source}" for field in fields
    ]
    return "\n".join([*lines, "Change one with `settings set KEY VALUE [server|channel|thread|me]`, or here:"])


def settings_button(spot: str) -> Block:
    """Return the button that opens the settings form for the place in `value`."""
    button = {"type": "button", "action_id": f"mini:{SETTINGS}", "text": plain_text("Open settings"), "value": spot}
    return actions([button])
