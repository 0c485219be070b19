"""The tiny pipelines are what they are said to be: real, quick, repeatable, and different where the table says so."""

import inspect
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="the worker needs the render extra")

import diffusers
import torch
from diffusers.loaders import FluxIPAdapterMixin, IPAdapterMixin, SD3IPAdapterMixin
from diffusers.loaders.lora_base import LoraBaseMixin

from tests.support.tiny_models import FAMILIES, UPSTREAM, Family, Way, adapter, saved

pytestmark = [pytest.mark.filterwarnings(known) for known in UPSTREAM]

every = pytest.mark.parametrize("family", FAMILIES.values(), ids=list(FAMILIES))
SIDE = 64  # pixels
PROMPT, SEED = "a red cat", 10
# Prompt, seed and picture to start from of three requests that differ in one of them, or in what depends on them.
REQUESTS = ((PROMPT, SEED, 0), ("two small dogs in the snow", SEED, 0), (PROMPT, SEED + 1, 1))
# Siblings of a class that `AutoPipelineFor...` does not know.
SIBLINGS = {
    ("chroma", Way.IMAGE): "ChromaImg2ImgPipeline",
    ("flux-kontext", Way.INPAINT): "FluxKontextInpaintPipeline",
    ("flux2-klein", Way.INPAINT): "Flux2KleinInpaintPipeline",
    ("flux2-klein-base", Way.INPAINT): "Flux2KleinInpaintPipeline",
}


@cache
def built(name: str) -> Any:
    """One pipeline for all tests: a call leaves nothing behind in it."""
    return FAMILIES[name].build()


