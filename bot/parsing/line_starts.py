"""Constructs that begin at the start of a line: code block, quotation, label, tool call, invented turn. Pure."""

import re
from typing import Any

from bot.domain import Operation
from bot.parsing.fast_path import answer_start_match, line_start_match, text_search
from bot.parsing.image_request import find_operation
from bot.parsing.intent import Intent, ParserContext
from bot.parsing.patterns import (
    LINE_START,
    MAX_BLOCK_LENGTH,
    MAX_CALL_LENGTH,
    OWN_LABEL,
    Zone,
    rule_name,
    speaker_matcher,
)
from bot.parsing.state import OpenConstruct, ParseResult, RequestOrigin, Transition

_MENTIONS_DIALOGUE = re.compile(
    r"\b(?:users?|humans?|dialogue|conversation|script|transcript|interview)\b", re.IGNORECASE
)
MAX_ECHO_LENGTH = 40  # characters that identify the user's own message

_EXAMPLE = re.compile(  # text before a code block that only shows syntax
    r"\b(?:like (?:this|so)|use this|this way|writ(?:e|ing)|typ(?:e|ing)|syntax|format|mark-?up|examples?|wrap"
    r"|looks? like|instead of)\b[^\n]{0,60}\s*\Z",
    re.IGNORECASE,
)


class LineStarts:
    """Recognizes the start of lines in the answer to one message."""

    def __init__(self, context: ParserContext, reads_code_blocks: bool = True) -> None:
        """`reads_code_blocks` means that a code block may hold requests."""
        self._initials = frozenset(name[0] for name in context.user_names if name)
        self.text_search = text_search(self._initials)
        self._context = context
        self._reads_code_blocks = reads_code_blocks
        self._speaker = speaker_matcher(context.user_names)

    def find_candidate(self, text: str, at: int, is_blank: bool) -> re.Match[str] | None:
        """Search quickly for a construct at this position; None if the line begins as plain text."""
        return (answer_start_match if is_blank else line_start_match)(self._initials)(text, at)

    def parse_start(
        self, text: str, at: int, is_final: bool, is_blank: bool, has_requests: bool, before: str
    ) -> Transition | None:
        """Return the transition at the start of a line; None if more text is needed to decide.

        `is_blank` while the answer has no text, `has_requests` once it has requested an image. `before` is the end of
        the text in front of the line.
        """
        own = OWN_LABEL(text, at, partial=not is_final) if is_blank else None
        speaker = self._speaker(text, at, partial=not is_final)
        line_start = LINE_START(text, at, partial=not is_final)
        if any(found is not None and found.partial for found in (own, speaker, line_start)):
            return None
        if own is not None:
            return Transition(own.end(), starts_line=True)
        if speaker is not None and self._is_invented_turn(speaker.group(), has_requests):
            return Transition(at, Zone.ECHO) if is_blank else self._step_at_turn(text, speaker.end(), is_final)
        return (
            Transition(at)
            if line_start is None
            else self._step_at_construct(line_start, is_blank, has_requests, before)
        )

    def _is_invented_turn(self, label: str, has_requests: bool) -> bool:
        """Whether the label begins a turn of a user that the model invented."""
        if label.strip("*_#[]:： ").lower() in ("user", "human"):
            return not _MENTIONS_DIALOGUE.search(self._context.text)
        return has_requests

    def _step_at_turn(self, text: str, at: int, is_final: bool) -> Transition | None:
        """End the answer at an invented turn; if the turn repeats the user's message, retract the text before it."""
        own, start = self._context.text.strip()[:MAX_ECHO_LENGTH], text[at : at + MAX_ECHO_LENGTH + 1].lstrip(" ")
        if own and start.startswith(own):
            return Transition(at, Zone.ECHO, retracts=True)
        return Transition(at, Zone.AFTER_TURN) if is_final or not own.startswith(start) else None

    def _step_at_construct(self, found: Any, is_blank: bool, has_requests: bool, before: str) -> Transition:
        start, end, raw = found.start(), found.end(), found.group()
        wanted = self._context.intent is Intent.PICTURE
        match rule_name(found):
            case "fence" if wanted and self._may_hold_request(before):
                return Transition(end, Zone.BLOCK, OpenConstruct(quote=found["run"], raw=[raw], limit=MAX_BLOCK_LENGTH))
            case "fence":
                return Transition(end, Zone.FENCE, OpenConstruct(quote=found["run"]), ParseResult(raw))
            case "quotation":
                return Transition(end, Zone.QUOTATION, result=ParseResult(raw))
            case "span" if wanted and self._may_hold_request(before):
                return Transition(
                    end, Zone.BLOCK, OpenConstruct(raw=[raw], content=[found["inside"]], ends_with_line=True)
                )
            case "prompt" if wanted:
                return Transition(
                    end, Zone.BODY, OpenConstruct(ends_with_line=True, form=RequestOrigin.INFERRED, raw=[raw])
                )
            case "react" if wanted:
                operation = find_operation(found["tool"]) or Operation.GENERATE
                return Transition(
                    end,
                    Zone.BODY,
                    OpenConstruct(operation, ends_with_line=True, form=RequestOrigin.WRITTEN_CALL, raw=[raw]),
                )
            case "aside" if wanted and (is_blank or has_requests):
                return Transition(end, Zone.ECHO)
            case "python" if self._context.intent is not Intent.MARKUP:
                call = OpenConstruct(name=found["tool"], is_uncertain=True, limit=MAX_CALL_LENGTH)
                return Transition(start, Zone.CALL, call)
            case "reference":
                return Transition(end, Zone.ADDRESS, OpenConstruct(raw=[raw]))
            case _:
                return Transition(start)

    def _may_hold_request(self, before: str) -> bool:
        """Whether a code block after this text can hold requests, and not only show syntax."""
        return self._reads_code_blocks and not _EXAMPLE.search(before)
