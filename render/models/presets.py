"""Presets: steps, guidance scale, size, memory and licence of image models, found by the name of the model. Pure."""

import re
from dataclasses import dataclass, replace
from enum import StrEnum

EIGHT_BIT_RATIO = 0.55  # of the size of the bf16 weights: some layers are not quantized
RESERVED_MEMORY = 1.0  # GiB that the driver and torch's allocator reserve
MEMORY_PER_MEGAPIXEL = 2.5  # GiB of activations for an image with a million pixels, most of it while the VAE decodes
MAX_DISTILLED_STEPS = 8  # steps: a model that needs no more is distilled already


class ModelFeature(StrEnum):
    """A feature of an image model that the bot uses."""

    TEXT_TO_IMAGE = "generate"  # text to image
    INSTRUCTION_EDIT = "edit by instruction"  # edits a source image as the prompt says
    IMAGE_TO_IMAGE = "image to image"  # starts from a source image, of which a strength says how much is replaced
    INPAINT = "inpaint"  # renders a masked part of an image again
    MANY_SOURCES = "several sources"  # as references for a new image


class MemoryFit(StrEnum):
    """How a model fits into the memory of a device."""

    WHOLE = "whole"  # in bf16; on a CPU in float32
    QUANTIZED = "quantized"  # to 8 bits
    OFFLOADED = "offloaded"  # its components take turns on the device
    TOO_LARGE = "not"


@dataclass(frozen=True, slots=True)
class Preset:
    """A model, or a family of models with the same components.

    `pattern` is a regular expression for the last part of a hub id or path; case is ignored. `guidance_scale` is the
    value for the guidance argument of the pipeline; at most 1 means no guidance. `embedded_guidance`: the guidance
    scale is an input of the network, which a distilled version needs, too. `size` is the width and height in pixels of
    the training. `weights_gib` is the size of all weights in bf16, `largest_part_gib` that of the largest component,
    both in GiB. None and empty values mean unknown.
    """

    name: str = ""
    pattern: str = ""
    example: str = ""
    features: tuple[ModelFeature, ...] = ()
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    size: tuple[int, int] | None = None
    licence: str = ""
    weights_gib: float | None = None
    largest_part_gib: float | None = None
    summary: str = ""
    embedded_guidance: bool = False


def find_preset(model: str) -> Preset:
    """The preset of `builtin`, a hub id or a folder; for an unknown model, the steps that its name suggests."""
    name = _base_name(model)
    found = next((each for each in PRESETS if re.search(each.pattern, name, re.IGNORECASE)), Preset())
    steps = _distilled_steps(name)
    if steps is None or (found.num_inference_steps or MAX_DISTILLED_STEPS + 1) <= MAX_DISTILLED_STEPS:
        return found
    return replace(
        found,
        name=f"{found.name}, few steps" if found.name else "",
        num_inference_steps=steps,
        guidance_scale=found.guidance_scale if found.embedded_guidance else 0.0,
    )


def memory_fit(preset: Preset, memory: float, on_cpu: bool = False) -> MemoryFit | None:
    """How a model fits a device with `memory` GiB, with room to render one image; None if its size is unknown.

    A CPU holds the weights in float32 and cannot offload.
    """
    if preset.weights_gib is None:
        return None
    width, height = preset.size or (1024, 1024)
    left = memory - RESERVED_MEMORY - MEMORY_PER_MEGAPIXEL * width * height / 1e6
    if on_cpu:
        return MemoryFit.WHOLE if 2 * preset.weights_gib <= left else MemoryFit.TOO_LARGE
    if preset.weights_gib <= left:
        return MemoryFit.WHOLE
    if EIGHT_BIT_RATIO * preset.weights_gib <= left:
        return MemoryFit.QUANTIZED
    return MemoryFit.OFFLOADED if (preset.largest_part_gib or preset.weights_gib) <= left else MemoryFit.TOO_LARGE


