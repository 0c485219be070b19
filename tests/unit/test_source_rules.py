"""The rules of the house, read from the source."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.config import Config
from tests.support.paths import ROOT

PROGRAM = sorted(path for folder in ("bot", "adapters", "render") for path in (ROOT / folder).rglob("*.py"))
LONGEST_FILE = 400  # lines

TORCH = {"torch", "diffusers", "transformers", "tokenizers"}
CORE_FOR_OTHERS = {
    *("bot.abilities", "bot.domain", "bot.errors", "bot.lineup", "bot.panel", "bot.part", "bot.ports", "bot.words")
}


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def name_of(path: Path) -> str:
    """The file as seen from the root."""
    return path.relative_to(ROOT).as_posix()


WORKERS = ("render/__main__.py", "render/serve_app.py")  # processes of their own, with settings of their own


@pytest.mark.parametrize("path", PROGRAM, ids=name_of)
def test_imports_keep_to_the_design(path: Path) -> None:
    """The core knows no adapter and no renderer; they know of the core only its values; torch stays in its corner."""
    name = name_of(path)
    for module in imports(path):
        top = module.partition(".")[0]
        if name.startswith("bot/") and name != "bot/__main__.py":
            assert top not in ("adapters", "render"), module
        if name.startswith(("adapters/", "render/")) and top == "bot":
            assert module in CORE_FOR_OTHERS, module
        if name.startswith("adapters/"):
            assert top != "render", module
            platform = name.split("/")[1]
            if top == "adapters":
                assert module.split(".")[1] in (platform, "markup", "upload"), module
        if name.startswith("render/"):
            assert top != "adapters", module
        if top == "ray":
            assert name == "render/serve_app.py", module
        if top in TORCH:
            assert name.startswith(("render/diffusion/", "render/builtin/")), module


@pytest.mark.parametrize("path", PROGRAM, ids=name_of)
def test_the_environment_is_read_in_one_place(path: Path) -> None:
    """Settings come from the configuration; only a worker, which is a process of its own, has its own door."""
    if name_of(path) not in ("bot/config.py", *WORKERS):
        assert "os.environ" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted((*PROGRAM, *(ROOT / "tests").rglob("*.py"))), ids=name_of)
def test_no_file_is_too_long_to_read(path: Path) -> None:
    """A file that grows past this tells two stories."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


def test_every_setting_is_documented() -> None:
    """`docs/configuration.md` names each environment variable of the bot and of a worker, and no other."""
    table = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", table, re.MULTILINE))
    workers = "".join((ROOT / path).read_text(encoding="utf-8") for path in WORKERS)
    theirs = set(re.findall(r'"(RENDER_[A-Z_]+)"', workers))
    assert documented == {name.upper() for name in Config.model_fields} | theirs


def test_the_bot_starts_without_torch() -> None:
    """A host without a GPU needs none of the render extra: nothing that the bot imports imports torch."""
    seen: set[str] = set()
    waiting = ["bot.__main__"]
    while waiting:
        module = waiting.pop()
        path = ROOT / (module.replace(".", "/") + ".py")
        package = ROOT / module.replace(".", "/") / "__init__.py"
        path = path if path.exists() else package
        if module in seen or not path.exists():
            continue
        seen.add(module)
        for imported in imports(path):
            assert imported.partition(".")[0] not in TORCH, f"{module} imports {imported}"
            waiting.append(imported)
    assert "render.queue" in seen and "bot.inbox" in seen
