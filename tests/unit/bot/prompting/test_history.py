"""The history that the chat model gets."""

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
from tests.support.thorough import examples

GOLDEN = DATA / "golden"
SEES = ModelProfile(has_vision=True)


def entry(
    text: str, words: str = "", about: int | None = None, uploads: tuple[Picture, ...] = (), view: View | None = None
) -> Entry:
    """A message of the test thread with its reply."""
    return Entry(text, THREAD, ANN, text, about, uploads, words, view)


def upload(number: int) -> Picture:
    """An uploaded image."""
    return replace(picture(number, ""), request=replace(picture(number, "").request, operation=Operation.UPLOAD))


def drawn(number: int, operation: Operation, prompt: str, parent: int | None = None) -> PicturePart:
    """An image part of a reply."""
    return PicturePart(number, number, operation, prompt, Rendered(picture(number, prompt)), parent)


def reply(*parts: Part, status: str = "") -> View:
    """A final reply."""
    return View(parts, status, final=True)


def requests(text: str, context: ParserContext | None = None) -> list[ImageRequest]:
    """The image requests that the parser finds in a text."""
    parser = StreamParser(context or ParserContext())
    return [event for event in (*parser.feed(text), *parser.end()) if isinstance(event, ImageRequest)]


def history(*earlier: Entry, now: Entry | None = None, context: int = 8192) -> list[ChatMessage]:
    """The history of a thread without images."""
    return build_history("SYSTEM", earlier, now or entry("now"), [], ModelProfile(context_window=context))


def test_the_whole_history_matches_the_golden_file() -> None:
    """Images of every kind, an upload, two users with one name, and an unfinished answer."""
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
    messages = build_history("SYSTEM", earlier, now, pictures, SEES, {1: b"jpeg", 2: b"other"})
    shown = "".join(f"== {message.role}{' +image' * len(message.images)}\n{message.text}\n" for message in messages)
    assert shown == (GOLDEN / "transcript.txt").read_text(encoding="utf-8")


def test_the_oldest_messages_are_summarized_first() -> None:
    """In a small context the current message and the newest turns stay; the others become one line."""
    earlier = [entry(f"question {n}", view=reply(TextPart(f"answer {n}"))) for n in range(100)]
    earlier[60] = entry("draw", view=reply(drawn(7, Operation.GENERATE, "a tree")))
    messages = history(*earlier, context=1024)
    assert messages[-1].text == "Ann: now" and messages[-2].text == "answer 99"
    summary, first = messages[1].text.split("\n")
    assert re.fullmatch(r'\[earlier: \d+ more messages; (Ann (said|asked) "[^"]*"( -> #7)?(; )?)+\]', summary)
    assert int(first.split()[-1]) > 60 and sum(map(estimate_message_tokens, messages)) <= input_budget(
        ModelProfile(context_window=1024)
    )


def test_the_summary_names_the_images_of_old_messages() -> None:
    """It lists the images that were rendered and uploaded."""
    old = replace(entry("a tree please", view=reply(drawn(8, Operation.GENERATE, "x"))), uploads=(upload(3),))
    messages = history(old, *[entry("y" * 900)] * 4, context=800)
    assert 'Ann sent #3 and asked "a tree please" -> #8' in messages[1].text


def test_a_message_that_is_too_long_keeps_its_ends() -> None:
    """The middle of the current message is cut visibly."""
    messages = history(now=entry("begin " + "word " * 5000 + "end"), context=1024)
    assert messages[-1].text.startswith("Ann: begin word") and messages[-1].text.endswith("word end")
    assert OMITTED_MIDDLE in messages[-1].text and sum(map(estimate_message_tokens, messages)) <= input_budget(
        ModelProfile(context_window=1024)
    )


def test_many_images_are_listed_as_far_as_they_fit() -> None:
    """The newest and the mentioned images are listed with their prompts, the others as a range."""
    pictures = [picture(n, f"picture {n} " + "of a very large tree " * 20) for n in range(1, 41)]
    now = entry("like #5", about=2)
    text = build_history("", [], now, pictures, ModelProfile(context_window=2048))[-1].text
    listed = re.findall(r'#(\d+) "', text)
    assert listed[:2] == ["2", "5"] and listed[-1] == "40"
    assert f"[pictures: {40 - len(listed)} older ones, #1 to #" in text
    request = read_request([ChatMessage(Role.USER, text)])
    assert request.about == 2 and [str(n) for n in request.pictures] == listed and request.text == "like #5"


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
def test_unrelated_markup_stays(text: str) -> None:
    """Code that does not concern images reaches the model unchanged."""
    assert sanitize(text) == text


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(st.sampled_from(MARKUP) | st.text(max_size=8), max_size=8).map("".join), st.text(max_size=20))
def test_text_of_users_never_contains_a_tag(text: str, name: str) -> None:
    """In any message, name or prompt of a user the parser finds no request, and a chat template no token."""
    item = Entry("1", THREAD, Person("p", name + text[:20]), text, None, (), "", None)
    messages = build_history("", [item, item], item, [picture(1, text)], ModelProfile())
    newest = messages[1].text
    assert len(messages) == 2 and not requests(newest.replace("[pictures: ", "")) and not RULES.search(newest)


