"""The scenes that the built-in picture model knows: what they hold, how they are told, how they are varied.

Drawing them is `paint`'s work.
"""

from dataclasses import dataclass, replace
from random import Random

RGB = tuple[int, int, int]

COLOURS: dict[str, RGB] = {
    "red": (222, 40, 40),
    "orange": (250, 140, 20),
    "yellow": (250, 220, 40),
    "green": (40, 165, 70),
    "blue": (40, 90, 220),
    "purple": (140, 60, 190),
    "pink": (250, 130, 190),
    "brown": (130, 80, 40),
    "black": (20, 20, 24),
    "gray": (140, 140, 145),
    "white": (252, 252, 252),
}
PLAIN: dict[str, RGB] = COLOURS | {
    "light blue": (175, 220, 250),
    "light green": (190, 235, 180),
    "cream": (250, 240, 210),
    "navy": (20, 30, 90),
    "lavender": (215, 200, 245),
}
SCENIC = {
    "beach": ("on the beach", "at the beach"),
    "meadow": ("in a meadow", "on grass"),
    "night": ("at night", "in the night sky"),
    "sunset": ("at sunset", "in the evening"),
    "sea": ("in the sea", "under water"),
    "snow": ("in the snow", "in winter"),
}
SHAPES = ("circle", "square", "triangle", "star", "heart", "diamond", "moon", "cross")
FIGURES = {
    "house": "red",
    "tree": "green",
    "flower": "pink",
    "face": "yellow",
    "cat": "orange",
    "fish": "blue",
}
KINDS = (*SHAPES, *FIGURES)
PLURALS = {"fish": "fish", "cross": "crosses"}
SIZES = {"small": 0.13, "medium": 0.22, "large": 0.34}  # radius, as a share of the picture's side
SIZE_WORDS = {"small": ("small", "little", "tiny"), "large": ("large", "big", "huge")}
PLACES: dict[str, tuple[int, int]] = {
    "top left": (-1, -1),
    "top": (0, -1),
    "top right": (1, -1),
    "left": (-1, 0),
    "center": (0, 0),
    "right": (1, 0),
    "bottom left": (-1, 1),
    "bottom": (0, 1),
    "bottom right": (1, 1),
}
CHANGES = ("colour", "colour", "background", "background", "size", "place", "kind", "add", "style")  # add: or remove
STYLES = {"flat": (), "outline": ("in outline style", "as an outline"), "pixel": ("in pixel style", "as pixel art")}
NUMBERS = {2: ("two", "2"), 3: ("three", "3"), 4: ("four", "4")}


@dataclass(frozen=True, slots=True)
class Group:
    """One to four things of one kind and colour."""

    kind: str
    colour: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class Scene:
    """One or two groups before a background. `wobble` seeds the small differences that no word tells."""

    groups: tuple[Group, ...]
    background: str = "white"
    size: str = "medium"
    place: str = "center"
    above: bool = False
    style: str = "flat"
    wobble: int = 0


@dataclass(frozen=True, slots=True)
class Placed:
    """A thing with its centre and radius as shares of the picture's side, and its angle in radians."""

    group: Group
    x: float
    y: float
    radius: float
    angle: float


def held_out(group: Group) -> bool:
    """Whether this kind and colour never meet in training, so that the model can be asked for something new."""
    return (KINDS.index(group.kind) * 7 + list(COLOURS).index(group.colour)) % 10 == 3


def visible(group: Group, background: str) -> bool:
    """Whether the eye can tell the group from a plain background."""
    if background not in PLAIN:
        return not (group.colour == "white" and background == "snow")
    here, there = COLOURS[group.colour], PLAIN[background]
    return sum(abs(a - b) for a, b in zip(here, there, strict=True)) > 150


def layout(scene: Scene) -> list[Placed]:
    """Where everything stands."""
    rng = Random(scene.wobble)

    def placed(group: Group, x: float, y: float, radius: float) -> Placed:
        radius *= 1 + rng.uniform(-0.08, 0.08)
        x, y = x + rng.uniform(-0.02, 0.02), y + rng.uniform(-0.02, 0.02)
        return Placed(group, x, y, radius, rng.uniform(-0.12, 0.12))

    if len(scene.groups) == 2:
        return [
            placed(group, *((along, 0.27 + 0.46 * side) if scene.above else (0.27 + 0.46 * side, along)), radius)
            for side, group in enumerate(scene.groups)
            for along, radius in _row(group.count, 0.19)
        ]
    group = scene.groups[0]
    if group.count == 1:
        radius = SIZES[scene.size]
        reach = 0.46 - radius
        column, line = PLACES[scene.place]
        return [placed(group, 0.5 + column * reach, 0.5 + line * reach, radius)]
    if group.count == 4:
        return [placed(group, x, y, 0.18) for y in (0.28, 0.72) for x in (0.28, 0.72)]
    return [placed(group, x, 0.5, radius) for x, radius in _row(group.count, 0.2)]


def _row(count: int, radius: float) -> list[tuple[float, float]]:
    if count == 1:
        return [(0.5, radius)]
    if count == 2:
        return [(0.27, min(radius, 0.18)), (0.73, min(radius, 0.18))]
    return [(0.19, 0.135), (0.5, 0.135), (0.81, 0.135)]


