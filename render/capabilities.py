"""What a diffusers pipeline can do, and what it does when it is left the choice: read from its class and parts."""

import inspect
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bot.abilities import Abilities, Dialect, Editing
from render.presets import Preset
from render.wire import Usual

UNKNOWN = Usual(1024, 1024, 30)  # of a model that does not tell

# Here `image` is no picture to be changed, or words and pictures are not all that is needed
_OF_NO_USE = re.compile(
    r"Upscale|SuperResolution|Refiner|Prior|Decoder|Control|Adapter|Depth|Video|Audio|Variation|UnCLIP|Marigold"
    r"|Layered|Redux|VisualCloze|Animate|Cosmos|^Latte|Combined"
)
_WORDS_TOO = re.compile(r"Omni|Flux2|GlmImage|QwenImage21|BriaFibo2|DreamLite|^Scene")  # a picture is optional there
_MANY_PICTURES = re.compile(r"Flux2|EditPlus|QwenImage21|Omni|GlmImage|JoyImage|BriaFibo")  # a list is one wish's


@dataclass(frozen=True, slots=True)
class Takes:
    """What one pipeline class takes.

    `words`: it draws from words alone. `strength`: it starts from a picture, of which the strength says how little
    stays. `mask`: it changes a part of a picture. `picture`: it looks at a picture and does what the words say, and
    `many` tells that a list of pictures is all for the same words. `guidance` is the name of the argument, if there
    is one. `callback` tells whether it can be watched step by step.
    """

    words: bool = False
    strength: bool = False
    mask: bool = False
    picture: bool = False
    many: bool = False
    ip_adapter: bool = False
    lora: bool = False
    guidance: str = ""
    negatives: bool = False
    sizes: bool = False
    callback: bool = False


def takes(pipeline: type, draws: frozenset[str] = frozenset()) -> Takes:
    """What the class takes. `draws` are the names of classes that are known to draw from words alone.

    Raises ValueError for a class that makes no still pictures of words.
    """
    call = inspect.signature(pipeline.__call__).parameters
    needs = inspect.signature(pipeline.__init__).parameters  # type: ignore[misc]
    name = pipeline.__name__
    if "prompt" not in call or "num_frames" in call or "controlnet" in needs or _OF_NO_USE.search(name):
        raise ValueError(f"{name} does not make pictures of words alone.")
    looks = any(argument in call for argument in ("image", "images", "input_images"))
    picture = looks and "strength" not in call and "mask_image" not in call
    guidance = [
        each for each in ("guidance_scale", "true_cfg_scale") if each in call and call[each].default is not None
    ]
    bases = {base.__name__ for base in pipeline.__mro__}
    return Takes(
        words=not looks or (picture and (name in draws or bool(_WORDS_TOO.search(name)))),
        strength="strength" in call and "mask_image" not in call,
        mask="mask_image" in call,
        picture=picture,
        many=picture and bool(_MANY_PICTURES.search(name)),
        ip_adapter="ip_adapter_image" in call and any(base.endswith("IPAdapterMixin") for base in bases),
        lora="LoraBaseMixin" in bases,
        guidance=guidance[0] if guidance else "",
        negatives="negative_prompt" in call,
        sizes="height" in call and "width" in call,
        callback="callback_on_step_end" in call,
    )


def abilities(pipe: Any, ways: Iterable[Takes], preset: Preset) -> Abilities:
    """What the chat model and people should know of the loaded pipeline, which can be used in these ways.

    A pipeline whose longest-sighted text encoder is CLIP's reads phrases; any other reads sentences.
    """
    ways = tuple(ways)
    encoders = [
        type(part).__name__ for name, part in pipe.components.items() if name.startswith("text_encoder") and part
    ]
    only_clip = bool(encoders) and all(encoder.startswith("CLIP") for encoder in encoders)
    instructs, starts = any(way.picture for way in ways), any(way.strength or way.mask for way in ways)
    return Abilities(
        editing=Editing.INSTRUCT if instructs else Editing.DESCRIBE if starts else Editing.REDRAW,
        dialect=Dialect.PHRASES if only_clip else Dialect.SENTENCES,
        ratios=any(way.sizes for way in ways if way.words or way.picture),
        negatives=takes_negatives(pipe, preset),
    )


def takes_negatives(pipe: Any, preset: Preset) -> bool:
    """Whether the model heeds what is not to be seen: it must know the argument, and be guided."""
    unguided = preset.embedded or (preset.guidance_scale is not None and preset.guidance_scale <= 1)
    return "negative_prompt" in inspect.signature(type(pipe).__call__).parameters and not unguided


def usual(pipe: Any, preset: Preset) -> Usual:
    """Size and steps of a picture for which nothing is said."""
    defaults = {name: about.default for name, about in inspect.signature(type(pipe).__call__).parameters.items()}
    width, height = preset.size or _size(pipe)
    steps = preset.num_inference_steps or defaults.get("num_inference_steps")
    return Usual(width, height, steps if isinstance(steps, int) and steps > 0 else UNKNOWN.num_inference_steps)


def multiple(pipe: Any) -> int:
    """Pixels by which width and height must be divisible: the autoencoder's scale, twice for models of patches."""
    scale = getattr(pipe, "vae_scale_factor", None)
    return 2 * scale if isinstance(scale, int) else 16


def _size(pipe: Any) -> tuple[int, int]:
    """Pipelines say it in one of four ways, the last two in latents."""
    defaults = inspect.signature(type(pipe).__call__).parameters
    given = [defaults[side].default for side in ("width", "height") if side in defaults]
    if len(given) == 2 and all(isinstance(side, int) for side in given):
        return given[0], given[1]
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
