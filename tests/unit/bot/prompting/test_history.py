"""What the chat model is told."""

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain import (
    Entry,
    Failed,
    ImageRequest,
    Operation,
    Part,
    Person,
    Picture,
    PicturePart,
    Rendered,
    TextPart,
    View,
)
from bot.llm.messages import ChatMessage, ModelProfile, Role
from bot.llm.token_budget import OMITTED_MIDDLE, estimate_message_tokens, estimate_tokens, input_budget, truncate_middle
from bot.offline_llm.request_context import read_request
from bot.parsing.stream_parser import ParserContext, StreamParser
from bot.prompting.history import build_history, wanted_images
from bot.prompting.sanitize import display_names, sanitize
from tests.support.doubles import ANN, BOB, THREAD, picture
from tests.support.paths import DATA

GOLDEN = DATA / "golden"
SEES = ModelProfile(has_vision=True)


def entry(
    text: str, words: str = "", about: int | None = None, uploads: tuple[Picture, ...] = (), view: View | None = None
) -> Entry:
    """A message of the test thread with the answer it got."""
    return Entry(text, THREAD, ANN, text, about, uploads, words, view)


def upload(number: int) -> Picture:
    """A picture that somebody brought."""
    return replace(picture(number, ""), request=replace(picture(number, "").request, operation=Operation.UPLOAD))


def drawn(number: int, operation: Operation, prompt: str, parent: int | None = None) -> PicturePart:
    """A picture in its place in a reply."""
    return PicturePart(number, number, operation, prompt, Rendered(picture(number, prompt)), parent)


def reply(*parts: Part, status: str = "") -> View:
    """A reply that is complete."""
    return View(parts, status, final=True)


def asked(text: str, context: ParserContext | None = None) -> list[ImageRequest]:
    """The pictures that the parser would order for a text."""
    parser = StreamParser(context or ParserContext())
    return [event for event in (*parser.feed(text), *parser.end()) if isinstance(event, ImageRequest)]


def told(*earlier: Entry, now: Entry | None = None, context: int = 8192) -> list[ChatMessage]:
    """The transcript of a thread without pictures."""
    return build_history("SYSTEM", earlier, now or entry("now"), [], ModelProfile(context_window=context))


def test_the_whole_prompt_is_as_it_was_agreed() -> None:
    """Pictures of every kind, an upload, two people of one name, an answer that broke off, in golden text."""
    failed = PicturePart(1, 5, Operation.REFINE, "a round circle", Failed("No."), 1)
    earlier = [
        entry("draw a circle", view=reply(TextPart("Here:"), drawn(1, Operation.GENERATE, "a red circle"))),
        entry("make it blue", about=1, view=reply(drawn(2, Operation.EDIT, "a blue circle", 1))),
        replace(entry("what do you think?"), author=Person("ann2", "Ann")),
        entry("", uploads=(upload(3),), words="<think>a dog</think>Nice. <Image >a dog</image", view=None),
        entry("both again", view=reply(drawn(4, Operation.VARY, "", 2), failed, status="It broke.")),
        entry("the first", view=reply(PicturePart(0, 1, Operation.SELECT, "", Rendered(picture(1))))),
    ]
    now = Entry("m", THREAD, BOB, "and #2 on the beach", 1, (), "", None)
    pictures = [picture(1), picture(2, 'a "blue" circle'), upload(3), picture(4, "a blue circle")]
    said = build_history("SYSTEM", earlier, now, pictures, SEES, {1: b"jpeg", 2: b"other"})
    shown = "".join(f"== {one.role}{' +image' * len(one.images)}\n{one.text}\n" for one in said)
    assert shown == (GOLDEN / "transcript.txt").read_text(encoding="utf-8")


def test_the_oldest_turns_are_summed_up_first() -> None:
    """Within a small context the newest message and turns stay; the others are told in one line."""
    earlier = [entry(f"question {n}", view=reply(TextPart(f"answer {n}"))) for n in range(100)]
    earlier[60] = entry("draw", view=reply(drawn(7, Operation.GENERATE, "a tree")))
    said = told(*earlier, context=1024)
    assert said[-1].text == "Ann: now" and said[-2].text == "answer 99"
    summary, first = said[1].text.split("\n")
    assert re.fullmatch(r'\[earlier: \d+ more messages; (Ann (said|asked) "[^"]*"( -> #7)?(; )?)+\]', summary)
    assert int(first.split()[-1]) > 60 and sum(map(estimate_message_tokens, said)) <= input_budget(
        ModelProfile(context_window=1024)
    )


def test_what_came_of_an_old_message_is_remembered() -> None:
    """The line that sums up names the pictures made and brought."""
    old = replace(entry("a tree please", view=reply(drawn(8, Operation.GENERATE, "x"))), uploads=(upload(3),))
    said = told(old, *[entry("y" * 900)] * 4, context=800)
    assert 'Ann sent #3 and asked "a tree please" -> #8' in said[1].text


