"""Every family of picture models, tiny and with random weights, does everything that people can ask for."""

import io
from functools import cache
from itertools import pairwise
from threading import Event

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="the worker needs the render extra")

from bot.capabilities import Editing
from bot.domain import Operation
from render.diffusion.diffusers_model import Studio
from render.diffusion.pipelines import Family
from render.models.edit_plan import Way
from render.protocol import Batch, Made, Spoilt, Step, Task, WorkerEvent
from tests.support.tiny_models import FAMILIES, UPSTREAM

pytestmark = [pytest.mark.filterwarnings(line) for line in UPSTREAM]

SIDE = 64
SLOW = [name for name, family in FAMILIES.items() if family.slow]


@cache
def studio(name: str) -> Studio:
    """The loaded family."""
    return Studio(name, "cpu", 4, load=lambda model, device: FAMILIES[name].build())


def source(colour: str = "red") -> bytes:
    """A picture with something in it."""
    image = Image.new("RGB", (SIDE, SIDE), "white")
    image.paste(colour, (16, 16, 48, 48))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def asked(operation: Operation, prompt: str, seed: int = 1, *, change: str = "", picture: bytes | None = None) -> Task:
    """A task of two steps at a small size."""
    return Task(
        f"{operation}-{change}-{seed}", operation, prompt, seed, picture, SIDE, SIDE, 2, before="a red box on a wall",
        change=change,
    )  # fmt: skip


def told(studio: Studio, *tasks: Task) -> list[WorkerEvent]:
    """Everything that happens to a batch."""
    events: list[WorkerEvent] = []
    studio.paint(Batch(list(tasks)), events.append, Event())
    return events


def made(events: list[WorkerEvent]) -> dict[str, Made]:
    """The pictures by their tasks; any reason not to make one is a fault of the test."""
    assert not [event.reason for event in events if isinstance(event, Spoilt)]
    return {event.task: event for event in events if isinstance(event, Made)}


def pixels(picture: Made) -> np.ndarray:
    """Of the file."""
    return np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGB"), np.int16)


OPERATIONS = {
    "generate": asked(Operation.GENERATE, "a red box on a wall"),
    "edit small": asked(Operation.EDIT, "a blue box on a wall", change="small", picture=source()),
    "edit large": asked(Operation.EDIT, "a red box on the moon, at night", change="large", picture=source()),
    "vary subtle": asked(Operation.VARY, "", change="small", picture=source()),
    "vary strong": asked(Operation.VARY, "", 2, change="large", picture=source()),
    "refine": asked(Operation.REFINE, "", picture=source()),
    "upscale": asked(Operation.UPSCALE, "", picture=source()),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_does_everything(name: str) -> None:
    """Each operation gives a picture, says how it was made, and tells of its steps."""
    for title, task in OPERATIONS.items():
        events = told(studio(name), task)
        picture = made(events)[task.id]
        assert picture.way, title
        assert Image.open(io.BytesIO(picture.png)).size == (picture.width, picture.height)
        if title == "upscale":
            assert (picture.width, picture.height) == (2 * SIDE, 2 * SIDE)
        fractions = [event.fraction for event in events if isinstance(event, Step)]
        assert fractions[-1] == 1.0 and all(one < other for one, other in pairwise(fractions))


@pytest.mark.parametrize("name", FAMILIES)
def test_the_choice_of_the_way_is_that_of_the_family(name: str) -> None:
    """Models that follow instructions do; others start from the picture where they can; the rest draw anew."""
    family, ways = Family(FAMILIES[name].build()), {}
    for title in ("edit small", "edit large", "upscale"):
        task = OPERATIONS[title]
        ways[title] = made(told(studio(name), task))[task.id].way
    abilities = studio(name).abilities
    if family.means.looks:
        assert abilities.editing is Editing.INSTRUCT
        assert ways["edit small"] == ways["edit large"] == str(Way.LOOK)
    elif family.means.starts:
        assert abilities.editing is Editing.DESCRIBE
        assert ways["edit small"].startswith((Way.START, Way.MASK)) and ways["edit large"] == Way.WORDS
        assert "enlarged 2 times, image to image" in ways["upscale"]
    elif family.means.words:
        assert abilities.editing is Editing.REDRAW and ways["edit small"] == Way.WORDS


@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in SLOW])
def test_a_picture_does_not_depend_on_its_company(name: str) -> None:
    """Three in a batch look as each of them does alone, but for the last bit of rounding."""
    tasks = [
        asked(Operation.GENERATE, prompt, seed) for seed, prompt in enumerate(("a box", "two dogs on a hill", "x"))
    ]
    together = made(told(studio(name), *tasks))
    for task in tasks:
        alone = made(told(studio(name), task))[task.id]
        assert np.abs(pixels(together[task.id]) - pixels(alone)).max() <= 2


def test_the_weights_are_in_memory_once() -> None:
    """The pipelines of a family share every part but the scheduler, and none is cast to another type."""
    family = Family(FAMILIES["sdxl"].build())
    own, start = family.own, family.pipe(Way.START)[0]
    assert start.unet is own.unet and start.vae is own.vae and start.text_encoder is own.text_encoder
    assert start.scheduler is not own.scheduler and family.pipe(Way.START)[0] is start
