"""Draws the contact sheet of a thread: its images with numbers, and arrows from source images to results."""

import io
from collections.abc import Callable, Sequence

from PIL import Image, ImageDraw, ImageFont

from bot.commands.lineage import OPERATION_LABELS, PlacedPicture, build_tree, select_newest
from bot.domain import Picture

MAX_PICTURES = 60  # images on one sheet
MAX_SIDE = 4_096  # pixels on the longest side of the sheet
CELL, GAP, CAPTION = 224, 48, 40  # pixels
_BACKGROUND, _INK, _MUTED_TEXT, _LINE = "#f7f7f5", "#20242c", "#6b7280", "#9aa3b2"


def draw_contact_sheet(pictures: Sequence[Picture], read: Callable[[str], bytes]) -> bytes:
    """Draw the lineage as a PNG. `read` returns the file of an image by its digest. Blocks while it draws.

    Of more than `MAX_PICTURES` images it shows the newest with their sources. A missing file leaves an empty frame.
    """
    nodes = build_tree(select_newest(pictures, MAX_PICTURES))
    columns, rows = max(node.column for node in nodes) + 1, max(node.row for node in nodes) + 1
    width, height = columns * (CELL + GAP) + GAP, rows * (CELL + CAPTION + GAP) + GAP
    sheet = Image.new("RGB", (width, height), _BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    places = {node.picture.number: _top_left(node) for node in nodes}
    for node in nodes:
        if node.parent in places:
            _draw_arrow(pen, places[node.parent], places[node.picture.number])
    for node in nodes:
        _draw_cell(sheet, pen, node, read)
    sheet.thumbnail((MAX_SIDE, MAX_SIDE))
    file = io.BytesIO()
    sheet.save(file, "PNG", optimize=True)
    return file.getvalue()


def _top_left(node: PlacedPicture) -> tuple[int, int]:
    return GAP + node.column * (CELL + GAP), GAP + node.row * (CELL + CAPTION + GAP)


def _draw_cell(sheet: Image.Image, pen: ImageDraw.ImageDraw, node: PlacedPicture, read: Callable[[str], bytes]) -> None:
    left, top = _top_left(node)
    frame = (left - 1, top - 1, left + CELL, top + CELL)
    pen.rectangle(frame, fill="white", outline=_LINE)
    try:
        with Image.open(io.BytesIO(read(node.picture.digest)), formats=("PNG",)) as opened:
            small = opened.convert("RGBA")
    except OSError:
        pen.line((frame[0], frame[1], frame[2], frame[3]), fill=_LINE)
    else:
        small.thumbnail((CELL, CELL), Image.Resampling.LANCZOS)
        sheet.paste(small, (left + (CELL - small.width) // 2, top + (CELL - small.height) // 2), small)
    number = f"#{node.picture.number}"
    bold, plain = ImageFont.load_default(22), ImageFont.load_default(15)
    pen.text((left, top + CELL + 6), number, fill=_INK, font=bold)
    pen.text(
        (left + pen.textlength(number, bold) + 10, top + CELL + 12),
        OPERATION_LABELS[node.picture.request.operation],
        _MUTED_TEXT,
        plain,
    )


def _draw_arrow(pen: ImageDraw.ImageDraw, start: tuple[int, int], end: tuple[int, int]) -> None:
    """Draw an arrow from the right side of one cell to the left side of another, with a bend if that one is lower."""
    x, y = start[0] + CELL, start[1] + CELL // 2
    to_x, to_y = end[0] - 4, end[1] + CELL // 2
    bend = to_x - GAP // 2
    pen.line([(x, y), (bend, y), (bend, to_y), (to_x, to_y)], fill=_LINE, width=3, joint="curve")
    pen.polygon([(to_x + 2, to_y), (to_x - 9, to_y - 6), (to_x - 9, to_y + 6)], fill=_LINE)
