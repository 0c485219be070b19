"""Tokens -> what somebody wishes of a picture. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bot.offline_llm.description import Description, Group, arranged, relation_between, settled
from bot.offline_llm.lexer import Sort, Token, lex
from bot.offline_llm.words import DEFAULTS, MOST, SCENES, plain


@dataclass(frozen=True, slots=True)
class Mention:
    """A thing as somebody named it, empty where they left it open; `recolour` is a colour said after the noun."""

    kind: str
    colour: str = ""
    recolour: str = ""
    hint: str = ""
    count: int = 0
    place: str = ""
    relation: str = ""
    definite: bool = False
    plural: bool = False

    def group(self) -> Group:
        """The thing with everything filled in."""
        colour = self.colour or self.recolour or self.hint or DEFAULTS[self.kind]
        return Group(self.kind, colour, self.count or (3 if self.plural else 1))


@dataclass(slots=True)
class Wish:
    """Everything that one clause says about a picture. `pictures` is how many were asked for, 0 when nobody said."""

    mentions: list[Mention] = field(default_factory=list)
    colours: list[str] = field(default_factory=list)
    background: str = ""
    backdrop: bool = False
    style: str = ""
    size: str = ""
    place: str = ""
    count: int = 0
    pictures: int = 0
    towards: str = ""
    other: str = ""
    unknown: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def says(self) -> bool:
        """Whether there is anything in it that could change a picture."""
        said = (self.mentions, self.colours, self.background, self.style, self.size, self.place, self.count, self.other)
        return any(said)


def parse(text: str) -> Description | None:
    """The description that a picture's prompt tells, or None when some of its words are not known."""
    tokens = [token for token in lex(text) if token.sort is not Sort.BREAK]
    wish = understand(tokens)
    if wish.unknown or not 1 <= len(wish.mentions) <= 2 or any(token.sort is Sort.REFERENCE for token in tokens):
        return None
    return describe(wish)


def describe(wish: Wish) -> Description | None:
    """The picture that the wish describes; None when it names nothing that can be drawn."""
    mentions = [mention for mention in wish.mentions if mention.kind][:2]
    if not mentions:
        return None
    if wish.colours and not mentions[0].colour:
        mentions[0] = replace(mentions[0], colour=wish.colours[0])
    if wish.count and len(mentions) == 1 and not mentions[0].count:
        mentions[0] = replace(mentions[0], count=wish.count)
    groups = tuple(mention.group() for mention in mentions)
    above = False
    if len(groups) == 2:
        relation = mentions[1].relation
        if all(mention.place for mention in mentions) and relation in ("", "and"):
            relation = relation_between(mentions[0].place, mentions[1].place)
        groups, above = arranged(groups[0], groups[1], relation)
    size = {"bigger": "large", "smaller": "small", "": "medium"}.get(wish.size, wish.size)
    style, background = wish.style or "flat", wish.background or "white"
    return settled(Description(groups, background, size, wish.place or "center", above, style))


