"""Draw a scene with Pillow: figures are polygons in a unit square, scaled, turned and filled."""

from collections.abc import Iterator
from functools import cache
from math import cos, pi, sin
from random import Random

from PIL import Image, ImageDraw

from render.builtin.training.scenes import COLOURS, PLAIN, RGB, Placed, Scene, layout

Point = tuple[float, float]
Piece = tuple[tuple[Point, ...], str]
"""A polygon in [-1, 1] x [-1, 1], y down, and its paint: `own`, `dark`, `light`, or the name of a colour."""

OVERSAMPLING = 4
PIXEL_STYLE_CELLS = 16


def paint(scene: Scene, side: int) -> Image.Image:
    """The scene as an RGB picture of `side` x `side` pixels, smoothed by oversampling."""
    big = side * OVERSAMPLING
    image = _background(scene.background, big)
    pen = ImageDraw.Draw(image)
    for thing in layout(scene):
        own = COLOURS[thing.group.colour]
        width = max(2, round(big * 0.022))
        for points, colour in placed_pieces(thing, big):
            if scene.style == "outline":
                pen.line([*points, points[0], points[1]], fill=own, width=width, joint="curve")
            else:
                pen.polygon(points, fill=_paint(colour, own))
    if scene.style == "pixel":
        return image.resize((PIXEL_STYLE_CELLS,) * 2, Image.Resampling.BOX).resize(
            (side, side), Image.Resampling.NEAREST
        )
    return image.reduce(OVERSAMPLING)


def mask(scene: Scene, side: int) -> Image.Image:
    """Where the things are: 8-bit, 255 inside."""
    big = side * OVERSAMPLING
    image = Image.new("L", (big, big))
    pen = ImageDraw.Draw(image)
    for thing in layout(scene):
        for points, _ in placed_pieces(thing, big):
            pen.polygon(points, fill=255)
    return image.reduce(OVERSAMPLING)


def placed_pieces(thing: Placed, side: int) -> Iterator[tuple[list[Point], str]]:
    """The polygons of a placed thing in pixels, back to front."""
    c, s = cos(thing.angle) * thing.radius * side, sin(thing.angle) * thing.radius * side
    for points, colour in figure(thing.group.kind):
        yield [(thing.x * side + x * c - y * s, thing.y * side + x * s + y * c) for x, y in points], colour


@cache
def figure(kind: str) -> tuple[Piece, ...]:
    """The polygons that make up one kind of thing."""
    match kind:
        case "circle":
            return ((_ellipse(0, 0, 1, 1), "own"),)
        case "square":
            return ((_box(-0.85, -0.85, 0.85, 0.85), "own"),)
        case "triangle":
            return ((((0, -1), (1, 0.8), (-1, 0.8)), "own"),)
        case "diamond":
            return ((((0, -1.05), (0.75, 0), (0, 1.05), (-0.75, 0)), "own"),)
        case "star":
            radii = (1.1 if corner % 2 == 0 else 0.46 for corner in range(10))
            return ((tuple((r * sin(i * pi / 5), -r * cos(i * pi / 5)) for i, r in enumerate(radii)), "own"),)
        case "heart":
            curve = (i * 2 * pi / 40 for i in range(40))
            return (
                (
                    tuple(
                        (sin(t) ** 3, -0.07 * (13 * cos(t) - 5 * cos(2 * t) - 2 * cos(3 * t) - cos(4 * t)) - 0.1)
                        for t in curve
                    ),
                    "own",
                ),
            )
        case "moon":
            outer = [(cos(a), sin(a)) for a in _angles(0.915, 2 * pi - 0.915, 24)]
            inner = [(0.5 + 0.8 * cos(a), 0.8 * sin(a)) for a in _angles(2 * pi - 1.433, 1.433, 20)]
            return ((tuple((x + 0.2, y) for x, y in (*outer, *inner)), "own"),)
        case "cross":
            a = 0.33
            return (
                (
                    (
                        (-a, -1),
                        (a, -1),
                        (a, -a),
                        (1, -a),
                        (1, a),
                        (a, a),
                        (a, 1),
                        (-a, 1),
                        (-a, a),
                        (-1, a),
                        (-1, -a),
                        (-a, -a),
                    ),
                    "own",
                ),
            )
        case "house":
            return (
                (_box(-0.75, -0.15, 0.75, 1), "own"),
                (((0, -1.05), (1.05, -0.15), (-1.05, -0.15)), "dark"),
                (_box(-0.2, 0.35, 0.2, 1), "dark"),
                (_box(0.34, 0.1, 0.62, 0.4), "light"),
            )
        case "tree":
            return ((_box(-0.17, 0.2, 0.17, 1.05), "brown"), (_ellipse(0, -0.3, 0.8, 0.75), "own"))
        case "flower":
            petals = tuple(
                (_ellipse(0.5 * sin(i * 0.4 * pi), -0.35 - 0.5 * cos(i * 0.4 * pi), 0.36, 0.36), "own")
                for i in range(5)
            )
            return ((_box(-0.08, -0.2, 0.08, 1.1), "green"), *petals, (_ellipse(0, -0.35, 0.28, 0.28), "yellow"))
        case "face":
            smile = (*((0.5 * cos(a), 0.15 + 0.45 * sin(a)) for a in _angles(0, pi, 12)),)
            return (
                (_ellipse(0, 0, 1, 1), "own"),
                (_ellipse(-0.38, -0.3, 0.15, 0.19), "dark"),
                (_ellipse(0.38, -0.3, 0.15, 0.19), "dark"),
                (smile, "dark"),
            )
        case "cat":
            return (
                (((-0.95, -1.05), (-0.2, -0.55), (-0.85, 0.1)), "own"),
                (((0.95, -1.05), (0.2, -0.55), (0.85, 0.1)), "own"),
                (_ellipse(0, 0.15, 0.95, 0.8), "own"),
                (_ellipse(-0.38, 0.02, 0.15, 0.2), "dark"),
                (_ellipse(0.38, 0.02, 0.15, 0.2), "dark"),
                (((-0.16, 0.34), (0.16, 0.34), (0, 0.56)), "dark"),
            )
        case "fish":
            return (
                (((0.35, 0), (1.1, -0.6), (1.1, 0.6)), "dark"),
                (_ellipse(-0.2, 0, 0.9, 0.58), "own"),
                (_ellipse(-0.62, -0.12, 0.13, 0.13), "dark"),
            )
    raise ValueError(f"no figure is called {kind!r}")


