"""The built-in chat model: rules, no key. It answers the same transcript with the same words.

How it reads descriptions of pictures stands in `offline_words`.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import assert_never

from bot.domain import Delta, ModelEvent, Operation, Role, Said, Stopped
from bot.offline_words import (
    BACKGROUNDS,
    COLOURS,
    KINDS,
    LONGEST_TEXT,
    MOST,
    SHAPES,
    STYLES,
    Description,
    Group,
    Mention,
    Sort,
    Token,
    Wish,
    arranged,
    clashes,
    describe,
    legible,
    lex,
    parse,
    plain,
    seen,
    settled,
    side,
    some,
    subject,
    tell,
    understand,
)


@dataclass(frozen=True, slots=True)
class OfflineModel:
    """Answers by rules, word by word. `pause` is in seconds a word."""

    pause: float = 0.02

    async def listen(self, transcript: Sequence[Said]) -> AsyncGenerator[ModelEvent]:
        """Stream the answer: one `Delta` a word, then `Stopped`."""
        for word in re.findall(r"\s*\S+\s*", answer(transcript)):
            yield Delta(word)
            await asyncio.sleep(self.pause)
        yield Stopped()


def answer(transcript: Sequence[Said]) -> str:
    """The whole answer, with its image tags."""
    asked = hear(transcript)
    if words := small_talk(asked):
        return words
    acts = plan(asked)
    return compose(acts, asked.turn) if acts else _lost(asked)


# What was said


@dataclass(frozen=True, slots=True)
class Asked:
    """The last message, with the pictures that it can be about: their numbers and prompts.

    `turn` counts the messages so far; `row` is how many pictures the last answer asked for.
    """

    text: str
    pictures: dict[int, str]
    about: int | None
    turn: int
    row: int

    def newest(self) -> int | None:
        """The number of the newest picture."""
        return max(self.pictures, default=None)


PICTURES_LINE = re.compile(r"\A\[pictures: (.*)\](?:\n|\Z)")
ABOUT_LINE = re.compile(r"\A\[about: #(\d{1,6})\](?:\n|\Z)")
PICTURE = re.compile(r'#(\d{1,6}) "(.*?)"(?=; #|\Z)')
SPEAKER = re.compile(r"\A[^:\n]{1,80}: ?")
NEW_PICTURE = re.compile(r"<(?:image|edit|vary|refine)\b")


def hear(transcript: Sequence[Said]) -> Asked:
    """Take the last message of a person apart."""
    said = [turn.text for turn in transcript if turn.role is Role.USER]
    answers = [turn.text for turn in transcript if turn.role is Role.ASSISTANT]
    text, pictures, about = said[-1] if said else "", {}, None
    if found := PICTURES_LINE.match(text):
        pictures = {int(number): prompt for number, prompt in PICTURE.findall(found[1])}
        text = text[found.end() :]
    if found := ABOUT_LINE.match(text):
        about = int(found[1]) if int(found[1]) in pictures else None
        text = text[found.end() :]
    row = len(NEW_PICTURE.findall(answers[-1])) if answers else 0
    return Asked(SPEAKER.sub("", text)[:LONGEST_TEXT], pictures, about, len(said), row)


# Talk without pictures

HELP = (
    "I am the built-in stand-in for a chat model: a set of rules with a small vocabulary, and I need no key.\n"
    f"I can draw one to four of a thing, or two things together: {', '.join(some(2, kind) for kind in KINDS)}.\n"
    f"Colours: {', '.join(COLOURS)}. Things can be small or large, and stand at the top left, on the right and so on.\n"
    f"Backgrounds: any of these colours, {', '.join(BACKGROUNDS)}, the beach, a meadow, the night, a sunset, the sea "
    "or snow. Styles: outline and pixel.\n"
    "Then talk about the pictures: “make it blue”, “put it on the beach”, “add a star”, “more like the first one”, "
    "“I like the second”, “refine it”.\n"
    "With OPENAI_BASE_URL set, a real chat model answers in my place."
)
HELP_WANTED = (
    *("what can you", "what you can", "who are you", "what are you", "how do you work", "how does this work"),
    *(
        "are you a",
        "are you an",
        "are you real",
        "are you human",
        "which model are you",
        "how can i",
        "how do i",
        "what can i",
    ),
    *(
        "what colours",
        "which colours",
        "what colors",
        "which colors",
        "what shapes",
        "which shapes",
        "what styles",
        "which styles",
    ),
)
FIXED = {
    "how are you": "I am fine, thank you. What shall I draw?",
    "undo": "Nothing is lost: every picture is still there. Say “I like the first” to go on from an older one.",
}
JOKES = (
    "What did the circle say to the triangle? “I don't see your point.”",
    "Why did the star go to school? To get a little brighter.",
    "Why was the moon not hungry? It was already full.",
    "What do you call a fish without an eye? A fsh.",
    "Why did the square never get lost? It knew every corner.",
)
HELLO = (
    "Hello! What shall I draw?",
    "Hi there! Tell me what you would like to see.",
    "Hello! Shall we draw something?",
)
WELCOME = ("You are welcome!", "With pleasure!", "Any time!")
GLAD = ("I am glad you like it.", "That makes me happy.", "Lovely to hear.")
QUIET = ("All right, I leave everything as it is.", "Fine, nothing changes.")
NEXT = ("Good! What comes next?", "Fine! What shall I draw or change?")
EXAMPLES = (
    "“draw a red circle on a light blue background” or “three small pictures of a cat”",
    "“a cat and a tree in the snow” or “four pink hearts”",
    "“draw a house at night” or “a yellow moon above two green trees as pixel art”",
)
CHANGES = ("“make it blue” or “more like the first one”", "“put it on the beach” or “add a star”")
SURPRISES = (
    "an orange cat in a meadow",
    "a yellow moon above two red houses on a navy background",
    "three pink flowers on a light green background",
    "a large blue fish in the sea in pixel style",
)
LANDSCAPES = {
    "beach": "a yellow circle at the top on the beach",
    "meadow": "three pink flowers in a meadow",
    "night": "a yellow moon at night",
    "sunset": "a yellow circle at sunset",
    "sea": "two orange fish in the sea",
    "snow": "a green tree in the snow",
}
GREETINGS = set("hello hi hey hallo howdy greetings morning evening afternoon good moin servus yo".split())
THANKS = set("thanks thank thx ty cheers danke merci".split())
PRAISE = set(
    "nice great cool love lovely beautiful good well done wow perfect awesome super amazing like fantastic excellent "
    "pretty cute wonderful haha lol".split()
)
STOP = set("no nope stop nothing nevermind never mind cancel bye goodbye".split())
ASSENT = set("ok okay yes yeah yep sure alright fine".split())
COURTESIES = ((GREETINGS, HELLO), (THANKS, WELCOME), (PRAISE, GLAD), (STOP, QUIET), (ASSENT, NEXT))
SURPRISE = {"something", "anything", "surprise", "random"}
PADDING = set(
    "thats you so very much it that this bot there my friend i all a lot the is are really looks again to for".split()
)


def small_talk(asked: Asked) -> str:
    """The answer to words that ask for no picture, or nothing when they do."""
    words = re.findall(r"[^\W_]+|#\d+", asked.text.lower().replace("'", "").replace("’", ""))
    said, turn = " ".join(words), asked.turn
    content = set(words) - PADDING
    if said in ("help", "help me", "help please", "please help") or any(question in said for question in HELP_WANTED):
        return HELP
    for question, reply in FIXED.items():
        if question in said:
            return reply
    if "joke" in words or "jokes" in words:
        return _one_of(JOKES, turn)
    if "story" in words or "stories" in words:
        return _story(asked)
    if told := _prompts(asked, words):
        return told
    if said.startswith(("dont ", "do not ", "please dont", "please do not")):
        return _one_of(QUIET, turn)
    liked = asked.about is not None and content & {"like", "love"}  # which chooses the picture
    if not liked and content <= {word for words_of, _ in COURTESIES for word in words_of}:
        for known, replies in COURTESIES:
            if content & known:
                return _one_of(replies, turn)
    tokens = lex(asked.text)
    drawn = any(token.sort is Sort.VERB and token.value != "draw" for token in tokens)
    if content & SURPRISE and not drawn and not understand(tokens).says():
        return compose([Draw(_known(_one_of(SURPRISES, turn)))], turn)
    return ""


def _prompts(asked: Asked, words: list[str]) -> str:
    """What the pictures were drawn from, when that is the question."""
    questions = {"what", "whats", "which", "describe", "prompt", "prompts"}
    about = {"prompt", "prompts", "describe", "picture", "pictures", "image", "drawing", "show", "shows", "drew", "did"}
    tokens = lex(asked.text)
    referred = any(token.sort is Sort.REFERENCE for token in tokens) or asked.about is not None
    if not (questions & set(words[:5]) and (about & set(words) or referred)) or _changes(understand(tokens)):
        return ""
    targets, missing = _targets(tokens, asked, asked.about or asked.newest())
    if missing or not targets:
        return _missing(missing, asked)
    return "\n".join(f"#{number} was drawn from: {_clean(asked.pictures[number])}." for number in targets)


def _clean(prompt: str) -> str:
    known = parse(prompt)
    return tell(known) if known else plain(prompt, 120) or "no words"


def _story(asked: Asked) -> str:
    wish = understand(lex(asked.text))
    hero = describe(replace(wish, style="", background="", place="")) or _known("an orange cat")
    hero = replace(hero, groups=hero.groups[:1], above=False)
    name, many = some(hero.groups[0].count, hero.groups[0].kind), hero.groups[0].count > 1
    day, _ = legible(settled(replace(hero, background=wish.background or "meadow")), True)
    other = "sunset" if wish.background == "night" else "night"
    evening, _ = legible(settled(replace(hero, background=other)), True)
    return (
        f"Once upon a time there {'were' if many else 'was'} {subject(hero)}.\n<image>{tell(day)}</image>\n"
        f"One evening the {name} went for a long walk and found that the world was even bigger than the picture.\n"
        f"<image>{tell(evening)}</image>\nThen the {name} went home and slept very well."
    )


def _known(prompt: str) -> Description:
    description = parse(prompt)
    assert description is not None, prompt
    return description


def _lost(asked: Asked) -> str:
    examples = CHANGES if asked.pictures else EXAMPLES
    opening = _one_of(
        ("That is beyond my rules.", "I did not understand that.", "I am not sure what to draw."), asked.turn
    )
    unknown = understand(lex(asked.text)).unknown
    asking = {"draw", "add", "put", "make", "change"}
    if unknown and any(token.sort is Sort.VERB and token.value in asking for token in lex(asked.text)):
        examples, opening = EXAMPLES, f"I cannot draw “{plain(' '.join(unknown))}” yet."
    return f"{opening} Try {_one_of(examples, asked.turn)}."


def _one_of(choices: Sequence[str], turn: int) -> str:
    return choices[turn % len(choices)]


# What is to be done


@dataclass(frozen=True, slots=True)
class Draw:
    """A new picture, `times` over."""

    description: Description
    remarks: tuple[str, ...] = ()
    times: int = 1


@dataclass(frozen=True, slots=True)
class Edit:
    """A picture after a change."""

    of: int
    description: Description
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refine:
    """The same picture, drawn more carefully."""

    of: int
    description: Description


@dataclass(frozen=True, slots=True)
class Pick:
    """A picture to be varied or chosen."""

    operation: Operation
    of: int


@dataclass(frozen=True, slots=True)
class Tell:
    """Only words."""

    words: str


Act = Draw | Edit | Refine | Pick | Tell
MOST_CLAUSES = 12  # of a message that are read


def plan(asked: Asked) -> list[Act]:
    """What the message asks for, clause by clause; nothing when it was not understood."""
    acts: list[Act] = []
    focus, last_verb = asked.about or asked.newest(), ""
    for clause in islice(clauses(lex(asked.text)), MOST_CLAUSES):
        request = _request(clause, asked, focus, acts)
        if request.targets and not request.wish.says() and not request.verbs and last_verb:
            request = replace(request, verbs=frozenset({last_verb}))
        acts = _act(request, asked, acts)
        focus = request.targets[-1] if request.targets else focus
        last_verb = next((verb for verb in ("vary", "refine", "select") if verb in request.verbs), "")
    drawn = [act for act in acts if isinstance(act, Draw)]
    if len(drawn) > 1:
        acts = [replace(act, times=1) if isinstance(act, Draw) else act for act in acts]
    return acts


def clauses(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Cut a message into its wishes: at full stops, before new verbs, and where a new picture begins."""
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
    """Whether what comes after a comma or an "and" is a wish of its own."""
    rest = [token for token in rest[:8] if token.sort is not Sort.LITTLE and token.raw != "and"]
    if not rest or not current:
        return False
    if rest[0].value == "add" and current[0].value == "remove":
        return False
    if rest[0].sort is Sort.VERB and rest[0].raw not in ("no", "without", "more", "again"):
        return True
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


