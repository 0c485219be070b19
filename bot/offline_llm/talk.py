"""Answers in words alone: greetings, help, jokes, prompts, a story. Pure."""

import re
from dataclasses import replace

from bot.offline_llm.acts import Draw
from bot.offline_llm.compose import compose
from bot.offline_llm.description import legible, settled, some, subject, tell
from bot.offline_llm.hearing import Asked, known_picture
from bot.offline_llm.lexer import Sort, lex
from bot.offline_llm.phrases import (
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
    one_of,
)
from bot.offline_llm.plan import changes_something, missing_numbers
from bot.offline_llm.request import targets_of
from bot.offline_llm.wish import describe, parse, understand
from bot.offline_llm.words import plain


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
        return one_of(JOKES, turn)
    if "story" in words or "stories" in words:
        return _story(asked)
    if told := _prompts(asked, words):
        return told
    if said.startswith(("dont ", "do not ", "please dont", "please do not")):
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


def _prompts(asked: Asked, words: list[str]) -> str:
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


def _story(asked: Asked) -> str:
    wish = understand(lex(asked.text))
    hero = describe(replace(wish, style="", background="", place="")) or known_picture("an orange cat")
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


def at_a_loss(asked: Asked) -> str:
    """What to say when nothing was understood."""
    examples = CHANGES if asked.pictures else EXAMPLES
    opening = one_of(
        ("That is beyond my rules.", "I did not understand that.", "I am not sure what to draw."), asked.turn
    )
    unknown = understand(lex(asked.text)).unknown
    asking = {"draw", "add", "put", "make", "change"}
    if unknown and any(token.sort is Sort.VERB and token.value in asking for token in lex(asked.text)):
        examples, opening = EXAMPLES, f"I cannot draw “{plain(' '.join(unknown))}” yet."
    return f"{opening} Try {one_of(examples, asked.turn)}."
