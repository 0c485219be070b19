"""What is asked for, and what the model at hand can do -> how the picture is made. Pure.

Small changes keep a picture's composition, large ones its subject: each model gets the best way to that which it has.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from bot.domain import Operation
from render.wire import Task

STRENGTHS = (0.5, 0.6, 0.7, 0.8)  # few, so that edits of different people can share a call
SUBTLE, STRONG = 0.4, 0.7  # strengths of a variation
REFINED = 0.3  # strength of a second pass over the enlarged picture: enough for detail, too little for new content
SHARPENED = 0.2
LARGER = {Operation.REFINE: 1.5, Operation.UPSCALE: 2.0}
MOST_OBLONG = 3.0  # width to height, or the other way round; beyond it models draw things twice
GLUE = frozenset("a an the of in on at with and or to by for from its it is are as".split())


class Way(StrEnum):
    """How a picture can be made."""

    WORDS = "from words alone"
    CANVAS = "on a blank canvas"  # by a model that needs a picture to begin with
    START = "image to image"
    MASK = "inpainting"
    LOOK = "from the picture, as told"  # an instruction, or references
    REFERENCE = "image prompt"  # IP-Adapter
    RESIZE = "resampled, without the model"


@dataclass(frozen=True, slots=True)
class Means:
    """Which ways the loaded model has; `described`: whoever looks at a picture is told all of what it is to become."""

    words: bool = True
    starts: bool = False
    masks: bool = False
    looks: bool = False
    reference: bool = False
    described: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """How one picture is made.

    `strength` is from 0 (nothing changes) to 1; `larger` enlarges the source before; only a `share` of it is changed.
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
    """The best way that there is."""
    if task.source is None:
        return generate(task, means)
    return _PLANS[task.operation](task, means)


def generate(task: Task, means: Means) -> Plan:
    """A new picture of words; where the source of another operation cannot be used, of the words for it."""
    return Plan(Way.WORDS if means.words else Way.CANVAS, task.prompt or task.before)


def edit(task: Task, means: Means) -> Plan:
    """Small changes keep the composition, large ones the subject."""
    return edit_large(task, means) if task.change == "large" and not task.part else edit_small(task, means)


def edit_small(task: Task, means: Means) -> Plan:
    """By a model that follows instructions; else only where it changes; else from the picture, as much as needed.

    Where it changes is the part that somebody marked, or is found if most of the description stays the same.
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
    """With the picture as a reference; else drawn anew from the whole description and the same seed."""
    if means.looks:
        return Plan(Way.LOOK, task.prompt)
    if means.reference:
        return Plan(Way.REFERENCE, task.prompt)
    return generate(task, means)


def vary(task: Task, means: Means) -> Plan:
    """Another one like it: a little different, or much."""
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
    """More detail, the same content: a second pass at a higher resolution; with words, what they say besides."""
    if means.starts:
        return Plan(Way.START, task.prompt or task.before, REFINED, LARGER[Operation.REFINE])
    if means.looks:
        told = task.prompt if task.prompt != task.before else ""
        return Plan(Way.LOOK, told or (task.before if means.described else REFINE))
    if task.prompt in ("", task.before):
        return Plan(Way.RESIZE, "", None, LARGER[Operation.REFINE])
    return generate(task, means)


def upscale(task: Task, means: Means) -> Plan:
    """Twice as wide and high; with a pass of the model that sharpens it, where it can start from a picture."""
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
    """How much of a picture must go, by how many words of its new description are new; the middle if that is unknown.

    One of `STRENGTHS`.
    """
    if not before:
        return STRENGTHS[1]
    new = _words(after) - _words(before)
    share = len(new) / max(1, len(_words(after)))
    return STRENGTHS[min(len(STRENGTHS) - 1, int(share * 2 * len(STRENGTHS)))]


def is_local(before: str, after: str) -> bool:
    """Whether most of what was to be seen before is to be seen after, so that a part of the picture is changed."""
    old, new = _words(before), _words(after)
    return bool(old) and len(old & new) >= len(old) / 2


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower())) - GLUE


def size(native: tuple[int, int], ratio: str, multiple: int) -> tuple[int, int]:
    """Width and height of the native area in this ratio, each divisible by `multiple`."""
    if not ratio:
        return native
    wide, high = (int(part) for part in ratio.split(":"))
    shape = max(1 / MOST_OBLONG, min(MOST_OBLONG, wide / high))
    area = native[0] * native[1]
    return rounded(((area * shape) ** 0.5, (area / shape) ** 0.5), multiple)


def rounded(sides: tuple[float, float], multiple: int) -> tuple[int, int]:
    """The nearest size that the model can do."""
    wide, high = (max(multiple, round(side / multiple) * multiple) for side in sides)
    return wide, high


def fitted(source: tuple[int, int], most: int, multiple: int) -> tuple[int, int]:
    """The source's shape in at most so many pixels."""
    shrink = min(1.0, (most / (source[0] * source[1])) ** 0.5)
    return rounded((source[0] * shrink, source[1] * shrink), multiple)
