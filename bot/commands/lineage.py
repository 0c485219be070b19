"""The lineage of a thread: the tree of images by source image, with a column and a row for every image. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bot.domain import Operation, Picture

OPERATION_LABELS = {
    Operation.GENERATE: "drawn",
    Operation.EDIT: "edit",
    Operation.VARY: "variation",
    Operation.REFINE: "refinement",
    Operation.UPSCALE: "enlargement",
    Operation.SELECT: "choice",
    Operation.UPLOAD: "upload",
}


MAX_UNRELATED_PER_ROW = 4


@dataclass(frozen=True, slots=True)
class PlacedPicture:
    """An image in the tree with its place: columns count from the left, rows from the top, both from 0.

    `parent` is the number of its source image, if that is in the tree as well.
    """

    picture: Picture
    column: int
    row: int
    parent: int | None


def build_tree(pictures: Sequence[Picture]) -> list[PlacedPicture]:
    """Build the tree: an image is right of its source. The first child shares the row of its parent, others do not.

    Images without a source and without children share a row, up to `MAX_UNRELATED_PER_ROW`.
    """
    known = {picture.number for picture in pictures}
    children: dict[int | None, list[Picture]] = {}
    for picture in pictures:
        children.setdefault(_parent(picture, known), []).append(picture)
    nodes: list[PlacedPicture] = []
    placed: set[int] = set()
    row, beside = -1, 0
    waiting = [(picture, 0, True) for picture in reversed(children.get(None, []))]
    while waiting:
        picture, column, begins = waiting.pop()
        if picture.number in placed:
            continue
        placed.add(picture.number)
        alone = column == 0 and picture.number not in children
        if alone and 0 < beside < MAX_UNRELATED_PER_ROW:
            column, begins = beside, False
        beside = column + 1 if alone else 0
        row += begins
        nodes.append(PlacedPicture(picture, column, row, _parent(picture, known)))
        below = children.get(picture.number, [])
        waiting += [(child, column + 1, nth > 0) for nth, child in reversed(list(enumerate(below)))]
    return nodes


def select_newest(pictures: Sequence[Picture], limit: int) -> list[Picture]:
    """At most `limit` pictures: the newest with their chains of sources; a chain that does not fit loses its oldest."""
    if len(pictures) <= limit:
        return list(pictures)
    by_number = {picture.number: picture for picture in pictures}
    kept: dict[int, Picture] = {}
    for picture in reversed(pictures):
        step: Picture | None = picture
        while step and step.number not in kept and len(kept) < limit:
            kept[step.number] = step
            step = by_number.get(step.request.source) if step.request.source else None
    return [picture for picture in pictures if picture.number in kept]


def _parent(picture: Picture, known: Collection[int]) -> int | None:
    """The number of the source image, if known. A source with a higher number is ignored: it would make a cycle."""
    parent = picture.request.source
    return parent if parent is not None and parent in known and parent < picture.number else None
