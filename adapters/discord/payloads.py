"""Turns a view into the messages that Discord should show: content, image and buttons. Pure."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

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
from bot.notices import notice, text

CONTENT_LIMIT = 2000  # characters of one message; Discord docs, resources/message
RESERVED = 120  # characters of a message that are kept free for the status line
LONGEST_ALT = 1024  # characters; Discord docs, resources/message
LONGEST_CAPTION = 200  # characters of a prompt below its image
LONGEST_QUOTE = 200  # characters of the text from a form
BUTTONS_PER_ROW, MAX_ROWS = 5, 5  # buttons; Discord docs, components/reference
MAX_PICTURES = 10  # images of one message
DETAILS = "details"
ESTIMATE_STEP = 10  # seconds: estimates are rounded up to it, so that a smaller change causes no edit


@dataclass(frozen=True, slots=True)
class Control:
    """A button of Discord. Its custom_id contains `action` and `target`."""

    action: str
    target: str
    label: str
    danger: bool = False

    @property
    def custom_id(self) -> str:
        """The id that Discord sends back when the button is pressed."""
        return f"mini:{self.action}:{self.target}"


@dataclass(frozen=True, slots=True)
class MessagePayload:
    """The desired state of one message. At most one of `picture` and `preview` (a small JPEG) is attached."""

    content: str
    picture: Picture | None = None
    preview: bytes | None = None
    rows: tuple[tuple[Control, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class SingleMessagePayload:
    """The whole reply in a single message, for interactions that allow only one."""

    content: str
    pictures: tuple[Picture, ...]
    rows: tuple[tuple[Control, ...], ...]


def messages(view: View, now: float) -> list[MessagePayload]:
    """Return the messages of a reply, in order. `now` is in seconds since 1970, for estimates that Discord counts down.

    While text grows and parts are appended, only the last messages change.
    """
    payloads = [payload for part in view.parts for payload in _part_messages(part, view, now)]
    if view.status and not (payloads and payloads[-1].picture is None and _is_unfinished(view.parts[-1])):
        payloads = _with_status(payloads, view)
    rest = tuple(_to_control(button) for button in view.buttons if button.action in (Action.STOP, Action.RETRY))
    if rest and payloads:
        payloads[-1] = replace(payloads[-1], rows=(*payloads[-1].rows, rest))
    return payloads


def add_note(payload: MessagePayload, note: str) -> MessagePayload:
    """Put a note of the bot above the content, if both fit into one message; else return the message unchanged."""
    fits = len(note) + 4 + len(payload.content) <= CONTENT_LIMIT
    return replace(payload, content=f"-# {note}\n{payload.content}") if fits else payload


def add_quote(payload: MessagePayload, quoted: str) -> MessagePayload:
    """Put a quotation of the question above the content, if both fit into one message; else leave it unchanged."""
    short = " ".join(quoted.split())
    short = short if len(short) <= LONGEST_QUOTE else f"{short[: LONGEST_QUOTE - 1].rstrip()}…"
    quote = f"-# {escape_markdown(short)}"
    fits = len(quote) + 1 + len(payload.content) <= CONTENT_LIMIT
    return replace(payload, content=f"{quote}\n{payload.content}") if fits else payload


def single_message(view: View, now: float) -> SingleMessagePayload:
    """Return the reply as one message: its text as far as it fits, and up to `MAX_PICTURES` images."""
    plain = replace(view, buttons=())
    words = "\n\n".join(
        payload.content for part in view.parts for payload in _part_messages(part, plain, now) if payload.content
    )
    status = f"\n{_status_line(view)}" if view.status else ""
    kept = pages(words, CONTENT_LIMIT - RESERVED)
    cut = "…" if len(kept) > 1 else ""
    content = f"{kept[0] if kept else ''}{cut}{status}".strip()
    pictures = [part.state.picture for part in view.parts if _is_rendered(part)]  # type: ignore[union-attr]
    distinct = tuple({picture.number: picture for picture in pictures}.values())[:MAX_PICTURES]
    rows = [row for picture in distinct for row in _button_rows(picture, view)[:1]]
    rest = tuple(_to_control(button) for button in view.buttons if button.action in (Action.STOP, Action.RETRY))
    rows = [row for row in rows if row][: MAX_ROWS - bool(rest)] + ([rest] if rest else [])
    return SingleMessagePayload(content, distinct, tuple(rows))


def _part_messages(part: Part, view: View, now: float) -> list[MessagePayload]:
    match part:
        case TextPart(markdown):
            return [MessagePayload(close_fence(page)) for page in pages(markdown, CONTENT_LIMIT - RESERVED)]
        case PicturePart(state=Queued(ahead, eta)):
            ready = _round_up(now + eta) if eta is not None and ahead else None
            position = replace_time_markers(text(queue_position(ahead, ready), view.language), relative_time)
            return [MessagePayload(f"⏳ **#{part.number}** {position}", rows=_cancel_row(part, view.buttons))]
        case PicturePart(state=Rendering(fraction, preview)):
            return [
                MessagePayload(
                    f"🎨 **#{part.number}** {_progress_bar(fraction)}",
                    preview=preview,
                    rows=_cancel_row(part, view.buttons),
                )
            ]
        case PicturePart(state=Rendered(picture)):
            return [MessagePayload(_caption(picture, view.language), picture=picture, rows=_button_rows(picture, view))]
        case PicturePart(state=Failed(reason)):
            name = f" **#{part.number}**" if part.number else ""
            explanation = replace_time_markers(text(reason, view.language), relative_time)
            return [MessagePayload(f"⚠️{name} {explanation}"[: CONTENT_LIMIT - RESERVED])]
    raise AssertionError(part)


def _is_unfinished(part: Part) -> bool:
    return isinstance(part, PicturePart) and isinstance(part.state, Queued | Rendering)


def _is_rendered(part: Part) -> bool:
    return isinstance(part, PicturePart) and isinstance(part.state, Rendered)


def _with_status(payloads: list[MessagePayload], view: View) -> list[MessagePayload]:
    if not payloads:
        return [MessagePayload(_status_line(view))]
    return [*payloads[:-1], replace(payloads[-1], content=f"{payloads[-1].content}\n{_status_line(view)}".strip())]


def _status_line(view: View) -> str:
    status = replace_time_markers(text(view.status, view.language), relative_time)
    line = f"⚠️ {status}" if view.final else status
    return "-# " + " ".join(line.split())[: RESERVED - 4]


def _caption(picture: Picture, language: str) -> str:
    caption = " · ".join(
        filter(
            None,
            (describe_origin(picture, language), escape_markdown(truncate(picture.request.prompt, LONGEST_CAPTION))),
        )
    )
    return f"**#{picture.number}**" + (f"\n-# {caption}" if caption else "")


def relative_time(seconds: float) -> str:
    """Return a timestamp that Discord shows as relative time. `seconds` are since 1970."""
    return f"<t:{seconds:.0f}:R>"


def escape_markdown(plain: str) -> str:
    """Escape the characters that have a meaning in Discord's Markdown."""
    return "".join(f"\\{letter}" if letter in "\\`*_~|>[]()#-<:" else letter for letter in plain)


