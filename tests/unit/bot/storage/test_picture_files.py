"""Pictures as files."""

import io
from pathlib import Path

import pytest
from PIL import Image

from bot.storage.picture_files import PictureFiles


def png(size: tuple[int, int], colour: tuple[int, ...]) -> bytes:
    """A picture of one colour."""
    file = io.BytesIO()
    Image.new("RGBA" if len(colour) == 4 else "RGB", size, colour).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("size", "expected"), [((3000, 1500), (1024, 512)), ((100, 2048), (50, 1024)), ((64, 32), (64, 32))]
)
def test_a_glance_is_small(tmp_path: Path, size: tuple[int, int], expected: tuple[int, int]) -> None:
    """A large picture becomes a JPEG of at most 1024 pixels a side, in its proportions; a small one keeps its size."""
    files = PictureFiles(tmp_path)
    with Image.open(io.BytesIO(files.thumbnail(files.put(png(size, (255, 0, 0)))))) as image:
        assert (image.format, image.size, image.mode) == ("JPEG", expected, "RGB")


def test_a_glance_at_a_transparent_picture_is_on_white(tmp_path: Path) -> None:
    """JPEG knows no transparency: what shines through is paper."""
    files = PictureFiles(tmp_path)
    with Image.open(io.BytesIO(files.thumbnail(files.put(png((8, 8), (0, 0, 0, 0))), max_side=4))) as image:
        assert image.size == (4, 4) and min(image.getpixel((1, 1))) > 250  # type: ignore[arg-type]


def test_a_glance_at_a_missing_picture_fails_plainly(tmp_path: Path) -> None:
    """What is not there cannot be looked at, and nothing but a digest is looked up."""
    with pytest.raises(FileNotFoundError):
        PictureFiles(tmp_path).thumbnail("0" * 64)
    with pytest.raises(FileNotFoundError):
        PictureFiles(tmp_path).thumbnail("../secret")
