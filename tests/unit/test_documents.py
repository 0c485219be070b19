"""The documents are complete: an index, tables of contents, links that lead somewhere, files that exist."""

import re
from pathlib import Path

import pytest

from tests.support.paths import ROOT

SCREEN = 60  # lines
READMES = (ROOT / "render" / "builtin" / "README.md", ROOT / "bot" / "evaluation" / "data" / "README.md")
DOCUMENTS = sorted((*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *READMES))
NAMES = [path.relative_to(ROOT).as_posix() for path in DOCUMENTS]
CODE_BLOCK = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")


def prose(name: str) -> str:
    """The text of a document without its code blocks."""
    return CODE_BLOCK.sub("", (ROOT / name).read_text(encoding="utf-8"))


def headings(name: str, marks: str = "#+") -> list[str]:
    """The titles of the sections of a document."""
    return re.findall(rf"^{marks} (.+)$", prose(name), re.MULTILINE)


def anchor(heading: str) -> str:
    """The anchor that GitHub gives to a heading."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_to_a_file_and_a_heading(name: str) -> None:
    """Links inside the repository, with and without an anchor."""
    for target, section in LINK.findall(prose(name)):
        path = (ROOT / name).parent / target if target else ROOT / name
        assert path.exists(), target
        if section and path.suffix == ".md":
            linked = path.resolve().relative_to(ROOT).as_posix()
            assert section in [anchor(heading) for heading in headings(linked)], f"{target}#{section}"


@pytest.mark.parametrize("name", NAMES)
def test_a_document_longer_than_a_screen_has_a_table_of_contents(name: str) -> None:
    """The table links to every section, before the first one."""
    text = (ROOT / name).read_text(encoding="utf-8")
    if len(text.splitlines()) <= SCREEN:
        return
    before_sections = prose(name).partition("\n## ")[0]
    linked = [section for target, section in LINK.findall(before_sections) if not target]
    assert [heading for heading in headings(name, "##") if anchor(heading) not in linked] == []


def test_the_index_lists_every_document() -> None:
    """In `docs/README.md`; the decisions are one folder."""
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    linked = {(ROOT / "docs" / target).resolve() for target, _ in LINK.findall(index)}
    indexed = [path for path in DOCUMENTS if path.parent.name != "decisions" and path != ROOT / "docs" / "README.md"]
    assert [path for path in indexed if path.resolve() not in linked] == []


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/design.md", "docs/glossary.md", "render/builtin/README.md"])
def test_every_file_that_a_document_names_exists(name: str) -> None:
    """A path in backticks is a file or a folder of the repository."""
    for path in re.findall(r"`((?:bot|adapters|render|tests|docs|prompts|deploy|benchmarks)/[\w./*-]*)`", prose(name)):
        found = any(ROOT.glob(path)) if "*" in path else (ROOT / Path(path)).exists()
        assert found, path


def test_every_name_of_the_glossary_is_in_the_code() -> None:
    """The second column of `docs/glossary.md` names classes, functions, fields and modules that exist."""
    program = [path for folder in ("bot", "adapters", "render") for path in (ROOT / folder).rglob("*.py")]
    names = {word for path in program for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))}
    names |= {path.stem for path in program}
    rows = prose("docs/glossary.md").partition("\n## Retired terms")[0].splitlines()
    columns = [row.split("|")[2] for row in rows if row.startswith("|")]
    documented = {name for column in columns for code in re.findall(r"`([^`]+)`", column) for name in code.split(".")}
    assert sorted(name.removesuffix("()") for name in documented if name.removesuffix("()") not in names) == []
