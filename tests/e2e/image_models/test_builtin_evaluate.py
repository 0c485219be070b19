"""The evaluator of the built-in picture model, on pictures of which it is known what is right."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

pytest.importorskip("torch", reason="the worker needs the render extra")

from render.builtin.training.edits import edit_scores, pixels_of
from render.builtin.training.evaluate import SCORES
from render.builtin.training.paint import paint
from render.builtin.training.scenes import COLOURS, Group, Scene

ONE = Scene((Group("cat", "orange"),), background="light blue")
THREE = Scene((Group("diamond", "red", 3),), background="white")
PAIR = Scene((Group("house", "red"), Group("tree", "green")), background="white")
STYLED = Scene((Group("star", "blue"),), background="white", style="pixel")


def score(name: str, scene: Scene, picture: Scene | Image.Image) -> bool | None:
    """What this side of the picture is taken for, if the scene was asked for."""
    image = paint(picture, 256) if isinstance(picture, Scene) else picture
    return SCORES[name](pixels_of(image), scene)


@pytest.mark.parametrize("scene", [ONE, THREE, PAIR, STYLED])
@pytest.mark.parametrize("name", list(SCORES))
def test_what_was_asked_for_is_right(name: str, scene: Scene) -> None:
    """Each side that the scene has."""
    assert score(name, scene, scene) is not False


@pytest.mark.parametrize(
    ("name", "scene", "picture"),
    [
        ("background", ONE, replace(ONE, background="pink")),
        ("colour", ONE, replace(ONE, groups=(Group("cat", "purple"),))),
        ("shape", ONE, replace(ONE, groups=(Group("fish", "orange"),))),
        ("place", ONE, replace(ONE, place="left")),
        ("size", ONE, replace(ONE, size="large")),
        ("count", THREE, replace(THREE, groups=(Group("circle", "red", 2),))),
        ("count", THREE, replace(THREE, groups=(Group("circle", "red", 4),))),
        ("relation", PAIR, replace(PAIR, groups=PAIR.groups[::-1])),
        ("style", STYLED, replace(STYLED, style="flat")),
    ],
)
def test_what_was_not_asked_for_is_wrong(name: str, scene: Scene, picture: Scene) -> None:
    """Each side, wrong alone."""
    assert score(name, scene, scene) is True
    assert score(name, scene, picture) is False


@pytest.mark.parametrize(("width", "right"), [(6, True), (40, False)])
def test_things_that_touch_thinly_are_counted_apart(width: int, right: bool) -> None:
    """A bridge of a few pixels does not make one thing of two, a broad one does."""
    picture = paint(THREE, 256)
    columns = np.flatnonzero((np.asarray(picture) != 255).any(axis=(0, 2)))
    rows = np.flatnonzero((np.asarray(picture) != 255).any(axis=(1, 2)))
    middle = int(rows.mean())
    box = (int(columns[0]) + 10, middle - width // 2, int(columns[-1]) - 10, middle + width // 2)
    ImageDraw.Draw(picture).rectangle(box, COLOURS["red"])
    assert score("count", THREE, picture) is right


RECOLOURED = replace(ONE, groups=(Group("cat", "blue"),))


@pytest.mark.parametrize(
    ("picture", "done", "kept"),
    [
        (RECOLOURED, True, True),
        (ONE, False, True),
        (replace(RECOLOURED, background="pink"), True, False),
        (replace(ONE, background="pink"), False, False),
    ],
)
def test_an_edit_is_done_and_the_rest_is_kept(picture: Scene, done: bool, kept: bool) -> None:
    """Each for itself."""
    assert edit_scores(ONE, RECOLOURED, paint(picture, 256)) == ("colour", done, kept)
