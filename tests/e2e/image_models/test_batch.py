"""What is told of a batch under way: no more steps and previews than anybody looks at."""

import io
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from PIL import Image

pytest.importorskip("torch", reason="the worker needs the render extra")

from bot.domain import Operation, Sampling
from render.diffusion.diffusers_model import DiffusersModel
from render.image_model import Cancelled
from render.models.batch import MIN_TIME_LEFT, PREVIEW_INTERVAL, STEP_INTERVAL, BatchProgress
from render.protocol import Batch, ImageTask, Preview, StepDone, WorkerEvent
from tests.support.tiny_models import FAMILIES, UPSTREAM

pytestmark = [pytest.mark.filterwarnings(line) for line in UPSTREAM]

ENDLESS = 5000  # steps


class Clock:
    """Shows the time that it is set to."""

    now = 100.0

    def __call__(self) -> float:
        """In seconds."""
        return self.now


class Watched:
    """A sitting for some pictures, at times that the test says."""

    def __init__(self, pictures: int = 1) -> None:
        self.clock, self.events = Clock(), list[WorkerEvent]()
        self.pictures = pictures
        self.sitting = BatchProgress(pictures, "m", self.events.append, Event(), ThreadPoolExecutor(1), self.clock)

    def at(self, seconds: float, fraction: float) -> list[int]:
        """So much is done so long after the beginning; which pictures may be shown then."""
        self.clock.now = 100.0 + seconds
        self.sitting.report_step(self.pictures, fraction)
        return self.sitting.select_preview_rows(self.pictures)

    def fractions(self) -> list[float]:
        """The steps that were told."""
        return [event.fraction for event in self.events if isinstance(event, StepDone)]


def test_steps_are_reported_as_often_as_anybody_looks() -> None:
    """Not too often, the last always, and none twice."""
    watched = Watched()
    for nth in range(1, 9):
        watched.at(nth * STEP_INTERVAL * 0.4, nth / 8)
    watched.at(3.0, 1.0)
    assert watched.fractions() == [3 / 8, 6 / 8, 1.0]


def test_a_call_that_is_made_again_is_not_reported_twice() -> None:
    """Its steps begin anew, and are silent until it is further than it was."""
    watched = Watched()
    watched.at(1.0, 0.5)
    watched.at(2.0, 0.25)
    watched.at(3.0, 0.75)
    assert watched.fractions() == [0.5, 0.75]


def test_no_preview_comes_shortly_before_the_picture() -> None:
    """Nor at all for a picture that takes no longer than that."""
    quick = Watched()
    assert [quick.at(MIN_TIME_LEFT * fraction, fraction) for fraction in (0.25, 0.5, 0.75, 1.0)] == [[]] * 4
    slow = Watched()
    assert slow.at(5.0, 0.5) == [0]
    assert slow.at(10.0 - MIN_TIME_LEFT / 2, 1 - MIN_TIME_LEFT / 20) == []


def test_all_pictures_of_a_batch_have_their_turn() -> None:
    """One preview at a time, or as many as the time since the last one allows."""
    watched = Watched(3)
    first = [watched.at(10 + nth * PREVIEW_INTERVAL * 1.01, 0.1 + nth / 100) for nth in range(4)]
    assert [len(each) for each in first[1:]] == [1, 1, 1]
    assert {row for each in first for row in each} == {0, 1, 2}
    assert sorted(watched.at(30, 0.6)) == [0, 1, 2]
    assert watched.at(30.0001, 0.61) == []


def shown(loaded_model: DiffusersModel, task: ImageTask) -> bytes:
    """The first preview of a picture that takes long; then it is not wanted any more."""
    previews, cancelled = list[bytes](), Event()

    def tell(event: WorkerEvent) -> None:
        if isinstance(event, Preview):
            previews.append(event.jpeg)
            cancelled.set()

    with pytest.raises(Cancelled):
        loaded_model.render(Batch([task]), tell, cancelled)
    return previews[0]


@pytest.mark.parametrize("name", ["sd", "flux-dev", "qwen-image"])
def test_previews_come_once_the_first_picture_is_known(name: str) -> None:
    """From the second picture on there are previews, packed latents or not."""
    drawing = DiffusersModel(name, "cpu", 4, load=lambda model, device: FAMILIES[name].build())
    events: list[WorkerEvent] = []
    first = ImageTask(
        "a", Operation.GENERATE, "a box", sampling=Sampling(seed=5, size=(128, 128), num_inference_steps=2)
    )
    drawing.render(Batch([first]), events.append, Event())
    assert not [event for event in events if isinstance(event, Preview)]
    second = ImageTask(
        "b", Operation.GENERATE, "a box", sampling=Sampling(seed=6, size=(128, 128), num_inference_steps=ENDLESS)
    )
    assert Image.open(io.BytesIO(shown(drawing, second))).format == "JPEG"


def test_the_model_that_ships_shows_previews() -> None:
    """It needs no picture before."""
    task = ImageTask("t", Operation.GENERATE, "a red circle", sampling=Sampling(seed=5, num_inference_steps=ENDLESS))
    assert Image.open(io.BytesIO(shown(DiffusersModel("builtin", "cpu"), task))).size == (128, 128)
