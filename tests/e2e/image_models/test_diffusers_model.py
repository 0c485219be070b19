"""The worker's studio on real pipelines: the one that ships, and a tiny one of the usual kind."""

import io
import shutil
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="the worker needs the render extra")

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from bot.capabilities import Dialect, Editing, ModelCapabilities
from bot.domain import Operation, Sampling
from render.builtin.training.paint import paint
from render.builtin.training.scenes import Group, Scene
from render.diffusion.diffusers_model import DiffusersModel
from render.image_model import Cancelled, DeviceBroken
from render.models.image_files import encode_png
from render.models.model_revision import find_revision
from render.protocol import Batch, Defaults, ImageDone, ImageFailed, ImageTask, Preview, StepDone, WorkerEvent
from tests.support.fake_models.small_device import SmallDevice
from tests.support.images import image_task


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


def output(loaded_model: DiffusersModel, *tasks: ImageTask) -> list[WorkerEvent]:
    """Everything that is told of a batch."""
    events: list[WorkerEvent] = []
    loaded_model.render(Batch(list(tasks)), events.append, Event())
    return events


def pictures(events: list[WorkerEvent]) -> dict[str, Image.Image]:
    """The pictures that were made, by their tasks."""
    return {event.task: Image.open(io.BytesIO(event.png)) for event in events if isinstance(event, ImageDone)}


def reasons(events: list[WorkerEvent]) -> dict[str, str]:
    """Why the others were not."""
    return {event.task: str(event.reason) for event in events if isinstance(event, ImageFailed)}


def painted(loaded_model: DiffusersModel, task: ImageTask) -> tuple[Image.Image, list[WorkerEvent]]:
    """The picture of one task, and everything that was told on the way."""
    events = output(loaded_model, task)
    return pictures(events)[task.id], events


def difference(one: Image.Image, other: Image.Image) -> int:
    """Of the channel of the pixel where it is largest, 0 to 255."""
    return int(np.abs(np.asarray(one, np.int16) - np.asarray(other, np.int16)).max())


def small(device: SmallDevice, largest_batch: int = 4) -> DiffusersModel:
    """A studio on a device with little memory."""
    return DiffusersModel("small", "cuda:1", largest_batch, load=lambda model, where: device)


def plain(*prompts: str, **parameters: Any) -> list[ImageTask]:
    """Tasks without a source, named by their places."""
    return [
        image_task(str(place), Operation.GENERATE, prompt, seed=place, **parameters)
        for place, prompt in enumerate(prompts)
    ]


def png(colour: str, side: int) -> bytes:
    """A flat picture."""
    file = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(file, "PNG")
    return file.getvalue()


def test_any_text_to_image_pipeline_draws_and_edits(tiny: Path) -> None:
    """A folder of the usual layout draws, reproducibly; an edit starts from its source by image-to-image."""
    loaded_model = DiffusersModel(str(tiny), "cpu")
    task = ImageTask("t", Operation.GENERATE, "a dog", sampling=Sampling(seed=1, size=(32, 32), num_inference_steps=4))
    image, events = painted(loaded_model, task)
    assert image.size == (32, 32)
    steps = [event.fraction for event in events if isinstance(event, StepDone)]
    assert steps == sorted(set(steps)) and steps[-1] == 1.0
    assert painted(loaded_model, task)[0].tobytes() == image.tobytes()
    edit = ImageTask(
        "t", Operation.EDIT, "a dog", sampling=Sampling(seed=1, num_inference_steps=4), source=png("red", 32)
    )
    edited, events = painted(loaded_model, edit)
    assert edited.size == (32, 32) and edited.tobytes() != image.tobytes()
    other = ImageTask(
        "t", Operation.EDIT, "a dog", sampling=Sampling(seed=1, num_inference_steps=4), source=png("blue", 32)
    )
    assert painted(loaded_model, other)[0].tobytes() != edited.tobytes()


def test_the_model_that_ships_says_what_it_made() -> None:
    """The file tells its prompt, its seed, and that a machine made it."""
    image, _ = painted(
        DiffusersModel("builtin", "cpu"), ImageTask("t", Operation.GENERATE, "a red circle", sampling=Sampling(seed=5))
    )
    assert image.info["parameters"] == "a red circle\nSeed: 5, Model: builtin" and image.info["Seed"] == "5"
    assert image.info["Description"] == "a red circle" and image.info["Way"] == "from the prompt alone"
    assert "machine" in image.info["Comment"]
    silent = ImageTask(
        "t", Operation.GENERATE, "a red circle", sampling=Sampling(seed=5, num_inference_steps=1), embeds_metadata=False
    )
    image, _ = painted(DiffusersModel("builtin", "cpu"), silent)
    assert "machine" in image.info["Comment"] and not {"parameters", "Seed"} & set(image.info)


