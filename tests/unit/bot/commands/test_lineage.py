"""The version history: the tree of images, its layout, and the contact sheet."""

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
RED, BLUE, BACKGROUND, WHITE = (255, 0, 0), (0, 0, 255), (247, 247, 245), (255, 255, 255)


@st.composite
def threads(draw: st.DrawFn, sane: bool = True) -> list[Picture]:
    """The images of a thread, with gaps; if not `sane`, they may have any parent, themselves included."""
    numbers = sorted(draw(st.sets(st.integers(1, 60), max_size=40)))
    parents = [draw(st.none() | st.integers(0, number - 1 if sane else 61)) for number in numbers]
    return [picture(number, source=parent) for number, parent in zip(numbers, parents, strict=True)]


def chain(length: int) -> list[Picture]:
    """Images each made from the one before."""
    return [picture(number, source=number - 1 or None) for number in range(1, length + 1)]


def places(pictures: Sequence[Picture]) -> dict[int, tuple[int, int]]:
    """Column and row of each number."""
    return {node.picture.number: (node.column, node.row) for node in build_tree(pictures)}


# The tree


@given(threads(sane=False))
def test_each_image_has_its_own_cell(pictures: list[Picture]) -> None:
    """Cycles, missing parents and images that are their own parent do no harm."""
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
def test_no_row_is_empty_and_every_parent_is_joined(pictures: list[Picture]) -> None:
    """An image whose source exists is joined to it; the rows are filled from the top."""
    nodes = build_tree(pictures)
    known = {each.number for each in pictures}
    assert all(
        node.parent == (node.picture.request.source if node.picture.request.source in known else None) for node in nodes
    )
    assert {node.row for node in nodes} == set(range(max((node.row for node in nodes), default=-1) + 1))


def test_the_first_child_continues_the_row_and_siblings_start_new_rows() -> None:
    """In the order in which they were made, each with its descendants before the next sibling."""
    family = [
        picture(1), picture(2, source=1), picture(3, source=1), picture(4, source=2), picture(5, source=2), picture(6),
        picture(7, source=6),
    ]  # fmt: skip
    assert places(family) == {1: (0, 0), 2: (1, 0), 4: (2, 0), 5: (2, 1), 3: (1, 2), 6: (0, 3), 7: (1, 3)}


def test_unrelated_images_share_a_row() -> None:
    """A row has a limit; a tree starts its own row, and so does the next image after it."""
    several = [picture(number) for number in range(1, MAX_UNRELATED_PER_ROW + 3)]
    family = [picture(20), picture(21, source=20)]
    assert places([*several, *family, picture(30), picture(31, source=9)]) == {
        1: (0, 0), 2: (1, 0), 3: (2, 0), 4: (3, 0), 5: (0, 1), 6: (1, 1),
        20: (0, 2), 21: (1, 2), 30: (0, 3), 31: (1, 3),
    }  # fmt: skip


def test_a_cycle_is_cut() -> None:
    """Two images that are each other's parent are both shown, the later one right of the earlier."""
    circle = [picture(1, source=2), picture(2, source=1), picture(3, source=3)]
    assert [(node.picture.number, node.parent) for node in build_tree(circle)] == [(1, None), (2, 1), (3, None)]


# The newest of them


@given(threads(sane=False), st.integers(1, 20))
def test_the_newest_images_are_kept_with_their_sources(pictures: list[Picture], most: int) -> None:
    """Never more than the limit, in order; only the limit cuts a chain."""
    kept = select_newest(pictures, most)
    numbers = {each.number for each in kept}
    assert len(kept) == min(most, len(pictures)) == len(numbers)
    assert [each for each in pictures if each.number in numbers] == kept
    assert pictures[-1:] == kept[-1:]
    order = [each.number for each in pictures]
    cut = [each for each in kept if each.request.source in order and each.request.source not in numbers]
    assert len(cut) <= 1


def test_an_old_source_takes_the_place_of_a_newer_image() -> None:
    """#9 was made from #1; the images between are unrelated."""
    several = [picture(number, source=1 if number == 9 else None) for number in range(1, 10)]
    assert [each.number for each in select_newest(several, 3)] == [1, 8, 9]
    assert select_newest(several, 9) == several


def test_the_end_of_a_long_chain_is_kept() -> None:
    """Not all sources of the newest image fit: the nearest are shown."""
    assert [each.number for each in select_newest(chain(100), 3)] == [98, 99, 100]


# The sheet


def draw(pictures: Sequence[Picture], read: Read) -> Image.Image:
    """The contact sheet, opened as an image."""
    with Image.open(io.BytesIO(draw_contact_sheet(pictures, read)), formats=("PNG",)) as opened:
        return opened.convert("RGB")


def pixel_at(sheet: Image.Image, column: int, row: int, x: float = 0.5, y: float = 0.5) -> Pixel:
    """The colour of a point of a cell; 0 to 1 from its left and top, if the sheet was not scaled down."""
    left, top = GAP + column * (CELL + GAP), GAP + row * (CELL + CAPTION + GAP)
    pixel = sheet.getpixel((left + int(x * CELL), top + int(y * CELL)))
    assert isinstance(pixel, tuple)
    return pixel[0], pixel[1], pixel[2]


