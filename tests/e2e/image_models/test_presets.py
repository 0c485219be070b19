"""The features of a preset are those of the pipelines that diffusers has for its class."""

import pytest

from render.models.presets import PRESETS, ModelFeature, Preset

diffusers = pytest.importorskip("diffusers", reason="the worker needs the render extra")

CLASSES = {
    "LCM Dreamshaper": "LatentConsistencyModel",
    "Stable Diffusion 1.5": "StableDiffusion",
    "InstructPix2Pix": "StableDiffusionInstructPix2Pix",
    "SDXL Turbo": "StableDiffusionXL",
    "SDXL Lightning and Hyper": "StableDiffusionXL",
    "SDXL": "StableDiffusionXL",
    "Stable Diffusion 3.5 medium": "StableDiffusion3",
    "Stable Diffusion 3.5 large turbo": "StableDiffusion3",
    "Stable Diffusion 3.5 large": "StableDiffusion3",
    "FLUX.1 Kontext": "FluxKontext",
    "FLUX.1 Fill": "FluxFill",
    "FLUX.1 schnell": "Flux",
    "FLUX.1 dev": "Flux",
    "FLUX.2 klein 4B": "Flux2Klein",
    "FLUX.2 klein 9B": "Flux2Klein",
    "FLUX.2 dev": "Flux2",
    "Qwen-Image-Edit 2509 and 2511": "QwenImageEditPlus",
    "Qwen-Image-Edit": "QwenImageEdit",
    "Qwen-Image": "QwenImage",
    "Z-Image Turbo": "ZImage",
    "Z-Image": "ZImage",
    "Sana Sprint": "SanaSprint",
    "Sana 1.6B": "Sana",
    "PixArt-Sigma": "PixArtSigma",
    "Chroma": "Chroma",
    "Lumina-Image 2": "Lumina2",
}


@pytest.mark.parametrize("each", PRESETS, ids=lambda each: each.name)
def test_what_is_promised_is_what_the_worker_does(each: Preset) -> None:
    """The list says of a model's class what the worker, which can ask the class, makes of it."""
    from render.builtin.pipeline import ScenePipeline
    from render.diffusion.pipelines import TEXT_TO_IMAGE_CLASSES, sibling_classes
    from render.models.introspection import read_signature

    own = getattr(diffusers, f"{CLASSES[each.name]}Pipeline") if each.name in CLASSES else ScenePipeline
    ways = [read_signature(pipeline, TEXT_TO_IMAGE_CLASSES) for pipeline in (own, *sibling_classes(own))]
    looks = any(way.instruction for way in ways)
    can = {
        ModelFeature.TEXT_TO_IMAGE: any(way.text_to_image for way in ways),
        ModelFeature.INSTRUCTION_EDIT: looks,
        ModelFeature.IMAGE_TO_IMAGE: any(way.image_to_image for way in ways),
        ModelFeature.INPAINT: any(way.inpaint for way in ways) and not looks,  # who follows instructions needs no mask
        ModelFeature.MANY_SOURCES: any(way.many_sources for way in ways),
    }
    assert each.features == tuple(what for what, has in can.items() if has)
