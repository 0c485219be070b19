"""Builds the arguments of one pipeline call from the planned images of one group."""

import inspect
from dataclasses import replace
from typing import Any

import torch
from PIL import Image

from render.models.batch import PlannedImage
from render.models.edit_plan import EditMethod
from render.models.introspection import PipelineSignature
from render.models.presets import Preset


def pipeline_arguments(
    pipe: Any, signature: PipelineSignature, planned: list[PlannedImage], preset: Preset
) -> dict[str, Any]:
    """The keyword arguments of a call that renders the planned images, which differ only in prompt, seed and images."""
    first = planned[0]
    task, method, known = first.task, first.plan.method, inspect.signature(type(pipe).__call__).parameters
    given: dict[str, Any] = {
        "prompt": [each.plan.prompt for each in planned],
        # one generator per image, so that an image does not depend on its batch
        "generator": [torch.Generator("cpu").manual_seed(each.task.seed) for each in planned],
        "num_inference_steps": _step_count(first, preset),
        "strength": first.plan.strength if "strength" in known else None,
    }
    guidance = preset.guidance_scale if task.sampling.guidance_scale is None else task.sampling.guidance_scale
    if signature.guidance_argument:
        given[signature.guidance_argument] = guidance
    needed = signature.guidance_argument == "true_cfg_scale"  # true CFG does nothing without a negative prompt
    if signature.negative_prompt and (needed or any(each.task.sampling.negative_prompt for each in planned)):
        given["negative_prompt"] = [each.task.sampling.negative_prompt or (" " if needed else "") for each in planned]
    if first.size and signature.size:
        given["width"], given["height"] = first.size
    if any(each.source for each in planned) and method is not EditMethod.IMAGE_PROMPT:
        given["image"] = [each.source for each in planned]
    if signature.inpaint:
        given["mask_image"] = [each.mask or Image.new("L", first.size or (8, 8), 255) for each in planned]
    if first.size and "_auto_resize" in known:
        given |= {"_auto_resize": False, "max_area": first.size[0] * first.size[1]}
    if len(planned) == 1:  # every pipeline accepts single values; some accept no lists
        given |= {name: value[0] for name, value in given.items() if isinstance(value, list)}
    return {name: value for name, value in given.items() if value is not None}


def diffedit_arguments(pipe: Any, signature: PipelineSignature, planned: PlannedImage, seed: int) -> dict[str, Any]:
    """Arguments for DiffEdit: the old and the new prompt with the same noise, at strength 0.5."""
    words = (planned.task.source_prompt, planned.plan.prompt)
    pair = [replace(planned, plan=replace(planned.plan, prompt=each, strength=0.5)) for each in words]
    given = pipeline_arguments(pipe, signature, pair, Preset(num_inference_steps=4, guidance_scale=1.0))
    return given | {"generator": [torch.Generator("cpu").manual_seed(seed) for _ in pair]}


def _step_count(planned: PlannedImage, preset: Preset) -> int | None:
    """The number of steps. A strength below 1 skips a part of them, so there are enough that one step remains."""
    steps = planned.task.sampling.num_inference_steps or preset.num_inference_steps
    if steps and planned.plan.strength:
        return max(steps, int(1 / planned.plan.strength) + 1)
    return steps
