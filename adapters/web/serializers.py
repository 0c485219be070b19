"""Converts domain values to the responses of the web API. Pure."""

import base64
import time

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
from bot.formatting import queue_position, replace_time_markers
from bot.i18n import localized_picture
from bot.notices import UserText, notice, text

BOT_NAME = "Mini-DALL·E 3"
REPLY = ".reply"  # the id of a reply is the id of its message with this suffix

_markdown = MarkdownIt("commonmark", {"html": False, "linkify": False, "breaks": True}).enable("table").disable("image")


def thread(summary: ThreadSummary, language: str = "en") -> ThreadJson:
    """Return one item of the list of threads."""
    title = summary.title or text(notice("web-new-conversation"), language)
    return ThreadJson(id=summary.key.thread, title=title, updated=summary.updated)


def question(entry: Entry, language: str = "en") -> MessageJson:
    """Return the message of a user."""
    parts: list[TextPartJson | PicturePartJson] = [_text(entry.text)] if entry.text else []
    parts += [
        PicturePartJson(number=each.number, state="rendered", picture=picture(each, language)) for each in entry.uploads
    ]
    buttons = [
        ButtonJson(action=action, label=_button_label(action, upload.number, language), target=str(upload.number))
        for upload in entry.uploads
        for action in ("vary", "edit", "upscale", "delete")
    ]
    return MessageJson(
        id=entry.id, author=entry.author.name, kind="person", final=True, status="", about=entry.about,
        region=entry.region or None, parts=parts, buttons=buttons,
    )  # fmt: skip


def reply(message_id: str, view: View) -> MessageJson:
    """Return the reply of the bot."""
    buttons = [
        ButtonJson(action=each.action.value, label=text(each.label, view.language), target=each.target)
        for each in view.buttons
    ]
    status = _plain(view.status, view.language)
    return MessageJson(
        id=message_id + REPLY, author=BOT_NAME, kind="bot", final=view.final, status=status, about=None,
        parts=[part(each, view.language) for each in view.parts], buttons=buttons, reply_to=message_id,
    )  # fmt: skip


def _button_label(action: str, number: int, language: str) -> str:
    return text(notice("numbered", label=notice(f"button-{action}"), number=number), language)


def _plain(message: UserText, language: str) -> str:
    return replace_time_markers(text(message, language), language=language)


def part(part: Part, language: str = "en") -> TextPartJson | PicturePartJson:
    """Return a part of a reply: text, or an image in its current state."""
    match part:
        case TextPart(words):
            return _text(words)
        case PicturePart(state=Queued(ahead, eta)):
            position = queue_position(ahead, None if eta is None else time.time() + eta)
            return PicturePartJson(number=part.number, state="queued", note=_plain(position, language))
        case PicturePart(state=Rendering(fraction, preview)):
            shown = "data:image/jpeg;base64," + base64.b64encode(preview).decode() if preview else None
            return PicturePartJson(number=part.number, state="rendering", fraction=fraction, preview=shown)
        case PicturePart(state=Rendered(finished)):
            shown_picture = picture(finished, language)
            return PicturePartJson(number=finished.number, state="rendered", fraction=1.0, picture=shown_picture)
        case PicturePart(state=Failed(reason)):
            return PicturePartJson(number=part.number, state="failed", reason=_plain(reason, language))
    raise AssertionError(part)


def picture(picture: Picture, language: str = "en") -> PictureJson:
    """Return a finished image."""
    picture = localized_picture(picture, language)
    return PictureJson(
        number=picture.number,
        url=f"/pictures/{picture.digest}.png",
        alt=text(picture.alt, language),
        prompt=picture.request.prompt,
        refined=picture.refined_prompt,
        seed=picture.request.sampling.seed,
        model=picture.model,
        width=picture.width,
        height=picture.height,
        parent=picture.request.source,
        operation=picture.request.operation.value,
        way=text(picture.edit_method, language),
        notes=[text(note, language) for note in picture.notes],
    )


def markdown(text: str) -> str:
    """Return Markdown as HTML without scripts, raw HTML and images."""
    return str(_markdown.render(text))


def _text(words: str) -> TextPartJson:
    return TextPartJson(markdown=words, html=markdown(words))
