"""The model's stream of characters -> `Text` and `ImageRequest`. Pure and incremental.

A tag is `<image>words</image>`, `<edit of="2">words</edit>`, `<vary of="2"/>`, `<select of="2"/>` or
`<refine of="2">words</refine>`. Models write it in many other ways; what can be understood is, and what cannot
is never shown. Inside code (a fence, backticks) a tag is only spoken of, and stays text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from bot.domain import ImageRequest, Operation, Text

NAMES = {
    "image": Operation.GENERATE,
    "edit": Operation.EDIT,
    "vary": Operation.VARY,
    "variation": Operation.VARY,
    "select": Operation.SELECT,
    "refine": Operation.REFINE,
}
NEED_WORDS = {Operation.GENERATE, Operation.EDIT}
WORDLESS = {Operation.VARY, Operation.SELECT}
THINK = "think"
LONGEST_TAG = 400  # characters between < and >; more is taken for ordinary text
LONGEST_PROMPT = 2000  # characters between two tags; the rest is dropped
LONGEST_ASIDE = 40  # characters between <vary of="1"> and its closer; more is taken for ordinary text

_OUTSIDE_CODE = re.compile(r"[`~<]")
_INSIDE_FENCE = re.compile(r"[`~]")
_INSIDE_BACKTICKS = re.compile(r"[`~\n]")
_TAG = re.compile(r"<\s*(/?)\s*([a-z]+)(?=[\s/>])((?:[^<>\"]|\"[^\"]*\")*)>", re.IGNORECASE)
_BEGUN = re.compile(r"<\s*/?\s*([a-z]*)(.*)", re.IGNORECASE | re.DOTALL)
_ATTRIBUTE = re.compile(r"([a-z_]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'/>]+))", re.IGNORECASE)
_EMPHASIS = re.compile(r"(\*\*|__|\*|_)(?=\S)(.+?)(?<=\S)\1")
_NUMBER = re.compile(r"\s*#?(\d{1,6})\s*")


@dataclass(slots=True)
class _OpenTag:
    operation: Operation
    attributes: dict[str, str]
    words: str = ""


class TagParser:
    """Feed it the answer piece by piece; however it is cut, the same words and requests come out."""

    def __init__(self) -> None:
        self._held = ""
        self._open: _OpenTag | None = None
        self._thinking = False
        self._code = ""  # the run of backticks or tildes that began the code we are in
        self._line_start = True
        self._requests = 0

    def feed(self, chunk: str) -> list[Text | ImageRequest]:
        """What the next piece of the answer completes."""
        self._held += chunk
        return _merged(self._scan(final=False))

    def end(self) -> list[Text | ImageRequest]:
        """What is left when the answer is over: a tag still open counts as closed, one cut in its name is dropped."""
        return _merged(self._scan(final=True))

    def _scan(self, final: bool) -> Iterator[Text | ImageRequest]:
        while self._held:
            before = (len(self._held), self._open)
            if self._thinking:
                self._skip_thoughts(final)
            elif self._open:
                yield from self._read_words(self._open, final)
            else:
                yield from self._read_text(final)
            if (len(self._held), self._open) == before:
                break  # the rest may be the beginning of something
        if final and self._open:
            yield from self._close(self._open)

    # Plain text: up to the next character that may begin a tag or code

    def _read_text(self, final: bool) -> Iterator[Text | ImageRequest]:
        special = self._special().search(self._held)
        if special is None or special.start() > 0:
            yield self._say(self._take(special.start() if special else len(self._held)))
        elif self._held[0] == "\n":
            self._code = ""  # inline code does not outlast its line
            yield self._say(self._take(1))
        elif self._held[0] == "<":
            yield from self._read_tag(final)
        else:
            run = re.match(r"`+|~+", self._held)
            assert run
            if run.end() < len(self._held) or final:
                self._switch_code(run.group())
                yield self._say(self._take(run.end()))

    def _special(self) -> re.Pattern[str]:
        if not self._code:
            return _OUTSIDE_CODE
        return _INSIDE_FENCE if len(self._code) >= 3 else _INSIDE_BACKTICKS

    def _switch_code(self, run: str) -> None:
        if not self._code:
            if (len(run) >= 3 and self._line_start) or run[0] == "`":
                self._code = run
        elif run[0] == self._code[0] and (
            len(run) == len(self._code) or (len(self._code) >= 3 and len(run) > len(self._code))
        ):
            self._code = ""

    def _say(self, text: str) -> Text:
        last = text.rpartition("\n")[2]
        self._line_start = not last.strip() and ("\n" in text or self._line_start)
        return Text(text)

    # A tag: whole, begun, or not one of ours

    def _read_tag(self, final: bool) -> Iterator[Text | ImageRequest]:
        tag = _TAG.match(self._held)
        if tag and tag.end() <= LONGEST_TAG and _known(tag.group(2)):
            self._take(tag.end())
            closing, name, rest = tag.group(1), tag.group(2).lower(), tag.group(3)
            if name == THINK:
                self._thinking = not closing
            elif not closing:
                yield from self._begin(NAMES[name], rest)
        elif not tag and _may_become_tag(self._held):
            if final:
                self._take(len(self._held))
        else:
            yield self._say(self._take(1))

    def _begin(self, operation: Operation, rest: str) -> Iterator[Text | ImageRequest]:
        attributes = {m[1].lower(): m[2] or m[3] or m[4] or "" for m in _ATTRIBUTE.finditer(rest)}
        tag = _OpenTag(operation, attributes, attributes.get("prompt", ""))
        if rest.rstrip().endswith("/"):
            yield from self._close(tag)
        else:
            self._open = tag

    # Inside a tag: words up to a closer, the next opener, or a blank line

    def _read_words(self, tag: _OpenTag, final: bool) -> Iterator[Text | ImageRequest]:
        if tag.operation in WORDLESS and len(tag.words) > LONGEST_ASIDE:
            yield from self._close(tag)
            return
        special = re.search(r"<|\n\s*\n", self._held)
        if special is None:
            keep = len(self._held) - len(self._held.rstrip()) if not final else 0
            tag.words += self._take(len(self._held) - keep)
        elif special.start() > 0:
            tag.words += self._take(special.start())
        elif self._held[0] == "\n":
            yield from self._close(tag)
        else:
            found = _TAG.match(self._held)
            if found and found.group(2).lower() in NAMES and found.end() <= LONGEST_TAG:
                if found.group(1):
                    self._take(found.end())
                yield from self._close(tag)
            elif final or found or not _may_become_tag(self._held):
                tag.words += self._take(1 if not final or found else len(self._held))

    def _close(self, tag: _OpenTag) -> Iterator[Text | ImageRequest]:
        self._open = None
        aside = tag.words if tag.operation in WORDLESS and len(tag.words) > LONGEST_ASIDE else ""
        words = "" if aside else _clean(tag.words)
        of = next((tag.attributes[name] for name in ("of", "prev_id", "previous") if name in tag.attributes), None)
        number = _NUMBER.fullmatch(of or "")
        if not number and tag.operation not in NEED_WORDS:
            number = _NUMBER.fullmatch(words)
        if tag.operation in WORDLESS and _NUMBER.fullmatch(words):
            words = ""
        if words or tag.operation not in NEED_WORDS:
            change, ratio = tag.attributes.get("change", ""), tag.attributes.get("ratio", "")
            yield ImageRequest(
                self._requests, tag.operation, words, int(number.group(1)) if number else None, change, ratio
            )
            self._requests += 1
        if aside:
            yield self._say(aside)

    def _skip_thoughts(self, final: bool) -> None:
        end = re.search(r"<\s*/\s*think\s*>", self._held, re.IGNORECASE)
        if end:
            self._take(end.end())
            self._thinking = False
        else:
            last = self._held.rfind("<")
            self._take(last if last >= 0 and not final and len(self._held) - last < 20 else len(self._held))

    def _take(self, count: int) -> str:
        taken, self._held = self._held[:count], self._held[count:]
        return taken


def _known(name: str) -> bool:
    return name.lower() in NAMES or name.lower() == THINK


def _may_become_tag(held: str) -> bool:
    begun = _BEGUN.match(held)
    if not begun or len(held) > LONGEST_TAG:
        return False
    name, rest = begun.group(1).lower(), begun.group(2)
    if rest:
        return _known(name) and (rest[0].isspace() or rest[0] == "/") and not re.search(r"[<>]", _unquoted(rest))
    return any(known.startswith(name) for known in (*NAMES, THINK))


def _unquoted(text: str) -> str:
    return re.sub(r"\"[^\"]*(\"|$)", "", text)


def _clean(words: str) -> str:
    plain = _EMPHASIS.sub(r"\2", words[:LONGEST_PROMPT])
    return " ".join(plain.split())


def _merged(events: Iterator[Text | ImageRequest]) -> list[Text | ImageRequest]:
    merged: list[Text | ImageRequest] = []
    for event in events:
        if isinstance(event, Text) and merged and isinstance(merged[-1], Text):
            merged[-1] = Text(merged[-1].markdown + event.markdown)
        else:
            merged.append(event)
    return merged
