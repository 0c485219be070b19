"""The built-in chat model: dialogues as data."""

import re

import pytest

from bot.llm.messages import ChatMessage, Role, StreamEnd, TextDelta
from bot.offline_llm import OfflineModel, answer
from bot.ports import ChatModel

CIRCLE = "a red circle on a light blue background"
STARS = "two green stars"
PAIR = "an orange cat left of a green tree"
PICTURES = {1: CIRCLE, 2: STARS}
UPLOAD = {1: CIRCLE, 2: STARS, 3: "uploaded picture"}
COUPLE = {1: CIRCLE, 2: PAIR}
TAG = re.compile(r'<(image|edit|refine)(?: of="(\d+)")?>([^<>]*)</\1>|<(vary|select) of="(\d+)"/>')


def asked(text: str, pictures: dict[int, str] | None = None, about: int | None = None) -> list[ChatMessage]:
    """A transcript that ends with these words of Ann."""
    lines = []
    if pictures:
        listed = "; ".join(f'#{number} "{prompt}"' for number, prompt in pictures.items())
        lines.append(f"[pictures: {listed}]")
    if about:
        lines.append(f"[about: #{about}]")
    return [ChatMessage(Role.SYSTEM, "You draw."), ChatMessage(Role.USER, "\n".join([*lines, f"Ann: {text}"]))]


def tags(reply: str) -> list[str]:
    """The tags of a reply in short: `image: a cat`, `edit 1: a cat`, `vary 1`."""
    short = []
    for name, of, prompt, bare, target in TAG.findall(reply):
        short.append(f"{bare} {target}" if bare else f"{name} {of}: {prompt}".replace(" :", ":"))
    assert not set("<>") & set(TAG.sub("", reply))
    return short


DRAWN = [
    ("draw a red circle on a light blue background, and two green stars", [CIRCLE, STARS]),
    ("a red circle and two green stars", ["a red circle left of two green stars"]),
    ("a red circle left of a blue square", ["a red circle left of a blue square"]),
    ("draw a blue square to the right of a red circle", ["a red circle left of a blue square"]),
    ("a cat and a tree", [PAIR]),
    ("A HOUSE ABOVE TWO STARS!!!", ["a red house above two orange stars"]),
    ("a red heart below a blue moon", ["a blue moon above a red heart"]),
    ("three pictures of a cat", ["an orange cat"] * 3),
    ("draw 7 pictures of a house", ["a red house"] * 4),
    ("2 drawings: a house and a tree", ["a red house", "a green tree"]),
    ("two pictures, one of a cat and one of a house", ["an orange cat", "a red house"]),
    ("draw a cat, a house and a tree separately", ["an orange cat", "a red house", "a green tree"]),
    ("draw a cat. then draw a fish", ["an orange cat", "a blue fish"]),
    ("draw a cat and draw a fish", ["an orange cat", "a blue fish"]),
    ("first a house, then a tree", ["a red house", "a green tree"]),
    ("1. a cat\n2. a house", ["an orange cat", "a red house"]),
    ("a cat on the beach and a fish in the sea", ["an orange cat on the beach", "a blue fish in the sea"]),
    ("a cat on the beach and a tree", ["an orange cat left of a green tree on the beach"]),
    ("a gryphon and a red house", ["a red house"]),
    ("draw a cat, a house and a tree", ["an orange cat left of a red house"]),
    (
        "Draw a smal orange kitten in the top left corner on the beach as an outline",
        ["a small orange cat at the top left on the beach in outline style"],
    ),
    ("draw a yelow sqare", ["a yellow square"]),
    ("draw a dog", ["a brown cat"]),
    ("a red car in the snow", ["a red house in the snow"]),
    ("three puppies", ["three brown cats"]),
    ("draw five green diamonds", ["four green diamonds"]),
    ("draw a turquoise ball", ["a blue circle"]),
    ("a violet rhombus in winter", ["a purple diamond in the snow"]),
    ("a grey box on a dark blue background", ["a gray square on a navy background"]),
    ("goldfish in the ocean", ["an orange fish in the sea"]),
    ("draw the sun at the top", ["a yellow circle at the top"]),
    ("a smiley in the park as 8-bit", ["a yellow face in a meadow in pixel style"]),
    ("a circle in blue on black", ["a blue circle on a black background"]),
    ("a white circle on a white background", ["a white circle on a light green background"]),
    ("draw a tree on a green background", ["a red tree on a green background"]),
    ("draw red and blue stars", ["a red star left of a blue star"]),
    ("a red circle at the top left and a blue square at the bottom right", ["a red circle above a blue square"]),
    ("draw a cat. It should be blue and on the beach. make it big", ["a large blue cat on the beach"]),
    ("could you please draw me a big green tree in the snow?", ["a large green tree in the snow"]),
    ("hi, draw a cat please!", ["an orange cat"]),
    ("draw a <b>cat</b>", ["an orange cat"]),
    ("a sunset", ["a yellow circle at sunset"]),
    ("I'd like a cat", ["an orange cat"]),
    ("I like cats. Draw a fish.", ["a blue fish"]),
    ("draw a cat in the snow. Then the same at night.", ["an orange cat in the snow", "an orange cat at night"]),
    (
        "draw a cat in the snow and the same in pixel style",
        ["an orange cat in the snow", "an orange cat in the snow in pixel style"],
    ),
    ("draw a cat. now the same picture on the beach", ["an orange cat", "an orange cat on the beach"]),
    ("draw a cat, then another one in blue", ["an orange cat", "a blue cat"]),
    ("draw a cat. something similar", ["an orange cat"] * 2),
    ("draw a cat. make it blue again", ["a blue cat"]),
    ("three stars on navy", ["three orange stars on a navy background"]),
    ("one picture of a red triangle and one of a blue circle", ["a red triangle", "a blue circle"]),
    ("two separate pictures, one with a star and one with a cat", ["an orange star", "an orange cat"]),
    ("house, tree, cat. One picture for each.", ["a red house", "a green tree", "an orange cat"]),
    ("four stars to choose from", ["an orange star"] * 4),
    ("Explain it with two pictures in this order: a red heart, a blue heart", ["a red heart", "a blue heart"]),
    ("A picture of a fish. No story, just the picture.", ["a blue fish"]),
    ("something for the door: a pink heart", ["a pink heart"]),
]


