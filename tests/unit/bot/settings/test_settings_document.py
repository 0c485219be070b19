"""`docs/settings.md` is generated from the table of the settings."""

import re

import pytest

from bot.settings.rules import SETTINGS, AvailableModels
from bot.settings.values import Scope
from docs.generate_settings import render_page
from tests.support.paths import ROOT

DOCS = ROOT / "docs"


def test_the_page_is_up_to_date() -> None:
    """Otherwise run `python -m docs.generate_settings > docs/settings.md`."""
    assert (DOCS / "settings.md").read_text(encoding="utf-8") == render_page()


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_documented(name: str) -> None:
    """Title, description, values and scopes."""
    key = SETTINGS[name]
    row = next(line for line in render_page().splitlines() if line.startswith(f"| `{name}` |"))
    cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
    assert len(cells) == 6 and all(cells)
    assert str(key.title) in cells[1] and str(key.description) in cells[1]
    assert all(f"`{choice}`" in cells[2] for choice in (key.choices(AvailableModels()) if key.choices else ()))
    assert cells[4] == ", ".join(f"`{scope}`" for scope in key.scopes)


def test_the_page_says_how_to_change_settings() -> None:
    """On each platform, in each scope."""
    text = render_page()
    for text_part in (
        *(f"`{scope}`" for scope in Scope), "/settings panel", "/settings show", "/settings set", "/settings reset",
        "/minidalle settings", "@bot settings", "Home", "web app", "is a mention",
    ):  # fmt: skip
        assert text_part in text


def test_links_have_targets() -> None:
    """Other documents link to the page."""
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", render_page()):
        assert (DOCS / target).exists()
    for place, link in (("README.md", "docs/settings.md"), ("docs/operating.md", "settings.md")):
        assert f"]({link}" in (ROOT / place).read_text(encoding="utf-8")
    assert "](settings.md)" in (DOCS / "discord.md").read_text(encoding="utf-8")
