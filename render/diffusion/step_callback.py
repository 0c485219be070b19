"""Callbacks during one pipeline call: progress, previews and cancellation."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from PIL import Image

from render.diffusion.latent_preview import PreviewDecoder, predict_final_latents
from render.image_model import Cancelled
from render.models.batch import BatchProgress, PlannedImage


class StepCallback:
    """Gets called after each step of a pipeline, or before each forward pass of its network."""

    def __init__(self, planned: Sequence[PlannedImage], progress: BatchProgress, decoder: PreviewDecoder) -> None:
        self._planned = planned
        self._progress = progress
        self._decoder = decoder
        self._latents: torch.Tensor | None = None
        self._passes = 0

    def on_step_end(self, pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        """For `callback_on_step_end`. Raises Cancelled."""
        try:
            self._progress.raise_if_cancelled()
        except Cancelled:
            pipe.maybe_free_model_hooks()  # the exception skips the call of it in the pipeline
            raise
        steps = getattr(pipe, "_num_timesteps", None) or len(pipe.scheduler.timesteps)
        self._progress.report_step(len(self._planned), (step + 1) / steps)
        if "clean" in tensors:  # a small image already, RGB in [-1, 1]
            for row in self._progress.select_preview_rows(len(self._planned)):
                self._progress.send_preview(self._planned[row].task, _to_image(tensors["clean"][row]))
        elif "latents" in tensors:
            self._preview(pipe, step, steps, tensors["latents"])
        return {}

    def _preview(self, pipe: Any, step: int, steps: int, latents: torch.Tensor) -> None:
        before, self._latents = self._latents, latents.detach()
        if step + 1 >= steps or len(latents) != len(self._planned):
            return
        for row in self._progress.select_preview_rows(len(self._planned)):
            size = self._planned[row].size
            now = predict_final_latents(latents[row], None if before is None else before[row], pipe.scheduler)
            if size and (image := self._decoder.decode_preview(now, size)):
                self._progress.send_preview(self._planned[row].task, image)

    @contextmanager
    def forward_hook(self, pipe: Any) -> Iterator[None]:
        """For a pipeline without a step callback: a hook before each forward pass of its network. Raises Cancelled."""
        network = getattr(pipe, "unet", None) or getattr(pipe, "transformer", None)
        if network is None:
            yield
            return
        hook = network.register_forward_pre_hook(lambda *_: self._on_forward(pipe))
        try:
            yield
        except Cancelled:
            pipe.maybe_free_model_hooks()
            raise
        finally:
            hook.remove()

    def _on_forward(self, pipe: Any) -> None:
        self._progress.raise_if_cancelled()
        steps = len(getattr(pipe.scheduler, "timesteps", ())) or 1
        self._progress.report_step(len(self._planned), min(1.0, self._passes / steps))
        self._passes += 1

    def non_finite_rows(self) -> set[int]:
        """The rows of the call whose last latents are not finite (NaN or infinity)."""
        if self._latents is None or len(self._latents) != len(self._planned):
            return set()
        good = torch.isfinite(self._latents.flatten(1)).all(dim=1).tolist()
        return {row for row, each in enumerate(good) if not each}

    def learn_preview(self, images: Sequence[Image.Image]) -> None:
        """Train the preview decoder with the first image of the call, for the previews of later images."""
        if self._latents is not None and len(self._latents) == len(images):
            self._decoder.learn_from(self._latents[0], images[0])


def _to_image(pixels: torch.Tensor) -> Image.Image:
    """A preview image of 128 x 128 pixels from `[3, height, width]` in [-1, 1]."""
    levels = ((pixels.float().clamp(-1, 1) + 1) * 127.5).round().byte()
    return Image.fromarray(levels.permute(1, 2, 0).cpu().numpy()).resize((128, 128), Image.Resampling.BICUBIC)