@pytest.mark.parametrize(("text", "prompts"), DRAWN)
def test_an_image_request_becomes_pictures_in_canonical_words(text: str, prompts: list[str]) -> None:
    """What is asked for is drawn, in the order in which it was asked for."""
    assert tags(answer(asked(text))) == [f"image: {prompt}" for prompt in prompts]


CHANGED: list[tuple[str, dict[int, str], int | None, list[str]]] = [
    ("make it blue", PICTURES, 1, ["edit 1: a blue circle on a light blue background"]),
    ("make it blue", PICTURES, None, ["edit 2: two blue stars"]),
    ("green", PICTURES, 1, ["edit 1: a green circle on a light blue background"]),
    ("bigger", PICTURES, 1, ["edit 1: a large red circle on a light blue background"]),
    ("make it smaller please", PICTURES, 1, ["edit 1: a small red circle on a light blue background"]),
    ("can you make the first one a bit bigger?", PICTURES, None, [f"edit 1: a large {CIRCLE[2:]}"]),
    ("put it on the beach", PICTURES, 1, ["edit 1: a red circle on the beach"]),
    ("on a black background", PICTURES, 1, ["edit 1: a red circle on a black background"]),
    ("make it blue and put it on the beach", PICTURES, 1, ["edit 1: a blue circle on the beach"]),
    ("move it to the top left", PICTURES, 1, ["edit 1: a red circle at the top left on a light blue background"]),
    ("turn it into a star", PICTURES, 1, ["edit 1: a red star on a light blue background"]),
    ("turn them into hearts", PICTURES, 2, ["edit 2: two green hearts"]),
    ("make the second one red", PICTURES, None, ["edit 2: two red stars"]),
    ("add a star", PICTURES, 1, ["edit 1: a red circle left of an orange star on a light blue background"]),
    ("add another star", PICTURES, 2, ["edit 2: three green stars"]),
    ("put a star above it", PICTURES, 1, ["edit 1: an orange star above a red circle on a light blue background"]),
    (
        "put the circle left of a star",
        PICTURES,
        1,
        ["edit 1: a red circle left of an orange star on a light blue background"],
    ),
    ("and a tree", PICTURES, 1, ["edit 1: a red circle left of a green tree on a light blue background"]),
    ("remove the tree", COUPLE, 2, ["edit 2: an orange cat"]),
    ("without the tree", COUPLE, None, ["edit 2: an orange cat"]),
    ("remove the circle and add a heart", PICTURES, 1, ["edit 1: a red heart on a light blue background"]),
    ("remove one star", PICTURES, 2, ["edit 2: a green star"]),
    ("as pixel art", PICTURES, 1, ["edit 1: a red circle on a light blue background in pixel style"]),
    ("make it two", PICTURES, 1, ["edit 1: two red circles on a light blue background"]),
    ("make it three", PICTURES, 1, ["edit 1: three red circles on a light blue background"]),
    ("change the background to pink", PICTURES, 1, ["edit 1: a red circle on a pink background"]),
    ("change the background to red", PICTURES, 1, ["edit 1: a yellow circle on a red background"]),
    ("remove the background", PICTURES, 1, ["edit 1: a red circle"]),
    ("the first one in green", PICTURES, None, ["edit 1: a green circle on a light blue background"]),
    ("#2 but red", PICTURES, None, ["edit 2: two red stars"]),
    ("make the circle blue", PICTURES, None, ["edit 1: a blue circle on a light blue background"]),
    ("make the cat blue", COUPLE, None, ["edit 2: a blue cat left of a green tree"]),
    ("make the cat blue and the tree brown", COUPLE, None, ["edit 2: a blue cat left of a brown tree"]),
    ("turn the tree into a house", COUPLE, 2, ["edit 2: an orange cat left of a red house"]),
    ("replace the cat with a fish", COUPLE, 2, ["edit 2: a blue fish left of a green tree"]),
    ("move the cat above the tree", COUPLE, 2, ["edit 2: an orange cat above a green tree"]),
    ("put the cat on the right", COUPLE, 2, ["edit 2: a green tree left of an orange cat"]),
    ("make it blue instead of red", PICTURES, 1, ["edit 1: a blue circle on a light blue background"]),
    ("a star instead of the circle", PICTURES, 1, ["edit 1: a red star on a light blue background"]),
    ("more like the first one but blue", PICTURES, None, ["edit 1: a blue circle on a light blue background"]),
    (
        "make the first one blue and the second one red",
        PICTURES,
        None,
        ["edit 1: a blue circle on a light blue background", "edit 2: two red stars"],
    ),
    (
        "make #1 and #2 purple",
        PICTURES,
        None,
        [f"edit 1: {CIRCLE.replace('red', 'purple')}", "edit 2: two purple stars"],
    ),
    ("thank you, now put it in the snow", PICTURES, 1, ["edit 1: a red circle in the snow"]),
    ("make it a blue circle", UPLOAD, None, ["edit 3: a blue circle"]),
    ("make it blue", UPLOAD, 3, []),
    ("More like the first one", PICTURES, None, ["vary 1"]),
    ("another one", PICTURES, None, ["vary 2"]),
    ("vary #2", PICTURES, None, ["vary 2"]),
    ("something similar", PICTURES, 1, ["vary 1"]),
    ("more like picture 1", PICTURES, None, ["vary 1"]),
    ("vary #1 and #2", PICTURES, None, ["vary 1", "vary 2"]),
    ("three variations of #1", PICTURES, None, ["vary 1"] * 3),
    ("I like the second", PICTURES, None, ["select 2"]),
    ("take #2", PICTURES, None, ["select 2"]),
    ("the last one please", PICTURES, None, ["select 2"]),
    ("pick the first", PICTURES, None, ["select 1"]),
    ("I like this", PICTURES, 1, ["select 1"]),
    ("I like the cat", COUPLE, None, ["select 2"]),
    ("I like the cat", UPLOAD, 3, ["select 3"]),
    ("I like it in blue", PICTURES, 1, ["edit 1: a blue circle on a light blue background"]),
    (
        "put it in the snow. then the same at night",
        PICTURES,
        1,
        ["edit 1: a red circle in the snow", "edit 1: a red circle at night"],
    ),
    ("I prefer the cat", COUPLE, None, ["select 2"]),
    ("take #1 and make it blue", PICTURES, None, ["select 1", "edit 1: a blue circle on a light blue background"]),
    ("refine it", PICTURES, 1, [f"refine 1: {CIRCLE}"]),
    ("more detail", PICTURES, 2, [f"refine 2: {STARS}"]),
    ("polish number 1", PICTURES, None, [f"refine 1: {CIRCLE}"]),
    ("refine #3: a red circle", UPLOAD, None, ["refine 3: a red circle"]),
    ("vary #1 and refine #2", PICTURES, None, ["vary 1", f"refine 2: {STARS}"]),
    ("I think the first picture was better after all", PICTURES, None, ["select 1"]),
    ("let's go for the second", PICTURES, None, ["select 2"]),
    ("hm no, the first one", PICTURES, None, ["select 1"]),
    ("I like version one more", PICTURES, None, ["select 1"]),
    ("I like the red one", PICTURES, None, ["select 1"]),
    ("show me the red one on light blue again", PICTURES, None, ["select 1"]),
    ("make the red one bigger", PICTURES, None, [f"edit 1: a large {CIRCLE[2:]}"]),
    ("and a purple one for me", PICTURES, None, ["image: a purple star"]),
    ("replace the circle by a blue one", PICTURES, 1, ["edit 1: a blue circle on a light blue background"]),
    ("add a blue one", PICTURES, 2, ["edit 2: two green stars left of a blue star"]),
    ("swap their places", COUPLE, 2, ["edit 2: a green tree left of an orange cat"]),
    ("put a star there instead", PICTURES, 1, ["edit 1: a red star on a light blue background"]),
    ("too big", PICTURES, 1, [f"edit 1: a small {CIRCLE[2:]}"]),
    ("make it all blue", PICTURES, 1, ["edit 1: a blue circle on a light blue background"]),
    ("give me two alternatives to this", PICTURES, 2, ["vary 2"] * 2),
    ("make the dog white", {1: "a brown cat at night"}, None, ["edit 1: a white cat at night"]),
    ("turn it into a dragon", {1: "a brown cat at night"}, None, ["edit 1: a green fish at night"]),
    ("could you improve the circle a little?", PICTURES, None, [f"refine 1: {CIRCLE}"]),
    ("next, a house", PICTURES, None, ["image: a red house"]),
    ("draw a house", PICTURES, None, ["image: a red house"]),
    ("draw another cat", PICTURES, None, ["image: an orange cat"]),
    ("a small house", PICTURES, None, ["image: a small red house"]),
    ("make me a red circle", PICTURES, None, ["image: a red circle"]),
]


