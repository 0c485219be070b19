"""Reads from the class and the components of a diffusers pipeline what it can do, and its defaults."""

import inspect
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bot.capabilities import Dialect, Editing, ModelCapabilities
from render.models.presets import Preset
from render.protocol import Defaults

UNKNOWN_DEFAULTS = Defaults(1024, 1024, 30)  # for a model whose class and components do not say

# Classes whose `image` is not a source image, or that need more than a prompt and images
_UNSUPPORTED_CLASSES = re.compile(
    r"Upscale|SuperResolution|Refiner|Prior|Decoder|Control|Adapter|Depth|Video|Audio|Variation|UnCLIP|Marigold"
    r"|Layered|Redux|VisualCloze|Animate|Cosmos|^Latte|Combined"
)
_OPTIONAL_SOURCE = re.compile(
    r"Omni|Flux2|GlmImage|QwenImage21|BriaFibo2|DreamLite|^Scene"
)  # their source image is optional
_SOURCE_LISTS = re.compile(r"Flux2|EditPlus|QwenImage21|Omni|GlmImage|JoyImage|BriaFibo")  # a list is for one prompt


@dataclass(frozen=True, slots=True)
class PipelineSignature:
    """The methods and arguments of a pipeline class.

    `text_to_image`: the class works without a source image. `image_to_image`: it takes a source image and a strength.
    `inpaint`: it takes a mask. `instruction`: it edits a source image as the prompt says; `many_sources`: a list of
    images belongs to one prompt. `guidance_argument` is the name of the guidance argument, empty if there is none.
    `step_callback`: it calls back after each step.
    """

    text_to_image: bool = False
    image_to_image: bool = False
    inpaint: bool = False
    instruction: bool = False
    many_sources: bool = False
    ip_adapter: bool = False
    lora: bool = False
    guidance_argument: str = ""
    negative_prompt: bool = False
    size: bool = False
    step_callback: bool = False


def read_signature(pipeline: type, text_to_image_classes: frozenset[str] = frozenset()) -> PipelineSignature:
    """Read the methods and arguments of a pipeline class.

    `text_to_image_classes` are the names of classes that are known to work without a source image. Raises ValueError
    for a class that does not make still images from a prompt, with or without a source image.
    """
    call = inspect.signature(pipeline.__call__).parameters
    needs = inspect.signature(pipeline.__init__).parameters  # type: ignore[misc]
    name = pipeline.__name__
    if "prompt" not in call or "num_frames" in call or "controlnet" in needs or _UNSUPPORTED_CLASSES.search(name):
        raise ValueError(f"{name} does not make pictures of words alone.")
    looks = any(argument in call for argument in ("image", "images", "input_images"))
    picture = looks and "strength" not in call and "mask_image" not in call
    guidance = [
        each for each in ("guidance_scale", "true_cfg_scale") if each in call and call[each].default is not None
    ]
    bases = {base.__name__ for base in pipeline.__mro__}
    return PipelineSignature(
        text_to_image=not looks or (picture and (name in text_to_image_classes or bool(_OPTIONAL_SOURCE.search(name)))),
        image_to_image="strength" in call and "mask_image" not in call,
        inpaint="mask_image" in call,
        instruction=picture,
        many_sources=picture and bool(_SOURCE_LISTS.search(name)),
        ip_adapter="ip_adapter_image" in call and any(base.endswith("IPAdapterMixin") for base in bases),
        lora="LoraBaseMixin" in bases,
        guidance_argument=guidance[0] if guidance else "",
        negative_prompt="negative_prompt" in call,
        size="height" in call and "width" in call,
        step_callback="callback_on_step_end" in call,
    )


def read_capabilities(pipe: Any, signatures: Iterable[PipelineSignature], preset: Preset) -> ModelCapabilities:
    """The capabilities of the loaded pipeline and its siblings, as the chat model and the users learn them.

    A pipeline that has only CLIP text encoders reads phrases; any other pipeline reads sentences.
    """
    signatures = tuple(signatures)
    encoders = [
        type(part).__name__ for name, part in pipe.components.items() if name.startswith("text_encoder") and part
    ]
    only_clip = bool(encoders) and all(encoder.startswith("CLIP") for encoder in encoders)
    instructs, starts = (
        any(way.instruction for way in signatures),
        any(way.image_to_image or way.inpaint for way in signatures),
    )
    return ModelCapabilities(
        editing=Editing.INSTRUCT if instructs else Editing.DESCRIBE if starts else Editing.REDRAW,
        dialect=Dialect.PHRASES if only_clip else Dialect.SENTENCES,
        ratios=any(way.size for way in signatures if way.text_to_image or way.instruction),
        negatives=follows_negative_prompt(pipe, preset),
    )


def follows_negative_prompt(pipe: Any, preset: Preset) -> bool:
    """Whether the model follows a negative prompt: it needs the argument, and classifier-free guidance."""
    unguided = preset.embedded_guidance or (preset.guidance_scale is not None and preset.guidance_scale <= 1)
    return "negative_prompt" in inspect.signature(type(pipe).__call__).parameters and not unguided


def read_defaults(pipe: Any, preset: Preset) -> Defaults:
    """Default size in pixels and number of steps of the model."""
    defaults = {name: about.default for name, about in inspect.signature(type(pipe).__call__).parameters.items()}
    width, height = preset.size or _native_size(pipe)
    steps = preset.num_inference_steps or defaults.get("num_inference_steps")
    return Defaults(
        width, height, steps if isinstance(steps, int) and steps > 0 else UNKNOWN_DEFAULTS.num_inference_steps
    )


def size_multiple(pipe: Any) -> int:
    """Pixels by which width and height must be divisible: twice the scale of the VAE, as some models use patches."""
    scale = getattr(pipe, "vae_scale_factor", None)
    return 2 * scale if isinstance(scale, int) else 16


def _native_size(pipe: Any) -> tuple[int, int]:
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
    return UNKNOWN_DEFAULTS.width, UNKNOWN_DEFAULTS.height
