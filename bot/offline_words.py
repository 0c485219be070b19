"""What the built-in chat model understands of a description: its words, how it reads them, how it tells them. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from enum import StrEnum, auto
from functools import lru_cache
from itertools import product

LONGEST_TEXT = 2000  # characters of a message that are read
MOST = 4  # things of a kind in a picture, and pictures in a reply

# The picture model's words: the word itself, exact synonyms, and after the bar words for which it is only the nearest.
COLOURS = {
    "red": "| crimson scarlet ruby maroon cherry burgundy",
    "orange": "| amber tangerine apricot peach coral",
    "yellow": "| gold golden lemon mustard",
    "green": "| lime olive emerald teal mint",
    "blue": "| azure cobalt indigo sapphire turquoise cyan aqua aquamarine",
    "purple": "violet | plum lilac mauve",
    "pink": "| magenta fuchsia salmon",
    "brown": "| tan chocolate bronze",
    "black": "| ebony charcoal",
    "gray": "grey | silver",
    "white": "| ivory beige",
}
BACKGROUNDS = {"light blue": "blue", "light green": "green", "cream": "white", "navy": "blue", "lavender": "purple"}
TINTS = {
    "light blue": "sky-blue pale-blue baby-blue turquoise aqua",
    "light green": "pale-green mint",
    "cream": "beige ivory light-yellow pale-yellow",
    "navy": "dark-blue deep-blue navy-blue",
    "lavender": "light-purple pale-purple light-violet lilac",
}
SCENES = {
    "beach": "on the beach | beaches sand shore seaside coast",
    "meadow": "in a meadow | meadows grass park garden lawn field",
    "night": "at night | nighttime night-sky midnight space",
    "sunset": "at sunset | sunrise evening dusk twilight",
    "sea": "in the sea | ocean water underwater lake under-water",
    "snow": "in the snow | winter snowy snowfall",
}
KINDS = {
    "circle": "ball disc disk dot ring",
    "square": "box cube block rectangle",
    "triangle": "pyramid",
    "star": "starlet",
    "heart": "valentine",
    "diamond": "rhombus rhomb lozenge gem",
    "moon": "crescent half-moon crescent-moon",
    "cross": "plus-sign",
    "house": "home cottage hut cabin building",
    "tree": "oak bush",
    "flower": "blossom bloom tulip",
    "face": "smiley smile emoji smiley-face smiling-face",
    "cat": "kitten kitty pussycat",
    "fish": "fishes",
}
HINTED = {  # things that are a kind in a colour of their own
    "sun": "yellow circle",
    "goldfish": "orange fish",
    "starfish": "orange star",
    "rose": "red flower",
    "sunflower": "yellow flower",
    "daisy": "white flower",
    "apple": "red circle",
    "snowball": "white circle",
    "bluebell": "blue flower",
}
PLURALS = {"fish": "fish", "cross": "crosses", "box": "boxes", "kitty": "kitties", "daisy": "daisies"}
DEFAULTS = dict(
    pair.split(":")
    for pair in (
        "circle:red square:blue triangle:green star:orange heart:red diamond:purple moon:yellow cross:red "
        "house:red tree:green flower:pink face:yellow cat:orange fish:blue"
    ).split()
)
SHAPES = tuple(KINDS)[:8]
CLASHES = {  # colours that cannot be seen before a background
    "red": "red orange brown",
    "orange": "red orange yellow",
    "yellow": "orange yellow",
    "purple": "purple gray",
    "brown": "red brown",
    "gray": "purple gray",
    "light blue": "white",
    "cream": "pink white",
    "navy": "black",
    "lavender": "white",
    "snow": "white",
} | {colour: colour for colour in ("green", "blue", "pink", "black", "white")}
NUMBERS = {
    1: "1 one single",
    2: "2 two pair couple",
    3: "3 three some several few",
    4: "4 four many lots",
    5: "five six seven eight nine ten dozen hundred thousand",  # stands for "more than four"
}
SIZES = {
    "small": "small little tiny mini",
    "large": "large big huge giant enormous",
    "medium": "medium normal-size medium-sized",
    "bigger": "bigger larger enlarge grow biggest",
    "smaller": "smaller shrink smallest",
}
PLACES = {
    "top left": "top-left upper-left left-top",
    "top right": "top-right upper-right right-top",
    "bottom left": "bottom-left lower-left left-bottom",
    "bottom right": "bottom-right lower-right right-bottom",
    "top": "top up upwards",
    "bottom": "bottom down downwards",
    "left": "left",
    "right": "right",
    "center": "center centre middle",
}
STYLES = {
    "outline": "in-outline-style as-an-outline outline outlined outline-style outlines line-drawing line-art "
    "as-a-sketch as-a-line-drawing a-sketch-of pencil contour",
    "pixel": "in-pixel-style as-pixel-art pixel pixels pixelated pixelart pixel-art pixel-style 8-bit 8bit retro",
    "flat": "flat flat-style filled without-outline no-outline normal-style without-pixels no-pixels",
}
RELATIONS = {
    "left": "left-of to-the-left-of on-the-left-of",
    "right": "right-of to-the-right-of on-the-right-of",
    "above": "above over on-top-of at-the-top-of atop",
    "below": "below under beneath underneath",
    "and": "and with next-to beside near by plus in-front-of behind along-with together-with",
    "instead": "instead-of rather-than",
}
NUMERALS = "first second third fourth fifth sixth seventh eighth ninth tenth".split()
SUFFIXES = "1st 2nd 3rd 4th 5th 6th 7th 8th 9th 10th".split()
REFERENCES = {
    "last": "last latest newest previous most-recent",
    "left": "left-one leftmost",
    "right": "right-one rightmost",
    "both": "both both-of-them both-pictures",
    "all": "all-of-them them-all all all-pictures every-picture",
}
VERBS = {
    "draw": "draw paint sketch create generate illustrate design render doodle show-me give-me i-want id-like "
    "i-would-like i-need can-i-have may-i-have can-i-get a-picture-of a-drawing-of an-image-of a-painting-of",
    "make": "make do",
    "change": "change edit modify update turn replace swap recolor recolour convert transform",
    "put": "put place move set shift",
    "add": "add include insert give-it",
    "remove": "remove delete erase without drop lose take-away get-rid-of no take-out",
    "vary": "vary variation variations variant variants more-like similar something-like another-one again "
    "another-version once-more same-again try-again redo another one-more more like-this like-that "
    "remix copy duplicate",
    "select": "go-with bring-back go-back-to back-to return-to "
    "take pick choose select keep i-like i-love i-prefer prefer use lets-use best favourite favorite love",
    "refine": "refine polish improve nicer detail details detailed better enhance sharper upscale prettier sharpen",
}
LITTLE = (
    "please pls could can would will you your i id want like to see is are be was as in into on-to at for of from have "
    "has should must let lets us me my so then just now some also too bot hey hi hello well ok okay yes there here "
    "again but if colour color colored coloured colours colors in-color everything out off do did done get got made "
    "drawn stay standing sitting swimming first second third finally scene style size position picture-with kind "
    "thing things thanks thank much only maybe perhaps when he she they we not more back all-right alright right-now "
    "thats-right look looks looking up-there how about what which who why whole than way bit "
    "little-bit a-little-bit a-bit a-little-more try thats today show even "
    "or corner meant mean said think playing holding wanted"
)
NICE = "nice cute pretty beautiful happy lovely simple very really quite shiny plain bright funny good great same own"


class Sort(StrEnum):
    """What a word does in a description."""

    COLOUR = auto()
    KIND = auto()
    NUMBER = auto()
    SIZE = auto()
    PLACE = auto()
    SCENE = auto()
    BACKDROP = auto()
    STYLE = auto()
    RELATION = auto()
    ON = auto()
    INTO = auto()
    INDEFINITE = auto()
    DEFINITE = auto()
    PRONOUN = auto()
    REFERENCE = auto()
    PICTURES = auto()
    SEPARATE = auto()
    OTHER = auto()
    VERB = auto()
    COMMA = auto()
    BREAK = auto()
    LITTLE = auto()
    NICE = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """A word or a fixed phrase. `extra` is a colour's name as a background, or the colour that a thing brings along."""

    sort: Sort
    value: str
    extra: str = ""
    raw: str = ""
    near: bool = False
    plural: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """One to four things of one kind and colour."""

    kind: str
    colour: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class Description:
    """A picture as the picture model can draw it. Two groups stand side by side, or the first above the second."""

    groups: tuple[Group, ...]
    background: str = "white"
    size: str = "medium"
    place: str = "center"
    above: bool = False
    style: str = "flat"


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


