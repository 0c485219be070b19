"""What a line of an answer begins as: a block of code, a quotation, a label, a call, somebody's turn. Pure."""

import re
from typing import Any

from bot.domain import Operation
from bot.glance import among_words, beginning_of_answer, beginning_of_line
from bot.intent import Context, Intent
from bot.markup import LINE, LONGEST_BLOCK, LONGEST_CALL, OWN_LABEL, Zone, rule, speakers
from bot.opened import Opened, Outcome, Step
from bot.utterance import Way
from bot.wishes import operation_named

_SPEAKS_OF_TURNS = re.compile(
    r"\b(?:users?|humans?|dialogue|conversation|script|transcript|interview)\b", re.IGNORECASE
)
LONGEST_ECHO = 40  # characters by which the person's own turn is known

_EXAMPLE = re.compile(  # in front of a block of code that only shows how something is written
    r"\b(?:like (?:this|so)|use this|this way|writ(?:e|ing)|typ(?:e|ing)|syntax|format|mark-?up|examples?|wrap"
    r"|looks? like|instead of)\b[^\n]{0,60}\s*\Z",
    re.IGNORECASE,
)


class Lines:
    """Tells beginnings of lines in the answers to one message."""

    def __init__(self, context: Context, looks_inside: bool = True) -> None:
        """`looks_inside` tells whether a block of code may hold what is meant."""
        self._initials = frozenset(name[0] for name in context.names if name)
        self.special = among_words(self._initials)
        self._context = context
        self._looks_inside = looks_inside
        self._speaker = speakers(context.names)

    def glance(self, text: str, at: int, silent: bool) -> re.Match[str] | None:
        """What may begin there, at a quick look."""
        return (beginning_of_answer if silent else beginning_of_line)(self._initials)(text, at)

    def beginning(self, text: str, at: int, final: bool, silent: bool, asked: bool, before: str) -> Step | None:
        """What begins there; None if that can only be told when more has come.

        `silent` while the answer has said nothing, `asked` once it asked for a picture; `before` are its last words.
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
        """Whether the model goes on with an invented turn of a person."""
        if label.strip("*_#[]:： ").lower() in ("user", "human"):
            return not _SPEAKS_OF_TURNS.search(self._context.text)
        return asked

    def _turn(self, text: str, at: int, final: bool) -> Step | None:
        """A turn that the model invented ends the answer; if it is the person's own, all before it were examples."""
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
        """Whether what is in a block of code behind these words can be meant, and not only show how it is written."""
        return self._looks_inside and not _EXAMPLE.search(before)