def test_a_cancelled_batch_stops_at_the_next_step() -> None:
    """The device is free again without the rest of the steps, and the next picture is as good as any."""
    loaded_model = DiffusersModel("builtin", "cpu")
    task = ImageTask("t", Operation.GENERATE, "a red circle", sampling=Sampling(seed=5, num_inference_steps=40))
    before, _ = painted(loaded_model, task)
    cancelled, received = Event(), list[WorkerEvent]()

    def tell(event: WorkerEvent) -> None:
        received.append(event)
        cancelled.set()

    with pytest.raises(Cancelled):
        loaded_model.render(Batch([task]), tell, cancelled)
    assert not [
        event
        for event in received
        if isinstance(event, ImageDone) or (isinstance(event, StepDone) and event.fraction > 0.5)
    ]
    assert painted(loaded_model, task)[0].tobytes() == before.tobytes()


COMPANY = [
    ImageTask("circle", Operation.GENERATE, "a red circle", sampling=Sampling(seed=1)),
    ImageTask("cats", Operation.GENERATE, "two blue cats on a white background", sampling=Sampling(seed=2)),
    ImageTask(
        "edit",
        Operation.EDIT,
        "a green star",
        sampling=Sampling(seed=3),
        source=encode_png(paint(Scene((Group("heart", "red"),)), 256), {}),
    ),
    ImageTask("steps", Operation.GENERATE, "a pink heart", sampling=Sampling(seed=4, num_inference_steps=4)),
    ImageTask("guidance", Operation.GENERATE, "a pink heart", sampling=Sampling(seed=5, guidance_scale=1.0)),
    *(
        ImageTask(f"star {seed}", Operation.GENERATE, "a small star at the top left", sampling=Sampling(seed=seed))
        for seed in range(6, 12)
    ),
]


def test_a_picture_does_not_depend_on_its_company() -> None:
    """Drawn among others, alike or not, it is the one drawn alone, but for a rounding of the last bit."""
    loaded_model = DiffusersModel("builtin", "cpu")
    events = output(loaded_model, *COMPANY)
    together = pictures(events)
    for task in COMPANY:
        assert difference(together[task.id], painted(loaded_model, task)[0]) <= 1, task.id
    assert {event.task for event in events if isinstance(event, Preview)} <= {task.id for task in COMPANY}
    fractions = [event.fraction for event in events if isinstance(event, StepDone)]
    assert fractions == sorted(fractions) and fractions[-1] == 1


def test_any_pipeline_draws_a_batch(tiny: Path) -> None:
    """Pictures and edits of a batch are those of single calls; sources of several sizes do no harm."""
    loaded_model = DiffusersModel(str(tiny), "cpu", 4)
    parameters: dict[str, Any] = {"num_inference_steps": 4, "size": (32, 32)}
    tasks = [image_task(f"{seed}", Operation.GENERATE, "a dog", seed=seed, **parameters) for seed in range(3)]
    for seed, (colour, side) in enumerate((("red", 32), ("blue", 32), ("red", 48)), start=3):
        tasks.append(
            ImageTask(
                f"{seed}",
                Operation.EDIT,
                "a cat",
                sampling=Sampling(seed=seed, num_inference_steps=4),
                source=png(colour, side),
            )
        )
    tasks.append(
        ImageTask(
            "6", Operation.REFINE, "a cat", sampling=Sampling(seed=6, num_inference_steps=8), source=png("red", 32)
        )
    )
    together = pictures(output(loaded_model, *tasks))
    for task in tasks:
        assert difference(together[task.id], painted(loaded_model, task)[0]) <= 1


def test_tasks_that_go_together_are_one_call() -> None:
    """As many as the largest batch holds, counted by their pixels; another size or number of steps is another call."""
    device = SmallDevice()
    output(small(device), *plain(*"abcdef"), *plain("g", size=(16, 16)), *plain("h", num_inference_steps=3))
    assert sorted(device.calls) == [list("abcd"), ["e", "f"], ["g"], ["h"]]
    device.calls.clear()
    output(small(device, 8), *plain(*"abc", size=(16, 16)))
    assert device.calls == [["a", "b"], ["c"]]


def test_a_fault_of_one_does_not_spoil_the_others() -> None:
    """They are tried one by one, and the culprit hears why."""
    device = SmallDevice()
    events = output(small(device), *plain("a", "poison", "b"))
    assert set(pictures(events)) == {"0", "2"}
    assert reasons(events) == {"1": "The image model refused: no such thing."}
    assert device.calls == [["a", "poison", "b"], ["a"], ["poison"], ["b"]]


