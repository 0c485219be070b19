"""What the model writes, and what is made of it."""

import random

import pytest

from bot.domain import ImageRequest, Operation, Text
from bot.tags import TagParser

GENERATE, EDIT, VARY = Operation.GENERATE, Operation.EDIT, Operation.VARY


def parsed(*chunks: str) -> list[Text | ImageRequest]:
    """All events, with neighbouring words joined."""
    parser = TagParser()
    events: list[Text | ImageRequest] = []
    for event in [*(e for chunk in chunks for e in parser.feed(chunk)), *parser.end()]:
        if isinstance(event, Text) and events and isinstance(events[-1], Text):
            events[-1] = Text(events[-1].markdown + event.markdown)
        else:
            events.append(event)
    return events


def told(output: str) -> tuple[str, list[tuple[str, str, int | None]]]:
    """The words with `[[k]]` for the kth picture, and the requests."""
    words, requests = "", []
    for event in parsed(output):
        if isinstance(event, Text):
            words += event.markdown
        else:
            words += f"[[{event.key}]]"
            requests.append((event.operation.value, event.prompt, event.of))
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
def test_words_and_requests_are_told_apart(output: str) -> None:
    """Each way of writing comes out as meant, and no markup is left in the words."""
    assert told(output) == CASES[output]


@pytest.mark.parametrize("output", CASES)
def test_it_does_not_matter_how_the_answer_is_cut(output: str) -> None:
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


@pytest.mark.parametrize("seed", range(300))
def test_any_rubbish_in_any_pieces_is_survived(seed: int) -> None:
    """Random mixtures of pieces of tags raise nothing, and do not depend on the cuts."""
    rng = random.Random(seed)
    output = "".join(rng.choice(PIECES) for _ in range(rng.randint(2, 40)))
    cuts = sorted(rng.randrange(len(output)) for _ in range(10))
    parts = [output[a:b] for a, b in zip([0, *cuts], [*cuts, len(output)], strict=True)]
    assert parsed(*parts) == parsed(output)


def test_a_request_is_there_with_the_last_character_of_its_tag() -> None:
    """The job can start while the model still writes."""
    parser = TagParser()
    events = [parser.feed(character) for character in "<image>a dog</image>"]
    assert events[-1] == [ImageRequest(0, GENERATE, "a dog")]
    assert not any(events[:-1])


def test_ordinary_words_are_not_held_back() -> None:
    """What cannot become a tag is shown at once."""
    parser = TagParser()
    assert parser.feed("Hello, a < b") == [Text("Hello, a < b")]
