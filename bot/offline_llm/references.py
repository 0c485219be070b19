"""Words that point at a picture by its looks -> tokens that name it: "the red one", "a blue one". Pure."""

from collections.abc import Sequence
from itertools import takewhile

from bot.offline_llm.request_context import RequestContext
from bot.offline_llm.scene import Description
from bot.offline_llm.scene_parser import parse
from bot.offline_llm.tokenizer import Sort, Token
from bot.offline_llm.vocabulary import NUMERALS

LOOKS = (Sort.COLOUR, Sort.SIZE, Sort.STYLE, Sort.NICE)
LINKS = (Sort.LITTLE, Sort.DEFINITE, Sort.INDEFINITE, Sort.ON, Sort.BACKDROP)
DRAW = Token(Sort.VERB, "draw", raw="draw")


def pointed(tokens: Sequence[Token], asked: RequestContext, focus: int | None) -> list[Token]:
    """The tokens with "the red one" as the number of such a picture, and "a red one" as a thing of the same kind.

    What follows and is true of a picture belongs to its name: "the red one on the beach".
    """
    tokens = [token for here, token in enumerate(tokens) if not _counts_other_things(tokens[here : here + 2])]
    for end, token in enumerate(tokens):
        start = _beginning(tokens, end) if token.raw == "one" else None
        if start is None:
            continue
        before, after = list(tokens[:start]), list(tokens[end + 1 :])
        if tokens[start].sort is Sort.INDEFINITE:
            return _another(tokens, end, asked, focus)
        looks = [look for look in tokens[start + 1 : end] if look.sort is not Sort.NICE]
        where = _where(after)
        for told in (where, ()):
            if (number := _like(looks, told, asked)) is not None:
                return [*before, Token(Sort.REFERENCE, str(number), raw="the one"), *after[len(told) :]]
    return list(tokens)


def _counts_other_things(tokens: Sequence[Token]) -> bool:
    """Whether "the second" belongs to a noun that is no picture: "the second meeting"."""
    ordinal = tokens[0].sort is Sort.REFERENCE and tokens[0].raw.removeprefix("the ") in NUMERALS
    return ordinal and len(tokens) > 1 and tokens[1].sort is Sort.UNKNOWN


def _beginning(tokens: Sequence[Token], end: int) -> int | None:
    """Where the article stands before adjectives and "one"."""
    looks = len(list(takewhile(lambda token: token.sort in LOOKS, reversed(tokens[:end]))))
    start = end - looks - 1
    article = start >= 0 and tokens[start].sort in (Sort.DEFINITE, Sort.INDEFINITE)
    return start if looks and article else None


def _another(tokens: Sequence[Token], end: int, asked: RequestContext, focus: int | None) -> list[Token]:
    """A thing of the kind that was just named, or else of the one in the picture, in a picture of its own."""
    nouns = [token for token in tokens[:end] if token.sort in (Sort.KIND, Sort.BACKDROP)]
    if nouns:
        return [*tokens[:end], nouns[-1], *tokens[end + 1 :]]
    description = parse(asked.pictures.get(focus or 0, ""))
    verbs = {token.value for token in tokens if token.sort is Sort.VERB}
    if description is None or verbs & {"select", "vary", "refine"} or any(t.sort is Sort.PRONOUN for t in tokens):
        return list(tokens)
    thing = Token(Sort.KIND, description.groups[0].kind, raw=description.groups[0].kind)
    return [*([] if verbs else [DRAW]), *tokens[:end], thing, *tokens[end + 1 :]]


def _where(after: Sequence[Token]) -> Sequence[Token]:
    """The words behind "one" that tell the background, up to the scene or the colour itself."""
    links = len(list(takewhile(lambda token: token.sort in LINKS, after)))
    scene = links < len(after) and after[links].sort in (Sort.SCENE, Sort.COLOUR)
    return after[: links + 1] if scene else ()


def _like(looks: Sequence[Token], where: Sequence[Token], asked: RequestContext) -> int | None:
    """The newest picture of which all of it is true."""
    for number, prompt in sorted(asked.pictures.items(), reverse=True):
        description = parse(prompt)
        if description and all(_true(token, description) for token in (*looks, *where)):
            return number
    return None


def _true(token: Token, description: Description) -> bool:
    match token.sort:
        case Sort.COLOUR:
            groups = {group.colour for group in description.groups}
            return token.value in groups or token.extra == description.background
        case Sort.SIZE:
            return token.value.startswith(description.size[:3])
        case Sort.STYLE:
            return token.value == description.style
        case Sort.SCENE:
            return token.value == description.background
    return True
