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
from bot.domain import Operation
from render.diffusion.diffusers_model import Studio
from render.protocol import Batch, Made, Spoilt, Task, WorkerEvent

PEOPLE = (1, 4, 8)
_WALLS = itertools.count()
CAPS = (1, 2, 4, 8)
PEAKS = {  # dense bf16, in 10^12 operations per second; the first name that is part of the name of the GPU
    "H200": 989, "H100 PCIe": 756, "H100": 989, "GH200": 989, "B200": 2250, "A100": 312, "L40S": 362, "L4": 121,
    "A10G": 70, "RTX 5090": 210, "RTX 4090": 165, "RTX 3090": 71,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """An image model at a size. `goal` is the ratio of ours to plain with eight users; None if there is no goal."""

    name: str
    build: Callable[[], Any]
    side: int
    steps: int
    goal: float | None = None
    twice: bool = True  # whether the second copy of the plain loop fits into memory, too


REAL = (
    Case("SDXL", shapes.sdxl, 1024, 30, 1.5),
    Case("SDXL", shapes.sdxl, 512, 30, 2.5),
    Case("SDXL, few steps", shapes.sdxl, 512, 4, 3.0),
    Case("FLUX.1", shapes.flux, 1024, 28, twice=False),
    Case("FLUX.1", shapes.flux, 512, 28, twice=False),
)
TINY = (
    Case("tiny SDXL", partial(shapes.tiny, "sdxl"), 64, 2, 1.5),
    Case("tiny SDXL, few steps", partial(shapes.tiny, "sdxl"), 64, 1, 3.0),
    Case("tiny FLUX.1", partial(shapes.tiny, "flux-dev"), 64, 2),
)


@dataclass(frozen=True, slots=True)
class Taken:
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
    parser.add_argument("--tiny", action="store_true", help="tiny models on the CPU: only shows that it runs")
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


def measure(case: Case, device: str, peak: int | None) -> None:
    """Print the table of one model."""
    pipe = shapes.placed(case.build, device)
    second = copy.deepcopy(pipe) if case.twice else None  # the plain loop's copy for edits, only in memory
    plain = {people: plainly(pipe, case, people) for people in (1, *PEOPLE)}  # the first is a warm-up
    work = flops(pipe, case)
    del second
    studio = Studio("benchmark", device, 1, load=lambda *_: pipe)
    caps = {}
    for cap in CAPS:
        studio.largest_batch = _room(studio, case, cap)
        ours(studio, case, cap)  # warm-up
        caps[cap] = ours(studio, case, max(PEOPLE)).rate
    best = max(caps, key=lambda cap: caps[cap])
    studio.largest_batch = _room(studio, case, best)
    print(f"\n{case.name}, {case.side} px, {case.steps} steps")
    print("  batch cap   " + "   ".join(f"{cap}: {rate:.2f}/s" for cap, rate in caps.items()) + f"   best {best}")
    for people in PEOPLE:
        it, them = ours(studio, case, people), plain[people]
        goal = f"   (goal: {case.goal}x)" if case.goal and people == max(PEOPLE) else ""
        share = f"   {work * it.rate / peak / 1e12:.0%} of the peak" if peak else ""
        print(
            f"  {people} people   plain {them.rate:.2f}/s p50 {them.median:.2f} s   ours {it.rate:.2f}/s"
            f" p50 {it.median:.2f} s   {it.rate / them.rate:.2f}x{goal}{share}"
        )
    print(f"  {work / 1e12:.3f} x 10^12 operations a picture")


def plainly(pipe: Any, case: Case, people: int) -> Taken:
    """Make one call for each image, and write its file before the next call."""
    done, began = [], time.perf_counter()
    for nth in range(people):
        image = pipe(**_given(case, nth)).images[0]
        image.save(io.BytesIO(), "PNG")
        done.append(time.perf_counter() - began)
    return Taken(done)


def ours(studio: Studio, case: Case, people: int) -> Taken:
    """Render all images as one batch for the image model of the worker."""
    done: list[float] = []
    began = time.perf_counter()

    def tell(event: WorkerEvent) -> None:
        if isinstance(event, Made):
            done.append(time.perf_counter() - began)
        elif isinstance(event, Spoilt):
            raise RuntimeError(event.reason)

    tasks = [
        Task(f"{nth}", Operation.GENERATE, _prompt(), nth, None, case.side, case.side, case.steps)
        for nth in range(people)
    ]
    studio.paint(Batch(tasks), tell, Event())
    if len(done) != people:
        raise RuntimeError(f"{len(done)} of {people} pictures were made")
    return Taken(done)


def flops(pipe: Any, case: Case) -> int:
    """Count the floating-point operations of one image, as torch counts them."""
    with FlopCounterMode(display=False) as counter:
        pipe(**_given(case, 0))
    return int(counter.get_total_flops())


def _given(case: Case, nth: int) -> dict[str, Any]:
    generator = torch.Generator("cpu").manual_seed(nth)
    size = {"width": case.side, "height": case.side, "num_inference_steps": case.steps}
    return {"prompt": _prompt(), "generator": generator, **size}


def _prompt() -> str:
    """Return a new prompt each time, so that texts cached by the model do not change the result."""
    return f"a red box on wall {next(_WALLS):06}"


def _room(studio: Studio, case: Case, cap: int) -> Any:
    """Convert a cap in images of this size into images of the default size of the model; may be less than one."""
    assert studio.usual
    return cap * case.side**2 / (studio.usual.width * studio.usual.height)


if __name__ == "__main__":
    main()