def _has(tokens: Sequence[Token], sort: Sort) -> bool:
    return any(token.sort is sort for token in tokens)


@dataclass(frozen=True, slots=True)
class Request:
    """One clause: what it says, and which pictures it is about. `named` when it points at them itself."""

    wish: Wish
    verbs: frozenset[str]
    raws: frozenset[str]
    targets: tuple[int, ...]
    named: bool
    missing: tuple[str, ...]
    pronoun: bool
    separate: bool
    known: int


def _request(tokens: Sequence[Token], asked: Asked, focus: int | None, acts: Sequence[Act]) -> Request:
    wish = understand(tokens)
    verbs = frozenset(token.value for token in tokens if token.sort is Sort.VERB)
    pronoun = _has(tokens, Sort.PRONOUN)
    ordered = _has(tokens, Sort.REFERENCE)
    targets, missing = _targets(tokens, asked, focus)
    fresh = bool(acts) and isinstance(acts[-1], Draw | Edit)
    things = [mention for mention in wish.mentions if mention.definite and not ordered and not fresh]
    if asked.about is None and (found := _holding(things, asked, focus)):
        targets = (found,)
    content = (Sort.KIND, Sort.COLOUR, Sort.SIZE, Sort.SCENE, Sort.NUMBER, Sort.STYLE, Sort.PLACE, Sort.INDEFINITE)
    return Request(
        wish,
        verbs,
        frozenset(token.raw for token in tokens),
        targets,
        ordered,
        missing,
        pronoun,
        _has(tokens, Sort.SEPARATE),
        sum(token.sort in content for token in tokens),
    )


