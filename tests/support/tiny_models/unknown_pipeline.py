"""A pipeline of a class that nobody has heard of, with the least that any pipeline takes."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from diffusers import DiffusionPipeline, ImagePipelineOutput
from diffusers.image_processor import VaeImageProcessor
from diffusers.utils.torch_utils import randn_tensor

Received = Callable[[Any, int, Any, dict[str, Any]], dict[str, Any]]


class StrangerPipeline(DiffusionPipeline):  # type: ignore[misc]
    """Paints with a `denoiser`, where others have a UNet or a transformer."""

    def __init__(self, tokenizer: Any, text_encoder: Any, denoiser: Any, vae: Any, scheduler: Any) -> None:
        super().__init__()
        self.register_modules(
            tokenizer=tokenizer, text_encoder=text_encoder, denoiser=denoiser, vae=vae, scheduler=scheduler
        )
        self.vae_scale_factor = 2 ** (len(vae.config.block_out_channels) - 1)
        self.image_processor = VaeImageProcessor(vae_scale_factor=self.vae_scale_factor)

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | list[str],
        height: int = 64,
        width: int = 64,
        num_inference_steps: int = 12,
        guidance_scale: float = 3.0,
        generator: torch.Generator | list[torch.Generator] | None = None,
        callback_on_step_end: Received | None = None,
    ) -> Any:
        """One picture for a prompt; guidance by the empty prompt, where it is more than 1."""
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        guided = guidance_scale > 1
        received = self._read([*([""] * len(prompts) if guided else []), *prompts])
        self.scheduler.set_timesteps(num_inference_steps, device=self.device)
        size = (height // self.vae_scale_factor, width // self.vae_scale_factor)
        shape = (len(prompts), self.denoiser.config.in_channels, *size)
        latents = randn_tensor(shape, generator=generator, device=self.device, dtype=received.dtype)
        latents = latents * self.scheduler.init_noise_sigma
        for step, moment in enumerate(self.progress_bar(self.scheduler.timesteps)):
            seen = self.scheduler.scale_model_input(torch.cat([latents] * (2 if guided else 1)), moment)
            noise = self.denoiser(seen, moment, encoder_hidden_states=received).sample
            if guided:
                free, bound = noise.chunk(2)
                noise = free + guidance_scale * (bound - free)
            latents = self.scheduler.step(noise, moment, latents).prev_sample
            if callback_on_step_end is not None:
                latents = callback_on_step_end(self, step, moment, {"latents": latents}).get("latents", latents)
        pixels = self.vae.decode(latents / self.vae.config.scaling_factor).sample
        self.maybe_free_model_hooks()
        return ImagePipelineOutput(images=self.image_processor.postprocess(pixels, output_type="pil"))

    def _read(self, texts: Sequence[str]) -> torch.Tensor:
        tokens = self.tokenizer(list(texts), padding="max_length", truncation=True, return_tensors="pt")
        received: torch.Tensor = self.text_encoder(tokens.input_ids.to(self.device))[0]
        return received