def test_a_source_that_cannot_be_read_spoils_its_own_picture() -> None:
    """Its neighbours do not notice."""
    events = output(
        DiffusersModel("builtin", "cpu"),
        *plain("a red circle"),
        ImageTask("x", Operation.EDIT, "a cat", sampling=Sampling(seed=1), source=b"no PNG"),
    )
    assert set(pictures(events)) == {"0"}
    assert reasons(events) == {"x": "The source image cannot be read."}


def test_a_batch_that_does_not_fit_is_drawn_one_by_one() -> None:
    """Nothing is drawn twice, progress never goes back, and the next batches are smaller until they fit."""
    device = SmallDevice(rows=3)
    loaded_model = small(device, 8)
    tasks = plain(*"abcdefgh")
    events = output(loaded_model, *tasks)
    assert set(pictures(events)) == {task.id for task in tasks} and not reasons(events)
    assert device.calls == [list("abcdefgh"), *([letter] for letter in "abcdefgh")]
    fractions = [event.fraction for event in events if isinstance(event, StepDone)]
    assert fractions == sorted(set(fractions)) and fractions[-1] == 1
    assert loaded_model.largest_batch == 4
    output(loaded_model, *tasks)
    assert loaded_model.largest_batch == 2
    device.calls.clear()
    output(loaded_model, *tasks)
    assert device.calls == [list("ab"), list("cd"), list("ef"), list("gh")]


def test_a_batch_that_once_fitted_is_the_largest() -> None:
    """What a larger one teaches does not make it smaller than what is known to fit."""
    loaded_model = small(SmallDevice(rows=3), 8)
    output(loaded_model, *plain(*"abc"))
    output(loaded_model, *plain(*"abcd"))
    assert loaded_model.largest_batch == 3


OFFLOAD = "offload to cuda:1"


@pytest.mark.parametrize("needs", [(OFFLOAD,), (OFFLOAD, "slicing", "tiling")], ids=["offload", "tiling"])
def test_a_picture_that_does_not_fit_is_drawn_with_less(needs: tuple[str, ...]) -> None:
    """First the model's parts take turns, then the picture is decoded in pieces; it stays so for the next."""
    device = SmallDevice(needs=needs)
    loaded_model = small(device)
    assert set(pictures(output(loaded_model, *plain("a", "b")))) == {"0", "1"}
    assert device.enabled == list(needs)
    device.calls.clear()
    assert set(pictures(output(loaded_model, *plain("a")))) == {"0"}
    assert device.calls == [["a"]]


def test_a_picture_that_never_fits_is_spoilt() -> None:
    """With a sentence; one that fits is drawn all the same."""
    device = SmallDevice(rows=2)
    events = output(
        small(device), *plain("a"), ImageTask("x", Operation.GENERATE, "b", sampling=Sampling(seed=1, size=(16, 16)))
    )
    assert set(pictures(events)) == {"0"}
    assert reasons(events) == {"x": "The device has too little memory for this image."}
    assert device.enabled == [OFFLOAD, "slicing", "tiling"]


def test_a_broken_device_is_left() -> None:
    """After such a fault nothing works in the process: it is for whoever drives the studio to end it."""
    with pytest.raises(DeviceBroken, match="illegal memory access"):
        output(small(SmallDevice()), *plain("broken"))


def test_what_a_model_can_do_is_read_from_its_parts(tiny: Path) -> None:
    """CLIP alone reads phrases; the model that ships knows scenes; neither takes instructions."""
    some, own = DiffusersModel(str(tiny), "cpu"), DiffusersModel("builtin", "cpu")
    assert some.capabilities == ModelCapabilities(Editing.DESCRIBE, Dialect.PHRASES, ratios=True, negatives=True)
    assert own.capabilities == ModelCapabilities(Editing.DESCRIBE, Dialect.SCENES)
    assert (some.defaults, some.largest_batch) == (Defaults(32, 32, 50), 1)
    assert (own.defaults, own.largest_batch) == (Defaults(256, 256, 8), 8)
    assert DiffusersModel("builtin", "cpu", 3).largest_batch == 3
    device = SmallDevice()
    assert DiffusersModel("small", "cuda", load=lambda model, where: device).largest_batch == 4


def test_other_weights_are_another_revision(tiny: Path, tmp_path: Path) -> None:
    """A copy is the same revision; a byte, a name or a missing file makes another."""
    folder = tmp_path / "copy"
    shutil.copytree(tiny, folder)
    first = find_revision(str(tiny))
    assert first and first == find_revision(str(folder)) == DiffusersModel(str(folder), "cpu").revision
    weights = next(folder.rglob("*.safetensors"))
    data = weights.read_bytes()
    weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    changed = find_revision(str(folder))
    weights.rename(weights.with_name("other.safetensors"))
    assert len({first, changed, find_revision(str(folder))}) == 3
    assert find_revision("nobody/nothing") == ""