def _targets(tokens: Sequence[Token], asked: Asked, focus: int | None) -> tuple[tuple[int, ...], tuple[str, ...]]:
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
            case "left" if newest:
                found.append(max(newest - max(asked.row, 1) + 1, min(asked.pictures)))
            case "last" | "right" | "this" | "left":
                found += [newest] if newest else []
            case number if int(number) in asked.pictures:
                found.append(int(number))
            case number:
                missing.append(number)
    if not found and not missing and focus:
        found = [focus]
    return tuple(dict.fromkeys(found))[:MOST], tuple(missing)


def _holding(mentions: Sequence[Mention], asked: Asked, focus: int | None) -> int | None:
    """The newest picture that holds a thing that was named, unless the one talked about does."""
    for number in sorted(asked.pictures, key=lambda number: (number == focus, number), reverse=True):
        description = parse(asked.pictures[number])
        if description and any(_spot(description.groups, mention) is not None for mention in mentions):
            return number
    return None


def _act(request: Request, asked: Asked, acts: list[Act]) -> list[Act]:
    """The acts so far and what this clause adds to them, or changes in the last one."""
    wish, verbs = request.wish, request.verbs
    fresh = acts[-1] if acts and isinstance(acts[-1], Draw | Edit) and not request.named else None
    if request.missing:
        return [*acts, Tell(_missing(request.missing, asked))]
    if _draws(request, asked, fresh is not None):
        return acts + _drawn(request)
    if isinstance(fresh, Draw) and wish.says():
        return [*acts[:-1], _redrawn(fresh, wish, verbs)]
    if ("draw" in verbs or not asked.pictures) and not (wish.mentions or request.named or request.pronoun or fresh):
        if wish.background in LANDSCAPES and not wish.unknown:
            view = replace(_known(LANDSCAPES[wish.background]), style=wish.style or "flat")
            return [*acts, Draw(view, ("A background alone would look empty, so I put something there.",))]
        if wish.unknown and "draw" in verbs:
            return acts
    if verbs & {"vary", "refine", "select"} and not request.targets:
        return [*acts, Tell(_missing((), asked))]
    known = all(parse(asked.pictures[number]) for number in request.targets)
    if "refine" in verbs and not (_changes(wish) and known):
        return acts + [_refined(number, asked, wish) for number in request.targets]
    if "vary" in verbs and (not _changes(wish)):
        return (
            acts + [Pick(Operation.VARY, number) for number in request.targets for _ in range(wish.count or 1)][:MOST]
        )
    if "select" in verbs and not _changes(wish):
        fond = request.raws & {"love", "i like", "i love", "i prefer"}
        if fond and not request.named and asked.about is None and not wish.mentions:
            return [*acts, Tell(_one_of(GLAD, asked.turn))]
        return acts + [Pick(Operation.SELECT, number) for number in request.targets]
    if not wish.says() and not (wish.backdrop and "remove" in verbs):
        if request.named and len(request.targets) == 1 and not verbs - {"draw"} and not wish.unknown:
            return acts + [Pick(Operation.SELECT, number) for number in request.targets]
        return acts
    if not request.targets:
        return [*acts, Tell(_missing((), asked))]
    if request.known < len(wish.unknown) and not verbs:
        return acts
    for number in request.targets:
        acts = _edited(number, request, asked, acts)
    return acts


