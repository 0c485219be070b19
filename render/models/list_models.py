"""`python -m bot models`: lists the presets of image models with features, memory, and whether this machine fits."""

import json
import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from bot.capabilities import IMAGES_API_PREFIX
from render.models.presets import PRESETS, MemoryFit, Preset, find_preset, memory_fit

GPU_QUERY = ("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits")
QUERY_TIMEOUT = 20.0  # seconds for nvidia-smi; a driver that is not loaded yet takes a few
PIPE_WIDTH = 200  # columns of a table that is written to a file or a pipe
FIT_LABELS = {
    MemoryFit.WHOLE: "fits",
    MemoryFit.QUANTIZED: "fits in 8 bit",
    MemoryFit.OFFLOADED: "fits with offloading",
    MemoryFit.TOO_LARGE: "too large",
    None: "",
}


@dataclass(frozen=True, slots=True)
class Machine:
    """The device that would render here: the GPU with the most memory, or the CPU. `memory` is in GiB."""

    memory: float
    gpu: str = ""

    def __str__(self) -> str:
        if self.gpu:
            return f"{self.gpu} with {self.memory:.0f} GiB."
        return f"There is no GPU: the models run on the CPU, slowly, in {self.memory:.0f} GiB."


def detect_machine() -> Machine:
    """The GPU with the most memory that nvidia-smi lists; without a GPU, the CPU with the memory of the machine."""
    own = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    try:
        listed = subprocess.run(GPU_QUERY, capture_output=True, text=True, timeout=QUERY_TIMEOUT, check=True).stdout  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return Machine(own)
    gpus = [_parse_gpu(line, own) for line in listed.splitlines() if "," in line]
    return max(gpus, key=lambda gpu: gpu.memory, default=Machine(own))


def _parse_gpu(line: str, system_memory: float) -> Machine:
    """Parse one line of nvidia-smi; a GPU that reports no memory of its own gets the memory of the machine."""
    name, _, mebibytes = line.rpartition(",")
    told = mebibytes.strip()
    return Machine(int(told) / 1024 if told.isdecimal() else system_memory, name.strip())


def run(
    options: Namespace,
    picture_model: str,
    detect: Callable[[], Machine] = detect_machine,
    console: Console | None = None,
) -> None:
    """Print the list; `picture_model` is the value of IMAGE_MODEL."""
    console = console or Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
    if options.json:
        console.out(json.dumps(as_object(picture_model, detect()), ensure_ascii=False), highlight=False)
    else:
        console.print(as_table(picture_model, detect()))


# For humans


def as_table(picture_model: str, machine: Machine) -> RenderableType:
    """A table of all presets, with an arrow at the current model, and sentences about the machine and that model."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("", "model", "what it can do", "memory", "here", "licence"):
        table.add_column(column, justify="right" if column == "memory" else "left", overflow="fold")
    current = find_preset(picture_model)
    for each in PRESETS:
        here = each.pattern == current.pattern
        table.add_row(
            "→" if here else "",
            Text(each.name, "bold").append(f"\n{each.example}", "not bold dim"),
            Text(", ".join(each.features)).append(f"\n{each.summary}", "dim"),
            f"{each.weights_gib:g} GiB",
            FIT_LABELS[_memory_fit(each, machine)],
            each.licence,
        )
    return Group(table, Text(str(machine)), Text(_describe_current(picture_model, current)))


def _describe_current(picture_model: str, current: Preset) -> str:
    """A sentence about the current model."""
    shown = f"IMAGE_MODEL is {picture_model!r}"
    if picture_model.startswith(IMAGES_API_PREFIX):
        return f"{shown}: a server elsewhere draws, and this machine's memory does not matter."
    if current.pattern:
        return f"{shown}{':' if picture_model == current.example else ', taken for'} {current.name}."
    steps = current.num_inference_steps
    guess = f", but for the name, which promises pictures in {steps} steps" if steps else ""
    return f"{shown}, of which nothing is known here{guess}. What it can do is read from the model when it is loaded."


def _memory_fit(entry: Preset, machine: Machine) -> MemoryFit | None:
    return memory_fit(entry, machine.memory, on_cpu=not machine.gpu)


# For scripts


def as_object(picture_model: str, machine: Machine) -> dict[str, Any]:
    """The list as one JSON object; memory in GiB, `null` for a value that is not known."""
    current = find_preset(picture_model)
    known = [_preset_object(each, machine) | {"current": each.pattern == current.pattern} for each in PRESETS]
    return {
        "machine": {"gpu": machine.gpu or None, "memory": round(machine.memory, 1)},
        "picture_model": {"id": picture_model, **_preset_object(current, machine)},
        "models": known,
    }


def _preset_object(entry: Preset, machine: Machine) -> dict[str, Any]:
    return {
        "name": entry.name,
        "example": entry.example,
        "can": list(entry.features),
        "about": entry.summary,
        "memory": entry.weights_gib,
        "largest_part": entry.largest_part_gib,
        "num_inference_steps": entry.num_inference_steps,
        "guidance_scale": entry.guidance_scale,
        "size": entry.size,
        "licence": entry.licence,
        "fit": _memory_fit(entry, machine),
    }