def plain(text: str, limit: int = 40) -> str:
    """The text's letters, digits and spaces, so that it can be repeated without harm."""
    return " ".join("".join(c if c.isalnum() else " " for c in text[: 4 * limit]).split())[:limit].strip()


def some(count: int, kind: str) -> str:
    """A kind's name in the singular or plural."""
    return kind if count == 1 else PLURALS.get(kind, kind + "s")


def subject(description: Description) -> str:
    """What is in the picture, without background and style."""

    def noun(group: Group) -> str:
        words = [group.colour, some(group.count, group.kind)]
        if group.count > 1:
            return " ".join([("two", "three", "four")[group.count - 2], *words])
        if len(description.groups) == 1 and description.size != "medium":
            words.insert(0, description.size)
        return " ".join(["an" if words[0][0] in "aeiou" else "a", *words])

    relation = " above " if description.above else " left of "
    return relation.join(noun(group) for group in description.groups)


def tell(description: Description) -> str:
    """The description in the plainest wording that the picture model was trained on."""
    told = subject(description)
    if len(description.groups) == 1 == description.groups[0].count and description.place != "center":
        told += f" {'on' if description.place in ('left', 'right') else 'at'} the {description.place}"
    if description.background in SCENES:
        told += " " + SCENES[description.background].partition(" |")[0]
    elif description.background != "white":
        told += f" on a {description.background} background"
    return told if description.style == "flat" else f"{told} in {description.style} style"


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
            relation = _relation(mentions[0].place, mentions[1].place)
        groups, above = arranged(groups[0], groups[1], relation)
    size = {"bigger": "large", "smaller": "small", "": "medium"}.get(wish.size, wish.size)
    style, background = wish.style or "flat", wish.background or "white"
    return settled(Description(groups, background, size, wish.place or "center", above, style))


