"""Parses tokens into a request for a scene. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bot.offline_llm.scene import Description, ThingGroup, arranged, relation_between, settled, some
from bot.offline_llm.tokenizer import Sort, Token, lex
from bot.offline_llm.vocabulary import DEFAULTS, MOST, SCENES, plain


@dataclass(frozen=True, slots=True)
class Mention:
    """A kind of thing, and what somebody said of it; `recolour` is a colour said after the noun.

    `word` is how it was named; an `unseen` thing cannot be drawn, and this kind is the nearest to it.
    """

    kind: str
    colour: str = ""
    recolour: str = ""
    hint: str = ""
    count: int = 0
    place: str = ""
    relation: str = ""
    definite: bool = False
    plural: bool = False
    word: str = ""
    unseen: bool = False

    def group(self) -> ThingGroup:
        """The thing with everything filled in."""
        colour = self.colour or self.recolour or self.hint or DEFAULTS[self.kind]
        return ThingGroup(self.kind, colour, self.count or (3 if self.plural else 1))


@dataclass(slots=True)
class SceneRequest:
    """Everything that one clause says about an image. `pictures` is how many were requested, 0 if none was given."""

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

    def only_names_the_unseen(self) -> bool:
        """Whether it is only talk of things that cannot be drawn: "the boss says hi"."""
        things = replace(self, mentions=[])
        return not things.says() and all(each.unseen and each.definite and not each.recolour for each in self.mentions)


def parse(text: str) -> Description | None:
    """The description that a picture's prompt tells, or None when some of its words are not known."""
    tokens = [token for token in lex(text) if token.sort is not Sort.BREAK]
    wish = understand(tokens)
    other = any(token.sort is Sort.REFERENCE or (token.near and token.sort is Sort.KIND) for token in tokens)
    if wish.unknown or not 1 <= len(wish.mentions) <= 2 or other:
        return None
    return describe(wish)


def describe(request: SceneRequest) -> Description | None:
    """The image that the request describes; None if it names nothing that can be drawn."""
    mentions = request.mentions[:2]
    if not mentions:
        return None
    if request.colours and not mentions[0].colour:
        mentions[0] = replace(mentions[0], colour=request.colours[0])
    if request.count and len(mentions) == 1 and not mentions[0].count:
        mentions[0] = replace(mentions[0], count=request.count)
    groups = tuple(mention.group() for mention in mentions)
    above = False
    if len(groups) == 2:
        relation = mentions[1].relation
        if all(mention.place for mention in mentions) and relation in ("", "and"):
            relation = relation_between(mentions[0].place, mentions[1].place)
        groups, above = arranged(groups[0], groups[1], relation)
    size = {"bigger": "large", "smaller": "small", "": "medium"}.get(request.size, request.size)
    style, background = request.style or "flat", request.background or "white"
    return settled(Description(groups, background, size, request.place or "center", above, style))


def understand(tokens: Sequence[Token]) -> SceneRequest:
    """Read the tokens of one clause."""
    reader = _Reader()
    for here, token in enumerate(tokens):
        reader.read(token, tokens[here - 1] if here else None, _noun_ahead(tokens, here))
    wish = reader.request
    if not any(token.sort is Sort.VERB for token in tokens) and wish.only_names_the_unseen():
        wish.unknown, wish.mentions = [*wish.unknown, *(mention.word for mention in wish.mentions)], []
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


