"""Converts domain values to the responses of the web API. Pure."""

import base64

from markdown_it import MarkdownIt

from adapters.web.response_schemas import (
    ButtonJson,
    MessageJson,
    PictureJson,
    PicturePartJson,
    TextPartJson,
    ThreadJson,
)
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


def thread(summary: ThreadSummary) -> ThreadJson:
    """Return one item of the list of threads."""
    return ThreadJson(id=summary.key.thread, title=summary.title or "New conversation", updated=summary.updated)


def question(entry: Entry) -> MessageJson:
    """Return the message of a user."""
    parts: list[TextPartJson | PicturePartJson] = [_text(entry.text)] if entry.text else []
    parts += [PicturePartJson(number=each.number, state="rendered", picture=picture(each)) for each in entry.uploads]
    buttons = [
        ButtonJson(action=action, label=f"{label} #{upload.number}", target=str(upload.number))
        for upload in entry.uploads
        for action, label in (("vary", "Vary"), ("edit", "Edit"), ("upscale", "Upscale"), ("delete", "Delete"))
    ]
    return MessageJson(
        id=entry.id, author=entry.author.name, kind="person", final=True, status="", about=entry.about,
        region=entry.region or None, parts=parts, buttons=buttons,
    )  # fmt: skip


def reply(message_id: str, view: View) -> MessageJson:
    """Return the reply of the bot."""
    buttons = [ButtonJson(action=each.action.value, label=each.label, target=each.target) for each in view.buttons]
    return MessageJson(
        id=message_id + REPLY, author=BOT_NAME, kind="bot", final=view.final, status=view.status, about=None,
        parts=[part(each) for each in view.parts], buttons=buttons, reply_to=message_id,
    )  # fmt: skip


def part(part: Part) -> TextPartJson | PicturePartJson:
    """Return a part of a reply: text, or an image in its current state."""
    match part:
        case TextPart(words):
            return _text(words)
        case PicturePart(state=Queued(ahead, eta)):
            place = f"{ahead} ahead of it" if ahead else "next in line"
            note = place if eta is None else f"{place}, done in {format_estimate(eta)}"
            return PicturePartJson(number=part.number, state="queued", note=note)
        case PicturePart(state=Rendering(fraction, preview)):
            shown = "data:image/jpeg;base64," + base64.b64encode(preview).decode() if preview else None
            return PicturePartJson(number=part.number, state="rendering", fraction=fraction, preview=shown)
        case PicturePart(state=Rendered(finished)):
            shown_picture = picture(finished)
            return PicturePartJson(number=finished.number, state="rendered", fraction=1.0, picture=shown_picture)
        case PicturePart(state=Failed(reason)):
            return PicturePartJson(number=part.number, state="failed", reason=replace_time_markers(reason))
    raise AssertionError(part)


def picture(picture: Picture) -> PictureJson:
    """Return a finished image."""
    return PictureJson(
        number=picture.number,
        url=f"/pictures/{picture.digest}.png",
        alt=picture.alt,
        prompt=picture.request.prompt,
        refined=picture.refined_prompt,
        seed=picture.request.sampling.seed,
        model=picture.model,
        width=picture.width,
        height=picture.height,
        parent=picture.request.source,
        operation=picture.request.operation.value,
        way=picture.edit_method,
        notes=list(picture.notes),
    )


def markdown(text: str) -> str:
    """Return Markdown as HTML without scripts, raw HTML and images."""
    return str(_markdown.render(text))


def _text(words: str) -> TextPartJson:
    return TextPartJson(markdown=words, html=markdown(words))
