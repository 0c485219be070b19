"""A marked part is painted, and nothing else of the picture: by every kind of model, behind an images API too."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="the worker needs the render extra")

from bot.domain import Operation, Sampling
from render.builtin.training.paint import paint
from render.builtin.training.scenes import Group, Scene
from render.diffusion.diffusers_model import DiffusersModel
from render.models.image_files import encode_png, region_mask
from render.protocol import ImageDone, ImageFailed, ImageTask
from tests.e2e.image_models.test_families import asked, image_model, made, output, pixels, source
from tests.support.images_engine import change, drawn, engine
from tests.support.images_server import ALL, ImagesDouble, in_words, unprocessable
from tests.support.tiny_models import UPSTREAM

pytestmark = [pytest.mark.filterwarnings(line) for line in UPSTREAM]

TOP_LEFT = "0,0 49,0 49,49 0,49"


def changed(before: bytes, after: ImageDone) -> np.ndarray:
    """Where they differ."""
    source = np.asarray(Image.open(io.BytesIO(before)).convert("RGB").resize((after.width, after.height)), np.int16)
    different: np.ndarray = np.abs(pixels(after) - source).max(axis=2) > 0
    return different


@pytest.mark.parametrize("name", ["sd", "flux-fill", "flux-kontext", "z-image"])
@pytest.mark.parametrize("operation", [Operation.EDIT, Operation.VARY])
def test_nothing_changes_around_the_part(name: str, operation: Operation) -> None:
    """Whatever the model's way, the rest is the source's own pixels."""
    task = replace(asked(operation, "a blue box on a wall", change="large", picture=source()), region=TOP_LEFT)
    (picture,) = made(output(image_model(name), task)).values()
    inside = np.asarray(region_mask(TOP_LEFT, (picture.width, picture.height))) > 0
    different = changed(source(), picture)
    assert not different[~inside].any()
    assert different[inside].any()


def test_people_with_and_without_a_part_share_a_batch() -> None:
    """Each gets what he asked for."""
    whole = asked(Operation.EDIT, "a blue box on a wall", picture=source())
    part = replace(whole, id="part", region=TOP_LEFT)
    pictures = made(output(image_model("flux-kontext"), whole, part))
    assert changed(source(), pictures[whole.id])[40:, 40:].any()
    assert not changed(source(), pictures["part"])[40:, 40:].any()


def test_a_part_that_is_none_spoils_nobody_else() -> None:
    """Whoever speaks to the worker past the bot may say anything."""
    good = asked(Operation.EDIT, "a blue box on a wall", picture=source())
    events = output(image_model("sd"), replace(good, id="bad", region="1,1 2"), good)
    assert [event.task for event in events if isinstance(event, ImageFailed)] == ["bad"]
    assert [event.task for event in events if isinstance(event, ImageDone)] == [good.id]


def test_the_model_that_ships_changes_one_of_three() -> None:
    """The heart that was marked is green, the others are as they were."""
    before = paint(Scene((Group("heart", "red", 3),)), 256)
    task = ImageTask(
        "t",
        Operation.EDIT,
        "three green hearts",
        sampling=Sampling(seed=1),
        source=encode_png(before, {}),
        source_prompt="three red hearts",
        region="0,0 33,0 33,100 0,100",
    )
    picture = made(output(DiffusersModel("builtin", "cpu"), task))["t"]
    inside = np.asarray(region_mask(task.region, (256, 256))) > 0
    after, was = pixels(picture), np.asarray(before, np.int16)
    assert not np.abs(after - was).max(axis=2)[~inside].any()
    red = (was[..., 0] > 180) & (was[..., 1] < 80)
    green = (after[..., 1] > 120) & (after[..., 0] < 120)
    assert green[inside].sum() > 0.7 * red[inside].sum() > 0


async def test_an_images_server_gets_a_mask() -> None:
    """It is clear where the picture is to change; around it, what the server painted is left out."""
    double = ImagesDouble(sizes=("1536x1024",))
    async with engine(double) as there:
        picture = await drawn(there, change(region=TOP_LEFT, change="large"))
    sent = double.asked[-1]
    with Image.open(io.BytesIO(sent.mask or b"")) as mask:
        assert (mask.mode, mask.getpixel((5, 5)), mask.getpixel((40, 5))) == ("RGBA", (255, 0, 0, 0), (255, 0, 0, 255))
    assert (picture.width, picture.height) == (64, 64)  # as the source, so that nothing is resampled around the part
    inside = np.asarray(region_mask(TOP_LEFT, (64, 64))) > 0
    different = (pixels(picture) != (255, 0, 0)).any(axis=2)
    assert not different[~inside].any() and different[:16, :16].all()


@pytest.mark.parametrize("refusal", [None, unprocessable, in_words])
async def test_a_server_without_masks_is_not_sent_one_again(refusal: Any) -> None:
    """The part is kept to all the same."""
    double = ImagesDouble(takes=ALL)
    double.refusal = refusal or double.refusal
    async with engine(double) as there:
        for _ in range(2):
            picture = await drawn(there, change(region=TOP_LEFT))
    assert [bool(asked.mask) for asked in double.asked] == [True, False, False]
    assert (pixels(picture)[40:] == (255, 0, 0)).all()
