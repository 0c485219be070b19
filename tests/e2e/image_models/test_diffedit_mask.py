"""Where a picture must change is found by the model itself, and nothing else of it changes."""

import io
from functools import partial

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="the worker needs the render extra")

import torch

from bot.domain import Operation, Sampling
from bot.notices import notice
from render.diffusion import diffedit_mask as contrast
from render.diffusion.diffusers_model import DiffusersModel
from render.diffusion.latent_preview import PreviewDecoder, latent_grid, predict_final_latents
from render.models.edit_plan import EditMethod
from render.models.image_files import composite_by_mask
from render.protocol import ImageTask
from tests.e2e.image_models.test_families import asked, made, output, pixels, source
from tests.support.tiny_models import FAMILIES, UPSTREAM

pytestmark = [pytest.mark.filterwarnings(line) for line in UPSTREAM]
SIDE = 64


def test_what_differs_most_is_white() -> None:
    """A place of strong difference is found, in the picture's size; where all differs alike there is no place."""
    difference = torch.full((8, 8), 0.1)
    difference[:3, :3] = 2.0
    place = contrast._threshold_mask(difference, (SIDE, SIDE))
    assert place is not None and place.size == (SIDE, SIDE)
    white = np.asarray(place) > 0
    assert white[:20, :20].all() and not white[40:, 40:].any()
    assert contrast._threshold_mask(torch.zeros(8, 8), (SIDE, SIDE)) is None
    assert contrast._threshold_mask(torch.full((8, 8), float("nan")), (SIDE, SIDE)) is None


def test_outside_of_the_place_the_source_stays_pixel_for_pixel() -> None:
    """What was drawn is seen inside alone, with a soft rim."""
    place = Image.new("L", (SIDE, SIDE))
    place.paste(255, (16, 16, 48, 48))
    both = np.asarray(
        composite_by_mask(Image.new("RGB", (SIDE, SIDE), "red"), Image.new("RGB", (SIDE, SIDE), "blue"), place)
    )
    outside = np.asarray(place) == 0
    assert (both[outside] == (255, 0, 0)).all() and tuple(both[32, 32]) == (0, 0, 255)


@pytest.mark.parametrize("name", ["sd", "sdxl", "flux-dev", "qwen-image", "z-image"])
def test_a_small_change_of_a_part_keeps_the_rest(name: str) -> None:
    """Whatever part the model finds, the picture is the source's outside of it; without one it starts from it."""
    image_model = DiffusersModel(name, "cpu", 4, load=lambda model, device: FAMILIES[name].build())
    task = asked(Operation.EDIT, "a blue box on a wall", change="small", picture=source())
    picture = made(output(image_model, task))[task.id]
    assert str(picture.edit_method).startswith(
        (str(notice(EditMethod.INPAINT)), str(notice(EditMethod.IMAGE_TO_IMAGE)))
    )
    if str(picture.edit_method).startswith(str(notice(EditMethod.INPAINT))):
        assert "% of the image" in str(picture.edit_method)
        before = np.asarray(Image.open(io.BytesIO(source())).convert("RGB"), np.int16)
        assert (np.abs(pixels(picture) - before).max(axis=2) == 0).mean() > 0.2


def test_the_lens_learns_how_latents_become_colours() -> None:
    """After one picture, the next is seen through it nearly as it is; packed latents too."""
    draw = partial(torch.randn, generator=torch.Generator().manual_seed(0))
    mix = draw(3, 4)

    def shown(latents: torch.Tensor) -> Image.Image:
        colours = torch.einsum("ck,khw->hwc", mix, latents).clamp(-2, 2) / 2
        levels = ((colours + 1) * 127.5).byte().numpy()
        return Image.fromarray(levels).resize((128, 128), Image.Resampling.NEAREST)

    known, new = draw(4, 16, 16) * 0.3, draw(4, 16, 16) * 0.3
    lens = PreviewDecoder()
    assert lens.decode_preview(new, (128, 128)) is None
    lens.learn_from(known, shown(known))
    seen = lens.decode_preview(new, (128, 128))
    assert seen is not None
    small = (np.asarray(each.resize((16, 16), Image.Resampling.BOX), np.float32) for each in (seen, shown(new)))
    assert np.abs(next(small) - next(small)).mean() < 12
    packed = latent_grid(new.flatten(1).T, (128, 128))
    assert packed is not None and torch.equal(packed, new.permute(1, 2, 0))
    lens.learn_from(torch.full((4, 16, 16), float("nan")), shown(known))
    assert lens.decode_preview(new, (128, 128)) is not None


def test_the_way_ahead_is_seen_from_two_steps() -> None:
    """On a straight path the end is known from two of its points."""
    start, end = torch.randn(4, 8, 8), torch.ones(4, 8, 8)
    path = [sigma * start + (1 - sigma) * end for sigma in (1.0, 0.75, 0.5)]

    class Scheduler:
        sigmas = torch.tensor([2.0, 1.0, 0.75, 0.5, 0.0])  # it was begun a step later, as from a picture
        step_index = 2

    assert torch.allclose(predict_final_latents(path[1], path[0], Scheduler), end, atol=1e-5)
    assert torch.equal(predict_final_latents(path[1], None, Scheduler), path[1])


def test_each_change_keeps_its_own_strength() -> None:
    """Two small changes that come together, of which no part is found, do not share how much of them goes."""
    image_model = DiffusersModel("sd", "cpu", 4, load=lambda model, device: FAMILIES["sd"].build())
    blank = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), "white").save(blank, "PNG")
    before = "a red box stands quietly on a white wall beside the window of an old empty house in town, years ago"
    few, many = before, f"{before}, with seven small black cats and dogs"  # beyond what this encoder reads
    tasks = [
        ImageTask(
            name,
            Operation.EDIT,
            prompt,
            sampling=Sampling(seed=1, num_inference_steps=8),
            source=blank.getvalue(),
            source_prompt=before,
            change="small",
        )
        for name, prompt in (("few", few), ("many", many))
    ]
    alone = {task.id: made(output(image_model, task))[task.id] for task in tasks}
    assert {picture.edit_method for picture in alone.values()} == {
        notice("method-with-strength", method=notice(EditMethod.IMAGE_TO_IMAGE), strength=each) for each in (0.5, 0.7)
    }
    together = made(output(image_model, *tasks))
    assert {name: picture.edit_method for name, picture in together.items()} == {
        n: p.edit_method for n, p in alone.items()
    }
    for name, picture in together.items():
        assert np.abs(pixels(picture) - pixels(alone[name])).max() <= 2