def _angles(start: float, stop: float, count: int) -> list[float]:
    return [start + (stop - start) * i / (count - 1) for i in range(count)]


def _ellipse(x: float, y: float, rx: float, ry: float) -> tuple[Point, ...]:
    return tuple((x + rx * cos(a), y + ry * sin(a)) for a in _angles(0, 2 * pi, 29)[:-1])


def _box(left: float, top: float, right: float, bottom: float) -> tuple[Point, ...]:
    return ((left, top), (right, top), (right, bottom), (left, bottom))


def _paint(name: str, own: RGB) -> RGB:
    match name:
        case "own":
            return own
        case "dark":
            light = sum(own) < 200
            return tuple(round(c * 0.45 + (125 if light else 0)) for c in own)  # type: ignore[return-value]
        case "light":
            return tuple(round(c * 0.4 + 153) for c in own)  # type: ignore[return-value]
    return COLOURS[name]


@cache
def _scenery(name: str, side: int) -> Image.Image:
    """A background with a horizon, a gradient or specks; the same for every picture."""
    if name in PLAIN:
        return Image.new("RGB", (side, side), PLAIN[name])
    image = Image.new("RGB", (1, side))

    def blend(top: RGB, bottom: RGB, start: float, stop: float) -> None:
        rows = range(round(start * side), round(stop * side))
        for i, row in enumerate(rows):
            share = i / max(1, len(rows) - 1)
            image.putpixel((0, row), tuple(round(a + (b - a) * share) for a, b in zip(top, bottom, strict=True)))

    specks: list[tuple[float, float]] = []
    rng = Random(7)
    match name:
        case "beach":
            blend((130, 205, 250), (190, 230, 250), 0, 0.45)
            blend((30, 130, 190), (60, 170, 200), 0.45, 0.65)
            blend((240, 215, 150), (225, 195, 125), 0.65, 1)
        case "meadow":
            blend((150, 210, 250), (215, 238, 250), 0, 0.6)
            blend((120, 200, 80), (70, 150, 50), 0.6, 1)
        case "night":
            blend((8, 10, 40), (40, 45, 105), 0, 1)
            specks = [(rng.random(), rng.random()) for _ in range(26)]
        case "sunset":
            blend((90, 50, 120), (250, 110, 80), 0, 0.45)
            blend((250, 110, 80), (255, 210, 110), 0.45, 0.7)
            blend((90, 50, 70), (50, 30, 50), 0.7, 1)
        case "sea":
            blend((120, 215, 235), (10, 70, 140), 0, 1)
        case "snow":
            blend((165, 190, 220), (215, 228, 242), 0, 0.62)
            blend((250, 252, 255), (232, 240, 250), 0.62, 1)
    image = image.resize((side, side))
    pen = ImageDraw.Draw(image)
    for x, y in specks:
        pen.ellipse((x * side, y * side, (x + 0.018) * side, (y + 0.018) * side), fill=(255, 250, 215))
    return image


def _background(name: str, side: int) -> Image.Image:
    return _scenery(name, side).copy()
