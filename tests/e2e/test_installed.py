"""The package as pip installs it: the files that are no Python code come with it."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytest.importorskip("setuptools", minversion="77", reason="pyproject.toml needs a newer setuptools to build")

SOURCES = ("bot", "adapters", "render", "prompts")
BUILD = "from setuptools.build_meta import build_wheel; build_wheel('wheel')"
LOAD = """
from pathlib import Path
import bot
from bot.evaluation.datasets import SUITES, load_suites
from bot.notices import LANGUAGES, notice, text
from bot.prompting.system_prompt import check_templates

check_templates()
assert all(load_suites(name) for name in SUITES)
assert all(text(notice("cancelled-by-operator"), language) != "cancelled-by-operator" for language in LANGUAGES)
print(Path(bot.__file__).parent.parent)
"""


def test_suites_prompts_and_catalogs_are_found_without_a_checkout(tmp_path: Path) -> None:
    """Every suite, template and catalog is loaded from the wheel, in another working directory."""
    checkout, installed, elsewhere = (tmp_path / name for name in ("checkout", "installed", "elsewhere"))
    for name in SOURCES:
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__", "weights"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    elsewhere.mkdir()
    (checkout / "wheel").mkdir()
    subprocess.run([sys.executable, "-c", BUILD], cwd=checkout, check=True, capture_output=True)
    (wheel,) = (checkout / "wheel").glob("*.whl")
    zipfile.ZipFile(wheel).extractall(installed)
    shutil.rmtree(checkout)
    found = subprocess.run(
        [sys.executable, "-c", LOAD], cwd=elsewhere, env={"PYTHONPATH": str(installed)}, capture_output=True, text=True
    )
    assert (found.stdout.strip(), found.stderr) == (str(installed), "")
