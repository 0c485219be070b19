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
from bot.parsing.fast_path import SearchFunction
from bot.parsing.inline import end_block, is_block_end, step_in_text
from bot.parsing.intent import ParserContext
from bot.parsing.line_starts import LineStarts
from bot.parsing.patterns import END_MARK, FIND_CALLS, MAY_HOLD_REQUEST, ZONE_RULES, Zone
from bot.parsing.state import Event, EventBuffer, OpenConstruct, ParseResult, RequestOrigin, Transition
from bot.parsing.tag import TagEnd, end_cut_off_tag, end_tag, step_in_tag
from bot.parsing.tool_calls import parse_tool_call
from bot.parsing.written_calls import end_address, end_call, step_in_address, step_in_call

__all__ = ["Event", "ParserContext", "StreamParser"]

_EMITTING_ZONES = frozenset({Zone.TEXT, Zone.QUOTATION, Zone.FENCE})  # zones whose text the user sees
# Zones whose text the construct collects
_GATHERING_ZONES = frozenset({Zone.BODY, Zone.TAG, Zone.VALUE, Zone.CALL, Zone.ADDRESS, Zone.BLOCK})
_TEXT = Zone.TEXT  # the most frequent zone by far, and access to members of an `Enum` is slow
_LINE_BREAKS = "\n" + END_MARK
_LOOKBEHIND = 100  # characters before a construct that help to classify it

_NO_CONTEXT = ParserContext()
_NO_CONSTRUCT = OpenConstruct()


