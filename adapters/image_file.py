"""Fits the PNG of an image into the size limit of a platform, and names the file. Pure."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

MIN_SIDE = 256  # pixels of the longer side; a smaller image is not worth showing

_SHRINK = 0.75  # factor for the longer side at each step
_LOSSLESS_GAIN = 0.5  # lossless WebP rarely takes less than this share of the size of the PNG
_WEBP_QUALITIES = (90, 80, 65)
_JPEG_QUALITIES = (75, 60, 45, 30)
_WEBP_SIDE = 16_383  # pixels; Google, "WebP Container Specification"
_LONGEST_NAME = 60  # characters, extension included
_RESERVED_NAME = re.compile(r"con|prn|aux|nul|(?:com|lpt)\d")  # Microsoft, "Naming Files, Paths, and Namespaces"


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image file to send. `extension` is "png", "webp" or "jpg"."""

    data: bytes
    extension: str


def fit_to_limit(png: bytes, limit: int, *, webp: bool = True) -> ImageFile | None:
    """Return the image in at most `limit` bytes with the least loss, or None if even its smallest form is larger.

    Tries the PNG itself, then lossless WebP, then WebP and JPEG at falling quality, then the same formats of smaller
    images, down to `MIN_SIDE`. Without `webp`, for a platform that does not show WebP, it skips WebP. The same PNG and
    limit give the same bytes. Raises OSError for a large file that is not an image.
    """
    if len(png) <= limit:
        return ImageFile(png, "png")
    with Image.open(BytesIO(png)) as opened:
        picture = opened.convert("RGBA" if opened.has_transparency_data else "RGB")
    for smaller in _sizes(picture):
        share = smaller.width * smaller.height / (picture.width * picture.height)
        lossless = len(png) * share * _LOSSLESS_GAIN <= limit
        for upload in _encodings(smaller, lossless):
            if len(upload.data) <= limit and (webp or upload.extension != "webp"):
                return upload
    return None


def safe_file_name(title: str, extension: str) -> str:
    """Return a file name of at most 60 characters for any title: ASCII letters, digits and hyphens, for any system."""
    apart = unicodedata.normalize("NFKD", title.casefold())
    plain = "".join(sign for sign in apart if sign.isascii() or not (unicodedata.combining(sign) or sign in "’‘"))
    stem = re.sub(r"[^a-z0-9]+", "-", plain.replace("'", "").lower()).strip("-") or "picture"
    if _RESERVED_NAME.fullmatch(stem):
        stem = f"picture-{stem}"
    room = _LONGEST_NAME - len(extension) - 1
    if len(stem) > room:
        words = stem[: room + 1].rpartition("-")[0]
        stem = (words if len(words) > room // 2 else stem[:room]).strip("-")
    return f"{stem}.{extension}"


def _sizes(picture: Image.Image) -> Iterator[Image.Image]:
    """Yield the image, then smaller ones, each resampled from the original so that no pixel is blurred twice."""
    yield picture
    longer = side = max(picture.size)
    while side > MIN_SIDE:
        side = max(MIN_SIDE, round(side * _SHRINK))
        size = (max(1, round(picture.width * side / longer)), max(1, round(picture.height * side / longer)))
        yield picture.resize(size, Image.Resampling.LANCZOS)


def _encodings(picture: Image.Image, lossless: bool) -> Iterator[ImageFile]:
    """Yield the image in every format and quality, the best first."""
    if max(picture.size) <= _WEBP_SIDE:
        if lossless:
            yield ImageFile(_encode(picture, "WEBP", lossless=True), "webp")
        for quality in _WEBP_QUALITIES:
            yield ImageFile(_encode(picture, "WEBP", quality=quality), "webp")
    flat = _on_white(picture)
    for quality in _JPEG_QUALITIES:
        yield ImageFile(_encode(flat, "JPEG", quality=quality, optimize=True), "jpg")


def _on_white(picture: Image.Image) -> Image.Image:
    """Return the image on a white background, without transparency."""
    if picture.mode != "RGBA":
        return picture
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


def _encode(picture: Image.Image, kind: str, **options: int | bool) -> bytes:
    file = BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()
