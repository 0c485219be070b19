"""The parts that several families share: what reads the prompt, and what makes pixels of latents."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import diffusers
import torch
import transformers

SCALE = 8  # pixels of a latent, in each direction, as in most large models
LATENTS = 4  # channels
WIDE = 16  # numbers for a token
LIVELY = 0.5  # spread of weights; at the usual 0.02 all prompts would read the same
SHIFT = 0.1159  # of FLUX's latents
SEED = 7


def seeded(build: Callable[[], Any]) -> Callable[[], Any]:
    """The same weights each time, whatever was drawn before; nobody else's random numbers change."""

    @wraps(build)
    def built() -> Any:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            pipe = build()
        amplify(getattr(pipe, "transformer", None) or getattr(pipe, "unet", None) or pipe.denoiser)
        pipe.set_progress_bar_config(disable=True)
        return pipe

    return built


def amplify(model: Any, by: float = 2.0) -> Any:
    """Makes its weights larger: as they are drawn, a small model hardly answers to what it is given."""
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(by)
    return model


def sure(vae: Any, by: float) -> Any:
    """Makes its latents of a picture louder, and almost without noise, as they are where an encoder was trained."""
    means = vae.config.latent_channels
    with torch.no_grad():
        for weight in vae.quant_conv.parameters():
            weight[:means].mul_(by)
            weight[means:].zero_()
        vae.quant_conv.bias[means:].fill_(-12.0)
    return vae


def vae(latents: int = LATENTS, *, shift: float | None = None) -> Any:
    """Makes 8 pixels of a latent, and back; the families of flow matching shift their latents."""
    levels = 4
    made = diffusers.AutoencoderKL(
        block_out_channels=(8,) * levels,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        latent_channels=latents,
        norm_num_groups=4,
        sample_size=64,
        shift_factor=shift,
    )
    return sure(made, by=25.0)


def clip_text(tokenizer: Any, *, projected: bool = False) -> Any:
    """CLIP's reader; `projected` adds what SDXL and SD3 ask of it."""
    config = transformers.CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=WIDE, intermediate_size=WIDE, projection_dim=WIDE,
        num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=tokenizer.model_max_length,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        initializer_factor=20.0,
    )  # fmt: skip
    return transformers.CLIPTextModelWithProjection(config) if projected else transformers.CLIPTextModel(config)


def clip_vision() -> Any:
    """CLIP's eyes, for IP-Adapters."""
    config = transformers.CLIPVisionConfig(
        hidden_size=WIDE, intermediate_size=WIDE, projection_dim=WIDE, num_hidden_layers=1, num_attention_heads=2,
        image_size=32, patch_size=8, initializer_factor=20.0,
    )  # fmt: skip
    return transformers.CLIPVisionModelWithProjection(config)


def clip_glasses() -> Any:
    """What makes a picture fit for CLIP's eyes."""
    return transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})


def t5_text(tokenizer: Any, wide: int = WIDE) -> Any:
    """T5's reader."""
    config = transformers.T5Config(
        vocab_size=len(tokenizer), d_model=wide, d_kv=8, d_ff=wide, num_layers=1, num_heads=2, dropout_rate=0.0
    )
    return transformers.T5EncoderModel(config)


def gemma_text(tokenizer: Any) -> Any:
    """Gemma 2, without its head."""
    config = transformers.Gemma2Config(
        vocab_size=len(tokenizer), hidden_size=WIDE, intermediate_size=WIDE, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, head_dim=8, query_pre_attn_scalar=8, initializer_range=LIVELY,
        pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    return transformers.Gemma2Model(config)


def qwen3_text(tokenizer: Any, layers: int) -> Any:
    """Qwen 3; some families listen to layers that stand deep in it."""
    config = transformers.Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=WIDE, intermediate_size=WIDE, num_hidden_layers=layers,
        num_attention_heads=1, num_key_value_heads=1, head_dim=8, initializer_range=LIVELY,
        pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id, bos_token_id=None,
    )  # fmt: skip
    return transformers.Qwen3ForCausalLM(config)


def flow(*, shifting: bool = False) -> Any:
    """The schedule of flow matching; `shifting` makes it follow the size of the picture."""
    return diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=shifting, shift=1.0 if shifting else 3.0)
