"""How a picture is made, by what is asked for and by what the model can do."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as some
from PIL import Image

from bot.domain import Operation, Sampling
from render.models.batch import AT_MAX_SIZE, ModelLimits, plan_image, size_note
from render.models.edit_plan import (
    MAX_ASPECT_RATIO,
    STRENGTHS,
    EditMethod,
    SupportedMethods,
    choose_plan,
    edit_strength,
    fit_size,
    is_local,
    round_size,
    size_for_ratio,
)
from render.models.image_files import encode_png
from render.protocol import ImageTask

SOURCE = encode_png(Image.new("RGB", (300, 200), "red"), {})
BEFORE = "a red house on a green hill under a blue sky"
STARTS = SupportedMethods(image_to_image=True)
WHOLE = SupportedMethods(image_to_image=True, inpaint=True)
LOOKS = SupportedMethods(text_to_image=False, instruction=True)
EYE = SupportedMethods(image_to_image=True, image_prompt=True)


def asked(operation: Operation, prompt: str = "", change: str = "", source: bytes | None = SOURCE) -> ImageTask:
    """A task with a source."""
    return ImageTask(
        "t", operation, prompt, sampling=Sampling(seed=1), source=source, source_prompt=BEFORE, change=change
    )


@pytest.mark.parametrize(
    ("task", "means", "way"),
    [
        (asked(Operation.GENERATE, "a cat", source=None), SupportedMethods(), EditMethod.TEXT_TO_IMAGE),
        (asked(Operation.GENERATE, "a cat", source=None), LOOKS, EditMethod.BLANK_CANVAS),
        (asked(Operation.EDIT, "a blue house on a green hill under a blue sky", "small"), WHOLE, EditMethod.INPAINT),
        (asked(Operation.EDIT, "a watercolour of two dogs at sea", "small"), WHOLE, EditMethod.IMAGE_TO_IMAGE),
        (asked(Operation.EDIT, "make it blue", "small"), LOOKS, EditMethod.INSTRUCTION),
        (asked(Operation.EDIT, "a blue house", "small"), SupportedMethods(), EditMethod.TEXT_TO_IMAGE),
        (asked(Operation.EDIT, "a red house on the moon", "large"), STARTS, EditMethod.TEXT_TO_IMAGE),
        (asked(Operation.EDIT, "a red house on the moon", "large"), EYE, EditMethod.IMAGE_PROMPT),
        (asked(Operation.EDIT, "put it on the moon", "large"), LOOKS, EditMethod.INSTRUCTION),
        (asked(Operation.VARY), STARTS, EditMethod.IMAGE_TO_IMAGE),
        (asked(Operation.VARY), SupportedMethods(), EditMethod.TEXT_TO_IMAGE),
        (asked(Operation.VARY), LOOKS, EditMethod.INSTRUCTION),
        (asked(Operation.REFINE), STARTS, EditMethod.IMAGE_TO_IMAGE),
        (asked(Operation.REFINE), SupportedMethods(), EditMethod.RESIZE),
        (asked(Operation.UPSCALE), STARTS, EditMethod.IMAGE_TO_IMAGE),
        (asked(Operation.UPSCALE), LOOKS, EditMethod.RESIZE),
    ],
)
def test_each_model_gets_the_best_way_that_it_has(task: ImageTask, means: SupportedMethods, way: EditMethod) -> None:
    """Instructions before masks, masks before image to image, that before a new picture."""
    assert choose_plan(task, means).method is way


def test_refining_in_the_same_words_draws_nothing_again() -> None:
    """A model that cannot start from a picture enlarges it; with words of what is to be better it draws."""
    again = ImageTask("t", Operation.REFINE, "a sun", sampling=Sampling(seed=1), source=b"png", source_prompt="a sun")
    assert choose_plan(again, SupportedMethods()).method is EditMethod.RESIZE
    assert choose_plan(replace(again, prompt="a brighter sun"), SupportedMethods()).method is EditMethod.TEXT_TO_IMAGE


def test_no_picture_is_resampled_without_end() -> None:
    """At a side of 4096 pixels it stays as it is, and that is said."""
    for side, wide, notes in (
        (2000, 3000, ()),
        (3000, 4096, (AT_MAX_SIZE,)),
        (4096, 4096, (AT_MAX_SIZE,)),
    ):
        requested = plan_image(
            ImageTask(
                "t", Operation.REFINE, "", sampling=Sampling(seed=1), source=encode_png(Image.new("RGB", (side, 8)), {})
            ),
            ModelLimits(SupportedMethods(), (64, 64)),
        )
        assert (requested.size, requested.notes) == ((wide, round(8 * wide / side)), notes)


def test_a_variation_is_as_strong_as_it_is_wanted() -> None:
    """A subtle one keeps more of its picture than a strong one, and both are drawn from its description."""
    subtle, strong = (choose_plan(asked(Operation.VARY, change=change), STARTS) for change in ("small", "large"))
    assert subtle.strength < strong.strength and subtle.prompt == strong.prompt == BEFORE  # type: ignore[operator]


def test_the_more_is_new_the_less_is_kept() -> None:
    """The strength grows with the words that are new, and is one of a few."""
    prompts = (BEFORE, BEFORE.replace("red", "blue"), "a red boat on a green sea under a grey sky", "two dogs at sea")
    strengths = [edit_strength(BEFORE, prompt) for prompt in prompts]
    assert strengths == sorted(strengths) and strengths[0] < strengths[-1] and set(strengths) <= set(STRENGTHS)
    assert edit_strength("", "anything") in STRENGTHS
    assert is_local(BEFORE, prompts[1]) and not is_local(BEFORE, prompts[3])


@given(some.integers(1, 50), some.integers(1, 50), some.sampled_from((8, 16, 32)), some.sampled_from((256, 512, 1024)))
def test_a_shape_is_near_what_was_asked_in_sizes_that_the_model_can_do(
    wide: int, high: int, multiple: int, side: int
) -> None:
    """Sides are divisible, the area is about the usual one, and nothing is more oblong than models can bear."""
    got = size_for_ratio((side, side), f"{wide}:{high}", multiple)
    assert all(length % multiple == 0 and length > 0 for length in got)
    assert 0.8 < got[0] * got[1] / side**2 < 1.25
    shape = max(1 / MAX_ASPECT_RATIO, min(MAX_ASPECT_RATIO, wide / high))
    assert abs(got[0] / got[1] / shape - 1) < 0.25


def test_what_cannot_be_as_asked_is_said() -> None:
    """A size is rounded, and a photo made smaller, with a note; what fits has none."""
    limits = ModelLimits(STARTS, (128, 128), 16)
    odd = plan_image(ImageTask("t", Operation.GENERATE, "a cat", sampling=Sampling(seed=1, size=(100, 128))), limits)
    assert odd.size == (96, 128) and odd.notes == (size_note("note-rounded", (100, 128), (96, 128)),)
    shrunk = plan_image(asked(Operation.EDIT, "a cat", "small"), limits)
    assert shrunk.size == (160, 112) and "160 × 112 pixels, not 300 × 200" in str(shrunk.notes[0])
    assert shrunk.source is not None
    assert shrunk.source.size == (160, 112)
    assert not plan_image(
        ImageTask("t", Operation.GENERATE, "a cat", sampling=Sampling(seed=1, aspect_ratio="16:9")), limits
    ).notes
    larger = plan_image(asked(Operation.UPSCALE), limits)  # it is the size that is wanted, if not from the model
    assert (larger.size, larger.plan.method, larger.notes) == ((600, 400), EditMethod.RESIZE, ())
    assert round_size((1, 1), 16) == (16, 16) and fit_size((64, 64), 10**6, 16) == (64, 64)
