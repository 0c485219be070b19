"""Splits the Markdown of a reply into pages for a platform that limits the length of a message. Pure."""

import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace

import regex

_SPACE = re.compile(r"\s*")
_BLANK_LINE = re.compile(r"[^\S\n]*\n[^\S\n]*\n")
_OPENS = re.compile(r" {0,3}(`{3,}+(?=[^`\n]*\Z)|~{3,}+)")
_CLOSES = re.compile(r" {0,3}(`{3,}+|~{3,}+)[ \t]*(?=\n|\Z)")
_HEADING = re.compile(r" {0,3}#{1,6}\s")
_MARKER = re.compile(r"\s*(?:[-*+>#]+|\d{1,9}[.)])")  # the marker of a list item, a quotation or a heading
_SPAN = re.compile(r"`+|\*\*(?=\S)|(?<=\S)\*\*|\b__(?=\S)|(?<=\S)__\b")
_IDEOGRAPH = "\u3005\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_CLOSING = "」』）】》〉”’"
_SENTENCE = re.compile(rf"(?:(?<!\b[^\W_])\.|[!?…])[\"'”’)\]*_`]*(?=\s)|[。！？]+[{_CLOSING}]*(?![。！？{_CLOSING}])")
_WORD = re.compile(rf"(?<=\S)(?=\s)|(?<=[{_IDEOGRAPH}、，；])(?=\S)(?![、。，．！？…：；{_CLOSING}])")
_GRAPHEME = regex.compile(r"[\ud800-\udbff][\udc00-\udfff]|\X")


@dataclass(frozen=True, slots=True)
class _Fence:
    """An open code fence, and the text that a cut inside it adds: empty if it would take more than half a page."""

    mark: str
    opening: str
    closing: str

    def is_closed_by(self, mark: str) -> bool:
        """Whether a line with this mark closes the fence."""
        return mark[0] == self.mark[0] and len(mark) >= len(self.mark)


@dataclass(frozen=True, slots=True)
class _Start:
    """The start of a page: its offset, the fence that is open there, and whether a line begins there."""

    at: int
    fence: _Fence | None
    at_line_start: bool

    @property
    def opening(self) -> str:
        """The line that reopens the fence before the text of the page."""
        return self.fence.opening if self.fence else ""


@dataclass(frozen=True, slots=True)
class _Cut:
    """A possible end of a page, counted from the start of the page: after a block, a blank line or any line."""

    at: int
    fence: _Fence | None
    ends_block: bool = False
    before_blank_line: bool = False
    is_good: bool = True  # not directly below a heading, and leaves no empty code block

    @property
    def closing(self) -> str:
        """The line that closes the fence after the text of the page."""
        return self.fence.closing if self.fence else ""


@dataclass(frozen=True, slots=True)
class _Tail:
    """The line that does not fit, and the last offset for a cut inside it; both counted from the start of the page."""

    begin: int
    reach: int
    fence: _Fence | None


def pages(markdown: str, limit: int) -> list[str]:
    """Split the text into pages of at most `limit` characters (code points), none of them blank.

    A page ends after a block, a line, a sentence or a word, or else between two graphemes. A code fence that is open
    there is closed, and reopened on the next page. The end of a page depends only on the `limit` characters after its
    start and the white space after them, so text that grows changes only the last page and adds new pages.
    A fence that the text itself leaves open stays open on the last page. Raises ValueError if `limit` is below 1.
    """
    if limit < 1:
        raise ValueError(f"limit must be at least 1 character, not {limit!r}")
    text = markdown.rstrip().replace("\r\n", "\n").replace("\r", "\n")
    found = []
    start = _next_start(text, 0, None, limit)
    while len(text) - start.at > limit - len(start.opening):
        cut = _choose_cut(text, start, limit)
        end = start.at + cut.at
        page = start.opening + text[start.at : end].rstrip() + cut.closing
        found += [page] if page.strip() else []  # skip a page that has room only for the indent of a line
        start = _next_start(text, end, cut.fence, limit)
    if start.at < len(text):
        found.append(start.opening + text[start.at :])
    return found


def close_fence(page: str) -> str:
    """Close the last code fence of the page, so that the page can be shown while its text still grows."""
    fence: _Fence | None = None
    for line in page.split("\n"):
        if fence is None:
            fence = _opening_fence(line, 4 * len(page) + 100)
        elif (found := _CLOSES.match(line)) and fence.is_closed_by(found[1]):
            fence = None
    return page + (fence.closing if fence else "")


def _next_start(text: str, at: int, fence: _Fence | None, limit: int) -> _Start:
    """Return the start of the next page after a cut: it skips white space, but not the indent of a line."""
    words = _skip_space(text, at)
    newline = text.rfind("\n", at, words)
    line = newline >= 0 or at == 0
    begin = max(newline + 1, at) if line and words - newline - 1 <= limit // 4 else words
    if line and fence and fence.closing and (found := _CLOSES.match(text, begin)) and fence.is_closed_by(found[1]):
        return _next_start(text, found.end(), None, limit)  # the page before has shown this line already
    return _Start(begin, fence, line)


