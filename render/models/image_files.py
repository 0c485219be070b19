"""Image files: opens untrusted files safely, and encodes and decodes the bot's own PNGs with their metadata."""

import io
import struct
import warnings
from contextlib import suppress

from isal import isal_zlib
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps, PngImagePlugin, UnidentifiedImageError

from bot.errors import Refused
from bot.region import parse_polygon

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
MAX_BYTES = 20 * 2**20
MAX_PIXELS = 50_000_000
MAX_SIDE = 2048  # pixels; larger uploads are scaled down
PREVIEW_SIDE = 160  # pixels
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOUR_TYPES = {"L": 0, "RGB": 2, "RGBA": 6}  # PNG colour type by Pillow mode
UP_FILTER = b"\x02"  # PNG filter type Up: a row minus the row above it


def sanitize_upload(data: bytes) -> tuple[bytes, int, int]:
    """Convert an uploaded file to a PNG: upright, RGB, at most 2048 pixels a side, without any metadata.

    Returns the PNG, its width and its height. Raises Refused, with the reason, for a file that is not an image.
    """
    plain = open_untrusted(data)
    return encode_png(plain, {}), plain.width, plain.height


def open_untrusted(data: bytes) -> Image.Image:
    """Decode an untrusted file: upright, RGB, at most 2048 pixels a side. Raises Refused, with the reason."""
    if len(data) > MAX_BYTES:
        raise Refused("file-too-large", megabytes=MAX_BYTES // 2**20)
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(data), formats=FORMATS) as image:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            if image.width * image.height > MAX_PIXELS:
                raise Refused("image-too-large", width=image.width, height=image.height)
            image.draft("RGB", (MAX_SIDE, MAX_SIDE))
            upright = _normalize_image(image)
            small = upright.convert("RGBA")
            small.thumbnail((MAX_SIDE, MAX_SIDE))
            plain = Image.new("RGBA", small.size, "white")
            plain.alpha_composite(small)
            plain = plain.convert("RGB")
    except Refused:
        raise
    except UnidentifiedImageError:
        raise Refused("not-an-image") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Refused("too-many-pixels") from None
    except (OSError, SyntaxError, ValueError, EOFError, IndexError) as error:
        raise Refused("image-damaged") from error
    return plain


def _normalize_image(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation and reduce to eight bits a channel; EXIF data that cannot be read is ignored."""
    with suppress(struct.error, SyntaxError, ValueError, TypeError, KeyError):
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        return image.convert("I").point(lambda level: level * (1 / 256)).convert("L")
    return image


def encode_png(image: Image.Image, metadata: dict[str, str]) -> bytes:
    """Encode an image as PNG, with `metadata` in iTXt chunks, which other programs read.

    Rows are filtered by the row above and compressed by ISA-L: a sixteenth of the time that Pillow takes, and hardly
    larger.
    """
    image = image if image.mode in COLOUR_TYPES else image.convert("RGB")
    above = Image.new(image.mode, image.size)
    above.paste(image, (0, 1))
    filtered, row = ImageChops.subtract_modulo(image, above).tobytes(), image.width * len(image.getbands())
    rows = b"".join(UP_FILTER + filtered[start : start + row] for start in range(0, len(filtered), row))
    info = PngImagePlugin.PngInfo()
    for key, text in metadata.items():
        info.add_itxt(key, text)
    file = io.BytesIO(PNG_SIGNATURE)
    file.seek(0, io.SEEK_END)
    PngImagePlugin.putchunk(file, b"IHDR", struct.pack(">2L5B", *image.size, 8, COLOUR_TYPES[image.mode], 0, 0, 0))
    for name, text_chunk, *_ in info.chunks:
        PngImagePlugin.putchunk(file, name, text_chunk)
    PngImagePlugin.putchunk(file, b"IDAT", isal_zlib.compress(rows, 1))
    PngImagePlugin.putchunk(file, b"IEND")
    return file.getvalue()


def region_mask(region: str, size: tuple[int, int]) -> Image.Image:
    """A mask of this size in pixels: white inside the polygon of the region, see `bot.region`, black outside.

    Raises ValueError.
    """
    place = Image.new("L", size)
    around = [(x * (size[0] - 1) / 100, y * (size[1] - 1) / 100) for x, y in parse_polygon(region)]
    ImageDraw.Draw(place).polygon(around, fill=255, outline=255)
    return place


def composite_by_mask(source: Image.Image, rendered: Image.Image, mask: Image.Image) -> Image.Image:
    """The pixels of the source outside of the mask and of the rendered image inside, with a soft edge inside the mask.

    The result has the size of the rendered image.
    """
    soft = mask.resize(rendered.size).filter(ImageFilter.GaussianBlur(4))
    inside = Image.composite(soft, Image.new("L", rendered.size), mask.resize(rendered.size))
    return Image.composite(rendered, source.resize(rendered.size), inside)


def encode_preview(image: Image.Image) -> bytes:
    """Encode a preview: a JPEG of at most `PREVIEW_SIDE` pixels a side."""
    small = image.convert("RGB")
    small.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=70)
    return file.getvalue()


def decode_png(png: bytes) -> Image.Image:
    """Decode one of the bot's own PNG files as RGB."""
    with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
        return image.convert("RGB")


def read_metadata(png: bytes) -> dict[str, str]:
    """The text metadata of one of the bot's own PNG files; empty if Pillow cannot identify the file."""
    with suppress(UnidentifiedImageError), Image.open(io.BytesIO(png), formats=("PNG",)) as image:
        return {str(name): text for name, text in image.info.items() if isinstance(text, str)}
    return {}
