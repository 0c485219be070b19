"""Image files for a platform with a size limit: the best form that fits, and a safe name."""

import random
import re
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from adapters.image_file import MIN_SIDE, ImageFile, fit_to_limit, safe_file_name


def png_of(picture: Image.Image) -> bytes:
    """Return the image as a PNG."""
    file = BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def noise(width: int = 320, height: int = 200, mode: str = "RGB") -> Image.Image:
    """Return an image that no format can compress without loss."""
    return Image.frombytes(mode, (width, height), random.Random(1).randbytes(width * height * len(mode)))


def shown(upload: ImageFile | None) -> Image.Image:
    """Return the image that a user sees; asserts that the extension is right."""
    assert upload is not None
    picture = Image.open(BytesIO(upload.data))
    assert {"PNG": "png", "WEBP": "webp", "JPEG": "jpg"}[str(picture.format)] == upload.extension
    return picture


NOISE = png_of(noise())


def test_a_png_that_fits_is_unchanged() -> None:
    """A file at the limit fits."""
    assert fit_to_limit(NOISE, len(NOISE)) == ImageFile(NOISE, "png")


def test_an_image_slightly_over_the_limit_loses_nothing() -> None:
    """Lossless WebP comes first, transparency included."""
    for mode in ("RGB", "RGBA"):
        picture = noise(mode=mode)
        png = png_of(picture)
        sent = shown(fit_to_limit(png, len(png) - 1))
        assert sent.format == "WEBP"
        if mode == "RGB":
            assert sent.convert(mode).tobytes() == picture.tobytes()
        else:
            assert sent.getchannel("A").tobytes() == picture.getchannel("A").tobytes()


@pytest.mark.parametrize(
    ("kilobytes", "extension"),
    [(100, "webp"), (50, "webp"), (40, "webp"), (37.6, "jpg"), (32, "jpg"), (26, "jpg"), (20, "jpg")],
)
def test_quality_falls_before_size(kilobytes: float, extension: str) -> None:
    """WebP at falling quality comes before JPEG at falling quality, and both before fewer pixels."""
    limit = int(kilobytes * 1000)
    upload = fit_to_limit(NOISE, limit)
    sent = shown(upload)
    assert upload is not None
    assert (upload.extension, sent.size) == (extension, (320, 200))
    assert len(upload.data) <= limit


def test_a_lower_limit_never_gives_a_larger_file() -> None:
    """Each form is smaller than the one before, until none is left."""
    limit, rungs = len(NOISE), []
    while upload := fit_to_limit(NOISE, limit):
        assert len(upload.data) <= limit
        rungs.append((upload.extension, shown(upload).width))
        limit = len(upload.data) - 1
    full = ["png", "webp", "webp", "webp", "webp", "jpg", "jpg", "jpg", "jpg"]
    assert rungs[:9] == [(extension, 320) for extension in full]
    assert rungs[9:] == [("jpg", MIN_SIDE)] * 3  # what is larger than the last full-size JPEG has no turn


def test_an_image_shrinks_by_steps_and_keeps_its_shape() -> None:
    """An image that fits at no quality loses only as many pixels as needed."""
    wide = png_of(noise(600, 150))
    sizes = {shown(fit_to_limit(wide, limit)).size for limit in (14_000, 8_000, 4_000)}
    assert sizes == {(450, 112), (338, 84), (256, 64)}


def test_no_file_if_no_form_fits() -> None:
    """A limit below the smallest form gives None, and so does a limit of 0."""
    assert fit_to_limit(NOISE, 2_000) is None
    assert fit_to_limit(NOISE, 0) is None


def test_a_small_image_is_not_made_smaller() -> None:
    """An image of at most 256 pixels keeps its size, or has no file."""
    small = png_of(noise(256, 40))
    assert shown(fit_to_limit(small, 6_000)).size == (256, 40)
    assert fit_to_limit(small, 1_000) is None


def test_a_thin_image_keeps_a_pixel() -> None:
    """An image of one row of pixels can be made shorter."""
    line = png_of(noise(3000, 1))
    assert shown(fit_to_limit(line, 1_600)).height == 1