def settled(description: Description) -> Description:
    """The same with everything left out that cannot be told of several things."""
    groups = description.groups
    if len(groups) == 2 and groups[0].kind == groups[1].kind and groups[0].colour == groups[1].colour:
        groups = (replace(groups[0], count=min(MOST, groups[0].count + groups[1].count)),)
    if len(groups) == 2 or groups[0].count > 1:
        description = replace(description, size="medium", place="center")
    return replace(description, groups=groups, above=description.above and len(groups) == 2)


def side(place: str) -> str:
    """The relation of a thing at this place to a thing in the middle."""
    return {"top": "above", "bottom": "below", "center": "and"}.get(place.split()[0], place) if place else ""


def arranged(one: Group, other: Group, relation: str) -> tuple[tuple[Group, Group], bool]:
    """The groups in order, and whether the first is above the second, where `one` stands in `relation` to `other`."""
    groups = (other, one) if relation in ("right", "below") else (one, other)
    return groups, relation in ("above", "below")


def _relation(here: str, there: str) -> str:
    heights = {"top": -1, "bottom": 1}
    up, low = heights.get(here.split()[0], 0), heights.get(there.split()[0], 0)
    if up != low:
        return "above" if up < low else "below"
    return "right" if "right" in here or ("left" in there and "left" not in here) else "left"


def clashes(group: Group, background: str) -> bool:
    """Whether the group cannot be seen before the background."""
    return group.colour in CLASHES.get(background, "").split()