def _changes(wish: Wish) -> bool:
    """Whether more is said than which picture is meant."""
    return bool(
        wish.colours
        or wish.background
        or wish.style
        or wish.size
        or wish.place
        or wish.other
        or any(not mention.definite or mention.recolour for mention in wish.mentions)
    )


def _draws(request: Request, asked: Asked, fresh: bool) -> bool:
    """Whether the clause asks for a new picture rather than for a change."""
    wish, verbs = request.wish, request.verbs
    things = [mention for mention in wish.mentions if mention.kind]
    if not things or request.named or (not verbs and len(wish.unknown) > request.known):
        return False
    if not asked.pictures and not fresh:
        return True
    if wish.pictures or request.separate:
        return True
    if "draw" in verbs:
        return not things[0].definite or not _holding(things[:1], asked, None)
    if things[0].definite or request.pronoun or verbs & {"add", "remove", "change"}:
        return False
    if "put" in verbs:
        return bool(wish.background)
    if verbs & {"make", "vary", "refine", "select"}:
        return not ("more" in request.raws and "vary" in verbs)
    return not things[0].relation and asked.about is None


def _drawn(request: Request) -> list[Act]:
    wish, remarks = request.wish, _remarks(request.wish)
    things = [mention for mention in wish.mentions if mention.kind]
    times = wish.pictures or 1
    if times > MOST or (len(things) > MOST and request.separate):
        remarks.append("Four pictures are the most I draw at once.")
    if request.separate or (1 < times == len(things)):
        wishes = [replace(wish, mentions=[thing]) for thing in things[:MOST]]
        times = 1
    else:
        wishes = [wish]
        if len(things) > 2:
            left_out = " and ".join(some(thing.group().count, thing.kind) for thing in things[2:4])
            remarks.append(f"Two kinds of things fit into one picture, so I left out the {left_out}.")
    draws: list[Act] = []
    for one in wishes:
        if description := describe(one):
            coloured = one.colours or any(thing.colour or thing.recolour for thing in one.mentions)
            description, remark = legible(description, bool(one.background and not coloured))
            told = (*remarks, remark) if one is wishes[-1] else (remark,)
            draws.append(Draw(description, tuple(filter(None, told)), min(times, MOST)))
    return draws


