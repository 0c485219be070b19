"""Image requests that models write instead of tags: tool calls in the text, and invented image addresses. Pure."""

from typing import Any

import regex

from bot.domain import Operation
from bot.parsing.image_request import is_placeholder, make_image_request
from bot.parsing.intent import Intent, ParserContext
from bot.parsing.patterns import INVENTED_ADDRESS, MAX_ADDRESS_LENGTH, Zone, rule_name
from bot.parsing.state import OpenConstruct, ParseResult, RequestOrigin, Transition
from bot.parsing.tool_calls import TOOL_NAME, parse_written_call

# Text to skip: the fence after a call in a code block, and the rest of a link around an image
_FENCE_ENDS = regex.compile(r"\s{0,3}```(?=[^`])").match
_LINK_ENDS = regex.compile(r"\]\([^()\n]{0,500}\)").match


def step_in_call(call: OpenConstruct, found: Any, context: ParserContext) -> Transition | None:
    """Return the transition within a tool call in the text, which ends with its last bracket; None for plain text."""
    mark = found.group()
    match rule_name(found):
        case "closing" if not call.quote:
            return Transition(found.end(), result=end_call(call, context))
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
    call.content.append(mark)
    call.size += len(mark)
    if rule_name(found) != "ends" or call.depth:
        return Transition(found.end(), Zone.CALL)
    if "```" in "".join(call.content):
        call.trailing_match = _FENCE_ENDS
    return Transition(found.end(), result=end_call(call, context))


def end_call(call: OpenConstruct, context: ParserContext) -> ParseResult:
    """Return the result of a tool call in the text. An uncertain call without requests is parsed again as text."""
    payload = "".join(call.content)
    meant = context.intent is Intent.PICTURE
    if call.is_uncertain and not meant:
        meant = context.intent is Intent.UNCLEAR and bool(call.name or TOOL_NAME.search(payload))
    asked = (
        tuple(parse_written_call(payload, call.name, context.last_picture_number))
        if meant or not call.is_uncertain
        else ()
    )
    if call.is_uncertain and not asked:
        return ParseResult(text_to_reparse="".join(call.raw))
    return ParseResult(requests=asked, form=RequestOrigin.WRITTEN_CALL)


def open_link(found: Any) -> Transition:
    """Open a link at `![label](` or `[label](`, before its address."""
    link = OpenConstruct(name=found["label"], raw=[found.group()], embed=bool(found["embed"]))
    link.trailing_match = _LINK_ENDS if found["frame"] else None
    return Transition(found.end(), Zone.ADDRESS, link)


def step_in_address(address: OpenConstruct, found: Any, context: ParserContext) -> Transition | None:
    """Return the transition within an address; None if the match belongs to the address."""
    mark, within = found.group(), address.embed is not None
    if within and mark not in ")\n<":
        return None
    address.raw.pop()
    mark = mark if mark == ")" and within else ""
    return Transition(found.end() if mark else found.start(), result=end_address(address, context, mark))


def end_address(address: OpenConstruct, context: ParserContext, mark: str) -> ParseResult:
    """Return the result of an address that ends with `mark`.

    The chat model can only have invented the address of an image, unless the user wrote it: the label becomes an image
    request or stays as text.
    """
    url, label = "".join(address.content), address.name
    persons_own = bool(url.strip()) and url.split()[0].rstrip(".,;:!?'") in context.text
    invented = not persons_own and (address.size > MAX_ADDRESS_LENGTH or bool(INVENTED_ADDRESS.match(url)))
    if address.embed and not persons_own:
        request = None if is_placeholder(label) else make_image_request(Operation.GENERATE, label)
        wanted = context.intent in (Intent.PICTURE, Intent.UNCLEAR)
        label = "" if wanted else label
        return (
            ParseResult(requests=(request,), form=RequestOrigin.INFERRED)
            if request and wanted
            else ParseResult(text=label)
        )
    return ParseResult(text=label if invented else "".join(address.raw) + mark)
