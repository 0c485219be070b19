"""Chooses how to carry out an operation with the edit methods that the loaded model supports. Pure.

A small change keeps the composition of an image, a large change its subject.
The best method that the model has is used.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from bot.domain import Operation
from bot.notices import Notice, notice
from render.protocol import ImageTask

STRENGTHS = (0.5, 0.6, 0.7, 0.8)  # few, so that edits of different users can share a call
SMALL_VARIATION, LARGE_VARIATION = 0.4, 0.7  # strengths of a variation
REFINE_STRENGTH = (
    0.3  # strength of a second pass over the enlarged image: enough for detail, too little for new content
)
UPSCALE_STRENGTH = 0.2  # strength of the pass that sharpens an upscaled image
SCALE_FACTORS = {Operation.REFINE: 1.5, Operation.UPSCALE: 2.0}
MAX_ASPECT_RATIO = 3.0  # width to height, or height to width; beyond it models repeat the subject
STOP_WORDS = frozenset("a an the of in on at with and or to by for from its it is are as".split())


class EditMethod(StrEnum):
    """A method to make an image; the value is the id of its message."""

    TEXT_TO_IMAGE = "method-words"
    BLANK_CANVAS = "method-canvas"  # for a model that needs a source image
    IMAGE_TO_IMAGE = "method-start"
    INPAINT = "method-mask"
    INSTRUCTION = "method-look"  # by an instruction, or with reference images
    IMAGE_PROMPT = "method-reference"  # IP-Adapter
    RESIZE = "method-resize"


@dataclass(frozen=True, slots=True)
class SupportedMethods:
    """The edit methods of the loaded model.

    `needs_full_description`: a prompt for an edit must describe the whole result, not only the change.
    """

    text_to_image: bool = True
    image_to_image: bool = False
    inpaint: bool = False
    instruction: bool = False
    image_prompt: bool = False
    needs_full_description: bool = False


@dataclass(frozen=True, slots=True)
class EditPlan:
    """How one image is made.

    `strength` is from 0 (nothing changes) to 1. `scale` enlarges the source image first. `changed_share` is the part of
    the image area that changes, from 0 to 1.
    """

    method: EditMethod
    prompt: str
    strength: float | None = None
    scale: float = 1.0
    changed_share: float = 1.0

    @property
    def description(self) -> Notice:
        """The plan in a few words for users."""
        described = notice(self.method.value)
        if self.changed_share < 1:
            described = notice("method-in-region", method=described, share=self.changed_share)
        if self.strength is not None:
            described = notice("method-with-strength", method=described, strength=self.strength)
        if self.scale != 1:
            described = notice("method-enlarged", factor=self.scale, method=described)
        return described


def choose_plan(task: ImageTask, methods: SupportedMethods) -> EditPlan:
    """The edit plan with the best method that the model supports."""
    if task.source is None:
        return plan_generation(task, methods)
    return _PLANNERS[task.operation](task, methods)


def plan_generation(task: ImageTask, methods: SupportedMethods) -> EditPlan:
    """A new image from the prompt; without a prompt, from the prompt of the source image."""
    return EditPlan(
        EditMethod.TEXT_TO_IMAGE if methods.text_to_image else EditMethod.BLANK_CANVAS,
        task.prompt or task.source_prompt,
    )


def plan_edit(task: ImageTask, methods: SupportedMethods) -> EditPlan:
    """A small change keeps the composition, a large change the subject. A region always makes a small change."""
    return (
        plan_large_edit(task, methods) if task.change == "large" and not task.region else plan_small_edit(task, methods)
    )


def plan_small_edit(task: ImageTask, methods: SupportedMethods) -> EditPlan:
    """By instruction; else by inpainting; else image to image, with the strength that the change needs.

    The inpainting mask is the region that the user marked; without a region it is computed, if most of the description
    stays the same.
    """
    if methods.instruction:
        return EditPlan(EditMethod.INSTRUCTION, task.prompt)
    how_much = edit_strength(task.source_prompt, task.prompt)
    if methods.inpaint and (task.region or (task.source_prompt and is_local(task.source_prompt, task.prompt))):
        return EditPlan(EditMethod.INPAINT, task.prompt, max(STRENGTHS))
    if methods.image_to_image:
        return EditPlan(EditMethod.IMAGE_TO_IMAGE, task.prompt, how_much)
    if methods.inpaint:
        return EditPlan(EditMethod.INPAINT, task.prompt, how_much)
    return plan_large_edit(task, methods)


def plan_large_edit(task: ImageTask, methods: SupportedMethods) -> EditPlan:
    """By instruction; else by image prompt; else a new image from the whole prompt, with the same seed."""
    if methods.instruction:
        return EditPlan(EditMethod.INSTRUCTION, task.prompt)
    if methods.image_prompt:
        return EditPlan(EditMethod.IMAGE_PROMPT, task.prompt)
    return plan_generation(task, methods)


def plan_variation(task: ImageTask, methods: SupportedMethods) -> EditPlan:
    """A variation of the source image: a small or a large one."""
    prompt = task.prompt or task.source_prompt
    how_much = SMALL_VARIATION if task.change == "small" else LARGE_VARIATION
    if methods.image_to_image:
        return EditPlan(EditMethod.IMAGE_TO_IMAGE, prompt, how_much)
    if task.region and methods.inpaint:
        return EditPlan(EditMethod.INPAINT, prompt, max(STRENGTHS))
    if methods.image_prompt and not task.region:
        return EditPlan(EditMethod.IMAGE_PROMPT, prompt)
    if prompt and methods.text_to_image and not (task.region and methods.instruction):
        return EditPlan(EditMethod.TEXT_TO_IMAGE, prompt)
    if methods.instruction:
        return EditPlan(EditMethod.INSTRUCTION, prompt if methods.needs_full_description else VARY_INSTRUCTION)
    return plan_generation(task, methods)


def plan_refinement(task: ImageTask, methods: SupportedMethods) -> EditPlan:
    """More detail with the same content: a second pass at a higher resolution, with the prompt if there is one."""
    if methods.image_to_image:
        return EditPlan(
            EditMethod.IMAGE_TO_IMAGE,
            task.prompt or task.source_prompt,
            REFINE_STRENGTH,
            SCALE_FACTORS[Operation.REFINE],
        )
    if methods.instruction:
        told = task.prompt if task.prompt != task.source_prompt else ""
        return EditPlan(
            EditMethod.INSTRUCTION,
            told or (task.source_prompt if methods.needs_full_description else REFINE_INSTRUCTION),
        )
    if task.prompt in ("", task.source_prompt):
        return EditPlan(EditMethod.RESIZE, "", None, SCALE_FACTORS[Operation.REFINE])
    return plan_generation(task, methods)


def plan_upscale(task: ImageTask, methods: SupportedMethods) -> EditPlan:
    """Double width and height; a model with image to image then sharpens the result."""
    if methods.image_to_image:
        return EditPlan(
            EditMethod.IMAGE_TO_IMAGE, task.source_prompt, UPSCALE_STRENGTH, SCALE_FACTORS[Operation.UPSCALE]
        )
    return EditPlan(EditMethod.RESIZE, "", None, SCALE_FACTORS[Operation.UPSCALE])


VARY_INSTRUCTION = "Make another version of this picture: the same subject and style, with other details."
REFINE_INSTRUCTION = "Redraw this picture with finer detail. Keep the content, the composition and the colours."
_PLANNERS: dict[Operation, Callable[[ImageTask, SupportedMethods], EditPlan]] = {
    Operation.GENERATE: plan_generation,
    Operation.EDIT: plan_edit,
    Operation.VARY: plan_variation,
    Operation.REFINE: plan_refinement,
    Operation.UPSCALE: plan_upscale,
}


def edit_strength(before: str, after: str) -> float:
    """The strength of an edit, by the share of new words in the new prompt: one of `STRENGTHS`.

    Without a prompt of the source image it is a medium one.
    """
    if not before:
        return STRENGTHS[1]
    new = _content_words(after) - _content_words(before)
    share = len(new) / max(1, len(_content_words(after)))
    return STRENGTHS[min(len(STRENGTHS) - 1, int(share * 2 * len(STRENGTHS)))]


def is_local(before: str, after: str) -> bool:
    """Whether half of the words of the old prompt are in the new one, so that only a part of the image changes."""
    old, new = _content_words(before), _content_words(after)
    return bool(old) and len(old & new) >= len(old) / 2


def _content_words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower())) - STOP_WORDS


def size_for_ratio(native_size: tuple[int, int], aspect_ratio: str, multiple: int) -> tuple[int, int]:
    """Width and height in pixels with the native area and this aspect ratio, both divisible by `multiple`."""
    if not aspect_ratio:
        return native_size
    wide, high = (int(part) for part in aspect_ratio.split(":"))
    shape = max(1 / MAX_ASPECT_RATIO, min(MAX_ASPECT_RATIO, wide / high))
    area = native_size[0] * native_size[1]
    return round_size(((area * shape) ** 0.5, (area / shape) ** 0.5), multiple)


def round_size(sides: tuple[float, float], multiple: int) -> tuple[int, int]:
    """The nearest size whose width and height are divisible by `multiple`."""
    wide, high = (max(multiple, round(side / multiple) * multiple) for side in sides)
    return wide, high


def fit_size(source: tuple[int, int], max_pixels: int, multiple: int) -> tuple[int, int]:
    """A size with the aspect ratio of the source and about `max_pixels` pixels at most, never enlarged."""
    shrink = min(1.0, (max_pixels / (source[0] * source[1])) ** 0.5)
    return round_size((source[0] * shrink, source[1] * shrink), multiple)