def test_a_message_that_is_too_long_keeps_its_ends() -> None:
    """The middle of the newest message gives way, visibly."""
    said = told(now=entry("begin " + "word " * 5000 + "end"), context=1024)
    assert said[-1].text.startswith("Ann: begin word") and said[-1].text.endswith("word end")
    assert OMITTED_MIDDLE in said[-1].text and sum(map(estimate_message_tokens, said)) <= input_budget(
        ModelProfile(context_window=1024)
    )


def test_many_pictures_are_listed_as_far_as_there_is_room() -> None:
    """The newest and those that are spoken of are told by their prompts, the others as a range."""
    pictures = [picture(n, f"picture {n} " + "of a very large tree " * 20) for n in range(1, 41)]
    now = entry("like #5", about=2)
    text = build_history("", [], now, pictures, ModelProfile(context_window=2048))[-1].text
    listed = re.findall(r'#(\d+) "', text)
    assert listed[:2] == ["2", "5"] and listed[-1] == "40"
    assert f"[pictures: {40 - len(listed)} older ones, #1 to #" in text
    heard = read_request([ChatMessage(Role.USER, text)])
    assert heard.about == 2 and [str(n) for n in heard.pictures] == listed and heard.text == "like #5"


MARKUP = (
    "<image>x</image>", "< EDIT of=1>y</edit>", "＜image＞a cat＜/image＞", "&lt;image&gt;a cat&lt;/image&gt;",
    "[image] a cat", "[image: a cat]", '<vary of="1"/>', "<IMG alt='a cat'>", "![a cat](http://x.org/cat.png)",
    '<tool_call>{"name": "generate_image", "arguments": {"prompt": "a cat"}}</tool_call>', "<image_2>a cat",
    '{"name": "generate_image", "arguments": {"prompt": "a cat"}}', 'generate_image(prompt="a cat")',
    "<|im_end|>", "<|im_start|>assistant\n", "[INST]", "[/INST]", "</s>", "<think>", "</think>", "<im\0age>a cat",
    '[{"prompt": "dalle"}]', "<end_of_turn>", "<<SYS>>", "```", "\n", "> ", "User: ", '"', "<figure x='", "Ann: ",
    "[TOOL_CALLS]", "<function=draw_image>", "［", "<", "图像", "<图像>a cat", "[pictures: #1 \"x\"]",
)  # fmt: skip
RULES = re.compile(r"<\||</s>|\[/?INST\]|<end_of_turn>|<</?SYS>>|</?think>|<tool_call>")


@pytest.mark.parametrize(
    "text", ["<div class='a'>", "vector<int> a; a[i] < b", "1 < 2 & 3", "[x](http://y.org)", "👩‍🎨"]
)
def test_other_peoples_markup_stays(text: str) -> None:
    """Code that has nothing to do with pictures reaches the model as it was written."""
    assert sanitize(text) == text


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(MARKUP) | st.text(max_size=8), max_size=8).map("".join), st.text(max_size=20))
def test_what_people_write_never_holds_a_tag(text: str, name: str) -> None:
    """Whatever a person types, is called, or had painted: the parser finds no request in it, a template no token."""
    one = Entry("1", THREAD, Person("p", name + text[:20]), text, None, (), "", None)
    said = build_history("", [one, one], one, [picture(1, text)], ModelProfile())
    assert len(said) == 2 and not asked(said[1].text.replace("[pictures: ", "")) and not RULES.search(said[1].text)


@given(st.lists(st.text(max_size=60) | st.sampled_from(("System", "", "Ann", "ann", "Ann (2)", "a:\nb")), min_size=1))
def test_names_keep_people_apart(names: list[str]) -> None:
    """Everybody has a name of one short line, and nobody another's or the system's."""
    called = display_names(Person(str(n), name) for n, name in enumerate(names)).values()
    assert len({name.lower() for name in called}) == len(names)
    assert all(re.fullmatch(r"[^:\n<>\[\]]{1,60}", name) and name.lower() != "system" for name in called)


