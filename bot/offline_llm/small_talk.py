"""Answers in words alone: greetings, help, jokes, prompts, a story. Pure."""

import re
from dataclasses import replace

from bot.offline_llm.actions import Draw
from bot.offline_llm.answer_text import compose
from bot.offline_llm.clauses import targets_of
from bot.offline_llm.planner import changes_something, missing_numbers
from bot.offline_llm.replies import (
    ADVENTURES,
    CHANGES,
    COURTESIES,
    EXAMPLES,
    FIXED,
    HELP,
    HELP_WANTED,
    JOKES,
    PADDING,
    QUIET,
    SURPRISE,
    SURPRISES,
    UNKNOWING,
    one_of,
)
from bot.offline_llm.request_context import RequestContext, known_picture
from bot.offline_llm.scene import legible, settled, some, subject, tell
from bot.offline_llm.scene_parser import describe, parse, understand
from bot.offline_llm.sentence_filter import image_requests_in, is_question
from bot.offline_llm.tokenizer import Sort, lex
from bot.offline_llm.vocabulary import plain

FOREIGN = 3  # words that are not known, and none that is
LENGTHS = {"a": 1, "one": 1, "1": 1, "two": 2, "2": 2, "three": 3, "3": 3, "four": 4, "4": 4}
PARTS = re.compile(rf"\b({'|'.join(LENGTHS)})\s+(?:pictures?|images?|drawings?|parts|chapters|scenes)\b", re.IGNORECASE)


def small_talk(asked: RequestContext) -> str:
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
        return one_of(JOKES, turn)
    wished = image_requests_in(asked.text)
    if re.search(r"(?<!\bno )\bstor(?:y|ies)\b", wished, re.IGNORECASE):
        return _story(asked)
    if told := _prompts(asked, words):
        return told
    if said.startswith(("dont ", "do not ", "please dont", "please do not")) and not wished.strip():
        return one_of(QUIET, turn)
    liked = asked.about is not None and content & {"like", "love"}  # which chooses the picture
    if not liked and content <= {word for words_of, _ in COURTESIES for word in words_of}:
        for known, replies in COURTESIES:
            if content & known:
                return one_of(replies, turn)
    tokens = lex(asked.text)
    drawn = any(token.sort is Sort.VERB and token.value != "draw" for token in tokens)
    if content & SURPRISE and not drawn and not understand(tokens).says():
        return compose([Draw(known_picture(one_of(SURPRISES, turn)))], turn)
    return ""


def _prompts(asked: RequestContext, words: list[str]) -> str:
    """What the pictures were drawn from, when that is the question."""
    questions = {"what", "whats", "which", "describe", "prompt", "prompts"}
    about = {"prompt", "prompts", "describe", "picture", "pictures", "image", "drawing", "show", "shows", "drew", "did"}
    tokens = lex(asked.text)
    referred = any(token.sort is Sort.REFERENCE for token in tokens) or asked.about is not None
    if not (questions & set(words[:5]) and (about & set(words) or referred)) or changes_something(understand(tokens)):
        return ""
    targets, missing = targets_of(tokens, asked, asked.about or asked.newest())
    if missing or not targets:
        return missing_numbers(missing, asked)
    return "\n".join(f"#{number} was drawn from: {_clean(asked.pictures[number])}." for number in targets)


def _clean(prompt: str) -> str:
    known = parse(prompt)
    return tell(known) if known else plain(prompt, 120) or "no words"


def _story(asked: RequestContext) -> str:
    """A story about the hero that the message names, with as many images as the story is to have parts."""
    wish = understand(lex(asked.text))
    hero = describe(replace(wish, style="", background="", place="", count=0)) or known_picture("an orange cat")
    hero = replace(hero, groups=hero.groups[:1], above=False)
    name, many = some(hero.groups[0].count, hero.groups[0].kind), hero.groups[0].count > 1
    parts = PARTS.search(asked.text)
    length = LENGTHS[parts[1].lower()] if parts else 2
    first = wish.background or "meadow"
    others = [scene for scene in ("beach", "sunset", "night") if scene != first]
    written = [f"Once upon a time there {'were' if many else 'was'} {subject(hero)}."]
    for scene in [first, *others[max(0, len(others) - length + 1) :]]:
        view, _ = legible(settled(replace(hero, background=scene)), True)
        written += [f"<image>{tell(view)}</image>", one_of(ADVENTURES, len(written) // 2).format(name)]
    return "\n".join([*written[:-1], f"Then the {name} went home and slept very well."])


def at_a_loss(asked: RequestContext) -> str:
    """What to say when nothing was understood."""
    examples = CHANGES if asked.pictures else EXAMPLES
    if is_question(asked.text):
        return f"{one_of(UNKNOWING, asked.turn)} Try {one_of(EXAMPLES, asked.turn)}."
    opening = one_of(
        ("That is beyond my rules.", "I did not understand that.", "I am not sure what to draw."), asked.turn
    )
    tokens = lex(asked.text)
    unknown = understand(tokens).unknown
    asking = {"draw", "add", "put", "make", "change"}
    if len(unknown) >= FOREIGN and all(token.sort in (Sort.UNKNOWN, Sort.COMMA, Sort.BREAK) for token in tokens):
        examples, opening = EXAMPLES, "I know a little English, and no other language: a real chat model knows yours."
    elif unknown and any(token.sort is Sort.VERB and token.value in asking for token in tokens):
        examples, opening = EXAMPLES, f"I cannot draw “{plain(' '.join(unknown))}” yet."
    return f"{opening} Try {one_of(examples, asked.turn)}."
