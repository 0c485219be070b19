"""The state of a reply: events in, views out. Pure."""

from dataclasses import dataclass, replace
from typing import assert_never

from bot.domain import (
    Action,
    Button,
    Entry,
    Failed,
    ImageRequest,
    Part,
    PicturePart,
    Queued,
    Rendered,
    Rendering,
    RenderUpdate,
    Retracted,
    Text,
    TextPart,
    View,
)
from bot.llm.messages import ModelFailed
from bot.notices import Notice, UserText, notice

PICTURE_BUTTONS = {
    Action.VARY: notice("button-vary"),
    Action.EDIT: notice("button-edit"),
    Action.UPSCALE: notice("button-upscale"),
    Action.REDO: notice("button-redo"),
    Action.DELETE: notice("button-delete"),
}


@dataclass(frozen=True, slots=True)
class ImageOrdered:
    """An image was ordered. `number` is its number in the thread, 0 if refused; `parent` is that of its source."""

    request: ImageRequest
    number: int
    parent: int | None = None


@dataclass(frozen=True, slots=True)
class ImageProgress:
    """A render update of the image request with this key."""

    key: int
    update: RenderUpdate


@dataclass(frozen=True, slots=True)
class ReplyStopped:
    """A user or an error ended the reply early. `reason` is for the user."""

    reason: UserText


@dataclass(frozen=True, slots=True)
class ReplyEnded:
    """The answer of the model is complete, and every image is rendered or has failed."""


@dataclass(frozen=True, slots=True)
class PictureRemoved:
    """The image with this number was deleted. `reason` is for the user."""

    number: int
    reason: UserText


Event = Text | Retracted | ImageOrdered | ImageProgress | ModelFailed | ReplyStopped | PictureRemoved | ReplyEnded


@dataclass(frozen=True, slots=True)
class Reply:
    """The state of one reply. Its buttons refer to it by `id`; `error` is for the user."""

    id: str
    parts: tuple[Part, ...] = ()
    error: UserText = ""
    final: bool = False


def step(reply: Reply, event: Event) -> Reply:
    """The reply after one event."""
    match event:
        case Text(markdown):
            return replace(reply, parts=_append_text(reply.parts, markdown))
        case Retracted():
            return replace(reply, parts=())
        case ImageOrdered(request, number, parent):
            part = PicturePart(request.key, number, request.operation, request.prompt, Queued(0), parent)
            return replace(reply, parts=(*reply.parts, part))
        case ImageProgress(key, update):
            return replace(reply, parts=tuple(_update_part(part, key, update) for part in reply.parts))
        case ModelFailed(reason):
            return replace(reply, error=reason)
        case ReplyStopped(reason):
            parts = tuple(_fail_unfinished(part, reason) for part in reply.parts)
            return replace(reply, parts=parts, error=reason, final=True)
        case PictureRemoved(number, reason):
            return replace(reply, parts=tuple(_remove_from_part(part, number, reason) for part in reply.parts))
        case ReplyEnded():
            nothing = not any(isinstance(part, PicturePart) or part.markdown.strip() for part in reply.parts)
            trouble = reply.error or (notice("answer-empty") if nothing else "")
            return replace(reply, error=trouble, final=True)
        case _:
            assert_never(event)


def view(reply: Reply) -> View:
    """The view of the reply now."""
    parts = tuple(part for part in map(_strip_part, reply.parts) if not isinstance(part, TextPart) or part.markdown)
    return View(parts, _status(reply), _buttons(reply), reply.final)


def remove_from_view(view: View, number: int, reason: UserText) -> View:
    """The final view without the image with this number and its buttons; `reason` takes the place of the image."""
    parts = tuple(_remove_from_part(part, number, reason) for part in view.parts)
    buttons = tuple(b for b in view.buttons if b.action not in PICTURE_BUTTONS or b.target != str(number))
    return replace(view, parts=parts, buttons=buttons)