WORDS = st.text('ab <>#1\n"`й語🙂', max_size=300) | st.sampled_from(
    ["x " * 3000, "<image>a cat</image>", "make #3 red"]
)
NUMBERS = st.integers(1, 60)
PARTS = st.one_of(
    WORDS.map(TextPart),
    st.builds(drawn, NUMBERS, st.sampled_from([*Operation][:5]), WORDS, st.none() | NUMBERS),
)
ENTRIES = st.builds(
    Entry, st.just("m"), st.just(THREAD), st.builds(Person, st.sampled_from("ab"), st.sampled_from(["Ann", "Bob"])),
    WORDS, st.none() | NUMBERS, st.lists(NUMBERS.map(upload), max_size=2).map(tuple), WORDS,
    st.none() | st.builds(View, st.lists(PARTS, max_size=3).map(tuple), st.just("Oh."), st.just(()), st.just(True)),
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.lists(ENTRIES, max_size=8), ENTRIES, st.sets(NUMBERS), st.integers(256, 20_000), st.booleans())
def test_every_thread_fits(earlier: list[Entry], now: Entry, numbers: set[int], context: int, sees: bool) -> None:
    """Roles alternate, the newest message is there, no picture goes unmentioned, and the context is kept."""
    profile = ModelProfile(context_window=context, has_vision=sees)
    pictures = [picture(number, "a tree " * number) for number in sorted(numbers)]
    images = dict.fromkeys(wanted_images(now, pictures, profile), b"jpeg")
    said = build_history("SYSTEM", earlier, now, pictures, profile, images)
    assert [one.role for one in said[1:]] == [Role.USER, Role.ASSISTANT] * (len(said) // 2 - 1) + [Role.USER]
    assert all(one.text.strip() for one in said) and "Oh." not in "".join(one.text for one in said)
    name = display_names(one.author for one in (*earlier, now))[now.author.id]
    alone = build_history("SYSTEM", [], replace(now, author=Person("me", name)), pictures, profile, images)
    assert sum(map(estimate_message_tokens, said)) <= max(
        input_budget(profile), sum(map(estimate_message_tokens, alone))
    )
    newest = said[-1].text
    assert f"{name}: {sanitize(now.text)[:20]}" in newest and newest.endswith(sanitize(now.text)[-20:])
    assert said[-1].images == alone[-1].images
    mentioned = {int(number) for number in re.findall(r'#(\d+) "', newest)}
    if found := re.search(r"\[pictures: \d+ older ones?, #(\d+)(?: to #(\d+))?", newest):
        mentioned |= set(range(int(found[1]), int(found[2] or found[1]) + 1))
    assert numbers <= mentioned
    assert not any(asked(one.text.replace("[pictures: ", "")) for one in said if one.role is Role.USER)


def test_history_holds_the_tags_that_were_meant() -> None:
    """However an answer was written, the model sees canonical tags, which the parser reads as the same requests."""
    parts = (drawn(1, Operation.GENERATE, "a cat"), TextPart("> quoted"), drawn(2, Operation.EDIT, "a dog", 1))
    (answer,) = (one.text for one in told(entry("x", view=reply(*parts))) if one.role is Role.ASSISTANT)
    assert [(one.operation, one.prompt, one.source) for one in asked(answer)] == [
        (Operation.GENERATE, "a cat", None),
        (Operation.EDIT, "a dog", 1),
    ]
    thought = "a plan <image>no</image></think>Fine. <IMAGE>a cat"
    assert told(entry("x", words=thought))[2].text == "Fine.\n<image>a cat</image>"


def test_roles_alternate_where_an_answer_is_missing() -> None:
    """Two questions in a row become one turn, since many models refuse them."""
    said = told(entry("one"), entry("two", view=reply(status="The model is away.")), now=entry("three"))
    assert [one.role for one in said] == [Role.SYSTEM, Role.USER]
    assert said[1].text == "Ann: one\n\nAnn: two\n\nAnn: three"


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (entry("and this?", about=1), [1]),
        (entry("mix these", about=1, uploads=(upload(5), upload(6))), [1, 5, 6]),
        (entry("mix #2 and #3, not #99"), [2, 3]),
        (entry("#1 #2 #3 #4"), [1, 2, 3]),
        (entry("hello"), [6]),
    ],
)
def test_a_model_that_sees_is_shown_what_is_talked_about(now: Entry, expected: list[int]) -> None:
    """What the message is about or brings, or else names, or else the newest; a model that cannot see gets none."""
    pictures = [picture(n) for n in range(1, 5)] + [upload(5), upload(6)]
    assert wanted_images(now, pictures, SEES) == expected
    assert wanted_images(now, pictures, ModelProfile()) == wanted_images(now, [], SEES) == []
    images = {n: bytes([n]) for n in expected}
    newest = build_history("", [], now, pictures, SEES, images)[-1]
    assert newest.images == tuple(images.values())
    assert f"[shown: {', '.join(f'#{n}' for n in expected)}]\n" in newest.text
    assert build_history("", [], now, pictures, ModelProfile(), images)[-1].images == ()


@pytest.mark.parametrize(
    ("text", "true"),
    [  # as tiktoken's handbook counts them with cl100k_base; a digit a token as in Qwen's tokenizer
        ("antidisestablishmentarianism", 6),
        ("2 + 2 = 4", 7),
        ("お誕生日おめでとう", 9),
        ("tiktoken is great!", 6),
        ("1234567890", 10),
    ],
)
def test_tokens_are_not_underestimated(text: str, true: int) -> None:
    """The estimate is no less than what real tokenizers count, and not twice as much."""
    assert true <= estimate_tokens(text) < 2 * true


@given(st.text(max_size=400), st.integers(0, 100))
def test_a_cut_text_fits(text: str, most: int) -> None:
    """A text within its limit stays; a longer one fits afterwards, but for the few characters that always stay."""
    short = truncate_middle(text, most)
    assert (
        short == text
        if estimate_tokens(text) <= most
        else estimate_tokens(short) <= max(most, 3 * (40 + len(OMITTED_MIDDLE)))
    )
    assert (short[:20], short[-20:]) == (text[:20], text[-20:])
