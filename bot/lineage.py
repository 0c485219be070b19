"""How the pictures of a thread come of each other: the tree of them, and its places on a sheet. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bot.domain import Operation, Picture

WAYS = {
    Operation.GENERATE: "drawn",
    Operation.EDIT: "edit",
    Operation.VARY: "variation",
    Operation.REFINE: "refinement",
    Operation.SELECT: "choice",
    Operation.UPLOAD: "upload",
}


SIDE_BY_SIDE = 4


@dataclass(frozen=True, slots=True)
class Node:
    """A picture in the tree, with its place: columns from the left, rows from the top.

    `parent` is the number of the picture that it came from, if that is in the tree as well.
    """

    picture: Picture
    column: int
    row: int
    parent: int | None


def tree(pictures: Iterable[Picture]) -> list[Node]:
    """Each picture right of the one that it came from; the first child on its parent's row, each other on a new one.

    Pictures that neither came from another nor led to one stand side by side.
    """
    several = list(pictures)
    known = {picture.number for picture in several}
    children: dict[int | None, list[Picture]] = {}
    for picture in several:
        parent = picture.parent if picture.parent in known and picture.parent != picture.number else None
        children.setdefault(parent, []).append(picture)
    nodes: list[Node] = []
    placed: set[int] = set()
    row, beside = -1, 0
    waiting = [(picture, 0, True) for picture in reversed(children.get(None, []))]
    while waiting:
        picture, column, begins = waiting.pop()
        if picture.number in placed:
            continue
        placed.add(picture.number)
        alone = column == 0 and picture.number not in children
        if alone and 0 < beside < SIDE_BY_SIDE:
            column, begins = beside, False
        beside = column + 1 if alone else 0
        row += begins
        nodes.append(Node(picture, column, row, picture.parent if picture.parent in known else None))
        below = children.get(picture.number, [])
        waiting += [(child, column + 1, nth > 0) for nth, child in reversed(list(enumerate(below)))]
    return nodes


def newest(pictures: Sequence[Picture], most: int) -> list[Picture]:
    """The newest pictures, with all that they came from as far as there is room."""
    if len(pictures) <= most:
        return list(pictures)
    by_number = {picture.number: picture for picture in pictures}
    kept: dict[int, Picture] = {}
    for picture in reversed(pictures):
        line = []
        step: Picture | None = picture
        while step and step.number not in kept and step not in line:
            line.append(step)
            step = by_number.get(step.parent) if step.parent else None
        if len(kept) + len(line) > most:
            break
        kept |= {each.number: each for each in line}
    return [picture for picture in pictures if picture.number in kept]
