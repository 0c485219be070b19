"""Families that paint with a UNet: Stable Diffusion 1.5, InstructPix2Pix, SDXL, and a stranger."""

from typing import Any

import diffusers

from tests.support.tiny_models import components, tokenizers

NOISE: dict[str, Any] = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}


@components.seeded
def sd() -> Any:
    """Stable Diffusion 1.5, with the schedule it comes with, which paints the second step twice."""
    schedule = diffusers.PNDMScheduler(**NOISE, skip_prk_steps=True)
    return diffusers.StableDiffusionPipeline(**_of_sd(components.LATENTS), scheduler=schedule)


@components.seeded
def instruct_pix2pix() -> Any:
    """InstructPix2Pix, whose UNet sees the picture beside the noise."""
    schedule = diffusers.EulerAncestralDiscreteScheduler(**NOISE)
    return diffusers.StableDiffusionInstructPix2PixPipeline(**_of_sd(2 * components.LATENTS), scheduler=schedule)


@components.seeded
def sdxl() -> Any:
    """SDXL's base model."""
    schedule = diffusers.EulerDiscreteScheduler(**NOISE)
    return diffusers.StableDiffusionXLPipeline(**_of_sdxl(), scheduler=schedule)


@components.seeded
def sdxl_turbo() -> Any:
    """SDXL Turbo: the same class, told apart by its schedule alone."""
    schedule = diffusers.EulerAncestralDiscreteScheduler(**NOISE, timestep_spacing="trailing")
    return diffusers.StableDiffusionXLPipeline(**_of_sdxl(), scheduler=schedule)


@components.seeded
def sdxl_with_eyes() -> Any:
    """SDXL with the image encoder of an IP-Adapter; the adapter itself is a file, and not loaded."""
    schedule = diffusers.EulerDiscreteScheduler(**NOISE)
    eyes = {"image_encoder": components.clip_vision(), "feature_extractor": components.clip_glasses()}
    return diffusers.StableDiffusionXLPipeline(**_of_sdxl(), **eyes, scheduler=schedule)


@components.seeded
def stranger() -> Any:
    """A class of our own, of which no table knows anything."""
    from tests.support.tiny_models.unknown_pipeline import StrangerPipeline

    tokenizer = tokenizers.clip()
    return StrangerPipeline(
        tokenizer=tokenizer,
        text_encoder=components.clip_text(tokenizer),
        denoiser=unet(components.LATENTS, components.WIDE),
        vae=components.vae(),
        scheduler=diffusers.DDIMScheduler(**NOISE, clip_sample=False),
    )


def unet(sees: int, hears: int, **more: Any) -> Any:
    """Takes `sees` channels of latents and `hears` numbers for a token."""
    return diffusers.UNet2DConditionModel(
        sample_size=8, in_channels=sees, out_channels=components.LATENTS, cross_attention_dim=hears,
        block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        **{"attention_head_dim": 2, **more},
    )  # fmt: skip


def _of_sd(sees: int) -> dict[str, Any]:
    tokenizer = tokenizers.clip()
    return {
        "vae": components.vae(),
        "text_encoder": components.clip_text(tokenizer),
        "tokenizer": tokenizer,
        "unet": unet(sees, components.WIDE),
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }


def _of_sdxl() -> dict[str, Any]:
    tokenizer = tokenizers.clip()
    sizes = 6 * 8  # SDXL is told six numbers about sizes and crops, here with 8 numbers each
    arguments = {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": sizes + components.WIDE,
        "use_linear_projection": True,
    }
    return {
        "vae": components.vae(),
        "text_encoder": components.clip_text(tokenizer),
        "text_encoder_2": components.clip_text(tokenizer, projected=True),
        "tokenizer": tokenizer,
        "tokenizer_2": tokenizers.clip(),
        "unet": unet(components.LATENTS, 2 * components.WIDE, **arguments),
    }
