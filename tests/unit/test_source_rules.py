"""Rules that only the source can show. Rules about imports are contracts in `pyproject.toml`: see `make check`."""

import re
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from bot.config import Config
from render.worker.settings import WorkerSettings
from tests.support.paths import ROOT

LONGEST_FILE = 400  # lines
READ_ENVIRONMENT = {"bot/config.py", "render/worker/settings.py"}  # a worker is its own program


def source_files(*folders: str) -> dict[str, str]:
    """Return the source of each Python file in the folders, by its path from the root."""
    paths: list[Path] = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in sorted(paths)}


def test_no_file_is_too_long_to_read() -> None:
    """A file that grows past this tells two stories."""
    long = {name for name, text in source_files("bot", "adapters", "render", "tests", "benchmarks").items()
            if len(text.splitlines()) > LONGEST_FILE}  # fmt: skip
    assert long == set()


def test_the_environment_is_read_in_two_places() -> None:
    """The bot reads its settings from its configuration, a worker from its own."""
    readers = {name for name, text in source_files("bot", "adapters", "render").items() if "os.environ" in text}
    assert readers <= READ_ENVIRONMENT


@pytest.mark.parametrize(("section", "model"), [("The bot", Config), ("A worker", WorkerSettings)])
def test_every_environment_variable_is_documented(section: str, model: type[BaseSettings]) -> None:
    """`docs/configuration.md` names each variable of the bot and of a worker with its default, and no other."""
    guide = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    table = guide.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    documented = dict(re.findall(r"^\| `([A-Z_]+)` \| (?:`([^`]*)` )?\|", table, re.MULTILINE))
    assert documented == {name.upper(): show_default(field) for name, field in model.model_fields.items()}


def show_default(field: FieldInfo) -> str:
    """Return a default as a variable of the environment has it."""
    default: object = field.default
    return ",".join(default) if isinstance(default, tuple) else "" if default is None else str(default)