@dataclass(slots=True)
class _Reader:
    """The request so far, and the state that the next words add to it."""

    request: SceneRequest = field(default_factory=SceneRequest)
    said: _Adjectives = field(default_factory=_Adjectives)
    wants_backdrop: bool = False
    instead: bool = False

    def read(self, token: Token, before: Token | None, ahead: Sort | None) -> None:
        """Take in one token; `ahead` is the noun that it belongs to."""
        wish, said = self.request, self.said
        if (
            token.near
            and token.sort is Sort.COLOUR
            and ahead is not Sort.BACKDROP
            and not (self.wants_backdrop or said.on)
        ):
            wish.remarks.append(f"For {token.raw} I took {token.value}, the nearest that I know.")
        match token.sort:
            case Sort.COLOUR:
                self._colour(token, ahead)
            case Sort.NUMBER:
                self._number(int(token.value), ahead)
            case Sort.KIND:
                self._noun(token)
            case Sort.SIZE:
                wish.size = token.value
            case Sort.STYLE:
                wish.style = token.value
            case Sort.OTHER:
                wish.other = token.value
            case Sort.PLACE:
                wish.place = token.value
                if wish.mentions:
                    wish.mentions[-1] = replace(wish.mentions[-1], place=token.value)
            case Sort.SCENE if self.instead:
                self.said, self.instead = _Adjectives(), False
            case Sort.SCENE:
                wish.background, self.said = token.value, _Adjectives()
                self.wants_backdrop = token.value not in SCENES  # "make the sky pink"
            case Sort.BACKDROP:
                wish.backdrop = True
                self.wants_backdrop = not (before and before.sort is Sort.COLOUR)
            case Sort.UNKNOWN:
                wish.unknown.append(token.raw)
                if ahead is not Sort.KIND:
                    self.said = _Adjectives()
            case _:
                self._little(token, before, ahead)

    def _little(self, token: Token, before: Token | None, ahead: Sort | None) -> None:
        said = self.said
        match token.sort:
            case Sort.RELATION if token.value == "instead":
                self.instead = True
            case Sort.RELATION:
                self.said = _Adjectives(relation=token.value)
            case Sort.PRONOUN if said.relation and (said.relation != "and" or (before and before.raw != "and")):
                self.request.towards = said.relation
            case Sort.COMMA if not ahead and self.request.mentions:
                self.said = _Adjectives(relation="and")
            case Sort.ON:
                said.on = True
            case Sort.INDEFINITE:
                said.article = True
            case Sort.DEFINITE:
                said.definite = True

    def _colour(self, token: Token, ahead: Sort | None) -> None:
        wish, said = self.request, self.said
        if ahead is Sort.KIND:
            said.colour = said.colour or token.value
        elif ahead is Sort.BACKDROP or self.wants_backdrop or (said.on and not ahead):
            wish.background, self.wants_backdrop, self.said = token.extra, False, _Adjectives()
        elif ahead is Sort.SCENE or self.instead or (ahead is Sort.UNKNOWN and said.started()):
            pass  # a pink beach, instead of red, a red dragon: nothing that could be drawn has this colour
        elif wish.mentions and not said.article:
            wish.mentions[-1] = replace(wish.mentions[-1], recolour=token.value)
        else:
            wish.colours.append(token.value)

    def _number(self, count: int, ahead: Sort | None) -> None:
        if ahead in (Sort.PICTURES, Sort.SEPARATE):
            self.request.pictures = count
            return
        if ahead is Sort.KIND:
            self.said.count = min(count, MOST)
        elif ahead is not Sort.UNKNOWN:
            self.request.count = min(count, MOST)
        if count > MOST:
            self.request.remarks.append("I can only count to four, so there are four.")

    def _noun(self, token: Token) -> None:
        wish, said = self.request, self.said
        if said.colour and said.relation == "and" and wish.colours and not wish.mentions:
            other = wish.colours.pop()
            if said.article or token.plural:  # "red and blue stars"
                said.count = said.count or 1
                wish.mentions.append(Mention(token.value, other, count=1))
            else:
                said.colour = other
                wish.remarks.append("A thing has one colour only.")
        relation = said.relation or ("above" if said.on and wish.mentions else "")
        mention = Mention(
            token.value,
            said.colour,
            hint=token.extra,
            count=said.count,
            relation="instead" if self.instead else relation,
            definite=said.definite or self.instead,
            plural=token.plural,
            word=token.raw,
            unseen=token.near,
        )
        wish.mentions.append(mention)
        self.said, self.instead = _Adjectives(), False


NOUNS = (Sort.KIND, Sort.BACKDROP, Sort.SCENE, Sort.PICTURES, Sort.SEPARATE)
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


def remarks_on(request: SceneRequest) -> list[str]:
    """The remarks about the parts of a request that were not understood."""
    unseen = [_never_seen(each) for each in request.mentions if each.unseen and not each.definite]
    remarks = list(dict.fromkeys((*request.remarks, *unseen)))[:2]
    if request.unknown:
        remarks.append(f"I cannot draw “{plain(' '.join(dict.fromkeys(request.unknown)))}” yet, so I left that out.")
    return remarks


def _never_seen(thing: Mention) -> str:
    if thing.plural:
        return f"I have never seen {thing.word}, so {some(2, thing.kind)} have to do."
    return f"I have never seen {'an' if thing.word[0] in 'aeio' else 'a'} {thing.word}, so a {thing.kind} has to do."
