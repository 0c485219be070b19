"""A quick look at a piece of text: the first place where something may be that is not plain. Pure.

Nearly all that a model writes is plain, so this look decides how fast its answers are read. It may find too much, never
too little: `bot.markup` tells what is at the place. What stands at the end of a piece and may go on in the next one is
found with an empty group behind it, `HELD`: it waits for more, and is not looked at any closer before.

Every pattern starts with a character that is written out, and so `re` passes over all others at once.
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from bot.wishes import OURS

Look = Callable[..., "re.Match[str] | None"]

HELD = r"\Z()"
_WORD = "[A-Za-z0-9_]"


def _any_of(patterns: Iterable[str]) -> str:
    return f"(?:{'|'.join(patterns)})"


def _begun(words: Iterable[str]) -> str:
    """What matches the beginnings of these words; nothing is one of them, and so is all of a word."""
    return _any_of(sorted({word[:size] for word in words for size in range(len(word) + 1)}, key=len, reverse=True))


def _goes_on(words: Iterable[str]) -> str:
    """What matches one of these words, or the end of a piece in it."""
    words = list(words)
    return f"{_begun(words)}{HELD}|{_any_of(words)}"


_OPENER = _any_of(OURS) + r'(?: [a-z_]{1,12}="[\w:]{0,20}"){0,4}(?: [a-z_]{0,12}(?:="[\w:]{0,20})?)?'
_CLOSER = "/" + _begun(OURS)
_SPACED = {word[:2] for word in (*OURS, *"think reasoning analysis scratchpad tool function invoke".split())}
_FENCE = r"[ ]{0,3}(?:`{3,40}|~{3,40})"

_AMONG_WORDS = (
    # The beginning of an address, if no word goes before it
    rf"h(?<!{_WORD}h)(?:(?=ttps?:)|{_begun(['ttps'])}{HELD})",
    rf"d(?<!{_WORD}d)(?:(?=ata:)|{_begun(['ata'])}{HELD})",
    rf"s(?<!{_WORD}s)(?:(?=andbox:)|{_begun(['andbox'])}{HELD})",
    # A tag, or another word between < and >
    rf"<(?:\s{{0,3}}|\s{{1,3}}(?i:{_any_of({word[0] for word in _SPACED})})|{_begun(OURS)}|{_OPENER}|{_CLOSER}){HELD}",
    rf"<(?=[\w/\\|｜]|\s{{1,3}}(?i:[/\\]|{_any_of(_SPACED)}))",
    r"＜(?=[\s\w/\\|｜]|\Z)",
    r"&(?=[lL]|\Z)",
    # Emphasis matters in front of a tag
    rf"\*[*_]{{0,2}}(?:{HELD}|(?=[<＜&]))",
    rf"_[*_]{{0,2}}(?:{HELD}|(?=[<＜&]))",
    # A link, a picture, a tag in brackets
    rf"\[[^\[\]<\n\0]{{0,300}}{HELD}",
    r"\[(?!\[)",
    r"!(?=\[|\Z)",
    # JSON, and code
    r"\{(?=[\s{\"']|\Z)",
    rf"`(?<!``)`{{0,2}}[^`\n\0]{{0,300}}{HELD}",
    r"`(?<!``)",
    r"◁",
    r"\0",
)

# What a line may begin as, by its first letters, behind white space and emphasis; see `bot.markup.LINE`
_LABELS = "prompt image picture dall midjourney stable drawing action thought observation user human".split()
_TOOLS = "print functions default_api tools generate create draw make show edit vary select refine text2im".split()
_OWN = "ai assistant bot mini final".split()  # labels before the first words of an answer


def _line(initials: frozenset[str], *more: str) -> str:
    """What a line begins with that is more than words, or may become that."""
    words = {word[:4] for word in (*_LABELS, *_TOOLS, *more)}
    letters = {letter for word in words for letter in (word[0], word[0].upper())}
    labels = [f"{letter}(?i:{_goes_on(word[1:] for word in words if word[0] == letter.lower())})" for letter in letters]
    return _any_of((
        rf"{_FENCE}[^\n`\0]{{0,100}}{HELD}",
        rf"[ ]{{0,3}}`{{1,2}}{HELD}",
        r"[ ]{0,3}[`~>\[]",
        rf"[ ]{{0,3}}(?:[*_#-]{{1,4}}\s?|[^\S\n])?{_any_of([HELD, *map(re.escape, initials), *labels])}",
    ))  # fmt: skip


@lru_cache(maxsize=256)
def beginning_of_line(initials: frozenset[str]) -> Look:
    """Matches where a line may begin as something, among people whose names have these initials."""
    return re.compile(_line(initials)).match


@lru_cache(maxsize=256)
def beginning_of_answer(initials: frozenset[str]) -> Look:
    """The same for the first words of an answer."""
    return re.compile(rf"{_line(initials, *_OWN)}|\s").match


@lru_cache(maxsize=256)
def among_words(initials: frozenset[str]) -> Look:
    """Finds what is not plain among the words that the person reads."""
    return re.compile("|".join((*_AMONG_WORDS, f"\n{_line(initials)}"))).search


AMONG_FIRST_WORDS = re.compile("|".join((*_AMONG_WORDS, "\n"))).search  # as long as there are none
IN_BODY = re.compile(rf"<(?:{_CLOSER})?{HELD}|<|＜|&|\[|\n|\0").search
IN_FENCE = re.compile(rf"\n[ ]{{0,3}}(?:`{{0,2}}|~{{0,2}}){HELD}|\n(?={_FENCE})|\0").search
