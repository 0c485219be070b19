"""Reads from the class and the components of a diffusers pipeline what it can do, and its defaults."""

import inspect
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bot.capabilities import Abilities, Dialect, Editing
from render.models.presets import Preset
from render.protocol import Usual

UNKNOWN = Usual(1024, 1024, 30)  # for a model whose class and components do not say

# Classes whose `image` is not a source image, or that need more than a prompt and images
_OF_NO_USE = re.compile(
    r"Upscale|SuperResolution|Refiner|Prior|Decoder|Control|Adapter|Depth|Video|Audio|Variation|UnCLIP|Marigold"
    r"|Layered|Redux|VisualCloze|Animate|Cosmos|^Latte|Combined"
)
_WORDS_TOO = re.compile(r"Omni|Flux2|GlmImage|QwenImage21|BriaFibo2|DreamLite|^Scene")  # their source image is optional
_MANY_PICTURES = re.compile(r"Flux2|EditPlus|QwenImage21|Omni|GlmImage|JoyImage|BriaFibo")  # a list is for one prompt


@dataclass(frozen=True, slots=True)
class Takes:
    """The methods and arguments of a pipeline class.

    `text_to_image`: the class works without a source image. `image_to_image`: it takes a source image and a strength.
    `inpaint`: it takes a mask. `instruction`: it edits a source image as the prompt says; `many_sources`: a list of
    images belongs to one prompt. `guidance_argument` is the name of the guidance argument, empty if there is none.
    `step_callback`: it calls back after each step.
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
    """Read the methods and arguments of a pipeline class.

    `text_to_image_classes` are the names of classes that are known to work without a source image. Raises ValueError
    for a class that does not make still images from a prompt, with or without a source image.
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
    """The capabilities of the loaded pipeline and its siblings, as the chat model and the users learn them.

    A pipeline that has only CLIP text encoders reads phrases; any other pipeline reads sentences.
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
    """Whether the model follows a negative prompt: it needs the argument, and classifier-free guidance."""
    unguided = preset.embedded or (preset.guidance_scale is not None and preset.guidance_scale <= 1)
    return "negative_prompt" in inspect.signature(type(pipe).__call__).parameters and not unguided


def usual(pipe: Any, preset: Preset) -> Usual:
    """Default size in pixels and number of steps of the model."""
    defaults = {name: about.default for name, about in inspect.signature(type(pipe).__call__).parameters.items()}
    width, height = preset.size or _size(pipe)
    steps = preset.num_inference_steps or defaults.get("num_inference_steps")
    return Usual(width, height, steps if isinstance(steps, int) and steps > 0 else UNKNOWN.num_inference_steps)


def multiple(pipe: Any) -> int:
    """Pixels by which width and height must be divisible: twice the scale of the VAE, as some models use patches."""
    scale = getattr(pipe, "vae_scale_factor", None)
    return 2 * scale if isinstance(scale, int) else 16


def _size(pipe: Any) -> tuple[int, int]:
    """Native width and height in pixels. Pipelines declare them in one of four places, the last two in latents."""
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