@pytest.mark.parametrize(("text", "pictures", "about", "expected"), CHANGED)
def test_earlier_pictures_are_meant_by_name_by_reply_or_as_the_newest(
    text: str, pictures: dict[int, str], about: int | None, expected: list[str]
) -> None:
    """A change is written as the whole new picture; choosing, varying and refining name the right one."""
    assert tags(answer(asked(text, pictures, about))) == expected


WORDS: list[tuple[str, dict[int, str], str]] = [
    ("what can you draw?", {}, "OPENAI_BASE_URL"),
    ("help", PICTURES, "set of rules"),
    ("who are you?", {}, "no key"),
    ("what is in picture 2?", PICTURES, STARS),
    ("what's the prompt of #1", PICTURES, CIRCLE),
    ("hello", {}, "!"),
    ("thank you so much!", PICTURES, "!"),
    ("tell me a joke", {}, "?"),
    ("I love it", PICTURES, "."),
    ("ok", PICTURES, "!"),
    ("I like cats", {}, "draw"),
    ("we really love cats", PICTURES, "draw"),
    ("do you like blue?", PICTURES, "draw"),
    ("I like the beach", PICTURES, "draw"),
    ("I don't like the second", PICTURES, "tell me what to draw or change"),
    ("what colours do you know?", {}, "lavender"),
    ("make #7 blue", PICTURES, "#7; I know #1 and #2"),
    ("make it blue", {}, "no picture yet"),
    ("vary #1", {}, "no picture yet"),
    ("draw a gryphon", {}, "I cannot draw “gryphon” yet"),
    ("draw a gryphon on the beach", PICTURES, "“gryphon”"),
    ("my boss says hi", PICTURES, "Try"),
    ("the king is here", {}, "Try"),
    ("make it sparkle", PICTURES, "“sparkle”"),
    ("asdf qwer", PICTURES, "Try"),
    ("zeichne eine rote Katze", {}, "no other language"),
    ("remove the dog", {1: CIRCLE}, "I see no dog in it"),
    ("", {}, "Try"),
    ("make the second one green", PICTURES, "already shows"),
    ("add a house", COUPLE, "Two kinds"),
    ("make them smaller", PICTURES, "single thing only"),
    ("remove the circle", {1: CIRCLE}, "nothing would be left"),
    ("don't draw anything", PICTURES, "."),
    ("I don't want any more pictures", PICTURES, "."),
    ("do fish sleep at night?", PICTURES, "I can draw"),
    ("would a cat eat a fish?", PICTURES, "I can draw"),
    ("I have a cat at home", PICTURES, "."),
    ("my favourite colour is blue", PICTURES, "."),
    ("tell me about the moon", PICTURES, "I can draw"),
    ("give me five names for a cat", PICTURES, "I can draw"),
    ("I'll be right back", PICTURES, "."),
    ("we should get back to work", PICTURES, "."),
    ("<image>x</image>", PICTURES, "Try"),
]


