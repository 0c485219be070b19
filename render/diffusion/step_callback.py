"""Callbacks during one pipeline call: progress, previews and cancellation."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from PIL import Image

from render.diffusion.latent_preview import Lens, expected
from render.image_model import Cancelled
from render.models.batch import Sitting, Wish


class Watch:
    """Gets called after each step of a pipeline, or before each forward pass of its network."""

    def __init__(self, wishes: Sequence[Wish], sitting: Sitting, lens: Lens) -> None:
        self._wishes = wishes
        self._sitting = sitting
        self._lens = lens
        self._latents: torch.Tensor | None = None
        self._passes = 0

    def on_step(self, pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        """For `callback_on_step_end`. Raises Cancelled."""
        try:
            self._sitting.go_on()
        except Cancelled:
            pipe.maybe_free_model_hooks()  # the exception skips the call of it in the pipeline
            raise
        steps = getattr(pipe, "_num_timesteps", None) or len(pipe.scheduler.timesteps)
        self._sitting.step(len(self._wishes), (step + 1) / steps)
        if "clean" in tensors:  # a small image already, RGB in [-1, 1]
            for row in self._sitting.previews(len(self._wishes)):
                self._sitting.show(self._wishes[row].task, _as_picture(tensors["clean"][row]))
        elif "latents" in tensors:
            self._preview(pipe, step, steps, tensors["latents"])
        return {}

    def _preview(self, pipe: Any, step: int, steps: int, latents: torch.Tensor) -> None:
        before, self._latents = self._latents, latents.detach()
        if step + 1 >= steps or len(latents) != len(self._wishes):
            return
        for row in self._sitting.previews(len(self._wishes)):
            size = self._wishes[row].size
            now = expected(latents[row], None if before is None else before[row], pipe.scheduler)
            if size and (image := self._lens.look(now, size)):
                self._sitting.show(self._wishes[row].task, image)

    @contextmanager
    def hooked(self, pipe: Any) -> Iterator[None]:
        """For a pipeline without a step callback: a hook before each forward pass of its network. Raises Cancelled."""
        network = getattr(pipe, "unet", None) or getattr(pipe, "transformer", None)
        if network is None:
            yield
            return
        hook = network.register_forward_pre_hook(lambda *_: self._before_a_pass(pipe))
        try:
            yield
        except Cancelled:
            pipe.maybe_free_model_hooks()
            raise
        finally:
            hook.remove()

    def _before_a_pass(self, pipe: Any) -> None:
        self._sitting.go_on()
        steps = len(getattr(pipe.scheduler, "timesteps", ())) or 1
        self._sitting.step(len(self._wishes), min(1.0, self._passes / steps))
        self._passes += 1

    def without_numbers(self) -> set[int]:
        """The rows of the call whose last latents are not finite (NaN or infinity)."""
        if self._latents is None or len(self._latents) != len(self._wishes):
            return set()
        good = torch.isfinite(self._latents.flatten(1)).all(dim=1).tolist()
        return {row for row, each in enumerate(good) if not each}

    def learn(self, images: Sequence[Image.Image]) -> None:
        """Train the preview decoder with the first image of the call, for the previews of later images."""
        if self._latents is not None and len(self._latents) == len(images):
            self._lens.learn(self._latents[0], images[0])


def _as_picture(pixels: torch.Tensor) -> Image.Image:
    """A preview image of 128 x 128 pixels from `[3, height, width]` in [-1, 1]."""
    levels = ((pixels.float().clamp(-1, 1) + 1) * 127.5).round().byte()
    return Image.fromarray(levels.permute(1, 2, 0).cpu().numpy()).resize((128, 128), Image.Resampling.BICUBIC)
