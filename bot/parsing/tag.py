"""Tags, from the name to the end: attributes, prompt, and the resulting image request. Pure."""

import re
from dataclasses import replace
from enum import Enum, auto
from typing import Any

import regex

from bot.domain import Operation
from bot.parsing.image_request import (
    MAX_PROMPT_LENGTH,
    PROMPT_ATTRIBUTES,
    PROMPT_REQUIRED,
    WITHOUT_PROMPT,
    clean_prompt,
    find_operation,
    is_placeholder,
    make_image_request,
    split_attributes,
)
from bot.parsing.intent import Intent, ParserContext
from bot.parsing.patterns import MAX_ASIDE_LENGTH, MAX_LATE_PROMPT_LENGTH, Zone, rule_name
from bot.parsing.state import OpenConstruct, ParseResult, Transition
from bot.parsing.tool_calls import parse_tool_call

_SVG_ATTRIBUTES = {"href", "src", "width", "class", "x", "y"}  # of an <image> of SVG, which is no request
_MENTION_BEFORE = re.compile(  # text before a tag that is only mentioned
    r"\b(?:the|an?|my|this|that|use|using|with|of|in|by|between|called|write|writing|type|wrap|is|are|like|tags?|syntax"
    r"|example)\b[ :\"'(*_]{1,4}\Z",
    re.IGNORECASE,
)
_MENTION_AFTER = re.compile(  # text after such a tag
    r"[*_\"'`)]{0,3}\s?(?:tags?|elements?|markers?|syntax|markup|commands?|tokens?)\b", re.IGNORECASE
)
_MENTION_CHARACTERS = frozenset(" :\"'(*_")
_ATTRIBUTE = re.compile(r' (of|change|ratio)="([\w:]{1,20})"')
_ATTRIBUTES = re.compile(r'((?: (?:of|change|ratio)="[\w:]{1,20}"){0,4})>').match
_CLOSING_PAIRS = {'"': '"', "'": "'", "(": ")", "*": "*", "_": "_"}
_LIST_ITEM = re.compile(r"\s*(?:\d{1,2}[.)]|[-*•#|>])\s*(?:\Z|(?=\S))")
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


class TagEnd(Enum):
    """How a tag ended."""

    CLOSED = auto()
    NEXT_TAG = auto()  # another tag begins
    BROKEN = auto()  # no closing tag


def open_tag(found: Any, before: str = "", marks: str = "", is_nested: bool = False) -> Transition:
    """Open a tag after its name; `marks` is the emphasis before it, such as `**`, `before` the text before `marks`."""
    name, at = found["name"].lower(), found.end()
    tag = OpenConstruct(find_operation(name) or Operation.GENERATE, name, [found.group()], is_nested=is_nested)
    tag.is_mention = before[-1:] in _MENTION_CHARACTERS and bool(_MENTION_BEFORE.search(before[-16:]))
    tag.trailing_match, tag.closing_pair = _MARKS_END.get(marks), _CLOSING_PAIRS.get((before + marks)[-1:], "")
    written = _ATTRIBUTES(found.string, at)
    if written is None or name == "img":
        return Transition(at, Zone.TAG, tag)
    if attributes := written[1]:  # canonical attributes: no need for the tolerant parser
        tag.raw.append(attributes)
        tag.attributes = dict(_ATTRIBUTE.findall(attributes))
    tag.raw.append(">")
    tag.begin_body(_body_limit(tag))
    return Transition(written.end(), Zone.BODY, tag)


def open_bracket(found: Any, context: ParserContext) -> Transition | None:
    """Open a tag in brackets: `[image: words]`, `[image of words]`, `[edit of="1"]words[/edit]`; None for text."""
    inside = found["inside"] or ""
    given, words = split_attributes(inside)
    operation = find_operation(found["name"]) or Operation.GENERATE
    says = operation is Operation.GENERATE and inside.lstrip().startswith((":", "of"))
    if context.intent is not Intent.PICTURE and not given and not says:
        return None
    tag = OpenConstruct(operation, found["name"].lower(), [found.group()], attributes=given, ends_with_line=True)
    if words or PROMPT_ATTRIBUTES.keys() & given or operation in WITHOUT_PROMPT:
        outcome = end_tag(tag, context, TagEnd.CLOSED, words.removeprefix("of "))
        return Transition(found.end(), result=outcome)
    return Transition(found.end(), Zone.BODY, tag)


def step_in_tag(zone: Zone, tag: OpenConstruct, found: Any, context: ParserContext) -> Transition | None:
    """Return the transition inside a tag; None if the match belongs to the text of the zone."""
    match zone:
        case Zone.TAG:
            return _step_in_attributes(tag, found, context)
        case Zone.VALUE:
            return _step_in_value(tag, found, context)
        case _:
            return _step_in_body(tag, found, context)


