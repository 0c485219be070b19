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
from bot.domain import Operation, Sampling
from bot.notices import notice
from render.diffusion.diffusers_model import DiffusersModel
from render.diffusion.pipelines import SiblingPipelines
from render.models.edit_plan import EditMethod
from render.protocol import Batch, ImageDone, ImageFailed, ImageTask, StepDone, WorkerEvent
from tests.support.tiny_models import FAMILIES, UPSTREAM

pytestmark = [pytest.mark.filterwarnings(line) for line in UPSTREAM]

SIDE = 64
SLOW = [name for name, family in FAMILIES.items() if family.slow]


@cache
def image_model(name: str) -> DiffusersModel:
    """The loaded family."""
    return DiffusersModel(name, "cpu", 4, load=lambda model, device: FAMILIES[name].build())


def source(colour: str = "red") -> bytes:
    """A picture with something in it."""
    image = Image.new("RGB", (SIDE, SIDE), "white")
    image.paste(colour, (16, 16, 48, 48))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def asked(
    operation: Operation, prompt: str, seed: int = 1, *, change: str = "", picture: bytes | None = None
) -> ImageTask:
    """A task of two steps at a small size."""
    return ImageTask(
        f"{operation}-{change}-{seed}",
        operation,
        prompt,
        sampling=Sampling(seed=seed, size=(SIDE, SIDE), num_inference_steps=2),
        source=picture,
        source_prompt="a red box on a wall",
        change=change,
    )


def output(image_model: DiffusersModel, *tasks: ImageTask) -> list[WorkerEvent]:
    """Everything that happens to a batch."""
    events: list[WorkerEvent] = []
    image_model.render(Batch(list(tasks)), events.append, Event())
    return events


def made(events: list[WorkerEvent]) -> dict[str, ImageDone]:
    """The pictures by their tasks; any reason not to make one is a fault of the test."""
    assert not [event.reason for event in events if isinstance(event, ImageFailed)]
    return {event.task: event for event in events if isinstance(event, ImageDone)}


def pixels(picture: ImageDone) -> np.ndarray:
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
        events = output(image_model(name), task)
        picture = made(events)[task.id]
        assert picture.edit_method, title
        assert Image.open(io.BytesIO(picture.png)).size == (picture.width, picture.height)
        if title == "upscale":
            assert (picture.width, picture.height) == (2 * SIDE, 2 * SIDE)
        fractions = [event.fraction for event in events if isinstance(event, StepDone)]
        assert fractions[-1] == 1.0 and all(one < other for one, other in pairwise(fractions))


@pytest.mark.parametrize("name", FAMILIES)
def test_the_choice_of_the_way_is_that_of_the_family(name: str) -> None:
    """Models that follow instructions do; others start from the picture where they can; the rest draw anew."""
    family, ways = SiblingPipelines(FAMILIES[name].build()), {}
    for title in ("edit small", "edit large", "upscale"):
        task = OPERATIONS[title]
        ways[title] = made(output(image_model(name), task))[task.id].edit_method
    abilities = image_model(name).capabilities
    if family.methods.instruction:
        assert abilities.editing is Editing.INSTRUCT
        assert ways["edit small"] == ways["edit large"] == notice(EditMethod.INSTRUCTION)
    elif family.methods.image_to_image:
        assert abilities.editing is Editing.DESCRIBE
        assert str(ways["edit small"]).startswith(
            (str(notice(EditMethod.INPAINT)), str(notice(EditMethod.IMAGE_TO_IMAGE)))
        ) and ways["edit large"] == notice(EditMethod.TEXT_TO_IMAGE)
        assert "enlarged 2 times, image to image" in str(ways["upscale"])
    elif family.methods.text_to_image:
        assert abilities.editing is Editing.REDRAW and ways["edit small"] == notice(EditMethod.TEXT_TO_IMAGE)


@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in SLOW])
def test_a_picture_does_not_depend_on_its_company(name: str) -> None:
    """Three in a batch look as each of them does alone, but for the last bit of rounding."""
    tasks = [
        asked(Operation.GENERATE, prompt, seed) for seed, prompt in enumerate(("a box", "two dogs on a hill", "x"))
    ]
    together = made(output(image_model(name), *tasks))
    for task in tasks:
        alone = made(output(image_model(name), task))[task.id]
        assert np.abs(pixels(together[task.id]) - pixels(alone)).max() <= 2


def test_the_weights_are_in_memory_once() -> None:
    """The pipelines of a family share every part but the scheduler, and none is cast to another type."""
    family = SiblingPipelines(FAMILIES["sdxl"].build())
    own, start = family.base_pipe, family.pipeline_for(EditMethod.IMAGE_TO_IMAGE)[0]
    assert start.unet is own.unet and start.vae is own.vae and start.text_encoder is own.text_encoder
    assert start.scheduler is not own.scheduler and family.pipeline_for(EditMethod.IMAGE_TO_IMAGE)[0] is start
