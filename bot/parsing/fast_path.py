"""Fast searches for the first place in a piece of text where markup may begin. Pure.

Nearly all text of a chat model is plain, so these searches decide how fast answers are parsed. A search may find too
much, never too little: `bot.parsing.patterns` decides whether markup really begins at the place. Text at the end of a
piece that the next piece may complete matches with an empty group at its end, `INCOMPLETE`, and waits for more.

Every pattern starts with a literal character, so that `re` skips all other characters quickly.
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from bot.parsing.image_request import TAG_OPERATIONS

SearchFunction = Callable[..., "re.Match[str] | None"]

INCOMPLETE = r"\Z()"
_WORD = "[A-Za-z0-9_]"


def _any_of(patterns: Iterable[str]) -> str:
    return f"(?:{'|'.join(patterns)})"


def _prefix_of(words: Iterable[str]) -> str:
    """Return a pattern for every prefix of these words, the empty one and the whole word included."""
    return _any_of(sorted({word[:size] for word in words for size in range(len(word) + 1)}, key=len, reverse=True))


def _word_or_prefix_of(words: Iterable[str]) -> str:
    """Return a pattern for one of these words, or for its prefix at the end of a piece."""
    words = list(words)
    return f"{_prefix_of(words)}{INCOMPLETE}|{_any_of(words)}"


_OPENER = _any_of(TAG_OPERATIONS) + r'(?: [a-z_]{1,12}="[\w:]{0,20}"){0,4}(?: [a-z_]{0,12}(?:="[\w:]{0,20})?)?'
_CLOSER = "/" + _prefix_of(TAG_OPERATIONS)
_SPACED = {word[:2] for word in (*TAG_OPERATIONS, *"think reasoning analysis scratchpad tool function invoke".split())}
_FENCE = r"[ ]{0,3}(?:`{3,40}|~{3,40})"

_TEXT_PATTERNS = (
    # The beginning of an address that does not follow a word character
    rf"h(?<!{_WORD}h)(?:(?=ttps?:)|{_prefix_of(['ttps'])}{INCOMPLETE})",
    rf"d(?<!{_WORD}d)(?:(?=ata:)|{_prefix_of(['ata'])}{INCOMPLETE})",
    rf"s(?<!{_WORD}s)(?:(?=andbox:)|{_prefix_of(['andbox'])}{INCOMPLETE})",
    # A tag, or another word in angle brackets
    rf"<(?:\s{{0,3}}|\s{{1,3}}(?i:{_any_of({word[0] for word in _SPACED})})"
    rf"|{_prefix_of(TAG_OPERATIONS)}|{_OPENER}|{_CLOSER}){INCOMPLETE}",
    rf"<(?=[\w/\\|｜]|\s{{1,3}}(?i:[/\\]|{_any_of(_SPACED)}))",
    r"＜(?=[\s\w/\\|｜]|\Z)",
    r"&(?=[lL]|\Z)",
    # Emphasis before a tag
    rf"\*[*_]{{0,2}}(?:{INCOMPLETE}|(?=[<＜&]))",
    rf"_[*_]{{0,2}}(?:{INCOMPLETE}|(?=[<＜&]))",
    # A link, an embedded image, a tag in square brackets
    rf"\[[^\[\]<\n\0]{{0,300}}{INCOMPLETE}",
    r"\[(?!\[)",
    r"!(?=\[|\Z)",
    # JSON, and code
    r"\{(?=[\s{\"']|\Z)",
    rf"`(?<!``)`{{0,2}}[^`\n\0]{{0,300}}{INCOMPLETE}",
    r"`(?<!``)",
    r"◁",
    r"\0",
)

# The first letters of the constructs that a line may begin with, after white space and emphasis; see `LINE_START`
_LABELS = "prompt image picture dall midjourney stable drawing action thought observation user human".split()
_TOOLS = "print functions default_api tools generate create draw make show edit vary select refine text2im".split()
_OWN_LABELS = "ai assistant bot mini final".split()  # labels before the first words of an answer


def _line_start_pattern(initials: frozenset[str], *more: str) -> str:
    """Return a pattern for the start of a line that is a construct, or may become one."""
    words = {word[:4] for word in (*_LABELS, *_TOOLS, *more)}
    letters = {letter for word in words for letter in (word[0], word[0].upper())}
    labels = [
        f"{letter}(?i:{_word_or_prefix_of(word[1:] for word in words if word[0] == letter.lower())})"
        for letter in letters
    ]
    return _any_of(
        (
            rf"{_FENCE}[^\n`\0]{{0,100}}{INCOMPLETE}",
            rf"[ ]{{0,3}}`{{1,2}}{INCOMPLETE}",
            r"[ ]{0,3}[`~>\[]",
            rf"[ ]{{0,3}}(?:[*_#-]{{1,4}}\s?|[^\S\n])?{_any_of([INCOMPLETE, *map(re.escape, initials), *labels])}",
        )
    )


@lru_cache(maxsize=256)
def line_start_match(initials: frozenset[str]) -> SearchFunction:
    """Return a match function for the start of a line; `initials` are the first letters of the user names."""
    return re.compile(_line_start_pattern(initials)).match


@lru_cache(maxsize=256)
def answer_start_match(initials: frozenset[str]) -> SearchFunction:
    """Return a match function for the start of an answer, which may also begin with a label of the bot."""
    return re.compile(rf"{_line_start_pattern(initials, *_OWN_LABELS)}|\s").match


@lru_cache(maxsize=256)
def text_search(initials: frozenset[str]) -> SearchFunction:
    """Return a search function for markup in text that the user reads; `initials` as in `line_start_match`."""
    return re.compile("|".join((*_TEXT_PATTERNS, f"\n{_line_start_pattern(initials)}"))).search


FIRST_TEXT_SEARCH = re.compile("|".join((*_TEXT_PATTERNS, "\n"))).search  # while the answer has no text yet
BODY_SEARCH = re.compile(rf"<(?:{_CLOSER})?{INCOMPLETE}|<|＜|&|\[|\n|\0").search
FENCE_SEARCH = re.compile(rf"\n[ ]{{0,3}}(?:`{{0,2}}|~{{0,2}}){INCOMPLETE}|\n(?={_FENCE})|\0").search