def legible(description: Description, keep_background: bool) -> tuple[Description, str]:
    """The picture with contrast, and a sentence about what had to change for it."""
    there = description.background
    bad = [group for group in description.groups if clashes(group, there)]
    if not bad:
        return description, ""
    named = f"One could not see {bad[0].colour} on {there}"
    if keep_background:
        groups = tuple(replace(group, colour=seen(group, there)) for group in description.groups)
        return settled(replace(description, groups=groups)), f"{named}, so I took {seen(bad[0], there)}."
    background = next(b for b in BACKGROUNDS if not any(clashes(group, b) for group in description.groups))
    return replace(description, background=background), f"{named}, so the background is {background}."


def seen(group: Group, background: str) -> str:
    """The group's colour, or another that can be seen before the background."""
    colours = (group.colour, DEFAULTS[group.kind], *COLOURS)
    return next(colour for colour in colours if not clashes(replace(group, colour=colour), background))


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


# From text to tokens

WORD = re.compile(r"#\d{1,6}|[^\W_]+|[,.;:!?\n]")
NAMED = re.compile(r"\b(?:number|nr|picture|image|pic|drawing|photo)[ .]*#?\s?(\d{1,6})\b|#\s(\d{1,6})\b")
FRAME = re.compile(r" (?:of|in) (?:the|my|this) (?:picture|image|canvas|page|drawing)\b")
TAG = re.compile(r"<[^<>]{0,80}>")
BULLET = re.compile(r"^\s*(?:\d{1,2}[.)]|[-*•])\s+", re.MULTILINE)


def lex(text: str) -> tuple[Token, ...]:
    """The words of a text, as far as it is read; whatever is not known becomes an UNKNOWN token."""
    text = BULLET.sub("\n", text[:LONGEST_TEXT].lower().replace("'", "").replace("’", ""))
    text = TAG.sub(" ", text)
    text = FRAME.sub("", NAMED.sub(r"#\1\2 ", text.replace("&", " and ")))
    words = WORD.findall(text)
    if words and words[0] in NUMERALS and words[1:] in ([], ["please"]):
        words.insert(0, "the")
    return tuple(_tokens(words))


def _tokens(words: list[str]) -> Iterator[Token]:
    here = 0
    while here < len(words):
        for length in range(min(LONGEST, len(words) - here), 0, -1):
            if token := PHRASES.get(" ".join(words[here : here + length])):
                break
        else:
            token, length = _guess(words[here]), 1
        here += length
        yield token


@lru_cache(maxsize=4096)
def _guess(word: str) -> Token:
    if word.startswith("#"):
        return Token(Sort.REFERENCE, str(int(word[1:])), raw=word)
    if word.isascii() and word.isdigit():
        return Token(Sort.NUMBER, word if word in ("2", "3", "4") else "5", raw=word)
    if 4 <= len(word) <= 12:
        near = [known for known in TYPABLE if known[0] == word[0] and abs(len(known) - len(word)) < 3]
        if match := get_close_matches(word, near, n=1, cutoff=0.82):
            return PHRASES[match[0]]
    return Token(Sort.UNKNOWN, word, raw=plain(word))


