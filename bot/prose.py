"""What may begin among the words that the person reads, and whether it is more than spoken of. Pure."""

import re
from typing import Any

from bot.domain import Operation
from bot.intent import Context, Intent
from bot.markup import LONGEST_CALL, MAY_PRECEDE_ADDRESS, Zone, rule
from bot.opened import Opened, Outcome, Step, open_bracket, open_link, open_tag
from bot.utterance import Way
from bot.wishes import OURS, request_of

_TO = re.compile(r"\bto=(?:functions\.)?(\w{1,40})")  # whom a message of the Harmony format is for


def in_text(thing: Any, context: Context, before: str) -> Step | None:
    """Where to go on behind the thing; None if it is nothing but words. `before` is what was written in front of it."""
    at, kind, intent = thing.end(), rule(thing), context.intent
    if kind in ("opener", "closer", "bracket") and not _is_obeyed(thing["name"].lower(), context, before):
        return None
    match kind:
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
            request = request_of(Operation.GENERATE, thing["label"]) if intent is Intent.PICTURE else None
            return Step(at, outcome=Outcome(asked=(request,), way=Way.PROMOTED)) if request else None
        case "address":
            address = Opened(raw=[thing.group()], kept=[thing.group()])
            return Step(at, Zone.ADDRESS, address) if MAY_PRECEDE_ADDRESS(before[-1:]) else None
        case _:  # a stray closer, a token, a broken header: nothing for the person
            return Step(at, anew=kind == "broken")


def _is_obeyed(name: str, context: Context, before: str) -> bool:
    """Whether a tag of this name is more than spoken of."""
    if context.intent is Intent.PICTURE:
        return True
    in_code = before[-1:].isascii() and before[-1:].isalnum()  # List<Image>
    return context.intent is not Intent.MARKUP and not in_code and (name in OURS or context.intent is not Intent.WORDS)