def understand(tokens: Sequence[Token]) -> Wish:
    """Read the tokens of one clause."""
    wish, said = Wish(), _Adjectives()
    wants_backdrop = instead = False
    for here, token in enumerate(tokens):
        ahead = _noun_ahead(tokens, here)
        if token.near and ahead is not Sort.BACKDROP and not (wants_backdrop or said.on):
            wish.remarks.append(f"For {token.raw} I took {token.value}, the nearest that I know.")
        match token.sort:
            case Sort.COLOUR if ahead is Sort.KIND:
                said.colour = said.colour or token.value
            case Sort.COLOUR if ahead is Sort.BACKDROP or wants_backdrop or (said.on and not ahead):
                wish.background, wants_backdrop, said = token.extra, False, _Adjectives()
            case Sort.COLOUR if ahead is Sort.SCENE or instead or (ahead is Sort.UNKNOWN and said.started()):
                pass
            case Sort.COLOUR if wish.mentions and not said.article:
                wish.mentions[-1] = replace(wish.mentions[-1], recolour=token.value)
            case Sort.COLOUR:
                wish.colours.append(token.value)
            case Sort.NUMBER:
                count = int(token.value)
                if ahead is Sort.PICTURES:
                    wish.pictures = count
                elif ahead is Sort.KIND:
                    said.count = min(count, MOST)
                elif ahead is not Sort.UNKNOWN:
                    wish.count = min(count, MOST)
                if count > MOST and ahead is not Sort.PICTURES:
                    wish.remarks.append("I can only count to four, so there are four.")
            case Sort.SIZE:
                wish.size = token.value
            case Sort.KIND:
                if said.colour and said.relation == "and" and wish.colours and not wish.mentions:
                    other = wish.colours.pop()
                    if said.article or token.plural:
                        said.count = said.count or 1
                        wish.mentions.append(Mention(token.value, other, count=1))
                    else:
                        said.colour = other
                        wish.remarks.append("A thing has one colour only.")
                relation = said.relation or ("above" if said.on and wish.mentions else "")
                wish.mentions.append(
                    Mention(
                        token.value,
                        said.colour,
                        hint=token.extra,
                        count=said.count,
                        relation="instead" if instead else relation,
                        definite=said.definite or instead,
                        plural=token.plural,
                    )
                )
                said, instead = _Adjectives(), False
            case Sort.PLACE:
                wish.place = token.value
                if wish.mentions:
                    wish.mentions[-1] = replace(wish.mentions[-1], place=token.value)
            case Sort.SCENE:
                wish.background, said = token.value, _Adjectives()
                wants_backdrop = token.value not in SCENES  # "make the sky pink"
            case Sort.BACKDROP:
                wish.backdrop = True
                wants_backdrop = not (here and tokens[here - 1].sort is Sort.COLOUR)
            case Sort.STYLE:
                wish.style = token.value
            case Sort.OTHER:
                wish.other = token.value
            case Sort.RELATION if token.value == "instead":
                instead = True
            case Sort.RELATION:
                said = _Adjectives(relation=token.value)
            case Sort.ON:
                said.on = True
            case Sort.PRONOUN if said.relation not in ("", "and") or (said.relation and tokens[here - 1].raw != "and"):
                wish.towards = said.relation
            case Sort.INDEFINITE:
                said.article = True
            case Sort.DEFINITE:
                said.definite = True
            case Sort.COMMA if not ahead:
                said = _Adjectives(relation="and")
            case Sort.UNKNOWN:
                wish.unknown.append(token.raw)
                if ahead is not Sort.KIND:
                    said = _Adjectives()
            case _:
                pass
    return wish


@dataclass(slots=True)
class _Adjectives:
    """What has been said since the last noun."""

    colour: str = ""
    count: int = 0
    article: bool = False
    definite: bool = False
    on: bool = False
    relation: str = ""

    def started(self) -> bool:
        return bool(self.article or self.definite or self.count or self.relation)


NOUNS = (Sort.KIND, Sort.BACKDROP, Sort.SCENE, Sort.PICTURES)
BETWEEN = (Sort.COLOUR, Sort.SIZE, Sort.NICE, Sort.UNKNOWN, Sort.STYLE, Sort.NUMBER)


def _noun_ahead(tokens: Sequence[Token], here: int) -> Sort | None:
    """The noun that the adjective here belongs to."""
    unknown = None
    for position in range(here + 1, min(here + 8, len(tokens))):
        token, before = tokens[position], tokens[position - 1]
        if token.sort in NOUNS:
            return token.sort
        if token.sort is Sort.UNKNOWN:
            unknown = Sort.UNKNOWN
            continue
        listed = token.sort is Sort.COMMA and before.sort in (Sort.SIZE, Sort.NICE, Sort.COLOUR)
        article = token.raw == "of" or token.sort in (Sort.INDEFINITE, Sort.DEFINITE)
        if token.sort not in BETWEEN and not listed and not (before.sort is Sort.NUMBER and article):
            break
    return unknown


def remarks_on(wish: Wish) -> list[str]:
    """What has to be said about the parts of a wish that were not understood."""
    remarks = list(dict.fromkeys(wish.remarks))[:2]
    if wish.unknown:
        remarks.append(f"I cannot draw “{plain(' '.join(dict.fromkeys(wish.unknown)))}” yet, so I left that out.")
    return remarks
