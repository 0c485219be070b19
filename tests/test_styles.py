"""A team's own styles: read from a folder, put into prompts, and worn by the model for one picture."""

from pathlib import Path

import pytest

from bot.errors import ConfigError
from bot.styles import SHIPPED, Style, read, styled


def test_a_folder_adds_styles_to_those_that_ship(tmp_path: Path) -> None:
    """Each file is a style by its name; one of a name that ships takes its place."""
    (tmp_path / "House.toml").write_text('prompt = "$prompt, in the house style"\nlora = "house.safetensors"\n')
    (tmp_path / "ink.toml").write_text('prompt = "our ink"\nlora_scale = 0.5\n')
    styles = read(tmp_path)
    assert styles["house"] == Style("$prompt, in the house style", "house.safetensors")
    assert styles["ink"] == Style("our ink", "", 0.5) and set(SHIPPED) < set(styles)
    assert read(None) is SHIPPED


def test_the_words_of_a_style_go_behind_the_wish_or_where_it_says() -> None:
    """`$prompt` is the place of the wish; a style that the wish names already adds nothing."""
    assert styled("a cat", "ink", Style("black lines")) == "a cat, black lines"
    assert styled("a cat in ink", "ink", Style("black lines")) == "a cat in ink"
    assert styled("a cat", "house", Style("poster of $prompt, bold")) == "poster of a cat, bold"
    assert styled("a cat", "bare", Style(lora="x.safetensors")) == "a cat"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prompt = 7", "style.toml: prompt"),
        ("lora = '../../etc/passwd'", "style.toml: lora"),
        ("lora = 'weights.bin'", "style.toml: lora"),
        ("lora_scale = 40.0", "style.toml: lora_scale"),
        ("colour = 'red'", "style.toml: colour"),
        ("prompt = ", "style.toml cannot be read"),
    ],
)
def test_a_wrong_style_is_named_with_what_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    """The bot does not start with a style that cannot be what was meant."""
    (tmp_path / "style.toml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        read(tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A misspelled folder is no empty one."""
    with pytest.raises(ConfigError, match="STYLES"):
        read(tmp_path / "nowhere")
