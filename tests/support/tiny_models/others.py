"""Families that stand alone: Stable Diffusion 3.5, Sana, PixArt-Sigma and Lumina 2."""

from typing import Any

import diffusers

from tests.support.tiny_models import components, tokenizers

SD3_LATENTS = 16  # channels; its inpainting takes no other number


@components.seeded
def sd3() -> Any:
    """Stable Diffusion 3.5 medium: two CLIPs and a T5."""
    first, second, third = tokenizers.clip(), tokenizers.clip(), tokenizers.t5()
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=8, in_channels=SD3_LATENTS, out_channels=SD3_LATENTS, num_layers=1, num_attention_heads=2,
        attention_head_dim=8, joint_attention_dim=2 * components.WIDE, caption_projection_dim=16,
        pooled_projection_dim=2 * components.WIDE, pos_embed_max_size=32, qk_norm="rms_norm",
        dual_attention_layers=(0,),
    )  # fmt: skip
    return diffusers.StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=components.flow(),
        vae=components.vae(SD3_LATENTS, shift=components.SHIFT),
        text_encoder=components.clip_text(first, projected=True),
        tokenizer=first,
        text_encoder_2=components.clip_text(second, projected=True),
        tokenizer_2=second,
        text_encoder_3=components.t5_text(third, 2 * components.WIDE),
        tokenizer_3=third,
    )


@components.seeded
def sana() -> Any:
    """Sana, which makes 32 pixels of a latent, and paints the nearest size it knows."""
    tokenizer = tokenizers.gemma()
    levels = 6
    vae = diffusers.AutoencoderDC(
        latent_channels=components.LATENTS, attention_head_dim=4,
        encoder_block_out_channels=(4,) * levels, decoder_block_out_channels=(4,) * levels,
        encoder_layers_per_block=(1,) * levels, decoder_layers_per_block=(1,) * levels,
        encoder_qkv_multiscales=((),) * levels, decoder_qkv_multiscales=((),) * levels, scaling_factor=0.41407,
    )  # fmt: skip
    transformer = diffusers.SanaTransformer2DModel(
        in_channels=components.LATENTS, out_channels=components.LATENTS, num_attention_heads=2, attention_head_dim=8,
        num_layers=1, num_cross_attention_heads=2, cross_attention_head_dim=8, cross_attention_dim=16,
        caption_channels=components.WIDE, sample_size=16,
    )  # fmt: skip
    schedule = diffusers.DPMSolverMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    )
    return diffusers.SanaPipeline(
        tokenizer=tokenizer,
        text_encoder=components.gemma_text(tokenizer),
        vae=vae,
        transformer=transformer,
        scheduler=schedule,
    )


@components.seeded
def pixart_sigma() -> Any:
    """PixArt-Sigma, which tells of its steps in the old way, and paints the nearest size it knows."""
    tokenizer = tokenizers.t5()
    transformer = diffusers.PixArtTransformer2DModel(
        sample_size=32, in_channels=components.LATENTS, out_channels=2 * components.LATENTS, num_layers=1,
        num_attention_heads=2, attention_head_dim=8, cross_attention_dim=16, caption_channels=components.WIDE,
        use_additional_conditions=False,
    )  # fmt: skip
    return diffusers.PixArtSigmaPipeline(
        tokenizer=tokenizer,
        text_encoder=components.t5_text(tokenizer),
        vae=components.vae(),
        transformer=transformer,
        scheduler=diffusers.DPMSolverMultistepScheduler(),
    )


@components.seeded
def lumina2() -> Any:
    """Lumina 2, which puts a sentence of its own before the prompt."""
    tokenizer = tokenizers.gemma()
    transformer = diffusers.Lumina2Transformer2DModel(
        sample_size=8, in_channels=components.LATENTS, hidden_size=32, num_layers=1, num_refiner_layers=1,
        num_attention_heads=2, num_kv_heads=1, multiple_of=16, axes_dim_rope=(4, 6, 6), axes_lens=(300, 64, 64),
        cap_feat_dim=components.WIDE,
    )  # fmt: skip
    return diffusers.Lumina2Pipeline(
        transformer=transformer,
        scheduler=components.flow(),
        vae=components.vae(shift=components.SHIFT),
        text_encoder=components.gemma_text(tokenizer),
        tokenizer=tokenizer,
    )
