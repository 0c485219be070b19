"""`python -m bot models`: the list for people and scripts, and what it takes this machine for."""

import io
import json
import os
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bot.__main__ import main
from render.models.list_models import Machine, as_object, detect_machine, run
from render.models.presets import PRESETS

LARGE, SMALL, NO_GPU = Machine(79.6, "NVIDIA H100 80GB HBM3"), Machine(12.0, "NVIDIA GeForce RTX 3060"), Machine(32.0)


def shown(picture_model: str, machine: Machine, width: int = 200) -> list[str]:
    """The lines of the list."""
    file = io.StringIO()
    run(Namespace(json=False), picture_model, lambda: machine, Console(file=file, width=width))
    return [line.rstrip() for line in file.getvalue().splitlines()]


def row(lines: list[str], name: str) -> str:
    """The first line of a model."""
    return next(line for line in lines if line.lstrip("→ ").startswith(f"{name}  "))


def fit(machine: Machine) -> dict[str, Any]:
    """How each model fits."""
    return {each["name"]: each["fit"] for each in as_object("builtin", machine)["models"]}


def test_the_list_tells_what_each_can_do_and_whether_it_fits() -> None:
    """With its id on the hub, its memory and its licence."""
    lines = shown("builtin", SMALL)
    assert row(lines, "Stable Diffusion 1.5").split() == [
        *"Stable Diffusion 1.5 generate, image to image, inpaint 2.6 GiB fits".split(),
        *"OpenRAIL-M: commercial use, with rules".split(),
    ]  # fmt: skip
    assert "fits in 8 bit" in row(lines, "FLUX.2 klein 4B") and "several sources" in row(lines, "FLUX.2 klein 4B")
    assert "too large" in row(lines, "FLUX.1 dev") and "gated" in row(lines, "FLUX.1 dev")
    assert "black-forest-labs/FLUX.1-dev" in lines[lines.index(row(lines, "FLUX.1 dev")) + 1]
    assert all(row(lines, each.name) for each in PRESETS)
    assert lines[-2:] == ["NVIDIA GeForce RTX 3060 with 12 GiB.", "IMAGE_MODEL is 'builtin': built-in."]


def test_a_narrow_terminal_loses_nothing() -> None:
    """Cells are folded, not cut."""
    lines = shown("builtin", LARGE, width=80)
    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines)


def test_memory_decides() -> None:
    """On a GPU weights are halved if need be; on a processor they take twice as much."""
    assert (fit(LARGE)["FLUX.1 dev"], fit(LARGE)["FLUX.2 dev"]) == ("whole", "quantized")
    assert (fit(SMALL)["SDXL"], fit(SMALL)["FLUX.2 klein 4B"], fit(SMALL)["FLUX.1 dev"]) == (
        "whole",
        "quantized",
        "not",
    )
    assert (fit(NO_GPU)["SDXL"], fit(NO_GPU)["FLUX.2 klein 4B"], fit(NO_GPU)["built-in"]) == ("whole", "not", "whole")


@pytest.mark.parametrize(
    ("model", "marked", "reported"),
    [
        ("stabilityai/sdxl-turbo", "SDXL Turbo", "IMAGE_MODEL is 'stabilityai/sdxl-turbo': SDXL Turbo."),
        ("/models/animagine-xl-4.0", "SDXL", "IMAGE_MODEL is '/models/animagine-xl-4.0', taken for SDXL."),
        (
            "x/FLUX.1-dev-8steps",
            "FLUX.1 dev",
            "IMAGE_MODEL is 'x/FLUX.1-dev-8steps', taken for FLUX.1 dev, few steps.",
        ),
        (
            "x/[red]mine-turbo",
            None,
            "IMAGE_MODEL is 'x/[red]mine-turbo', of which nothing is known here, but for the name, which promises "
            "pictures in 4 steps. What it can do is read from the model when it is loaded.",
        ),
        (
            "x/mine",
            None,
            "IMAGE_MODEL is 'x/mine', of which nothing is known here. What it can do is read from the model when it "
            "is loaded.",
        ),
        (
            "openai:gpt-image-turbo",
            None,
            "IMAGE_MODEL is 'openai:gpt-image-turbo': a server elsewhere draws, and this machine's memory does not "
            "matter.",
        ),
    ],
)
def test_the_model_that_is_set_is_marked(model: str, marked: str | None, reported: str) -> None:
    """By an arrow, if it is known, and by a sentence in any case."""
    lines = shown(model, LARGE)
    assert lines[-1] == reported
    arrows = [line for line in lines if line.lstrip().startswith("→")]
    assert arrows == ([row(lines, marked)] if marked else [])
    assert [each["name"] for each in as_object(model, LARGE)["models"] if each["current"]] == (
        [marked] if marked else []
    )