def _remarks(wish: Wish) -> list[str]:
    remarks = list(dict.fromkeys(wish.remarks))[:2]
    if wish.unknown:
        remarks.append(f"I cannot draw “{plain(' '.join(dict.fromkeys(wish.unknown)))}” yet, so I left that out.")
    return remarks


def _redrawn(draw: Draw, wish: Wish, verbs: frozenset[str]) -> Draw:
    description, remarks = changed(draw.description, wish, verbs)
    return replace(draw, description=description, remarks=(*draw.remarks, *remarks))


def _refined(number: int, asked: Asked, wish: Wish) -> Act:
    description = parse(asked.pictures[number]) or describe(wish)
    return Refine(number, legible(description, False)[0]) if description else Tell(_blind(number, "refine"))


def _edited(number: int, request: Request, asked: Asked, acts: list[Act]) -> list[Act]:
    wish = request.wish
    before = acts[-1] if acts else None
    if isinstance(before, Edit) and before.of == number:
        base: Description | None = before.description
        acts, earlier = acts[:-1], before.remarks
    else:
        base, earlier = parse(asked.pictures[number]), ()
    if base is None:
        description = describe(wish)
        if description is None:
            return [*acts, Tell(_blind(number, "edit"))]
        description, remark = legible(description, True)
        return [*acts, Edit(number, description, tuple(filter(None, (*_remarks(wish), remark))))]
    description, remarks = changed(base, wish, request.verbs)
    if description == base and not earlier:
        said = " ".join(remarks) or f"#{number} already shows {tell(base)}."
        return [*acts, Tell(said)]
    return [*acts, Edit(number, description, (*earlier, *remarks))]


