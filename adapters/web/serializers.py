"""Converts views and entries to the JSON of the web API. Pure."""

import base64
from typing import Any

from markdown_it import MarkdownIt

from bot.domain import (
    Entry,
    Failed,
    Part,
    Picture,
    PicturePart,
    Queued,
    Rendered,
    Rendering,
    TextPart,
    ThreadSummary,
    View,
)
from bot.formatting import format_estimate, replace_time_markers

BOT_NAME = "Mini-DALL·E 3"
REPLY = ".reply"  # the id of a reply is the id of its message with this suffix

_markdown = MarkdownIt("commonmark", {"html": False, "linkify": False, "breaks": True}).enable("table").disable("image")


def thread(summary: ThreadSummary) -> dict[str, Any]:
    """Return one item of the list of threads."""
    return {"id": summary.key.thread, "title": summary.title or "New conversation", "updated": summary.updated}


def question(entry: Entry) -> dict[str, Any]:
    """Return the message of a user."""
    parts = [_text(entry.text)] if entry.text else []
    parts += [_picture_part(upload.number, "rendered", picture=picture(upload)) for upload in entry.uploads]
    buttons = [
        {"action": action, "label": f"{label} #{upload.number}", "target": str(upload.number)}
        for upload in entry.uploads
        for action, label in (("vary", "Vary"), ("edit", "Edit"), ("upscale", "Upscale"), ("delete", "Delete"))
    ]
    about = {"about": entry.about, "region": entry.region} if entry.region else {"about": entry.about}
    return _message(entry.id, entry.author.name, "person", parts, buttons) | about


def reply(message_id: str, view: View) -> dict[str, Any]:
    """Return the reply of the bot."""
    parts = [part(each) for each in view.parts]
    buttons = [{"action": b.action.value, "label": b.label, "target": b.target} for b in view.buttons]
    message = _message(message_id + REPLY, BOT_NAME, "bot", parts, buttons)
    return message | {"final": view.final, "status": view.status, "reply_to": message_id}


def _message(
    message_id: str, author: str, kind: str, parts: list[dict[str, Any]], buttons: list[dict[str, str]]
) -> dict[str, Any]:
    message = {"id": message_id, "author": author, "kind": kind, "final": True, "status": "", "about": None}
    return message | {"parts": parts, "buttons": buttons}


def part(part: Part) -> dict[str, Any]:
    """Return a part of a reply: text, or an image in its current state."""
    match part:
        case TextPart(words):
            return _text(words)
        case PicturePart(state=Queued(ahead, eta)):
            place = f"{ahead} ahead of it" if ahead else "next in line"
            return _picture_part(
                part.number, "queued", note=place if eta is None else f"{place}, done in {format_estimate(eta)}"
            )
        case PicturePart(state=Rendering(fraction, preview)):
            shown = "data:image/jpeg;base64," + base64.b64encode(preview).decode() if preview else None
            return _picture_part(part.number, "rendering", fraction=fraction, preview=shown)
        case PicturePart(state=Rendered(finished)):
            return _picture_part(finished.number, "rendered", fraction=1.0, picture=picture(finished))
        case PicturePart(state=Failed(reason)):
            return _picture_part(part.number, "failed", reason=replace_time_markers(reason))
    raise AssertionError(part)


def picture(picture: Picture) -> dict[str, Any]:
    """Return a finished image."""
    return {
        "number": picture.number,
        "url": f"/pictures/{picture.digest}.png",
        "alt": picture.alt,
        "prompt": picture.prompt,
        "refined": picture.refined,
        "seed": picture.seed,
        "model": picture.model,
        "width": picture.width,
        "height": picture.height,
        "parent": picture.parent,
        "operation": picture.operation.value,
        "way": picture.way,
        "notes": list(picture.notes),
    }


def markdown(text: str) -> str:
    """Return Markdown as HTML without scripts, raw HTML and images."""
    return str(_markdown.render(text))


def _text(words: str) -> dict[str, Any]:
    return {"type": "text", "markdown": words, "html": markdown(words)}


def _picture_part(
    number: int,
    state: str,
    *,
    fraction: float | None = None,
    note: str | None = None,
    reason: str | None = None,
    preview: str | None = None,
    picture: dict[str, Any] | None = None,
) -> dict[str, Any]:
    shown = {"type": "picture", "number": number, "state": state, "fraction": fraction, "note": note}
    return shown | {"reason": reason, "preview": preview, "picture": picture}
