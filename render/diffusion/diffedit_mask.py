"""Computes the mask of an edit: the part of the image where the old and the new prompt differ for the model.

After DiffEdit (arXiv 2210.11427): the same noisy image is denoised under both prompts, and the mask is where the
results differ. One step is enough for that.
"""

from typing import Any

import torch
from PIL import Image, ImageFilter

from render.diffusion.latent_preview import latent_grid
from render.diffusion.pipeline_args import diffedit_arguments
from render.models.batch import PlannedImage
from render.models.introspection import PipelineSignature

NOISE_PAIRS = 4  # pairs of calls with the same noise, whose mean difference counts
CLIP_FACTOR = 3.0  # times the mean difference; larger differences are clipped
CHANGE_THRESHOLD = 0.5  # of the clipped difference, above which a place counts as changed
MAX_CHANGED_SHARE = 0.6  # of the image area; a larger change is not local


class _FirstStepDone(Exception):
    """Raised to stop the pipeline after its first step."""


def compute_mask(
    pipe: Any, signature: PipelineSignature, planned: PlannedImage, extra_arguments: dict[str, Any]
) -> Image.Image | None:
    """A mask in the size of the source image, white where it must change; None if that is most of it, or unknown.

    `pipe` is an image-to-image pipeline with a step callback; `extra_arguments` are passed to its calls.
    """
    if not signature.step_callback or planned.source is None:
        return None
    differences = []
    for look in range(NOISE_PAIRS):
        latents = _latents_after_one_step(pipe, diffedit_arguments(pipe, signature, planned, look) | extra_arguments)
        if latents is None:
            return None
        grids = [latent_grid(latents[row], planned.source.size) for row in (0, 1)]
        if grids[0] is None or grids[1] is None:
            return None
        differences.append((grids[0] - grids[1]).abs().mean(dim=2))
    return _threshold_mask(torch.stack(differences).mean(dim=0), planned.source.size)


def _latents_after_one_step(pipe: Any, arguments: dict[str, Any]) -> torch.Tensor | None:
    seen: list[torch.Tensor] = []

    def first(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        seen.append(tensors["latents"])
        raise _FirstStepDone

    try:
        pipe(**arguments, callback_on_step_end=first)
    except _FirstStepDone:
        pipe.maybe_free_model_hooks()
    return seen[0] if seen else None


def _threshold_mask(difference: torch.Tensor, size: tuple[int, int]) -> Image.Image | None:
    mean = float(difference.mean())
    if not mean > 0:
        return None
    level = (difference / (CLIP_FACTOR * mean)).clamp(max=1)
    white = Image.fromarray(((level > CHANGE_THRESHOLD) * 255).byte().numpy(), "L")
    drawn = white.filter(ImageFilter.MaxFilter(3)).resize(size, Image.Resampling.BILINEAR)
    share = float((level > CHANGE_THRESHOLD).float().mean())
    return drawn.point(lambda tone: 255 if tone > 64 else 0) if 0 < share <= MAX_CHANGED_SHARE else None