class StreamParser:
    """Parses an answer piece by piece; the text and the requests do not depend on where the pieces are cut."""

    def __init__(self, context: ParserContext = _NO_CONTEXT, *, reads_code_blocks: bool = True) -> None:
        """`reads_code_blocks` says whether requests in code blocks count."""
        self._context = context
        self._line_starts = LineStarts(context, reads_code_blocks)
        self._answer = EventBuffer()
        self._zone = Zone.THOUGHTS if context.thinks_first else Zone.TEXT
        self._may_be_all_thoughts = context.thinks_first  # so that the whole answer may be in the reasoning
        self._thoughts: list[str] = []
        self._construct = _NO_CONSTRUCT
        self._trailing_match: Callable[..., Any] | None = None  # text to skip after the construct that has just ended
        self._line_start = True
        self._buffer, self._at = "", 0
        self._recent_text: list[str] = []  # the last text before the buffer
        self._no_call_before = 0  # position in the buffer before which no tool call begins: one was ruled out
        self._is_final = False
        self._fast_search: SearchFunction | None = None  # finds markup in the next piece; None: parse it slowly
        self._emits_text = True  # plain text goes to the user

    def feed(self, chunk: str) -> list[Event]:
        """Return the events that the next piece of the answer completes."""
        if self._buffer:
            chunk, self._buffer = self._buffer + chunk, ""
        if self._fast_search and chunk:
            found = self._fast_search(chunk)
            if found is None and self._emits_text:  # most pieces are plain text
                self._recent_text.append(chunk)
                return [Text(chunk)]
            if (found is None or found.lastindex) and self._construct.has_room(chunk):
                return self._take_plain_text(chunk, found)
        self._buffer = chunk.replace(END_MARK, "") if END_MARK in chunk else chunk
        self._scan()
        return self._answer.fetch()

    def _take_plain_text(self, chunk: str, incomplete: re.Match[str] | None) -> list[Event]:
        """Take a piece of plain text, whose end may be incomplete markup that waits for more."""
        if incomplete is not None:
            chunk, self._buffer = chunk[: incomplete.start()], chunk[incomplete.start() :]
        if not chunk:
            return []
        self._recent_text.append(chunk)
        if self._emits_text:
            return [Text(chunk)]
        self._store_text(chunk)
        return []

    def feed_call(self, name: str, arguments: str) -> list[Event]:
        """Return the events of a native tool call. An open construct is closed first, as at the end of the answer."""
        self._thoughts.clear()
        self._may_be_all_thoughts = False
        self._close()
        self._zone, self._construct, self._trailing_match, self._line_start, self._is_final = (
            Zone.TEXT,
            _NO_CONSTRUCT,
            None,
            True,
            False,
        )
        self._fast_search = None  # a line begins here, so that the fast search does not suffice
        for request in parse_tool_call(name, arguments, self._context.last_picture_number):
            self._answer.add_request(request, RequestOrigin.TOOL_CALL)
            self._answer.confirm()
        return self._answer.fetch()

    def end(self) -> list[Event]:
        """Return the last events. An open tag counts as closed; a tag that is cut off within its name is dropped."""
        self._close()
        return self._answer.fetch()

    def _close(self) -> None:
        self._buffer += END_MARK
        self._is_final = True
        self._scan()

    def _scan(self) -> None:
        while self._at < len(self._buffer) and self._step():
            pass
        if self._at:
            self._recent_text.append(self._buffer[: self._at])
            if len(self._recent_text) > _LOOKBEHIND:
                self._recent_text = ["".join(self._recent_text)[-_LOOKBEHIND:]]
            self._buffer = self._buffer[self._at :]
            self._no_call_before = max(self._no_call_before - self._at, 0)
            self._at = 0
        self._emits_text = self._zone in _EMITTING_ZONES
        heeds = (
            self._trailing_match
            or self._no_call_before
            or (self._emits_text and (self._line_start or self._answer.is_blank))
        )
        self._fast_search = None if heeds else self._zone_search()

    def _zone_search(self) -> SearchFunction:
        if self._zone is _TEXT and not self._answer.is_blank:
            return self._line_starts.text_search
        return ZONE_RULES[self._zone].search

    def _step(self) -> bool:
        """Take the next construct or text from the buffer; False if more text is needed to decide."""
        buffer, zone = self._buffer, self._zone
        if zone is _TEXT and (self._trailing_match or (self._line_start and buffer[self._at] not in _LINE_BREAKS)):
            return self._skip_trailing_match() if self._trailing_match else self._begin_line()
        markup, special = ZONE_RULES[zone], self._zone_search()(buffer, self._at)
        stop = special.start() if special else len(buffer)
        if limit := self._construct.limit:
            stop = min(stop, self._at + limit - self._construct.size)
        if stop > self._at:
            self._store_text(buffer[self._at : stop])
            self._at = stop
        if limit and self._construct.size >= limit:
            self._abandon_construct()
        elif special is None or special.lastindex:
            return False
        elif (mark := buffer[stop]) == END_MARK:
            self._end_answer()
        elif mark == "\n" and zone is _TEXT:
            self._at = stop + 1
            self._emit_text(mark)
        elif mark == "\n" and self._construct.ends_with_line and zone is Zone.BODY:
            self._end_construct(end_tag(self._construct, self._context, TagEnd.CLOSED))
        else:
            found = markup.match(buffer, stop, partial=not self._is_final)
            if found is not None and found.partial:
                return False
            if found is None and self._is_final and markup.is_cut_off(buffer[stop:-1], 1 if zone is Zone.BODY else 3):
                self._at = len(buffer) - 1
            elif found is None or not self._try_construct(found):
                self._store_text(mark)
                self._at = stop + 1
        return True

    def _text_before(self, at: int) -> str:
        """Return the last characters before a position in the buffer, at most 100."""
        if at >= _LOOKBEHIND:
            return self._buffer[at - _LOOKBEHIND : at]
        return ("".join(self._recent_text) + self._buffer[:at])[-_LOOKBEHIND:]

    # Constructs in the buffer

    def _try_construct(self, found: Any) -> bool:
        """Apply the transition of a matched construct; False if the match is plain text."""
        opened, before = self._construct, ""
        if gathers := self._zone in _GATHERING_ZONES:
            opened.raw.append(found.group())
        match self._zone:
            case Zone.TEXT:
                before = self._text_before(found.start())
                step = step_in_text(found, self._context, before)
            case Zone.TAG | Zone.VALUE | Zone.BODY:
                step = step_in_tag(self._zone, opened, found, self._context)
            case Zone.CALL:
                step = step_in_call(opened, found, self._context)
            case Zone.ADDRESS:
                step = step_in_address(opened, found, self._context)
            case Zone.FENCE | Zone.BLOCK:
                step = self._in_block(found)
            case Zone.QUOTATION:
                step = Transition(found.end(), result=ParseResult(found.group()), starts_line=True)
            case Zone.THOUGHTS | Zone.ECHO:
                self._thoughts.clear()
                self._may_be_all_thoughts = False
                step = Transition(found.end(), starts_line=True)
            case Zone.AFTER_TURN:
                step = None
            case _:
                assert_never(self._zone)
        if step is None or (step.construct and step.construct.is_uncertain and self._at < self._no_call_before):
            if gathers:
                opened.raw.pop()
            return False
        self._apply(step, before)
        return True

    def _begin_line(self) -> bool:
        answer, at = self._answer, self._at
        lines, silent = self._line_starts, answer.is_blank
        begins = lines.find_candidate(self._buffer, at, silent)
        if begins is None:
            self._line_start = False
            return True
        if begins.lastindex:
            return False
        before = self._text_before(at)
        step = lines.parse_start(self._buffer, at, self._is_final, silent, answer.has_requests, before)
        if step is None:
            return False
        self._line_start = False
        if not (step.construct and step.construct.is_uncertain and at < self._no_call_before):
            self._apply(step, before)
            if self._construct.ends_with_line and step.zone is Zone.BLOCK:
                self._end_construct(self._end_block())
        return True

    def _skip_trailing_match(self) -> bool:
        """Skip text that belongs to the construct that has just ended, such as the second `**` around a tag."""
        assert self._trailing_match
        found = self._trailing_match(self._buffer, self._at, partial=not self._is_final)
        if found is not None and found.partial:
            return False
        self._trailing_match = None
        if found is not None:
            self._at = found.end()
        return True

    def _apply(self, transition: Transition, before: str = "") -> None:
        """Apply a transition; `before` is the text in front of its construct."""
        if transition.construct:
            transition.construct.text_before = before
        self._at = transition.position
        if transition.retracts:
            self._answer.retract()
        if transition.result:
            self._end_construct(transition.result)
        self._zone = transition.zone
        if transition.construct:
            self._construct = transition.construct
        if transition.starts_line:
            self._line_start = True

    def _end_construct(self, result: ParseResult) -> None:
        """End the open construct and emit its result."""
        zone, construct = self._zone, self._construct
        self._zone, self._construct, self._trailing_match = _TEXT, _NO_CONSTRUCT, construct.trailing_match
        self._emit_text(result.text)
        for request in result.requests:
            self._answer.add_request(request, result.form)
            self._line_start = False
        if result.text_to_reparse:
            self._trailing_match = None
            self._reparse(construct, result.text_to_reparse)
            if zone is Zone.CALL:
                self._no_call_before = self._at + len(result.text_to_reparse)

    def _reparse(self, construct: OpenConstruct, text: str) -> None:
        """Put text back into the buffer: it belongs to no construct, and is parsed again."""
        if self._at >= len(text):
            self._at -= len(text)
        else:
            self._no_call_before += len(text) - self._at if self._no_call_before > self._at else -self._no_call_before
            self._buffer, self._at = text + self._buffer[self._at :], 0
            self._recent_text = [(construct.text_before + "".join(construct.raw)).removesuffix(text)[-_LOOKBEHIND:]]

    def _store_text(self, text: str) -> None:
        """Emit or store the text between two constructs, depending on the zone."""
        if self._zone in _EMITTING_ZONES:
            self._emit_text(text)
            self._line_start = False  # even if the text ends a line, the next line begins as plain text
        elif self._zone in _GATHERING_ZONES:
            self._construct.gather(text)
        elif self._zone is Zone.THOUGHTS:
            self._thoughts.append(text)

    def _emit_text(self, text: str) -> None:
        if text:
            self._answer.add_text(text)
            self._line_start = text[-1] == "\n" and self._zone is _TEXT

    # Code blocks, and the end of the answer

    def _in_block(self, found: Any) -> Transition | None:
        if not is_block_end(self._construct, found):
            return None
        return Transition(
            found.end(), result=ParseResult(found.group()) if self._zone is Zone.FENCE else self._end_block()
        )

    def _end_block(self) -> ParseResult:
        inside = "".join(self._construct.content)
        return end_block(self._construct, _parse_part(inside, self._context) if MAY_HOLD_REQUEST(inside) else [])

    def _abandon_construct(self) -> None:
        """Abandon a construct that is longer than its limit."""
        construct = self._construct
        match self._zone:
            case Zone.BODY:
                self._end_construct(end_tag(construct, self._context, TagEnd.BROKEN))
            case Zone.CALL:
                self._end_construct(
                    ParseResult(text_to_reparse="".join(construct.raw) if construct.is_uncertain else "")
                )
            case _:
                self._end_construct(ParseResult("".join(construct.raw)))
                self._zone, self._construct = Zone.FENCE, OpenConstruct(quote=construct.quote)

    def _end_answer(self) -> None:
        """Close the open construct at the end of the answer; the remaining text is parsed again."""
        construct, context = self._construct, self._context
        match self._zone:
            case Zone.TAG | Zone.VALUE:
                self._end_construct(end_cut_off_tag(construct, context))
            case Zone.BODY:
                self._end_construct(
                    end_tag(construct, context, TagEnd.CLOSED if construct.ends_with_line else TagEnd.BROKEN)
                )
            case Zone.CALL:
                self._end_construct(end_call(construct, context))
            case Zone.ADDRESS:
                self._end_construct(end_address(construct, context, ""))
            case Zone.BLOCK:
                self._end_construct(self._end_block())
            case _:
                self._at += 1
                if self._zone is Zone.THOUGHTS and self._answer.is_blank:
                    self._emit_thoughts()

    def _emit_thoughts(self) -> None:
        """Emit an answer that is only reasoning: all of it, or only its tool calls if there was an opening tag."""
        thoughts, all_of_it = "".join(self._thoughts), self._may_be_all_thoughts
        if not all_of_it:
            begins = max((found.start() for found in FIND_CALLS(thoughts)), default=len(thoughts))
            thoughts = thoughts[begins:]
        for event in _parse_part(thoughts, replace(self._context, thinks_first=False)):
            if isinstance(event, ImageRequest):
                self._answer.add_request(event, RequestOrigin.TAG if all_of_it else RequestOrigin.WRITTEN_CALL)
            elif isinstance(event, Text) and all_of_it:
                self._answer.add_text(event.markdown)


def _parse_part(text: str, context: ParserContext) -> list[Event]:
    """Parse a part of the answer on its own, without requests in code blocks."""
    parser = StreamParser(context, reads_code_blocks=False)
    return [*parser.feed(text), *parser.end()]
