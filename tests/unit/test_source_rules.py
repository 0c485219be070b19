"""Rules that only the source can show. Rules about imports are contracts in `pyproject.toml`: see `make check`."""

import re
from pathlib import Path

from bot.config import Config
from tests.support.paths import ROOT

LONGEST_FILE = 400  # lines
TO_BE_SPLIT = {"tests/platforms/discord/test_messages.py"}
READ_ENVIRONMENT = {"bot/config.py", "render/__main__.py", "render/worker/ray_app.py"}  # a worker is its own program


def source_files(*folders: str) -> dict[str, str]:
    """Return the source of each Python file in the folders, by its path from the root."""
    paths: list[Path] = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in sorted(paths)}


def test_no_file_is_too_long_to_read() -> None:
    """A file that grows past this tells two stories."""
    long = {name for name, text in source_files("bot", "adapters", "render", "tests", "benchmarks").items()
            if len(text.splitlines()) > LONGEST_FILE}  # fmt: skip
    assert long <= TO_BE_SPLIT


def test_the_environment_is_read_in_two_places() -> None:
    """The bot reads its settings from its configuration, a worker from its own."""
    readers = {name for name, text in source_files("bot", "adapters", "render").items() if "os.environ" in text}
    assert readers <= READ_ENVIRONMENT


def test_every_environment_variable_is_documented() -> None:
    """`docs/configuration.md` names each environment variable of the bot and of a worker, and no other."""
    table = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", table, re.MULTILINE))
    workers = "".join(text for name, text in source_files("render").items() if name in READ_ENVIRONMENT)
    of_workers = set(re.findall(r'"(RENDER_[A-Z_]+)"', workers))
    assert documented == {name.upper() for name in Config.model_fields} | of_workers
