"""A prompt that is longer than the model reads: what is left out, and that it is said."""

import io
import os
import subprocess
import sys
from functools import cache
from threading import Event
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="the worker needs the render extra")


from bot.domain import Operation, Sampling
from render.diffusion.diffusers_model import DiffusersModel
from render.diffusion.prompt_limit import prompt_truncator
from render.models.batch import PROMPT_TOO_LONG
from render.models.image_files import read_metadata
from render.protocol import Batch, ImageDone, ImageTask, WorkerEvent
from render.worker.device import DEVICE_ENVIRONMENT
from tests.support.tiny_models import FAMILIES, UPSTREAM

pytestmark = [pytest.mark.filterwarnings(line) for line in UPSTREAM]

LONG = " ".join(f"a box {nth}" for nth in range(100))
SIDE = 64
AROUND = 60  # letters: what a pipeline says itself around a prompt, such as the marks of a chat, is not counted


@cache
def loaded(name: str) -> Any:
    """The family's pipeline."""
    pipe = FAMILIES[name].build()
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if not family.slow])
def test_no_more_is_read_than_is_said(name: str) -> None:
    """The text encoder makes the same of the whole prompt and of its beginning, and something else of clearly less."""
    image_model = DiffusersModel(name, "cpu", 1, load=lambda model, device: loaded(name))
    read = prompt_truncator(loaded(name))(LONG)
    assert LONG.startswith(read) and 0 < len(read) < len(LONG)
    whole, beginning, less = (drawn(image_model, each) for each in (LONG, read, read[:-AROUND]))
    assert np.array_equal(pixels(whole), pixels(beginning))
    assert not np.array_equal(pixels(whole), pixels(less))
    assert str(whole.notes[-1]).startswith("The prompt is longer") and read[-20:].strip() in str(whole.notes[-1])
    assert not [note for note in (*beginning.notes, *less.notes) if "The prompt is longer" in str(note)]


def test_what_may_not_be_reported_is_not_quoted() -> None:
    """The notes are in the picture's file, too."""
    image_model = DiffusersModel("sd", "cpu", 1, load=lambda model, device: loaded("sd"))
    made = drawn(image_model, LONG, telling=False)
    assert made.notes == (PROMPT_TOO_LONG,)
    assert "box" not in str(read_metadata(made.png))


def test_a_workers_log_holds_no_words() -> None:
    """Libraries warn of a long prompt with the prompt."""
    code = (
        "from tests.e2e.image_models.test_prompt_limit import *\n"
        "drawn(DiffusersModel('sd', 'cpu', 1, load=lambda model, device: FAMILIES['sd'].build()), LONG)"
    )
    command = [sys.executable, "-c", code]
    output = subprocess.run(
        command, env=os.environ | DEVICE_ENVIRONMENT, capture_output=True, text=True, check=True, timeout=100
    )
    assert "box" not in output.stdout + output.stderr


def drawn(image_model: DiffusersModel, prompt: str, telling: bool = True) -> ImageDone:
    """The picture of a prompt."""
    events: list[WorkerEvent] = []
    task = ImageTask(
        "t",
        Operation.GENERATE,
        prompt,
        sampling=Sampling(seed=1, size=(SIDE, SIDE), num_inference_steps=2),
        embeds_metadata=telling,
    )
    image_model.render(Batch([task]), events.append, Event())
    return next(event for event in events if isinstance(event, ImageDone))


def pixels(made: ImageDone) -> np.ndarray:
    """Of the file."""
    return np.asarray(Image.open(io.BytesIO(made.png)), np.int16)
