"""Environment variables under their old names: they work in the environment and in `.env`, for bot and worker."""

from pathlib import Path

import pytest

from bot.config import Config, load_config, old_variable_warnings, worker_environment
from bot.environment import OLD_VARIABLES, describe_old_variables, rename_old_variables

VALUES = {
    "IMAGES_AT_ONCE": ("7", "9"), "PICTURE_MODEL": ("/models/a", "/models/b"), "RAY_PAINTERS": ("2-3", "1-9"),
    "REFINE": ("always", "off"), "RENDER_PATIENCE": ("60", "90"), "RENDER_QUANTISE": ("8bit", "4bit"),
    "STYLES": ("/styles/a", "/styles/b"),
}  # fmt: skip
OF_THE_BOT = [name for name in OLD_VARIABLES if OLD_VARIABLES[name].lower() in Config.model_fields]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*OLD_VARIABLES, *OLD_VARIABLES.values()):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)  # away from any `.env`


def set_variables(monkeypatch: pytest.MonkeyPatch, place: str, **variables: str) -> None:
    """Set variables in the environment or in `.env`."""
    if place == "environment":
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
    else:
        Path(".env").write_text("".join(f"{name}={value}\n" for name, value in variables.items()))


@pytest.mark.parametrize("place", ["environment", ".env"])
@pytest.mark.parametrize("old", OF_THE_BOT)
def test_an_old_name_configures_the_bot(monkeypatch: pytest.MonkeyPatch, old: str, place: str) -> None:
    """The value is the same as under the new name, and a warning names that."""
    new, (value, _) = OLD_VARIABLES[old], VALUES[old]
    set_variables(monkeypatch, place, **{old: value})
    configured = load_config()
    assert str(getattr(configured, new.lower())) == value
    assert old_variable_warnings() == [f"{old} has a new name: set {new} instead."]
    set_variables(monkeypatch, place, **{old: "", new: value})
    assert load_config() == configured and old_variable_warnings() == []


@pytest.mark.parametrize(("old_place", "new_place"), [("environment", ".env"), (".env", "environment")])
@pytest.mark.parametrize("old", OF_THE_BOT)
def test_the_new_name_wins(monkeypatch: pytest.MonkeyPatch, old: str, old_place: str, new_place: str) -> None:
    """Wherever each of the two is set."""
    new, (old_value, new_value) = OLD_VARIABLES[old], VALUES[old]
    set_variables(monkeypatch, old_place, **{old: old_value})
    set_variables(monkeypatch, new_place, **{new: new_value})
    assert str(getattr(load_config(), new.lower())) == new_value
    assert old_variable_warnings() == [f"{old} is ignored, because {new}, its new name, is set: delete it."]
    assert worker_environment()[new] == new_value and old not in worker_environment()


@pytest.mark.parametrize("place", ["environment", ".env"])
@pytest.mark.parametrize("old", OLD_VARIABLES)
def test_a_worker_of_the_bot_gets_the_new_name(monkeypatch: pytest.MonkeyPatch, old: str, place: str) -> None:
    """From the environment and from `.env`."""
    new, (value, _) = OLD_VARIABLES[old], VALUES[old]
    set_variables(monkeypatch, place, **{old: value})
    assert worker_environment()[new] == value and old not in worker_environment()


@pytest.mark.parametrize("old", OLD_VARIABLES)
def test_an_empty_variable_is_not_set(old: str) -> None:
    """Neither an empty old value nor an empty new one hides the other."""
    new, (value, _) = OLD_VARIABLES[old], VALUES[old]
    assert rename_old_variables({old: ""}) == {} and describe_old_variables({old: ""}) == []
    assert rename_old_variables({old: value, new: ""}) == {new: value}
    assert rename_old_variables({old: "", new: value}) == {new: value}
