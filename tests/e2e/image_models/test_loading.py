"""A model that cannot be used is refused with a sentence that says why, and what would help."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the worker needs the render extra")

import torch
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

from render.diffusion import loading
from render.image_model import ModelLoadError, Options
from tests.support.tiny_models import FAMILIES, UPSTREAM, saved

pytestmark = [pytest.mark.filterwarnings(line) for line in UPSTREAM]
DEFAULTS = Options()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model on disk."""
    saved(FAMILIES["sd"].build(), tmp_path / "model")
    return tmp_path / "model"


def refusal(model: str, options: Options = DEFAULTS) -> str:
    """Why it is refused."""
    with pytest.raises(ModelLoadError) as refused:
        loading.load_pipeline(model, "cpu", options)
    return str(refused.value)


def named(folder: Path, change: Callable[[dict[str, object]], object]) -> None:
    """Change what the folder says of itself."""
    index = folder / "model_index.json"
    entries = json.loads(index.read_text())
    change(entries)
    index.write_text(json.dumps(entries))


def test_a_whole_folder_is_loaded(folder: Path) -> None:
    """Nothing stands in the way of a model that is well."""
    assert type(loading.load_pipeline(str(folder), "cpu", DEFAULTS)).__name__ == "StableDiffusionPipeline"


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    """A misspelled folder, and one with something else in it."""
    assert "no folder" in refusal(str(tmp_path / "nowhere"))
    assert "no folder" in refusal("sdxl")
    (tmp_path / "empty").mkdir()
    assert "model_index.json is missing" in refusal(str(tmp_path / "empty"))


def test_a_damaged_folder_is_said(folder: Path) -> None:
    """An index that is no JSON, and a part that is not there."""
    shutil.rmtree(folder / "vae")
    assert "has no part “vae”" in refusal(str(folder))
    (folder / "model_index.json").write_text("{")
    assert "is damaged" in refusal(str(folder))


def test_code_of_its_own_is_never_run(folder: Path) -> None:
    """A model may name classes of the libraries, and no file beside it."""
    (folder / "evil.py").write_text("raise SystemExit('run')")
    named(folder, lambda entries: entries.update(unet=["evil", "Unet"]))
    assert "needs custom code" in refusal(str(folder))
    named(folder, lambda entries: entries.update(_class_name=["evil", "Pipeline"]))
    assert "needs custom code" in refusal(str(folder))


def test_pickled_weights_are_refused_unless_the_model_is_named(tmp_path: Path) -> None:
    """Weights that can run code are loaded for the one model that the operator trusts, and for no other."""
    pipe, folder = FAMILIES["sd"].build(), tmp_path / "model"
    pipe.save_pretrained(folder, safe_serialization=False)
    assert "RENDER_ALLOW_PICKLES" in refusal(str(folder))
    assert "RENDER_ALLOW_PICKLES" in refusal(str(folder), Options(allow_pickles="another/model"))
    assert loading.load_pipeline(str(folder), "cpu", Options(allow_pickles=str(folder)))


def test_fewer_bits_need_their_library(folder: Path) -> None:
    """What must be installed is named."""
    assert "pip install bitsandbytes" in refusal(str(folder), Options(quantise="8bit"))


def test_what_the_hub_says_is_passed_on_in_plain_words() -> None:
    """Gated, unknown, not at hand, too large: each has its own cure."""

    def of(kind: type[Exception]) -> str:
        return str(loading.load_error_sentence("some/model", kind.__new__(kind)))

    assert "HF_TOKEN" in of(GatedRepoError) and "license" in of(GatedRepoError)
    assert "There is no model “some/model”" in of(RepositoryNotFoundError)
    assert "cannot be reached" in of(LocalEntryNotFoundError)
    assert "too large" in of(torch.OutOfMemoryError)
    assert "worker's log" in str(loading.load_error_sentence("some/model", RuntimeError("secret path")))
