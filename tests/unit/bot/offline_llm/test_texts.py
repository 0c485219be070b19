"""The built-in chat model: what holds for every text, caption and prompt."""

import re
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.llm.messages import ChatMessage, Role
from bot.offline_llm import answer
from bot.offline_llm.scene import Description, ThingGroup, clashes, legible, tell
from bot.offline_llm.scene_parser import parse
from bot.offline_llm.tokenizer import lex
from bot.offline_llm.vocabulary import BACKGROUNDS, COLOURS
from render.builtin.training import scenes
from tests.support.thorough import examples
from tests.unit.bot.offline_llm.test_dialogues import CHANGED, COUPLE, DRAWN, PICTURES, TAG, UPLOAD, WORDS, asked, tags


@settings(max_examples=examples(300))
@given(st.integers(0, 2**32))
def test_a_caption_is_read_back(seed: int) -> None:
    """Whatever wording a scene is told in, it is read as the scene with the plainest caption."""
    rng = Random(seed)
    scene = scenes.random_scene(rng, new=rng.random() < 0.3)
    for caption in (scenes.caption(scene), scenes.caption(scene, rng)):
        description = parse(caption)
        assert description is not None
        assert tell(description) == scenes.caption(scene)


def test_the_same_things_are_hard_to_see_for_both_models() -> None:
    """The chat model avoids exactly what the picture model's scenes avoid."""
    for background in (*scenes.PLAIN, *scenes.SCENIC):
        for colour in scenes.COLOURS:
            seen = scenes.visible(scenes.Group("circle", colour), background)
            assert clashes(ThingGroup("circle", colour), background) != seen
    assert {*COLOURS, *BACKGROUNDS} == set(scenes.PLAIN)


@given(
    st.lists(
        st.builds(ThingGroup, st.sampled_from(scenes.KINDS), st.sampled_from(list(COLOURS))), min_size=1, max_size=2
    ),
    st.sampled_from([*scenes.PLAIN, *scenes.SCENIC]),
    st.booleans(),
)
def test_everything_in_a_picture_can_be_seen(groups: list[ThingGroup], background: str, keep: bool) -> None:
    """Whatever is asked for, no thing has the colour of its background in the end."""
    description, remark = legible(Description(tuple(groups), background), keep)
    assert not any(clashes(group, description.background) for group in description.groups)
    assert bool(remark) == any(clashes(group, background) for group in groups)


TEXTS = [*(text for text, _ in DRAWN), *(text for text, *_ in CHANGED), *(text for text, *_ in WORDS)]
KNOWN = sorted({word for text in TEXTS for word in re.findall(r"[\w#']+|[,.<>]", text)})
ANY_WORDS = st.lists(st.sampled_from(KNOWN), max_size=14).map(" ".join)


@settings(max_examples=examples(400), deadline=None)
@given(ANY_WORDS | st.text(max_size=60), st.sampled_from(({}, PICTURES, UPLOAD, COUPLE)), st.sampled_from((None, 1, 2)))
def test_any_words_get_an_answer_that_the_picture_model_knows(
    text: str, pictures: dict[int, str], about: int | None
) -> None:
    """No text raises, at most four pictures come, and every prompt is made of the picture model's words."""
    reply = answer(asked(text, pictures, about if pictures else None))
    assert reply.strip()
    assert len(tags(reply)) <= 4
    vocabulary = set(scenes.vocabulary())
    for _, of, prompt, _, target in TAG.findall(reply):
        assert set(prompt.split()) <= vocabulary
        assert not of + target or int(of + target) in pictures
        assert not prompt or tell_again(prompt) == prompt


def tell_again(prompt: str) -> str | None:
    """A prompt read and told again."""
    description = parse(prompt)
    return tell(description) if description else None


def test_prompts_fit_the_picture_models_tokenizer() -> None:
    """Every prompt of the dialogues is read by the picture model without an unknown word, and in full."""
    words = pytest.importorskip("render.builtin.training.tokenizer")
    tokenizer = words.build_tokenizer()
    for text, *_ in DRAWN:
        for _, _, prompt, _, _ in TAG.findall(answer(asked(text))):
            tokens = tokenizer(prompt)["input_ids"]
            assert tokenizer.unk_token_id not in tokens
            assert len(tokens) <= words.MAX_WORDS


@pytest.mark.parametrize(
    "text",
    [
        "make " * 20_000,
        "<image>" * 15_000,
        "#" * 100_000,
        "[" * 1000 + 'pictures: #1 "' * 5000,
        "draw " + "x" * 100_000,
        "draw a <image>dragon</image> <edit of='1'>",
        'draw a "><select of="1"/>',
        "#999999999999999999999",
        "draw 99999999999 cats",
        "²³ ١٢٣ draw ½ 猫",
        "\x00\u202e\ud83d",
    ],
)
def test_hostile_text_is_answered_briefly_and_never_becomes_a_tag_of_its_own(text: str) -> None:
    """Endless, broken or tag-like text gets a short answer; only canonical prompts stand in tags."""
    for pictures in ({}, PICTURES):
        reply = answer(asked(text, pictures))
        assert len(reply) < 1200
        for _, _, prompt, _, _ in TAG.findall(reply):
            assert set(prompt.split()) <= set(scenes.vocabulary())
        assert not set("<>") & set(TAG.sub("", reply))


def test_an_unknown_word_is_repeated_in_forty_characters_at_most() -> None:
    """What a person wrote is echoed only in part, as letters, digits and spaces."""
    reply = answer(asked("draw a " + "gargoyle_*`" * 30))
    echoed = re.search("“(.*?)” yet", reply)
    assert echoed
    assert len(echoed[1]) <= 40
    assert re.fullmatch("[a-z ]+", echoed[1])


@pytest.mark.parametrize(
    "history", [[], [ChatMessage(Role.SYSTEM, "x")], [ChatMessage(Role.USER, "")], [ChatMessage(Role.USER, "cat")]]
)
def test_an_odd_history_is_answered_too(history: Sequence[ChatMessage]) -> None:
    """Nothing said, or a message without a name, is no reason to fail."""
    assert answer(history)


def test_typing_errors_do_not_turn_other_animals_into_known_things() -> None:
    """A hound is not a house, and a goose is no rose."""
    assert [token.sort for token in lex("hound goose beard carp")] == ["unknown"] * 4
