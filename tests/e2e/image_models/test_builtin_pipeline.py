"""The built-in picture model's pipeline, with tiny networks that have learned nothing."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from render.builtin.decoder import SceneDecoder
from render.builtin.model import Block, SceneTransformer
from render.builtin.parallel_rows import spread
from render.builtin.pipeline import ScenePipeline
from render.builtin.training.export import assemble, save
from render.builtin.training.paint import paint
from render.builtin.training.scenes import Group, Scene
from render.builtin.training.tokenizer import MAX_WORDS, VOCABULARY_SIZE

PROMPTS = ["a red circle", "two blue cats on a white background", "a small star at the top left"]
SOURCE = Scene((Group("heart", "red"),), background="light blue")


@pytest.fixture(scope="module")
def pipeline() -> ScenePipeline:
    """Two layers, narrow, with weights from a fixed seed."""
    torch.manual_seed(0)
    transformer = SceneTransformer(
        hidden_size=32,
        num_layers=2,
        num_attention_heads=2,
        stem_channels=8,
        vocab_size=VOCABULARY_SIZE,
        max_words=MAX_WORDS,
    )
    decoder = SceneDecoder(width=8, inner_width=8, coarse_layers=1, fine_layers=1)
    torch.nn.init.normal_(decoder.head[0].weight, std=0.1)
    made = assemble(transformer, decoder)
    made.set_progress_bar_config(disable=True)
    return made


def seeds(count: int) -> list[torch.Generator]:
    """A generator for each picture, always the same."""
    return [torch.Generator().manual_seed(seed) for seed in range(count)]


def test_a_saved_pipeline_draws_the_same(pipeline: ScenePipeline, tmp_path: Path) -> None:
    """Saved in half precision and loaded in full, networks, words and noise levels are what they were."""
    rounded = assemble(SceneTransformer(**pipeline.transformer.config), SceneDecoder(**pipeline.decoder.config))
    rounded.transformer.load_state_dict({k: v.half().float() for k, v in pipeline.transformer.state_dict().items()})
    rounded.decoder.load_state_dict({k: v.half().float() for k, v in pipeline.decoder.state_dict().items()})
    rounded.set_progress_bar_config(disable=True)
    expected = rounded(PROMPTS, num_inference_steps=3, generator=seeds(3), output_type="np").images
    save(rounded, tmp_path)
    loaded = ScenePipeline.from_pretrained(tmp_path, dtype=torch.float32)
    loaded.set_progress_bar_config(disable=True)
    assert loaded.transformer.dtype == torch.float32
    drawn = loaded(PROMPTS, num_inference_steps=3, generator=seeds(3), output_type="np").images
    assert np.abs(drawn - expected).max() == 0


def test_company_in_a_batch_changes_nothing(pipeline: ScenePipeline) -> None:
    """A picture drawn in a batch, edits among it, is the one drawn alone."""
    images = [None, paint(SOURCE, 256), None]
    together = pipeline(PROMPTS, image=images, num_inference_steps=3, generator=seeds(3), output_type="np").images
    for prompt, image, generator, picture in zip(PROMPTS, images, seeds(3), together, strict=True):
        alone = pipeline(prompt, image=image, num_inference_steps=3, generator=generator, output_type="np").images[0]
        assert np.abs(alone - picture).max() < 1e-3


def test_painting_is_what_was_learned(pipeline: ScenePipeline) -> None:
    """The network predicts the same with and without gradients, and however its rows are shared out."""
    network, count = pipeline.transformer, 11
    torch.manual_seed(0)
    for block in network.blocks:
        assert isinstance(block, Block)
        torch.nn.init.normal_(block.table, std=0.5)  # scales, shifts and gates that are not all alike
    rows = torch.randn(count, 3, 32, 32), torch.randint(0, VOCABULARY_SIZE, (count, MAX_WORDS))
    sigma = torch.tensor([0.3])
    learned = network(rows[0], sigma.expand(count), rows[1])
    with torch.no_grad():
        painted = network(rows[0], sigma, rows[1])
        shared = spread(lambda sample, words: network(sample, sigma, words), *rows)
    assert learned.requires_grad
    assert torch.allclose(painted, learned, atol=1e-5)
    assert torch.allclose(shared, learned, atol=1e-5)


def test_a_seed_gives_one_picture(pipeline: ScenePipeline) -> None:
    """The same seed draws the same picture of 256 x 256, another seed another."""
    first, again, other = (
        pipeline("a red circle", num_inference_steps=2, generator=torch.Generator().manual_seed(seed)).images[0]
        for seed in (7, 7, 8)
    )
    assert first.size == (256, 256)
    assert first.tobytes() == again.tobytes() != other.tobytes()


def test_noise_goes_from_all_to_nothing(pipeline: ScenePipeline) -> None:
    """The first step starts from pure noise, and the last one ends at the predicted clean picture."""
    pipeline("a red circle", num_inference_steps=5, output_type="latent")
    sigmas = pipeline.scheduler.sigmas.tolist()
    assert sigmas[0] == 1 and sigmas[-1] == 0 and sigmas == sorted(sigmas, reverse=True)


def test_every_step_is_reported(pipeline: ScenePipeline) -> None:
    """The callback is called once a step with what it asked for, and the last clean latents are the result."""
    steps: list[int] = []
    clean: list[Tensor] = []

    def happened(pipe: ScenePipeline, i: int, t: float, callback_kwargs: dict[str, Tensor]) -> dict[str, Tensor]:
        steps.append(i)
        assert set(callback_kwargs) == {"latents", "clean"}
        assert pipe.decode(callback_kwargs["clean"]).shape == (1, 3, 256, 256)
        clean.append(callback_kwargs["clean"])
        return callback_kwargs

    latents = pipeline(
        "a red circle",
        num_inference_steps=4,
        output_type="latent",
        callback_on_step_end=happened,
        callback_on_step_end_tensor_inputs=["latents", "clean"],
    ).images
    assert steps == [0, 1, 2, 3]
    assert torch.allclose(latents, clean[-1], atol=1e-5)


def test_a_callback_that_raises_ends_the_drawing(pipeline: ScenePipeline) -> None:
    """What the callback raises comes out of the call, and no further step is made."""
    steps: list[int] = []

    def stop(pipe: ScenePipeline, i: int, t: float, callback_kwargs: dict[str, Tensor]) -> dict[str, Tensor]:
        steps.append(i)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipeline("a red circle", num_inference_steps=4, callback_on_step_end=stop)
    assert steps == [0]


def test_what_an_edit_leaves_alone_keeps_its_pixels(pipeline: ScenePipeline) -> None:
    """Where the latents are the source's, the decoded picture is the source itself, whatever the decoder says."""
    source = pipeline.source_pictures(paint(SOURCE, 256), 1)
    latents = torch.nn.functional.avg_pool2d(source, 8)
    assert torch.equal(pipeline.decode(latents, source), source)
    latents[:, :, :8] = -latents[:, :, :8]
    changed = pipeline.decode(latents, source) != source
    assert changed[:, :, :64].float().mean() > 0.9
    assert not changed[:, :, 80:].any()


@pytest.mark.parametrize(("width", "height"), [(512, 512), (512, None), (256, 128)])
def test_another_size_is_refused(pipeline: ScenePipeline, width: int, height: int | None) -> None:
    """The model has one size, and says which."""
    with pytest.raises(ValueError, match="256"):
        pipeline("a red circle", width=width, height=height)


def test_sources_must_match_the_prompts(pipeline: ScenePipeline) -> None:
    """A list of sources of another length than the prompts is refused; one picture serves all prompts."""
    with pytest.raises(ValueError, match="3 prompts"):
        pipeline(PROMPTS, image=[None])
    pictures = pipeline(PROMPTS, image=Image.new("RGB", (300, 200)), num_inference_steps=1).images
    assert len(pictures) == 3