def test_without_a_gpu_that_is_reported() -> None:
    """The numbers are of the processor's memory then."""
    assert shown("builtin", NO_GPU)[-2] == "There is no GPU: the models run on the CPU, slowly, in 32 GiB."


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which programs are looked for, and nothing in it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def says(folder: Path, output: str, status: int = 0) -> None:
    """Have the driver's program there say this."""
    program = folder / "nvidia-smi"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = --query-gpu=name,memory.total ] || exit 9\necho "{output}"\nexit {status}\n'
    )
    program.chmod(0o755)


def test_the_largest_gpu_counts(driver: Path) -> None:
    """A worker owns one device, so that memories are not added up; names may have commas."""
    says(driver, "NVIDIA GeForce RTX 3060, 12288\nNVIDIA A100, 80GB, 81920\nTesla T4, 15360")
    assert detect_machine() == Machine(80.0, "NVIDIA A100, 80GB")


def test_a_gpu_that_shares_the_machines_memory_has_that(driver: Path) -> None:
    """Its driver knows no number."""
    says(driver, "NVIDIA GB10, [N/A]")
    assert detect_machine() == Machine(own(), "NVIDIA GB10")


def test_a_driver_that_fails_is_no_gpu(driver: Path) -> None:
    """Nor is one that is not there, lists nothing, or is no program."""
    assert detect_machine() == Machine(own())
    says(driver, "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver, 12288", status=9)
    assert detect_machine() == Machine(own())
    says(driver, "No devices were found")
    assert detect_machine() == Machine(own())
    (driver / "nvidia-smi").write_bytes(b"\x7fELF but not really")
    assert detect_machine() == Machine(own())


def own() -> float:
    """The memory of the machine that runs the test, in GiB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def test_scripts_get_one_object(
    driver: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of what is known, through the command line, of the model in the environment."""
    says(driver, "NVIDIA GeForce RTX 4090, 24564")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMAGE_MODEL", "Tongyi-MAI/Z-Image-Turbo")
    assert main(["models", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    reported = json.loads(line)
    assert reported["machine"] == {"gpu": "NVIDIA GeForce RTX 4090", "memory": 24.0}
    assert reported["picture_model"] == {
        "id": "Tongyi-MAI/Z-Image-Turbo", "name": "Z-Image Turbo", "example": "Tongyi-MAI/Z-Image-Turbo",
        "can": ["generate", "image to image", "inpaint"], "memory": 19.1, "largest_part": 11.5,
        "num_inference_steps": 8,
        "guidance_scale": 0.0, "size": [1024, 1024], "licence": "Apache 2.0", "fit": "whole",
        "about": reported["picture_model"]["about"],
    }  # fmt: skip
    assert [each["name"] for each in reported["models"]] == [each.name for each in PRESETS]


def test_people_get_the_list(
    driver: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a bot, a database or torch."""
    monkeypatch.chdir(tmp_path)
    assert main(["models"]) == 0
    assert "black-forest-labs/FLUX.2-klein-4B" in capsys.readouterr().out
