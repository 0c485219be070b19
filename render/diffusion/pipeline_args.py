"""Builds the arguments of one pipeline call from the planned images of one group."""

import inspect
from dataclasses import replace
from typing import Any

import torch
from PIL import Image

from render.models.batch import Wish
from render.models.edit_plan import Way
from render.models.introspection import Takes
from render.models.presets import Preset


def arguments(pipe: Any, taken: Takes, wishes: list[Wish], preset: Preset) -> dict[str, Any]:
    """The keyword arguments of a call that renders the planned images, which differ only in prompt, seed and images."""
    first = wishes[0]
    task, way, known = first.task, first.plan.way, inspect.signature(type(pipe).__call__).parameters
    given: dict[str, Any] = {
        "prompt": [wish.plan.prompt for wish in wishes],
        # one generator per image, so that an image does not depend on its batch
        "generator": [torch.Generator("cpu").manual_seed(wish.task.seed) for wish in wishes],
        "num_inference_steps": _steps(first, preset),
        "strength": first.plan.strength if "strength" in known else None,
    }
    guidance = preset.guidance_scale if task.guidance_scale is None else task.guidance_scale
    if taken.guidance:
        given[taken.guidance] = guidance
    needed = taken.guidance == "true_cfg_scale"  # true CFG does nothing without a negative prompt
    if taken.negatives and (needed or any(wish.task.negative for wish in wishes)):
        given["negative_prompt"] = [wish.task.negative or (" " if needed else "") for wish in wishes]
    if first.size and taken.sizes:
        given["width"], given["height"] = first.size
    if any(wish.source for wish in wishes) and way is not Way.REFERENCE:
        given["image"] = [wish.source for wish in wishes]
    if taken.mask:
        given["mask_image"] = [wish.mask or Image.new("L", first.size or (8, 8), 255) for wish in wishes]
    if first.size and "_auto_resize" in known:
        given |= {"_auto_resize": False, "max_area": first.size[0] * first.size[1]}
    if len(wishes) == 1:  # every pipeline accepts single values; some accept no lists
        given |= {name: value[0] for name, value in given.items() if isinstance(value, list)}
    return {name: value for name, value in given.items() if value is not None}


def for_contrast(pipe: Any, taken: Takes, wish: Wish, look: int) -> dict[str, Any]:
    """Arguments for DiffEdit: the old and the new prompt with the same noise, at strength 0.5."""
    words = (wish.task.before, wish.plan.prompt)
    pair = [replace(wish, plan=replace(wish.plan, prompt=each, strength=0.5)) for each in words]
    given = arguments(pipe, taken, pair, Preset(num_inference_steps=4, guidance_scale=1.0))
    return given | {"generator": [torch.Generator("cpu").manual_seed(look) for _ in pair]}


def _steps(wish: Wish, preset: Preset) -> int | None:
    """The number of steps. A strength below 1 skips a part of them, so there are enough that one step remains."""
    steps = wish.task.num_inference_steps or preset.num_inference_steps
    if steps and wish.plan.strength:
        return max(steps, int(1 / wish.plan.strength) + 1)
    return steps