def colour_files(*colours: str, size: int = CELL) -> Read:
    """Files of one colour each, for the images from #1 on."""
    return lambda digest: png(colours[int(digest, 16) - 1], size)


def test_each_image_is_in_its_cell() -> None:
    """A large one scaled down, a small one as it is, in the middle of its cell; the rest is white."""
    family = [picture(1), picture(2, source=1), picture(3, source=1)]
    sheet = draw(family, colour_files("#ff0000", "#00ff00", "#0000ff", size=2 * CELL))
    assert sheet.size == (2 * (CELL + GAP) + GAP, 2 * (CELL + CAPTION + GAP) + GAP)
    assert [pixel_at(sheet, *place) for place in ((0, 0), (1, 0), (1, 1))] == [RED, (0, 255, 0), BLUE]
    assert pixel_at(sheet, 1, 1, 0.01, 0.01) == pixel_at(sheet, 1, 1, 0.99, 0.99) == BLUE
    assert pixel_at(sheet, 0, 1) == BACKGROUND
    small = draw([picture(1)], colour_files("#ff0000", size=8))
    assert (pixel_at(small, 0, 0), pixel_at(small, 0, 0, 0.4)) == (RED, WHITE)


def test_a_wide_image_keeps_its_aspect_ratio() -> None:
    """It is as wide as its cell, with white above and below."""
    file = io.BytesIO()
    Image.new("RGB", (800, 400), RED).save(file, "PNG")
    sheet = draw([picture(1)], lambda digest: file.getvalue())
    assert pixel_at(sheet, 0, 0, 0.01) == pixel_at(sheet, 0, 0, 0.99) == RED
    assert pixel_at(sheet, 0, 0, 0.5, 0.2) == pixel_at(sheet, 0, 0, 0.5, 0.8) == WHITE


def test_a_transparent_image_is_drawn_on_white() -> None:
    """The colour below the transparency does not matter."""
    file = io.BytesIO()
    Image.new("RGBA", (CELL, CELL), (255, 0, 0, 0)).save(file, "PNG")
    assert pixel_at(draw([picture(1)], lambda digest: file.getvalue()), 0, 0) == WHITE


@pytest.mark.parametrize(("parent", "joined"), [(1, True), (None, False)])
def test_an_arrow_leads_from_an_image_to_its_children(parent: int | None, joined: bool) -> None:
    """Through the gap between them, around the corner to the lower one, and nowhere else."""
    family = [picture(1), picture(2, source=parent), picture(3, source=parent)]
    sheet = draw(family, colour_files("red", "red", "red"))
    between = [pixel_at(sheet, 0, 0, 1 + GAP / CELL * step) for step in (0.25, 0.5, 0.75)]
    assert [pixel != BACKGROUND for pixel in between] == [joined] * 3
    if joined:
        bend = 1 + (GAP / 2 - 4) / CELL
        assert pixel_at(sheet, 0, 0, bend, 1.2) != BACKGROUND and pixel_at(sheet, 0, 1, bend + 0.05) != BACKGROUND
        assert pixel_at(sheet, 0, 1, bend - 0.05) == BACKGROUND


def test_each_caption_has_the_number() -> None:
    """The captions of two images differ in the number and the operation."""
    sheet = draw([picture(1), picture(2), picture(3, source=2)], colour_files("red", "red", "red"))

    def caption(column: int, row: int) -> Image.Image:
        left, top = GAP + column * (CELL + GAP), GAP + row * (CELL + CAPTION + GAP) + CELL + 2
        return sheet.crop((left, top, left + CELL, top + CAPTION))

    first, second = caption(0, 0), caption(0, 1)
    assert len(first.getcolors(CELL * CAPTION) or ()) > 2
    assert ImageChops.difference(first, second).getbbox()


@pytest.mark.parametrize("broken", [b"", b"no picture", png(size=64)[:90], b"\x89PNG\r\n\x1a\n"])
def test_a_missing_or_broken_file_leaves_a_frame(broken: bytes) -> None:
    """The other images are there, and so is the empty cell."""

    def read(digest: str) -> bytes:
        if int(digest, 16) == 1:
            if not broken:
                raise FileNotFoundError(digest)
            return broken
        return png("red", CELL)

    sheet = draw([picture(1), picture(2, source=1)], read)
    assert (pixel_at(sheet, 0, 0, 0.8, 0.2), pixel_at(sheet, 1, 0)) == (WHITE, RED)
    assert pixel_at(sheet, 0, 0, -1 / CELL) not in (WHITE, BACKGROUND)


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
def test_the_sheet_of_many_images_stays_small_and_fast(pictures: list[Picture]) -> None:
    """Within the limits of a platform; only the files of the shown images are read, the newest included."""
    read: list[int] = []
    file = noise(256)

    def count(digest: str) -> bytes:
        read.append(int(digest, 16))
        return file

    began = time.process_time()
    sheet = draw(pictures, count)
    assert time.process_time() - began < 5.0  # a second or so; slow machines share their processors
    assert max(sheet.size) <= MAX_SIDE and min(sheet.size) > 50
    assert len(read) == MAX_PICTURES and 200 in read
