"""A reply in pages: every page fits, nothing is lost, code stays code, and growing text changes only its end."""

import re
import time

import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from adapters.pagination import pages
from tests.support.thorough import examples

FENCE_LINE = re.compile(r"^ {0,3}(?:`{3,}[^`\n]*|~{3,}.*)$", re.MULTILINE)

WORDS = [
    "a",
    "dog",
    "runs. ",
    "Does it? ",
    " ",
    "  ",
    "\n",
    "\n\n",
    "\r\n",
    "\n   \n",
    "- ",
    "1. ",
    "# ",
    "> ",
    "a" * 30,
]
WORDS += [
    "é",
    "e\u0301",
    "🙂",
    "👩‍👩‍👧",
    "🇩🇪",
    "图",
    "图。",
    "\u0301",
    "\u200d",
    "\ud83d\ude42",
    "\u2028",
    "x\u0301" * 9,
]
MARKS = ["`", "**", "__", "`code`", "**bold words**", "[x](http://x.y/z)", "*", "_"]
FENCES = [
    "\n```\n",
    "\n```py\n",
    "\n~~~\n",
    "\n````md\n",
    "\n````\n",
    "  ```\n",
    "```",
    "~~~~",
    "\n```a b c d e\n",
    "`" * 40,
]
anything = st.lists(st.sampled_from(WORDS + MARKS + FENCES) | st.text(max_size=5), max_size=50).map("".join)
prose = st.lists(st.sampled_from(WORDS + MARKS[:3]), max_size=50).map("".join)
limits = st.integers(1, 90)

code_line = st.text("ab ().#", max_size=30).map(str.rstrip)
code = st.builds(
    lambda mark, info, lines: "\n".join([mark + info, *lines, mark]),
    st.sampled_from(["```", "~~~", "````", "  ```"]),
    st.sampled_from(["", "py", "text x"]),
    st.lists(code_line, max_size=12),
)
paragraph = st.lists(st.sampled_from(["A dog", "runs.", "Why?", "so", "long" * 9]), min_size=1, max_size=20).map(
    " ".join
)
documents = st.lists(code | paragraph, min_size=1, max_size=8).map("\n\n".join)


def dense(text: str) -> str:
    """The text without white space."""
    return "".join(text.split())


def unfenced(text: str) -> str:
    """The text without lines that could open or close a fence, and without white space."""
    return dense(FENCE_LINE.sub("", text))


def blocks(text: str) -> list[tuple[str, str]]:
    """What a Markdown parser takes for code: each block's info string and its text without white space."""
    return [(token.info, dense(token.content)) for token in MarkdownIt().parse(text) if token.type == "fence"]


@pytest.mark.parametrize("text", ["", " ", "\n\n \t\r\n", "\u2028\u00a0"])
def test_blank_text_has_no_pages(text: str) -> None:
    """There is nothing to send for blank text."""
    assert pages(text, 10) == []


def test_text_that_fits_is_one_page_as_it_is() -> None:
    """A text at the limit is not touched."""
    text = "  A dog.\n\n```py\nrun()\n```"
    assert pages(text + "\n", len(text)) == [text]


def test_a_limit_below_one_is_refused() -> None:
    """No page can hold anything then."""
    with pytest.raises(ValueError, match="at least 1"):
        pages("a", 0)


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("One two.\nThree.\n\nFour five. Six", 25, ["One two.\nThree.", "Four five. Six"]),
        ("One two.\nThree four. Five six", 20, ["One two.\nThree four.", "Five six"]),
        ("One two\nThree four. Five six", 12, ["One two", "Three four.", "Five six"]),
        ("One two. Three four five", 15, ["One two.", "Three four five"]),
        ("One two three four", 10, ["One two", "three four"]),
        ("abcdefghij" * 2, 8, ["abcdefgh", "ijabcdef", "ghij"]),
        ("See https://example.org/a/long/way", 30, ["See", "https://example.org/a/long/way"]),
        ("一只狗在跑步。它很快乐地跑着", 10, ["一只狗在跑步。", "它很快乐地跑着"]),
        ("一只狗在跑，一只猫在", 6, ["一只狗在跑，", "一只猫在"]),
        ("一只狗在跑步啊，一", 7, ["一只狗在跑步", "啊，一"]),
    ],
)
def test_a_page_ends_at_the_best_place(text: str, limit: int, expected: list[str]) -> None:
    """A paragraph is better than a line, a line than a sentence, a sentence than a word, and a word than none."""
    assert pages(text, limit) == expected


