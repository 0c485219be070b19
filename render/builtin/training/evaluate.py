"""Scores the pixels of the built-in image model: `python -m render.builtin.training.evaluate --grid grid.png`.

Every scorer sees only the picture and the scene that was asked for. `--truth` scores painted scenes, taken through
latents and decoder, instead of drawn ones: what is below 100 % there is the scorer's fault or the decoder's.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import log
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from render.builtin.pipeline import ScenePipeline
from render.builtin.training.edits import DIFFERENT, SIDE, Mask, Pixels, edit_scores, grown, pixels_of
from render.builtin.training.export import WEIGHTS
from render.builtin.training.paint import PIXEL_STYLE_CELLS, _background, paint
from render.builtin.training.scenes import (
    COLOURS,
    KINDS,
    PLAIN,
    SIZES,
    Group,
    Scene,
    caption,
    random_edit,
    random_scene,
)
from render.builtin.training.train import latents

LATENT_SIDE = 32
BATCH = 8
BRIDGE = 2  # pixels on either side: so the fewest of the painted pictures are miscounted
RIM_TOLERANCE = 20  # levels; the nearest two backgrounds are 40 apart

Score = Callable[[Pixels, Scene], bool | None]
"""Whether the picture shows this side of the scene rightly; None if the scene does not have it."""


@dataclass(frozen=True, slots=True)
class SceneCase:
    """A scene to be asked for; for an edit, with the scene that the source picture shows."""

    scene: Scene
    told: str
    before: Scene | None
    new: bool


def main() -> None:
    """Draw, score, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="folder of the pipeline")
    parser.add_argument("--count", type=int, default=96, help="captions; half as many edits are added")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="other num_inference_steps than the pipeline's own")
    parser.add_argument("--guidance", type=float, help="other guidance_scale than the pipeline's own")
    parser.add_argument("--truth", action="store_true", help="score painted scenes, to test the scorers")
    parser.add_argument("--grid", type=Path, help="write the first pictures with their captions to this file")
    options = parser.parse_args()
    pipeline = ScenePipeline.from_pretrained(options.weights, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    settings = {"num_inference_steps": options.steps, "guidance_scale": options.guidance}
    settings = {name: value for name, value in settings.items() if value is not None}
    chosen = list(cases(Random(options.seed), options.count))
    started = time.monotonic()
    if options.truth:
        pictures = [_painted(pipeline, case) for case in chosen]
    else:
        pictures = list(_drawn(pipeline, chosen, options.seed, settings))
    batched = (time.monotonic() - started) / len(chosen)
    _print_scores(chosen, pictures)
    if not options.truth:
        alone = median(_alone(pipeline, settings) for _ in range(5))
        print(f"\n{alone:.2f} s a picture alone (goal: under {ALONE:.0f})")
        print(f"{batched:.2f} s a picture in a batch of {BATCH} (goal: under {BATCHED})")
    if options.grid:
        grid(chosen, pictures).save(options.grid)


def cases(rng: Random, count: int) -> Iterator[SceneCase]:
    """`count` captions and half as many edits, every other of each with kinds and colours that never met."""
    for number in range(count):
        scene = random_scene(rng, new=number % 2 == 1)
        yield SceneCase(scene, caption(scene, rng), None, number % 2 == 1)
    for number in range(count // 2):
        before, scene = random_edit(rng, new=number % 2 == 1)
        yield SceneCase(scene, caption(scene, rng), before, number % 2 == 1)


def _drawn(
    pipeline: ScenePipeline, chosen: list[SceneCase], seed: int, settings: dict[str, Any]
) -> Iterator[Image.Image]:
    for start in range(0, len(chosen), BATCH):
        batch = chosen[start : start + BATCH]
        yield from pipeline(
            [case.told for case in batch],
            image=[paint(case.before, 256) if case.before else None for case in batch],
            generator=[torch.Generator().manual_seed(seed * 10_000 + start + i) for i in range(len(batch))],
            **settings,
        ).images


def _alone(pipeline: ScenePipeline, settings: dict[str, Any]) -> float:
    started = time.monotonic()
    pipeline("a red circle", generator=torch.Generator().manual_seed(0), **settings)
    return time.monotonic() - started


def _painted(pipeline: ScenePipeline, case: SceneCase) -> Image.Image:
    source = pipeline.source_pictures(paint(case.before, 256) if case.before else None, 1)
    decoded = pipeline.decode(torch.from_numpy(latents(case.scene))[None], source)
    picture: Image.Image = pipeline.image_processor.postprocess(decoded, output_type="pil")[0]
    return picture


def _print_scores(chosen: list[SceneCase], pictures: list[Image.Image]) -> None:
    results: dict[tuple[str, bool], list[bool]] = defaultdict(list)
    for case, picture in zip(chosen, pictures, strict=True):
        if case.before:
            change, done, kept = edit_scores(case.before, case.scene, picture)
            results[f"edit {change}: done", case.new].append(done)
            results[f"edit {change}: rest kept", case.new].append(kept)
            results["edits: done", case.new].append(done)
            results["edits: rest kept", case.new].append(kept)
        else:
            pixels = pixels_of(picture)
            for name, score in SCORES.items():
                if (right := score(pixels, case.scene)) is not None:
                    results[name, case.new].append(right)
    print(f"{'':28}{'trained pairs':>16}{'new pairs':>16}{'all':>16}{'goal':>8}")
    edits = sorted({name for name, _ in results} - SCORES.keys(), key=lambda name: (name[4] != "s", name))
    for name in [*SCORES, *edits]:
        rows = [results[name, False], results[name, True], results[name, False] + results[name, True]]
        goal = f"{GOALS[name]:>6} %" if name in GOALS else ""
        print(f"{name:28}" + "".join(f"{_percent(row):>16}" for row in rows) + goal)


def _percent(row: list[bool]) -> str:
    return f"{100 * sum(row) / len(row):.0f} % of {len(row)}" if row else "-"


def background_right(pixels: Pixels, scene: Scene) -> bool | None:
    """The rim is that of the background alone; a thing may cover less than half of it."""
    off = np.abs(pixels - _behind(scene)).max(2)
    return bool(np.median(_rim(off)) < RIM_TOLERANCE)


def colour_right(pixels: Pixels, scene: Scene) -> bool | None:
    """The commonest of the palette's colours is that of the thing; of two groups, each colour is there."""
    if not _plain_and_flat(scene):
        return None
    names = _named(pixels, _foreground(pixels, scene))
    if len(scene.groups) == 1:
        return len(names) > 0 and max(set(names), key=names.count) == scene.groups[0].colour
    return all(names.count(group.colour) > 0.12 * len(names) for group in scene.groups)


def shape_right(pixels: Pixels, scene: Scene) -> bool | None:
    """Of all kinds, painted in this colour, the asked one overlaps most with the thing, whatever its place and size."""
    if not _single(scene):
        return None
    seen = _normalised(pixels, _foreground(pixels, scene))
    return seen is not None and _nearest_kind(seen, scene) == scene.groups[0].kind


def place_right(pixels: Pixels, scene: Scene) -> bool | None:
    """The middle of the thing is nearer to where it should be than to the next of the nine places."""
    if not _single(scene):
        return None
    seen, meant = (_box(_foreground(picture, scene)) for picture in (pixels, pixels_of(paint(scene, SIDE))))
    reach = 0.46 - SIZES[scene.size]
    if seen is None or meant is None:
        return False
    middles = ((box[0] + box[1]) / 2 for box in (seen, meant))
    return bool(np.abs(np.subtract(*middles)).max() < 0.5 * reach * SIDE)


def size_right(pixels: Pixels, scene: Scene) -> bool | None:
    """The thing's length is nearer to the asked size than to the next, which is 1.5 times as much."""
    if not _single(scene):
        return None
    seen, meant = (_box(_foreground(picture, scene)) for picture in (pixels, pixels_of(paint(scene, SIDE))))
    if seen is None or meant is None:
        return False
    lengths = [float((box[1] - box[0]).max()) for box in (seen, meant)]
    return abs(log(lengths[0] / lengths[1])) < log(1.25)


def count_right(pixels: Pixels, scene: Scene) -> bool | None:
    """As many things as asked for stand apart, or touch thinly. Where latents cannot part them, that says nothing."""
    asked = sum(group.count for group in scene.groups)
    if not _plain_and_flat(scene) or asked == 1:
        return None
    if len(_areas(_foreground(pixels_of(paint(scene, LATENT_SIDE)), scene))) != asked:
        return None
    return len(_areas(_thick(_foreground(pixels, scene)))) == asked


def relation_right(pixels: Pixels, scene: Scene) -> bool | None:
    """The first colour is left of, or above, the second."""
    colours = [group.colour for group in scene.groups]
    if not _plain_and_flat(scene) or len(set(colours)) < 2:
        return None
    inside = _foreground(pixels, scene)
    names, spots = np.array(_named(pixels, inside)), np.argwhere(inside)
    if any((names == colour).sum() < 0.05 * len(names) for colour in colours):
        return False
    first, second = (np.median(spots[names == colour], axis=0) / SIDE for colour in colours)
    axis = 0 if scene.above else 1
    return bool(second[axis] - first[axis] > 0.2)


def style_right(pixels: Pixels, scene: Scene) -> bool | None:
    """Pixel style is even inside its cells; outlines cover less than the filled thing, unless it is tiny."""
    if scene.style == "flat" or scene.background not in PLAIN:
        return None
    if scene.style == "pixel":
        cell = SIDE // PIXEL_STYLE_CELLS
        cells = pixels.reshape(PIXEL_STYLE_CELLS, cell, PIXEL_STYLE_CELLS, cell, 3)
        return bool(np.abs(cells - cells.mean((1, 3), keepdims=True)).mean() < 4)
    filled = replace(scene, style="flat")
    painted = [pixels_of(paint(each, LATENT_SIDE)) for each in (scene, filled)]
    seen, meant, most = (int(_foreground(each, scene).sum()) for each in (pixels, *painted))
    return 0.1 * most < seen < (meant + most) / 2 if meant < 0.8 * most else None


SCORES: dict[str, Score] = {
    "background": background_right,
    "colour": colour_right,
    "shape": shape_right,
    "place": place_right,
    "size": size_right,
    "count": count_right,
    "relation": relation_right,
    "style": style_right,
}

GOALS = {  # percent of all
    "background": 99,
    "colour": 95,
    "shape": 90,
    "place": 90,
    "count": 85,
    "relation": 90,
    "edits: done": 85,
    "edits: rest kept": 95,
}
ALONE, BATCHED = 1.0, 0.25  # seconds a picture may take


def _behind(scene: Scene) -> Pixels:
    image = _background(scene.background, SIDE)
    if scene.style == "pixel":
        image = image.resize((PIXEL_STYLE_CELLS,) * 2, Image.Resampling.BOX).resize(
            image.size, Image.Resampling.NEAREST
        )
    return np.asarray(image, np.float32)


def _rim(pixels: Pixels) -> Pixels:
    outside = np.ones(pixels.shape[:2], bool)
    outside[3:-3, 3:-3] = False
    return pixels[outside]


def _plain_and_flat(scene: Scene) -> bool:
    return scene.background in PLAIN and scene.style == "flat"


def _single(scene: Scene) -> bool:
    return _plain_and_flat(scene) and len(scene.groups) == 1 and scene.groups[0].count == 1


def _foreground(pixels: Pixels, scene: Scene) -> Mask:
    """What stands out from the rim's colour, without crumbs. For plain backgrounds."""
    inside: Mask = np.abs(pixels - np.median(_rim(pixels), axis=0)).max(2) > DIFFERENT
    kept = np.zeros_like(inside)
    for area in _areas(inside):
        kept[area] = True
    return kept


def _areas(inside: Mask) -> list[Mask]:
    """The connected areas that have at least a sixth of the largest one's pixels."""
    labels = np.where(inside, np.arange(1, inside.size + 1).reshape(inside.shape), 0)
    while True:
        padded = np.pad(labels, 1)
        spread = np.max(
            [padded[1:-1, 1:-1], padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]], 0
        )
        spread = np.where(inside, spread, 0)
        if (spread == labels).all():
            break
        labels = spread
    values, sizes = np.unique(labels[inside], return_counts=True)
    return [labels == value for value, size in zip(values, sizes, strict=True) if size >= sizes.max() / 6]


def _thick(inside: Mask) -> Mask:
    """The middles of what is more than twice `BRIDGE` pixels wide."""
    return ~grown(~inside, BRIDGE)


def _named(pixels: Pixels, inside: Mask) -> list[str]:
    names = list(COLOURS)
    palette = np.array([COLOURS[name] for name in names], np.float32)
    nearest = np.abs(pixels[inside][:, None] - palette).sum(2).argmin(1)
    return [names[i] for i in nearest]


def _box(inside: Mask) -> tuple[Any, Any] | None:
    spots = np.argwhere(inside)
    return (spots.min(0), spots.max(0) + 1) if len(spots) else None


def _normalised(pixels: Pixels, inside: Mask) -> Mask | None:
    """Two masks of 32 x 32, the thing and the part of it in its main colour, with the thing's box in the middle."""
    box = _box(inside)
    if box is None:
        return None
    names = np.array(_named(pixels, inside))
    main = max(set(names), key=list(names).count)
    own = np.zeros_like(inside)
    own[inside] = names == main
    middle, half = (box[0] + box[1]) / 2, (box[1] - box[0]).max() / 2
    corners = (middle[1] - half, middle[0] - half, middle[1] + half, middle[0] + half)
    layers = [
        Image.fromarray(layer).transform((32, 32), Image.Transform.EXTENT, corners) for layer in _bytes(inside, own)
    ]
    return np.stack([np.asarray(layer) > 127 for layer in layers])


def _bytes(*masks: Mask) -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    return [mask.astype(np.uint8) * 255 for mask in masks]


def _nearest_kind(seen: Mask, scene: Scene) -> str:
    overlaps = {}
    for kind in KINDS:
        for wobble in range(5):
            model = Scene((Group(kind, scene.groups[0].colour),), scene.background, size=scene.size, wobble=wobble)
            pixels = pixels_of(paint(model, SIDE))
            meant = _normalised(pixels, _foreground(pixels, model))
            if meant is not None:
                both, either = (seen & meant).sum((1, 2)), (seen | meant).sum((1, 2))
                overlaps[kind, wobble] = float((both / np.maximum(either, 1)).mean())
    return max(overlaps, key=lambda key: overlaps[key])[0]


def grid(chosen: list[SceneCase], pictures: list[Image.Image], columns: int = 8, rows: int = 9) -> Image.Image:
    """The first captions, then the first edits beside their sources, each under its words."""
    shown = [pair for pair in zip(chosen, pictures, strict=True) if pair[0].before is None][: columns * (rows - 4)]
    edits = [pair for pair in zip(chosen, pictures, strict=True) if pair[0].before][: columns * 4 // 2]
    tiles = [(case.told, picture) for case, picture in shown]
    for case, picture in edits:
        tiles += [("from:", paint(case.before or case.scene, 256)), (case.told, picture)]
    sheet = Image.new("RGB", (columns * 164, -(-len(tiles) // columns) * 196), "white")
    pen = ImageDraw.Draw(sheet)
    for number, (told, picture) in enumerate(tiles):
        left, top = number % columns * 164, number // columns * 196
        for line in range(3):
            pen.text((left + 2, top + 11 * line), told[27 * line : 27 * (line + 1)], fill="black")
        sheet.paste(picture.resize((160, 160), Image.Resampling.LANCZOS), (left + 2, top + 34))
    return sheet


if __name__ == "__main__":
    main()
