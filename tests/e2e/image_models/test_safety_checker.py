"""A pipeline with a safety checker of its own: what it blackens is no picture."""

from pathlib import Path
from threading import Event

import pytest

pytest.importorskip("torch", reason="the worker needs the render extra")

from diffusers import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
from transformers import CLIPConfig, CLIPImageProcessor

from bot.domain import Operation, Sampling
from render.diffusion.diffusers_model import DiffusersModel
from render.protocol import Batch, ImageDone, ImageFailed, ImageTask, WorkerEvent
from tests.e2e.image_models.test_diffusers_model import tiny  # noqa: F401


def careful(folder: Path, threshold: float) -> Path:
    """The tiny pipeline with a checker of random weights that flags whatever is nearer than the threshold."""
    vision = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    checker = StableDiffusionSafetyChecker(
        CLIPConfig(vision_config=vision | {"image_size": 16, "patch_size": 8}, projection_dim=8)
    )
    checker.concept_embeds_weights.data.fill_(threshold)
    checker.special_care_embeds_weights.data.fill_(2.0)
    size = {"height": 16, "width": 16}
    pipeline = StableDiffusionPipeline.from_pretrained(
        folder,
        safety_checker=checker,
        feature_extractor=CLIPImageProcessor(size=size, crop_size=size),
        requires_safety_checker=True,
    )
    pipeline.save_pretrained(folder.parent / f"careful{threshold}")
    return folder.parent / f"careful{threshold}"


@pytest.mark.parametrize(("threshold", "held"), [(-2.0, True), (2.0, False)])
def test_what_its_checker_holds_back_fails_with_a_sentence(tiny: Path, threshold: float, held: bool) -> None:  # noqa: F811
    """Nobody is posted a black picture; what is not flagged comes as ever."""
    image_model = DiffusersModel(str(careful(tiny, threshold)), "cpu")
    output: list[WorkerEvent] = []
    tasks = [
        ImageTask(f"{seed}", Operation.GENERATE, "a dog", sampling=Sampling(seed=seed, num_inference_steps=2))
        for seed in range(2)
    ]
    image_model.render(Batch(tasks), output.append, _never())
    made = [event for event in output if isinstance(event, ImageDone)]
    spoilt = [event for event in output if isinstance(event, ImageFailed)]
    assert (len(made), len(spoilt)) == ((0, 2) if held else (2, 0))
    assert all("safety checker" in str(event.reason) for event in spoilt)


def _never() -> Event:
    return Event()
