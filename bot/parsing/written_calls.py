"""Image requests that models write instead of tags: tool calls in the text, and invented image addresses. Pure."""

from typing import Any

import regex

from bot.domain import Operation
from bot.parsing.image_request import is_placeholder, request_of
from bot.parsing.intent import Context, Intent
from bot.parsing.patterns import INVENTED, LONGEST_ADDRESS, Zone, rule
from bot.parsing.state import Opened, Outcome, Step
from bot.parsing.tool_calls import CALLED, written_calls
from bot.utterance import Way

# Text to skip: the fence after a call in a code block, and the rest of a link around an image
_FENCE_ENDS = regex.compile(r"\s{0,3}```(?=[^`])").match
_LINK_ENDS = regex.compile(r"\]\([^()\n]{0,500}\)").match


def in_call(call: Opened, thing: Any, context: Context) -> Step | None:
    """Return the transition within a tool call in the text, which ends with its last bracket; None for plain text."""
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


def call_over(call: Opened, context: Context) -> Outcome:
    """Return the result of a tool call in the text. An uncertain call without requests is parsed again as text."""
    payload = "".join(call.kept)
    meant = context.intent is Intent.PICTURE
    if call.weak and not meant:
        meant = context.intent is Intent.UNCLEAR and bool(call.name or CALLED.search(payload))
    asked = tuple(written_calls(payload, call.name, context.pictures)) if meant or not call.weak else ()
    if call.weak and not asked:
        return Outcome(again="".join(call.raw))
    return Outcome(asked=asked, way=Way.WRITTEN)


def open_link(thing: Any) -> Step:
    """Open a link at `![label](` or `[label](`, before its address."""
    link = Opened(name=thing["label"], raw=[thing.group()], embed=bool(thing["embed"]))
    link.behind = _LINK_ENDS if thing["frame"] else None
    return Step(thing.end(), Zone.ADDRESS, link)


def in_address(address: Opened, thing: Any, context: Context) -> Step | None:
    """Return the transition within an address; None if the match belongs to the address."""
    mark, within = thing.group(), address.embed is not None
    if within and mark not in ")\n<":
        return None
    address.raw.pop()
    mark = mark if mark == ")" and within else ""
    return Step(thing.end() if mark else thing.start(), outcome=address_over(address, context, mark))


def address_over(address: Opened, context: Context, mark: str) -> Outcome:
    """Return the result of an address that ends with `mark`.

    The chat model can only have invented the address of an image, unless the user wrote it: the label becomes an image
    request or stays as text.
    """
    url, label = "".join(address.kept), address.name
    persons_own = bool(url.strip()) and url.split()[0].rstrip(".,;:!?'") in context.text
    invented = not persons_own and (address.size > LONGEST_ADDRESS or bool(INVENTED.match(url)))
    if address.embed and not persons_own:
        request = None if is_placeholder(label) else request_of(Operation.GENERATE, label)
        wanted = context.intent in (Intent.PICTURE, Intent.UNCLEAR)
        label = "" if wanted else label
        return Outcome(asked=(request,), way=Way.PROMOTED) if request and wanted else Outcome(said=label)
    return Outcome(said=label if invented else "".join(address.raw) + mark)