def _choose_cut(text: str, start: _Start, limit: int) -> _Cut:
    """Return the best end for a page that cannot hold the rest of the text."""
    budget = limit - len(start.opening)
    ends, tail = _line_ends(text, start, budget, limit)
    ranks: tuple[Callable[[_Cut], bool], ...] = (
        lambda end: end.ends_block,
        lambda end: end.before_blank_line,
        lambda end: True,
    )
    for rank in ranks:
        for end in reversed(ends):
            if end.is_good and end.at * 2 >= budget and rank(end):
                return end
    inside = tail.reach > tail.begin
    if inside and (at := _cut_in_line(text, start.at, tail, budget // 2)):
        return _Cut(at, tail.fence)
    for end in reversed(ends):
        if end.is_good:
            return end
    return _Cut(_cut_between_graphemes(text, start.at, tail), tail.fence) if inside else ends[-1]


def _line_ends(text: str, start: _Start, budget: int, limit: int) -> tuple[list[_Cut], _Tail]:
    """Return the ends of all lines that fit the page, and the line that does not fit."""
    window = text[start.at : start.at + budget + 1]
    ends: list[_Cut] = []
    fence = start.fence
    begin = 0
    while True:
        newline = window.find("\n", begin)
        line = window[begin : newline if newline >= 0 else None]
        whole = begin > 0 or start.at_line_start
        opened = _opening_fence(line, limit) if whole and not fence else None
        closes = bool(whole and fence and (found := _CLOSES.match(line)) and fence.is_closed_by(found[1]))
        if ends and opened:
            ends[-1] = replace(ends[-1], ends_block=True)
        elif ends and closes:
            ends[-1] = replace(ends[-1], is_good=False)
        end = _Cut(begin + len(line.rstrip()), opened or (None if closes else fence))
        if newline < 0 or end.at + len(end.closing) > budget:
            uncut = ends and (opened or closes)
            inner = opened or fence
            reach = begin if uncut else budget - (len(inner.closing) if inner else 0)
            return ends, _Tail(begin, reach, inner)
        if line.strip():
            blank = bool(_BLANK_LINE.match(text, start.at + end.at))
            bare = bool(end.closing) if opened else not fence and _HEADING.match(line)
            ends.append(
                replace(end, ends_block=closes or (blank and not end.fence), before_blank_line=blank, is_good=not bare)
            )
        fence = end.fence
        begin = newline + 1


def _opening_fence(line: str, limit: int) -> _Fence | None:
    """Return the fence that this line opens, or None."""
    if not (found := _OPENS.match(line)):
        return None
    mark = found[1]
    reopened, closed = line.rstrip() + "\n", "\n" + mark
    if len(line) + 1 + len(closed) > limit // 2:
        reopened = closed = ""
    return _Fence(mark, reopened, closed)


def _cut_in_line(text: str, page: int, tail: _Tail, half: int) -> int:
    """Return the best cut in the last line, or 0: after a sentence or word, outside code and bold text if possible."""
    begin, stop = page + tail.begin, page + tail.reach + 1
    line = text[begin:stop]
    least = half - tail.begin
    words = _cut_places(_WORD, line)
    sentences = [] if tail.fence else [at for at in _cut_places(_SENTENCE, line) if at >= least]
    spans = [] if tail.fence else _spans(line)
    whole = [[at for at in places if at >= least and not _splits_span(at, spans)] for places in (sentences, words)]
    for places in (*whole, sentences, words):
        for at in reversed(places):
            if _can_cut_at(text, begin + at, stop):
                return tail.begin + at
    return 0


def _cut_places(pattern: re.Pattern[str], line: str) -> list[int]:
    """Return the offsets of cuts after matches of the pattern. The last character of the line is only lookahead."""
    marker = _MARKER.match(line)
    least = marker.end() if marker else 0
    return [found.end() for found in pattern.finditer(line) if least < found.end() < len(line)]


def _can_cut_at(text: str, at: int, stop: int) -> bool:
    """Whether the text after a cut can begin a page: no half grapheme, and nothing like a fence before `stop`."""
    after = _skip_space(text, at)
    seen = text[after : max(after + 1, min(after + 3, stop))]
    if seen in ("```", "~~~") or (after + 3 > stop and not seen.strip(seen[0]) and seen[0] in "`~"):
        return False
    return _starts_grapheme(text, after)


def _spans(line: str) -> list[tuple[int, int]]:
    """Return the spans of inline code and bold text, in order. An unclosed span lasts to the end of the line."""
    spans: list[tuple[int, int]] = []
    opened: re.Match[str] | None = None
    for found in _SPAN.finditer(line):
        if opened is None:
            opened = found
        elif found[0] == opened[0]:
            spans.append((opened.start(), found.end()))
            opened = None
    return [*spans, (opened.start(), len(line) + 1)] if opened else spans


def _splits_span(at: int, spans: list[tuple[int, int]]) -> bool:
    """Whether a cut here splits a span."""
    before = bisect_right(spans, at, key=lambda span: span[0])
    return before > 0 and spans[before - 1][0] < at < spans[before - 1][1]


def _cut_between_graphemes(text: str, page: int, tail: _Tail) -> int:
    """Return the last offset between two graphemes, for a line without a better cut."""
    begin, end = page + tail.begin, page + tail.reach
    if text[end] in "`~":  # the text after the cut must not look like a fence
        other = end
        while other > begin and text[other] == text[end]:
            other -= 1
        end = other if other > begin else end
    anchor = end
    while anchor > begin and not text[anchor].isascii():  # graphemes are counted from here only
        anchor -= 1
    last = anchor
    for found in _GRAPHEME.finditer(text, anchor, end + 1):
        last = found.start()
    return (last if text[begin:last].strip() else end) - page


def _skip_space(text: str, at: int) -> int:
    """Return the end of the white space that begins here. A last space with a combining mark does not count."""
    found = _SPACE.match(text, at)
    end = found.end() if found else at
    return end - 1 if end > at and not _starts_grapheme(text, end) else end


def _starts_grapheme(text: str, at: int) -> bool:
    """Whether a grapheme begins here, if no emoji or flag precedes it."""
    found = _GRAPHEME.match(text[at - 1 : at + 1])
    return found is None or found.end() == 1
