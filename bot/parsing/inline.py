"""Constructs that begin within text that the user reads, and whether they are requests or mentions. Pure."""

import re
from collections.abc import Sequence
from typing import Any

from bot.domain import ImageRequest, Operation, Text
from bot.parsing.image_request import TAG_OPERATIONS, is_placeholder, make_image_request
from bot.parsing.intent import Intent, ParserContext
from bot.parsing.patterns import MAX_CALL_LENGTH, Zone, rule_name
from bot.parsing.state import Event, OpenConstruct, ParseResult, RequestOrigin, Transition
from bot.parsing.tag import open_bracket, open_tag
from bot.parsing.written_calls import open_link

_HARMONY_RECIPIENT = re.compile(r"\bto=(?:functions\.)?(\w{1,40})")  # the recipient of a message in the Harmony format


def step_in_text(found: Any, context: ParserContext, before: str) -> Transition | None:
    """Return the transition for a construct; None if it is plain text. `before` is the text before the construct."""
    at, kind, intent = found.end(), rule_name(found), context.intent
    if kind in ("opener", "closer", "bracket") and not _is_request(found["name"].lower(), context):
        return None
    match kind:
        case "opener" if intent is not Intent.PICTURE and _ends_word(before):
            return None  # List<Image>
        case "opener":
            return open_tag(found, before, found["marks"] or "")
        case "bracket":
            return open_bracket(found, context)
        case "over":
            return Transition(at, Zone.AFTER_TURN)
        case "turn":
            return Transition(
                at, Zone.AFTER_TURN if found["role"].lower() in ("user", "human") else Zone.TEXT, starts_line=True
            )
        case "harmony" if to := _HARMONY_RECIPIENT.search(found["header"]):
            return Transition(at, Zone.CALL, OpenConstruct(name=to[1], limit=MAX_CALL_LENGTH))
        case "harmony":
            return Transition(
                at, Zone.THOUGHTS if found["channel"].lower() == "analysis" else Zone.TEXT, starts_line=True
            )
        case "thoughts" | "recant" if intent is Intent.MARKUP and before.strip():
            return None
        case "thoughts":
            return Transition(at, Zone.THOUGHTS)
        case "recant":
            return Transition(at, starts_line=True, retracts=True)
        case "call":
            return Transition(at, Zone.CALL, OpenConstruct(name=found["tool"] or "", limit=MAX_CALL_LENGTH))
        case "json":
            call = OpenConstruct(is_uncertain=True, limit=MAX_CALL_LENGTH)
            return Transition(found.start(), Zone.CALL, call) if intent is not Intent.MARKUP else None
        case "code":
            return Transition(at, result=ParseResult(found.group()))
        case "link":
            return open_link(found)
        case "caption":
            says = intent is Intent.PICTURE and not is_placeholder(found["label"])
            request = make_image_request(Operation.GENERATE, found["label"]) if says else None
            return (
                Transition(at, result=ParseResult(requests=(request,), form=RequestOrigin.INFERRED))
                if request
                else None
            )
        case "address":
            address = OpenConstruct(raw=[found.group()], content=[found.group()])
            return None if _ends_word(before) else Transition(at, Zone.ADDRESS, address)
        case _:  # a stray closer, a token, a broken header: the user sees nothing
            return Transition(at, starts_line=kind == "broken")


def is_block_end(block: OpenConstruct, found: Any) -> bool:
    """Whether these backticks or tildes close the code block."""
    return found["run"][0] == block.quote[0] and len(found["run"]) >= len(block.quote)


def end_block(block: OpenConstruct, events: Sequence[Event]) -> ParseResult:
    """Return the requests of a code block that holds nothing but tags, or else the code block as text."""
    requests = tuple(event for event in events if isinstance(event, ImageRequest))
    has_text = any(isinstance(event, Text) and event.markdown.strip() for event in events)
    if has_text or not requests or any(request.prompt and is_placeholder(request.prompt) for request in requests):
        return ParseResult("".join(block.raw))
    return ParseResult(requests=requests, form=RequestOrigin.WRITTEN_CALL)


def _is_request(name: str, context: ParserContext) -> bool:
    """Whether a tag of this name is a request, given the intent of the user, and not a mention."""
    intent = context.intent
    return intent is not Intent.MARKUP and (name in TAG_OPERATIONS or intent is not Intent.WORDS)


def _ends_word(before: str) -> bool:
    last = before[-1:]
    return last.isascii() and (last.isalnum() or last == "_")
