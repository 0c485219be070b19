"""The model's stream of characters -> `Text` and `ImageRequest`. Pure and incremental.

A tag is `<image>words</image>`, `<edit of="2">words</edit>`, `<vary of="2"/>`, `<select of="2"/>` or
`<refine of="2">words</refine>`. Models write it in many other ways, which `bot.markup` lists; what can be understood
is, and what cannot is never shown. Inside code and quotations a tag is only spoken of, and stays text.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, assert_never

from bot.domain import ImageRequest, Text
from bot.glance import Look
from bot.intent import Context
from bot.lines import Lines
from bot.markup import CALLS, END, MARKUP, MAY_BE_MEANT, Zone
from bot.opened import Opened, Outcome, Step
from bot.prose import block_over, ends_block, in_text
from bot.tagged import Ending, in_tag, name_over, tag_over
from bot.tools import requests
from bot.utterance import Event, Utterance, Way
from bot.written import address_over, call_over, in_address, in_call

__all__ = ["Context", "Event", "TagParser"]

_SAYING = frozenset({Zone.TEXT, Zone.QUOTATION, Zone.FENCE})  # where what is read is said
_GATHERING = frozenset({Zone.BODY, Zone.TAG, Zone.VALUE, Zone.CALL, Zone.ADDRESS, Zone.BLOCK})  # where it is kept
_TEXT = Zone.TEXT  # by far the most frequent; and Python looks up the members of an `Enum` slowly
_BREAKS = "\n" + END
_BEHIND = 100  # characters that have been read, and may tell how the next are meant

_ANYTHING = Context()
_NOTHING = Opened()


class TagParser:
    """Feed it the answer piece by piece; however it is cut, the same words and requests come out."""

    def __init__(self, context: Context = _ANYTHING) -> None:
        self._context = context
        self._lines = Lines(context)
        self._answer = Utterance()
        self._zone = Zone.THOUGHTS if context.thinks_first else Zone.TEXT
        self._thinks_first = context.thinks_first  # so that its thoughts may be all there is
        self._thoughts: list[str] = []
        self._open = _NOTHING
        self._behind: Callable[..., Any] | None = None  # matches what goes with the thing that has just ended
        self._line_start = True
        self._buffer, self._at = "", 0
        self._read: list[str] = []  # what came before the buffer, the last of it
        self._doubted = 0  # up to there in the buffer no call is looked for: one turned out to be none
        self._final = False
        self._special: Look | None = None  # finds what is special, if there is nothing else to heed
        self._says = True  # what is plain is said

    def feed(self, chunk: str) -> list[Event]:
        """What the next piece of the answer completes."""
        if self._buffer:
            chunk, self._buffer = self._buffer + chunk, ""
        if self._special and chunk:
            found = self._special(chunk)
            if found is None and self._says:  # most pieces are nothing but words
                self._read.append(chunk)
                return [Text(chunk)]
            if (found is None or found.lastindex) and self._open.has_room(chunk):
                return self._hear(chunk, found)
        self._buffer = chunk.replace(END, "") if END in chunk else chunk
        self._scan()
        return self._answer.fetch()

    def _hear(self, chunk: str, held: re.Match[str] | None) -> list[Event]:
        """Words that are kept, or that end in what waits for more."""
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
        """The model called a tool here. What it left open in its words is closed, as at the end of the answer."""
        self._thoughts.clear()
        self._thinks_first = False
        self._close()
        self._zone, self._open, self._behind, self._line_start, self._final = Zone.TEXT, _NOTHING, None, True, False
        self._special = None  # a line begins here, and is to be read closely
        for request in requests(name, arguments, self._context.pictures):
            self._answer.order(request, Way.CALLED)
            self._answer.stand()
        return self._answer.fetch()

    def end(self) -> list[Event]:
        """What is left when the answer is over: a tag still open counts as closed, one cut in its name is dropped."""
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
        """Take the next thing from the buffer; False if more must come before it is known what it is."""
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
        """The last characters in front of a place in the buffer."""
        if at >= _BEHIND:
            return self._buffer[at - _BEHIND : at]
        return ("".join(self._read) + self._buffer[:at])[-_BEHIND:]

    # What is in the buffer

    def _takes(self, thing: Any) -> bool:
        """Go on behind the thing if it is what it looks like."""
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
        """Leave out what belongs to the thing that has just ended, such as the second `**` around a tag."""
        assert self._behind
        thing = self._behind(self._buffer, self._at, partial=not self._final)
        if thing is not None and thing.partial:
            return False
        self._behind = None
        if thing is not None:
            self._at = thing.end()
        return True

    def _go(self, step: Step, before: str = "") -> None:
        """Take the step; `before` is what was written in front of it."""
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
        """What was open is over."""
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
        """The last of what was read was not what it was read as."""
        if self._at >= len(text):
            self._at -= len(text)
        else:
            self._doubted += len(text) - self._at if self._doubted > self._at else -self._doubted
            self._buffer, self._at = text + self._buffer[self._at :], 0
            self._read = [(thing.before + "".join(thing.raw)).removesuffix(text)[-_BEHIND:]]

    def _keep(self, text: str) -> None:
        """What stands between two things."""
        if self._zone in _SAYING:
            self._say(text)
            self._line_start = False  # if a line begins behind it, it begins as nothing but words
        elif self._zone in _GATHERING:
            self._open.gather(text)
        elif self._zone is Zone.THOUGHTS:
            self._thoughts.append(text)

    def _say(self, text: str) -> None:
        if text:
            self._answer.say(text)
            self._line_start = text[-1] == "\n" and self._zone is _TEXT

    # Blocks of code, and the end

    def _in_block(self, thing: Any) -> Step | None:
        if not ends_block(self._open, thing):
            return None
        return Step(thing.end(), outcome=Outcome(thing.group()) if self._zone is Zone.FENCE else self._block_over())

    def _block_over(self) -> Outcome:
        inside = "".join(self._open.kept)
        return block_over(self._open, _inside(inside, self._context) if MAY_BE_MEANT(inside) else [])

    def _overflow(self) -> None:
        """What was being read is too long for what it began as."""
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
        """The answer is over: what is open is closed, and then the rest is looked at once more."""
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
        """Thoughts are all there is: they may be the answer, and a tool call that is written out in them is meant."""
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
    """What a part of the answer says by itself."""
    parser = TagParser(context)
    parser._lines = Lines(context, looks_inside=False)
    return [*parser.feed(text), *parser.end()]
