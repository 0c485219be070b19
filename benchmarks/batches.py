"""What a batch saves on this machine's CPU: `python -m benchmarks.batches`.

The model that ships draws eight pictures, one after the other and all at once, in turns, in a process like a worker's.
"""

import io
import os
import statistics
import time
from multiprocessing import get_context
from threading import Event

import numpy as np
from PIL import Image

from bot.domain import Operation
from render.__main__ import FOR_THE_DEVICE
from render.studio import Studio
from render.wire import Batch, Made, Task, WorkerEvent

ROUNDS = 5
PROMPTS = (
    "a red circle",
    "two blue cats on a white background",
    "a small star at the top left",
    "three pink hearts on a navy background",
    "a green tree and a yellow sun",
    "a big orange fish",
    "a house at the bottom right",
    "five purple squares",
)
TASKS = [Task(f"{seed}", Operation.GENERATE, prompt, seed) for seed, prompt in enumerate(PROMPTS)]


def main() -> None:
    """Measure in a process whose libraries are loaded as a worker loads them."""
    os.environ.update(FOR_THE_DEVICE | os.environ)
    process = get_context("spawn").Process(target=measure)
    process.start()
    process.join()


def measure() -> None:
    """Print the medians, their ratio, and how much a picture depends on its company."""
    from render.diffusion import Studio as Diffusion

    studio = Diffusion("builtin", "cpu")
    draw(studio, TASKS)  # warm
    singly: list[float] = []
    together: list[float] = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        alone = {name: png for task in TASKS for name, png in draw(studio, [task]).items()}
        singly.append(time.perf_counter() - began)
        began = time.perf_counter()
        batch = draw(studio, TASKS)
        together.append(time.perf_counter() - began)
    one, all_at_once = statistics.median(singly), statistics.median(together)
    largest = max(difference(alone[task.id], batch[task.id]) for task in TASKS)
    print(f"{len(TASKS)} batches of one  {one:.2f} s  {', '.join(f'{time:.2f}' for time in singly)}")
    print(f"one batch of {len(TASKS)}    {all_at_once:.2f} s  {', '.join(f'{time:.2f}' for time in together)}")
    print(f"ratio {all_at_once / one:.2f}; pixels differ by at most {largest} of 255")


def draw(studio: Studio, tasks: list[Task]) -> dict[str, bytes]:
    """The files of a batch."""
    events: list[WorkerEvent] = []
    studio.paint(Batch(tasks), events.append, Event())
    return {event.task: event.png for event in events if isinstance(event, Made)}


def difference(one: bytes, other: bytes) -> int:
    """Of the channel of the pixel where it is largest, 0 to 255."""
    pixels = [np.asarray(Image.open(io.BytesIO(png)), np.int16) for png in (one, other)]
    return int(np.abs(pixels[0] - pixels[1]).max())


if __name__ == "__main__":
    main()
