"""How the pictures of a thread come of each other: the tree of them, and its places on a sheet. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bot.domain import Operation, Picture

WAYS = {
    Operation.GENERATE: "drawn",
    Operation.EDIT: "edit",
    Operation.VARY: "variation",
    Operation.REFINE: "refinement",
    Operation.UPSCALE: "enlargement",
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


def tree(pictures: Sequence[Picture]) -> list[Node]:
    """Each picture right of the one that it came from; the first child on its parent's row, each other on a new one.

    Pictures that neither came from another nor led to one stand side by side.
    """
    known = {picture.number for picture in pictures}
    children: dict[int | None, list[Picture]] = {}
    for picture in pictures:
        children.setdefault(_parent(picture, known), []).append(picture)
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
        nodes.append(Node(picture, column, row, _parent(picture, known)))
        below = children.get(picture.number, [])
        waiting += [(child, column + 1, nth > 0) for nth, child in reversed(list(enumerate(below)))]
    return nodes


def newest(pictures: Sequence[Picture], most: int) -> list[Picture]:
    """The newest pictures, with all that they came from; where there is no room for all of it, with the nearest."""
    if len(pictures) <= most:
        return list(pictures)
    by_number = {picture.number: picture for picture in pictures}
    kept: dict[int, Picture] = {}
    for picture in reversed(pictures):
        step: Picture | None = picture
        while step and step.number not in kept and len(kept) < most:
            kept[step.number] = step
            step = by_number.get(step.parent) if step.parent else None
    return [picture for picture in pictures if picture.number in kept]


def _parent(picture: Picture, known: Collection[int]) -> int | None:
    """The known one that it came from. That was there before it: whatever says otherwise leads in circles."""
    parent = picture.parent
    return parent if parent is not None and parent in known and parent < picture.number else None
