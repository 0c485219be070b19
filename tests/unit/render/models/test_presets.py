"""What is known of picture models beforehand: which preset a name finds, and whether a model fits a device."""

import re
from dataclasses import replace

import pytest

from render.models.presets import (
    EIGHT_BIT_RATIO,
    PRESETS,
    RESERVED_MEMORY,
    MemoryFit,
    Preset,
    find_preset,
    memory_fit,
)
from tests.support.paths import ROOT

NAMES = {
    "builtin": "built-in",
    "stable-diffusion-v1-5/stable-diffusion-v1-5": "Stable Diffusion 1.5",
    "timbrooks/instruct-pix2pix": "InstructPix2Pix",
    "stabilityai/sdxl-turbo": "SDXL Turbo",
    "SG161222/RealVisXL_V5.0_Lightning": "SDXL Lightning and Hyper",
    "cagliostrolab/animagine-xl-4.0": "SDXL",
    "stabilityai/stable-diffusion-3.5-medium": "Stable Diffusion 3.5 medium",
    "stabilityai/stable-diffusion-3.5-large": "Stable Diffusion 3.5 large",
    "stabilityai/stable-diffusion-3.5-large-turbo": "Stable Diffusion 3.5 large turbo",
    "black-forest-labs/FLUX.1-schnell": "FLUX.1 schnell",
    "black-forest-labs/FLUX.1-Krea-dev": "FLUX.1 dev",
    "black-forest-labs/FLUX.1-Kontext-dev": "FLUX.1 Kontext",
    "black-forest-labs/FLUX.1-Fill-dev": "FLUX.1 Fill",
    "black-forest-labs/FLUX.2-dev": "FLUX.2 dev",
    "black-forest-labs/FLUX.2-klein-4B": "FLUX.2 klein 4B",
    "black-forest-labs/FLUX.2-klein-9b-kv": "FLUX.2 klein 9B",
    "Qwen/Qwen-Image-2512": "Qwen-Image",
    "Qwen/Qwen-Image-Edit": "Qwen-Image-Edit",
    "Qwen/Qwen-Image-Edit-2509": "Qwen-Image-Edit 2509 and 2511",
    "Tongyi-MAI/Z-Image": "Z-Image",
    "Tongyi-MAI/Z-Image-Turbo": "Z-Image Turbo",
    "Efficient-Large-Model/SANA1.5_1.6B_1024px_diffusers": "Sana 1.6B",
    "PixArt-alpha/PixArt-Sigma-XL-2-1024-MS": "PixArt-Sigma",
    "SimianLuo/LCM_Dreamshaper_v7": "LCM Dreamshaper",
    "lodestones/Chroma1-HD": "Chroma",
    "Alpha-VLLM/Lumina-Image-2.0": "Lumina-Image 2",
    # Alike, and nothing that is known
    "black-forest-labs/FLUX.2-klein-base-4B": "",
    "Qwen/Qwen-Image-2.1": "",
    "Qwen/Qwen-Image-Layered": "",
    "diffusers/sdxl-instructpix2pix-768": "",
    "somebody/hyperrealism": "",
    "flux.1-dev/landscapes": "",  # whose model it is, and where it lies, tells nothing
}


@pytest.mark.parametrize(("model", "name"), NAMES.items())
def test_a_name_finds_its_preset(model: str, name: str) -> None:
    """By hub id, in any case, and by the name of the folder into which it was downloaded."""
    owner, _, last = model.rpartition("/")
    cache = f"/home/turbo/hub/models--{owner}--{last}/snapshots/0123abc" if owner else model
    for each in (model, model.lower(), f"/models/schnell/{last}/", cache):
        assert find_preset(each).name == name


@pytest.mark.parametrize("each", PRESETS, ids=lambda each: each.name)
def test_every_preset_is_whole(each: Preset) -> None:
    """No other one takes its example away, and nothing that the list shows is missing or absurd."""
    assert find_preset(each.example) == each
    assert each.name and each.features and each.licence and each.summary and each.size
    assert each.num_inference_steps and each.guidance_scale is not None
    assert (
        each.weights_gib
        and each.largest_part_gib
        and each.weights_gib * 0.45 < each.largest_part_gib <= each.weights_gib
    )


@pytest.mark.parametrize(
    ("model", "steps"),
    [
        ("somebody/thing-turbo", 4),
        ("somebody/Thing_LCM_v2", 4),
        ("somebody/thing-lightning", 8),
        ("somebody/thing-hyper", 8),
        ("somebody/thing-flash", 8),
        ("somebody/thing-distilled", 8),
        ("somebody/thing-4step", 4),
        ("somebody/thing-lightning-2-steps", 2),
        ("somebody/thing", None),
        ("somebody/thing-25steps", None),
        ("somebody/thing-0step", None),
        ("somebody/backflash", None),
    ],
)
def test_a_distilled_model_is_known_by_its_name(model: str, steps: int | None) -> None:
    """It takes few steps and no guidance; of any other unknown model nothing is said."""
    assert find_preset(model) == Preset(num_inference_steps=steps, guidance_scale=None if steps is None else 0.0)


