"""Measures images per second on a GPU, ours against a plain loop: `python -m benchmarks.gpu`; `--tiny` runs on any CPU.

The plain loop has two pipelines in memory and makes one call for each image, whose file it writes before the next call.
Ours is the image model of the worker with its defaults: no step is skipped, and no weight has fewer bits. Weights are
random.
"""

import argparse
import copy
import io
import itertools
import logging
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import shapes
from bot.domain import Operation, Sampling
from render.diffusion.diffusers_model import DiffusersModel
from render.protocol import Batch, ImageDone, ImageFailed, ImageTask, WorkerEvent

PEOPLE = (1, 4, 8)
_WALLS = itertools.count()
CAPS = (1, 2, 4, 8)
PEAKS = {  # dense bf16, in 10^12 operations a second; the first name that is found in the card's
    "H200": 989, "H100 PCIe": 756, "H100": 989, "GH200": 989, "B200": 2250, "A100": 312, "L40S": 362, "L4": 121,
    "A10G": 70, "RTX 5090": 210, "RTX 4090": 165, "RTX 3090": 71,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class BenchmarkCase:
    """An image model at a size. `goal` is the ratio of ours to plain with eight users; None if there is no goal."""

    name: str
    build: Callable[[], Any]
    side: int
    steps: int
    goal: float | None = None
    fits_twice: bool = True  # whether the plain loop's second copy fits beside the rest


REAL = (
    BenchmarkCase("SDXL", shapes.sdxl, 1024, 30, 1.5),
    BenchmarkCase("SDXL", shapes.sdxl, 512, 30, 2.5),
    BenchmarkCase("SDXL, few steps", shapes.sdxl, 512, 4, 3.0),
    BenchmarkCase("FLUX.1", shapes.flux, 1024, 28, fits_twice=False),
    BenchmarkCase("FLUX.1", shapes.flux, 512, 28, fits_twice=False),
)
TINY = (
    BenchmarkCase("tiny SDXL", partial(shapes.tiny, "sdxl"), 64, 2, 1.5),
    BenchmarkCase("tiny SDXL, few steps", partial(shapes.tiny, "sdxl"), 64, 1, 3.0),
    BenchmarkCase("tiny FLUX.1", partial(shapes.tiny, "flux-dev"), 64, 2),
)


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds from the start to each image."""

    done: list[float]

    @property
    def rate(self) -> float:
        """Images per second."""
        return len(self.done) / max(self.done)

    @property
    def median(self) -> float:
        """Median of the seconds that a user waits."""
        return statistics.median(self.done)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, or say why nothing can be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="tiny models on the CPU: shows that it runs, no more")
    tiny = parser.parse_args(arguments).tiny
    if not tiny and not torch.cuda.is_available():
        print("There is no CUDA device here: nothing is measured. --tiny shows on the CPU that the benchmark runs.")
        return
    logging.disable(logging.WARNING)
    device = "cpu" if tiny else "cuda"
    card = "CPU" if tiny else torch.cuda.get_device_name()
    peak = next((most for name, most in PEAKS.items() if name in card), None)
    print(f"{card}, torch {torch.__version__}; the goals are for eight people on a GPU with the real models")
    for case in TINY if tiny else REAL:
        measure(case, device, peak)
        if not tiny:
            torch.cuda.empty_cache()


def measure(case: BenchmarkCase, device: str, peak: int | None) -> None:
    """Print the table of one model."""
    pipe = shapes.build_on_device(case.build, device)
    second = copy.deepcopy(pipe) if case.fits_twice else None  # in memory, as it is there, for what edits
    plain = {people: measure_plain(pipe, case, people) for people in (1, *PEOPLE)}  # the first is to get warm
    work = flops(pipe, case)
    del second
    image_model = DiffusersModel("benchmark", device, 1, load=lambda *_: pipe)
    caps = {}
    for cap in CAPS:
        image_model.largest_batch = _batch_limit(image_model, case, cap)
        measure_worker(image_model, case, cap)  # warm
        caps[cap] = measure_worker(image_model, case, max(PEOPLE)).rate
    best = max(caps, key=lambda cap: caps[cap])
    image_model.largest_batch = _batch_limit(image_model, case, best)
    print(f"\n{case.name}, {case.side} px, {case.steps} steps")
    print("  batch cap   " + "   ".join(f"{cap}: {rate:.2f}/s" for cap, rate in caps.items()) + f"   best {best}")
    for people in PEOPLE:
        it, them = measure_worker(image_model, case, people), plain[people]
        goal = f"   (goal: {case.goal}x)" if case.goal and people == max(PEOPLE) else ""
        share = f"   {work * it.rate / peak / 1e12:.0%} of the peak" if peak else ""
        print(
            f"  {people} people   plain {them.rate:.2f}/s p50 {them.median:.2f} s   ours {it.rate:.2f}/s"
            f" p50 {it.median:.2f} s   {it.rate / them.rate:.2f}x{goal}{share}"
        )
    print(f"  {work / 1e12:.3f} x 10^12 operations a picture")


def measure_plain(pipe: Any, case: BenchmarkCase, people: int) -> Timings:
    """Make one call for each image, and write its file before the next call."""
    done, began = [], time.perf_counter()
    for nth in range(people):
        image = pipe(**_call_arguments(case, nth)).images[0]
        image.save(io.BytesIO(), "PNG")
        done.append(time.perf_counter() - began)
    return Timings(done)


def measure_worker(model: DiffusersModel, case: BenchmarkCase, people: int) -> Timings:
    """Render all images as one batch for the image model of the worker."""
    done: list[float] = []
    began = time.perf_counter()

    def tell(event: WorkerEvent) -> None:
        if isinstance(event, ImageDone):
            done.append(time.perf_counter() - began)
        elif isinstance(event, ImageFailed):
            raise RuntimeError(event.reason)

    tasks = [
        ImageTask(
            f"{nth}",
            Operation.GENERATE,
            _new_prompt(),
            sampling=Sampling(seed=nth, size=(case.side, case.side), num_inference_steps=case.steps),
        )
        for nth in range(people)
    ]
    model.render(Batch(tasks), tell, Event())
    if len(done) != people:
        raise RuntimeError(f"{len(done)} of {people} pictures were made")
    return Timings(done)


def flops(pipe: Any, case: BenchmarkCase) -> int:
    """Count the floating-point operations of one image, as torch counts them."""
    with FlopCounterMode(display=False) as counter:
        pipe(**_call_arguments(case, 0))
    return int(counter.get_total_flops())


def _call_arguments(case: BenchmarkCase, nth: int) -> dict[str, Any]:
    generator = torch.Generator("cpu").manual_seed(nth)
    size = {"width": case.side, "height": case.side, "num_inference_steps": case.steps}
    return {"prompt": _new_prompt(), "generator": generator, **size}


def _new_prompt() -> str:
    """Return a new prompt each time, so that texts cached by the model do not change the result."""
    return f"a red box on wall {next(_WALLS):06}"


def _batch_limit(model: DiffusersModel, case: BenchmarkCase, cap: int) -> Any:
    """Convert a cap in images of this size into images of the default size of the model; may be less than one."""
    assert model.defaults
    return cap * case.side**2 / (model.defaults.width * model.defaults.height)


if __name__ == "__main__":
    main()
