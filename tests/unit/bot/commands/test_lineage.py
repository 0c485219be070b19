"""How pictures come of each other: the tree of them, its places, and the sheet that is drawn of it."""

import io
import time
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops

from bot.commands.contact_sheet import CAPTION, CELL, GAP, MAX_PICTURES, MAX_SIDE, draw_contact_sheet
from bot.commands.lineage import MAX_UNRELATED_PER_ROW, build_tree, select_newest
from bot.domain import Picture
from tests.support.doubles import picture
from tests.support.images import noise, png

Pixel = tuple[int, int, int]
Read = Callable[[str], bytes]
RED, BLUE, PAPER, WHITE = (255, 0, 0), (0, 0, 255), (247, 247, 245), (255, 255, 255)


@st.composite
def threads(draw: st.DrawFn, sane: bool = True) -> list[Picture]:
    """The pictures of a thread, with gaps; those that are not `sane` may come of anything, themselves included."""
    numbers = sorted(draw(st.sets(st.integers(1, 60), max_size=40)))
    parents = [draw(st.none() | st.integers(0, number - 1 if sane else 61)) for number in numbers]
    return [picture(number, source=parent) for number, parent in zip(numbers, parents, strict=True)]


def chain(length: int) -> list[Picture]:
    """Each made of the one before."""
    return [picture(number, source=number - 1 or None) for number in range(1, length + 1)]


def places(pictures: Sequence[Picture]) -> dict[int, tuple[int, int]]:
    """Column and row of each number."""
    return {node.picture.number: (node.column, node.row) for node in build_tree(pictures)}


# The tree


@given(threads(sane=False))
def test_each_picture_has_a_place_of_its_own(pictures: list[Picture]) -> None:
    """Circles, missing parents and pictures that say they came of themselves do no harm."""
    nodes = build_tree(pictures)
    by_number = {node.picture.number: node for node in nodes}
    assert sorted(by_number) == [each.number for each in pictures] and len(by_number) == len(nodes)
    assert len({(node.column, node.row) for node in nodes}) == len(nodes)
    for node in nodes:
        if node.parent is not None:
            assert node.parent == node.picture.request.source
            assert node.column == by_number[node.parent].column + 1
            assert node.row >= by_number[node.parent].row


@given(threads())
def test_no_row_is_empty_and_no_parent_forgotten(pictures: list[Picture]) -> None:
    """Whatever came from a picture that is there is joined to it; the rows are filled from the top."""
    nodes = build_tree(pictures)
    known = {each.number for each in pictures}
    assert all(
        node.parent == (node.picture.request.source if node.picture.request.source in known else None) for node in nodes
    )
    assert {node.row for node in nodes} == set(range(max((node.row for node in nodes), default=-1) + 1))


def test_the_first_child_goes_on_and_its_siblings_begin_a_row() -> None:
    """In the order in which they were made, each with its own descent before the next sibling."""
    family = [
        picture(1), picture(2, source=1), picture(3, source=1), picture(4, source=2), picture(5, source=2), picture(6),
        picture(7, source=6),
    ]  # fmt: skip
    assert places(family) == {1: (0, 0), 2: (1, 0), 4: (2, 0), 5: (2, 1), 3: (1, 2), 6: (0, 3), 7: (1, 3)}


def test_pictures_without_kin_stand_side_by_side() -> None:
    """So many in a row; a family begins a row of its own, and so does what comes after it."""
    several = [picture(number) for number in range(1, MAX_UNRELATED_PER_ROW + 3)]
    family = [picture(20), picture(21, source=20)]
    assert places([*several, *family, picture(30), picture(31, source=9)]) == {
        1: (0, 0), 2: (1, 0), 3: (2, 0), 4: (3, 0), 5: (0, 1), 6: (1, 1),
        20: (0, 2), 21: (1, 2), 30: (0, 3), 31: (1, 3),
    }  # fmt: skip


