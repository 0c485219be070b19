"""The intent of a message, by its words alone."""

import pytest

from bot.parsing.intent import Intent, detect_intent, is_clarifying_question, points_at_picture

PICTURE = """
Can you draw a cute dog?
draw a red circle
please draw me a knight
hey bot, could you paint our mascot as a knight?
sketch a lighthouse, then paint it at night
can you generate three images of a dog ?
make a picture of a lighthouse
I'd like a logo for our bakery with an owl
show me a photo of a sunset over the sea
a picture of two cats
design a poster for friday's party
Could you summarize the story with interleaved images?
tell me a story about a fox with pictures
imagine a city under the sea and draw it
Zeichne einen Hund mit Hut
dessine un chat sur la lune
dibuja un dragón azul
нарисуй кота
画一只猫
犬の絵を描いて
강아지를 그려줘
draw a dog with a name tag
can we get a sticker of that idea?
I want you to draw what you just described
""".strip().splitlines()
CHANGE = """
make it run near the river
add a hat
remove the background please
turn it into watercolor
put it on the beach
can you make the sky darker?
more like this
Can I see more like this ?
another one
now with snow
take that and draw it as a sketch
""".strip().splitlines()
WORDS = """
what makes him so super-duper ?
how many legs has a spider?
what can you draw?
can you draw?
who painted the Mona Lisa?
which picture do you like best?
what is in picture 2?
why is the sky blue?
write SVG that embeds dog.png
write a haiku about autumn
explain quicksort
don't draw anything, just tell me a joke
thanks!
is the cat in the image black?
translate "draw a cat" to French
What's the story of him?
""".strip().splitlines()
MARKUP = """
How does your image tag syntax work? Show me.
how do I ask you for pictures?
what tags do you understand?
what is the format of your image tags?
""".strip().splitlines()
UNCLEAR = """
a knight
a red ball, then set it on fire
I like the second one.
take the first image and make it watercolor
""".strip().splitlines()


@pytest.mark.parametrize(
    ("text", "pictures", "expected"),
    [(text, False, Intent.PICTURE) for text in PICTURE]
    + [(text, True, Intent.PICTURE) for text in PICTURE + CHANGE]
    + [(text, pictures, Intent.WORDS) for text in WORDS for pictures in (False, True)]
    + [(text, pictures, Intent.MARKUP) for text in MARKUP for pictures in (False, True)]
    + [(text, False, Intent.UNCLEAR) for text in UNCLEAR],
)
def test_the_intent_of_a_plain_message_is_detected(text: str, pictures: bool, expected: Intent) -> None:
    """Each message has the intent that a reader would see in it."""
    assert detect_intent(text, pictures) is expected


@pytest.mark.parametrize("text", ["", " ", "?", "🙂", "draw", "<image>x</image>", "a" * 100_000, "draw " * 50_000])
def test_any_text_has_an_intent(text: str) -> None:
    """No text is too odd or too long."""
    assert detect_intent(text) in Intent


def test_a_reference_to_an_attached_image_is_detected() -> None:
    """Without the photo, an answer to "this photo" would draw something else."""
    assert points_at_picture("put a hat on this photo")
    assert points_at_picture("make my drawing blue")
    assert not points_at_picture("add a hat")
    assert not points_at_picture("draw a picture of this city")


@pytest.mark.parametrize(
    ("answer", "asks"),
    [
        ("Which of the two do you mean?", True),
        ("Happy to! What colour should the hat be?", True),
        ("I cannot see a picture here. Could you upload it?", True),
        ("I'm sorry, but as a text-based AI I can't generate images.", False),
        ("Sure, I will draw it now!", False),
        ("Here is your dog. Do you like it?", False),
        ("", False),
    ],
)
def test_a_clarifying_question_is_distinguished_from_a_promise(answer: str, asks: bool) -> None:
    """Only the question needs an answer before anything is drawn."""
    assert is_clarifying_question(answer) is asks
