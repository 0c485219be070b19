"""What models write instead of tags: a tool call among the words, the address of a picture that is not there. Pure."""

from typing import Any

import regex

from bot.domain import Operation
from bot.intent import Context, Intent
from bot.markup import INVENTED, LONGEST_ADDRESS, Zone, rule
from bot.opened import Opened, Outcome, Step
from bot.tools import CALLED, written_calls
from bot.utterance import Way
from bot.wishes import is_placeholder, request_of

# What is left behind a call in a block of code, and behind a picture that was a link
_FENCE_ENDS = regex.compile(r"\s{0,3}```(?=[^`])").match
_LINK_ENDS = regex.compile(r"\]\([^()\n]{0,500}\)").match


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


def call_over(call: Opened, context: Context) -> Outcome:
    """What a written tool call asks for. One that only looked like a call is read again, as words."""
    payload = "".join(call.kept)
    meant = context.intent is Intent.PICTURE
    if call.weak and not meant:
        meant = context.intent is Intent.UNCLEAR and bool(call.name or CALLED.search(payload))
    asked = tuple(written_calls(payload, call.name, context.pictures)) if meant or not call.weak else ()
    if call.weak and not asked:
        return Outcome(again="".join(call.raw))
    return Outcome(asked=asked, way=Way.WRITTEN)


def open_link(thing: Any) -> Step:
    """`![label](` or `[label](`, in front of the address."""
    link = Opened(name=thing["label"], raw=[thing.group()], embed=bool(thing["embed"]))
    link.behind = _LINK_ENDS if thing["frame"] else None
    return Step(thing.end(), Zone.ADDRESS, link)


def in_address(address: Opened, thing: Any, context: Context) -> Step | None:
    """In the address of a picture or of something else."""
    mark, within = thing.group(), address.embed is not None
    if within and mark not in ")\n<":
        return None
    address.raw.pop()
    mark = mark if mark == ")" and within else ""
    return Step(thing.end() if mark else thing.start(), outcome=address_over(address, context, mark))


def address_over(address: Opened, context: Context, mark: str) -> Outcome:
    """What is left of an address, which ends with the `mark`: a chat model can only have invented a picture's."""
    url, label = "".join(address.kept), address.name
    persons_own = bool(url.strip()) and url.split()[0].rstrip(".,;:!?'") in context.text
    invented = not persons_own and (address.size > LONGEST_ADDRESS or bool(INVENTED.match(url)))
    if address.embed and not persons_own:
        request = None if is_placeholder(label) else request_of(Operation.GENERATE, label)
        wanted = context.intent in (Intent.PICTURE, Intent.UNCLEAR)
        label = "" if wanted else label
        return Outcome(asked=(request,), way=Way.PROMOTED) if request and wanted else Outcome(said=label)
    return Outcome(said=label if invented else "".join(address.raw) + mark)
