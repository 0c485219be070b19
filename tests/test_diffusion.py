"""The worker's studio on real pipelines: the one that ships, and a tiny one of the usual kind."""

import io
from pathlib import Path
from threading import Event

import pytest
from PIL import Image

pytest.importorskip("torch", reason="the worker needs the render extra")

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from bot.domain import Abilities, Dialect, Editing, Operation
from render.diffusion import Studio
from render.wire import Batch, Made, Preview, Step, Task, WorkerEvent
from render.worker import Cancelled


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a Stable Diffusion pipeline of random weights."""
    torch.manual_seed(0)
    letters = [chr(code) for code in range(33, 127)]
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = CLIPTokenizer(vocab={word: number for number, word in enumerate(words)}, merges=[], model_max_length=77)
    text = CLIPTextConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        bos_token_id=len(words) - 2, eos_token_id=len(words) - 1, pad_token_id=len(words) - 1,
    )  # fmt: skip
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderKL(
            block_out_channels=(8, 16), down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2, latent_channels=4, norm_num_groups=4,
        ),
        text_encoder=CLIPTextModel(text),
        tokenizer=tokenizer,
        unet=UNet2DConditionModel(
            sample_size=16, block_out_channels=(8, 16), layers_per_block=1, cross_attention_dim=16,
            attention_head_dim=2, norm_num_groups=4, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        ),
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("tiny")
    pipeline.save_pretrained(folder)
    return folder


def painted(studio: Studio, task: Task) -> tuple[Image.Image, list[WorkerEvent]]:
    """The picture of one task, and everything that was told on the way."""
    events: list[WorkerEvent] = []
    studio.paint(Batch([task]), events.append, Event())
    made = events[-1]
    assert isinstance(made, Made)
    return Image.open(io.BytesIO(made.png)), events


def png(colour: str, side: int) -> bytes:
    """A flat picture."""
    file = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(file, "PNG")
    return file.getvalue()


def test_any_text_to_image_pipeline_draws_and_edits(tiny: Path) -> None:
    """A folder of the usual layout draws, reproducibly; an edit starts from its source by image-to-image."""
    studio = Studio(str(tiny), "cpu")
    task = Task("t", Operation.GENERATE, "a dog", seed=1, num_inference_steps=4, width=32, height=32)
    image, events = painted(studio, task)
    assert image.size == (32, 32)
    assert [event.fraction for event in events if isinstance(event, Step)] == [0.25, 0.5, 0.75, 1.0]
    assert painted(studio, task)[0].tobytes() == image.tobytes()
    edit = Task("t", Operation.EDIT, "a dog", seed=1, source=png("red", 32), num_inference_steps=4)
    edited, events = painted(studio, edit)
    assert edited.size == (32, 32) and edited.tobytes() != image.tobytes()
    other = Task("t", Operation.EDIT, "a dog", seed=1, source=png("blue", 32), num_inference_steps=4)
    assert painted(studio, other)[0].tobytes() != edited.tobytes()


def test_the_model_that_ships_shows_previews_and_says_what_it_made() -> None:
    """Previews come while it draws, and the file tells its prompt, seed, and that a machine made it."""
    image, events = painted(Studio("builtin", "cpu"), Task("t", Operation.GENERATE, "a red circle", seed=5))
    assert any(isinstance(event, Preview) and event.jpeg for event in events)
    assert image.info["parameters"] == "a red circle" and image.info["Seed"] == "5"
    assert "machine" in image.info["Comment"]


def test_a_cancelled_batch_stops_at_the_next_step() -> None:
    """The device is free again without the rest of the steps, and the next picture is as good as any."""
    studio = Studio("builtin", "cpu")
    task = Task("t", Operation.GENERATE, "a red circle", seed=5)
    before, _ = painted(studio, task)
    cancelled, steps = Event(), []

    def tell(event: WorkerEvent) -> None:
        steps.append(event)
        cancelled.set()

    with pytest.raises(Cancelled):
        studio.paint(Batch([task]), tell, cancelled)
    assert len([event for event in steps if isinstance(event, Step)]) == 1
    assert painted(studio, task)[0].tobytes() == before.tobytes()


def test_what_a_model_can_do_is_read_from_its_parts(tiny: Path) -> None:
    """CLIP alone reads phrases; the model that ships knows scenes; neither takes instructions."""
    assert Studio(str(tiny), "cpu").abilities == Abilities(Editing.DESCRIBE, Dialect.PHRASES)
    assert Studio("builtin", "cpu").abilities == Abilities(Editing.DESCRIBE, Dialect.SCENES)