def offer_retry(view: View, reply_id: str) -> View:
    """The final view with a button to answer again, for a message that was edited."""
    buttons = tuple(button for button in view.buttons if button.action is not Action.RETRY)
    again = Button(Action.RETRY, notice("button-answer-again"), reply_id)
    return replace(view, status=notice("message-edited"), buttons=(*buttons, again))


def shows_picture(item: Entry | Reply, number: int) -> bool:
    """Whether a message with its final reply, or a running reply, shows the image with this number."""
    if isinstance(item, Entry) and any(upload.number == number for upload in item.uploads):
        return True
    view = item.view if isinstance(item, Entry) else item
    return any(
        isinstance(part, PicturePart) and isinstance(part.state, Rendered) and part.state.picture.number == number
        for part in (view.parts if view else ())
    )


def can_retry(part: Part) -> bool:
    """Whether the part is an image that failed, and a retry may succeed."""
    return isinstance(part, PicturePart) and isinstance(part.state, Failed) and part.state.again


def _remove_from_part(part: Part, number: int, reason: UserText) -> Part:
    if isinstance(part, PicturePart) and isinstance(part.state, Rendered) and part.state.picture.number == number:
        return replace(part, state=Failed(reason, again=False))
    return part


def _append_text(parts: tuple[Part, ...], markdown: str) -> tuple[Part, ...]:
    if parts and isinstance(parts[-1], TextPart):
        return (*parts[:-1], TextPart(parts[-1].markdown + markdown))
    return (*parts, TextPart(markdown))


def _update_part(part: Part, key: int, update: RenderUpdate) -> Part:
    if not isinstance(part, PicturePart) or part.key != key or isinstance(part.state, Failed):
        return part
    if isinstance(part.state, Rendered) and not isinstance(update, Rendered):  # only a new alternative text may follow
        return part
    if isinstance(update, Rendering) and isinstance(part.state, Rendering) and update.preview is None:
        update = replace(update, preview=part.state.preview)
    return replace(part, state=update)


def _fail_unfinished(part: Part, reason: UserText) -> Part:
    if isinstance(part, PicturePart) and isinstance(part.state, Queued | Rendering):
        return replace(part, state=Failed(reason))
    return part


def _strip_part(part: Part) -> Part:
    return TextPart(part.markdown.strip()) if isinstance(part, TextPart) else part


def _status(reply: Reply) -> UserText:
    if reply.final or reply.error:
        return reply.error
    if any(isinstance(part, PicturePart) and isinstance(part.state, Queued | Rendering) for part in reply.parts):
        return notice("status-generating")
    return notice("status-writing") if reply.parts else notice("status-thinking")


def _buttons(reply: Reply) -> tuple[Button, ...]:
    numbers = [
        part.state.picture.number
        for part in reply.parts
        if isinstance(part, PicturePart) and isinstance(part.state, Rendered)
    ]
    buttons = [
        Button(action, _numbered(label, number), str(number))
        for number in dict.fromkeys(numbers)
        for action, label in PICTURE_BUTTONS.items()
    ]
    if not reply.final:
        under_way = [
            part for part in reply.parts if isinstance(part, PicturePart) and isinstance(part.state, Queued | Rendering)
        ]
        if len(under_way) > 1:  # Stop covers a single one
            buttons += [
                Button(Action.CANCEL, _numbered(notice("button-cancel"), p.number), f"{reply.id}.{p.key}")
                for p in under_way
            ]
        buttons.append(Button(Action.STOP, notice("button-stop"), reply.id))
    elif reply.error or any(map(can_retry, reply.parts)):
        buttons.append(Button(Action.RETRY, notice("button-retry"), reply.id))
    return tuple(buttons)


def _numbered(label: Notice, number: int) -> Notice:
    """Return the label with the number of its image; adapters cut it off where the image is beside the button."""
    return notice("numbered", label=label, number=number)
