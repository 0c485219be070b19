"""Styles that people choose by a name: what a prompt is given so that its picture has this look."""

import re
from types import MappingProxyType

STYLES = MappingProxyType(
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


def styled(prompt: str, style: str) -> str:
    """The prompt with the words of a style; as it is if the style is unknown, or named in it already."""
    words = STYLES.get(style, "")
    named = words and re.search(rf"\b{re.escape(style)}", prompt, re.IGNORECASE)  # `pink` does not name ink
    return prompt if not words or named else f"{prompt}, {words}"