@pytest.mark.parametrize(("text", "pictures", "part"), WORDS)
def test_some_messages_are_answered_in_words_only(text: str, pictures: dict[int, str], part: str) -> None:
    """Questions, small talk and impossible wishes get a sentence and no picture."""
    reply = answer(asked(text, pictures))
    assert tags(reply) == []
    assert part in reply


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a gryphon and a red house", "I cannot draw “gryphon” yet"),
        ("draw a dog", "I have never seen a dog, so a cat has to do."),
        ("three robots at night", "I have never seen robots, so faces have to do."),
        ("an astronaut riding a horse", "I have never seen an astronaut, so a face has to do."),
        ("draw five stars", "count to four"),
        ("draw a cat, a house and a tree", "left out the tree"),
        ("draw a house with a tree and a sun", "left out the sun"),
        ("draw a turquoise ball", "For turquoise I took blue"),
        ("a white cat", "One could not see white on white"),
        ("draw 7 pictures of a house", "Four pictures"),
    ],
)
def test_what_was_left_out_or_replaced_is_said(text: str, part: str) -> None:
    """A picture that is not quite what was asked for comes with a sentence about it."""
    reply = answer(asked(text))
    assert tags(reply)
    assert part in reply


def test_a_story_comes_with_pictures_between_its_sentences() -> None:
    """A story about somebody has two pictures of them, and words before, between and after."""
    reply = answer(asked("tell me a story about a purple cat"))
    assert tags(reply) == ["image: a purple cat in a meadow", "image: a purple cat at night"]
    assert all(words.strip() for words in re.split(r"<image>.*?</image>", reply))


