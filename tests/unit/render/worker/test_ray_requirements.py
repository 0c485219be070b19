"""`deploy/ray-requirements.txt` is what `pyproject.toml` asks for, and has all that the Ray application imports."""

import ast
import importlib.util
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement

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


def direct_requirements(name: str) -> set[str]:
    """Return the packages that pip-compile pinned because `pyproject.toml` names them."""
    entries = re.split(r"^(?=[\w.-]+==)", (ROOT / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {entry.partition("==")[0] for entry in entries[1:] if "(pyproject.toml)" in entry}


def test_the_file_has_every_library_that_a_replica_imports() -> None:
    """A replica that lacks one cannot start, and nothing else would show it before the deployment."""
    distributions = packages_distributions()
    needed = imported_packages("render.worker.ray_app") - OF_MODELS_OR_RAY
    names = {distributions.get(package, [package])[0].lower().replace("_", "-") for package in needed}
    assert {"aiohttp", "isal", "pydantic"} <= names
    assert names - {name.lower() for name in pins("deploy/ray-requirements.txt")} == set()


def test_the_versions_are_those_of_the_lock_file() -> None:
    """A replica and the bot use the same libraries."""
    locked, ray = pins("requirements.lock"), pins("deploy/ray-requirements.txt")
    assert {name: ray[name] for name in locked.keys() & ray} == {name: locked[name] for name in locked.keys() & ray}


def test_the_file_is_what_pyproject_asks_for() -> None:
    """`make lock` was run after the last change of the requirements."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*map(Requirement, project["dependencies"] + project["optional-dependencies"]["ray"])]
    pinned = pins("deploy/ray-requirements.txt")
    assert {item.name.replace(".", "-") for item in asked} == direct_requirements("deploy/ray-requirements.txt")
    assert [str(item) for item in asked if pinned[item.name.replace(".", "-")] not in item.specifier] == []


def test_the_guide_names_the_packages_of_a_node_with_a_gpu() -> None:
    """They are those of the extra `render`; the lock file gives their versions."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = sorted(Requirement(line).name for line in project["optional-dependencies"]["render"])
    guide = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    assert f"`pip install -c requirements.lock {' '.join(names)}`" in guide
