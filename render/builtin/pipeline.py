"""The built-in picture model as a diffusers pipeline: captions, and pictures to change, to pictures of 256 x 256."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import torch
from diffusers import DiffusionPipeline, FlowMatchEulerDiscreteScheduler, ImagePipelineOutput
from diffusers.image_processor import VaeImageProcessor
from diffusers.utils.torch_utils import randn_tensor
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast

from render.builtin.decoder import SCALE, SceneDecoder
from render.builtin.model import SceneTransformer
from render.builtin.parallel_rows import spread
from render.builtin.preserve import MOST, keep_things

UNCHANGED = (
    0.15  # difference of latents below which an edit has left the place alone; the palette's colours are 0.3 apart
)

GUIDED = 0.55  # noise level below which guidance works; above, it costs time and changes nothing that can be measured

OnStepEnd = Callable[["ScenePipeline", int, float, dict[str, Tensor]], dict[str, Tensor]]


class ScenePipeline(DiffusionPipeline):
    """Draws a caption; with a source picture, the source as the caption says it should be.

    Words outside the tokenizer's vocabulary are ignored by the network, more or less.
    """

    model_cpu_offload_seq = "transformer->decoder"
    _callback_tensor_inputs = ("latents", "clean")

    tokenizer: PreTrainedTokenizerFast
    transformer: SceneTransformer
    decoder: SceneDecoder
    scheduler: FlowMatchEulerDiscreteScheduler

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        transformer: SceneTransformer,
        decoder: SceneDecoder,
        scheduler: FlowMatchEulerDiscreteScheduler,
    ) -> None:
        super().__init__()
        self.register_modules(tokenizer=tokenizer, transformer=transformer, decoder=decoder, scheduler=scheduler)
        self.side = SCALE * int(transformer.config.sample_size)
        self.image_processor = VaeImageProcessor(vae_scale_factor=SCALE)

    @torch.no_grad()
    def __call__(
        self: Self,
        prompt: str | Sequence[str],
        image: Image.Image | Sequence[Image.Image | None] | None = None,
        num_inference_steps: int = 8,
        guidance_scale: float = 1.3,
        generator: torch.Generator | list[torch.Generator] | None = None,
        height: int | None = None,
        width: int | None = None,
        output_type: str = "pil",
        callback_on_step_end: OnStepEnd | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        return_dict: bool = True,
    ) -> Any:
        """An `ImagePipelineOutput` with one picture for each prompt; without `return_dict` a tuple with the pictures.

        They come as `pil`, `np` (`[batch, 256, 256, 3]` in [0, 1]) or `latent`.

        `image` is the picture to change, one for all prompts or one for each, with None where nothing is changed.
        The callback may ask for `latents` and `clean`, the clean latents predicted so far (see `decode`); what it
        returns under `latents` is gone on with, and what it raises ends the drawing. One generator for each prompt
        makes a picture independent of its company in the batch. Guidance is applied in a part of the steps alone, as
        in arXiv 2404.07724. Raises ValueError for another size than 256 x 256.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        if any(length not in (None, self.side) for length in (height, width)):
            raise ValueError(f"the built-in model draws {self.side} x {self.side} pixels, not {width} x {height}")
        if unknown := set(callback_on_step_end_tensor_inputs) - set(self._callback_tensor_inputs):
            raise ValueError(f"the callback can have {self._callback_tensor_inputs}, not {sorted(unknown)}")
        device = self._execution_device
        pictures = self.source_pictures(image, len(prompts)).to(device)
        source = F.avg_pool2d(pictures, SCALE)
        guided = guidance_scale > 1
        words = self._words(prompts + [""] * len(prompts) * guided).to(device)
        latents = randn_tensor(source.shape, generator=generator, device=device, dtype=torch.float32)
        self.scheduler.set_timesteps(sigmas=np.linspace(1, 1 / num_inference_steps, num_inference_steps), device=device)
        clean = latents
        with self.progress_bar(total=num_inference_steps) as progress:
            for i, t in enumerate(self.scheduler.timesteps):
                sigma = self.scheduler.sigmas[i]
                guides = guided and sigma <= GUIDED
                clean = self._predict(latents, sigma, words if guides else words[: len(prompts)], source)
                if guides:
                    with_words, without = clean.chunk(2)
                    clean = without + guidance_scale * (with_words - without)
                clean = clean.clamp(-1, 1)
                latents = self.scheduler.step((latents - clean) / sigma, t, latents, return_dict=False)[0]
                if callback_on_step_end is not None:
                    told = {"latents": latents, "clean": clean}
                    told = {name: told[name] for name in callback_on_step_end_tensor_inputs}
                    latents = callback_on_step_end(self, i, float(t), told).get("latents", latents)
                progress.update()
        result: Any = latents
        if output_type != "latent":
            result = self.decode(latents, pictures)
            result = self.image_processor.postprocess(result, output_type=output_type)
        self.maybe_free_model_hooks()
        return ImagePipelineOutput(images=result) if return_dict else (result,)

    @torch.no_grad()
    def decode(self, latents: Tensor, pictures: Tensor | None = None) -> Tensor:
        """The pictures of latents, `[batch, 3, 256, 256]` in [-1, 1].

        Where the latents are still those of the source `pictures` (of the same shape, NaN where there is none), the
        source's own pixels are kept, so that an edit blurs nothing that it does not change; as are those of things
        whose background alone is another.
        """
        # convolutions are faster where the channels of a pixel lie together
        sample = latents.to(self.decoder.dtype, memory_format=torch.channels_last)
        drawn = spread(self.decoder, sample).float().clamp(-1, 1)
        if pictures is None:
            return drawn
        given = ~pictures.isnan()
        difference = (latents - F.avg_pool2d(pictures, SCALE)).abs().amax(1, keepdim=True)
        changed = F.max_pool2d((difference > UNCHANGED).float(), 3, stride=1, padding=1)
        rows = changed.mean((1, 2, 3)) > MOST  # in no other can the background have been changed
        if rows.any():
            drawn[rows] = spread(keep_things, drawn[rows], pictures[rows])
        share = F.interpolate(changed, scale_factor=SCALE, mode="bilinear", align_corners=False)
        return torch.where(given, pictures.nan_to_num().lerp(drawn, share), drawn)

    def source_pictures(self, image: Image.Image | Sequence[Image.Image | None] | None, count: int) -> Tensor:
        """`[count, 3, 256, 256]` in [-1, 1]; NaN where there is no source."""
        images = [image] * count if image is None or isinstance(image, Image.Image) else list(image)
        if len(images) != count:
            raise ValueError(f"{count} prompts need one source picture each, or one for all, not {len(images)}")
        pictures = torch.full((count, 3, self.side, self.side), math.nan)
        for picture, source in zip(pictures, images, strict=True):
            if source is not None:
                pixels = np.asarray(source.convert("RGB").resize((self.side, self.side), Image.Resampling.LANCZOS))
                picture.copy_(torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1) / 127.5 - 1)
        return pictures

    def _predict(self, latents: Tensor, sigma: Tensor, words: Tensor, source: Tensor) -> Tensor:
        rows = len(words) // len(latents)
        dtype = self.transformer.dtype
        sample, source = (tensor.repeat(rows, 1, 1, 1).to(dtype) for tensor in (latents, source))

        def predict(sample: Tensor, words: Tensor, source: Tensor) -> Tensor:
            predicted: Tensor = self.transformer(sample, sigma[None], words, source)
            return predicted.float()

        return spread(predict, sample, words, source)

    def _words(self, prompts: list[str]) -> Tensor:
        length = self.transformer.config.max_words
        told = self.tokenizer(prompts, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        words: Tensor = told["input_ids"]
        return words
