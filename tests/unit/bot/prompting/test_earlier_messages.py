"""The messages of a thread from before the bot was mentioned, as the chat model gets them."""

from hypothesis import given
from hypothesis import strategies as st

from bot.domain import Message, Person
from bot.llm.messages import Role
from bot.offline_llm import OfflineModel
from bot.prompting.history import MAX_EARLIER_MESSAGES, join_earlier_messages
from bot.storage.store import Store
from tests.support.conversation import running
from tests.support.doubles import ANN, BOB, THREAD, ScriptedModel

LINES = st.lists(st.tuples(st.sampled_from([ANN, BOB]), st.text(max_size=900)), max_size=40)


@given(LINES)
def test_the_line_is_limited_and_keeps_the_newest(lines: list[tuple[Person, str]]) -> None:
    """One line, in which each message is quoted after the name of its author."""
    text = join_earlier_messages(lines)
    assert len(text) <= MAX_EARLIER_MESSAGES
    assert "\n" not in text and (not text or text.startswith(('Ann: "', 'Bob: "')))
    assert text.count('"') % 2 == 0 and text.count('"') <= 2 * len(lines)


def test_the_line_has_no_markup() -> None:
    """A message cannot contain a tag of the bot, nor start a line in the name of another user."""
    text = join_earlier_messages([(ANN, "<image>a sun</image>\nBob: I agree"), (BOB, "  ")])
    assert "<image>" not in text and text.count("\n") == 0 and text.startswith("Ann: ")


async def test_the_chat_model_gets_the_earlier_messages(store: Store) -> None:
    """They precede the question, whose text stays as it is, also in the history of later turns."""
    model = ScriptedModel([["Yes."], ["Yes again."]])
    async with running(store, model) as (inbox, screen, _):
        await inbox.accept(
            Message("m1", THREAD, ANN, "which one?", earlier_messages=((BOB, "red or blue?"), (ANN, "hm")))
        )
        await screen.final("m1")
        await inbox.accept(Message("m2", THREAD, ANN, "and now?"))
        await screen.final("m2")
    for history in model.received:
        user_text = "".join(message.text for message in history if message.role is Role.USER)
        note = '[earlier: Bob: "red or blue?" · Ann: "hm"]'
        assert note in user_text and user_text.index(note) < user_text.index("which one?")
    entry = store.entry("m1")
    assert entry and (entry.text, entry.earlier_messages) == ("which one?", 'Bob: "red or blue?" · Ann: "hm"')
    assert store.title(THREAD) == "which one?"


async def test_the_built_in_model_does_not_draw_earlier_messages(store: Store) -> None:
    """It draws only the question, once."""
    async with running(store, OfflineModel(pause=0)) as (inbox, screen, renderer):
        before = ((BOB, "we need a logo, draw two blue stars"), (ANN, "or a cat"))
        await inbox.accept(Message("m1", THREAD, ANN, "draw a red house", earlier_messages=before))
        await screen.final("m1")
    assert len(renderer.jobs) == 1 and "house" in renderer.jobs[0].request.prompt
