"""Converts views and texts to Slack blocks. Pure."""

import math
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from adapters.pagination import close_fence, pages
from bot.domain import (
    IMAGE_ACTIONS,
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
from bot.formatting import describe_origin, queue_position, replace_time_markers, truncate
from bot.notices import UserText, lines, notice, text
from bot.settings.values import CommandResponse

PAGE = 6_000  # characters of one markdown block
LONGEST_MARKDOWN = 11_500  # characters of all markdown blocks of a message: Slack takes 12,000
MOST_BLOCKS = 45  # of a message: Slack takes 50
LONGEST_TEXT = 2_900  # characters of mrkdwn in a block: Slack takes 3,000
LONGEST_ALT = 2_000  # characters
LONGEST_CAPTION = 200
LONGEST_QUOTE = 300  # characters of a quoted form input
DETAILS, RETRY_UPLOAD, SETTINGS, SCOPE = "details", "again", "settings", "scope"  # buttons of this adapter only

_MENTION_START = re.compile(r"(<|&lt;)(?=[!@#])")
_BOLD = re.compile(r"\*\*(.+?)\*\*")

Block = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PicturePlaceholder:
    """Stands for an image among the blocks until the id of its Slack file is known."""

    picture: Picture


@dataclass(frozen=True)
class MessagePayload:
    """The content of one Slack message. `text` is the fallback for notifications and for clients without blocks."""

    text: str
    blocks: tuple["Block | PicturePlaceholder", ...]

    @property
    def pictures(self) -> list[Picture]:
        """The images that the message shows."""
        return [block.picture for block in self.blocks if isinstance(block, PicturePlaceholder)]


def messages(view: View) -> list[MessagePayload]:
    """Return the messages of a reply, in order: nearly always one. Text that grows changes only the last message."""
    payloads: list[list[Block | PicturePlaceholder]] = [[]]
    characters = 0
    for group in _block_groups(view):
        size = sum(len(block["text"]) for block in group if isinstance(block, dict) and block["type"] == "markdown")
        if payloads[-1] and (characters + size > LONGEST_MARKDOWN or len(payloads[-1]) + len(group) > MOST_BLOCKS):
            payloads.append([])
            characters = 0
        payloads[-1] += group
        characters += size
    text = fallback_text(view)
    return [MessagePayload(text if nth == 0 else "…", tuple(blocks)) for nth, blocks in enumerate(payloads) if blocks]


def add_quote(payload: MessagePayload, quote: str) -> MessagePayload:
    """Return the message with the quoted text, at most 300 characters, above its blocks."""
    return replace(payload, blocks=(context(truncate(quote, LONGEST_QUOTE)), *payload.blocks))


def streamable_text(view: View) -> str | None:
    """Return the text of a view without images, for a native Slack stream; None if the view has an image."""
    if any(not isinstance(part, TextPart) for part in view.parts):
        return None
    return disable_mentions("\n\n".join(part.markdown for part in view.parts if isinstance(part, TextPart)))


def fallback_text(view: View) -> str:
    """Return the reply in one line, which notifications show and screen readers read instead of the blocks."""
    texts = [
        part.markdown if isinstance(part, TextPart) else _picture_label(part, view.language) for part in view.parts
    ]
    texts = texts or [text(view.status, view.language)]
    return escape(" ".join(" ".join(texts).split()))[:LONGEST_TEXT] or "…"


def _picture_label(part: PicturePart, language: str) -> str:
    label = notice("image-number", number=part.number)
    match part.state:
        case Rendered(picture):
            if seen := truncate(picture.alt or picture.request.prompt, LONGEST_CAPTION):
                label = notice("image-of", number=part.number, alt=seen)
        case Failed(reason):
            return f"[{_plain(reason, language)}]"
    return f"[{text(label, language)}]"


def _plain(message: UserText, language: str) -> str:
    return replace_time_markers(text(message, language), language=language)


def _block_groups(view: View) -> list[list["Block | PicturePlaceholder"]]:
    """Return groups of blocks; all blocks of a group belong in the same message."""
    groups: list[list[Block | PicturePlaceholder]] = [
        group for part in view.parts for group in _part_blocks(part, view)
    ]
    if view.status and not (view.parts and _is_unfinished(view.parts[-1]) and not view.final):
        status = _plain(view.status, view.language)
        groups.append([context(f"⚠️ {status}" if view.final else status)])
    rest = [button for button in view.buttons if button.action in (Action.STOP, Action.RETRY)]
    if rest:
        groups.append([actions(map(_button, rest))])
    return groups


def _part_blocks(part: Part, view: View) -> list[list["Block | PicturePlaceholder"]]:
    match part:
        case TextPart(markdown):
            return [
                [{"type": "markdown", "text": close_fence(page)}] for page in pages(disable_mentions(markdown), PAGE)
            ]
        case PicturePart(state=Queued(ahead, eta)):
            ready = time.time() + eta if eta is not None and ahead else None
            position = _plain(queue_position(ahead, ready), view.language)
            return [[context(f"⏳ #{part.number} {position}"), *_cancel(part, view.buttons)]]
        case PicturePart(state=Rendering(fraction)):
            return [[context(f"🎨 #{part.number} {_bar(fraction)}"), *_cancel(part, view.buttons)]]
        case PicturePart(state=Rendered(picture)):
            mine = [b for b in view.buttons if b.action in IMAGE_ACTIONS and b.target == str(picture.number)]
            return [
                [
                    PicturePlaceholder(picture),
                    context(_caption(picture, view.language)),
                    *_row(picture, mine, view.language),
                ]
            ]
        case PicturePart(state=Failed(reason)):
            name = f" #{part.number}" if part.number else ""
            return [[context(f"⚠️{name} {_plain(reason, view.language)}")]]
    raise AssertionError(part)


def _is_unfinished(part: Part) -> bool:
    return isinstance(part, PicturePart) and isinstance(part.state, Queued | Rendering)


def _caption(picture: Picture, language: str) -> str:
    return " · ".join(
        filter(
            None,
            (
                f"#{picture.number}",
                describe_origin(picture, language),
                truncate(picture.request.prompt, LONGEST_CAPTION),
            ),
        )
    )


def _row(picture: Picture, buttons: Sequence[Button], language: str) -> list[Block]:
    if not buttons:
        return []
    elements = [_button(button, text(button.label).partition(" #")[0]) for button in buttons]
    details = {
        "type": "button",
        "action_id": f"mini:{DETAILS}",
        "text": plain_text(text(notice("button-details"), language)),
        "value": str(picture.number),
    }
    return [actions([*elements[:-1], details, elements[-1]])]


def _cancel(part: PicturePart, buttons: Iterable[Button]) -> list[Block]:
    mine = [b for b in buttons if b.action is Action.CANCEL and b.target.endswith(f".{part.key}")]
    return [actions(map(_button, mine))] if mine else []


def _button(button: Button, label: str = "") -> Block:
    element: Block = {
        "type": "button",
        "action_id": f"mini:{button.action}",
        "text": plain_text(label or text(button.label)),
        "value": button.target,
    }
    return element | ({"style": "danger"} if button.action in (Action.STOP, Action.DELETE) else {})


def actions(elements: Iterable[Block]) -> Block:
    """Return a block with a row of buttons."""
    several = list(elements)
    for nth, each in enumerate(several):  # Slack requires unique action ids within a block
        each["action_id"] = f"{each['action_id']}:{nth}"
    return {"type": "actions", "elements": several}


def context(words: str) -> Block:
    """Return a context block: text in small print, at most 2,900 characters."""
    return {"type": "context", "elements": [{"type": "plain_text", "text": words[:LONGEST_TEXT], "emoji": True}]}


def plain_text(words: str) -> Block:
    """Return a plain text object for a label, at most 75 characters."""
    return {"type": "plain_text", "text": words[:75], "emoji": True}


def _bar(fraction: float) -> str:
    full = max(0, min(10, math.floor(fraction * 10)))
    return f"{'█' * full}{'░' * (10 - full)} {full * 10} %"


def image(picture: Picture, file_id: str, language: str = "en") -> Block:
    """Return a block that shows the image from an uploaded Slack file."""
    alt = f"#{picture.number}: {picture.alt or picture.request.prompt or text(notice('an-image'), language)}"
    return {"type": "image", "slack_file": {"id": file_id}, "alt_text": alt[:LONGEST_ALT]}


def missing_picture(picture: Picture, language: str = "en") -> Block:
    """Return the note in place of an image that could not be uploaded to Slack."""
    return context("⚠️ " + text(notice("slack-image-refused", number=picture.number), language))


def retry_button(reply: str, language: str = "en") -> Block:
    """Return the button that uploads the missing images of the reply again."""
    label = plain_text(text(notice("button-retry"), language))
    return actions([{"type": "button", "action_id": f"mini:{RETRY_UPLOAD}", "text": label, "value": reply}])


def escape(plain: str) -> str:
    """Escape the control characters of Slack's text, so that it mentions nobody; Slack docs, formatting text."""
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def disable_mentions(markdown: str) -> str:
    """Insert a zero-width space into every mention, also within code, so that Slack notifies nobody."""
    return _MENTION_START.sub("\\1\u200b", markdown)


def message_body(markdown: str, below: Sequence[Block] = (), *, language: str = "en") -> Block:
    """Return the text and the blocks of a message from a note or a refusal and the blocks `below` it."""
    plain = replace_time_markers(markdown, language=language)
    blocks = [
        {"type": "markdown", "text": close_fence(page)} for page in pages(disable_mentions(plain), PAGE - 100)[:2]
    ]
    return {"text": escape(plain)[:LONGEST_TEXT], "blocks": [*blocks, *below]}


def sections(markdown: str, language: str = "en") -> list[Block]:
    """Convert Markdown to at most five mrkdwn sections, for places where Slack takes no Markdown blocks."""
    plain = _BOLD.sub(r"*\1*", escape(replace_time_markers(markdown, language=language)))
    listed = re.sub(r"^- ", "• ", plain, flags=re.MULTILINE)
    return [{"type": "section", "text": {"type": "mrkdwn", "text": page}} for page in pages(listed, LONGEST_TEXT)[:5]]


def answer_text(answer: CommandResponse) -> str:
    """Return the answer of a command as text: its own text, or else a list of all settings of its panel."""
    fields = answer.panel.fields if answer.panel else ()
    if answer.text or not fields:
        return text(answer.text or notice("slack-nothing-to-show"), answer.language)
    told = [
        notice(
            "slack-setting-line",
            title=field.title,
            key=field.key,
            value=field.value_name or notice("setting-empty"),
            source=notice(f"source-{field.source}"),
        )
        for field in fields
    ]
    return text(lines([*told, notice("slack-settings-hint")]), answer.language)


def settings_button(value: str, language: str = "en") -> Block:
    """Return the button that opens the settings form for the place in `value`."""
    label = plain_text(text(notice("slack-open-settings"), language))
    button = {"type": "button", "action_id": f"mini:{SETTINGS}", "text": label, "value": value}
    return actions([button])