def test_a_page_is_not_cut_short_for_an_early_paragraph() -> None:
    """A paragraph's end in the first half of a page does not leave the rest of it empty."""
    assert pages("Hi!\n\nA dog runs through the garden. It barks.", 40) == [
        "Hi!\n\nA dog runs through the garden.",
        "It barks.",
    ]


def test_a_heading_goes_with_its_text() -> None:
    """A page does not end with the heading of the next one."""
    assert pages("A dog runs fast.\n\n## Cats\n\nCats sleep.", 28) == ["A dog runs fast.", "## Cats\n\nCats sleep."]


def test_a_list_marker_goes_with_its_item() -> None:
    """A page does not end with a bare marker, nor is a number's full stop a sentence's."""
    assert pages("Dogs run.\n12. abcdefghij", 16) == ["Dogs run.", "12. abcdefghij"]
    assert pages("- abcdefghijk", 12) == ["- abcdefghij", "k"]


def test_code_that_is_cut_is_closed_and_reopened() -> None:
    """Both pages show code, with its info string."""
    text = "```py\none()\ntwo()\nthree()\nfour()\n```\nDone."
    assert pages(text, 32) == ["```py\none()\ntwo()\nthree()\n```", "```py\nfour()\n```\nDone."]


def test_a_longer_fence_is_closed_by_one_as_long() -> None:
    """A short fence inside a long one is code, on each page."""
    text = "  ~~~~ md\n~~~\none\n~~~\n\ntwo three\nfour\n~~~~"
    assert pages(text, 36) == ["  ~~~~ md\n~~~\none\n~~~\n~~~~", "  ~~~~ md\ntwo three\nfour\n~~~~"]


def test_a_block_of_code_is_kept_whole_where_a_page_is_half_full() -> None:
    """The page ends before the block rather than inside it, and never right after the line that opens it."""
    assert pages("A dog runs far away.\n```py\none()\ntwo()\n```", 38) == [
        "A dog runs far away.",
        "```py\none()\ntwo()\n```",
    ]


def test_a_line_that_closes_a_block_does_not_begin_a_page() -> None:
    """No empty block of code is shown when only its last line went over the limit."""
    text = "```\n" + "a" * 20 + "\n" + "`" * 30 + "\nA dog."
    assert pages(text, 30) == ["```\n" + "a" * 20 + "\n```", "A dog."]


def test_a_fence_too_long_to_repeat_is_not_repaired() -> None:
    """An info string of half a page is shown once, and what follows the block is no code."""
    text = "```" + "i" * 30 + "\n" + "a" * 30 + "\n```\nA dog."
    assert pages(text, 40) == ["```" + "i" * 30, "a" * 30 + "\n```", "A dog."]


@pytest.mark.parametrize("span", ["`two three four`", "**two three four**", "__two three four__", "``two ` three``"])
def test_a_page_ends_before_a_span_rather_than_inside(span: str) -> None:
    """Inline code and bold text go to the next page whole."""
    assert pages(f"A dog runs so far {span}", 29) == ["A dog runs so far", span]


@pytest.mark.parametrize("cluster", ["e\u0301", "👩‍👩‍👧", "🇩🇪", "\ud83d\ude42", "क्षि", "👍🏽", "☝️"])
@pytest.mark.parametrize("limit", range(12, 20))
def test_no_grapheme_is_cut(cluster: str, limit: int) -> None:
    """What a person sees as one character stays on one page."""
    for page in pages("ab" + cluster * 40, limit):
        assert page.removeprefix("ab").replace(cluster, "") == ""


def test_a_mark_upon_a_space_keeps_its_space() -> None:
    """White space is left out at a cut, but not where a combining mark stands on it."""
    assert pages("one two \u0301three", 9) == ["one two", " \u0301three"]
    assert pages("aaaaaaaaaaa \u0301", 12) == ["aaaaaaaaaaa", " \u0301"]


def test_a_grapheme_longer_than_a_page_is_cut() -> None:
    """The limit is kept above all."""
    assert pages("e" + "\u0301" * 25, 10) == ["e" + "\u0301" * 9, "\u0301" * 10, "\u0301" * 6]


@given(anything, limits)
@example("\n" * 50 + "a" + " " * 50 + "b", 3)
@example(" " * 50 + "a\n" + " " * 50 + "b" * 50, 10)
@example("a ````````b", 4)
@example("\u2028a```", 4)
@settings(max_examples=examples(400), deadline=None)
def test_every_page_fits_and_is_not_blank(text: str, limit: int) -> None:
    """Whatever is written, no page passes the limit and none is empty."""
    for page in pages(text, limit):
        assert len(page) <= limit
        assert page.strip()


