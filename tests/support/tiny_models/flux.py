"""The families of FLUX.1, of FLUX.2 klein, and Chroma, which descends from FLUX.1."""

from typing import Any

import diffusers

from tests.support.tiny_models import components, tokenizers

PACKED = 4 * components.LATENTS  # four latents are one token
AXES = (4, 6, 6)  # how a head of 16 numbers is shared between time, height and width
RECEIVED = 27  # the deepest layer of the reader that FLUX.2 klein listens to


@components.seeded
def flux_dev() -> Any:
    """FLUX.1 dev, which is told the guidance as a number."""
    return diffusers.FluxPipeline(**_of_flux(guided=True))


@components.seeded
def flux_schnell() -> Any:
    """FLUX.1 schnell, which has no guidance at all."""
    return diffusers.FluxPipeline(**_of_flux(guided=False))


@components.seeded
def flux_kontext() -> Any:
    """FLUX.1 Kontext: the parts of dev, and weights that understand instructions."""
    return diffusers.FluxKontextPipeline(**_of_flux(guided=True))


@components.seeded
def flux_fill() -> Any:
    """FLUX.1 Fill, whose transformer sees the picture and the mask beside the noise."""
    mask = 4 * components.SCALE**2  # pixel by pixel
    return diffusers.FluxFillPipeline(**_of_flux(guided=True, sees=2 * PACKED + mask))


@components.seeded
def flux2_klein() -> Any:
    """FLUX.2 klein, distilled: four steps, no guidance."""
    return _klein(distilled=True)


@components.seeded
def flux2_klein_base() -> Any:
    """FLUX.2 klein before it was distilled."""
    return _klein(distilled=False)


@components.seeded
def chroma() -> Any:
    """Chroma: FLUX.1 without CLIP, with guidance by negative prompts."""
    tokenizer = tokenizers.t5()
    transformer = diffusers.ChromaTransformer2DModel(
        in_channels=PACKED, num_layers=1, num_single_layers=1, num_attention_heads=2, attention_head_dim=sum(AXES),
        joint_attention_dim=components.WIDE, axes_dims_rope=AXES, approximator_num_channels=16,
        approximator_hidden_dim=16,
        approximator_layers=1,
    )  # fmt: skip
    return diffusers.ChromaPipeline(
        scheduler=components.flow(shifting=True),
        vae=components.vae(shift=components.SHIFT),
        text_encoder=components.t5_text(tokenizer),
        tokenizer=tokenizer,
        transformer=transformer,
    )


def _of_flux(*, guided: bool, sees: int = PACKED) -> dict[str, Any]:
    phrases, sentences = tokenizers.clip(), tokenizers.t5()
    transformer = diffusers.FluxTransformer2DModel(
        in_channels=sees, out_channels=PACKED, num_layers=1, num_single_layers=1, num_attention_heads=2,
        attention_head_dim=sum(AXES), joint_attention_dim=components.WIDE, pooled_projection_dim=components.WIDE,
        guidance_embeds=guided, axes_dims_rope=AXES,
    )  # fmt: skip
    return {
        "scheduler": components.flow(shifting=guided),
        "vae": components.vae(shift=components.SHIFT),
        "text_encoder": components.clip_text(phrases),
        "tokenizer": phrases,
        "text_encoder_2": components.t5_text(sentences),
        "tokenizer_2": sentences,
        "transformer": transformer,
    }


def _klein(*, distilled: bool) -> Any:
    tokenizer = tokenizers.qwen()
    levels = 4
    vae = diffusers.AutoencoderKLFlux2(
        block_out_channels=(8,) * levels, down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels, latent_channels=components.LATENTS, layers_per_block=1,
        norm_num_groups=4, sample_size=64,
    )  # fmt: skip
    transformer = diffusers.Flux2Transformer2DModel(
        in_channels=PACKED, num_layers=1, num_single_layers=1, num_attention_heads=2, attention_head_dim=16,
        joint_attention_dim=3 * components.WIDE, timestep_guidance_channels=16, axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=False,
    )  # fmt: skip
    return diffusers.Flux2KleinPipeline(
        scheduler=components.flow(shifting=True),
        vae=components.sure(vae, by=20.0),
        text_encoder=components.qwen3_text(tokenizer, layers=RECEIVED),
        tokenizer=tokenizer,
        transformer=transformer,
        is_distilled=distilled,
    )
