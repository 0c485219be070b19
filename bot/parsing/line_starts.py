"""Constructs that begin at the start of a line: code block, quotation, label, tool call, invented turn. Pure."""

import re
from typing import Any

from bot.domain import Operation
from bot.parsing.fast_path import among_words, beginning_of_answer, beginning_of_line
from bot.parsing.image_request import operation_named
from bot.parsing.intent import Context, Intent
from bot.parsing.patterns import LINE, LONGEST_BLOCK, LONGEST_CALL, OWN_LABEL, Zone, rule, speakers
from bot.parsing.state import Opened, Outcome, Step
from bot.utterance import Way

_SPEAKS_OF_TURNS = re.compile(
    r"\b(?:users?|humans?|dialogue|conversation|script|transcript|interview)\b", re.IGNORECASE
)
LONGEST_ECHO = 40  # characters that identify the user's own message

_EXAMPLE = re.compile(  # text before a code block that only shows syntax
    r"\b(?:like (?:this|so)|use this|this way|writ(?:e|ing)|typ(?:e|ing)|syntax|format|mark-?up|examples?|wrap"
    r"|looks? like|instead of)\b[^\n]{0,60}\s*\Z",
    re.IGNORECASE,
)


class Lines:
    """Recognizes the start of lines in the answer to one message."""

    def __init__(self, context: Context, looks_inside: bool = True) -> None:
        """`reads_code_blocks` means that a code block may hold requests."""
        self._initials = frozenset(name[0] for name in context.names if name)
        self.special = among_words(self._initials)
        self._context = context
        self._looks_inside = looks_inside
        self._speaker = speakers(context.names)

    def glance(self, text: str, at: int, silent: bool) -> re.Match[str] | None:
        """Search quickly for a construct at this position; None if the line begins as plain text."""
        return (beginning_of_answer if silent else beginning_of_line)(self._initials)(text, at)

    def beginning(self, text: str, at: int, final: bool, silent: bool, asked: bool, before: str) -> Step | None:
        """Return the transition at the start of a line; None if more text is needed to decide.

        `is_blank` while the answer has no text, `has_requests` once it has requested an image. `before` is the end of
        the text in front of the line.
        """
        own = OWN_LABEL(text, at, partial=not final) if silent else None
        speaker = self._speaker(text, at, partial=not final)
        thing = LINE(text, at, partial=not final)
        if any(found is not None and found.partial for found in (own, speaker, thing)):
            return None
        if own is not None:
            return Step(own.end(), anew=True)
        if speaker is not None and self._is_anothers(speaker.group(), asked):
            return Step(at, Zone.ECHO) if silent else self._turn(text, speaker.end(), final)
        return Step(at) if thing is None else self._begun(thing, silent, asked, before)

    def _is_anothers(self, label: str, asked: bool) -> bool:
        """Whether the label begins a turn of a user that the model invented."""
        if label.strip("*_#[]:： ").lower() in ("user", "human"):
            return not _SPEAKS_OF_TURNS.search(self._context.text)
        return asked

    def _turn(self, text: str, at: int, final: bool) -> Step | None:
        """End the answer at an invented turn; if the turn repeats the user's message, retract the text before it."""
        own, said = self._context.text.strip()[:LONGEST_ECHO], text[at : at + LONGEST_ECHO + 1].lstrip(" ")
        if own and said.startswith(own):
            return Step(at, Zone.ECHO, recants=True)
        return Step(at, Zone.OVER) if final or not own.startswith(said) else None

    def _begun(self, thing: Any, silent: bool, asked: bool, before: str) -> Step:
        start, end, raw = thing.start(), thing.end(), thing.group()
        wanted = self._context.intent is Intent.PICTURE
        match rule(thing):
            case "fence" if wanted and self._may_mean(before):
                return Step(end, Zone.BLOCK, Opened(quote=thing["run"], raw=[raw], limit=LONGEST_BLOCK))
            case "fence":
                return Step(end, Zone.FENCE, Opened(quote=thing["run"]), Outcome(raw))
            case "quotation":
                return Step(end, Zone.QUOTATION, outcome=Outcome(raw))
            case "span" if wanted and self._may_mean(before):
                return Step(end, Zone.BLOCK, Opened(raw=[raw], kept=[thing["inside"]], line=True))
            case "prompt" if wanted:
                return Step(end, Zone.BODY, Opened(line=True, way=Way.PROMOTED, raw=[raw]))
            case "react" if wanted:
                operation = operation_named(thing["tool"]) or Operation.GENERATE
                return Step(end, Zone.BODY, Opened(operation, line=True, way=Way.WRITTEN, raw=[raw]))
            case "aside" if wanted and (silent or asked):
                return Step(end, Zone.ECHO)
            case "python" if self._context.intent is not Intent.MARKUP:
                call = Opened(name=thing["tool"], weak=True, limit=LONGEST_CALL)
                return Step(start, Zone.CALL, call)
            case "reference":
                return Step(end, Zone.ADDRESS, Opened(raw=[raw]))
            case _:
                return Step(start)

    def _may_mean(self, before: str) -> bool:
        """Whether a code block after this text can hold requests, and not only show syntax."""
        return self._looks_inside and not _EXAMPLE.search(before)
