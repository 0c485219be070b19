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

_GAP = re.compile(r"\{(\w+)\}")
_SENTENCES = re.compile(r"(?<=[.!?])\s+(?=\S)")


@dataclass(frozen=True, slots=True)
class Phrase:
    """An English sentence with placeholders, as a pattern, and its translation."""

    english: "re.Pattern[str]"
    other: str


def said(text: str, language: str) -> str:
    """Translate a text of the bot; sentences without a translation stay English."""
    if not text or language not in LANGUAGES or language == "en":
        return text
    return "\n".join(_line(line, language) for line in text.split("\n"))


def view_in(view: View, language: str) -> View:
    """Translate the status of a view, the labels of its buttons, and the reasons of failed pictures."""
    if language not in LANGUAGES or language == "en":
        return view
    return replace(
        view,
        parts=tuple(_part(part, language) for part in view.parts),
        status=said(view.status, language),
        buttons=tuple(replace(button, label=said(button.label, language)) for button in view.buttons),
        language=language,
    )


def _part(part: Part, language: str) -> Part:
    if isinstance(part, PicturePart) and isinstance(part.state, Failed):
        return replace(part, state=replace(part.state, reason=said(part.state.reason, language)))
    return part


def _line(line: str, language: str) -> str:
    """Translate sentence by sentence, and as a whole only if a sentence has no translation.

    A placeholder at the start of a pattern would also match the sentences before it.
    """
    sentences = _SENTENCES.split(line)
    known = [_known(sentence, language) for sentence in sentences]
    if None in known and (whole := _known(line, language)) is not None:
        return whole
    return " ".join(other or english for other, english in zip(known, sentences, strict=True))


def _known(text: str, language: str) -> str | None:
    phrases = _phrases(language)
    if exact := phrases.whole.get(text):
        return exact
    for phrase in phrases.gapped:
        if found := phrase.english.fullmatch(text):
            return _GAP.sub(lambda gap: found[gap[1]], phrase.other)
    return None


@dataclass(frozen=True, slots=True)
class Phrases:
    """The translations of one language: `exact` by English text, `patterns` with placeholders."""

    whole: Mapping[str, str]
    gapped: tuple[Phrase, ...]


@cache
def _phrases(language: str) -> Phrases:
    told = tomllib.loads((FOLDER / f"{language}.toml").read_text(encoding="utf-8"))
    gapped = [Phrase(_pattern(english), other) for english, other in told.items() if _GAP.search(english)]
    return Phrases({english: other for english, other in told.items() if not _GAP.search(english)}, tuple(gapped))


def _pattern(english: str) -> "re.Pattern[str]":
    parts = _GAP.split(english)
    return re.compile("".join(f"(?P<{part}>.+?)" if nth % 2 else re.escape(part) for nth, part in enumerate(parts)))
