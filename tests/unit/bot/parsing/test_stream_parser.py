"""The stream parser: answers of chat models in, text and image requests out."""

import random

import pytest

from bot.domain import ImageRequest, Operation, Retracted, Text
from bot.parsing.stream_parser import Event, ParserContext, StreamParser
from tests.support.parse import joined, read
from tests.support.thorough import examples

GENERATE, EDIT, VARY = Operation.GENERATE, Operation.EDIT, Operation.VARY


def parsed(*chunks: str) -> list[Event]:
    """All events of an answer without context."""
    return read(ParserContext(), chunks)


def result(output: str) -> tuple[str, list[tuple[str, str, int | None]]]:
    """The text with `[[k]]` for the kth image, and the requests."""
    words, requests = "", []
    for event in parsed(output):
        if isinstance(event, Text):
            words += event.markdown
        elif isinstance(event, ImageRequest):
            words += f"[[{event.key}]]"
            requests.append((event.operation.value, event.prompt, event.source))
    return " ".join(words.split()), requests


CASES = {
    "Sure, <image> a cute dog </image>": ("Sure, [[0]]", [("generate", "a cute dog", None)]),
    "<image>a</image> then <edit>b</edit> ok": ("[[0]] then [[1]] ok", [("generate", "a", None), ("edit", "b", None)]),
    '<edit of="2">a blue dog</edit>': ("[[0]]", [("edit", "a blue dog", 2)]),
    '<edit id="3" prev_id="2"> a dog </image>': ("[[0]]", [("edit", "a dog", 2)]),
    '<vary of="1"/> and <select of="#2"/>': ("[[0]] and [[1]]", [("vary", "", 1), ("select", "", 2)]),
    "<vary of='1' />": ("[[0]]", [("vary", "", 1)]),
    '<vary of="1"> Here you are, as you wished, another one like it.': (
        "[[0]] Here you are, as you wished, another one like it.",
        [("vary", "", 1)],
    ),
    "<select id=4> 2 </select> good": ("[[0]] good", [("select", "", 2)]),
    '<refine of="1">a dog, more detail</refine>': ("[[0]]", [("refine", "a dog, more detail", 1)]),
    "<IMAGE> a Dog </Image>": ("[[0]]", [("generate", "a Dog", None)]),
    "< image > a dog < / image >": ("[[0]]", [("generate", "a dog", None)]),
    "<image prompt=\"a knight's > blade\" />": ("[[0]]", [("generate", "a knight's > blade", None)]),
    "Here: <image> a dog": ("Here: [[0]]", [("generate", "a dog", None)]),
    "<image> a dog\n\nAnother?": ("[[0]] Another?", [("generate", "a dog", None)]),
    "<image> a <image> b </image> </image>": ("[[0]][[1]]", [("generate", "a", None), ("generate", "b", None)]),
    "Sure, <image></image>": ("Sure,", []),
    "Here it is: <ima": ("Here it is:", []),
    "a </image> b": ("a b", []),
    "1 < 2 and <b>bold</b> <imagine> x": ("1 < 2 and <b>bold</b> <imagine> x", []),
    '<image> a sign "1 < 2 & 3 > 2" </image>': ("[[0]]", [("generate", 'a sign "1 < 2 & 3 > 2"', None)]),
    "Write `<image> ... </image>` for it.": ("Write `<image> ... </image>` for it.", []),
    "```html\n<image> x </image>\n```\nok": ("```html <image> x </image> ``` ok", []),
    "~~~\n<edit>x</edit>\n~~~ <image>a</image>": ("~~~ <edit>x</edit> ~~~ [[0]]", [("generate", "a", None)]),
    "<think>an <image>old</image> idea</think>Sure <image>new</image>": ("Sure [[0]]", [("generate", "new", None)]),
    "<image> **a dog**, _oil_ </image>": ("[[0]]", [("generate", "a dog, oil", None)]),
}  # fmt: skip


