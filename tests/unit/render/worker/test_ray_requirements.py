"""`deploy/ray-requirements.txt` contains every library that the Ray application imports."""

import ast
import importlib.util
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

from tests.support.paths import ROOT

OWN = ("bot", "adapters", "render")
# Imported late, by the device process alone, for a model that names them; or part of ray[serve].
OF_MODELS_OR_RAY = {
    "torch",
    "diffusers",
    "transformers",
    "tokenizers",
    "safetensors",
    "tqdm",
    "starlette",
    "bitsandbytes",
}


def imported_packages(module: str) -> set[str]:
    """Return the third-party packages that a module imports, directly or through our own modules."""
    packages: set[str] = set()
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen or name.startswith(("render.diffusion", "render.builtin")):
            continue
        seen.add(name)
        spec = importlib.util.find_spec(name)
        assert spec and spec.origin
        for node in ast.walk(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))):
            for found in _names(node):
                top = found.partition(".")[0]
                if top not in OWN:
                    packages.add(top)
                elif (ROOT / f"{found.replace('.', '/')}.py").exists() or (ROOT / found.replace(".", "/")).is_dir():
                    waiting.append(found)
    return packages - set(sys.stdlib_module_names)


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


def pins(name: str) -> dict[str, str]:
    """Return the versions that a requirements file pins, by distribution."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w.-]+)(?:\[\w+\])?==(\S+)", text, re.MULTILINE))


def test_the_file_has_every_library_that_a_replica_imports() -> None:
    """A replica that lacks one cannot start, and nothing else would show it before the deployment."""
    distributions = packages_distributions()
    needed = imported_packages("render.worker.ray_app") - OF_MODELS_OR_RAY
    names = {distributions.get(package, [package])[0].lower().replace("_", "-") for package in needed}
    assert {"aiohttp", "isal", "pydantic"} <= names
    assert names - {name.lower() for name in pins("deploy/ray-requirements.txt")} == set()


def test_the_versions_are_those_of_the_lock_file() -> None:
    """A replica and the bot use the same libraries."""
    locked = pins("requirements.lock")
    assert {
        name: version for name, version in pins("deploy/ray-requirements.txt").items() if name != "ray"
    }.items() <= locked.items()