def _base_name(model: str) -> str:
    """The last part of a hub id or path. In the hub's cache that is a hash, so the id is taken from a folder above."""
    cached = re.search(r"models--(?:[^/]+--)?([^/]+)/snapshots/", model)
    return cached[1] if cached else re.split(r"[/\\]", model.rstrip("/\\"))[-1]


def _distilled_steps(name: str) -> int | None:
    """The number of steps of a distilled model, by its name; None if the name does not say that it is distilled."""
    if told := re.search(r"(?<!\d)(\d)[-_ ]?steps?(?![a-z])", name, re.IGNORECASE):
        return int(told[1]) or None
    words = {each.lower() for each in _DISTILLED.findall(name)}
    return None if not words else 4 if words & {"turbo", "schnell", "klein", "sprint", "lcm"} else 8


# Does not match inside of other words, such as `hyperrealism`
_DISTILLED = re.compile(
    r"turbo|lightning|schnell|lcm|sprint|distill|klein(?!.*base)|hyper(?![a-z])|(?<![a-z])flash(?![a-z])", re.IGNORECASE
)

_APACHE, _RAIL = "Apache 2.0", "OpenRAIL++-M: commercial use, with rules"
_BFL = "FLUX non-commercial; gated"
_STABILITY = "Stability AI Community: free below $1M a year; gated"
_STANDARD_FEATURES = (ModelFeature.TEXT_TO_IMAGE, ModelFeature.IMAGE_TO_IMAGE, ModelFeature.INPAINT)
_EDITS = (ModelFeature.TEXT_TO_IMAGE, ModelFeature.INSTRUCTION_EDIT)
_EDITS_MANY = (*_EDITS, ModelFeature.MANY_SOURCES)
_SIZE_512, _SIZE_1024 = (512, 512), (1024, 1024)
_SDXL_PATTERN = (
    r"^(?!.*pix2pix).*(?:sd|stable[-_]diffusion[-_]|vis|dreamshaper[-_]?|juggernaut[-_]?|animagine[-_]?)xl(?![a-z])"
)

