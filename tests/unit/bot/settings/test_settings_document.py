"""The page of the settings is what the table says."""

import re

import pytest

from bot.settings.rules import SETTINGS, AvailableModels
from bot.settings.values import Scope
from bot.settings_page import render_page
from tests.support.paths import ROOT

DOCS = ROOT / "docs"


def test_the_page_is_as_it_was_made() -> None:
    """If not: `python -m bot.settings_page > docs/settings.md`."""
    assert (DOCS / "settings.md").read_text(encoding="utf-8") == render_page()


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_told_of_in_full(name: str) -> None:
    """All that it says, all that it can be, and for whom."""
    key = SETTINGS[name]
    row = next(line for line in render_page().splitlines() if line.startswith(f"| `{name}` |"))
    cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
    assert len(cells) == 6 and all(cells)
    assert key.title in cells[1] and key.description in cells[1]
    assert all(f"`{choice}`" in cells[2] for choice in (key.choices(AvailableModels()) if key.choices else ()))
    assert cells[4] == ", ".join(f"`{scope}`" for scope in key.scopes)


def test_the_page_tells_how_to_change_them() -> None:
    """On each platform, in each scope."""
    text = render_page()
    for told in (
        *(f"`{scope}`" for scope in Scope), "/settings panel", "/settings show", "/settings set", "/settings reset",
        "/minidalle settings", "@bot settings", "Home", "web page", "counts as a mention",
    ):  # fmt: skip
        assert told in text


def test_links_of_the_page_lead_somewhere() -> None:
    """And others lead to it."""
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", render_page()):
        assert (DOCS / target).exists()
    for place, link in (("README.md", "docs/settings.md"), ("docs/operating.md", "settings.md")):
        assert f"]({link}" in (ROOT / place).read_text(encoding="utf-8")
    assert "](settings.md)" in (DOCS / "discord.md").read_text(encoding="utf-8")
