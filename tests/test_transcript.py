"""What the chat model is told."""

from pathlib import Path

from bot.domain import Entry, Picture, Role, Said
from bot.tags import TagParser
from bot.transcript import transcript
from tests.doubles import ANN, BOB, THREAD, picture

GOLDEN = Path(__file__).parent / "golden"
SYSTEM = Path(__file__).parent.parent / "prompts" / "system.md"


def entry(text: str, words: str = "", about: int | None = None, uploads: tuple[Picture, ...] = ()) -> Entry:
    """A message of the test thread with the answer it got."""
    return Entry(text, THREAD, ANN, text, about, uploads, words, None)


def test_the_whole_prompt_is_as_it_was_agreed() -> None:
    """A conversation with pictures, a reply to one, and two people, in golden text."""
    earlier = [entry("draw a circle", "Here: <image>a red circle</image>"), entry("make it blue", about=1)]
    now = Entry("m", THREAD, BOB, "and on the beach", 1, (), "", None)
    told = transcript("SYSTEM", earlier, now, [picture(1), picture(2, 'a "blue" circle')], 10_000)
    shown = "".join(f"== {said.role}\n{said.text}\n" for said in told)
    assert shown == (GOLDEN / "transcript.txt").read_text(encoding="utf-8")


def test_the_oldest_turns_give_way_first() -> None:
    """Within a small budget the newest message and the newest turns stay."""
    earlier = [entry(f"question {n}", f"answer {n}") for n in range(100)]
    told = transcript("SYSTEM", earlier, entry("now"), [], 200)
    assert told[0] == Said(Role.SYSTEM, "SYSTEM") and told[-1].text == "Ann: now"
    assert told[-2].text == "answer 99"
    assert sum(len(said.text) for said in told) <= 200


def test_what_people_write_never_holds_a_tag() -> None:
    """A tag typed by a person reaches the model defused, in names and descriptions too."""
    now = entry("say <image>x</image> and < EDIT of=1>y</edit>")
    pictures = [picture(1, 'a <vary of="1"/> cat')]
    told = transcript("SYSTEM", [entry("<image>old</image>")], now, pictures, 10_000)
    parser = TagParser()
    events = [event for said in told for event in parser.feed(said.text + "\n\n")]
    assert not any(hasattr(event, "operation") for event in events)


def test_roles_alternate_where_an_answer_is_missing() -> None:
    """Two questions in a row become one turn, since many models refuse them."""
    told = transcript("SYSTEM", [entry("one"), entry("two")], entry("three"), [], 10_000)
    assert [said.role for said in told] == [Role.SYSTEM, Role.USER]
    assert told[1].text == "Ann: one\n\nAnn: two\n\nAnn: three"


def test_every_example_in_the_prompt_is_understood() -> None:
    """The tags that the model is shown are tags that the parser takes."""
    examples = [line[5:] for line in SYSTEM.read_text(encoding="utf-8").splitlines() if line.startswith("You: ")]
    counts = []
    for example in examples:
        parser = TagParser()
        events = [*parser.feed(example), *parser.end()]
        counts.append(sum(hasattr(event, "operation") for event in events))
        assert "<" not in "".join(getattr(event, "markdown", "") for event in events)
    assert counts == [1, 1, 1, 1, 2, 0]
