"""Translates the sentences of the bot: each English sentence is looked up in `prompts/language`.

Only the bot's own sentences are translated. The chat model answers in the language of the user by itself.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType

from bot.domain import Failed, Part, PicturePart, View

FOLDER = Path(__file__).parent.parent / "prompts" / "language"
LANGUAGES = MappingProxyType({"en": "English", "de": "Deutsch", "es": "español", "fr": "français"})

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_SENTENCES = re.compile(r"(?<=[.!?])\s+(?=\S)")


@dataclass(frozen=True, slots=True)
class Phrase:
    """An English sentence with placeholders, as a pattern, and its translation."""

    pattern: "re.Pattern[str]"
    translation: str


def translate(text: str, language: str) -> str:
    """Translate a text of the bot; sentences without a translation stay English."""
    if not text or language not in LANGUAGES or language == "en":
        return text
    return "\n".join(_translate_line(line, language) for line in text.split("\n"))


def translate_view(view: View, language: str) -> View:
    """Translate the status of a view, the labels of its buttons, and the reasons of failed pictures."""
    if language not in LANGUAGES or language == "en":
        return view
    return replace(
        view,
        parts=tuple(_translate_part(part, language) for part in view.parts),
        status=translate(view.status, language),
        buttons=tuple(replace(button, label=translate(button.label, language)) for button in view.buttons),
        language=language,
    )


def _translate_part(part: Part, language: str) -> Part:
    if isinstance(part, PicturePart) and isinstance(part.state, Failed):
        return replace(part, state=replace(part.state, reason=translate(part.state.reason, language)))
    return part


def _translate_line(line: str, language: str) -> str:
    """Translate sentence by sentence, and as a whole only if a sentence has no translation.

    A placeholder at the start of a pattern would also match the sentences before it.
    """
    sentences = _SENTENCES.split(line)
    known = [_find_translation(sentence, language) for sentence in sentences]
    if None in known and (whole := _find_translation(line, language)) is not None:
        return whole
    return " ".join(other or english for other, english in zip(known, sentences, strict=True))


def _find_translation(text: str, language: str) -> str | None:
    phrases = _load_phrases(language)
    if exact := phrases.exact.get(text):
        return exact
    for phrase in phrases.patterns:
        if found := phrase.pattern.fullmatch(text):
            return _PLACEHOLDER.sub(lambda gap: found[gap[1]], phrase.translation)
    return None


@dataclass(frozen=True, slots=True)
class Phrases:
    """The translations of one language: `exact` by English text, `patterns` with placeholders."""

    exact: Mapping[str, str]
    patterns: tuple[Phrase, ...]


@cache
def _load_phrases(language: str) -> Phrases:
    told = tomllib.loads((FOLDER / f"{language}.toml").read_text(encoding="utf-8"))
    gapped = [
        Phrase(_compile_pattern(english), other) for english, other in told.items() if _PLACEHOLDER.search(english)
    ]
    return Phrases(
        {english: other for english, other in told.items() if not _PLACEHOLDER.search(english)}, tuple(gapped)
    )


def _compile_pattern(english: str) -> "re.Pattern[str]":
    parts = _PLACEHOLDER.split(english)
    return re.compile("".join(f"(?P<{part}>.+?)" if nth % 2 else re.escape(part) for nth, part in enumerate(parts)))