def test_an_image_too_wide_for_webp_is_a_jpeg() -> None:
    """A side that exceeds WebP's limit is no failure."""
    wide = png_of(noise(16_400, 2))
    assert shown(fit_to_limit(wide, len(wide) - 1)).size == (16_400, 2)
    assert shown(fit_to_limit(wide, len(wide) - 1)).format == "JPEG"


def test_transparency_is_white_in_a_jpeg() -> None:
    """Hidden pixels of the PNG do not appear."""
    picture = noise(mode="RGBA")
    picture.paste((255, 0, 0, 0), (0, 0, 160, 200))
    sent = shown(fit_to_limit(png_of(picture), 12_000))
    assert sent.format == "JPEG"
    assert min(sent.getpixel((40, 100))) >= 250  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "I;16"])
def test_any_kind_of_png_can_be_made_smaller(mode: str) -> None:
    """Black and white, grey, with a palette or with 16 bits."""
    kind = noise(300, 300, "L") if mode == "I;16" else noise(300, 300)
    png = png_of(kind.convert("I;16" if mode == "I;16" else mode))
    assert shown(fit_to_limit(png, min(40_000, len(png) - 1))).width <= 300


def test_a_transparent_palette_stays_transparent() -> None:
    """A PNG whose palette has a transparent colour keeps it."""
    picture = noise(8, 8).resize((320, 200)).convert("P")
    picture.info["transparency"] = picture.getpixel((0, 0))
    png = png_of(picture)
    assert shown(fit_to_limit(png, len(png) - 1)).mode == "RGBA"


def test_the_same_image_gives_the_same_file() -> None:
    """The bytes do not depend on the time."""
    assert fit_to_limit(NOISE, 40_000) == fit_to_limit(NOISE, 40_000)


def test_a_large_file_that_is_no_image_is_refused() -> None:
    """The error says that the bytes are wrong, not that there are too many."""
    with pytest.raises(OSError, match="cannot identify"):
        fit_to_limit(b"no picture" * 100, 10)


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("A red dog, running!", "a-red-dog-running.png"),
        ("Café à Zürich — Straße", "cafe-a-zurich-strasse.png"),
        ("The dog's “best” day", "the-dogs-best-day.png"),
        ("", "picture.png"),
        ("一只狗", "picture.png"),
        ("🙂🙂", "picture.png"),
        ("../../etc/passwd", "etc-passwd.png"),
        (".hidden", "hidden.png"),
        ("CON", "picture-con.png"),
        ("lpt¹", "picture-lpt1.png"),
        ("console", "console.png"),
        ("ﬁne ① dog", "fine-1-dog.png"),
        ("a dog " * 30, "a-dog-" * 9 + "a.png"),
        ("x" * 200, "x" * 56 + ".png"),
    ],
)
def test_a_name_has_the_words_of_the_prompt(title: str, name: str) -> None:
    """As far as any system accepts them."""
    assert safe_file_name(title, "png") == name


@given(st.text(max_size=200), st.sampled_from(["png", "webp", "jpg"]))
def test_every_name_is_safe(title: str, extension: str) -> None:
    """For any prompt, the name is short, ASCII, and no device name of Windows."""
    name = safe_file_name(title, extension)
    assert len(name) <= 60
    stem = re.fullmatch(rf"([a-z0-9]+(?:-[a-z0-9]+)*)\.{extension}", name)
    assert stem is not None
    assert not re.fullmatch(r"con|prn|aux|nul|com\d|lpt\d", stem[1])


def test_a_platform_without_webp_gets_jpeg() -> None:
    """WebP is skipped; the loss is still the least."""
    png = png_of(noise(96, 96))
    upload = fit_to_limit(png, len(png) // 2, webp=False)
    assert upload and upload.extension == "jpg" and len(upload.data) <= len(png) // 2
    assert fit_to_limit(png, len(png), webp=False) == ImageFile(png, "png")
