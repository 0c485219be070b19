"""Tags, from the name to the end: attributes, prompt, and the resulting image request. Pure."""

import re
from dataclasses import replace
from enum import Enum, auto
from typing import Any

import regex

from bot.domain import Operation
from bot.parsing.image_request import (
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
from bot.parsing.intent import Context, Intent
from bot.parsing.patterns import LONGEST_ASIDE, LONGEST_LATE, Zone, rule
from bot.parsing.state import Opened, Outcome, Step
from bot.parsing.tool_calls import requests

_FOREIGN = {"href", "src", "width", "class", "x", "y"}  # of an <image> of SVG, which is no request
_MENTIONS = re.compile(  # text before a tag that is only mentioned
    r"\b(?:the|an?|my|this|that|use|using|with|of|in|by|between|called|write|writing|type|wrap|is|are|like|tags?|syntax"
    r"|example)\b[ :\"'(*_]{1,4}\Z",
    re.IGNORECASE,
)
_MENTIONED = re.compile(  # text after such a tag
    r"[*_\"'`)]{0,3}\s?(?:tags?|elements?|markers?|syntax|markup|commands?|tokens?)\b", re.IGNORECASE
)
_BEFORE_MENTIONED = frozenset(" :\"'(*_")
_ATTRIBUTE = re.compile(r' (of|change|ratio)="([\w:]{1,20})"')
_ATTRIBUTES = re.compile(r'((?: (?:of|change|ratio)="[\w:]{1,20}"){0,4})>').match
_PAIRS = {'"': '"', "'": "'", "(": ")", "*": "*", "_": "_"}
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
# The closing emphasis after a tag in bold or italics
_MARKS_END = {marks: regex.compile(regex.escape(marks)).match for marks in ("*", "**", "***", "_", "__", "___")}


class Ending(Enum):
    """How a tag ended."""

    CLOSED = auto()
    NEXT = auto()  # another tag begins
    BROKEN = auto()  # no closing tag


def open_tag(thing: Any, before: str = "", marks: str = "", reopened: bool = False) -> Step:
    """Open a tag after its name; `marks` is the emphasis before it, such as `**`, `before` the text before `marks`."""
    name, at = thing["name"].lower(), thing.end()
    tag = Opened(operation_named(name) or Operation.GENERATE, name, [thing.group()], reopened=reopened)
    tag.spoken_of = before[-1:] in _BEFORE_MENTIONED and bool(_MENTIONS.search(before[-16:]))
    tag.behind, tag.pair = _MARKS_END.get(marks), _PAIRS.get((before + marks)[-1:], "")
    written = _ATTRIBUTES(thing.string, at)
    if written is None or name == "img":
        return Step(at, Zone.TAG, tag)
    if attributes := written[1]:  # canonical attributes: no need for the tolerant parser
        tag.raw.append(attributes)
        tag.given = dict(_ATTRIBUTE.findall(attributes))
    tag.raw.append(">")
    tag.begin_body(_longest_body(tag))
    return Step(written.end(), Zone.BODY, tag)


def open_bracket(thing: Any, context: Context) -> Step | None:
    """Open a tag in brackets: `[image: words]`, `[image of words]`, `[edit of="1"]words[/edit]`; None for text."""
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


def in_tag(zone: Zone, tag: Opened, thing: Any, context: Context) -> Step | None:
    """Return the transition inside a tag; None if the match belongs to the text of the zone."""
    match zone:
        case Zone.TAG:
            return _in_name(tag, thing, context)
        case Zone.VALUE:
            return _in_value(tag, thing, context)
        case _:
            return _in_body(tag, thing, context)


def _in_name(tag: Opened, thing: Any, context: Context) -> Step:
    """Return the transition within the attributes of a tag."""
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
    tag.begin_body(LONGEST_LATE if empty else _longest_body(tag, prompt))
    return Step(at, Zone.BODY)


def _longest_body(tag: Opened, prompt: str = "") -> int:
    """Return the longest body, in characters, of a tag that may be complete without a body; 0 for no limit."""
    return LONGEST_ASIDE + len(prompt) if prompt or tag.operation in WORDLESS else 0


def _in_value(tag: Opened, thing: Any, context: Context) -> Step | None:
    """Return the transition within the quotes of an attribute."""
    if rule(thing) == "broken":
        return _in_name(tag, thing, context)
    over = rule(thing) == "closing" and thing["quote"] == tag.quote
    if not over and not thing.group().startswith("\\"):
        return None
    tag.kept.append(thing.group())
    return Step(thing.end(), Zone.TAG if over else Zone.VALUE)


def _in_body(tag: Opened, thing: Any, context: Context) -> Step | None:
    """Return the transition within the body of a tag."""
    if rule(thing) == "closing":
        return Step(thing.end(), outcome=tag_over(tag, context, Ending.CLOSED))
    if tag.blank and thing.group().isspace():
        return None  # a blank line before the prompt
    tag.raw.pop()
    outcome = tag_over(tag, context, Ending.NEXT if rule(thing) == "next" else Ending.BROKEN)
    if rule(thing) == "broken" or outcome.again:
        return Step(thing.start(), outcome=outcome)
    return replace(open_tag(thing, reopened=True), outcome=outcome)


def name_over(tag: Opened, context: Context) -> Outcome:
    """Return the result of a tag that is cut off within its attributes."""
    tag.given, words = apart("".join(tag.kept) + tag.quote)
    return tag_over(tag, context, Ending.CLOSED, words)


def tag_over(tag: Opened, context: Context, ending: Ending, words: str | None = None) -> Outcome:
    """Return the result of a tag. If the tag was not closed, text that does not look like a prompt is parsed again."""
    rest, kept, unclosed = "", "".join(tag.kept), ending is not Ending.CLOSED
    if words is None:
        if unclosed and tag.limit:
            words, rest = "", kept
        else:
            words, rest = _divided(kept, tag, ending)
        paired = unclosed and tag.pair and kept.startswith(tag.pair)
        if paired or ((tag.spoken_of or unclosed) and _MENTIONED.match(kept.lstrip())):
            written = "".join(tag.raw)
            return Outcome(written.removesuffix(kept), again=kept) if unclosed else Outcome(written)
    repeats = bool(context.own_prompts) and clean(words).lower() in context.own_prompts
    placeholder = bool(words) and not words.isspace() and is_placeholder(words)
    if repeats or (placeholder and _shows_place(words, tag, context)):
        return Outcome("".join(tag.raw).removesuffix(rest), again=rest)
    words = "" if placeholder else words
    if words.lstrip().startswith("{"):
        asked = tuple(requests(f"{tag.operation.value}_image", words, context.pictures))
    else:
        request = request_of(tag.operation, words, tag.given, context.pictures)
        asked = (request,) if request else ()
    foreign = not asked and context.intent is Intent.WORDS and bool(_FOREIGN & {*tag.given})
    rest = rest if tag.size <= LONGEST_PROMPT else ""
    return Outcome("".join(tag.raw) if foreign else "", asked, rest, tag.way)


def _divided(kept: str, tag: Opened, ending: Ending) -> tuple[str, str]:
    """Split the content of a tag into its prompt and, if the tag was not closed, the text after the prompt."""
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


def _shows_place(words: str, tag: Opened, context: Context) -> bool:
    """Whether a placeholder, such as `your prompt` or `...`, is meant for the user to read."""
    if any(map(str.isalpha, words)):
        return tag.spoken_of or context.intent is not Intent.PICTURE
    return ("…" in words or ".." in words) and (tag.spoken_of or context.intent is Intent.WORDS)
