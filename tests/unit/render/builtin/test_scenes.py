"""The scenes of the built-in picture model: what is painted, how it is told, what an edit changes."""

from dataclasses import fields
from random import Random

import numpy as np
import pytest

from render.builtin.training.paint import mask, paint
from render.builtin.training.scenes import (
    COLOURS,
    KINDS,
    PLACES,
    PLAIN,
    SIZES,
    Group,
    Scene,
    caption,
    held_out,
    random_edit,
    random_scene,
    visible,
    vocabulary,
)
from render.builtin.training.tokenizer import MAX_WORDS, build_tokenizer
from tests.support.thorough import examples


@pytest.mark.parametrize("kind", KINDS)
def test_every_figure_stands_inside_the_picture(kind: str) -> None:
    """At every place and size, a figure leaves at least nine tenths of itself in the picture."""
    for place in PLACES:
        for size in SIZES:
            whole = np.asarray(mask(Scene((Group(kind, "red"),), size=size), 64)).sum()
            shown = np.asarray(mask(Scene((Group(kind, "red"),), size=size, place=place), 64)).sum()
            assert shown > 0.9 * whole, f"{kind} {size} {place}"


@pytest.mark.parametrize("kind", KINDS)
def test_the_mask_is_where_the_picture_differs_from_its_background(kind: str) -> None:
    """Inside a figure's mask hardly anything is background, and outside of it everything is."""
    scene = Scene((Group(kind, "purple"),), background="white", wobble=5)
    inside = np.asarray(mask(scene, 64)) > 127
    covered = np.abs(np.asarray(paint(scene, 64), np.int16) - PLAIN["white"]).max(2) > 60
    assert covered[inside].mean() > 0.95
    assert covered[~inside].mean() < 0.02


def test_captions_are_made_of_known_words_and_fit() -> None:
    """No caption holds a word that the tokenizer lacks, none is cut, and the words come back from the tokens."""
    tokenizer, words, rng = build_tokenizer(), set(vocabulary()), Random(1)
    for number in range(examples(3000)):
        text = caption(random_scene(rng, new=number % 2 == 1), rng)
        tokens = tokenizer(text)["input_ids"]
        assert set(text.split()) <= words, text
        assert len(tokens) <= MAX_WORDS, text
        assert tokenizer.unk_token_id not in tokens, text
        assert tokenizer.decode(tokens).split() == text.split()


def test_an_unknown_word_is_marked_as_unknown() -> None:
    """A word that no scene holds becomes `[UNK]`, and case makes no difference."""
    tokenizer = build_tokenizer()
    assert tokenizer("A Red zeppelin")["input_ids"] == [*tokenizer("a red")["input_ids"], tokenizer.unk_token_id]


def test_pairs_that_are_held_out_never_meet_in_training() -> None:
    """Training scenes, and both sides of training edits, hold no pair kept for evaluation; which has no other."""
    rng = Random(2)
    for _ in range(examples(1500)):
        assert not any(held_out(group) for group in random_scene(rng).groups)
        assert all(held_out(group) for group in random_scene(rng, new=True).groups)
        assert not any(held_out(group) for scene in random_edit(rng) for group in scene.groups)


def test_every_kind_and_every_colour_is_met_in_training() -> None:
    """What is held out are pairs only: no kind and no colour is unknown to the network."""
    known = [Group(kind, colour) for kind in KINDS for colour in COLOURS if not held_out(Group(kind, colour))]
    assert {group.kind for group in known} == set(KINDS)
    assert {group.colour for group in known} == set(COLOURS)
    assert 0.05 < 1 - len(known) / (len(KINDS) * len(COLOURS)) < 0.15


def test_everything_can_be_seen() -> None:
    """No random scene asks for a thing in its background's colour."""
    rng = Random(3)
    for _ in range(examples(1000)):
        scene = random_scene(rng)
        assert all(visible(group, scene.background) for group in scene.groups)


def test_an_edit_changes_one_thing() -> None:
    """Before and after differ in one attribute, or in one group more or less, and it can be seen."""
    rng = Random(4)
    for _ in range(examples(400)):
        before, after = random_edit(rng)
        differing = {field.name for field in fields(Scene) if getattr(before, field.name) != getattr(after, field.name)}
        if len(before.groups) == len(after.groups):
            assert len(differing) == 1, differing
        else:
            assert set(before.groups) < set(after.groups) or set(after.groups) < set(before.groups)
        if "groups" in differing and len(before.groups) == len(after.groups):
            (old, new), *others = [pair for pair in zip(before.groups, after.groups, strict=True) if pair[0] != pair[1]]
            assert not others
            assert sum(getattr(old, name) != getattr(new, name) for name in ("kind", "colour", "count")) == 1


def test_a_scene_is_painted_alike_every_time() -> None:
    """The same scene gives the same pixels; another wobble gives slightly different ones."""
    scene, other = (Scene((Group("cat", "orange"),), "meadow", wobble=wobble) for wobble in (1, 2))
    assert paint(scene, 64).tobytes() == paint(scene, 64).tobytes()
    assert paint(scene, 64).tobytes() != paint(other, 64).tobytes()
