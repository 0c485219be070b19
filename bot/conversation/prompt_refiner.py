"""Prompt refinement: a second call of the chat model rewrites a short prompt in the dialect of the image model.

A refined prompt that loses an object, a number or a quoted text of the original is discarded.
"""

import asyncio
import re
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Protocol

from bot.capabilities import Dialect, Editing, ModelCapabilities, RefineMode
from bot.conversation.model_answer import Turn, parse_stream
from bot.domain import Operation, RenderJob, Text
from bot.llm.messages import ChatMessage, ModelFailed, Role
from bot.parsing.image_request import clean_prompt
from bot.ports import ChatModel
from bot.prompting.system_prompt import MAX_PROMPT_WORDS, build_refinement_prompt


class RefinedStore(Protocol):
    """Records a refined prompt before it is used, so that a restart renders the same image."""

    def refine(self, job: RenderJob, prompt: str) -> None:
        """Record the refined prompt of the job."""
        ...


TIMEOUT = 20.0  # seconds; then the original prompt is used
SHORT_PROMPT = {Dialect.SENTENCES: 5, Dialect.PHRASES: 25}  # words up to which a prompt is refined in `auto`
EXTRA_WORDS = 8  # words by which a refined prompt may exceed its target length

_QUOTED = re.compile(r"\"([^\"]+)\"|“([^”]+)”|«([^»]+)»|(?<!\w)'([^']+)'(?!\w)")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_NUMERALS = "zero one two three four five six seven eight nine ten eleven twelve".split()
_COUNTS = {word: str(number) for number, word in enumerate(_NUMERALS)} | {"dozen": "12", "pair": "2", "couple": "2"}
_STOP_WORDS = set(  # words that name nothing in an image
    "a an the and or but of in on at to for from by with without into onto as is are be being it its this that these"
    " those there here his her their our my your some any very really quite just please who which while where when"
    " showing shown picture image photo drawing painting illustration has have having so such then them they he she"
    " him us we you i me like make draw paint".split()
)


@dataclass(frozen=True, slots=True)
class PromptRefiner:
    """Refines the prompts of jobs before they are rendered."""

    model: ChatModel
    store: RefinedStore
    mode: RefineMode = RefineMode.AUTO

    async def __call__(self, job: RenderJob, capabilities: ModelCapabilities) -> RenderJob:
        """The job, with a recorded refined prompt if it needs one and the result keeps the content of its prompt."""
        if job.refined_prompt or not needs_refinement(job, capabilities, self.mode):
            return job
        refined = await refine_prompt(self.model, job.request.prompt, capabilities.dialect)
        if not refined:
            return job
        self.store.refine(job, refined)
        return replace(job, refined_prompt=refined)


def needs_refinement(job: RenderJob, capabilities: ModelCapabilities, mode: RefineMode) -> bool:
    """Whether the job's prompt needs refinement: it describes a whole image, in a dialect that gains by it.

    A variation keeps the prompt of its source, and an instruction says what changes: neither is refined. In `auto`
    only short prompts are: models that read sentences render long prompts as well as refined ones.
    """
    describes = job.request.operation is Operation.GENERATE or (
        job.request.operation in (Operation.EDIT, Operation.REFINE) and capabilities.editing is not Editing.INSTRUCT
    )
    if mode is RefineMode.OFF or not describes or not job.request.prompt:
        return False
    fresh = job.request.operation is Operation.GENERATE and len(job.request.prompt.split()) <= SHORT_PROMPT.get(
        capabilities.dialect, 0
    )
    return mode is RefineMode.ALWAYS or fresh


async def refine_prompt(model: ChatModel, original: str, dialect: Dialect) -> str:
    """The refined prompt; empty if the model fails or exceeds `TIMEOUT`, or the result is too long or loses content."""
    turn = Turn((ChatMessage(Role.SYSTEM, build_refinement_prompt(dialect)), ChatMessage(Role.USER, original)))
    answer = ""
    try:
        async with asyncio.timeout(TIMEOUT), aclosing(parse_stream(turn, model)) as events:
            async for event in events:
                match event:
                    case Text(markdown):
                        answer += markdown
                    case ModelFailed():
                        return ""
                    case _:
                        pass
    except TimeoutError:
        return ""
    prompt = clean_prompt(answer)
    fits = len(prompt.split()) <= max(MAX_PROMPT_WORDS[dialect], len(original.split())) + EXTRA_WORDS
    return prompt if fits and prompt != original and keeps_content(original, prompt) else ""


def keeps_content(original: str, refined: str) -> bool:
    """Whether the refined prompt has every quoted text of the original verbatim, and every number and content word."""
    quoted = [next(filter(None, found)) for found in _QUOTED.findall(original)]
    held = {_stem(word) for word in _words(refined)}
    content = [word for word in _words(_QUOTED.sub(" ", original)) if word not in _STOP_WORDS]
    return all(text in refined for text in quoted) and all(_stem(word) in held for word in content)


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def _stem(word: str) -> str:
    """A stem that is equal for `2` and `two`, `cat` and `cats`, `run` and `running`."""
    word = re.sub(r"['’]s?\Z", "", _COUNTS.get(word, word))
    for ending in ("ing", "ies", "es", "ed", "s", "y", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending)
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word
