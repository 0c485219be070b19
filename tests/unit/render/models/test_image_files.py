"""Uploads are opened safely whatever is in them, and pictures are kept whole or not at all."""

import hashlib
import io
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bot.errors import Refused
from bot.storage.picture_files import PictureFiles
from render.models.image_files import MAX_BYTES, MAX_SIDE, encode_png, read_metadata, sanitize_upload
from tests.support.thorough import examples

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # the library's grumbling about damaged files

RED, WHITE = (255, 0, 0), (255, 255, 255)
MODES = ["PNG RGB", "PNG P", "PNG L", "PNG 1", "JPEG RGB", "JPEG L", "JPEG CMYK", "WEBP RGB", "GIF P", "BMP RGB"]
GPS, ORIENTATION, MAKER = 0x8825, 0x0112, 0x010F


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    """The image as a file."""
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def flat(size: tuple[int, int] = (40, 30)) -> Image.Image:
    """A red picture."""
    return Image.new("RGB", size, RED)


def opened(data: bytes) -> Image.Image:
    """What became of an upload: a whole RGB PNG that says nothing but its pixels."""
    png, width, height = sanitize_upload(data)
    image = Image.open(io.BytesIO(png), formats=("PNG",))
    image.load()
    assert (image.mode, image.size, image.info) == ("RGB", (width, height), {})
    assert not image.getexif()
    assert max(image.size) <= MAX_SIDE
    return image


def photo(format: str) -> bytes:
    """A file with a camera, a place and an orientation: lying on its side, red to the left."""
    image = Image.new("RGB", (60, 40), WHITE)
    image.paste(RED, (0, 0, 20, 40))
    exif = Image.Exif()
    exif[ORIENTATION], exif[MAKER] = 6, "Secret camera"
    exif.get_ifd(GPS)[1] = "N"
    return saved(image, format, exif=exif)


def near(image: Image.Image, place: tuple[int, int], colour: tuple[int, ...]) -> bool:
    """Whether the pixel is about this colour, as far as a lossy format keeps it."""
    pixel = image.getpixel(place)
    assert isinstance(pixel, tuple)
    return all(abs(a - b) <= 12 for a, b in zip(pixel, colour, strict=True))


def refusal(data: bytes) -> str:
    """The sentence with which a file is refused."""
    with pytest.raises(Refused) as caught:
        sanitize_upload(data)
    assert str(caught.value).endswith(".")
    return str(caught.value)


def claiming(width: int, height: int) -> bytes:
    """A small PNG whose header claims this size."""
    png = saved(flat(), "PNG")
    header = b"IHDR" + struct.pack(">II", width, height) + png[24:29]
    return png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_where_a_photo_was_taken_is_not_kept(format: str) -> None:
    """Position and camera are dropped; the picture stands upright as the camera meant it."""
    data = photo(format)
    assert [b"Secret camera" in file for file in (data, sanitize_upload(data)[0])] == [True, False]
    image = opened(data)
    assert image.size == (40, 60)
    assert near(image, (20, 8), RED)
    assert near(image, (20, 52), WHITE)


CLEAR = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
CLEAR_FILES = [saved(CLEAR, "PNG"), saved(CLEAR.convert("LA"), "PNG"), saved(CLEAR, "WEBP")]
CLEAR_FILES += [saved(Image.new("P", (8, 8), 0), format, transparency=0) for format in ("PNG", "GIF")]


@pytest.mark.parametrize("data", CLEAR_FILES, ids=["RGBA", "LA", "WebP", "palette", "GIF"])
def test_transparency_is_seen_on_white(data: bytes) -> None:
    """What can be seen through becomes white, not black."""
    assert near(opened(data), (4, 4), WHITE)