def test_a_circle_is_cut() -> None:
    """Two pictures that say they came of each other are both there, the later one right of the earlier."""
    circle = [picture(1, source=2), picture(2, source=1), picture(3, source=3)]
    assert [(node.picture.number, node.parent) for node in build_tree(circle)] == [(1, None), (2, 1), (3, None)]


# The newest of them


@given(threads(sane=False), st.integers(1, 20))
def test_the_newest_are_kept_with_what_they_came_from(pictures: list[Picture], most: int) -> None:
    """Never more than there is room for, in order; only the end of the room cuts a line of descent."""
    kept = select_newest(pictures, most)
    numbers = {each.number for each in kept}
    assert len(kept) == min(most, len(pictures)) == len(numbers)
    assert [each for each in pictures if each.number in numbers] == kept
    assert pictures[-1:] == kept[-1:]
    order = [each.number for each in pictures]
    cut = [each for each in kept if each.request.source in order and each.request.source not in numbers]
    assert len(cut) <= 1


def test_an_old_ancestor_takes_the_place_of_something_newer() -> None:
    """#9 came of #1; what lies between has nothing to do with it."""
    several = [picture(number, source=1 if number == 9 else None) for number in range(1, 10)]
    assert [each.number for each in select_newest(several, 3)] == [1, 8, 9]
    assert select_newest(several, 9) == several


def test_of_a_long_line_the_end_is_kept() -> None:
    """There is no room for all that the newest came from: the nearest are shown."""
    assert [each.number for each in select_newest(chain(100), 3)] == [98, 99, 100]


# The sheet


def drawn(pictures: Sequence[Picture], read: Read) -> Image.Image:
    """The sheet as it is opened by whoever gets it."""
    with Image.open(io.BytesIO(draw_contact_sheet(pictures, read)), formats=("PNG",)) as opened:
        return opened.convert("RGB")


def at(sheet: Image.Image, column: int, row: int, x: float = 0.5, y: float = 0.5) -> Pixel:
    """The colour of a point of a cell; 0 to 1 from its left and top, where the sheet was not made smaller."""
    left, top = GAP + column * (CELL + GAP), GAP + row * (CELL + CAPTION + GAP)
    pixel = sheet.getpixel((left + int(x * CELL), top + int(y * CELL)))
    assert isinstance(pixel, tuple)
    return pixel[0], pixel[1], pixel[2]


def of_colours(*colours: str, size: int = CELL) -> Read:
    """Files of one colour each, for the pictures from #1 on."""
    return lambda digest: png(colours[int(digest, 16) - 1], size)


def test_each_picture_is_seen_in_its_place() -> None:
    """A large one made smaller, a small one as it is, in the middle of its cell; the rest is paper."""
    family = [picture(1), picture(2, source=1), picture(3, source=1)]
    sheet = drawn(family, of_colours("#ff0000", "#00ff00", "#0000ff", size=2 * CELL))
    assert sheet.size == (2 * (CELL + GAP) + GAP, 2 * (CELL + CAPTION + GAP) + GAP)
    assert [at(sheet, *place) for place in ((0, 0), (1, 0), (1, 1))] == [RED, (0, 255, 0), BLUE]
    assert at(sheet, 1, 1, 0.01, 0.01) == at(sheet, 1, 1, 0.99, 0.99) == BLUE
    assert at(sheet, 0, 1) == PAPER
    small = drawn([picture(1)], of_colours("#ff0000", size=8))
    assert (at(small, 0, 0), at(small, 0, 0, 0.4)) == (RED, WHITE)


def test_a_wide_picture_keeps_its_shape() -> None:
    """It is as wide as its cell, with white above and below."""
    file = io.BytesIO()
    Image.new("RGB", (800, 400), RED).save(file, "PNG")
    sheet = drawn([picture(1)], lambda digest: file.getvalue())
    assert at(sheet, 0, 0, 0.01) == at(sheet, 0, 0, 0.99) == RED
    assert at(sheet, 0, 0, 0.5, 0.2) == at(sheet, 0, 0, 0.5, 0.8) == WHITE


