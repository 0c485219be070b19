"""The consistency suite measures what it says, on ways of which it is known how good they are."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from PIL import Image

pytest.importorskip("torch", reason="the worker needs the render extra")

from benchmarks.consistency import EditStep, Strategy, load_pipeline, make_chains, mean, measure
from render.builtin.pipeline import ScenePipeline
from render.builtin.training.edits import edit_kind
from render.builtin.training.paint import paint
from render.builtin.training.scenes import Scene, caption

CHOSEN = make_chains(6, 3, seed=4)
MEANT: dict[str, Scene] = {caption(scene): scene for scenes in CHOSEN for scene in scenes}


@pytest.fixture(scope="module")
def pipeline() -> ScenePipeline:
    """The model that ships; these ways do not ask it."""
    return load_pipeline()


def perfect(pipeline: ScenePipeline, steps: Sequence[EditStep]) -> list[Image.Image]:
    """The new scene as it is meant."""
    return [paint(MEANT[meant], pipeline.side) for meant, _, _, _ in steps]


def idle(pipeline: ScenePipeline, steps: Sequence[EditStep]) -> list[Image.Image]:
    """The picture so far."""
    return [picture for _, picture, _, _ in steps]


def forgetful(pipeline: ScenePipeline, steps: Sequence[EditStep]) -> list[Image.Image]:
    """Nothing of it: another gray each time."""
    return [Image.new("RGB", picture.size, (seed // 1000 * 40,) * 3) for _, picture, _, seed in steps]


@pytest.mark.parametrize(
    ("way", "kept", "changed"),
    [(perfect, (0.98, 1), (1, 1)), (idle, (1, 1), (0, 0.1)), (forgetful, (0, 0.2), (0, 0.2))],
)
def test_a_way_is_judged_as_it_is(
    pipeline: ScenePipeline, way: Strategy, kept: tuple[float, float], changed: tuple[float, float]
) -> None:
    """Within these shares of what should stay, and of what should change."""
    row = mean(measure(pipeline, way, CHOSEN))
    assert kept[0] <= row.kept <= kept[1]
    assert changed[0] <= row.changed <= changed[1]


def test_every_edit_of_a_chain_changes_one_thing() -> None:
    """Each scene is the one before it after a change that can be named."""
    assert all(edit_kind(*pair) for scenes in CHOSEN for pair in pairwise(scenes))
    assert len(MEANT) > len(CHOSEN)
