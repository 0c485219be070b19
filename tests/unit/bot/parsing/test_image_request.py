"""Image requests from the attributes and prompts of tags and tool calls, in all their spellings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain import ImageRequest, Operation, Sampling
from bot.parsing.image_request import (
    as_tag,
    clean_prompt,
    find_operation,
    is_placeholder,
    make_image_request,
    parse_aspect_ratio,
    split_attributes,
)
from bot.parsing.stream_parser import StreamParser

WORDS = st.text(st.sampled_from("abc äß猫🙂,.-'()"), min_size=1, max_size=40).map(clean_prompt)
WORDS = WORDS.filter(lambda words: clean_prompt(words) == words)  # quotes in quotes are removed once


@given(
    st.sampled_from([each for each in Operation if each not in (Operation.UPLOAD, Operation.UPSCALE)]),  # not asked for
    WORDS.filter(lambda words: any(map(str.isalpha, words))),
    st.none() | st.integers(1, 99),
    st.sampled_from(["", "small", "large"]),
    st.sampled_from(["", "3:2", "16:9"]),
)
def test_a_canonical_tag_parses_to_its_request(
    operation: Operation, words: str, of: int | None, change: str, ratio: str
) -> None:
    """The tags in the history mean exactly what was requested."""
    of = None if operation is Operation.GENERATE else of
    request = ImageRequest(0, operation, words, source=of, change=change, sampling=Sampling(aspect_ratio=ratio))
    parser = StreamParser()
    assert [*parser.feed(as_tag(request)), *parser.end()] == [request]


@pytest.mark.parametrize(
    ("words", "plain"),
    [
        ("  a  dog\n in the rain ", "a dog in the rain"),
        ("**A dog**, _oil_, *big*", "A dog, oil, big"),
        ("snake_case_words * 2", "snake_case_words * 2"),
        ('"a dog"', "a dog"),
        ("“a dog”", "a dog"),
        ('a sign "A" and "B"', 'a sign "A" and "B"'),
        ("Image prompt: a dog", "a dog"),
        ("# a dog", "a dog"),
        ("- a dog", "a dog"),
        ("[a dog]", "a dog"),
        ("<p>a dog &amp; a cat</p>", "a dog & a cat"),
        ("a dog, 5 > 4 & 3 < 4", "a dog, 5 > 4 & 3 < 4"),
    ],
)
def test_a_prompt_is_cleaned_of_markup(words: str, plain: str) -> None:
    """Markdown, HTML, labels and outer quotes are removed; the rest of the prompt stays as it is."""
    assert clean_prompt(words) == plain


@pytest.mark.parametrize(
    ("attributes", "given_", "words"),
    [
        (" of=\"2\" change='small'", {"of": "2", "change": "small"}, ""),
        (' prompt="a \\"red\\" dog, 5 > 4"', {"prompt": 'a "red" dog, 5 > 4'}, ""),
        (" prompt='a knight's blade'", {"prompt": "a knight's blade"}, ""),
        (" prompt=“a dog”", {"prompt": "a dog"}, ""),
        (' prompt=\\"a dog\\"', {"prompt": "a dog"}, ""),
        (" prompt=a red dog size=wide", {"prompt": "a red dog", "size": "wide"}, ""),
        (": a red dog", {}, "a red dog"),
        (" #2", {"of": " #2"}, ""),
        (" disabled", {}, ""),
    ],
)
def test_attributes_are_split_from_the_prompt(attributes: str, given_: dict[str, str], words: str) -> None:
    """With any quotes or none; text on the wrong side of the `>` belongs to the prompt."""
    assert split_attributes(attributes) == (given_, words)


@pytest.mark.parametrize(
    ("of", "number"),
    [
        ('2', 2),
        ('#2', 2),
        ('picture 2', 2),
        ('2.0', 2),
        ('2, 3', 2),
        ('2 and 3', 2),
        ('first', 1),
        ('the second one', 2),
        ('3rd', 3),
        ('last', None),
        ('previous', None),
        ('my dog', None),
        ('', None),
    ],
)  # fmt: skip
def test_a_source_image_is_named_in_many_ways(of: str, number: int | None) -> None:
    """By a number, an ordinal, or the first of several; anything else means the newest image."""
    request = make_image_request(Operation.EDIT, "a dog", {"of": of})
    assert request is not None and request.source == number


def test_an_id_counts_as_source_only_if_the_image_exists() -> None:
    """The number of the next image is not the number of its source."""
    assert make_image_request(Operation.EDIT, "a dog", {"id": "2"}, 3) == ImageRequest(
        0, Operation.EDIT, "a dog", source=2
    )
    assert make_image_request(Operation.EDIT, "a dog", {"id": "4"}, 3) == ImageRequest(0, Operation.EDIT, "a dog")
    assert make_image_request(Operation.EDIT, "a dog", {"id": "4", "prev_id": "1"}, 3) == ImageRequest(
        0, Operation.EDIT, "a dog", source=1
    )


def test_the_more_specific_prompt_attribute_wins() -> None:
    """`prompt` wins over `alt`, in either order."""
    assert make_image_request(Operation.GENERATE, "", {"alt": "Dog", "prompt": "a dog"}) == make_image_request(
        Operation.GENERATE, "a dog"
    )


@pytest.mark.parametrize(
    ("text", "ratio"),
    [("1024x768", "4:3"), ("16:9", "16:9"), ("1024 × 1024 px", "1:1"), ("wide", "3:2"), ("0x5", ""), ("huge", "")],
)
def test_a_size_or_shape_is_reduced_to_an_aspect_ratio(text: str, ratio: str) -> None:
    """Sizes, ratios and words for shapes give a ratio in lowest terms."""
    assert parse_aspect_ratio(text) == ratio


@pytest.mark.parametrize(
    "words", ["prompt", "your prompt here", "...", "a description of the image", "and", "[prompt]"]
)
def test_a_placeholder_is_not_a_prompt(words: str) -> None:
    """Text such as `your prompt here` requests no image."""
    assert is_placeholder(words)
    assert not is_placeholder(f"{words} with a dog")


def test_functions_are_recognized_by_other_names() -> None:
    """Names of similar functions are accepted; functions that do not concern images are not."""
    names = ["dalle.text2im", "image_edit", "create_variation", "pick_image", "upscale", "get_weather"]
    assert [find_operation(name) for name in names] == [
        Operation.GENERATE,
        Operation.EDIT,
        Operation.VARY,
        Operation.SELECT,
        Operation.REFINE,
        None,
    ]
