"""What a diffusers pipeline can do, and what it does when it is left the choice, read from its parts."""

import inspect
from contextlib import suppress
from typing import Any

from bot.abilities import Abilities, Dialect, Editing
from render.wire import Usual

UNKNOWN = Usual(1024, 1024, 30)  # of a model that does not tell


def abilities(pipe: Any) -> Abilities:
    """A pipeline whose longest-sighted text encoder is CLIP's reads phrases; any other reads sentences."""
    encoders = [
        type(part).__name__ for name, part in pipe.components.items() if name.startswith("text_encoder") and part
    ]
    only_clip = bool(encoders) and all(encoder.startswith("CLIP") for encoder in encoders)
    negatives = "negative_prompt" in inspect.signature(type(pipe).__call__).parameters
    return Abilities(Editing.DESCRIBE, Dialect.PHRASES if only_clip else Dialect.SENTENCES, negatives=negatives)


def usual(pipe: Any) -> Usual:
    """Size and steps of a picture for which nothing is said."""
    defaults = {name: about.default for name, about in inspect.signature(type(pipe).__call__).parameters.items()}
    width, height = _size(pipe)
    steps = defaults.get("num_inference_steps")
    return Usual(
        defaults["width"] if isinstance(defaults.get("width"), int) else width,
        defaults["height"] if isinstance(defaults.get("height"), int) else height,
        steps if isinstance(steps, int) and steps > 0 else UNKNOWN.num_inference_steps,
    )


def _size(pipe: Any) -> tuple[int, int]:
    """Pipelines say it in one of three ways, the last two in latents."""
    if isinstance(width := getattr(pipe, "default_width", None), int):
        return width, int(getattr(pipe, "default_height", width))
    sizes = [getattr(pipe, "default_sample_size", None)]
    for part in ("unet", "transformer"):
        with suppress(AttributeError):
            sizes.append(getattr(pipe, part).config.sample_size)
    scale = getattr(pipe, "vae_scale_factor", None)
    for size in sizes:
        height, width = size if isinstance(size, list | tuple) and len(size) == 2 else (size, size)
        if isinstance(scale, int) and isinstance(width, int) and isinstance(height, int):
            return width * scale, height * scale
    return UNKNOWN.width, UNKNOWN.height
