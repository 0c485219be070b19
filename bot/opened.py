"""What has been opened among the words - a tag, a tool call, an address - and what it says when it is over. Pure."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any

import regex

from bot.domain import ImageRequest, Operation
from bot.intent import Context, Intent
from bot.markup import INVENTED, LONGEST_ADDRESS, LONGEST_ASIDE, LONGEST_LATE, Zone, rule
from bot.tools import CALLED, requests, written_calls
from bot.utterance import Way
from bot.wishes import (
    LONGEST_PROMPT,
    NEED_WORDS,
    PROMPTS,
    WORDLESS,
    apart,
    clean,
    is_placeholder,
    operation_named,
    request_of,
)

_FOREIGN = {"href", "src", "width", "class", "x", "y"}  # attributes of an <image> of SVG, which is not ours
_MENTIONS = re.compile(  # what stands in front of the name of a tag that is only spoken of
    r"\b(?:the|an?|my|this|that|use|using|with|of|in|by|between|called|write|writing|type|wrap|is|are|like|tags?|syntax"
    r"|example)\b[\s:\"'(*_]{1,4}\Z",
    re.IGNORECASE,
)
_MENTIONED = re.compile(  # what stands behind it
    r"[*_\"'`)]{0,3}\s?(?:tags?|elements?|markers?|syntax|markup|commands?|tokens?)\b|(?:\*{1,3}|[\"'`)])(?=[\s.,;:]|\Z)",
    re.IGNORECASE,
)
_LIST = re.compile(r"\s*(?:\d{1,2}[.)]|[-*•#|>])\s*(?:\Z|(?=\S))")
_TALK = re.compile(
    r"\s*(?:here|i|i'm|i'll|do|does|would|will|can|could|let|enjoy|hope|this|that|you|is|what|how|feel|please|sorry)\b"
    r"|.*[?!]\s*\Z",
    re.IGNORECASE | re.DOTALL,
)
_TALK_BEGINS = re.compile(
    r"\s(?=(?:Do|Would|Will|Can|Could|Shall|Should|If) (?:you|I)\b|Let me\b|Let's\b|I hope\b|Hope (?:you|this)\b"
    r"|I(?:'ve|'ll|'m| can| could| have| am)\b|Here (?:is|are|you)\b|Here's\b|Enjoy\b|Feel free\b|Please let\b"
    r"|(?:What|How) (?:do|about|would)\b|Is (?:this|that|there)\b)"
)
_EXAMPLE = re.compile(
    r"\b(?:like (?:this|so)|use this|this way|writ(?:e|ing)|typ(?:e|ing)|syntax|format|mark-?up|examples?|wrap|looks? like"
    r"|instead of)\b[^\n]{0,60}\s*\Z",
    re.IGNORECASE,
)
# What is left behind a call in a block of code, behind a picture that was a link, and behind a tag in bold
_FENCE_ENDS = regex.compile(r"\s{0,3}```[ \t]{0,4}").match
_LINK_ENDS = regex.compile(r"\]\([^()\n]{0,500}\)").match
_MARKS_END = {marks: regex.compile(regex.escape(marks)).match for marks in ("*", "**", "***", "_", "__", "___")}


@dataclass(slots=True)
class Opened:
    """What is being read and may yet turn out to be something else: `raw` is all of it as it was written."""

    operation: Operation = Operation.GENERATE
    name: str = ""
    raw: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)  # what the zone has gathered
    size: int = 0  # characters gathered
    blank: bool = True  # so far they are white space
    limit: int = 0  # characters after which it is taken for something else; 0 for never
    given: dict[str, str] = field(default_factory=dict)  # the attributes of a tag
    way: Way = Way.TAG
    spoken_of: bool = False  # the words in front of a tag sound as if it was only mentioned
    line: bool = False  # the end of the line closes it
    reopened: bool = False  # it began inside another one, and so may have been meant to close that
    weak: bool = False  # a call that only looks like one
    depth: int = 0  # brackets that are open in a call
    quote: str = ""  # the quotation mark that is open, or the backticks of a block of code
    embed: bool | None = None  # an address stands in `![...](...)`, in `[...](...)`, or, if None, alone
    before: str = ""  # what was written in front of it
    behind: Callable[..., Any] | None = None  # matches what goes with it and follows when it is over

    def gather(self, text: str) -> None:
        """Keep the text, as far as there is room."""
        room = (self.limit or LONGEST_PROMPT) - self.size
        self.size += len(text)
        if room > 0:
            self.blank = self.blank and text.isspace()
            self.kept.append(text[:room])
            self.raw.append(text[:room])

    def begin_body(self, limit: int = 0) -> None:
        """The attributes are read, the words between the tags come now."""
        self.kept, self.size, self.blank, self.limit = [], 0, True, limit


class Ending(Enum):
    """How a tag came to its end."""

    CLOSED = auto()
    NEXT = auto()  # another one begins
    BROKEN = auto()  # nothing closes it


@dataclass(frozen=True, slots=True)
class Outcome:
    """What something says now that it is over, in this order: words, requests, and text to be read once more."""

    said: str = ""
    asked: tuple[ImageRequest, ...] = ()
    again: str = ""
    way: Way = Way.TAG


@dataclass(frozen=True, slots=True)
class Step:
    """Where to go on, in which zone, with what open; with an `outcome` if what was open is over.

    A line may begin `anew` there. What `recants` says that all before it was thinking aloud.
    """

    at: int
    zone: Zone = Zone.TEXT
    opened: Opened | None = None
    outcome: Outcome | None = None
    anew: bool = False
    recants: bool = False


def open_tag(thing: Any, before: str = "", marks: str = "", reopened: bool = False) -> Step:
    """Behind the name of a tag, with `marks` such as `**` in front of it, and `before` in front of these."""
    name, at = thing["name"].lower(), thing.end()
    raw, spoken_of = [thing.group()], bool(_MENTIONS.search(before[-16:]))
    tag = Opened(operation_named(name) or Operation.GENERATE, name, raw, spoken_of=spoken_of, reopened=reopened)
    tag.behind = _MARKS_END.get(marks)
    if thing.string[at] != ">" or name == "img":
        return Step(at, Zone.TAG, tag)
    raw.append(">")  # as it should be
    tag.begin_body(LONGEST_ASIDE if tag.operation in WORDLESS else 0)
    return Step(at + 1, Zone.BODY, tag)


def open_bracket(thing: Any, context: Context) -> Step | None:
    """`[image: words]`, `[image of words]`, `[edit of="1"]words[/edit]`: tags, unless they only look like some."""
    inside = thing["inside"] or ""
    given, words = apart(inside)
    operation = operation_named(thing["name"]) or Operation.GENERATE
    says = operation is Operation.GENERATE and inside.lstrip().startswith((":", "of"))
    if context.intent is not Intent.PICTURE and not given and not says:
        return None
    tag = Opened(operation, thing["name"].lower(), [thing.group()], given=given, line=True)
    if words or PROMPTS.keys() & given or operation in WORDLESS:
        outcome = tag_over(tag, context, Ending.CLOSED, words.removeprefix("of "))
        return Step(thing.end(), outcome=outcome)
    return Step(thing.end(), Zone.BODY, tag)


def open_link(thing: Any) -> Step:
    """`![label](` or `[label](`, in front of the address."""
    link = Opened(name=thing["label"], raw=[thing.group()], embed=bool(thing["embed"]))
    link.behind = _LINK_ENDS if thing["frame"] else None
    return Step(thing.end(), Zone.ADDRESS, link)


def announces_example(before: str) -> bool:
    """Whether the words in front of a block of code say that it only shows how something is written."""
    return bool(_EXAMPLE.search(before))


def in_tag(tag: Opened, thing: Any, context: Context) -> Step:
    """Among the attributes of a tag."""
    mark = thing.group()
    if rule(thing) == "value":
        tag.quote = thing["quote"].replace("“", "”")
        tag.kept.append(mark)
        return Step(thing.end(), Zone.VALUE)
    at = thing.end()
    if mark.startswith("<"):
        tag.raw.pop()
        at = thing.start()
    tag.given, words = apart("".join(tag.kept))
    prompt = next((tag.given[name] for name in tag.given if name in PROMPTS), "")
    empty = mark.startswith("/")  # <image ... />
    if words or rule(thing) == "broken" or tag.name == "img":
        return Step(at, outcome=tag_over(tag, context, Ending.CLOSED, words))
    if empty and (prompt or tag.operation not in NEED_WORDS):
        return Step(at, outcome=tag_over(tag, context, Ending.CLOSED, ""))
    aside = empty or bool(prompt) or tag.operation in WORDLESS  # it may have said all that it has to say
    tag.begin_body(aside and (LONGEST_LATE if empty else LONGEST_ASIDE + len(prompt)))
    return Step(at, Zone.BODY)


def in_value(tag: Opened, thing: Any, context: Context) -> Step | None:
    """In the quotes of an attribute."""
    if rule(thing) == "broken":
        return in_tag(tag, thing, context)
    over = rule(thing) == "closing" and thing["quote"] == tag.quote
    if not over and not thing.group().startswith("\\"):
        return None
    tag.kept.append(thing.group())
    return Step(thing.end(), Zone.TAG if over else Zone.VALUE)


def in_body(tag: Opened, thing: Any, context: Context) -> Step | None:
    """Among the words of a tag."""
    if rule(thing) == "closing":
        return Step(thing.end(), outcome=tag_over(tag, context, Ending.CLOSED))
    if tag.blank and thing.group().isspace():
        return None  # a blank line before the first word
    tag.raw.pop()
    outcome = tag_over(tag, context, Ending.NEXT if rule(thing) == "next" else Ending.BROKEN)
    if rule(thing) == "broken" or outcome.again:
        return Step(thing.start(), outcome=outcome)
    return replace(open_tag(thing, reopened=True), outcome=outcome)


def in_call(call: Opened, thing: Any, context: Context) -> Step | None:
    """In a tool call that is written out, which ends with its last bracket."""
    mark = thing.group()
    match rule(thing):
        case "closing" if not call.quote:
            return Step(thing.end(), outcome=call_over(call, context))
        case "string" if call.depth and call.quote in ("", mark):
            call.quote = "" if call.quote else mark
        case "begins" if not call.quote:
            call.depth += 1
        case "ends" if not call.quote and call.depth:
            call.depth -= 1
        case "escape":
            pass
        case _:
            return None
    call.kept.append(mark)
    call.size += len(mark)
    if rule(thing) != "ends" or call.depth:
        return Step(thing.end(), Zone.CALL)
    if "```" in "".join(call.kept):
        call.behind = _FENCE_ENDS
    return Step(thing.end(), outcome=call_over(call, context))


def in_address(address: Opened, thing: Any, context: Context) -> Step | None:
    """In the address of a picture or of something else."""
    mark, within = thing.group(), address.embed is not None
    if within and mark not in ")\n<":
        return None
    address.raw.pop()
    mark = mark if mark == ")" and within else ""
    return Step(thing.end() if mark else thing.start(), outcome=address_over(address, context, mark))


def tag_over(tag: Opened, context: Context, ending: Ending, words: str | None = None) -> Outcome:
    """What a tag says. Behind one that was not closed, what does not look like its words is read again."""
    rest, kept = "", "".join(tag.kept)
    if words is None:
        if ending is not Ending.CLOSED and tag.limit:
            words, rest = "", kept
        else:
            words, rest = _divided(kept, tag, ending)
        if (tag.spoken_of or ending is not Ending.CLOSED) and _MENTIONED.match(kept.lstrip()):
            written = "".join(tag.raw)
            return Outcome(written) if ending is Ending.CLOSED else Outcome(written.removesuffix(kept), again=kept)
    repeats = bool(context.own_prompts) and clean(words).lower() in context.own_prompts
    stands_for_words = not words.isspace() and bool(words) and is_placeholder(words)
    if repeats or (stands_for_words and (tag.spoken_of or context.intent is not Intent.PICTURE)):
        return Outcome("".join(tag.raw).removesuffix(rest), again=rest)
    words = "" if stands_for_words else words
    if words.lstrip().startswith("{"):
        asked = tuple(requests(f"{tag.operation.value}_image", words, context.pictures))
    else:
        request = request_of(tag.operation, words, tag.given, context.pictures)
        asked = (request,) if request else ()
    foreign = not asked and context.intent is Intent.WORDS and bool(_FOREIGN & {*tag.given})
    rest = rest if tag.size <= LONGEST_PROMPT else ""
    return Outcome("".join(tag.raw) if foreign else "", asked, rest, tag.way)


def _divided(kept: str, tag: Opened, ending: Ending) -> tuple[str, str]:
    """The words of a tag, and what the model said behind them, if it forgot to close the tag."""
    if ending is Ending.CLOSED:
        return kept, ""
    line, newline, more = kept.lstrip("\n").partition("\n")
    if tag.reopened and _TALK.match(line):
        return "", kept
    if begins := _TALK_BEGINS.search(line):
        return line[: begins.start()], line[begins.start() :] + newline + more
    if ending is Ending.NEXT and not (_LIST.match(more) or _TALK.match(more)):
        return kept, ""
    return line, newline + more


def call_over(call: Opened, context: Context) -> Outcome:
    """What a written tool call asks for. One that only looked like a call is read again, as words."""
    payload = "".join(call.kept)
    asked = tuple(written_calls(payload, call.name, context.pictures))
    if call.weak:
        named = call.name or CALLED.search(payload)
        meant = context.intent is Intent.PICTURE or (named and context.intent is Intent.UNCLEAR)
        if not (asked and meant):
            return Outcome(again="".join(call.raw))
    return Outcome(asked=asked, way=Way.WRITTEN)


def address_over(address: Opened, context: Context, mark: str) -> Outcome:
    """What is left of an address, which ends with the `mark`: a chat model can only have invented a picture's."""
    url, label = "".join(address.kept), address.name
    persons_own = bool(url.strip()) and url.split()[0].rstrip(".,;:!?'") in context.text
    invented = not persons_own and (address.size > LONGEST_ADDRESS or bool(INVENTED.match(url)))
    if address.embed and not persons_own:
        request = request_of(Operation.GENERATE, label)
        wanted = context.intent in (Intent.PICTURE, Intent.UNCLEAR)
        return Outcome(asked=(request,), way=Way.PROMOTED) if request and wanted else Outcome(said=label)
    return Outcome(said=label if invented else "".join(address.raw) + mark)
