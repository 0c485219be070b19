"""What makes pipelines faster changes no picture, and does what it says."""

from threading import Event
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the worker needs the render extra")

import torch

from bot.domain import Operation, Sampling
from render.diffusion.diffusers_model import DiffusersModel
from render.diffusion.speedups import (
    TEXT_ENCODERS,
    TextEmbeddingCache,
    apply_speedups,
    cache_text_embeddings,
    step_cache,
)
from render.image_model import Options
from render.protocol import Batch, ImageDone, ImageTask, WorkerEvent
from tests.support.tiny_models import FAMILIES, UPSTREAM

pytestmark = [pytest.mark.filterwarnings(line) for line in UPSTREAM]
NAMES = ("sd", "sdxl", "sd3", "flux-dev", "qwen-image")


def built(name: str) -> Any:
    """The family as it is after loading: nothing in training."""
    pipe = FAMILIES[name].build()
    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval()
    return pipe


def picture(pipe: Any, prompt: str = "a red box", seed: int = 1) -> np.ndarray:
    """Two steps of a small one."""
    generator = torch.Generator("cpu").manual_seed(seed)
    size = {"width": 64, "height": 64, "num_inference_steps": 2, "output_type": "np"}
    return np.asarray(pipe(prompt=prompt, generator=generator, **size).images[0])


def counted(pipe: Any) -> list[str]:
    """Grows with every pass of a text encoder's own layers."""
    passes: list[str] = []
    for name in TEXT_ENCODERS:
        encoder = getattr(pipe, name, None)
        if encoder is not None:
            inner = next(part for part in encoder.modules() if isinstance(part, torch.nn.Embedding))
            inner.register_forward_hook(lambda *_, name=name: passes.append(name))
    return passes


@pytest.mark.parametrize("name", NAMES)
def test_a_text_is_encoded_once_and_the_picture_is_the_same(name: str) -> None:
    """The second picture of a prompt runs no encoder, and no pixel differs from a pipeline without the cache."""
    plain, quick = built(name), built(name)
    passes = counted(quick)
    apply_speedups(quick, "cpu", Options())
    expected, first = picture(plain), picture(quick)
    encoded = len(passes)
    again, other_seed = picture(quick), picture(quick, seed=2)
    assert encoded > 0
    assert len(passes) == encoded
    assert np.array_equal(expected, first)
    assert np.array_equal(expected, again)
    assert np.array_equal(picture(plain, seed=2), other_seed)
    assert np.array_equal(picture(plain, "a blue cat"), picture(quick, "a blue cat"))
    assert len(passes) > encoded


def test_what_gets_a_kept_text_may_change_it() -> None:
    """A copy is handed out, so that the next one is as it was."""
    texts = TextEmbeddingCache()
    texts.put(b"k", (torch.ones(2), None))
    texts.get(b"k")[0].zero_()
    assert texts.get(b"k")[0].tolist() == [1, 1]


def test_the_room_for_texts_is_bounded() -> None:
    """The text that was not asked for the longest goes; one that is too large is not kept."""
    texts = TextEmbeddingCache(max_bytes=16)
    for key in (b"a", b"b"):
        texts.put(key, torch.zeros(2))
    texts.get(b"a")
    texts.put(b"c", torch.zeros(2))
    texts.put(b"d", torch.zeros(5))
    assert [texts.get(key) is not None for key in (b"a", b"b", b"c", b"d")] == [True, False, True, False]
    assert texts.size == 16


def test_an_encoder_in_training_is_asked_each_time() -> None:
    """What it says may differ from time to time."""
    pipe = built("sd")
    passes = counted(pipe)
    cache_text_embeddings(pipe, TextEmbeddingCache())
    pipe.text_encoder.train()
    picture(pipe)
    once = len(passes)
    picture(pipe)
    assert len(passes) == 2 * once


def test_skipped_steps_leave_nothing_behind() -> None:
    """A call that ends in the middle changes nothing of the next picture, and other models go without."""
    pipe = built("flux-dev")
    expected = picture(pipe)
    with pytest.raises(KeyError), step_cache(pipe, 1e9):
        picture(pipe)
        raise KeyError
    with step_cache(pipe, None):
        assert np.array_equal(expected, picture(pipe))
    with step_cache(built("sd"), 0.1):
        pass
    assert any("no step cache" in line for line in apply_speedups(built("sd"), "cpu", Options(step_cache=0.1)))


def test_what_a_model_cannot_do_it_goes_without() -> None:
    """A sentence for the log, and pictures as before."""
    pipe = built("sd3")
    done = apply_speedups(pipe, "cpu", Options(compile=True, attention="nonsense"))
    assert [line.split(" (")[0] for line in done[-2:]] == ["no attention nonsense", "no compiled blocks"]
    picture(pipe)


@pytest.mark.filterwarnings("ignore")  # compiling warns of much
def test_where_nothing_can_be_compiled_pictures_come_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A machine without a C++ compiler: that is found out while the model is loaded, not by the first picture."""
    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", (None, "/bin/false"))
    monkeypatch.setattr(torch._inductor.config, "force_disable_caches", True)
    pipe = FAMILIES["flux-dev"].build()
    with caplog.at_level("WARNING"):
        loaded_model = DiffusersModel("tiny", "cpu", 1, load=lambda model, device: pipe, options=Options(compile=True))
    assert "cannot compile" in caplog.text
    assert not any(part._compiled_call_impl for part in pipe.transformer.modules())
    events: list[WorkerEvent] = []
    task = ImageTask("t", Operation.GENERATE, "a box", sampling=Sampling(seed=1, size=(64, 64), num_inference_steps=2))
    loaded_model.render(Batch([task]), events.append, Event())
    assert isinstance(events[-1], ImageDone)
