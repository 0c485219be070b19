"""Measures how well an image keeps over five edits what should not change: `python -m benchmarks.consistency`.

Each chain begins with a painted scene of the built-in model. Every edit changes one property of the scene (any kind of
change that `render.builtin.training.scenes` knows), is requested by the caption of the new scene, and starts from the
image that the same strategy made for the edit before. Three strategies get the same chains:

- ours: how the bot carries out a small change. The current image is the source of the pipeline, and its seed is kept.
- image prompt: as close as the inputs of this model come to the published code of Mini-DALL-E 3 (arXiv 2310.07653),
  which gives the current image as an image prompt of weight 0.3 and a new seed. The new caption is rendered with a new
  seed and without a source; after each step of the first half, in which the composition is decided, the clean image
  predicted so far is mixed with the current image, three parts in ten, before its noise is added again.
- drawn again: the new caption with a new seed.

Four figures, each the mean over all chains: `kept`, the share of what the edit should leave alone that is as it was
before the edit; `things`, the same for the things alone, because most of a scene is an even background; `since the
start`, the share of what no edit so far should have touched that is as it was in the painted scene; `changed`, the
share of what the edit should change that looks as requested. All figures are computed from pixels where the scenes
differ.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from render.builtin.decoder import SCALE
from render.builtin.pipeline import ScenePipeline
from render.builtin.training.edits import SIDE, Mask, changed, grown, share_alike, share_done, share_kept
from render.builtin.training.export import WEIGHTS
from render.builtin.training.paint import mask, paint
from render.builtin.training.scenes import Scene, caption, random_change, random_scene

EDITS = 5
BATCH = 8
WEIGHT = 0.3
COMPOSITION_SIGMA = 0.55  # noise level down to which the image prompt is heard; below, it would only shine through

EditStep = tuple[str, Image.Image, int, int]
"""The new caption, the picture so far, the chain's seed, and a seed that nothing was drawn with before."""

