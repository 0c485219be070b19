"""A pipeline on a device with little memory, at the interface that diffusers' pipelines have."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch
from PIL import Image

SIDE = 8  # pixels


@dataclass
class Decoder:
    """The part that makes pixels; it remembers what was switched on."""

    enabled: list[str] = field(default_factory=list)

    def enable_slicing(self) -> None:
        """One picture at a time."""
        self.enabled.append("slicing")

    def enable_tiling(self) -> None:
        """One piece at a time."""
        self.enabled.append("tiling")


@dataclass
class SmallDevice:
    """Takes `rows` pictures of 8 x 8 at once; `needs` are what must be switched on before it takes any.

    A prompt `poison` is refused, `broken` is a device that is no more.
    """

    rows: float = 100
    needs: tuple[str, ...] = ()
    calls: list[list[str]] = field(default_factory=list)
    enabled: list[str] = field(default_factory=list)
    components: dict[str, Any] = field(default_factory=dict)
    scheduler: Any = field(default_factory=lambda: SimpleNamespace(timesteps=(1, 0)))

    def __post_init__(self) -> None:
        self.vae = Decoder(self.enabled)

    def __call__(
        self,
        prompt: str | Sequence[str],
        generator: torch.Generator | Sequence[torch.Generator],
        num_inference_steps: int = 2,
        width: int = SIDE,
        height: int = SIDE,
        callback_on_step_end: Callable[[Any, int, Any, dict[str, Any]], dict[str, Any]] = lambda *arguments: {},
    ) -> SimpleNamespace:
        """Pictures of one colour, drawn from the generators."""
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        generators = [generator] if isinstance(generator, torch.Generator) else list(generator)
        self.calls.append(prompts)
        if "poison" in prompts:
            raise ValueError("no such thing.")
        if "broken" in prompts:
            raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
        for step in range(num_inference_steps):
            callback_on_step_end(self, step, None, {})
            much = len(prompts) * width * height > self.rows * SIDE**2
            if much or not set(self.needs) <= set(self.enabled):
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        colours = [tuple(torch.randint(256, (3,), generator=one).tolist()) for one in generators]
        return SimpleNamespace(images=[Image.new("RGB", (width, height), colour) for colour in colours])

    def maybe_free_model_hooks(self) -> None:
        """Nothing is left behind."""

    def enable_model_cpu_offload(self, device: str) -> None:
        """The parts take turns on the device."""
        self.enabled.append(f"offload to {device}")