@pytest.mark.parametrize("output", CASES)
def test_text_and_requests_are_separated(output: str) -> None:
    """Each notation gives the meant requests, and no markup is left in the text."""
    assert result(output) == CASES[output]


@pytest.mark.parametrize("output", CASES)
def test_the_cuts_of_the_stream_do_not_matter(output: str) -> None:
    """Every split into two, and into single characters, gives the same events."""
    whole = parsed(output)
    assert parsed(*output) == whole
    for cut in range(len(output)):
        assert parsed(output[:cut], output[cut:]) == whole


PIECES = [
    "<",
    ">",
    "</",
    "/>",
    "image",
    "edit",
    ' of="1"',
    "`",
    "```",
    "~~~",
    "\n",
    "\n\n",
    "a dog",
    '"',
    " ",
    "é",
    "🙂",
]
PIECES += ["<think>", "</think>", "<image>", "</image>", "<vary", "&lt;", "select"]


@pytest.mark.parametrize("seed", range(examples(300)))
def test_random_markup_raises_nothing(seed: int) -> None:
    """Random mixtures of pieces of tags raise nothing, and do not depend on the cuts."""
    rng = random.Random(seed)
    output = "".join(rng.choice(PIECES) for _ in range(rng.randint(2, 40)))
    cuts = sorted(rng.randrange(len(output)) for _ in range(10))
    parts = [output[a:b] for a, b in zip([0, *cuts], [*cuts, len(output)], strict=True)]
    assert parsed(*parts) == parsed(output)


def test_a_request_is_emitted_with_the_last_character_of_its_tag() -> None:
    """The job can start while the model still writes."""
    parser = StreamParser()
    events = [parser.feed(character) for character in "<image>a dog</image>"]
    assert events[-1] == [ImageRequest(0, GENERATE, "a dog")]
    assert not any(events[:-1])


def test_plain_text_is_not_held_back() -> None:
    """Text that cannot become a tag is emitted at once."""
    parser = StreamParser()
    assert parser.feed("Hello, a < b") == [Text("Hello, a < b")]


def parse_pieces(*pieces: str | tuple[str, str], context: ParserContext | None = None) -> list[Event]:
    """All events of an answer made of text and tool calls."""
    parser = StreamParser(context or ParserContext("draw a dog", 2))
    events: list[Event] = []
    for each in pieces:
        events += parser.feed(each) if isinstance(each, str) else parser.feed_call(*each)
    return [*events, *parser.end()]


DOG = ImageRequest(0, GENERATE, "a dog")
CALL = ("generate_image", '{"prompt": "a dog"}')


def test_a_tool_call_keeps_its_place_in_the_text() -> None:
    """Text before and after it keeps its place, and the keys continue."""
    cat = ("edit_image", '{"prompt": "a blue cat", "of": 2}')
    assert parse_pieces("Look: ", CALL, " and ", cat, "Nice.") == [
        Text("Look: "),
        DOG,
        Text(" and "),
        ImageRequest(1, EDIT, "a blue cat", source=2),
        Text("Nice."),
    ]


@pytest.mark.parametrize(
    ("open_words", "events"),
    [
        ("Here <im", [Text("Here ")]),
        ("Here <image>a cat", [Text("Here "), ImageRequest(0, GENERATE, "a cat")]),
        ("Here [a](", [Text("Here "), Text("[a](")]),
        ("Here ht", [Text("Here "), Text("ht")]),
        ("<think>maybe <image>x</image>", []),
        ("```\n<image>a cat</image>", [ImageRequest(0, GENERATE, "a cat")]),
        ("Here <|im_end|>", [Text("Here ")]),
    ],
)
def test_a_tool_call_closes_the_open_construct(open_words: str, events: list[Event]) -> None:
    """A call ends an open construct as the end of the answer does; after it, plain text continues."""
    key = sum(isinstance(event, ImageRequest) for event in events)
    request = ImageRequest(key, GENERATE, "a dog")
    parsed_events = parse_pieces(open_words, CALL, "So.")
    words = "".join(event.markdown for event in events if isinstance(event, Text))
    assert "".join(event.markdown for event in parsed_events if isinstance(event, Text)) == words + "So."
    assert [event for event in parsed_events if isinstance(event, ImageRequest)] == [
        *(event for event in events if isinstance(event, ImageRequest)),
        request,
    ]
    assert parsed_events[-1] == Text("So.")


