"""An IP-Adapter of random weights, as the file that `load_ip_adapter` reads."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tests.support.tiny_models import components

NAME = "ip_adapter.safetensors"
TOKENS = 4  # that a picture becomes


def adapter(pipe: Any, folder: Path) -> dict[str, Any]:
    """Writes an adapter for a pipeline with a UNet; what comes back are the arguments of its `load_ip_adapter`.

    The pipeline must have its image encoder already, so that none is looked for.
    """
    hears = pipe.unet.config.cross_attention_dim
    draw = torch.Generator().manual_seed(components.SEED)
    weights = {
        "image_proj.proj.weight": torch.randn(TOKENS * hears, pipe.image_encoder.config.projection_dim, generator=draw),
        "image_proj.proj.bias": torch.zeros(TOKENS * hears),
        "image_proj.norm.weight": torch.ones(hears),
        "image_proj.norm.bias": torch.zeros(hears),
    }
    for number, place in enumerate(pipe.unet.attn_processors):
        if "attn2" in place:  # attention to the prompt; the number is its place among all attentions
            attention = pipe.unet.get_submodule(place.removesuffix(".processor"))
            for which in ("k", "v"):
                shape = attention.get_submodule(f"to_{which}").weight.shape
                weights[f"ip_adapter.{number}.to_{which}_ip.weight"] = torch.randn(shape, generator=draw)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / NAME)
    return {
        "pretrained_model_name_or_path_or_dict": str(folder),
        "subfolder": "",
        "weight_name": NAME,
        "image_encoder_folder": None,
    }
