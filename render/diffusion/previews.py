"""How a picture looks while it is drawn: a small picture from its latents, by factors learned from finished pictures.

The last latents of a picture and the picture itself tell how the one becomes the other: nearly a linear map, as one
colour for each place. So no model needs a table, or a second decoder; only the first picture of a process is not shown.
"""

from typing import Any

import numpy as np
import torch
from PIL import Image

ENOUGH = 2  # times as many places as channels, before the map is used
RIDGE = 1e-3


class Lens:
    """Learns the map from latents to colours, and applies it."""

    def __init__(self) -> None:
        self._products: torch.Tensor | None = None  # of the latents with themselves, and with the colours
        self._colours: torch.Tensor | None = None
        self._places = 0
        self._map: torch.Tensor | None = None

    def learn(self, latents: torch.Tensor, image: Image.Image) -> None:
        """From the last latents of one picture."""
        grid = spread_out(latents, image.size)
        if grid is None or not torch.isfinite(grid).all():
            return
        small = image.convert("RGB").resize((grid.shape[1], grid.shape[0]), Image.Resampling.BOX)
        colours = torch.from_numpy(np.asarray(small, dtype=np.float32)).reshape(-1, 3).double() / 127.5 - 1
        known = _with_one(grid).double()
        if self._products is None or self._colours is None or self._products.shape[0] != known.shape[1]:
            self._products, self._colours, self._places = known.T @ known, known.T @ colours, len(known)
        else:
            self._products += known.T @ known
            self._colours += known.T @ colours
            self._places += len(known)
        if self._places >= ENOUGH * len(self._products):
            ridge = RIDGE * self._places * torch.eye(len(self._products), dtype=torch.float64)
            self._map = torch.linalg.solve(self._products + ridge, self._colours).float()

    def look(self, latents: torch.Tensor, size: tuple[int, int]) -> Image.Image | None:
        """The picture of one item's latents; None while too little is known."""
        if self._map is None:
            return None
        grid = spread_out(latents, size)
        if grid is None or grid.shape[2] + 1 != len(self._map):
            return None
        pixels = ((_with_one(grid) @ self._map).reshape(*grid.shape[:2], 3).clamp(-1, 1) + 1) * 127.5
        return Image.fromarray(pixels.round().byte().numpy()).resize(_small(size), Image.Resampling.BICUBIC)


def spread_out(latents: torch.Tensor, size: tuple[int, int]) -> torch.Tensor | None:
    """One item's latents as `[rows, columns, channels]` on the CPU.

    They come as `[channels, rows, columns]`, with one frame between, or in rows as `[places, channels]`.
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


def expected(latents: torch.Tensor, before: torch.Tensor | None, scheduler: Any) -> torch.Tensor:
    """What the latents are on the way to, where the scheduler goes straight ahead: flow matching and Euler's method."""
    sigmas, reached = getattr(scheduler, "sigmas", None), getattr(scheduler, "step_index", None)
    if before is None or before.shape != latents.shape or sigmas is None or not reached or reached >= len(sigmas):
        return latents
    here, there = float(sigmas[reached - 1]), float(sigmas[reached])
    return latents if here == there else latents - there * (latents - before) / (there - here)


def _with_one(grid: torch.Tensor) -> torch.Tensor:
    flat = grid.reshape(-1, grid.shape[2])
    return torch.cat([flat, torch.ones(len(flat), 1)], dim=1)


def _small(size: tuple[int, int]) -> tuple[int, int]:
    shrink = min(1.0, 256 / max(size))
    return max(1, round(size[0] * shrink)), max(1, round(size[1] * shrink))
