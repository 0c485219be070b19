"""No term that `docs/glossary.md` retires is left in names, documents or messages of the bot."""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.support.paths import ROOT

# Retired names that are left in each folder, and sentences in documents: the numbers may only fall, to 0.
REMAINING = {"bot": 25, "adapters": 1, "render": 26, "tests": 5, "benchmarks": 0}
REMAINING_SENTENCES = 0


@dataclass(frozen=True, slots=True)
class RetiredTerm:
    """A term, the expression that finds it, where it is retired, and text in which it may stand."""

    term: str
    found_in: frozenset[str]  # names, sentences
    allowed: tuple[str, ...]

    def find(self, text: str) -> bool:
        """Whether the text holds the term, but for the allowed places."""
        if self.term not in text.lower():
            return False
        for allowed in self.allowed:
            text = text.replace(allowed, "")
        return bool(re.search(rf"(?<![a-z]){self.term}(?:s|es|ed|ing)?(?![a-z])", text, re.IGNORECASE))


@cache
def retired_terms() -> list[RetiredTerm]:
    """Read the table at the end of the glossary."""
    table = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").partition("## Retired terms")[2]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:2] == "| "]
    return [
        RetiredTerm(term, frozenset(where.split(", ")), tuple(text.strip(" `") for text in allowed.split(",") if text))
        for terms, _, where, allowed in rows[1:]
        for term in terms.split(", ")
    ]


def names_of(path: Path) -> Iterator[str]:
    """Every name that a source file uses, and the name of the file."""
    yield path.stem
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.alias(asname=str(name)):
                yield name


def words_of(name: str) -> str:
    """Separate the words of a name: `isFinalView` and `is_final_view` are "is final view"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", " ", name).lower()


def retired_in(texts: Iterable[str], where: str) -> list[str]:
    """The texts that hold a retired term."""
    terms = [term for term in retired_terms() if where in term.found_in]
    return [text for text in texts if any(term.find(text) for term in terms)]


@pytest.mark.parametrize("folder", REMAINING)
def test_names_use_the_terms_of_the_glossary(folder: str) -> None:
    """Identifiers, test names and file names."""
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for name in {*names_of(path)}
        if retired_in([words_of(name)], "names")
    }
    assert len(found) <= REMAINING[folder], "\n".join(sorted(found))


def documents() -> dict[str, str]:
    """The text of each document for users, operators and engineers, without what earlier versions were called."""
    paths = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
    texts = {path.name: path.read_text(encoding="utf-8") for path in paths if path.exists()}
    texts["glossary.md"] = texts["glossary.md"].partition("## Retired terms")[0]
    return texts


def test_documents_use_the_terms_of_the_glossary() -> None:
    """README, CONTRIBUTING and docs."""
    found = [
        f"{name}: {line}" for name, text in documents().items() for line in retired_in(text.splitlines(), "sentences")
    ]
    assert len(found) <= REMAINING_SENTENCES, "\n".join(found)


def test_messages_use_the_terms_of_the_glossary() -> None:
    """What the bot says in English, and the page of the web app."""
    folders = ((ROOT / "prompts" / "messages", "en.toml"), (ROOT / "adapters" / "web" / "static", "*.*"))
    paths = [path for folder, pattern in folders for path in sorted(folder.rglob(pattern))]
    assert paths
    assert [
        f"{path.name}: {line}"
        for path in paths
        if path.suffix in (".toml", ".html", ".js", ".css")
        for line in retired_in(path.read_text(encoding="utf-8").splitlines(), "sentences")
    ] == []
