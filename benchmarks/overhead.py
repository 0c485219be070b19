"""Measures the time that queue and worker add to an image: `python -m benchmarks.overhead`.

The built-in model renders one image by a bare call of its pipeline, then one for a user in the render queue, from the
order to the record, through a worker process over HTTP; in turns, so that both get the same conditions. The time to
encode the file is reported separately: every program that shows an image has to spend it.
"""

import asyncio
import os
import statistics
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection

from benchmarks.batches import PROMPTS, TASKS, simulated_users
from render.worker.device import DEVICE_ENVIRONMENT

PICTURES = 60
WARM = 2  # of each, before it counts
GOAL = 0.015  # seconds, or 2 % of the picture if that is more


def serve_pipeline(requests: Connection) -> None:
    """Render each requested prompt in a process like the device process of a worker, and send back the seconds.

    Sends the seconds of the call, and the seconds until the image is encoded.
    """
    import torch

    from render.diffusion.loading import load_pipeline
    from render.image_model import Options
    from render.models.image_files import encode_png
    from render.models.presets import find_preset

    pipe, steps = load_pipeline("builtin", "cpu", Options()), find_preset("builtin").num_inference_steps
    given = {"num_inference_steps": steps} if steps else {}
    while prompt := requests.recv():
        began = time.perf_counter()
        image = pipe(prompt=prompt, generator=torch.Generator("cpu").manual_seed(1), **given).images[0]
        drawn = time.perf_counter()
        encode_png(image, {})
        requests.send((drawn - began, time.perf_counter() - began))


async def measure(pipeline: Connection) -> None:
    """Print the medians, and the differences between them."""
    alone: list[tuple[float, float]] = []
    ordered: list[float] = []
    async with simulated_users(len(TASKS)) as people:
        for turn in range(WARM + PICTURES):
            prompt = PROMPTS[turn % len(PROMPTS)]
            pipeline.send(prompt)
            alone.append(await asyncio.to_thread(pipeline.recv))
            began = time.perf_counter()
            await people.request_image(f"overhead-{turn}", 0, prompt)
            ordered.append(time.perf_counter() - began)
    calls, files = (list(each)[WARM:] for each in zip(*alone, strict=True))
    whole = ordered[WARM:]
    call = statistics.median(calls)
    print(f"medians of {PICTURES} pictures, in milliseconds")
    for what, times in (("bare pipeline call", calls), ("and its file", files), ("ordered to recorded", whole)):
        print(f"{what:28}{statistics.median(times) * 1000:8.1f}")
    goal = max(GOAL, 0.02 * call) * 1000
    for what, times in ((f"added to the call (goal: {goal:.0f})", calls), ("added to the call and file", files)):
        added = statistics.median(more - less for more, less in zip(whole, times, strict=True))
        print(f"{what:28}{added * 1000:8.1f}   {added / call:.1%}")


def main() -> None:
    """Measure with both processes loading their libraries as a worker does."""
    os.environ.update(DEVICE_ENVIRONMENT | os.environ)
    pipeline, orders = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=serve_pipeline, args=(orders,), daemon=True)
    process.start()
    asyncio.run(measure(pipeline))
    pipeline.send("")
    process.join()


if __name__ == "__main__":
    main()
