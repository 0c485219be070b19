"""The settings of a worker: what its environment means."""

import pytest

from bot.errors import ConfigError
from render.image_model import Options
from render.worker.settings import WorkerSettings, load_worker_settings


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*WorkerSettings.model_fields, "render_patience", "render_quantise", "styles", "picture_model"]:
        monkeypatch.delenv(name.upper(), raising=False)


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in WorkerSettings.model_fields:
        monkeypatch.setenv(name.upper(), "")
    assert load_worker_settings() == WorkerSettings.model_construct()
    assert load_worker_settings().model_options == Options()
    assert load_worker_settings().token is None


def test_every_option_of_the_model_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {
        "RENDER_QUANTIZE": "4bit", "RENDER_OFFLOAD": "layers", "RENDER_ALLOW_PICKLES": "owner/model",
        "STYLES_DIR": "styles", "RENDER_IP_ADAPTER": "owner/adapter/folder/file", "RENDER_COMPILE": "1",
        "RENDER_STEP_CACHE": "0.1", "RENDER_ATTENTION": "_native_cudnn",
    }  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert load_worker_settings().model_options == Options(
        "4bit", "layers", "owner/model", "styles", "owner/adapter/folder/file", True, 0.1, "_native_cudnn"
    )


@pytest.mark.parametrize(("old", "field", "value", "read"), [
    ("RENDER_PATIENCE", "render_timeout", "30", 30), ("RENDER_QUANTISE", "render_quantize", "8bit", "8bit"),
    ("STYLES", "styles_dir", "folder", "folder"), ("PICTURE_MODEL", "image_model", "owner/model", "owner/model"),
])  # fmt: skip
def test_a_value_under_an_old_name_is_used(
    monkeypatch: pytest.MonkeyPatch, old: str, field: str, value: str, read: object
) -> None:
    monkeypatch.setenv(old, value)
    assert getattr(load_worker_settings(), field) == read


@pytest.mark.parametrize(("name", "value", "text"), [
    ("RENDER_OFFLOAD", "all", "RENDER_OFFLOAD must be parts or layers, not 'all'"),
    ("RENDER_COMPILE", "yes", "RENDER_COMPILE must be 0 or 1, not 'yes'"),
    ("RENDER_STEP_CACHE", "some", "RENDER_STEP_CACHE must be a number such as 0.1, not 'some'"),
    ("LOG_LEVEL", "LOUD", "LOG_LEVEL must be DEBUG, INFO, WARNING or ERROR, not 'LOUD'"),
])  # fmt: skip
def test_an_error_names_the_wrong_value(monkeypatch: pytest.MonkeyPatch, name: str, value: str, text: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as error:
        load_worker_settings()
    assert str(error.value) == text
