"""Put the trained networks together: `python -m render.builtin.training.export --transformer DIR --decoder DIR`."""

import argparse
import shutil
from pathlib import Path

from diffusers import FlowMatchEulerDiscreteScheduler

from render.builtin.decoder import SceneDecoder
from render.builtin.model import SceneTransformer
from render.builtin.pipeline import ScenePipeline
from render.builtin.training.tokenizer import build_tokenizer

WEIGHTS = Path(__file__).parents[1] / "weights"
SHIFT = 3.0  # of the noise levels; training draws them alike


def main() -> None:
    """Write the pipeline in half precision to the package's weights folder and tell its size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transformer", type=Path, required=True)
    parser.add_argument("--decoder", type=Path, required=True)
    parser.add_argument("--to", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    pipeline = assemble(
        SceneTransformer.from_pretrained(options.transformer), SceneDecoder.from_pretrained(options.decoder)
    )
    shutil.rmtree(options.to, ignore_errors=True)
    save(pipeline, options.to)
    for file in sorted(path for path in options.to.rglob("*") if path.is_file()):
        print(f"{file.stat().st_size:>12,}  {file.relative_to(options.to)}")
    print(f"{sum(file.stat().st_size for file in options.to.rglob('*')) / 2**20:>9.2f} MB")


def assemble(transformer: SceneTransformer, decoder: SceneDecoder) -> ScenePipeline:
    """The pipeline around the two networks."""
    scheduler = FlowMatchEulerDiscreteScheduler(shift=SHIFT)
    return ScenePipeline(build_tokenizer(), transformer.eval(), decoder.eval(), scheduler)


def save(pipeline: ScenePipeline, folder: Path) -> None:
    """Write the pipeline in half precision; the given one is changed to it."""
    pipeline.transformer.half()
    pipeline.decoder.half()
    pipeline.save_pretrained(folder)


if __name__ == "__main__":
    main()