Strategy = Callable[[ScenePipeline, Sequence[EditStep]], list[Image.Image]]


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of the edits with one number, as shares of 1."""

    kept: float
    things: float
    since_the_start: float
    changed: float


def main() -> None:
    """Print a table, and how much more goes wrong with the other strategies than with ours."""
    parser = argparse.ArgumentParser(description="Consistency over chains of edits")
    parser.add_argument("--chains", type=int, default=48)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    pipeline = load_pipeline()
    chosen = make_chains(options.chains, EDITS, options.seed)
    measured = {name: measure(pipeline, way, chosen) for name, way in STRATEGIES.items()}
    print(f"{len(chosen)} chains of {EDITS} edits, in percent: kept / things / since the start / changed\n")
    print(f"{'edit':>8}" + "".join(f"{name:>26}" for name in measured))
    for number, rows in enumerate(zip(*measured.values(), strict=True), start=1):
        print(f"{number:>8}" + "".join(f"{_format_shares(row):>26}" for row in rows))
    means = {name: mean(rows) for name, rows in measured.items()}
    print(f"{'all':>8}" + "".join(f"{_format_shares(row):>26}" for row in means.values()))
    ours, *others = means.values()
    for name, row in zip(list(means)[1:], others, strict=True):
        lost, missed = _ratio(1 - row.kept, 1 - ours.kept), _ratio(1 - row.changed, 1 - ours.changed)
        print(f"\n{name}: loses {lost:.2f} times as much as ours, and leaves {missed:.2f} times as much undone")


def load_pipeline() -> ScenePipeline:
    """Load the built-in model."""
    pipeline: ScenePipeline = ScenePipeline.from_pretrained(WEIGHTS, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def make_chains(count: int, edits: int, seed: int) -> list[list[Scene]]:
    """Build chains of scenes, each scene one change after the one before it."""
    rng = Random(seed)
    made = []
    for _ in range(count):
        scenes = [random_scene(rng)]
        for _ in range(edits):
            scenes.append(random_change(scenes[-1], rng))
        made.append(scenes)
    return made


def measure(pipeline: ScenePipeline, strategy: Strategy, scene_chains: Sequence[Sequence[Scene]]) -> list[Row]:
    """Return one row for each edit number, the mean of all chains."""
    started = [paint(scenes[0], pipeline.side) for scenes in scene_chains]
    pictures = started
    untouched = [np.ones_like(changed(scenes[0], scenes[0])) for scenes in scene_chains]
    rows = []
    for number, edits in enumerate(zip(*(pairwise(scenes) for scenes in scene_chains), strict=True)):
        steps = [
            (caption(after), picture, chain, 1_000 * (number + 1) + chain)
            for chain, ((_, after), picture) in enumerate(zip(edits, pictures, strict=True))
        ]
        made = [picture for some in _batches(steps) for picture in strategy(pipeline, some)]
        untouched = [clean & ~grown(changed(*edit)) for clean, edit in zip(untouched, edits, strict=True)]
        figures = [
            (
                share_kept(before, after, source, picture),
                share_alike(_things(before) & ~grown(changed(before, after)), source, picture),
                share_alike(where, first, picture),
                share_done(before, after, picture),
            )
            for (before, after), source, picture, where, first in zip(
                edits, pictures, made, untouched, started, strict=True
            )
        ]
        rows.append(Row(*(float(column) for column in np.mean(figures, axis=0))))
        pictures = made
    return rows


def edit_source(pipeline: ScenePipeline, steps: Sequence[EditStep]) -> list[Image.Image]:
    """Use the current image as the source, and keep the seed."""
    captions, pictures, seeds, _ = zip(*steps, strict=True)
    return list(pipeline(captions, image=pictures, generator=_generators(seeds)).images)


def image_prompt(pipeline: ScenePipeline, steps: Sequence[EditStep]) -> list[Image.Image]:
    """Mix the current image into the composition of a new image."""
    captions, pictures, _, seeds = zip(*steps, strict=True)
    so_far = F.avg_pool2d(pipeline.source_pictures(pictures, len(pictures)), SCALE)

    def mix(pipe: ScenePipeline, i: int, t: float, callback_kwargs: dict[str, Tensor]) -> dict[str, Tensor]:
        if pipe.scheduler.sigmas[i] <= COMPOSITION_SIGMA:
            return {}
        signal = 1 - pipe.scheduler.sigmas[i + 1]
        return {"latents": callback_kwargs["latents"] + signal * WEIGHT * (so_far - callback_kwargs["clean"])}

    return list(
        pipeline(
            captions,
            generator=_generators(seeds),
            callback_on_step_end=mix,
            callback_on_step_end_tensor_inputs=("latents", "clean"),
        ).images
    )


def redraw(pipeline: ScenePipeline, steps: Sequence[EditStep]) -> list[Image.Image]:
    """Use nothing of the current image."""
    captions, _, _, seeds = zip(*steps, strict=True)
    return list(pipeline(captions, generator=_generators(seeds)).images)


STRATEGIES: dict[str, Strategy] = {"ours": edit_source, "image prompt": image_prompt, "drawn again": redraw}


def mean(rows: Sequence[Row]) -> Row:
    """Return the mean over all edit numbers."""
    return Row(
        *(
            sum(getattr(row, name) for row in rows) / len(rows)
            for name in ("kept", "things", "since_the_start", "changed")
        )
    )


def _things(scene: Scene) -> Mask:
    return np.asarray(mask(scene, SIDE)) > 127


def _generators(seeds: Sequence[int]) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def _batches(steps: Sequence[EditStep]) -> Iterator[Sequence[EditStep]]:
    for start in range(0, len(steps), BATCH):
        yield steps[start : start + BATCH]


def _ratio(theirs: float, ours: float) -> float:
    return theirs / max(1e-6, ours)


def _format_shares(row: Row) -> str:
    return f"{100 * row.kept:.0f} / {100 * row.things:.0f} / {100 * row.since_the_start:.0f} / {100 * row.changed:.0f}"


if __name__ == "__main__":
    main()
