"""Chooses how to carry out an operation with the edit methods that the loaded model supports. Pure.

A small change keeps the composition of an image, a large change its subject.
The best method that the model has is used.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from bot.domain import Operation
from render.protocol import Task

STRENGTHS = (0.5, 0.6, 0.7, 0.8)  # few, so that edits of different users can share a call
SUBTLE, STRONG = 0.4, 0.7  # strengths of a variation
REFINED = 0.3  # strength of a second pass over the enlarged image: enough for detail, too little for new content
SHARPENED = 0.2  # strength of the pass that sharpens an upscaled image
LARGER = {Operation.REFINE: 1.5, Operation.UPSCALE: 2.0}
MOST_OBLONG = 3.0  # width to height, or height to width; beyond it models repeat the subject
GLUE = frozenset("a an the of in on at with and or to by for from its it is are as".split())


class Way(StrEnum):
    """A method to make an image."""

    WORDS = "from words alone"
    CANVAS = "on a blank canvas"  # for a model that needs a source image
    START = "image to image"
    MASK = "inpainting"
    LOOK = "from the picture, as told"  # by an instruction, or with reference images
    REFERENCE = "image prompt"  # IP-Adapter
    RESIZE = "resampled, without the model"


@dataclass(frozen=True, slots=True)
class Means:
    """The edit methods of the loaded model.

    `needs_full_description`: a prompt for an edit must describe the whole result, not only the change.
    """

    words: bool = True
    starts: bool = False
    masks: bool = False
    looks: bool = False
    reference: bool = False
    described: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """How one image is made.

    `strength` is from 0 (nothing changes) to 1. `scale` enlarges the source image first. `changed_share` is the part of
    the image area that changes, from 0 to 1.
    """

    way: Way
    prompt: str
    strength: float | None = None
    larger: float = 1.0
    share: float = 1.0

    def __str__(self) -> str:
        enlarged = f"enlarged {self.larger:g} times, " if self.larger != 1 else ""
        strength = f", strength {self.strength:g}" if self.strength is not None else ""
        part = f" in {self.share:.0%} of the picture" if self.share < 1 else ""
        return f"{enlarged}{self.way}{part}{strength}"


def plan(task: Task, means: Means) -> Plan:
    """The edit plan with the best method that the model supports."""
    if task.source is None:
        return generate(task, means)
    return _PLANS[task.operation](task, means)


def generate(task: Task, means: Means) -> Plan:
    """A new image from the prompt; without a prompt, from the prompt of the source image."""
    return Plan(Way.WORDS if means.words else Way.CANVAS, task.prompt or task.before)


def edit(task: Task, means: Means) -> Plan:
    """A small change keeps the composition, a large change the subject. A region always makes a small change."""
    return edit_large(task, means) if task.change == "large" and not task.part else edit_small(task, means)


def edit_small(task: Task, means: Means) -> Plan:
    """By instruction; else by inpainting; else image to image, with the strength that the change needs.

    The inpainting mask is the region that the user marked; without a region it is computed, if most of the description
    stays the same.
    """
    if means.looks:
        return Plan(Way.LOOK, task.prompt)
    how_much = strength(task.before, task.prompt)
    if means.masks and (task.part or (task.before and is_local(task.before, task.prompt))):
        return Plan(Way.MASK, task.prompt, max(STRENGTHS))
    if means.starts:
        return Plan(Way.START, task.prompt, how_much)
    if means.masks:
        return Plan(Way.MASK, task.prompt, how_much)
    return edit_large(task, means)


def edit_large(task: Task, means: Means) -> Plan:
    """By instruction; else by image prompt; else a new image from the whole prompt, with the same seed."""
    if means.looks:
        return Plan(Way.LOOK, task.prompt)
    if means.reference:
        return Plan(Way.REFERENCE, task.prompt)
    return generate(task, means)


def vary(task: Task, means: Means) -> Plan:
    """A variation of the source image: a small or a large one."""
    prompt = task.prompt or task.before
    how_much = SUBTLE if task.change == "small" else STRONG
    if means.starts:
        return Plan(Way.START, prompt, how_much)
    if task.part and means.masks:
        return Plan(Way.MASK, prompt, max(STRENGTHS))
    if means.reference and not task.part:
        return Plan(Way.REFERENCE, prompt)
    if prompt and means.words and not (task.part and means.looks):
        return Plan(Way.WORDS, prompt)
    if means.looks:
        return Plan(Way.LOOK, prompt if means.described else VARY)
    return generate(task, means)


def refine(task: Task, means: Means) -> Plan:
    """More detail with the same content: a second pass at a higher resolution, with the prompt if there is one."""
    if means.starts:
        return Plan(Way.START, task.prompt or task.before, REFINED, LARGER[Operation.REFINE])
    if means.looks:
        told = task.prompt if task.prompt != task.before else ""
        return Plan(Way.LOOK, told or (task.before if means.described else REFINE))
    if task.prompt in ("", task.before):
        return Plan(Way.RESIZE, "", None, LARGER[Operation.REFINE])
    return generate(task, means)


def upscale(task: Task, means: Means) -> Plan:
    """Double width and height; a model with image to image then sharpens the result."""
    if means.starts:
        return Plan(Way.START, task.before, SHARPENED, LARGER[Operation.UPSCALE])
    return Plan(Way.RESIZE, "", None, LARGER[Operation.UPSCALE])


VARY = "Make another version of this picture: the same subject and style, with other details."
REFINE = "Redraw this picture with finer detail. Keep the content, the composition and the colours."
_PLANS: dict[Operation, Callable[[Task, Means], Plan]] = {
    Operation.GENERATE: generate,
    Operation.EDIT: edit,
    Operation.VARY: vary,
    Operation.REFINE: refine,
    Operation.UPSCALE: upscale,
}


def strength(before: str, after: str) -> float:
    """The strength of an edit, by the share of new words in the new prompt: one of `STRENGTHS`.

    Without a prompt of the source image it is a medium one.
    """
    if not before:
        return STRENGTHS[1]
    new = _words(after) - _words(before)
    share = len(new) / max(1, len(_words(after)))
    return STRENGTHS[min(len(STRENGTHS) - 1, int(share * 2 * len(STRENGTHS)))]


def is_local(before: str, after: str) -> bool:
    """Whether half of the words of the old prompt are in the new one, so that only a part of the image changes."""
    old, new = _words(before), _words(after)
    return bool(old) and len(old & new) >= len(old) / 2


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower())) - GLUE


def size(native: tuple[int, int], ratio: str, multiple: int) -> tuple[int, int]:
    """Width and height in pixels with the native area and this aspect ratio, both divisible by `multiple`."""
    if not ratio:
        return native
    wide, high = (int(part) for part in ratio.split(":"))
    shape = max(1 / MOST_OBLONG, min(MOST_OBLONG, wide / high))
    area = native[0] * native[1]
    return rounded(((area * shape) ** 0.5, (area / shape) ** 0.5), multiple)


def rounded(sides: tuple[float, float], multiple: int) -> tuple[int, int]:
    """The nearest size whose width and height are divisible by `multiple`."""
    wide, high = (max(multiple, round(side / multiple) * multiple) for side in sides)
    return wide, high


def fitted(source: tuple[int, int], most: int, multiple: int) -> tuple[int, int]:
    """A size with the aspect ratio of the source and about `max_pixels` pixels at most, never enlarged."""
    shrink = min(1.0, (most / (source[0] * source[1])) ** 0.5)
    return rounded((source[0] * shrink, source[1] * shrink), multiple)
