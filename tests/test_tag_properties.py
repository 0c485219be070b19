"""Whatever a chat model writes, in whatever pieces: nothing breaks, no markup is shown, and the work stays linear."""

import re
import sys
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain import ImageRequest, Recanted, Text
from bot.tags import Context, Event, TagParser
from bot.utterance import MOST_REQUESTS

WORDS = ["a dog", " ", "\n", "\n\n", "é", "🙂", "图", ".", "1. ", "h", "ht", "s", "Do you like it?", "User: ", "AI: ", "- "]
PLAIN = ['"', "'", "(", ")", "[", "]", "{", "}", "<", ">", "/", "\\", "&", "*", "**", "_", "!", ":", "=", "|", "#", "`"]
TAGS = ["<image>", "</image>", "<edit>", "</edit", '<edit of="1">', "<vary/>", '<select of="2"/>', "<refine>", "< image >"]
TAGS += ["<image ", ' prompt="a cat"', " alt='a cat'", "/>", "<IMAGE>", "<img ", "<pic>", "</pic>", "<variation>", "<图片>"]
TAGS += ["＜image＞", "&lt;image&gt;", "&lt;/image&gt;", "[image: a cat]", "[image]", "[/image]", "**<image>", "</image>**"]
OTHERS = ["<think>", "</think>", "<|im_end|>", "<|im_start|>assistant\n", "<|im_start|>user\n", "</s>", "[THINK]", "[/THINK]"]
OTHERS += ["<tool_call>", "</tool_call>", '{"prompt": "a cat"}', '{"name": "generate_image", "arguments": {', "[TOOL_CALLS]"]
OTHERS += ["generate_image(", 'prompt="a cat")', "<|channel|>", "final", "<|message|>", "<|python_tag|>", "Action: ", "Prompt: "]
CODE = ["```", "```\n", "\n```\n", "~~~\n", "`<image>`", "> ", "````"]
LINKS = ["![a cat](", "https://i.imgur.com/a.png", ")", "[a](", "data:image/png;base64,AAAA", "![a cat]", "sandbox:/a", "[!["]

PIECES = st.sampled_from([*WORDS, *PLAIN, *TAGS, *OTHERS, *CODE, *LINKS])
ANSWERS = st.lists(PIECES, max_size=30).map("".join)
CONTEXTS = st.sampled_from(
    [
        Context("draw a cute dog", 2),
        Context("hello", 2),
        Context("how many legs has a dog?"),
        Context("how does your image tag work?", 1),
        Context("draw a cute dog", names=("Ann", "Ben")),
        Context("draw a cute dog", 2, thinks_first=True),
        Context("say <image>a cat</image>"),
    ]
)


def read(context: Context, chunks: Iterable[str]) -> list[Event]:
    """All events, with neighbouring words joined."""
    parser = TagParser(context)
    events: list[Event] = []
    for event in [*(event for chunk in chunks for event in parser.feed(chunk)), *parser.end()]:
        if isinstance(event, Text) and events and isinstance(events[-1], Text):
            events[-1] = Text(events[-1].markdown + event.markdown)
        else:
            events.append(event)
    return events


@settings(max_examples=7_000, deadline=None)
@given(CONTEXTS, ANSWERS, st.lists(st.integers(0, 400), max_size=12))
def test_it_does_not_matter_how_an_answer_is_cut(context: Context, answer: str, cuts: list[int]) -> None:
    """In one piece, in single characters, or in any pieces: the same words and requests come out, counted and capped."""
    whole = read(context, [answer])
    assert read(context, answer) == whole
    places = [0, *sorted(cut % (len(answer) + 1) for cut in cuts), len(answer)]
    assert read(context, (answer[a:b] for a, b in zip(places, places[1:], strict=False))) == whole
    keys: list[int] = []
    for event in whole:
        if isinstance(event, Recanted):
            keys.clear()
        elif isinstance(event, ImageRequest):
            keys.append(event.key)
    assert keys == list(range(len(keys))) and len(keys) <= MOST_REQUESTS


if __name__ == "__main__":
    test_it_does_not_matter_how_an_answer_is_cut()
