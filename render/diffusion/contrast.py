"""Where a picture must change: where the model sees most difference between what it shows and what it is to show.

After "DiffEdit" (arXiv 2210.11427): the same noisy picture is denoised once under each of the two descriptions, and
what differs is the place of the change. One step is enough for that.
"""

from typing import Any

import torch
from PIL import Image, ImageFilter

from render.capabilities import Takes
from render.diffusion.calls import for_contrast
from render.diffusion.previews import spread_out
from render.sitting import Wish

LOOKS = 4  # pairs of noise, of which the mean counts
CLIPPED = 3.0  # times the mean difference: beyond it all differences are alike
SHARE = 0.5  # of the clipped difference from which a place counts as changed
MOST = 0.6  # of the picture: a change of more is none of a part


class _Seen(Exception):
    """The first step is done."""


def mask(pipe: Any, taken: Takes, wish: Wish, besides: dict[str, Any]) -> Image.Image | None:
    """White where the picture of the wish must change, in its size; None where that is most of it, or cannot be told.

    `pipe` starts from pictures and can be watched; `besides` is what each call of it must be given.
    """
    if not taken.callback or wish.source is None:
        return None
    differences = []
    for look in range(LOOKS):
        latents = _after_one_step(pipe, for_contrast(pipe, taken, wish, look) | besides)
        if latents is None:
            return None
        grids = [spread_out(latents[row], wish.source.size) for row in (0, 1)]
        if grids[0] is None or grids[1] is None:
            return None
        differences.append((grids[0] - grids[1]).abs().mean(dim=2))
    return _white(torch.stack(differences).mean(dim=0), wish.source.size)


def _after_one_step(pipe: Any, arguments: dict[str, Any]) -> torch.Tensor | None:
    seen: list[torch.Tensor] = []

    def first(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        seen.append(tensors["latents"])
        raise _Seen

    try:
        pipe(**arguments, callback_on_step_end=first)
    except _Seen:
        pipe.maybe_free_model_hooks()
    return seen[0] if seen else None


def _white(difference: torch.Tensor, size: tuple[int, int]) -> Image.Image | None:
    mean = float(difference.mean())
    if not mean > 0:
        return None
    level = (difference / (CLIPPED * mean)).clamp(max=1)
    white = Image.fromarray(((level > SHARE) * 255).byte().numpy(), "L")
    drawn = white.filter(ImageFilter.MaxFilter(3)).resize(size, Image.Resampling.BILINEAR)
    share = float((level > SHARE).float().mean())
    return drawn.point(lambda tone: 255 if tone > 64 else 0) if 0 < share <= MOST else None
