"""The state and the views of a reply."""

import random
from itertools import pairwise

import pytest

from bot.conversation.reply import Event, ImageOrdered, ImageProgress, Reply, ReplyEnded, ReplyStopped, step, view
from bot.domain import (
    Failed,
    ImageRequest,
    Operation,
    PicturePart,
    Queued,
    Rendered,
    Rendering,
    RenderUpdate,
    Text,
    TextPart,
    View,
)
from tests.support.doubles import picture
from tests.support.thorough import examples


def views(*events: Event) -> list[View]:
    """The view after each event."""
    reply, shown = Reply("r"), []
    for event in events:
        reply = step(reply, event)
        shown.append(view(reply))
    return shown


def ordered(key: int) -> ImageOrdered:
    """The order of an image."""
    return ImageOrdered(ImageRequest(key, Operation.GENERATE, f"p{key}"), key + 1)


def random_events(rng: random.Random) -> list[Event]:
    """Any order of events that a turn can produce."""
    events: list[Event] = []
    pending: list[Event] = []
    keys = 0
    while len(events) < 40:
        roll = rng.random()
        if roll < 0.4:
            events.append(Text(rng.choice(["a", " ", "\n\n", "word ", "**b**", "  x"])))
        elif roll < 0.55:
            events.append(ordered(keys))
            states: list[RenderUpdate] = [Rendering(0.3), Rendering(0.6, b"jpeg")]
            states.append(Rendered(picture(keys + 1)) if rng.random() < 0.5 else Failed("no"))
            pending += [ImageProgress(keys, state) for state in states]
            keys += 1
        elif pending:
            events.append(pending.pop(0))
    events.append(ReplyEnded() if rng.random() < 0.5 else ReplyStopped("Stopped."))
    return events


@pytest.mark.parametrize("seed", range(examples(200)))
def test_until_final_text_only_grows_and_parts_are_only_appended(seed: int) -> None:
    """An append-only stream can follow every view."""
    shown = views(*random_events(random.Random(seed)))
    for before, after in pairwise(shown):
        assert not before.final
        assert len(after.parts) >= len(before.parts)
        for old, new in zip(before.parts, after.parts, strict=False):
            if isinstance(old, TextPart):
                assert isinstance(new, TextPart) and new.markdown.startswith(old.markdown)
            else:
                assert isinstance(new, PicturePart) and new.key == old.key
    assert shown[-1].final


@pytest.mark.parametrize("seed", range(50))
def test_no_image_is_left_unfinished_in_a_stopped_reply(seed: int) -> None:
    """After a stop, no image is shown as queued or rendering."""
    last = views(*random_events(random.Random(seed))[:-1], ReplyStopped("Stopped by Ann."))[-1]
    assert last.status == "Stopped by Ann."
    assert not any(isinstance(part, PicturePart) and isinstance(part.state, Queued | Rendering) for part in last.parts)


def test_the_status_follows_the_work() -> None:
    """Thinking, writing, drawing, and empty at the end."""
    done = ImageProgress(0, Rendered(picture(1)))
    assert str(view(Reply("r")).status) == "Thinking…"
    assert [str(v.status) for v in views(Text("hi"), ordered(0), done, ReplyEnded())] == [
        "Writing…",
        "Generating…",
        "Writing…",
        "",
    ]


def test_a_preview_stays_until_a_newer_one_comes() -> None:
    """Progress without a preview does not remove the preview of the image."""
    last = views(ordered(0), ImageProgress(0, Rendering(0.2, b"jpeg")), ImageProgress(0, Rendering(0.4)))[-1]
    assert isinstance(last.parts[0], PicturePart)
    assert last.parts[0].state == Rendering(0.4, b"jpeg")


def test_late_updates_do_not_change_an_image() -> None:
    """Once rendered or failed, an image stays as it is."""
    last = views(ordered(0), ImageProgress(0, Rendered(picture(1))), ImageProgress(0, Queued(3)))[-1]
    assert isinstance(last.parts[0], PicturePart)
    assert isinstance(last.parts[0].state, Rendered)


def test_an_image_has_buttons_as_soon_as_it_is_rendered() -> None:
    """They do not wait for the end of the reply, which can be stopped meanwhile."""
    labels = [str(button.label) for button in views(ordered(0), ImageProgress(0, Rendered(picture(1))))[-1].buttons]
    assert labels == ["Vary #1", "Edit #1", "Upscale #1", "Redo #1", "Delete #1", "Stop"]
