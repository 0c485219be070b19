"""What an edit was to change and what it was to leave alone, and how much of both came true, seen in the pixels."""

from typing import Any

import numpy as np
from PIL import Image

from render.builtin.training.paint import paint
from render.builtin.training.scenes import Scene

SIDE = 128  # at which pictures are looked at
DIFFERENT = 35  # levels, in the worst channel, between a thing and what is behind it
AS_MEANT = 60  # levels between what was drawn and what should have been, at most
AS_BEFORE = 25  # levels between what was and what is, at most, where nothing should have changed

Pixels = np.ndarray[Any, np.dtype[np.float32]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]


def edit_scores(before: Scene, after: Scene, picture: Image.Image) -> tuple[str, bool, bool]:
    """What was to change; whether three quarters of that look as meant; whether nearly all of the rest was kept."""
    done, kept = share_done(before, after, picture), share_kept(before, after, paint(before, SIDE), picture)
    return edit_kind(before, after), done > 0.75, kept > 0.94


def share_done(before: Scene, after: Scene, picture: Image.Image) -> float:
    """How much of what differs between the scenes looks in the picture as it does in the second of them."""
    seen, meant = pixels_of(picture), pixels_of(paint(after, SIDE))
    return float((np.abs(seen - meant).max(2) < AS_MEANT)[changed(before, after)].mean())


def share_kept(before: Scene, after: Scene, source: Image.Image, picture: Image.Image) -> float:
    """How much of what is not near a difference between the scenes is in the picture as it is in its source."""
    return share_alike(~grown(changed(before, after)), source, picture)


def share_alike(where: Mask, source: Image.Image, picture: Image.Image) -> float:
    """How much of a part is the same in two pictures; all, if the part has no pixels."""
    same = np.abs(pixels_of(picture) - pixels_of(source)).max(2) < AS_BEFORE
    return float(same[where].mean()) if where.any() else 1.0


def changed(before: Scene, after: Scene) -> Mask:
    """Where two scenes differ."""
    old, new = (pixels_of(paint(scene, SIDE)) for scene in (before, after))
    return np.asarray(np.abs(new - old).max(2) > DIFFERENT)


def grown(inside: Mask, by: int = SIDE // 32) -> Mask:
    """The mask and what is at most so many pixels away from it; usually as many as a pixel of the latents has."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(inside, by), (2 * by + 1, 2 * by + 1))
    return np.asarray(windows.any(axis=(2, 3)))


def edit_kind(before: Scene, after: Scene) -> str:
    """In what the second scene differs from the first."""
    if len(before.groups) != len(after.groups):
        return "add" if len(before.groups) < len(after.groups) else "remove"
    first, then = before.groups[0], after.groups[0]
    changes = ("kind", first.kind, then.kind), ("colour", first.colour, then.colour)
    return next((name for name, old, new in changes if old != new), None) or next(
        name for name in ("background", "style", "size", "place") if getattr(before, name) != getattr(after, name)
    )


def pixels_of(picture: Image.Image) -> Pixels:
    """`[128, 128, 3]`, RGB from 0 to 255."""
    return np.asarray(picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX), np.float32)
