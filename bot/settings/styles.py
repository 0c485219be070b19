"""Styles: named prompt suffixes, with an optional LoRA for those of the operator."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from bot.errors import ConfigError

PROMPT_PLACEHOLDER = "$prompt"  # stands for the user's prompt in that of a style; without it the style is appended

STYLE_PROMPTS = MappingProxyType(
    {
        "photo": "photograph, natural light, sharp focus, fine detail",
        "watercolour": "watercolour painting, soft washes, paper texture",
        "oil": "oil painting, visible brush strokes, rich colours",
        "ink": "ink drawing, black lines, white paper, cross-hatching",
        "comic": "comic book art, bold outlines, flat colours, halftone dots",
        "anime": "anime illustration, clean lines, cel shading",
        "pixel art": "pixel art style, few colours, hard edges",
        "outline": "outline style, thin lines, no shading",
        "clay": "clay figures, stop motion, soft studio light",
        "blueprint": "technical blueprint, white lines on blue paper",
    }
)


@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class Style:
    """A prompt suffix, and optionally the name of a LoRA file in the folder of styles, applied with `lora_scale`."""

    prompt: Annotated[str, StringConstraints(max_length=2000)] = ""
    lora: Annotated[str, StringConstraints(pattern=r"^([^/\\]+\.safetensors)?$")] = ""
    lora_scale: Annotated[float, Field(ge=-4, le=4)] = 1.0


BUILT_IN_STYLES: Mapping[str, Style] = MappingProxyType({name: Style(words) for name, words in STYLE_PROMPTS.items()})
_STYLE = TypeAdapter(Style)


def load_styles(folder: Path | None) -> Mapping[str, Style]:
    """The built-in styles and those of a folder, by name in lower case. A file is `NAME.toml`. Raises ConfigError."""
    if folder is None:
        return BUILT_IN_STYLES
    if not folder.is_dir():
        raise ConfigError(f"STYLES_DIR must be a folder, and there is none at {str(folder)!r}.")
    found = {path.stem.lower(): _load_file(path) for path in sorted(folder.glob("*.toml"))}
    return MappingProxyType({**BUILT_IN_STYLES, **found})


def _load_file(path: Path) -> Style:
    try:
        return _STYLE.validate_python(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{path.name}: {'.'.join(map(str, first['loc']))}: {first['msg']}.") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path.name} cannot be read: {error}.") from None


def apply_style(prompt: str, name: str, style: Style) -> str:
    """The prompt with the words of the style; a style without placeholder adds none if the prompt names it already."""
    if PROMPT_PLACEHOLDER in style.prompt:
        return style.prompt.replace(PROMPT_PLACEHOLDER, prompt)
    named = re.search(rf"\b{re.escape(name)}", prompt, re.IGNORECASE)  # `pink` does not name ink
    return prompt if named or not style.prompt else f"{prompt}, {style.prompt}"


def find_lora_style(styles: Mapping[str, Style], words: str) -> Style:
    """The LoRA style that an image was rendered with, found by the words of its prompt; an empty style if none."""
    fitting = (style for name, style in styles.items() if style.lora and _matches(words.lower(), name, style))
    return next(fitting, Style())


def _matches(words: str, name: str, style: Style) -> bool:
    parts = [part.strip(" ,.").lower() for part in style.prompt.split(PROMPT_PLACEHOLDER)]
    return bool(re.search(rf"\b{re.escape(name)}", words)) or (any(parts) and all(part in words for part in parts))