def test_what_can_be_seen_through_stands_on_white() -> None:
    """Whatever colour lies below its transparency."""
    file = io.BytesIO()
    Image.new("RGBA", (CELL, CELL), (255, 0, 0, 0)).save(file, "PNG")
    assert at(drawn([picture(1)], lambda digest: file.getvalue()), 0, 0) == WHITE


@pytest.mark.parametrize(("parent", "joined"), [(1, True), (None, False)])
def test_an_arrow_leads_from_a_picture_to_what_came_of_it(parent: int | None, joined: bool) -> None:
    """Through the gap between them, around the corner to the lower one, and nowhere else."""
    family = [picture(1), picture(2, source=parent), picture(3, source=parent)]
    sheet = drawn(family, of_colours("red", "red", "red"))
    between = [at(sheet, 0, 0, 1 + GAP / CELL * step) for step in (0.25, 0.5, 0.75)]
    assert [pixel != PAPER for pixel in between] == [joined] * 3
    if joined:
        bend = 1 + (GAP / 2 - 4) / CELL
        assert at(sheet, 0, 0, bend, 1.2) != PAPER and at(sheet, 0, 1, bend + 0.05) != PAPER
        assert at(sheet, 0, 1, bend - 0.05) == PAPER


def test_each_picture_is_told_by_its_number() -> None:
    """The words below two pictures differ in the number, and in how the picture came about."""
    sheet = drawn([picture(1), picture(2), picture(3, source=2)], of_colours("red", "red", "red"))

    def caption(column: int, row: int) -> Image.Image:
        left, top = GAP + column * (CELL + GAP), GAP + row * (CELL + CAPTION + GAP) + CELL + 2
        return sheet.crop((left, top, left + CELL, top + CAPTION))

    first, second = caption(0, 0), caption(0, 1)
    assert len(first.getcolors(CELL * CAPTION) or ()) > 2
    assert ImageChops.difference(first, second).getbbox()


@pytest.mark.parametrize("broken", [b"", b"no picture", png(size=64)[:90], b"\x89PNG\r\n\x1a\n"])
def test_a_file_that_is_gone_or_broken_leaves_a_frame(broken: bytes) -> None:
    """Its neighbours are there, and so is the place where it would be."""

    def read(digest: str) -> bytes:
        if int(digest, 16) == 1:
            if not broken:
                raise FileNotFoundError(digest)
            return broken
        return png("red", CELL)

    sheet = drawn([picture(1), picture(2, source=1)], read)
    assert (at(sheet, 0, 0, 0.8, 0.2), at(sheet, 1, 0)) == (WHITE, RED)
    assert at(sheet, 0, 0, -1 / CELL) not in (WHITE, PAPER)


@pytest.mark.parametrize(
    "pictures",
    [
        [picture(number) for number in range(1, 201)],
        [picture(number, source=number // 2 or None) for number in range(1, 201)],
        chain(200),
        [picture(number, source=None if number == 1 else 1) for number in range(1, 201)],
    ],
    ids=["alone", "branching", "chain", "siblings"],
)
def test_of_very_many_pictures_the_sheet_stays_small_and_quick(pictures: list[Picture]) -> None:
    """Within what a platform shows; only as many files are read as are shown, the newest among them."""
    read: list[int] = []
    file = noise(256)

    def count(digest: str) -> bytes:
        read.append(int(digest, 16))
        return file

    began = time.process_time()
    sheet = drawn(pictures, count)
    assert time.process_time() - began < 5.0  # a second or so; slow machines share their processors
    assert max(sheet.size) <= MAX_SIDE and min(sheet.size) > 50
    assert len(read) == MAX_PICTURES and 200 in read
