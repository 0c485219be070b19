"""What stays of a picture whose background is changed: the things before it, pixel for pixel."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from torch import Tensor
from torch.nn.functional import max_pool2d

from render.builtin.pipeline import ScenePipeline
from render.builtin.preserve import keep_things
from render.builtin.training.export import WEIGHTS
from render.builtin.training.paint import paint
from render.builtin.training.scenes import Group, Scene
from render.builtin.training.train import latents

CAT = Scene((Group("cat", "orange"),), background="light blue")
STARS = Scene((Group("star", "yellow", 3),), background="navy")
SCENES = [
    CAT,
    STARS,
    Scene((Group("house", "red"),), background="white", size="large"),
    Scene((Group("fish", "white"), Group("tree", "green")), background="gray"),
    Scene((Group("flower", "purple"),), background="white", style="outline"),
]


def tensor(picture: Image.Image) -> Tensor:
    """`[1, 3, height, width]` in [-1, 1]."""
    return torch.from_numpy(np.array(picture, np.float32)).permute(2, 0, 1)[None] / 127.5 - 1


def drawn(scene: Scene) -> Tensor:
    """As a decoder draws it: right, but without a sharp rim anywhere."""
    return tensor(paint(scene, 256).filter(ImageFilter.GaussianBlur(2)))


def inside(scene: Scene) -> Tensor:
    """The things without their rims, `[256, 256]`: what no background shines through."""
    one, other = (tensor(paint(replace(scene, background=each), 256)) for each in ("cream", "brown"))
    differs = (one != other).any(1, keepdim=True).float()
    return (max_pool2d(differs, 5, stride=1, padding=2) == 0)[0, 0]


CASES = [*((scene, "pink") for scene in SCENES), *((scene, "night") for scene in SCENES if scene != STARS)]


@pytest.mark.parametrize(("scene", "behind"), CASES, ids=[f"{each.groups[0].kind}-{behind}" for each, behind in CASES])
def test_things_keep_their_pixels_before_another_background(scene: Scene, behind: str) -> None:
    """Nearly all of their insides is the source's own; the whole is nearer to what is meant than what was drawn."""
    after = replace(scene, background=behind)
    source, blurred, meant = tensor(paint(scene, 256)), drawn(after), tensor(paint(after, 256))
    made = keep_things(blurred, source)
    within = inside(scene)
    assert within.sum() > 100
    assert (made == source)[..., within].float().mean() > 0.98
    assert (made - meant).abs().mean() < 0.6 * (blurred - meant).abs().mean()


@pytest.mark.parametrize(
    "after",
    [
        replace(CAT, groups=(Group("cat", "blue"),), background="pink"),
        replace(CAT, groups=(Group("tree", "orange"),), background="pink"),
        replace(CAT, place="left", background="pink"),
        replace(CAT, groups=(Group("cat", "orange"), Group("star", "white")), background="pink"),
    ],
    ids=["colour", "kind", "place", "company"],
)
def test_what_was_changed_too_is_as_it_was_drawn(after: Scene) -> None:
    """A thing of another colour, kind or place is not the source's, and nothing of that is brought back."""
    blurred = drawn(after)
    made = keep_things(blurred, tensor(paint(CAT, 256)))
    added = inside(after) & ~inside(CAT)
    assert torch.equal(made, blurred) or ("star" in str(after) and torch.equal(made[..., added], blurred[..., added]))


def test_where_the_background_has_the_colour_of_the_thing_all_is_as_it_was_drawn() -> None:
    """Sand like an orange cat: nobody can tell which is which."""
    blurred = drawn(replace(CAT, background="beach"))
    assert torch.equal(keep_things(blurred, tensor(paint(CAT, 256))), blurred)


def test_a_picture_whose_background_stays_is_as_it_was_drawn() -> None:
    """There the latents tell what to keep."""
    blurred = drawn(replace(CAT, groups=(Group("cat", "blue"),)))
    assert torch.equal(keep_things(blurred, tensor(paint(CAT, 256))), blurred)


def test_rows_do_not_depend_on_each_other() -> None:
    """One whose things are kept beside one that is returned as it is."""
    source = tensor(paint(CAT, 256))
    kept, moved = drawn(replace(CAT, background="pink")), drawn(replace(CAT, place="left", background="pink"))
    together = keep_things(torch.cat([kept, moved]), torch.cat([source, source]))
    assert torch.equal(together, torch.cat([keep_things(kept, source), keep_things(moved, source)]))


def test_the_model_that_ships_keeps_things() -> None:
    """Its decoder alone would draw the cat anew wherever a patch of it holds background too."""
    pipeline = ScenePipeline.from_pretrained(WEIGHTS, dtype=torch.float32)
    after = replace(CAT, background="pink")
    source = tensor(paint(CAT, 256))
    made = pipeline.decode(torch.from_numpy(latents(after))[None], source)
    assert (made == source).all(1)[0, inside(CAT)].float().mean() > 0.98
    assert (made - tensor(paint(after, 256))).abs().mean() < 0.02