def test_a_distilled_version_of_a_known_model_keeps_what_is_known() -> None:
    """Its memory and licence; also the guidance, where it is told to the network."""
    quick = find_preset("lightx2v/Qwen-Image-Lightning-8steps")
    assert quick == replace(
        find_preset("Qwen/Qwen-Image"), name="Qwen-Image, few steps", num_inference_steps=8, guidance_scale=0.0
    )
    assert (
        find_preset("somebody/FLUX.1-dev-turbo").guidance_scale
        == find_preset("black-forest-labs/FLUX.1-dev").guidance_scale
    )
    assert find_preset("somebody/FLUX.1-dev-turbo").num_inference_steps == 4


@pytest.mark.parametrize("each", PRESETS, ids=lambda each: each.name)
def test_the_more_memory_the_better_it_fits(each: Preset) -> None:
    """From too large to whole, with room for a picture besides the weights in each case."""
    assert each.weights_gib and each.largest_part_gib
    order = [MemoryFit.TOO_LARGE, MemoryFit.OFFLOADED, MemoryFit.QUANTIZED, MemoryFit.WHOLE]
    least = {
        MemoryFit.OFFLOADED: each.largest_part_gib,
        MemoryFit.QUANTIZED: EIGHT_BIT_RATIO * each.weights_gib,
        MemoryFit.WHOLE: each.weights_gib,
    }
    ranks = []
    for tenths in range(1500):
        fit = memory_fit(each, tenths / 10)
        assert fit
        assert fit is MemoryFit.TOO_LARGE or tenths / 10 > least[fit] + RESERVED_MEMORY
        ranks.append(order.index(fit))
    assert ranks == sorted(ranks)
    assert {ranks[0], ranks[-1]} == {0, 3}


def test_offloading_helps_where_the_parts_are_alike() -> None:
    """A model whose largest part is smaller than its weights in 8 bit fits so, and no sooner."""
    halves = Preset(weights_gib=20.0, largest_part_gib=10.0, size=(1000, 1000))
    assert [memory_fit(halves, memory) for memory in (13.4, 13.6, 14.6, 23.6)] == [
        MemoryFit.TOO_LARGE, MemoryFit.OFFLOADED, MemoryFit.QUANTIZED, MemoryFit.WHOLE,
    ]  # fmt: skip


def test_a_processor_needs_twice_the_memory() -> None:
    """Weights are float32 there, and there is nothing between fitting and not."""
    sdxl = find_preset("stabilityai/stable-diffusion-xl-base-1.0")
    assert memory_fit(sdxl, 12) is MemoryFit.WHOLE
    assert memory_fit(sdxl, 12, on_cpu=True) is MemoryFit.TOO_LARGE
    assert memory_fit(sdxl, 24, on_cpu=True) is MemoryFit.WHOLE


def test_nothing_is_said_of_unknown_weights() -> None:
    """Neither that they fit, nor that they do not."""
    assert memory_fit(find_preset("somebody/thing-turbo"), 80) is None


DOCUMENTED = (ROOT / "docs" / "image-models.md").read_text(encoding="utf-8")


def test_the_documentation_has_the_same_table() -> None:
    """In `docs/image-models.md`, in the same order."""
    rows = [line for line in DOCUMENTED.splitlines() if line.count("|") == 9 and "`" in line]
    assert rows[1:] == [
        f"| {each.name} | `{each.example}` | {', '.join(each.features)} | {each.num_inference_steps} "
        f"| {each.weights_gib:g} | {each.largest_part_gib:g} | {each.licence} | {each.summary} |"
        for each in PRESETS
    ]


@pytest.mark.parametrize(
    ("card", "memory"),
    [
        ("none", 16.0),
        ("8 GB", 8.0),
        ("12 GB", 12.0),
        ("16 GB", 16.0),
        ("24 GB", 23.5),
        ("48 GB", 44.9),
        ("80 GB", 79.2),
    ],
)
def test_what_the_documentation_recommends_for_a_card_fits_it(card: str, memory: float) -> None:
    """Whole, or in 8 bit where it says so; cards of a size differ a little."""
    (row,) = [line for line in DOCUMENTED.splitlines() if line.startswith(f"| {card} |")]
    recommended = re.findall(r"`([^`]+)`( in 8 bit)?", row)
    assert len(recommended) >= 3
    for model, quantised in recommended:
        fit = memory_fit(find_preset(model), memory, on_cpu=card == "none")
        assert (model, fit) == (model, MemoryFit.QUANTIZED if quantised else MemoryFit.WHOLE)