def _missing(numbers: Sequence[str], asked: Asked) -> str:
    if not asked.pictures:
        return f"There is no picture yet. Try {_one_of(EXAMPLES, asked.turn)}."
    have = [f"#{number}" for number in sorted(asked.pictures)][-8:]
    wanted = " and ".join(f"#{plain(number, 6)}" for number in numbers[:3])
    listed = have[0] if len(have) == 1 else f"{', '.join(have[:-1])} and {have[-1]}"
    return f"There is no picture {wanted}; I know {listed}."


def _blind(number: int, verb: str) -> str:
    return (
        f"I cannot tell what is in #{number}, and so I cannot {verb} it that way. "
        "Say what the new picture should show, for example “make it a blue circle on the beach”."
    )


# Changing a description


def changed(base: Description, wish: Wish, verbs: frozenset[str]) -> tuple[Description, tuple[str, ...]]:
    """The description after the change, and what there is to say about it."""
    remarks = _remarks(wish)
    if verbs >= {"remove", "add"}:
        verbs = frozenset({"change"})
    if "remove" in verbs and (wish.mentions or wish.backdrop):
        after = _removed(base, wish, remarks)
        return after, tuple(remarks)
    after = _regrouped(base, wish, verbs, remarks)
    after = _recoloured(after, wish)
    single = len(after.groups) == 1
    if wish.count and single and not any(mention.count for mention in wish.mentions):
        after = replace(after, groups=(replace(after.groups[0], count=wish.count),))
    if wish.background:
        after = replace(after, background=wish.background)
    if wish.style:
        after = replace(after, style=wish.style)
    if wish.other in ("background", "style"):
        after = _other(after, wish.other)
    pair, alone = len(after.groups) == 2, settled(replace(after, size="small")).size == "small"
    if pair and wish.place and len(base.groups) == 2 and not any(not mention.definite for mention in wish.mentions):
        after = _moved(after, wish)
    elif alone:
        size = _size(after.size, wish.size) if wish.size else after.size
        after = replace(after, size=size, place=wish.place or after.place)
    elif wish.size or (wish.place and not pair):
        remarks.append("I can choose the size and place of a single thing only.")
    after, remark = legible(settled(after), bool(wish.background))
    return after, tuple(filter(None, (*remarks, remark)))


def _spot(groups: Sequence[Group], mention: Mention) -> int | None:
    """Which of the groups is meant."""
    fitting = [n for n, group in enumerate(groups) if mention.kind in ("", group.kind)]
    exact = [n for n in fitting if mention.colour in ("", groups[n].colour)]
    return next(iter(exact or (fitting if mention.kind else ())), None)


