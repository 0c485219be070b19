"""The bot's own words in other languages: sentences are recognised by their English form, as `prompts/language` has it.

What a chat model says, it says in the language in which it is spoken to; this is about all that it does not say.
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
    """A sentence with gaps, and what it is in another language."""

    english: "re.Pattern[str]"
    other: str


def said(text: str, language: str) -> str:
    """A text of the bot's own in another language; in English as far as it is not known there."""
    if not text or language not in LANGUAGES or language == "en":
        return text
    return "\n".join(_line(line, language) for line in text.split("\n"))


def view_in(view: View, language: str) -> View:
    """A view with its status, the labels of its buttons, and the reasons why pictures do not come."""
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
    """Sentence by sentence where all are known: a gap at the beginning of one would take those before it along."""
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
    """All that is known of a language: whole texts, and sentences with gaps."""

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
