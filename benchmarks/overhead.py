"""What the line and the worker add to a picture: `python -m benchmarks.overhead`.

The model that ships draws one picture by a bare call of its pipeline, then one for somebody who waits in the line, from
the order to the record, through a worker process over HTTP; in turns, so that both see the same machine.
"""

import asyncio
import os
import statistics
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection

from benchmarks.batches import PROMPTS, crowd
from render.__main__ import FOR_THE_DEVICE

PICTURES = 20
WARM = 2  # of each, before it counts
GOAL = 0.015  # seconds, or 2 % of the picture if that is more


def bare(orders: Connection) -> None:
    """In a process of its own, as the worker's device has one: draw what is asked for, and tell the seconds."""
    import torch

    from render.diffusion.loading import load
    from render.presets import preset
    from render.studio import Options

    pipe, steps = load("builtin", "cpu", Options()), preset("builtin").num_inference_steps
    given = {"num_inference_steps": steps} if steps else {}
    while prompt := orders.recv():
        began = time.perf_counter()
        pipe(prompt=prompt, generator=torch.Generator("cpu").manual_seed(1), **given)
        orders.send(time.perf_counter() - began)


async def measure(pipeline: Connection) -> None:
    """Print both medians, and what lies between them."""
    alone: list[float] = []
    ordered: list[float] = []
    async with crowd(1) as people:
        for turn in range(WARM + PICTURES):
            prompt = PROMPTS[turn % len(PROMPTS)]
            pipeline.send(prompt)
            alone.append(await asyncio.to_thread(pipeline.recv))
            began = time.perf_counter()
            await people.one(f"overhead-{turn}", 0, prompt)
            ordered.append(time.perf_counter() - began)
    alone, ordered = alone[WARM:], ordered[WARM:]
    call, whole = statistics.median(alone), statistics.median(ordered)
    added = statistics.median(more - less for more, less in zip(ordered, alone, strict=True))
    goal = max(GOAL, 0.02 * call)
    print(f"bare pipeline call        median {call * 1000:6.1f} ms of {PICTURES}")
    print(f"ordered to recorded       median {whole * 1000:6.1f} ms")
    print(f"added to a picture        median {added * 1000:6.1f} ms, {added / call:.1%}   (goal: {goal * 1000:.0f} ms)")


def main() -> None:
    """Both processes load their libraries as a worker does."""
    os.environ.update(FOR_THE_DEVICE | os.environ)
    pipeline, orders = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=bare, args=(orders,), daemon=True)
    process.start()
    asyncio.run(measure(pipeline))
    pipeline.send("")
    process.join()


if __name__ == "__main__":
    main()