def _removed(base: Description, wish: Wish, remarks: list[str]) -> Description:
    groups = list(base.groups)
    for mention in wish.mentions:
        place = _spot(groups, mention)
        if place is None:
            remarks.append(f"I see no {mention.kind or mention.colour} in it.")
        elif 0 < mention.count < groups[place].count:
            groups[place] = replace(groups[place], count=groups[place].count - mention.count)
        elif len(groups) == 1:
            remarks.append("Then nothing would be left in the picture.")
        else:
            del groups[place]
    after = replace(base, groups=tuple(groups))
    if wish.backdrop:
        after = replace(after, background="white")
    return legible(settled(after), True)[0]


def _regrouped(base: Description, wish: Wish, verbs: frozenset[str], remarks: list[str]) -> Description:
    """Other things in the picture, more of them, or in another order."""
    new = [mention for mention in wish.mentions if mention.kind and not mention.definite]
    old = [mention for mention in wish.mentions if mention.definite]
    spots = [_spot(base.groups, mention) for mention in old]
    for mention, spot in zip(old, spots, strict=True):
        if spot is None and "add" in verbs:
            new.append(mention)
        elif spot is None:
            remarks.append(f"I see no {mention.colour} {mention.kind}".replace("  ", " ") + " in it.")
    relation = next((mention.relation for mention in wish.mentions if mention.relation not in ("", "instead")), "")
    if not new:
        if len(old) == 2 and None not in spots and old[1].relation not in ("", "and") and spots[0] != spots[1]:
            one, other = (base.groups[spot] for spot in spots if spot is not None)
            groups, above = arranged(one, other, old[1].relation)
            return replace(base, groups=groups, above=above)
        return base
    adds = bool(verbs & {"add", "vary"} or wish.towards or wish.mentions[0].relation)
    adds = adds or ("put" in verbs and not any(mention.relation == "instead" for mention in old))
    if adds and "change" not in verbs:
        for mention in new:
            base = _added(base, mention, wish.towards or relation, remarks, after=wish.mentions[0].definite)
        return base
    if len(new) > 1:
        other_picture = describe(Wish(mentions=new))
        return replace(base, groups=other_picture.groups, above=other_picture.above) if other_picture else base
    spot = next((spot for spot in spots if spot is not None), 0)
    was, mention = base.groups[spot], new[0]
    fixed = was.kind not in SHAPES and was.colour == Mention(was.kind).group().colour
    colour = mention.colour or mention.recolour or mention.hint or ("" if fixed else was.colour)
    count = mention.count or (was.count if mention.plural and was.count > 1 else 0)
    group = replace(mention, colour=colour, count=count).group()
    groups_after = tuple(group if n == spot else kept for n, kept in enumerate(base.groups))
    return replace(base, groups=groups_after)


def _added(base: Description, mention: Mention, relation: str, remarks: list[str], after: bool) -> Description:
    """One more thing: more of the same, or a second group; `after` when the relation was told from the old one."""
    count = mention.count or (2 if mention.plural else 1)
    for n, group in enumerate(base.groups):
        if group.kind == mention.kind and mention.colour in ("", group.colour):
            if group.count == MOST:
                remarks.append("Four of a kind are the most I can draw.")
            more = replace(group, count=min(MOST, group.count + count))
            return replace(base, groups=tuple(more if m == n else kept for m, kept in enumerate(base.groups)))
    if len(base.groups) == 2:
        remarks.append("Two kinds of things fit into one picture; take one out first.")
        return base
    group = replace(mention, count=count).group()
    if not mention.colour:
        group = replace(group, colour=seen(group, base.background))
    relation = side(mention.place) if relation in ("", "and") else relation
    if relation in ("", "and"):
        return replace(base, groups=(*base.groups, group), above=False)
    one, other = (base.groups[0], group) if after else (group, base.groups[0])
    groups, above = arranged(one, other, relation)
    return replace(base, groups=groups, above=above)