@pytest.mark.parametrize(
    ("text", "scenes"),
    [
        ("write a story about a star, with one picture", ["in a meadow"]),
        ("tell me a story of a star at night in two parts", ["at night", "at sunset"]),
        ("a story about a star in 3 parts", ["in a meadow", "at sunset", "at night"]),
        ("a story about a star in four pictures", ["in a meadow", "on the beach", "at sunset", "at night"]),
    ],
)
def test_a_story_is_as_long_as_it_is_wanted(text: str, scenes: list[str]) -> None:
    """It has as many pictures as it is to have parts, each in another place."""
    requests = tags(answer(asked(text)))
    assert [picture.partition("star ")[2] for picture in requests] == scenes


def test_a_marked_part_is_spoken_of() -> None:
    """The answer does not claim that all of the picture is changed."""
    *before, last = asked("make it blue", {1: "three red hearts"}, 1)
    marked = last.text.replace("[about: #1]\n", "[about: #1]\n[marked: a part of #1; nothing else of it will change]\n")
    reply = answer([*before, ChatMessage(Role.USER, marked)])
    assert tags(reply) == ["edit 1: three blue hearts"] and reply.startswith("#1, changed only where it was marked:\n")


async def test_the_answer_streams_in_words_and_is_the_same_again() -> None:
    """The words come one by one, end with Stopped, make up the answer, and are the same for the same transcript."""
    history = asked("draw a red circle on a light blue background, and two green stars")
    model: ChatModel = OfflineModel(pause=0)
    runs = [[event async for event in model.stream(history)] for _ in range(2)]
    assert runs[0] == runs[1]
    *words, last = runs[0]
    assert last == StreamEnd()
    assert len(words) > 10
    assert "".join(word.text for word in words if isinstance(word, TextDelta)) == answer(history)


def test_words_vary_from_turn_to_turn() -> None:
    """The same wish is not answered with the same sentence every time."""
    once = asked("draw a cat")
    assert answer(once) != answer([*once, ChatMessage(Role.ASSISTANT, answer(once)), *once[1:]])


def test_the_left_one_is_the_first_picture_of_the_last_answer() -> None:
    """Left and right count among the pictures of the last answer."""
    earlier = ChatMessage(Role.ASSISTANT, f"<image>{CIRCLE}</image> <image>{STARS}</image>")
    _, last = asked("make the left one green", {1: PAIR, 2: CIRCLE, 3: STARS})
    assert tags(answer([ChatMessage(Role.USER, "Ann: two pictures"), earlier, last])) == [
        "edit 2: a green circle on a light blue background"
    ]