def source(number: int) -> Image.Image:
    """A picture to start from: three bars of colour that differ from number to number."""
    draw = np.random.default_rng(number)
    bars = draw.integers(0, 256, (3, 1, 3), dtype=np.uint8)
    return Image.fromarray(np.repeat(np.repeat(bars, SIDE // 3 + 1, axis=0)[:SIDE], SIDE, axis=1))


def half() -> Image.Image:
    """A mask: the right half is to be painted."""
    mask = Image.new("L", (SIDE, SIDE))
    mask.paste(255, (SIDE // 2, 0, SIDE, SIDE))
    return mask


def call(pipe: Any, family: Family, **given: Any) -> list[np.ndarray[Any, Any]]:
    """The pixels of a call in two steps; only what the pipeline takes is passed on, and all of it by name."""
    takes = inspect.signature(type(pipe).__call__).parameters
    defaults = {"num_inference_steps": 2, "height": SIDE, "width": SIDE, **family.extra}
    arguments = {**{name: value for name, value in defaults.items() if name in takes}, **given}
    return [np.asarray(picture).astype(int) for picture in pipe(**arguments).images]


def seeded(seed: int) -> torch.Generator:
    """A request's own noise."""
    return torch.Generator("cpu").manual_seed(seed)


def started(family: Family, *numbers: int) -> dict[str, Any]:
    """What requests bring besides their prompts: a picture and perhaps a mask each, where prompts are not enough."""
    if Way.TEXT in family.ways:
        return {}
    brought: dict[str, Any] = {"image": [source(number) for number in numbers]}
    if Way.INSTRUCT not in family.ways:
        brought["mask_image"] = [half() for _ in numbers]
    return brought if len(numbers) > 1 else {name: values[0] for name, values in brought.items()}


@cache
def painted(name: str, prompt: str = PROMPT, seed: int = SEED, number: int = 0) -> np.ndarray[Any, Any]:
    """The pixels of one request."""
    family = FAMILIES[name]
    brought = started(family, number)
    return call(built(name), family, prompt=prompt, generator=seeded(seed), **brought)[0]


def apart(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> int:
    """The largest difference of two pictures in any colour of any pixel."""
    return int(np.abs(one - other).max())


@every
def test_it_is_small_and_paints_what_it_is_asked(family: Family) -> None:
    """It has few weights, and paints a picture of the size that was asked for, which is not one flat colour."""
    parts = [part for part in built(family.name).components.values() if isinstance(part, torch.nn.Module)]
    assert 20_000 < sum(weight.numel() for part in parts for weight in part.parameters()) < 400_000
    assert painted(family.name).shape == (SIDE, SIDE, 3)
    assert painted(family.name).std() > 10


@every
def test_saved_and_read_again_it_paints_the_same_pixels(family: Family, tmp_path: Path) -> None:
    """What lies in a folder is the whole pipeline."""
    reader = type(built(family.name)) if family.name == "stranger" else diffusers.DiffusionPipeline
    again = reader.from_pretrained(saved(built(family.name), tmp_path))
    again.set_progress_bar_config(disable=True)
    assert type(again) is type(built(family.name))
    pixels = call(again, family, prompt=PROMPT, generator=seeded(SEED), **started(family, 0))[0]
    assert apart(pixels, painted(family.name)) <= 1  # weights from a file begin at odd addresses: sums round otherwise


@every
def test_its_picture_depends_on_prompt_seed_and_source(family: Family) -> None:
    """A test can tell by the pixels whose request was painted."""
    first, second, third = (painted(family.name, *request) for request in REQUESTS)
    assert apart(first, second) > 4
    if Way.TEXT in family.ways:
        assert apart(first, third) > 4
    else:
        moved = painted(family.name, number=1)
        assert (apart(first, moved) > 4, apart(moved, third) > 4) == (True, True)


@every
def test_requests_of_one_batch_get_the_pictures_of_calls_of_their_own(family: Family) -> None:
    """With a CPU generator each, three requests in a call are painted as alone, but for a rounding."""
    batch = {
        "prompt": [prompt for prompt, _, _ in REQUESTS],
        "generator": [seeded(seed) for _, seed, _ in REQUESTS],
        **started(family, *(number for _, _, number in REQUESTS)),
    }
    if not family.batches:
        with pytest.raises(ValueError, match="batch_size"):
            call(built(family.name), family, **batch)
        return
    together = call(built(family.name), family, **batch)
    alone = [painted(family.name, *request) for request in REQUESTS]
    assert [apart(one, other) <= 1 for one, other in zip(together, alone, strict=True)] == [True] * 3


@every
def test_the_table_says_what_the_class_takes(family: Family) -> None:
    """Negative prompts, IP-Adapters and LoRAs are as the class has them."""
    kind = type(built(family.name))
    takes = inspect.signature(kind.__call__).parameters
    adapts = issubclass(kind, IPAdapterMixin | FluxIPAdapterMixin | SD3IPAdapterMixin) and "ip_adapter_image" in takes
    assert ("negative_prompt" in takes, adapts, issubclass(kind, LoraBaseMixin)) == (
        family.negative,
        family.ip_adapter,
        family.lora,
    )


@every
def test_guidance_changes_the_picture_where_the_table_says_so(family: Family) -> None:
    """The named argument steers; where none is named, the usual one does nothing."""
    given: dict[str, Any] = {family.guidance or "guidance_scale": 9.0, **started(family, 0)}
    if family.guidance == "true_cfg_scale":
        given["negative_prompt"] = " "
    pixels = call(built(family.name), family, prompt=PROMPT, generator=seeded(SEED), **given)[0]
    assert (apart(pixels, painted(family.name)) > 1) is (family.guidance is not None)


@every
def test_it_goes_the_other_ways_too(family: Family) -> None:
    """From a picture, within a mask, after an instruction, from two pictures: one comes, of the size asked for."""
    for way in sorted(family.ways - {Way.TEXT}):
        if (family.name, way) == ("qwen-image-edit", Way.INPAINT):
            continue  # see the table
        pipe = sibling(family, way)
        given: dict[str, Any] = {"image": [source(0), source(1)] if way is Way.REFERENCES else source(0)}
        if way is Way.INPAINT:
            given["mask_image"] = half()
        if "strength" in inspect.signature(type(pipe).__call__).parameters:
            given["strength"] = 1.0
        pictures = call(pipe, family, prompt=PROMPT, generator=seeded(SEED), **given)
        assert [picture.shape for picture in pictures] == [(SIDE, SIDE, 3)], way


def sibling(family: Family, way: Way) -> Any:
    """The pipeline of the same parts that goes this way, with a schedule of its own."""
    pipe = built(family.name)
    takes = inspect.signature(type(pipe).__call__).parameters
    if way in (Way.INSTRUCT, Way.REFERENCES) or (way is Way.INPAINT and "mask_image" in takes):
        return pipe
    if name := SIBLINGS.get((family.name, way)):
        other = getattr(diffusers, name).from_pipe(pipe, dtype=pipe.dtype)
    elif way is Way.IMAGE:
        other = diffusers.AutoPipelineForImage2Image.from_pipe(pipe)
    else:
        other = diffusers.AutoPipelineForInpainting.from_pipe(pipe)
    other.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config)
    return other


def test_weights_are_always_the_same_and_cost_nobody_his_dice() -> None:
    """Two builds are equal to the last bit, and torch's own random numbers go on as if there had been none."""
    torch.manual_seed(3)
    one = FAMILIES["sdxl"].build().unet.state_dict()
    thrown = torch.rand(2)
    other = FAMILIES["sdxl"].build().unet.state_dict()
    torch.manual_seed(3)
    assert torch.equal(torch.rand(2), thrown)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_an_ip_adapter_can_be_loaded_and_looks(tmp_path: Path) -> None:
    """With the adapter's file the picture follows another picture; how much, its scale says."""
    family = FAMILIES["sdxl-eyes"]
    pipe = family.build()
    pipe.load_ip_adapter(**adapter(pipe, tmp_path))

    def after(number: int, scale: float) -> np.ndarray[Any, Any]:
        pipe.set_ip_adapter_scale(scale)
        given = {"prompt": PROMPT, "generator": seeded(SEED), "ip_adapter_image": source(number)}
        return call(pipe, family, **given)[0]

    assert apart(after(0, 1.0), after(1, 1.0)) > 4
    assert apart(after(0, 0.0), after(1, 0.0)) == 0