def _phrases() -> dict[str, Token]:
    """Every known phrase; what is entered later wins."""
    table: dict[str, Token] = {}

    def enter(sort: Sort, value: str, wordings: str, **more: str | bool) -> None:
        exact, _, near = wordings.partition("|")
        for wording in (*exact.split(), *near.split()):
            raw = wording.replace("-", " ")
            extra, plural = str(more.get("extra", "")), bool(more.get("plural"))
            is_near = sort is Sort.COLOUR and (bool(more.get("near")) or wording in near.split())
            table[raw] = Token(sort, value, extra, raw, is_near, plural)

    enter(Sort.LITTLE, "", LITTLE)
    enter(Sort.NICE, "", NICE)
    for value, wordings in VERBS.items():
        enter(Sort.VERB, value, wordings)
    for colour, wordings in COLOURS.items():
        enter(Sort.COLOUR, colour, f"{colour} {wordings}", extra=colour)
        enter(Sort.COLOUR, colour, " ".join(f"{m}-{colour}" for m in ("bright", "deep", "dark", "pale")), extra=colour)
        enter(Sort.COLOUR, colour, f"light-{colour} | ", extra=colour)
    for tint, colour in BACKGROUNDS.items():
        for wording in (tint.replace(" ", "-"), *TINTS[tint].split()):
            known = table.get(wording)
            enter(Sort.COLOUR, known.value if known else colour, wording, extra=tint, near=True)
    table["sky"] = Token(Sort.SCENE, "light blue", raw="sky")
    table["blue sky"] = table["sky"]
    for scene, wordings in SCENES.items():
        told, _, near = wordings.partition("|")
        enter(Sort.SCENE, scene, f"{scene} {told.replace(' ', '-')} {near}")
    enter(Sort.SCENE, "sea", "sea seas blue-sea")
    hinted = {word: said.split() for word, said in HINTED.items()}
    things = [(word, kind, "") for kind, words in KINDS.items() for word in (kind, *words.split())]
    for word, kind, colour in (*things, *((word, kind, colour) for word, (colour, kind) in hinted.items())):
        enter(Sort.KIND, kind, PLURALS.get(word, word + "s"), extra=colour, plural=True)
        enter(Sort.KIND, kind, word, extra=colour)
    table["plus"] = Token(Sort.RELATION, "and", raw="plus")
    for count, wordings in NUMBERS.items():
        enter(Sort.NUMBER, str(count), wordings)
    for size, wordings in SIZES.items():
        enter(Sort.SIZE, size, wordings)
    for place, wordings in PLACES.items():
        befores = ("", "at-the-", "in-the-", "on-the-", "to-the-", "into-the-", "in-", "at-", "to-", "towards-the-")
        for before, word, after in product(befores, wordings.split(), ("", "-corner", "-side", "-edge")):
            enter(Sort.PLACE, place, before + word + after)
    for style, wordings in STYLES.items():
        enter(Sort.STYLE, style, wordings)
    for relation, wordings in RELATIONS.items():
        enter(Sort.RELATION, relation, wordings)
    nouns = ("one", "picture", "image", "drawing", "version", "pic", "photo")
    for number, ordinals in enumerate(zip(NUMERALS, SUFFIXES, strict=True), 1):
        for ordinal, noun in product(ordinals, nouns):
            enter(Sort.REFERENCE, str(number), f"{ordinal}-{noun} the-{ordinal}-{noun} the-{ordinal}")
        enter(Sort.REFERENCE, str(number), ordinals[1])
    for number, word in enumerate("one two three four five six seven eight nine ten".split(), 1):
        enter(Sort.REFERENCE, str(number), f"number-{word} picture-{word} image-{word}")
    for value, wordings in REFERENCES.items():
        for wording in wordings.split():
            tails = " ".join(f"{wording}-{noun} the-{wording}-{noun}" for noun in nouns)
            enter(Sort.REFERENCE, value, f"{wording} the-{wording} {tails}")
    enter(Sort.REFERENCE, "last", "the-same-picture this-picture that-picture this-one that-one the-picture")
    enter(Sort.BACKDROP, "", "background backdrop bg backgrounds")
    enter(Sort.ON, "", "on onto against")
    enter(Sort.INTO, "", "into")
    enter(Sort.INDEFINITE, "", "a an")
    enter(Sort.DEFINITE, "", "the its his her their")
    enter(Sort.PRONOUN, "", "it this that them these those")
    enter(Sort.PICTURES, "", "picture pictures image images drawings drawing pics pic photo photos versions paintings")
    enter(Sort.SEPARATE, "", "separately separate-pictures separate each-in-its-own-picture in-two-pictures one-each")
    for thing in ("colour", "color", "background", "style"):
        value = "colour" if thing == "color" else thing
        enter(Sort.OTHER, value, f"another-{thing} different-{thing} other-{thing}")
    enter(Sort.COMMA, "", ", :")
    enter(Sort.BREAK, "", ". ; ! ? then after-that afterwards and-then")
    table["\n"] = Token(Sort.BREAK, "", raw="\n")
    return table


PHRASES = _phrases()
LONGEST = max(len(phrase.split()) for phrase in PHRASES)
TYPABLE = tuple(
    word
    for word, token in PHRASES.items()
    if token.sort in (Sort.COLOUR, Sort.KIND, Sort.SIZE, Sort.BACKDROP) and " " not in word and len(word) > 3
)
