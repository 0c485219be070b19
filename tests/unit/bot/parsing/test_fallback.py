"""The fallback: how it notices that a chat model forgot the image, and which image is requested instead."""

import pytest

from bot.conversation.source_picture import ResolvedRequest, resolve_source
from bot.domain import Failed, ImageRequest, Operation
from bot.parsing.fallback import build_fallback_request, is_image_missing
from bot.parsing.intent import ParserContext
from tests.support.doubles import picture

GENERATE, EDIT = Operation.GENERATE, Operation.EDIT


@pytest.mark.parametrize(
    ("text", "pictures", "answer", "expected"),
    [
        ("Can you draw a cute dog?", 0, "I'm sorry, but as a text-based AI I can't generate images.", True),
        ("Can you draw a cute dog?", 0, "Sure, I will draw it now!", True),
        ("Can you draw a cute dog?", 0, "A small brown dog sits on a green lawn.", True),
        ("Can you draw a cute dog?", 0, "", True),
        ("make it run near the river", 1, "Of course!", True),
        ("a knight", 0, "Here is your picture of a knight:", True),
        ("a knight", 0, "A knight is a mounted warrior.", False),
        ("Can you draw a cute dog?", 0, "Gladly! Which breed would you like?", False),
        ("what makes him so super-duper ?", 1, "His petals.", False),
        ("what can you draw?", 0, "I can draw a dog.", False),
        ("how do I ask you for pictures?", 0, "Just say what you want to see.", False),
        ("put a hat on this photo", 0, "There is no photo here.", False),
    ],
)
def test_an_image_is_missing_only_if_the_user_asked_for_one(
    text: str, pictures: int, answer: str, expected: bool
) -> None:
    """It is missing after refusals, promises and bare descriptions; not after questions and answers to questions."""
    assert is_image_missing(ParserContext(text, pictures), answer) is expected


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("Can you draw a cute dog?", "a cute dog"),
        ("please draw me a picture of a red cat, please!", "a red cat"),
        ("paint two boats", "two boats"),
        ("draw", "draw"),
        ("zeichne einen Hund mit Hut", "zeichne einen Hund mit Hut"),
    ],
)
def test_the_message_of_the_user_becomes_the_prompt(text: str, prompt: str) -> None:
    """Known phrases that only ask for an image are left out."""
    assert build_fallback_request(text, None) == ImageRequest(0, GENERATE, prompt)


def test_a_change_becomes_an_edit_of_the_newest_image() -> None:
    """The prompt of the newest image precedes the change; a request for a new image stays one."""
    assert build_fallback_request("make it blue", picture(1, "a red circle")) == ImageRequest(
        0, EDIT, "a red circle, make it blue"
    )
    assert build_fallback_request("make it blue", picture(1, "")) == ImageRequest(0, EDIT, "make it blue")
    assert build_fallback_request("draw a tree", picture(1)) == ImageRequest(0, GENERATE, "a tree")


@pytest.mark.parametrize(
    ("request_", "known", "newest", "expected"),
    [
        (ImageRequest(0, GENERATE, "a"), {1}, 1, None),
        (ImageRequest(0, EDIT, "a"), {1, 2}, 2, 2),
        (ImageRequest(0, EDIT, "a", source=1), {1, 2}, 2, 1),
        (ImageRequest(0, Operation.VARY, ""), {1}, 1, 1),
        (ImageRequest(0, Operation.SELECT, "", source=1), {1}, 1, 1),
        (ImageRequest(0, Operation.REFINE, "a"), {1}, 1, 1),
    ],
)
def test_each_operation_finds_its_source_image(
    request_: ImageRequest, known: set[int], newest: int, expected: int | None
) -> None:
    """The image with the given number, or else the current image; a new image has no source."""
    assert resolve_source(request_, known, newest) == ResolvedRequest(request_, expected)


def test_a_request_without_its_source_image_fails() -> None:
    """An unknown number fails, and so does a selection in a thread without images."""
    assert isinstance(resolve_source(ImageRequest(0, EDIT, "a", source=9), {1}, 1), Failed)
    assert isinstance(resolve_source(ImageRequest(0, Operation.SELECT, "", source=1), set(), None), Failed)
    assert isinstance(resolve_source(ImageRequest(0, EDIT, "a hat"), set(), None, "put a hat on this photo"), Failed)


def test_an_edit_in_a_thread_without_images_becomes_a_new_image() -> None:
    """Its prompt describes what to draw."""
    routed = resolve_source(ImageRequest(0, EDIT, "a dog in a hat", source=1, change="small"), set(), None, "add a hat")
    assert routed == ResolvedRequest(ImageRequest(0, GENERATE, "a dog in a hat"))