def _step_in_attributes(tag: OpenConstruct, found: Any, context: ParserContext) -> Transition:
    """Return the transition within the attributes of a tag."""
    mark = found.group()
    if rule_name(found) == "value":
        tag.quote = found["quote"].replace("“", "”")
        tag.content.append(mark)
        return Transition(found.end(), Zone.VALUE)
    at = found.end()
    if mark.startswith("<"):
        tag.raw.pop()
        at = found.start()
    tag.attributes, words = split_attributes("".join(tag.content))
    prompt = next((tag.attributes[name] for name in tag.attributes if name in PROMPT_ATTRIBUTES), "")
    empty = mark.startswith("/")  # <image ... />
    if words or rule_name(found) == "broken" or tag.name == "img":
        return Transition(at, result=end_tag(tag, context, TagEnd.CLOSED, words))
    if empty and (prompt or tag.operation not in PROMPT_REQUIRED):
        return Transition(at, result=end_tag(tag, context, TagEnd.CLOSED, ""))
    tag.begin_body(MAX_LATE_PROMPT_LENGTH if empty else _body_limit(tag, prompt))
    return Transition(at, Zone.BODY)


def _body_limit(tag: OpenConstruct, prompt: str = "") -> int:
    """Return the longest body, in characters, of a tag that may be complete without a body; 0 for no limit."""
    return MAX_ASIDE_LENGTH + len(prompt) if prompt or tag.operation in WITHOUT_PROMPT else 0


def _step_in_value(tag: OpenConstruct, found: Any, context: ParserContext) -> Transition | None:
    """Return the transition within the quotes of an attribute."""
    if rule_name(found) == "broken":
        return _step_in_attributes(tag, found, context)
    over = rule_name(found) == "closing" and found["quote"] == tag.quote
    if not over and not found.group().startswith("\\"):
        return None
    tag.content.append(found.group())
    return Transition(found.end(), Zone.TAG if over else Zone.VALUE)


def _step_in_body(tag: OpenConstruct, found: Any, context: ParserContext) -> Transition | None:
    """Return the transition within the body of a tag."""
    if rule_name(found) == "closing":
        return Transition(found.end(), result=end_tag(tag, context, TagEnd.CLOSED))
    if tag.is_blank and found.group().isspace():
        return None  # a blank line before the prompt
    tag.raw.pop()
    outcome = end_tag(tag, context, TagEnd.NEXT_TAG if rule_name(found) == "next" else TagEnd.BROKEN)
    if rule_name(found) == "broken" or outcome.text_to_reparse:
        return Transition(found.start(), result=outcome)
    return replace(open_tag(found, is_nested=True), result=outcome)


def end_cut_off_tag(tag: OpenConstruct, context: ParserContext) -> ParseResult:
    """Return the result of a tag that is cut off within its attributes."""
    tag.attributes, words = split_attributes("".join(tag.content) + tag.quote)
    return end_tag(tag, context, TagEnd.CLOSED, words)


def end_tag(tag: OpenConstruct, context: ParserContext, ending: TagEnd, prompt: str | None = None) -> ParseResult:
    """Return the result of a tag. If the tag was not closed, text that does not look like a prompt is parsed again."""
    rest, kept, unclosed = "", "".join(tag.content), ending is not TagEnd.CLOSED
    if prompt is None:
        if unclosed and tag.limit:
            prompt, rest = "", kept
        else:
            prompt, rest = _split_unclosed(kept, tag, ending)
        paired = unclosed and tag.closing_pair and kept.startswith(tag.closing_pair)
        if paired or ((tag.is_mention or unclosed) and _MENTION_AFTER.match(kept.lstrip())):
            written = "".join(tag.raw)
            return ParseResult(written.removesuffix(kept), text_to_reparse=kept) if unclosed else ParseResult(written)
    repeats = bool(context.user_tag_prompts) and clean_prompt(prompt).lower() in context.user_tag_prompts
    placeholder = bool(prompt) and not prompt.isspace() and is_placeholder(prompt)
    if repeats or (placeholder and _is_visible_placeholder(prompt, tag, context)):
        return ParseResult("".join(tag.raw).removesuffix(rest), text_to_reparse=rest)
    prompt = "" if placeholder else prompt
    if prompt.lstrip().startswith("{"):
        requests = tuple(parse_tool_call(f"{tag.operation.value}_image", prompt, context.last_picture_number))
    else:
        request = make_image_request(tag.operation, prompt, tag.attributes, context.last_picture_number)
        requests = (request,) if request else ()
    foreign = not requests and context.intent is Intent.WORDS and bool(_SVG_ATTRIBUTES & {*tag.attributes})
    rest = rest if tag.size <= MAX_PROMPT_LENGTH else ""
    return ParseResult("".join(tag.raw) if foreign else "", requests, rest, tag.form)


def _split_unclosed(kept: str, tag: OpenConstruct, ending: TagEnd) -> tuple[str, str]:
    """Split the content of a tag into its prompt and, if the tag was not closed, the text after the prompt."""
    if ending is TagEnd.CLOSED:
        return kept, ""
    line, newline, more = kept.lstrip("\n").partition("\n")
    if tag.is_nested and _TALK.match(line):
        return "", kept
    if begins := _TALK_BEGINS.search(line):
        return line[: begins.start()], line[begins.start() :] + newline + more
    if ending is TagEnd.NEXT_TAG and not (_LIST_ITEM.match(more) or _TALK.match(more)):
        return kept, ""
    return line, newline + more


def _is_visible_placeholder(prompt: str, tag: OpenConstruct, context: ParserContext) -> bool:
    """Whether a placeholder, such as `your prompt` or `...`, is meant for the user to read."""
    if any(map(str.isalpha, prompt)):
        return tag.is_mention or context.intent is not Intent.PICTURE
    return ("…" in prompt or ".." in prompt) and (tag.is_mention or context.intent is Intent.WORDS)
