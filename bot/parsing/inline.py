"""Constructs that begin within text that the user reads, and whether they are requests or mentions. Pure."""

import re
from collections.abc import Sequence
from typing import Any

from bot.domain import ImageRequest, Operation, Text
from bot.parsing.image_request import OURS, is_placeholder, request_of
from bot.parsing.intent import Context, Intent
from bot.parsing.patterns import LONGEST_CALL, Zone, rule
from bot.parsing.state import Opened, Outcome, Step
from bot.parsing.tag import open_bracket, open_tag
from bot.parsing.written_calls import open_link
from bot.utterance import Event, Way

_TO = re.compile(r"\bto=(?:functions\.)?(\w{1,40})")  # the recipient of a message in the Harmony format


def in_text(thing: Any, context: Context, before: str) -> Step | None:
    """Return the transition for a construct; None if it is plain text. `before` is the text before the construct."""
    at, kind, intent = thing.end(), rule(thing), context.intent
    if kind in ("opener", "closer", "bracket") and not _is_obeyed(thing["name"].lower(), context):
        return None
    match kind:
        case "opener" if intent is not Intent.PICTURE and _ends_word(before):
            return None  # List<Image>
        case "opener":
            return open_tag(thing, before, thing["marks"] or "")
        case "bracket":
            return open_bracket(thing, context)
        case "over":
            return Step(at, Zone.OVER)
        case "turn":
            return Step(at, Zone.OVER if thing["role"].lower() in ("user", "human") else Zone.TEXT, anew=True)
        case "harmony" if to := _TO.search(thing["header"]):
            return Step(at, Zone.CALL, Opened(name=to[1], limit=LONGEST_CALL))
        case "harmony":
            return Step(at, Zone.THOUGHTS if thing["channel"].lower() == "analysis" else Zone.TEXT, anew=True)
        case "thoughts" | "recant" if intent is Intent.MARKUP and before.strip():
            return None
        case "thoughts":
            return Step(at, Zone.THOUGHTS)
        case "recant":
            return Step(at, anew=True, recants=True)
        case "call":
            return Step(at, Zone.CALL, Opened(name=thing["tool"] or "", limit=LONGEST_CALL))
        case "json":
            call = Opened(weak=True, limit=LONGEST_CALL)
            return Step(thing.start(), Zone.CALL, call) if intent is not Intent.MARKUP else None
        case "code":
            return Step(at, outcome=Outcome(thing.group()))
        case "link":
            return open_link(thing)
        case "caption":
            says = intent is Intent.PICTURE and not is_placeholder(thing["label"])
            request = request_of(Operation.GENERATE, thing["label"]) if says else None
            return Step(at, outcome=Outcome(asked=(request,), way=Way.PROMOTED)) if request else None
        case "address":
            address = Opened(raw=[thing.group()], kept=[thing.group()])
            return None if _ends_word(before) else Step(at, Zone.ADDRESS, address)
        case _:  # a stray closer, a token, a broken header: the user sees nothing
            return Step(at, anew=kind == "broken")


def ends_block(block: Opened, thing: Any) -> bool:
    """Whether these backticks or tildes close the code block."""
    return thing["run"][0] == block.quote[0] and len(thing["run"]) >= len(block.quote)


def block_over(block: Opened, inside: Sequence[Event]) -> Outcome:
    """Return the requests of a code block that holds nothing but tags, or else the code block as text."""
    asked = tuple(event for event in inside if isinstance(event, ImageRequest))
    words = any(isinstance(event, Text) and event.markdown.strip() for event in inside)
    if words or not asked or any(request.prompt and is_placeholder(request.prompt) for request in asked):
        return Outcome("".join(block.raw))
    return Outcome(asked=asked, way=Way.WRITTEN)


def _is_obeyed(name: str, context: Context) -> bool:
    """Whether a tag of this name is a request, given the intent of the user, and not a mention."""
    intent = context.intent
    return intent is not Intent.MARKUP and (name in OURS or intent is not Intent.WORDS)


def _ends_word(before: str) -> bool:
    last = before[-1:]
    return last.isascii() and (last.isalnum() or last == "_")