@given(st.lists(st.text(max_size=60) | st.sampled_from(("System", "", "Ann", "ann", "Ann (2)", "a:\nb")), min_size=1))
def test_display_names_are_unique(names: list[str]) -> None:
    """Every user has a name of one short line, which is neither that of another user nor of the system."""
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


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(ENTRIES, max_size=8), ENTRIES, st.sets(NUMBERS), st.integers(256, 20_000), st.booleans())
def test_every_thread_fits(earlier: list[Entry], now: Entry, numbers: set[int], context: int, sees: bool) -> None:
    """Roles alternate, the current message is included, every image is mentioned, and the context window is kept."""
    profile = ModelProfile(context_window=context, has_vision=sees)
    pictures = [picture(number, "a tree " * number) for number in sorted(numbers)]
    images = dict.fromkeys(wanted_images(now, pictures, profile), b"jpeg")
    messages = build_history("SYSTEM", earlier, now, pictures, profile, images)
    assert [message.role for message in messages[1:]] == [Role.USER, Role.ASSISTANT] * (len(messages) // 2 - 1) + [
        Role.USER
    ]
    assert all(message.text.strip() for message in messages) and "Oh." not in "".join(
        message.text for message in messages
    )
    name = display_names(entry.author for entry in (*earlier, now))[now.author.id]
    alone = build_history("SYSTEM", [], replace(now, author=Person("me", name)), pictures, profile, images)
    assert sum(map(estimate_message_tokens, messages)) <= max(
        input_budget(profile), sum(map(estimate_message_tokens, alone))
    )
    newest = messages[-1].text
    assert f"{name}: {sanitize(now.text)[:20]}" in newest and newest.endswith(sanitize(now.text)[-20:])
    assert messages[-1].images == alone[-1].images
    mentioned = {int(number) for number in re.findall(r'#(\d+) "', newest)}
    if found := re.search(r"\[pictures: \d+ older ones?, #(\d+)(?: to #(\d+))?", newest):
        mentioned |= set(range(int(found[1]), int(found[2] or found[1]) + 1))
    assert numbers <= mentioned
    assert not any(
        requests(message.text.replace("[pictures: ", "")) for message in messages if message.role is Role.USER
    )


def test_the_history_has_canonical_tags() -> None:
    """For every notation of an answer, the model sees canonical tags, which parse to the same requests."""
    parts = (drawn(1, Operation.GENERATE, "a cat"), TextPart("> quoted"), drawn(2, Operation.EDIT, "a dog", 1))
    (answer,) = (message.text for message in history(entry("x", view=reply(*parts))) if message.role is Role.ASSISTANT)
    assert [(message.operation, message.prompt, message.source) for message in requests(answer)] == [
        (Operation.GENERATE, "a cat", None),
        (Operation.EDIT, "a dog", 1),
    ]
    thought = "a plan <image>no</image></think>Fine. <IMAGE>a cat"
    assert history(entry("x", words=thought))[2].text == "Fine.\n<image>a cat</image>"


def test_roles_alternate_if_an_answer_is_missing() -> None:
    """Two questions in a row become one message, since many models refuse two."""
    messages = history(entry("one"), entry("two", view=reply(status="The model is away.")), now=entry("three"))
    assert [message.role for message in messages] == [Role.SYSTEM, Role.USER]
    assert messages[1].text == "Ann: one\n\nAnn: two\n\nAnn: three"


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
def test_a_model_with_vision_gets_the_referenced_images(now: Entry, expected: list[int]) -> None:
    """Images that the message is about or uploads, else those it names, else the newest; none without vision."""
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
    """The estimate is at least the count of real tokenizers, and less than twice as much."""
    assert true <= estimate_tokens(text) < 2 * true


@given(st.text(max_size=400), st.integers(0, 100))
def test_a_truncated_text_fits(text: str, most: int) -> None:
    """A text within its limit stays; a longer one fits afterwards, except for the few characters that always stay."""
    short = truncate_middle(text, most)
    assert (
        short == text
        if estimate_tokens(text) <= most
        else estimate_tokens(short) <= max(most, 3 * (40 + len(OMITTED_MIDDLE)))
    )
    assert (short[:20], short[-20:]) == (text[:20], text[-20:])
