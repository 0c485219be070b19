"""Prompt refinement, and refined prompts that are discarded."""

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.capabilities import Dialect, Editing, ModelCapabilities, RefineMode
from bot.conversation.prompt_refiner import PromptRefiner, keeps_content, needs_refinement, refine_prompt
from bot.domain import ImageRequest, Operation, RenderJob, Sampling
from bot.llm.messages import ModelFailed
from tests.support.doubles import THREAD, ScriptedModel

PHRASES, SENTENCES = ModelCapabilities(dialect=Dialect.PHRASES), ModelCapabilities(dialect=Dialect.SENTENCES)


def job(prompt: str, operation: Operation = Operation.GENERATE, refined: str = "") -> RenderJob:
    """A job for an image with this prompt."""
    return RenderJob(
        "j", THREAD, 1, "ann", ImageRequest(0, operation, prompt, sampling=Sampling(seed=7)), refined_prompt=refined
    )


@dataclass
class Shelf:
    """Records refined prompts."""

    kept: list[str] = field(default_factory=list)

    def refine(self, job: RenderJob, prompt: str) -> None:
        """Keep it."""
        self.kept.append(prompt)


@pytest.mark.parametrize(
    ("imagine", "prompt", "kept"),
    [
        ("two cats running on a beach", "2 cats run along a sandy beach at dawn, soft light", True),
        ("a red fox and three hens", "a red fox before three hens, farmyard, morning", True),
        ("a red fox and three hens", "a red fox before some hens, farmyard, morning", False),
        ("a red fox", "a fox in the snow", False),
        ("a sign that says \"OPEN late\"", "a wooden sign that says \"OPEN late\", dusk", True),
        ("a sign that says \"OPEN late\"", "a wooden sign that says \"open late\", dusk", False),
        ("a mug with 'Dad' on it", "a white mug with 'Dad' on it", True),
        ("a mug with “Très bon”", "a mug with Tres bon", False),
        ("the year 2047", "a skyline in the year 2047, haze", True),
        ("the year 2047", "a skyline in the year 2074, haze", False),
        ("a dozen eggs", "12 eggs in a basket", True),
        ("a city", "the cities of glass", True),
        ("Ann's dog", "the dog of Ann, on a sofa", True),
        ("", "anything", True),
    ],
)  # fmt: skip
def test_a_refinement_keeps_things_numbers_and_quotes(imagine: str, prompt: str, kept: bool) -> None:
    """The content of the original prompt is in it, with any additions."""
    assert keeps_content(imagine, prompt) is kept


@given(st.text(max_size=80), st.text(max_size=80))
def test_a_longer_prompt_keeps_the_content(imagine: str, more: str) -> None:
    """A prompt that begins with the whole original loses nothing."""
    assert (
        keeps_content(imagine, f"{imagine}, {more}")
        or '"' in imagine + more
        or "'" in imagine + more
        or "“" in imagine
        or "«" in imagine
    )


@pytest.mark.parametrize(
    ("one", "abilities", "when", "expected"),
    [
        (job("a knight"), PHRASES, RefineMode.AUTO, True),
        (job("a knight"), PHRASES, RefineMode.OFF, False),
        (job("a knight"), SENTENCES, RefineMode.AUTO, True),
        (job("a knight on a white horse before a ruin at dusk"), SENTENCES, RefineMode.AUTO, False),
        (job("a knight on a white horse before a ruin at dusk"), SENTENCES, RefineMode.ALWAYS, True),
        (job("a knight"), ModelCapabilities(dialect=Dialect.SCENES), RefineMode.AUTO, False),
        (job("a red knight", Operation.EDIT), PHRASES, RefineMode.AUTO, False),
        (job("a red knight", Operation.EDIT), PHRASES, RefineMode.ALWAYS, True),
        (job("make it red", Operation.EDIT), ModelCapabilities(Editing.INSTRUCT), RefineMode.ALWAYS, False),
        (job("a knight", Operation.VARY), PHRASES, RefineMode.ALWAYS, False),
        (job("", Operation.REFINE), PHRASES, RefineMode.ALWAYS, False),
    ],
)
def test_only_prompts_that_gain_are_refined(
    one: RenderJob, abilities: ModelCapabilities, when: RefineMode, expected: bool
) -> None:
    """New descriptions are; variations and instructions never."""
    assert needs_refinement(one, abilities, when) is expected


async def test_the_prompt_is_refined_for_the_dialect_of_the_image_model() -> None:
    """The chat model gets only the prompt, under the rules of the dialect."""
    model = ScriptedModel([['**Prompt:** "a knight in armour, dusk"']])
    assert await refine_prompt(model, "a knight", Dialect.PHRASES) == "a knight in armour, dusk"
    (history,) = model.received
    assert [message.text for message in history[1:]] == ["a knight"]
    assert "commas" in history[0].text


@pytest.mark.parametrize(
    "answer",
    [["I cannot."], [""], [ModelFailed("away")], ["a knight ", ModelFailed("away")], ["a knight " * 200], ["a knight"]],
    ids=["other", "empty", "failed", "cut", "endless", "the same"],
)
async def test_a_bad_refinement_is_not_used(answer: list[str | None]) -> None:
    """The original prompt is rendered."""
    model, shelf = ScriptedModel([answer]), Shelf()
    requested = job("a knight")
    assert await PromptRefiner(model, shelf, RefineMode.ALWAYS)(requested, PHRASES) == requested
    assert not shelf.kept


async def test_a_refined_job_is_not_refined_again() -> None:
    """After a restart the recorded prompt is used."""
    model = ScriptedModel([])
    done = job("a knight", refined="a knight in armour")
    assert await PromptRefiner(model, Shelf(), RefineMode.ALWAYS)(done, PHRASES) == done


async def test_a_refined_prompt_is_recorded() -> None:
    """Before it is rendered."""
    model, shelf = ScriptedModel([["a knight in armour, dusk"]]), Shelf()
    refined = await PromptRefiner(model, shelf)(job("a knight"), PHRASES)
    assert (refined.request.prompt, refined.refined_prompt) == ("a knight", "a knight in armour, dusk")
    assert shelf.kept == ["a knight in armour, dusk"]


async def test_stopping_ends_the_refinement() -> None:
    """Stop does not wait for it."""
    model = ScriptedModel([["a knight", None]])
    task = asyncio.create_task(refine_prompt(model, "a knight", Dialect.PHRASES))
    await model.waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert model.closed == 1
