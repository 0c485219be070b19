"""The incremental parser that turns the answer of the chat model into `Text` and `ImageRequest`. Pure.

A tag is `<image>words</image>`, `<edit of="2">words</edit>`, `<vary of="2"/>`, `<select of="2"/>` or
`<refine of="2">words</refine>`. Models write tags in many other ways, which `bot.parsing.patterns` lists. The parser
accepts all of these, and removes markup that it cannot interpret. A tag inside code or a quotation is a mention, and
stays text.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, assert_never

from bot.domain import ImageRequest, Text
from bot.parsing.fast_path import Look
from bot.parsing.inline import block_over, ends_block, in_text
from bot.parsing.intent import Context
from bot.parsing.line_starts import Lines
from bot.parsing.patterns import CALLS, END, MARKUP, MAY_BE_MEANT, Zone
from bot.parsing.state import Opened, Outcome, Step
from bot.parsing.tag import Ending, in_tag, name_over, tag_over
from bot.parsing.tool_calls import requests
from bot.parsing.written_calls import address_over, call_over, in_address, in_call
from bot.utterance import Event, Utterance, Way

__all__ = ["Context", "Event", "TagParser"]

_SAYING = frozenset({Zone.TEXT, Zone.QUOTATION, Zone.FENCE})  # zones whose text the user sees
# Zones whose text the construct collects
_GATHERING = frozenset({Zone.BODY, Zone.TAG, Zone.VALUE, Zone.CALL, Zone.ADDRESS, Zone.BLOCK})
_TEXT = Zone.TEXT  # the most frequent zone by far, and access to members of an `Enum` is slow
_BREAKS = "\n" + END
_BEHIND = 100  # characters before a construct that help to classify it

_ANYTHING = Context()
_NOTHING = Opened()


class TagParser:
    """Parses an answer piece by piece; the text and the requests do not depend on where the pieces are cut."""

    def __init__(self, context: Context = _ANYTHING) -> None:
        self._context = context
        self._lines = Lines(context)
        self._answer = Utterance()
        self._zone = Zone.THOUGHTS if context.thinks_first else Zone.TEXT
        self._thinks_first = context.thinks_first  # so that the whole answer may be in the reasoning
        self._thoughts: list[str] = []
        self._open = _NOTHING
        self._behind: Callable[..., Any] | None = None  # text to skip after the construct that has just ended
        self._line_start = True
        self._buffer, self._at = "", 0
        self._read: list[str] = []  # the last text before the buffer
        self._doubted = 0  # position in the buffer before which no tool call begins: one was ruled out
        self._final = False
        self._special: Look | None = None  # finds markup in the next piece; None: parse it slowly
        self._says = True  # plain text goes to the user

    def feed(self, chunk: str) -> list[Event]:
        """Return the events that the next piece of the answer completes."""
        if self._buffer:
            chunk, self._buffer = self._buffer + chunk, ""
        if self._special and chunk:
            found = self._special(chunk)
            if found is None and self._says:  # most pieces are plain text
                self._read.append(chunk)
                return [Text(chunk)]
            if (found is None or found.lastindex) and self._open.has_room(chunk):
                return self._hear(chunk, found)
        self._buffer = chunk.replace(END, "") if END in chunk else chunk
        self._scan()
        return self._answer.fetch()

    def _hear(self, chunk: str, held: re.Match[str] | None) -> list[Event]:
        """Take a piece of plain text, whose end may be incomplete markup that waits for more."""
        if held is not None:
            chunk, self._buffer = chunk[: held.start()], chunk[held.start() :]
        if not chunk:
            return []
        self._read.append(chunk)
        if self._says:
            return [Text(chunk)]
        self._keep(chunk)
        return []

    def call(self, name: str, arguments: str) -> list[Event]:
        """Return the events of a native tool call. An open construct is closed first, as at the end of the answer."""
        self._thoughts.clear()
        self._thinks_first = False
        self._close()
        self._zone, self._open, self._behind, self._line_start, self._final = Zone.TEXT, _NOTHING, None, True, False
        self._special = None  # a line begins here, so that the fast search does not suffice
        for request in requests(name, arguments, self._context.pictures):
            self._answer.order(request, Way.CALLED)
            self._answer.stand()
        return self._answer.fetch()

    def end(self) -> list[Event]:
        """Return the last events. An open tag counts as closed; a tag that is cut off within its name is dropped."""
        self._close()
        return self._answer.fetch()

    def _close(self) -> None:
        self._buffer += END
        self._final = True
        self._scan()

    def _scan(self) -> None:
        while self._at < len(self._buffer) and self._step():
            pass
        if self._at:
            self._read.append(self._buffer[: self._at])
            if len(self._read) > _BEHIND:
                self._read = ["".join(self._read)[-_BEHIND:]]
            self._buffer = self._buffer[self._at :]
            self._doubted = max(self._doubted - self._at, 0)
            self._at = 0
        self._says = self._zone in _SAYING
        heeds = self._behind or self._doubted or (self._says and (self._line_start or self._answer.silent))
        self._special = None if heeds else self._looks()

    def _looks(self) -> Look:
        if self._zone is _TEXT and not self._answer.silent:
            return self._lines.special
        return MARKUP[self._zone].special

    def _step(self) -> bool:
        """Take the next construct or text from the buffer; False if more text is needed to decide."""
        buffer, zone = self._buffer, self._zone
        if zone is _TEXT and (self._behind or (self._line_start and buffer[self._at] not in _BREAKS)):
            return self._go_behind() if self._behind else self._begin_line()
        markup, special = MARKUP[zone], self._looks()(buffer, self._at)
        stop = special.start() if special else len(buffer)
        if limit := self._open.limit:
            stop = min(stop, self._at + limit - self._open.size)
        if stop > self._at:
            self._keep(buffer[self._at : stop])
            self._at = stop
        if limit and self._open.size >= limit:
            self._overflow()
        elif special is None or special.lastindex:
            return False
        elif (mark := buffer[stop]) == END:
            self._finish()
        elif mark == "\n" and zone is _TEXT:
            self._at = stop + 1
            self._say(mark)
        elif mark == "\n" and self._open.line and zone is Zone.BODY:
            self._end(tag_over(self._open, self._context, Ending.CLOSED))
        else:
            thing = markup.match(buffer, stop, partial=not self._final)
            if thing is not None and thing.partial:
                return False
            if thing is None and self._final and markup.is_cut_off(buffer[stop:-1], 1 if zone is Zone.BODY else 3):
                self._at = len(buffer) - 1
            elif thing is None or not self._takes(thing):
                self._keep(mark)
                self._at = stop + 1
        return True

    def _before(self, at: int) -> str:
        """Return the last characters before a position in the buffer, at most 100."""
        if at >= _BEHIND:
            return self._buffer[at - _BEHIND : at]
        return ("".join(self._read) + self._buffer[:at])[-_BEHIND:]

    # Constructs in the buffer

    def _takes(self, thing: Any) -> bool:
        """Apply the transition of a matched construct; False if the match is plain text."""
        opened, before = self._open, ""
        if gathers := self._zone in _GATHERING:
            opened.raw.append(thing.group())
        match self._zone:
            case Zone.TEXT:
                before = self._before(thing.start())
                step = in_text(thing, self._context, before)
            case Zone.TAG | Zone.VALUE | Zone.BODY:
                step = in_tag(self._zone, opened, thing, self._context)
            case Zone.CALL:
                step = in_call(opened, thing, self._context)
            case Zone.ADDRESS:
                step = in_address(opened, thing, self._context)
            case Zone.FENCE | Zone.BLOCK:
                step = self._in_block(thing)
            case Zone.QUOTATION:
                step = Step(thing.end(), outcome=Outcome(thing.group()), anew=True)
            case Zone.THOUGHTS | Zone.ECHO:
                self._thoughts.clear()
                self._thinks_first = False
                step = Step(thing.end(), anew=True)
            case Zone.OVER:
                step = None
            case _:
                assert_never(self._zone)
        if step is None or (step.opened and step.opened.weak and self._at < self._doubted):
            if gathers:
                opened.raw.pop()
            return False
        self._go(step, before)
        return True

    def _begin_line(self) -> bool:
        answer, at = self._answer, self._at
        lines, silent = self._lines, answer.silent
        begins = lines.glance(self._buffer, at, silent)
        if begins is None:
            self._line_start = False
            return True
        if begins.lastindex:
            return False
        before = self._before(at)
        step = lines.beginning(self._buffer, at, self._final, silent, answer.has_asked, before)
        if step is None:
            return False
        self._line_start = False
        if not (step.opened and step.opened.weak and at < self._doubted):
            self._go(step, before)
            if self._open.line and step.zone is Zone.BLOCK:
                self._end(self._block_over())
        return True

    def _go_behind(self) -> bool:
        """Skip text that belongs to the construct that has just ended, such as the second `**` around a tag."""
        assert self._behind
        thing = self._behind(self._buffer, self._at, partial=not self._final)
        if thing is not None and thing.partial:
            return False
        self._behind = None
        if thing is not None:
            self._at = thing.end()
        return True

    def _go(self, step: Step, before: str = "") -> None:
        """Apply a transition; `before` is the text in front of its construct."""
        if step.opened:
            step.opened.before = before
        self._at = step.at
        if step.recants:
            self._answer.recant()
        if step.outcome:
            self._end(step.outcome)
        self._zone = step.zone
        if step.opened:
            self._open = step.opened
        if step.anew:
            self._line_start = True

    def _end(self, outcome: Outcome) -> None:
        """End the open construct and emit its result."""
        zone, thing = self._zone, self._open
        self._zone, self._open, self._behind = _TEXT, _NOTHING, thing.behind
        self._say(outcome.said)
        for request in outcome.asked:
            self._answer.order(request, outcome.way)
            self._line_start = False
        if outcome.again:
            self._behind = None
            self._go_back(thing, outcome.again)
            if zone is Zone.CALL:
                self._doubted = self._at + len(outcome.again)

    def _go_back(self, thing: Opened, text: str) -> None:
        """Put text back into the buffer: it belongs to no construct, and is parsed again."""
        if self._at >= len(text):
            self._at -= len(text)
        else:
            self._doubted += len(text) - self._at if self._doubted > self._at else -self._doubted
            self._buffer, self._at = text + self._buffer[self._at :], 0
            self._read = [(thing.before + "".join(thing.raw)).removesuffix(text)[-_BEHIND:]]

    def _keep(self, text: str) -> None:
        """Emit or store the text between two constructs, depending on the zone."""
        if self._zone in _SAYING:
            self._say(text)
            self._line_start = False  # even if the text ends a line, the next line begins as plain text
        elif self._zone in _GATHERING:
            self._open.gather(text)
        elif self._zone is Zone.THOUGHTS:
            self._thoughts.append(text)

    def _say(self, text: str) -> None:
        if text:
            self._answer.say(text)
            self._line_start = text[-1] == "\n" and self._zone is _TEXT

    # Code blocks, and the end of the answer

    def _in_block(self, thing: Any) -> Step | None:
        if not ends_block(self._open, thing):
            return None
        return Step(thing.end(), outcome=Outcome(thing.group()) if self._zone is Zone.FENCE else self._block_over())

    def _block_over(self) -> Outcome:
        inside = "".join(self._open.kept)
        return block_over(self._open, _inside(inside, self._context) if MAY_BE_MEANT(inside) else [])

    def _overflow(self) -> None:
        """Abandon a construct that is longer than its limit."""
        thing = self._open
        match self._zone:
            case Zone.BODY:
                self._end(tag_over(thing, self._context, Ending.BROKEN))
            case Zone.CALL:
                self._end(Outcome(again="".join(thing.raw) if thing.weak else ""))
            case _:
                self._end(Outcome("".join(thing.raw)))
                self._zone, self._open = Zone.FENCE, Opened(quote=thing.quote)

    def _finish(self) -> None:
        """Close the open construct at the end of the answer; the remaining text is parsed again."""
        thing, context = self._open, self._context
        match self._zone:
            case Zone.TAG | Zone.VALUE:
                self._end(name_over(thing, context))
            case Zone.BODY:
                self._end(tag_over(thing, context, Ending.CLOSED if thing.line else Ending.BROKEN))
            case Zone.CALL:
                self._end(call_over(thing, context))
            case Zone.ADDRESS:
                self._end(address_over(thing, context, ""))
            case Zone.BLOCK:
                self._end(self._block_over())
            case _:
                self._at += 1
                if self._zone is Zone.THOUGHTS and self._answer.silent:
                    self._say_thoughts()

    def _say_thoughts(self) -> None:
        """Emit an answer that is only reasoning: all of it, or only its tool calls if there was an opening tag."""
        thoughts, all_of_it = "".join(self._thoughts), self._thinks_first
        if not all_of_it:
            begins = max((found.start() for found in CALLS(thoughts)), default=len(thoughts))
            thoughts = thoughts[begins:]
        for event in _inside(thoughts, replace(self._context, thinks_first=False)):
            if isinstance(event, ImageRequest):
                self._answer.order(event, Way.TAG if all_of_it else Way.WRITTEN)
            elif isinstance(event, Text) and all_of_it:
                self._answer.say(event.markdown)


def _inside(text: str, context: Context) -> list[Event]:
    """Parse a part of the answer on its own, without requests in code blocks."""
    parser = TagParser(context)
    parser._lines = Lines(context, looks_inside=False)
    return [*parser.feed(text), *parser.end()]
