"""Families that a Qwen reads for: Qwen-Image, its two editors, and Z-Image."""

from typing import Any

import diffusers
import transformers

from tests.support.tiny_models import components, tokenizers

AXES = (4, 6, 6)  # how a head of 16 numbers is shared between time, height and width
PATCH = 14  # pixels of what the reader sees at once
SEEN = (2 * PATCH) ** 2  # pixels to which it shrinks a picture: one token
# The editors bring every picture to a million pixels before they encode it: so theirs is the least that encodes.
COARSE = {"halvings": 5, "blocks": 0}


@components.seeded
def qwen_image() -> Any:
    """Qwen-Image, whose guidance needs a negative prompt."""
    return diffusers.QwenImagePipeline(**_of_qwen())


@components.seeded
def qwen_image_edit() -> Any:
    """Qwen-Image-Edit, which follows an instruction about one picture."""
    kept = _of_qwen(**COARSE)
    return diffusers.QwenImageEditPipeline(**kept, processor=_processor(kept["tokenizer"]))


@components.seeded
def qwen_image_edit_plus() -> Any:
    """Qwen-Image-Edit-2509, which takes several pictures for one request, and one request at a time."""
    kept = _of_qwen(**COARSE)
    return diffusers.QwenImageEditPlusPipeline(**kept, processor=_processor(kept["tokenizer"]))


@components.seeded
def z_image() -> Any:
    """Z-Image."""
    tokenizer = tokenizers.qwen()
    transformer = diffusers.ZImageTransformer2DModel(
        in_channels=components.LATENTS, dim=32, n_layers=1, n_refiner_layers=1, n_heads=2, n_kv_heads=2,
        cap_feat_dim=components.WIDE, axes_dims=[4, 6, 6], axes_lens=[1024, 64, 64],
    )  # fmt: skip
    return diffusers.ZImagePipeline(
        scheduler=components.flow(),
        vae=components.vae(shift=components.SHIFT),
        text_encoder=components.qwen3_text(tokenizer, layers=2),
        tokenizer=tokenizer,
        transformer=transformer,
    )


def _of_qwen(*, halvings: int = 3, blocks: int = 1) -> dict[str, Any]:
    tokenizer = tokenizers.qwen()
    vae = diffusers.AutoencoderKLQwenImage(
        base_dim=4, z_dim=components.LATENTS, dim_mult=[1] * (halvings + 1), num_res_blocks=blocks,
        temperal_downsample=[False] * halvings, latents_mean=[0.0] * components.LATENTS,
        latents_std=[1.0] * components.LATENTS,
    )  # fmt: skip
    transformer = diffusers.QwenImageTransformer2DModel(
        in_channels=4 * components.LATENTS, out_channels=components.LATENTS, num_layers=1, num_attention_heads=2,
        attention_head_dim=sum(AXES), joint_attention_dim=components.WIDE, axes_dims_rope=AXES,
    )  # fmt: skip
    return {
        "scheduler": components.flow(shifting=True),
        "vae": components.amplify(vae),
        "text_encoder": _reader(tokenizer),
        "tokenizer": tokenizer,
        "transformer": transformer,
    }


def _reader(tokenizer: Any) -> Any:
    """Qwen 2.5 VL, which reads and looks."""
    marks = {
        f"{name}_token_id": tokenizer.convert_tokens_to_ids(f"<|{mark}|>")
        for name, mark in {
            "image": "image_pad",
            "video": "video_pad",
            "vision_start": "vision_start",
            "vision_end": "vision_end",
        }.items()
    }
    text = {
        "vocab_size": len(tokenizer), "hidden_size": components.WIDE, "intermediate_size": components.WIDE,
        "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
        "initializer_range": components.LIVELY,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [1, 1, 2]},
        "bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id,
    }  # fmt: skip
    vision = {
        "depth": 1, "hidden_size": components.WIDE, "intermediate_size": components.WIDE, "num_heads": 2,
        "patch_size": PATCH,
        "out_hidden_size": components.WIDE, "fullatt_block_indexes": [0], "initializer_range": components.LIVELY,
    }  # fmt: skip
    config = transformers.Qwen2_5_VLConfig(text_config=text, vision_config=vision, **marks)
    return transformers.Qwen2_5_VLForConditionalGeneration(config)


def _processor(tokenizer: Any) -> Any:
    """Shows the reader pictures that are one token large."""
    from tests.support.tiny_models.image_encoder import PictureReader

    eyes = transformers.Qwen2VLImageProcessorPil(min_pixels=SEEN, max_pixels=SEEN)
    return PictureReader(image_processor=eyes, tokenizer=tokenizer)
