"""Measures how long encoding a PNG file takes: `python -m benchmarks.files`.

Painted scenes with a grain as fine as that of a photograph become PNG files: by Pillow with its defaults (the
baseline), by Pillow with its fastest options, and by `render.models.image_files`, in turns. The medians are printed.
"""

import io
import statistics
import time
import zlib
from collections.abc import Callable
from random import Random

from PIL import Image, ImageChops

from render.builtin.training.paint import paint
from render.builtin.training.scenes import random_scene
from render.models.image_files import encode_png

SIDES = (256, 1024)  # pixels
PICTURES = 12
GRAIN = 3.0  # levels of 255, standard deviation

Encoder = Callable[[Image.Image], bytes]


def pillow_encoder(**options: int) -> Encoder:
    """Return an encoder that uses Pillow with these options."""

    def save(image: Image.Image) -> bytes:
        file = io.BytesIO()
        image.save(file, "PNG", **options)
        return file.getvalue()

    return save


ENCODERS: dict[str, Encoder] = {
    "Pillow": pillow_encoder(),
    "Pillow, level 1, runs only": pillow_encoder(compress_level=1, compress_type=zlib.Z_RLE),
    "ours": lambda image: encode_png(image, {}),
}


def grainy_scene(random: Random, side: int) -> Image.Image:
    """Paint a random scene with random grain, so that hardly two pixels are equal."""
    grain = Image.merge("RGB", [Image.effect_noise((side, side), GRAIN) for _ in range(3)])
    return ImageChops.add(paint(random_scene(random), side), grain, offset=-128)


def main() -> None:
    """Print times and sizes, and their ratios to those of Pillow."""
    random = Random(1)
    for side in SIDES:
        times: dict[str, list[float]] = {name: [] for name in ENCODERS}
        sizes: dict[str, list[int]] = {name: [] for name in ENCODERS}
        for _ in range(PICTURES):
            image = grainy_scene(random, side)
            for name, way in ENCODERS.items():
                began = time.perf_counter()
                file = way(image)
                times[name].append(time.perf_counter() - began)
                sizes[name].append(len(file))
        print(f"{side} x {side}")
        defaults, whole = statistics.median(times["Pillow"]), sum(sizes["Pillow"])
        for name in ENCODERS:
            spent, size = statistics.median(times[name]), sum(sizes[name])
            kilobytes = size / PICTURES / 1000
            print(f"  {name:28}{spent * 1000:8.1f} ms {spent / defaults:6.2f}{kilobytes:9.0f} KB {size / whole:6.2f}")


if __name__ == "__main__":
    main()