def alt_text(picture: Picture, language: str = "en") -> str:
    """Return the alternative text of an image, at most `LONGEST_ALT` characters."""
    return f"#{picture.number}: {picture.alt or picture.request.prompt or text(notice('an-image'), language)}"[
        :LONGEST_ALT
    ]


def _button_rows(picture: Picture, view: View) -> tuple[tuple[Control, ...], ...]:
    """Return the button rows of an image. The first row has the buttons that create images.

    A message with several images has room only for that first row of each image.
    """
    mine = [b for b in view.buttons if b.action in IMAGE_ACTIONS and b.target == str(picture.number)]
    if not mine:
        return ()
    controls = [_to_control(replace(button, label=text(button.label).partition(" #")[0])) for button in mine]
    details = Control(DETAILS, str(picture.number), text(notice("button-details"), view.language))
    return tuple(controls[:-1]), (details, controls[-1])


def _cancel_row(part: PicturePart, buttons: Iterable[Button]) -> tuple[tuple[Control, ...], ...]:
    mine = [b for b in buttons if b.action is Action.CANCEL and b.target.endswith(f".{part.key}")]
    return (tuple(map(_to_control, mine)),) if mine else ()


def _to_control(button: Button) -> Control:
    return Control(
        button.action.value, button.target, text(button.label), button.action in (Action.STOP, Action.DELETE)
    )


def _progress_bar(fraction: float) -> str:
    full = max(0, min(10, math.floor(fraction * 10)))
    return f"`{'█' * full}{'░' * (10 - full)}` {full * 10} %"


def _round_up(seconds: float) -> int:
    return ESTIMATE_STEP * math.ceil(seconds / ESTIMATE_STEP)