def test_an_unrelated_tool_call_requests_no_image() -> None:
    """Other tools, and arguments that are not JSON, request no image."""
    assert parse_pieces("Hi ", ("get_weather", '{"city": "Oslo"}'), ("generate_image", "{{"), "there") == [
        Text("Hi "),
        Text("there"),
    ]


@pytest.mark.parametrize(
    "pieces",
    [
        ("<image>a dog</image>", CALL),
        (CALL, "<image>a dog</image>"),
        ("<image>A dog</image> Done.", CALL),
        ('{"prompt": "a dog"}', CALL),
        ("**Prompt:** a dog", CALL),
        ("<image>a dog</image>\n\n**Prompt:** a dog",),
    ],
)
def test_an_image_requested_in_two_forms_is_rendered_once(pieces: tuple[str | tuple[str, str], ...]) -> None:
    """A model that writes the tag and makes the same call means one image."""
    assert sum(isinstance(event, ImageRequest) for event in parse_pieces(*pieces)) == 1


@pytest.mark.parametrize("words", ["> a <image>x</image>", "```\n<image>x</image>\n```", "- <image>a dog</image> b"])
def test_the_text_after_a_call_does_not_depend_on_the_cuts(words: str) -> None:
    """A line begins there: a quotation or a code block is one in every piece."""

    whole = joined(parse_pieces("Look: ", CALL, words))
    for cut in range(1, len(words)):
        assert joined(parse_pieces("Look: ", CALL, words[:cut], words[cut:])) == whole


def test_every_tag_pairs_off_with_one_call() -> None:
    """Two tags and then the same two calls are two images; a third call is a third image."""
    cat = ("generate_image", '{"prompt": "a cat"}')
    tags = "<image>a dog</image> <image>a cat</image>"
    assert sum(isinstance(event, ImageRequest) for event in parse_pieces(tags, CALL, cat)) == 2
    assert sum(isinstance(event, ImageRequest) for event in parse_pieces(tags, CALL, cat, CALL)) == 3


def test_calls_are_limited_like_tags() -> None:
    """The same request counts four times at most, and an answer has ten images at most."""
    assert sum(isinstance(event, ImageRequest) for event in parse_pieces(*[CALL] * 9)) == 4
    many = [("generate_image", f'{{"prompt": "dog {n}"}}') for n in range(20)]
    assert [event.key for event in parse_pieces(*many) if isinstance(event, ImageRequest)] == list(range(10))


def test_a_tool_call_is_never_retracted() -> None:
    """The end of reasoning after a call does not retract the call."""
    assert not any(isinstance(event, Retracted) for event in parse_pieces("Hm. ", CALL, "</think>Here."))


def test_reasoning_without_an_opening_tag_is_retracted() -> None:
    """The text and the requests before its closing tag do not count; keys start from 0 again."""
    events = parse_pieces("Maybe <image>a cat</image> no. ", "</think> So: <image>a dog</image>")
    assert events[events.index(Retracted()) + 1 :] == [Text("So: "), DOG]


def test_a_prompt_has_a_maximum_length() -> None:
    """Text beyond 32,000 characters is dropped, and the answer continues after it."""
    events = parse_pieces("<image>" + "very " * 10_000 + "</image> Done.")
    assert isinstance(events[0], ImageRequest) and len(events[0].prompt) < 32_000
    assert events[1:] == [Text(" Done.")]


def test_a_file_in_base64_is_not_kept() -> None:
    """A megabyte of base64 leaves only the visible text in the answer."""
    events = parse_pieces("![a dog](data:image/png;base64," + "iVBORw0KGgo" * 90_000 + ") Done.")
    assert events == [DOG, Text(" Done.")]
