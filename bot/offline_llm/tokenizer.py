"""A text -> tokens: words and fixed phrases, each with what it does in a description. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum, auto
from functools import lru_cache
from itertools import product

from bot.offline_llm.vocabulary import (
    BACKGROUNDS,
    COLOURS,
    HINTED,
    KINDS,
    LITTLE,
    NICE,
    NUMBERS,
    NUMERALS,
    PLACES,
    PLURALS,
    REFERENCES,
    RELATIONS,
    SCENES,
    SIZES,
    STAND_INS,
    STYLES,
    SUFFIXES,
    TINTS,
    VERBS,
    plain,
)

LONGEST_TEXT = 2000  # characters of a message that are read


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


WORD = re.compile(r"#\d{1,6}|[^\W_]+|[,.;:!?\n]")
NAMED = re.compile(
    r"\b(?:number|nr|picture|image|pic|drawing|photo|version|option)[ .]*#?\s?(\d{1,6})\b|#\s(\d{1,6})\b"
)
FRAME = re.compile(r" (?:of|in) (?:the|my|this) (?:picture|image|canvas|page|drawing)\b")
TAKEN_OUT = re.compile(r"\btake ((?:\S+ ){1,4}?)(?:out|away|off)\b")
LIKED = re.compile(r"\b(was|is|are|looks|looked|likes?|liked|love)\b([^.!?,;]*?)\b(?:better|best|more)\b(?! like)")
A_LITTLE = re.compile(r"\ba (?:little|bit|tiny bit)(?=\s*(?:[.,;!?]|$|more|less|please))")
TOO = re.compile(r"\b(?:too|so) (big|large|huge|small|tiny)\b")
AND_ONE = re.compile(r",? and (?:one|another)(?: picture| one)? (?:of|with|showing) ")
TAG = re.compile(r"<[^<>]{0,80}>")
BULLET = re.compile(r"^\s*(?:\d{1,2}[.)]|[-*•])\s+", re.MULTILINE)


def lex(text: str) -> tuple[Token, ...]:
    """The words of a text, as far as it is read; whatever is not known becomes an UNKNOWN token."""
    text = BULLET.sub("\n", text[:LONGEST_TEXT].lower().replace("'", "").replace("’", ""))
    text = TAKEN_OUT.sub(r"remove \1", TAG.sub(" ", text))
    text = TOO.sub(lambda said: "bigger" if said[1] in ("small", "tiny") else "smaller", A_LITTLE.sub(" ", text))
    text = AND_ONE.sub(". draw ", LIKED.sub(r"\1\2prefer", text))
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


class _Phrases(dict[str, Token]):
    """Every known phrase; what is entered later wins."""

    def enter(self, sort: Sort, value: str, wordings: str, **more: str | bool) -> None:
        exact, _, near = wordings.partition("|")
        for wording in (*exact.split(), *near.split()):
            raw = wording.replace("-", " ")
            extra, plural = str(more.get("extra", "")), bool(more.get("plural"))
            is_near = bool(more.get("near")) or (sort is Sort.COLOUR and wording in near.split())
            self[raw] = Token(sort, value, extra, raw, is_near, plural)


def _phrases() -> _Phrases:
    phrases = _Phrases()
    for enter in (_colours_and_scenes, _things, _adjectives, _references, _grammar):
        enter(phrases)
    return phrases


def _colours_and_scenes(phrases: _Phrases) -> None:
    """What stands at the bottom of the table: filler, verbs, colours and backgrounds."""
    phrases.enter(Sort.LITTLE, "", LITTLE)
    phrases.enter(Sort.NICE, "", NICE)
    for value, wordings in VERBS.items():
        phrases.enter(Sort.VERB, value, wordings)
    for colour, wordings in COLOURS.items():
        phrases.enter(Sort.COLOUR, colour, f"{colour} {wordings}", extra=colour)
        phrases.enter(
            Sort.COLOUR, colour, " ".join(f"{m}-{colour}" for m in ("bright", "deep", "dark", "pale")), extra=colour
        )
        phrases.enter(Sort.COLOUR, colour, f"light-{colour} | ", extra=colour)
    for tint, colour in BACKGROUNDS.items():
        for wording in (tint.replace(" ", "-"), *TINTS[tint].split()):
            known = phrases.get(wording)
            phrases.enter(Sort.COLOUR, known.value if known else colour, wording, extra=tint, near=True)
    phrases["sky"] = Token(Sort.SCENE, "light blue", raw="sky")
    phrases["blue sky"] = phrases["sky"]
    for scene, wordings in SCENES.items():
        told, _, near = wordings.partition("|")
        phrases.enter(Sort.SCENE, scene, f"{scene} {told.replace(' ', '-')} {near}")
    phrases.enter(Sort.SCENE, "sea", "sea seas blue-sea")


def _things(phrases: _Phrases) -> None:
    """The kinds, and the things that are a kind in a colour of their own."""
    things = [(f" {kind}", f"{kind} {words}", False) for kind, words in KINDS.items()]
    things += [(said, word, False) for word, said in HINTED.items()]
    things += [(said, words, True) for said, words in STAND_INS.items()]
    for said, words, near in things:
        colour, _, kind = said.partition(" ")
        for word in words.split():
            phrases.enter(Sort.KIND, kind, PLURALS.get(word, word + "s"), extra=colour, plural=True, near=near)
            phrases.enter(Sort.KIND, kind, word, extra=colour, near=near)


def _adjectives(phrases: _Phrases) -> None:
    """How many, how large, where, in which style, and beside what."""
    phrases["plus"] = Token(Sort.RELATION, "and", raw="plus")
    for count, wordings in NUMBERS.items():
        phrases.enter(Sort.NUMBER, str(count), wordings)
    for size, wordings in SIZES.items():
        phrases.enter(Sort.SIZE, size, wordings)
    for place, wordings in PLACES.items():
        befores = ("", "at-the-", "in-the-", "on-the-", "to-the-", "into-the-", "in-", "at-", "to-", "towards-the-")
        for before, word, after in product(befores, wordings.split(), ("", "-corner", "-side", "-edge")):
            phrases.enter(Sort.PLACE, place, before + word + after)
    for style, wordings in STYLES.items():
        phrases.enter(Sort.STYLE, style, wordings)
    for relation, wordings in RELATIONS.items():
        phrases.enter(Sort.RELATION, relation, wordings)


def _references(phrases: _Phrases) -> None:
    """How earlier pictures are pointed at."""
    nouns = ("one", "picture", "image", "drawing", "version", "pic", "photo")
    for number, ordinals in enumerate(zip(NUMERALS, SUFFIXES, strict=True), 1):
        for ordinal, noun in product(ordinals, nouns):
            phrases.enter(Sort.REFERENCE, str(number), f"{ordinal}-{noun} the-{ordinal}-{noun} the-{ordinal}")
        phrases.enter(Sort.REFERENCE, str(number), ordinals[1])
    for number, word in enumerate("one two three four five six seven eight nine ten".split(), 1):
        phrases.enter(
            Sort.REFERENCE, str(number), f"number-{word} picture-{word} image-{word} version-{word} option-{word}"
        )
    for value, wordings in REFERENCES.items():
        for wording in wordings.split():
            tails = " ".join(f"{wording}-{noun} the-{wording}-{noun}" for noun in nouns)
            phrases.enter(Sort.REFERENCE, value, f"{wording} the-{wording} {tails}")
    phrases.enter(Sort.REFERENCE, "this", "this-picture that-picture this-one that-one the-picture")


def _grammar(phrases: _Phrases) -> None:
    """The little words that hold a sentence together."""
    phrases.enter(Sort.BACKDROP, "", "background backdrop bg backgrounds")
    phrases.enter(Sort.ON, "", "on onto against")
    phrases.enter(Sort.INTO, "", "into")
    phrases.enter(Sort.INDEFINITE, "", "a an")
    phrases.enter(Sort.DEFINITE, "", "the its his her their my our")
    phrases.enter(Sort.PRONOUN, "", "it this that them these those")
    phrases.enter(
        Sort.PICTURES, "", "picture pictures image images drawings drawing pics pic photo photos versions paintings"
    )
    phrases.enter(
        Sort.SEPARATE,
        "",
        "separately separate-pictures separate each-in-its-own-picture in-two-pictures one-each one-picture-each "
        "a-picture-each a-picture-for-each a-picture-for-every one-picture-for-each one-picture-for-every "
        "to-choose-from",
    )
    for thing in ("colour", "color", "background", "style"):
        value = "colour" if thing == "color" else thing
        phrases.enter(Sort.OTHER, value, f"another-{thing} different-{thing} other-{thing}")
    phrases.enter(Sort.OTHER, "places", "swap-places swap-their-places swap-them switch-places swap-sides switch-sides")
    phrases.enter(Sort.COMMA, "", ", :")
    phrases.enter(Sort.BREAK, "", ". ; ! ? then after-that afterwards and-then and-now")
    phrases["\n"] = Token(Sort.BREAK, "", raw="\n")


PHRASES = _phrases()
LONGEST = max(len(phrase.split()) for phrase in PHRASES)
TYPABLE = tuple(
    word
    for word, token in PHRASES.items()
    if token.sort in (Sort.COLOUR, Sort.KIND, Sort.SIZE, Sort.BACKDROP)
    and not token.near
    and " " not in word
    and len(word) > 3
)
