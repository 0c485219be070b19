"""Previews of unfinished images: decodes latents by a linear map that is learned from finished images.

From latents to colours is nearly a linear map, one colour per latent position. The final latents of an image and the
image itself are its training data. So no model needs a table of factors or a second decoder; only the first image of a
process has no preview.
"""

from typing import Any

import numpy as np
import torch
from PIL import Image

SAMPLES_PER_CHANNEL = 2  # latent positions per channel that are needed before the map is used
RIDGE = 1e-3


class PreviewDecoder:
    """Learns the linear map from latents to colours by ridge regression, and applies it."""

    def __init__(self) -> None:
        self._latent_products: torch.Tensor | None = None  # of the latents with themselves
        self._colour_products: torch.Tensor | None = None
        self._samples = 0
        self._colour_map: torch.Tensor | None = None

    def learn_from(self, latents: torch.Tensor, image: Image.Image) -> None:
        """Update the map with the final latents of an image and the image itself."""
        grid = latent_grid(latents, image.size)
        if grid is None or not torch.isfinite(grid).all():
            return
        small = image.convert("RGB").resize((grid.shape[1], grid.shape[0]), Image.Resampling.BOX)
        colours = torch.from_numpy(np.asarray(small, dtype=np.float32)).reshape(-1, 3).double() / 127.5 - 1
        known = _with_bias(grid).double()
        if (
            self._latent_products is None
            or self._colour_products is None
            or self._latent_products.shape[0] != known.shape[1]
        ):
            self._latent_products, self._colour_products, self._samples = known.T @ known, known.T @ colours, len(known)
        else:
            self._latent_products += known.T @ known
            self._colour_products += known.T @ colours
            self._samples += len(known)
        if self._samples >= SAMPLES_PER_CHANNEL * len(self._latent_products):
            ridge = RIDGE * self._samples * torch.eye(len(self._latent_products), dtype=torch.float64)
            self._colour_map = torch.linalg.solve(self._latent_products + ridge, self._colour_products).float()

    def decode_preview(self, latents: torch.Tensor, size: tuple[int, int]) -> Image.Image | None:
        """Decode the latents of one image to a small image; None before the first image is learned.

        `size` is that of the image in pixels.
        """
        if self._colour_map is None:
            return None
        grid = latent_grid(latents, size)
        if grid is None or grid.shape[2] + 1 != len(self._colour_map):
            return None
        pixels = ((_with_bias(grid) @ self._colour_map).reshape(*grid.shape[:2], 3).clamp(-1, 1) + 1) * 127.5
        return Image.fromarray(pixels.round().byte().numpy()).resize(_preview_size(size), Image.Resampling.BICUBIC)


def latent_grid(latents: torch.Tensor, size: tuple[int, int]) -> torch.Tensor | None:
    """The latents of one image as `[rows, columns, channels]` on the CPU, in float32; None for another shape.

    `latents` are `[channels, rows, columns]`, `[channels, 1, rows, columns]` or `[rows * columns, channels]`.
    """
    latents = latents.detach().float().cpu()
    if latents.dim() == 4 and latents.shape[1] == 1:
        latents = latents[:, 0]
    if latents.dim() == 3:
        return latents.permute(1, 2, 0).contiguous()
    if latents.dim() != 2:
        return None
    rows = round((len(latents) * size[1] / size[0]) ** 0.5)
    if not rows or len(latents) % rows:
        return None
    return latents.reshape(rows, -1, latents.shape[1])


def predict_final_latents(latents: torch.Tensor, previous: torch.Tensor | None, scheduler: Any) -> torch.Tensor:
    """Extrapolate the final latents from two steps of a flow-matching or Euler scheduler; else return `latents`."""
    sigmas, reached = getattr(scheduler, "sigmas", None), getattr(scheduler, "step_index", None)
    if previous is None or previous.shape != latents.shape or sigmas is None or not reached or reached >= len(sigmas):
        return latents
    here, there = float(sigmas[reached - 1]), float(sigmas[reached])
    return latents if here == there else latents - there * (latents - previous) / (there - here)


def _with_bias(grid: torch.Tensor) -> torch.Tensor:
    flat = grid.reshape(-1, grid.shape[2])
    return torch.cat([flat, torch.ones(len(flat), 1)], dim=1)


def _preview_size(size: tuple[int, int]) -> tuple[int, int]:
    shrink = min(1.0, 256 / max(size))
    return max(1, round(size[0] * shrink)), max(1, round(size[1] * shrink))
