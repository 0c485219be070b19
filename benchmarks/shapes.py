"""Pipelines with the real dimensions of known models and random weights: as slow as those, without their files."""

from typing import Any

import diffusers
import torch
import transformers

from tests.support.tiny_models import FAMILIES, tokenizers

MAX_TOKENS = 77  # that CLIP reads


def sdxl() -> Any:
    """SDXL's U-Net, autoencoder and both text encoders."""
    unet = diffusers.UNet2DConditionModel(
        sample_size=128, block_out_channels=(320, 640, 1280), layers_per_block=2, attention_head_dim=(5, 10, 20),
        cross_attention_dim=2048, transformer_layers_per_block=(1, 2, 10), use_linear_projection=True,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        addition_embed_type="text_time", addition_time_embed_dim=256, projection_class_embeddings_input_dim=2816,
    )  # fmt: skip
    return diffusers.StableDiffusionXLPipeline(
        vae=_vae(4, shift=None), unet=unet, tokenizer=tokenizers.clip(), tokenizer_2=tokenizers.clip(),
        text_encoder=transformers.CLIPTextModel(_clip(768, 12, 12)),
        text_encoder_2=transformers.CLIPTextModelWithProjection(_clip(1280, 32, 20)),
        scheduler=diffusers.EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"),
        add_watermarker=False,
    )  # fmt: skip


def flux() -> Any:
    """FLUX.1 dev's transformer, autoencoder and both text encoders."""
    t5 = transformers.T5Config(
        vocab_size=32128, d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64, dropout_rate=0.0,
        feed_forward_proj="gated-gelu",
    )  # fmt: skip
    return diffusers.FluxPipeline(
        transformer=diffusers.FluxTransformer2DModel(guidance_embeds=True), vae=_vae(16, shift=0.1159),
        text_encoder=transformers.CLIPTextModel(_clip(768, 12, 12)), tokenizer=tokenizers.clip(),
        text_encoder_2=transformers.T5EncoderModel(t5), tokenizer_2=tokenizers.t5(),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
    )  # fmt: skip


def tiny(family: str) -> Any:
    """The same classes with a few thousand weights."""
    return FAMILIES[family].build()


def build_on_device(build: Any, device: str) -> Any:
    """Build the pipeline on its device, in bf16 on a GPU, ready to be called."""
    defaults = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16 if device == "cuda" else torch.float32)
    try:
        with torch.device(device):
            pipe = build()
    finally:
        torch.set_default_dtype(defaults)
    pipe.to(device, torch.bfloat16 if device == "cuda" else torch.float32)
    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval()
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _vae(latents: int, shift: float | None) -> Any:
    return diffusers.AutoencoderKL(
        block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=latents, sample_size=1024,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4, shift_factor=shift,
        scaling_factor=0.13025,
    )  # fmt: skip


def _clip(wide: int, layers: int, heads: int) -> Any:
    tokenizer = tokenizers.clip()
    return transformers.CLIPTextConfig(
        vocab_size=49408, hidden_size=wide, intermediate_size=4 * wide, projection_dim=wide, num_hidden_layers=layers,
        num_attention_heads=heads, max_position_embeddings=MAX_TOKENS, eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