# Name, pattern, example, features, steps, guidance scale, size, licence, GiB in all, GiB of the largest component,
# summary. The first preset that matches is used.
PRESETS = (
    Preset(
        "built-in", r"^builtin$", "builtin", _EDITS, 8, 1.3, (256, 256), "MIT", 0.02, 0.02,
        "simple scenes, on any machine in under a second",
    ),
    Preset(
        "LCM Dreamshaper", r"^lcm[-_]dreamshaper", "SimianLuo/LCM_Dreamshaper_v7", (ModelFeature.TEXT_TO_IMAGE,
        ModelFeature.IMAGE_TO_IMAGE), 4, 8.0,
        (768, 768), "MIT", 2.6, 1.6, "painterly, in four steps", embedded_guidance=True,
    ),
    Preset(
        "Stable Diffusion 1.5", r"(?:stable[-_]diffusion|sd)[-_]?v?1[-_.]?5",
        "stable-diffusion-v1-5/stable-diffusion-v1-5", _STANDARD_FEATURES, 25, 7.5, _SIZE_512,
        "OpenRAIL-M: commercial use, with rules", 2.6, 1.6, "small and old, with a style for everything",
    ),
    Preset(
        "InstructPix2Pix", r"^(?!.*xl).*instruct[-_]?pix2pix", "timbrooks/instruct-pix2pix",
        (ModelFeature.INSTRUCTION_EDIT,), 30, 7.5,
        _SIZE_512, "MIT", 2.6, 1.6, "the first that edited by instruction; changes styles well, moves nothing",
    ),
    Preset(
        "SDXL Turbo", r"sdxl[-_]turbo", "stabilityai/sdxl-turbo", _STANDARD_FEATURES, 4, 0.0, _SIZE_512,
        "Stability AI non-commercial", 6.5, 4.8, "very fast, with few details",
    ),
    Preset(
        "SDXL Lightning and Hyper", rf"{_SDXL_PATTERN}.*(?:lightning|hyper|turbo|lcm|flash)",
        "Lykon/dreamshaper-xl-lightning",
        _STANDARD_FEATURES, 6, 0.0, _SIZE_1024, _RAIL, 6.5, 4.8, "SDXL and its many styles in six steps",
    ),
    Preset(
        "SDXL", _SDXL_PATTERN, "stabilityai/stable-diffusion-xl-base-1.0", _STANDARD_FEATURES, 30, 5.0,
        _SIZE_1024, _RAIL, 6.5, 4.8,
        "the broadest choice of styles and LoRAs; no lettering",
    ),
    Preset(
        "Stable Diffusion 3.5 medium", r"(?:stable[-_]diffusion|sd)[-_]?3\.5[-_]medium",
        "stabilityai/stable-diffusion-3.5-medium", _STANDARD_FEATURES, 40, 4.5, _SIZE_1024, _STABILITY, 14.7, 8.9,
        "varied styles, short lettering",
    ),
    Preset(
        "Stable Diffusion 3.5 large turbo", r"(?:stable[-_]diffusion|sd)[-_]?3\.5[-_]large[-_]turbo",
        "stabilityai/stable-diffusion-3.5-large-turbo", _STANDARD_FEATURES, 4, 0.0, _SIZE_1024, _STABILITY, 25.6, 15.0,
        "the large one in four steps",
    ),
    Preset(
        "Stable Diffusion 3.5 large", r"(?:stable[-_]diffusion|sd)[-_]?3\.5[-_]large",
        "stabilityai/stable-diffusion-3.5-large", _STANDARD_FEATURES, 28, 3.5, _SIZE_1024, _STABILITY, 25.6, 15.0,
        "varied styles, follows long prompts",
    ),
    Preset(
        "FLUX.1 Kontext", r"flux.*kontext", "black-forest-labs/FLUX.1-Kontext-dev", _EDITS, 28, 2.5,
        _SIZE_1024, _BFL, 31.4, 22.2, "keeps faces and things the same from edit to edit", embedded_guidance=True,
    ),
    Preset(
        "FLUX.1 Fill", r"flux.*fill", "black-forest-labs/FLUX.1-Fill-dev", (ModelFeature.INPAINT,), 50, 30.0,
        _SIZE_1024, _BFL,
        31.4, 22.2, "fills a region of an image seamlessly, and does nothing else", embedded_guidance=True,
    ),
    Preset(
        "FLUX.1 schnell", r"flux.*schnell", "black-forest-labs/FLUX.1-schnell", _STANDARD_FEATURES, 4, 0.0,
        _SIZE_1024, _APACHE,
        31.4, 22.2, "FLUX in four steps, free for all uses",
    ),
    Preset(
        "FLUX.2 klein 4B", r"klein(?!.*base).*4b", "black-forest-labs/FLUX.2-klein-4B",
        _EDITS_MANY, 4, 1.0, _SIZE_1024, _APACHE, 14.9, 7.5,
        "generates and edits in four steps; try this one first",
    ),
    Preset(
        "FLUX.2 klein 9B", r"klein(?!.*base).*9b", "black-forest-labs/FLUX.2-klein-9B",
        _EDITS_MANY, 4, 1.0, _SIZE_1024, _BFL, 32.3, 16.9, "klein with better details",
    ),
    Preset(
        "FLUX.2 dev", r"flux[-_.]?2[-_.]dev", "black-forest-labs/FLUX.2-dev", _EDITS_MANY, 50, 4.0,
        _SIZE_1024, _BFL, 104.9, 60.0, "among the best of the open ones, and the largest", embedded_guidance=True,
    ),
    Preset(
        "FLUX.1 dev", r"flux[-_.]?1?[-_.](?:krea[-_.])?dev", "black-forest-labs/FLUX.1-dev",
        _STANDARD_FEATURES, 28, 3.5,
        _SIZE_1024, _BFL, 31.4, 22.2, "photographs, hands, lettering; many LoRAs", embedded_guidance=True,
    ),
    Preset(
        "Qwen-Image-Edit 2509 and 2511", r"qwen[-_]?image[-_]edit[-_](?:25\d\d|plus)", "Qwen/Qwen-Image-Edit-2511",
        (ModelFeature.INSTRUCTION_EDIT, ModelFeature.MANY_SOURCES), 40, 4.0, _SIZE_1024, _APACHE, 53.7, 38.1,
        "edits that keep people and lettering",
    ),
    Preset(
        "Qwen-Image-Edit", r"qwen[-_]?image[-_]edit", "Qwen/Qwen-Image-Edit", (ModelFeature.INSTRUCTION_EDIT,),
        50, 4.0, _SIZE_1024, _APACHE, 53.7,
        38.1, "edits text too; one source image at a time",
    ),
    Preset(
        "Qwen-Image", r"qwen[-_]?image(?![-_]?(?:2\.1|layered))", "Qwen/Qwen-Image", _STANDARD_FEATURES, 50,
        4.0, (1328, 1328),
        _APACHE, 53.7, 38.1, "lettering, Chinese too, and long prompts",
    ),
    Preset(
        "Z-Image Turbo", r"z[-_]image[-_]turbo", "Tongyi-MAI/Z-Image-Turbo", _STANDARD_FEATURES, 8, 0.0,
        _SIZE_1024, _APACHE, 19.1,
        11.5, "photographs and lettering, English and Chinese, in eight steps",
    ),
    Preset(
        "Z-Image", r"z[-_]image(?!.*(?:omni|edit))", "Tongyi-MAI/Z-Image", _STANDARD_FEATURES, 50, 4.0,
        _SIZE_1024, _APACHE, 19.1,
        11.5, "more varied than the turbo, and far slower",
    ),
    Preset(
        "Sana Sprint", r"sana[-_]sprint[-_]1[._]6b", "Efficient-Large-Model/Sana_Sprint_1.6B_1024px_diffusers",
        (ModelFeature.TEXT_TO_IMAGE, ModelFeature.IMAGE_TO_IMAGE), 2, 4.5, _SIZE_1024,
        "NVIDIA's own, and Gemma's terms: read them first", 8.5, 4.9,
        "two steps", embedded_guidance=True,
    ),
    Preset(
        "Sana 1.6B", r"sana.*(?:1[._]6b|1600m)", "Efficient-Large-Model/Sana_1600M_1024px_BF16_diffusers",
        (ModelFeature.TEXT_TO_IMAGE,),
        20, 4.5, _SIZE_1024, "NVIDIA's own, and Gemma's terms: read them first", 8.5, 4.9, "quick at large sizes",
    ),
    Preset(
        "PixArt-Sigma", r"pixart.*sigma", "PixArt-alpha/PixArt-Sigma-XL-2-1024-MS",
        (ModelFeature.TEXT_TO_IMAGE,), 20, 4.5, _SIZE_1024, _RAIL,
        10.2, 8.9, "clean illustrations by a small network",
    ),
    Preset(
        "Chroma", r"^chroma", "lodestones/Chroma1-HD", _STANDARD_FEATURES, 40, 3.0, _SIZE_1024, _APACHE, 25.6, 16.6,
        "FLUX made free, and open to fine-tuning",
    ),
    Preset(
        "Lumina-Image 2", r"lumina[-_]?(?:image[-_]?)?2", "Alpha-VLLM/Lumina-Image-2.0",
        (ModelFeature.TEXT_TO_IMAGE,), 30, 4.0, _SIZE_1024,
        _APACHE, 9.9, 4.9, "follows long prompts for its size",
    ),
)  # fmt: skip