@given(anything, limits)
@example("```\nrun fast()\nstop()\n  ```x\na", 25)
@example("a " * 20 + "`\u0301``", 20)
@example("a\r\n\r\nb\r\rc", 2)
@settings(max_examples=examples(300), deadline=None)
def test_growing_text_changes_only_the_last_page(text: str, limit: int) -> None:
    """The pages of every beginning of a text, but for its last, are the first pages of the text."""
    whole = pages(text, limit)
    for end in range(len(text)):
        settled = pages(text[:end], limit)[:-1]
        assert settled == whole[: len(settled)]


@given(st.data(), st.sampled_from([200, 2000]))
@settings(max_examples=40, deadline=None)
def test_growing_long_text_changes_only_the_last_page(data: st.DataObject, limit: int) -> None:
    """The same holds for pages of a real size, with huge lines and long blocks of code."""
    piece = st.tuples(st.sampled_from(WORDS + MARKS + FENCES), st.sampled_from([1, 1, 1, 40, 900])).map(
        lambda times: times[0] * times[1]
    )
    text = "".join(data.draw(st.lists(piece, min_size=5, max_size=40)))
    whole = pages(text, limit)
    for end in data.draw(st.lists(st.integers(0, len(text)), min_size=5, max_size=20)):
        settled = pages(text[:end], limit)[:-1]
        assert settled == whole[: len(settled)]


@given(prose, limits)
@settings(max_examples=examples(300), deadline=None)
def test_no_character_of_prose_is_lost(text: str, limit: int) -> None:
    """The pages together hold the text, but for white space."""
    assert dense("".join(pages(text, limit))) == dense(text)


@given(documents, st.integers(32, 200))
@settings(max_examples=examples(300), deadline=None)
def test_no_character_of_code_is_lost(text: str, limit: int) -> None:
    """The pages together hold all that stands between fences and outside them, and every page's fences are closed."""
    made = pages(text, limit)
    assert "".join(map(unfenced, made)) == unfenced(text)
    for page in made:
        fences = [line.strip() for line in FENCE_LINE.findall(page)]
        assert len(fences) % 2 == 0
        for opened, closed in zip(fences[::2], fences[1::2], strict=True):
            assert closed == re.match(r"`+|~+", opened)[0]  # type: ignore[index]


@given(documents, st.integers(40, 200))
@settings(max_examples=examples(300), deadline=None)
def test_a_markdown_parser_finds_the_same_code(text: str, limit: int) -> None:
    """Code is code under its own info string, and prose is prose, on whatever pages they stand."""
    found = [block for page in pages(text, limit) for block in blocks(page)]
    for info in {info for info, _ in blocks(text)}:
        expected = "".join(content for other, content in blocks(text) if other == info)
        assert "".join(content for other, content in found if other == info) == expected


@given(st.text(st.sampled_from("ae\u0301🙂\u200d🇩👩क्ष 图。"), max_size=120).map("a".__add__), st.integers(12, 40))
@settings(max_examples=examples(300), deadline=None)
def test_pages_end_between_graphemes(text: str, limit: int) -> None:
    """Each page begins with a whole grapheme, unless one alone fills a page."""
    clusters = [cluster for cluster in regex.findall(r"\X", text) if cluster.strip()]
    if all(len(cluster) < limit for cluster in clusters):
        made = [cluster for page in pages(text, limit) for cluster in regex.findall(r"\X", page) if cluster.strip()]
        assert made == clusters


@pytest.mark.parametrize(
    "piece",
    [
        "A dog runs. ",
        "word ",
        "x",
        "\n",
        "a\n",
        "`",
        "```\n",
        "**a ",
        "\u0301",
        "🙂",
        "图",
        ".)",
        " \n",
        "~~~ a\n\n",
        "e ` ",
    ],
)
def test_the_work_grows_with_the_text(piece: str) -> None:
    """Eight times as much text takes about eight times as long, whatever it is made of."""

    def seconds(size: int) -> float:
        text = "a" + piece * (size // len(piece)) + "b"
        best = float("inf")
        for _ in range(3):
            began = time.process_time()
            pages(text, 2000)
            best = min(best, time.process_time() - began)
        return best

    assert seconds(80_000) < 24 * seconds(10_000) + 0.02