@pytest.mark.parametrize(("format", "mode"), [tuple(each.split()) for each in MODES])
def test_common_formats_are_taken_in_every_mode(format: str, mode: str) -> None:
    """Palettes, greys, two colours and print colours come back as a PNG of the same size and colour."""
    image = opened(saved(flat().convert(mode), format))
    assert image.size == (40, 30)
    assert mode == "1" or near(image, (20, 15), (76, 76, 76) if mode == "L" else RED)


def test_sixteen_bits_of_grey_keep_their_shades() -> None:
    """A deep greyscale picture is scaled to eight bits, not blown out to white."""
    for level in (0, 0x4000, 0x8000, 0xFFFF):
        assert near(opened(saved(Image.new("I;16", (3, 3), level), "PNG")), (1, 1), (level >> 8,) * 3)


def test_a_large_picture_is_made_smaller() -> None:
    """The longest side is at most 2048 pixels, and the shape stays."""
    for format in ("PNG", "JPEG"):
        assert opened(saved(flat(size=(4096, 1024)), format)).size == (2048, 512)


@pytest.mark.parametrize(
    "data",
    [b"", bytes(range(256)), b"Hello.", b"<!doctype html>", b"<svg/>", *(saved(flat(), f) for f in ("TIFF", "PPM"))],
    ids=["empty", "bytes", "text", "HTML", "SVG", "TIFF", "PPM"],
)
def test_what_is_no_picture_is_refused_with_the_formats_that_are(data: bytes) -> None:
    """The sentence names what can be sent; other formats of the library are not even tried."""
    assert "PNG, JPEG, WebP, GIF or BMP" in refusal(data)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_a_picture_that_is_cut_off_is_refused(format: str) -> None:
    """Wherever a file ends, it is refused with a sentence, or what came of it is a whole picture."""
    noisy = Image.effect_noise((40, 30), 90).convert("RGB")
    data = saved(noisy, format)
    points = {*range(60), *range(0, len(data) - 20, max(1, len(data) // 150))}
    outcomes = [_outcome(data[:point]) for point in points]
    assert outcomes.count("refused") > len(outcomes) * 0.9


def test_a_claim_of_billions_of_pixels_is_refused_at_once() -> None:
    """The size is read from the header; nothing of that size is ever made."""
    for width, height in ((50_000, 50_000), (2**31 - 1, 2**31 - 1), (10_000, 5_001), (12_000, 10_000)):
        data = claiming(width, height)
        began = time.process_time()
        assert "pixels" in refusal(data)
        assert time.process_time() - began < 1.0


def test_a_file_over_the_limit_is_refused_unread() -> None:
    """More than 20 MB is refused for its length alone."""
    assert refusal(saved(flat(), "PNG") + bytes(MAX_BYTES)) == "An image can have at most 20 MB."


def _outcome(data: bytes) -> str:
    try:
        opened(data)
    except Refused:
        return "refused"
    return "taken"


@given(
    st.binary(max_size=400), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"BM", b"RIFF"])
)
@settings(max_examples=examples(150), deadline=None)
def test_any_bytes_are_a_picture_or_refused(data: bytes, magic: bytes) -> None:
    """Nothing else can come of an upload, whatever it begins with."""
    _outcome(magic + data)


SAMPLES = [saved(Image.effect_noise((12, 9), 90).convert("P"), "PNG"), claiming(6, 5)]
SAMPLES += [saved(flat(size=(12, 9)), format) for format in ("PNG", "JPEG", "WEBP", "GIF", "BMP")]


@given(st.data())
@settings(max_examples=examples(250), deadline=None)
def test_one_wrong_byte_is_no_bug(data: st.DataObject) -> None:
    """A valid file with any one byte changed is a picture or refused."""
    sample = bytearray(data.draw(st.sampled_from(SAMPLES)))
    sample[data.draw(st.integers(0, len(sample) - 1))] = data.draw(st.integers(0, 255))
    _outcome(bytes(sample))


def test_damaged_notes_of_a_camera_are_no_bug() -> None:
    """Whichever byte of a photo's metadata is wrong, the photo is a picture or refused."""
    data = photo("JPEG")
    for place in range(data.index(b"MM\0*"), data.index(b"Secret")):
        for wrong in (0, 1, 2, 3, 7, 255):
            _outcome(data[:place] + bytes([wrong]) + data[place + 1 :])


@given(st.sampled_from(["L", "RGB", "RGBA"]), st.integers(1, 40), st.integers(1, 40), st.randoms())
def test_a_file_is_the_picture(mode: str, width: int, height: int, random: Random) -> None:
    """In every mode and size, whoever reads it: the pixels, and what is told of them before they come."""
    image = Image.frombytes(mode, (width, height), random.randbytes(width * height * len(mode)))
    metadata = {"Description": "an écu\n\u2603", "Seed": "7"}
    png = encode_png(image, metadata)
    back = Image.open(io.BytesIO(png), formats=["PNG"])
    back.load()
    assert (back.mode, back.size, back.tobytes()) == (mode, (width, height), image.tobytes())
    assert read_metadata(png) == metadata
    assert png.index(b"iTXt") < png.index(b"IDAT")


@pytest.mark.parametrize("mode", ["P", "CMYK", "1", "HSV"])
def test_a_file_of_another_mode_is_rgb(mode: str) -> None:
    """What a library may give instead is seen as it is."""
    image = flat().convert(mode)
    assert opened(encode_png(image, {})).tobytes() == image.convert("RGB").tobytes()


def test_a_picture_is_found_by_its_digest_and_stored_once(tmp_path: Path) -> None:
    """What was put is read back whole under its SHA-256; putting it again leaves the file as it is."""
    files = PictureFiles(tmp_path / "new" / "pictures")
    digest = files.put(b"one")
    assert (digest, files.read(digest)) == (hashlib.sha256(b"one").hexdigest(), b"one")
    assert files.path(digest) == (path := tmp_path / "new" / "pictures" / f"{digest}.png")
    before = path.stat()
    assert files.put(b"one") == digest
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert list(path.parent.iterdir()) == [path]


def test_nothing_but_a_digest_is_looked_up(tmp_path: Path) -> None:
    """Names that lead elsewhere, or to no picture, find nothing."""
    files = PictureFiles(tmp_path / "pictures")
    digest = files.put(b"one")
    (tmp_path / "secret.png").write_bytes(b"secret")
    (tmp_path / "pictures" / ".png").write_bytes(b"secret")
    (tmp_path / "pictures" / f"{digest.upper()}.png").write_bytes(b"secret")
    for name in ("", "../secret", digest.upper(), digest[:-1], digest + "\n", f"./{digest}", "0" * 64, "é" * 64):
        assert files.path(name) is None
        with pytest.raises(FileNotFoundError):
            files.read(name)


def test_a_folder_that_is_gone_is_an_os_error(tmp_path: Path) -> None:
    """A place that cannot be written raises OSError, at the start and later."""
    folder = tmp_path / "pictures"
    files = PictureFiles(folder)
    folder.rmdir()
    folder.write_text("no folder")
    with pytest.raises(OSError, match="pictures"):
        files.put(b"one")
    with pytest.raises(OSError, match="pictures"):
        PictureFiles(folder)


def test_a_full_disk_leaves_no_part_of_a_picture(tmp_path: Path) -> None:
    """When a write fails half-way, the folder is as before, and the picture is not there."""
    code = """if True:
        import resource, sys, pathlib
        from bot.storage.picture_files import PictureFiles
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        files = PictureFiles(pathlib.Path(sys.argv[1]))
        for size in (1500, 100_000):
            try:
                files.put(bytes(size))
            except OSError as error:
                print(error.strerror)
    """
    ran = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert (ran.stdout.splitlines(), ran.stderr) == (["File too large"] * 2, "")
    assert list(tmp_path.iterdir()) == []
