"""A message -> clauses, and what each one asks of which pictures. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bot.offline_llm.actions import Act, Draw, Edit
from bot.offline_llm.references import pointed
from bot.offline_llm.request_context import RequestContext
from bot.offline_llm.scene_edits import spot_of
from bot.offline_llm.scene_parser import Mention, SceneRequest, parse, understand
from bot.offline_llm.tokenizer import Sort, Token
from bot.offline_llm.vocabulary import MOST

MOST_CLAUSES = 12  # of a message that are read


def clauses(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Split a message into its requests: at full stops, before new verbs, and where a new image begins."""
    current: list[Token] = []
    for here, token in enumerate(tokens):
        rest = tokens[here + 1 :]
        link = token.sort is Sort.COMMA or (token.sort is Sort.RELATION and token.raw == "and")
        if token.sort is Sort.BREAK or (link and _begins(current, rest, token.sort is Sort.COMMA)):
            yield current
            current = []
        elif token.sort is Sort.VERB and token.value == "draw" and _has(current, Sort.KIND):
            yield current
            current = [token]
        elif current or not (link and here and tokens[here - 1].sort is Sort.COMMA):
            current.append(token)
            if token.sort is Sort.SCENE or (token.sort is Sort.BACKDROP and _has(current, Sort.KIND)):
                first, second = _two_backgrounds(current)
                if first:
                    yield first
                    current = second
    yield current


def _begins(current: Sequence[Token], rest: Sequence[Token], comma: bool) -> bool:
    """Whether the text after a comma or an "and" is a request of its own."""
    rest = [token for token in rest[:8] if token.sort is not Sort.LITTLE and token.raw != "and"]
    if not rest or not current:
        return False
    if rest[0].value == "add" and current[0].value == "remove":
        return False
    if rest[0].sort is Sort.VERB and rest[0].raw not in ("no", "without", "more", "again"):
        return True
    if _same(rest):
        return _has(current, Sort.KIND)
    if rest[0].sort is Sort.REFERENCE:
        return current[-1].sort is not Sort.REFERENCE and _has(current, Sort.REFERENCE)
    closers = (Sort.SCENE, Sort.BACKDROP, Sort.PLACE, Sort.STYLE)
    nouns = [place for place, token in enumerate(current) if token.sort is Sort.KIND]
    closed = bool(nouns) and any(token.sort in closers for token in current[nouns[0] :])
    head = [token.sort for token in rest]
    starts = head[0] in (Sort.INDEFINITE, Sort.NUMBER, Sort.COLOUR, Sort.SIZE) and Sort.KIND in head
    return comma and closed and starts and not _has(current, Sort.REFERENCE)


def _two_backgrounds(current: list[Token]) -> tuple[list[Token], list[Token]]:
    """Part what has two things before two backgrounds; the first part is empty when it has not."""
    links = [n for n, token in enumerate(current) if token.raw == "and" or token.sort is Sort.COMMA]
    for link in reversed(links):
        first, second = current[:link], current[link + 1 :]
        if _has(second, Sort.KIND) and _has(first, Sort.KIND):
            return (first, second) if understand(first).background and understand(second).background else ([], current)
    return [], current


def _same(tokens: Sequence[Token]) -> bool:
    """Whether "the same" stands at the beginning."""
    fillers = (Sort.LITTLE, Sort.VERB, Sort.DEFINITE)
    return next((t.raw for t in tokens if t.sort not in fillers and t.raw != "one"), "") == "same"


def _has(tokens: Sequence[Token], sort: Sort) -> bool:
    return any(token.sort is sort for token in tokens)


@dataclass(frozen=True, slots=True)
class ClauseRequest:
    """One clause: what it says, and which pictures it is about.

    `named` when it points at them itself; `again` when it asks for the last picture once more, as another one.
    """

    scene: SceneRequest
    verbs: frozenset[str]
    raws: tuple[str, ...]
    targets: tuple[int, ...]
    named: bool
    missing: tuple[str, ...]
    pronoun: bool
    separate: bool
    again: bool
    known: int


def request_of(tokens: Sequence[Token], asked: RequestContext, focus: int | None, acts: Sequence[Act]) -> ClauseRequest:
    """What one clause asks for."""
    tokens = pointed(tokens, asked, focus)
    wish = understand(tokens)
    verbs = frozenset(token.value for token in tokens if token.sort is Sort.VERB)
    pronoun = _has(tokens, Sort.PRONOUN)
    ordered = _has(tokens, Sort.REFERENCE)
    if ordered and "again" in (raws := {token.raw for token in tokens}) and raws & {"show me", "see"}:
        verbs = frozenset({"select"})
    if "put" in verbs and any(token.raw == "instead" for token in tokens):
        verbs = verbs - {"put"} | {"change"}
    targets, missing = targets_of(tokens, asked, focus)
    last = acts[-1] if acts else None
    fresh = last.description.groups if isinstance(last, Draw | Edit) else ()
    things = [mention for mention in wish.mentions if mention.definite and not ordered]
    if isinstance(last, Draw) or any(spot_of(fresh, mention) is not None for mention in things):
        things = []
    if asked.about is None and (found := holding_picture(things, asked, focus)):
        targets = (found,)
    content = (Sort.KIND, Sort.COLOUR, Sort.SIZE, Sort.SCENE, Sort.NUMBER, Sort.STYLE, Sort.PLACE, Sort.INDEFINITE)
    return ClauseRequest(
        wish,
        verbs,
        tuple(token.raw for token in tokens),
        targets,
        ordered,
        missing,
        pronoun,
        _has(tokens, Sort.SEPARATE),
        not ordered and _again(tokens, wish, verbs),
        sum(token.sort in content for token in tokens),
    )


def _again(tokens: Sequence[Token], scene: SceneRequest, verbs: frozenset[str]) -> bool:
    if verbs & {"refine", "select"}:
        return False
    varies = any(token.value == "vary" and token.raw != "more" for token in tokens)  # not "more stars"
    return _same(tokens) or (varies and not scene.mentions and not _has(tokens, Sort.PRONOUN))


def targets_of(
    tokens: Sequence[Token], asked: RequestContext, focus: int | None
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The pictures that are named, else the one that is talked about; and the names that no picture has."""
    found: list[int] = []
    missing: list[str] = []
    newest = asked.newest()
    for value in (token.value for token in tokens if token.sort is Sort.REFERENCE):
        match value:
            case "all" | "both":
                found += sorted(asked.pictures)[-2 if value == "both" else -MOST :]
            case "this" if focus:
                found.append(focus)
            case "before" if focus:
                earlier = [number for number in asked.pictures if number < focus]
                found += [max(earlier)] if earlier else []
            case "left" if newest:
                found.append(max(newest - max(asked.row, 1) + 1, min(asked.pictures)))
            case "last" | "right" | "this" | "left" | "before":
                found += [newest] if newest else []
            case number if int(number) in asked.pictures:
                found.append(int(number))
            case number:
                missing.append(number)
    if not found and not missing and focus:
        found = [focus]
    return tuple(dict.fromkeys(found))[:MOST], tuple(missing)


def holding_picture(mentions: Sequence[Mention], asked: RequestContext, focus: int | None) -> int | None:
    """The newest picture that holds a thing that was named, unless the one talked about does."""
    for number in sorted(asked.pictures, key=lambda number: (number == focus, number), reverse=True):
        description = parse(asked.pictures[number])
        if description and any(spot_of(description.groups, mention) is not None for mention in mentions):
            return number
    return None