def caption(scene: Scene, rng: Random | None = None) -> str:
    """Tell the scene in words; with `rng` in one of several wordings, without in the plainest."""

    def pick(wordings: tuple[str, ...]) -> str:
        return rng.choice(wordings) if rng else wordings[0]

    def noun(group: Group) -> str:
        adjectives = [group.colour]
        if rng and FIGURES.get(group.kind) == group.colour and rng.random() < 0.4:
            adjectives = []
        if group.count == 1 and len(scene.groups) == 1 and scene.size != "medium":
            adjectives.insert(0, pick(SIZE_WORDS[scene.size]))
        words = [*adjectives, group.kind if group.count == 1 else PLURALS.get(group.kind, group.kind + "s")]
        if group.count > 1:
            return " ".join([pick(NUMBERS[group.count]), *words])
        article = "an" if words[0][0] in "aeiou" else "a"
        return " ".join([article, *words])

    what = noun(scene.groups[0])
    if len(scene.groups) == 2:
        first, second = what, noun(scene.groups[1])
        if rng and rng.random() < 0.3:
            what = f"{second} {'below' if scene.above else 'right of'} {first}"
        elif scene.above:
            what = f"{first} above {second}"
        else:
            what = f"{first} {pick(('left of', 'and', 'to the left of', 'next to'))} {second}"
    elif scene.groups[0].count == 1 and scene.place != "center":
        preposition = "on" if scene.place in ("left", "right") else "at"
        what += pick((f" {preposition} the {scene.place}", f" in the {scene.place}", f" in the {scene.place} corner"))
    elif scene.groups[0].count == 1 and rng and rng.random() < 0.1:
        what += " in the center"
    if scene.background in SCENIC:
        what += " " + pick(SCENIC[scene.background])
    elif scene.background != "white" or (rng and rng.random() < 0.5):
        what += pick((f" on a {scene.background} background", f" with a {scene.background} background"))
    if scene.style != "flat":
        what += " " + pick(STYLES[scene.style])
    return what


def vocabulary() -> list[str]:
    """Every word that a caption can hold, sorted."""
    text = [*PLAIN, *PLACES, *KINDS, *(PLURALS.get(kind, kind + "s") for kind in KINDS)]
    for table in (SCENIC, SIZE_WORDS, STYLES, NUMBERS):
        text += [wording for wordings in table.values() for wording in wordings]
    text += ["a an one left of to the left of right of next to above below and in the at on a with background corner"]
    return sorted({word for line in text for word in line.split()})


def random_scene(rng: Random, new: bool = False) -> Scene:
    """A scene to learn from; with `new`, one whose kind and colour never meet in training."""
    background = rng.choice(list(SCENIC)) if rng.random() < 0.2 else rng.choice(list(PLAIN))
    if rng.random() < 0.25:
        background = "white"
    form = rng.random()
    groups: tuple[Group, ...]
    if form < 0.6:
        groups = (_random_group(rng, background, 1, new),)
    elif form < 0.75:
        groups = (_random_group(rng, background, rng.choice((2, 3, 4)), new),)
    else:
        groups = (_random_group(rng, background, rng.choice((1, 1, 2, 3)), new),)
        while len(groups) == 1 or groups[0].kind == groups[1].kind:
            groups = (groups[0], _random_group(rng, background, rng.choice((1, 1, 2)), new))
    return Scene(
        groups,
        background,
        size=rng.choice(("small", "medium", "medium", "large")),
        place=rng.choice(list(PLACES)) if rng.random() < 0.5 else "center",
        above=rng.random() < 0.5,
        style=rng.choice(("outline", "pixel")) if rng.random() < 0.16 else "flat",
        wobble=rng.getrandbits(32),
    )


def _random_group(rng: Random, background: str, count: int, new: bool) -> Group:
    while True:
        group = Group(rng.choice(KINDS), rng.choice(list(COLOURS)), count)
        if held_out(group) == new and visible(group, background):
            return group


def random_edit(rng: Random, new: bool = False) -> tuple[Scene, Scene]:
    """A scene and the same scene after one change."""
    while True:
        before = random_scene(rng, new)
        change = rng.choice(CHANGES)
        if change == "add" and len(before.groups) == 2:
            before = replace(before, above=False)
        if after := _changed(before, change, rng, new):
            return before, after


def random_change(before: Scene, rng: Random, new: bool = False) -> Scene:
    """The scene after one change."""
    while True:
        if after := _changed(before, rng.choice(CHANGES), rng, new):
            return after


def _changed(before: Scene, change: str, rng: Random, new: bool) -> Scene | None:
    """None if nothing or too much would be changed, or something could not be seen."""
    first, *rest = before.groups
    match change:
        case "colour":
            after = replace(before, groups=(replace(first, colour=rng.choice(list(COLOURS))), *rest))
        case "background":
            after = replace(before, background=rng.choice([*PLAIN, *SCENIC, *SCENIC]))
        case "size" if not rest and first.count == 1:
            after = replace(before, size=rng.choice(list(SIZES)))
        case "place" if not rest and first.count == 1:
            after = replace(before, place=rng.choice(list(PLACES)))
        case "kind":
            after = replace(before, groups=(replace(first, kind=rng.choice(KINDS)), *rest))
        case "add" if not rest:
            after = replace(before, groups=(first, _random_group(rng, before.background, 1, new)), above=False)
        case "add":
            after = replace(before, groups=(first,), place="center")
        case "style":
            after = replace(before, style=rng.choice(list(STYLES)))
        case _:
            return None
    fits = all(visible(group, after.background) and held_out(group) == new for group in after.groups)
    apart = len({group.kind for group in after.groups}) == len(after.groups)
    return after if fits and apart and after != before else None