def _recoloured(base: Description, wish: Wish) -> Description:
    groups = list(base.groups)
    colour = ""
    for mention in reversed(wish.mentions):
        colour = mention.recolour or (colour if mention.definite else "")
        spot = _spot(groups, mention)
        if mention.definite and colour and spot is not None:
            groups[spot] = replace(groups[spot], colour=colour)
    if len(wish.colours) > 1:
        old, new = wish.colours[0], wish.colours[-1]
        groups = [replace(group, colour=new) if group.colour == old else group for group in groups]
    elif wish.colours:
        groups = [replace(group, colour=wish.colours[0]) for group in groups]
    if wish.other == "colour":
        groups = [replace(group, colour=_next(list(COLOURS), group.colour)) for group in groups]
    return replace(base, groups=tuple(groups))


def _moved(base: Description, wish: Wish) -> Description:
    """Two things change their sides when one of them is moved."""
    spots = [_spot(base.groups, mention) for mention in wish.mentions if mention.definite]
    spot = next((spot for spot in spots if spot is not None), 0)
    relation = side(wish.place)
    if relation == "and":
        return base
    groups, above = arranged(base.groups[spot], base.groups[1 - spot], relation)
    return replace(base, groups=groups, above=above)


def _size(now: str, wanted: str) -> str:
    steps = ("small", "medium", "large")
    if wanted in steps:
        return wanted
    step = steps.index(now) + (1 if wanted == "bigger" else -1)
    return steps[max(0, min(2, step))]


def _other(base: Description, what: str) -> Description:
    if what == "style":
        return replace(base, style=_next(list(STYLES), base.style))
    backgrounds = [*BACKGROUNDS, "beach", "meadow", "sunset", "sea"]
    fitting = [there for there in backgrounds if not any(clashes(group, there) for group in base.groups)]
    return replace(base, background=_next(fitting, base.background))


def _next(choices: Sequence[str], now: str) -> str:
    return choices[(choices.index(now) + 1) % len(choices)] if now in choices else choices[0]


# The words around the pictures


EDITED = ("Here is #{} again, now {}:", "#{}, now {}:", "There you go, #{} is now {}:")
REFINED = ("Once more with care, #{}:", "I polish #{}:")
VARIED = ("Another one like #{}:", "A sister of #{}:", "Something close to #{}:")
CHOSEN = ("#{} it is:", "A good choice, #{}:")


def compose(acts: Sequence[Act], turn: int) -> str:
    """The answer: words and tags in the order in which things were asked for."""
    blocks: list[str] = []
    tags = 0
    for place, act in enumerate(acts):
        if tags >= MOST and not isinstance(act, Tell):
            blocks.append("Four pictures are the most I draw at once.")
            break
        match act:
            case Draw(description, remarks, times):
                times = min(times, MOST - tags)
                blocks += [_draw_words(description, place, turn, times), *[_tag("image", None, description)] * times]
                blocks += [remark for remark in remarks if remark not in blocks]
                tags += times
            case Edit(of, description, remarks):
                opening = _one_of(EDITED, turn + place).format(of, tell(description))
                blocks += [opening, _tag("edit", of, description), *remarks]
                tags += 1
            case Refine(of, description):
                blocks += [_one_of(REFINED, turn + place).format(of), _tag("refine", of, description)]
                tags += 1
            case Pick(operation, of):
                openings = VARIED if operation is Operation.VARY else CHOSEN
                blocks += [_one_of(openings, turn + place).format(of), f'<{operation} of="{of}"/>']
                tags += 1
            case Tell(words):
                blocks += [words] if words not in blocks else []
            case _:
                assert_never(act)
    return "\n".join(blocks)


def _draw_words(description: Description, place: int, turn: int, times: int) -> str:
    what = subject(description) + ("", ", twice", ", three times", ", four times")[times - 1]
    verb = "is" if what.startswith(("a ", "an ")) and len(description.groups) == 1 else "are"
    if place:
        return _one_of((f"And here {verb} {what}:", f"Next, {what}:", f"Then {what}:"), place + turn)
    return _one_of((f"Here {verb} {what}:", f"With pleasure, {what}:", f"Coming up, {what}:"), turn)


def _tag(name: str, of: int | None, description: Description) -> str:
    target = "" if of is None else f' of="{of}"'
    return f"<{name}{target}>{tell(description)}</{name}>"
