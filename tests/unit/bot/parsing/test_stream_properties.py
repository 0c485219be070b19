"""Properties of the stream parser for any answer in any pieces: no markup is shown, and the work stays linear."""

import re
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain import ImageRequest, Retracted, Text
from bot.parsing.state import MAX_REQUESTS
from bot.parsing.stream_parser import Event, ParserContext, StreamParser
from tests.support.parse import read
from tests.support.thorough import THOROUGH, examples

WORDS = [
    "a dog",
    " ",
    "\n",
    "\n\n",
    "é",
    "🙂",
    "图",
    ".",
    "1. ",
    "h",
    "ht",
    "s",
    "Do you like it?",
    "User: ",
    "AI: ",
    "- ",
]
MARKS = ["[", "]", "{", "}", "<", "/", "\\", "&", "!", ":", "=", "|", "#"]
PAIRS = [
    '"',
    "'",
    "(",
    ")",
    "*",
    "**",
    "_",
    ">",
    "`",
    "**<image>",
]  # what stands between two of them may be only spoken of
TAGS = ["<image>", "</image>", "<edit>", '<edit of="1">', "<vary/>", '<select of="2"/>', "<refine>", "< image >"]
TAGS += ["<image ", ' prompt="a cat"', " alt='a cat'", "/>", "<IMAGE>", "<img ", "<pic>", "</pic>", "<variation>"]
TAGS += ["＜image＞", "&lt;image&gt;", "&lt;/image&gt;", "[image: a cat]", "[image]", "[/image]", "<图片>"]
OTHERS = ["<think>", "</think>", "<|im_end|>", "<|im_start|>assistant\n", "<|im_start|>user\n", "</s>", "[THINK]"]
OTHERS += [
    "<tool_call>",
    "</tool_call>",
    '{"prompt": "a cat"}',
    '{"name": "generate_image", "arguments": {',
    "Prompt: ",
]
OTHERS += ["generate_image(", 'prompt="a cat")', "<|channel|>", "final", "<|message|>", "<|python_tag|>", "Action: "]
OTHERS += ["[TOOL_CALLS]", "[/THINK]"]
ADDRESSES = [
    "![a cat](https://i.imgur.com/a.png)",
    " https://i.imgur.com/a.png",
    " data:image/png;base64,iVBO",
    " sandbox:/a",
]
BROKEN = [
    "```",
    "```\n",
    "\n```\n",
    "~~~\n",
    "`<image>`",
    "> ",
    "````",
    "</edit",
    "[a](",
    "![a cat](",
    "![a cat]",
    "[![",
]

WRITTEN = [*WORDS, *MARKS, *TAGS, *OTHERS, *ADDRESSES]
ANSWERS = st.lists(st.sampled_from([*WRITTEN, *PAIRS, *BROKEN]), max_size=30).map("".join)
UNQUOTED = st.lists(st.sampled_from(WRITTEN), max_size=30).map("".join)
DRAWING = [
    ParserContext("draw a cute dog", 2),
    ParserContext("draw a cute dog", user_names=("Ann", "Ben")),
    ParserContext("draw a cute dog", 2, thinks_first=True),
]
CONTEXTS = [
    *DRAWING,
    ParserContext("hello", 2),
    ParserContext("how many legs has a dog?"),
    ParserContext("how does your image tag work?", 1),
    ParserContext("say <image>a cat</image>"),
]

# None of it may be seen, unless it is in code, in a quotation, in quotes or in brackets
MARKUP = re.compile(
    r"<(?:image|edit|vary|variation|select|refine)(?:\s[^<>]*)?/?>|</(?:image|edit|vary|variation|select|refine)>"
    r"|</?think>|\[/?THINK\]|<\|[^|<>\n]{1,30}\|>|(?<!\w)(?:https://i\.imgur|data:image/|sandbox:/)",
    re.IGNORECASE,
)


def not_retracted(events: Sequence[Event]) -> list[Text | ImageRequest]:
    """The events that were not retracted."""
    kept: list[Text | ImageRequest] = []
    for event in events:
        if isinstance(event, Retracted):
            kept.clear()
        else:
            kept.append(event)
    return kept


@pytest.mark.timeout(400)
@settings(max_examples=examples(7_000), deadline=None)
@given(st.sampled_from(CONTEXTS), ANSWERS, st.lists(st.integers(0, 400), max_size=12))
def test_the_cuts_of_an_answer_do_not_matter(context: ParserContext, answer: str, cuts: list[int]) -> None:
    """In one piece, in characters, or in any pieces: the same text, and requests that are counted and limited."""
    whole = read(context, [answer])
    assert read(context, answer) == whole
    places = [0, *sorted(cut % (len(answer) + 1) for cut in cuts), len(answer)]
    assert read(context, (answer[begin:end] for begin, end in pairwise(places))) == whole
    keys = [event.key for event in not_retracted(whole) if isinstance(event, ImageRequest)]
    assert keys == list(range(len(keys))) and len(keys) <= MAX_REQUESTS


@pytest.mark.timeout(400)
@settings(max_examples=examples(3_000), deadline=None)
@given(st.sampled_from(DRAWING), UNQUOTED)
def test_no_markup_is_shown(context: ParserContext, answer: str) -> None:
    """In an answer that should request an image, the text has no tag, reasoning, token or invented address."""
    text = "\n".join(event.markdown for event in not_retracted(read(context, [answer])) if isinstance(event, Text))
    assert not MARKUP.search(text)


HOSTILE = [
    "<",
    "<image ",
    "<image>",
    "<image>\n",
    "</image",
    "[",
    "[image: ",
    "![a](",
    "`",
    "`a ",
    "```\n",
    "~~~\n",
    "> ",
]
HOSTILE += [
    "```\nx",
    "&lt;",
    "{",
    '{"prompt": "',
    '{"name": {',
    '{"name": "x"} ',
    "generate_image(",
    "**",
    "*_",
    "\n",
    " ",
]
HOSTILE += [
    "<think>hm ",
    "</think>a",
    "<|channel|>",
    "<|start|>",
    "<tool_call>",
    "data:image/png;base64,iVBORw0",
    " ht",
]
HOSTILE += ['<image prompt="a', '<vary of="1">', "\nUser: ", "\nPrompt: a", "<image>a cat</image> ", "`<image>`\n", "a"]


def count_calls(context: ParserContext, answer: str) -> int:
    """The number of function count_calls for an answer in pieces of five characters: a count, because time varies."""
    count = 0

    def profile(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    parser = StreamParser(context)
    sys.setprofile(profile)
    try:
        for at in range(0, len(answer), 5):
            parser.feed(answer[at : at + 5])
        parser.end()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("piece", HOSTILE)
def test_the_work_grows_linearly_with_the_answer(piece: str) -> None:
    """Four times as much hostile text takes about four times the work, and little for each character."""
    contexts = (ParserContext("draw a cat"), ParserContext("hello"), ParserContext("draw a cat", thinks_first=True))
    for context in contexts if THOROUGH else (contexts[HOSTILE.index(piece) % len(contexts)],):
        short, long = (count_calls(context, (piece * size)[:size]) for size in (2_500, 10_000))
        assert long < 5 * short + 2_000
        assert long < 40 * 10_000


@pytest.mark.parametrize("piece", HOSTILE)
def test_little_is_held_back(piece: str) -> None:
    """In an answer of any length, the text that waits for a decision stays short."""
    parser = StreamParser(ParserContext("hello"))
    answer = (piece * 10_000)[:10_000]
    for at in range(0, 10_000, 5):
        parser.feed(answer[at : at + 5])
        assert len(parser._buffer) <= 2_100
