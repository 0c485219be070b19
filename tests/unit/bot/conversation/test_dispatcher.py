"""The dispatcher: turns, duplicate events, Stop and Retry, and open replies after a restart."""

import asyncio
from pathlib import Path

import pytest

from bot.capabilities import RefineMode
from bot.domain import Action, ButtonPress, Failed, ImageRequest, Operation, PicturePart, Rendered, TextPart, View
from bot.errors import NotFound, Refused, StorageError
from bot.i18n import localized
from bot.llm.messages import ModelFailed, ToolCall
from bot.notices import notice, text
from bot.storage.store import Store
from tests.support.conversation import running
from tests.support.doubles import ANN, BOB, THREAD, InstantRenderer, ScriptedModel, message


async def test_a_message_is_answered_and_recorded(store: Store) -> None:
    """The final view is displayed and stored."""
    async with running(store, ScriptedModel([["Hi! <image>a sun</image>"]])) as (inbox, screen, _):
        assert await inbox.accept(message("m1", "draw a sun")) == "m1"
        final = await screen.final("m1")
    entry = store.entry("m1")
    assert (
        entry and entry.view and localized(entry.view, "en") == final and entry.raw_answer == "Hi! <image>a sun</image>"
    )
    assert [picture.request.prompt for picture in store.pictures(THREAD)] == ["a sun"]


async def test_a_message_delivered_twice_is_answered_once(store: Store) -> None:
    """The second delivery changes nothing, even at the same moment."""
    model = ScriptedModel([["one"], ["two"]])
    async with running(store, model) as (inbox, screen, _):
        await asyncio.gather(*(inbox.accept(message("m1", "hello")) for _ in range(3)))
        await screen.final("m1")
        await inbox.accept(message("m1", "hello"))
        await inbox.accept(message("m2", "again"))
        await screen.final("m2")
    assert len(model.received) == 2


async def test_turns_of_a_thread_follow_one_another(store: Store) -> None:
    """The second message is answered after the first, and its history has the first answer."""
    model = ScriptedModel([["first ", None, "answer"], ["second"]])
    async with running(store, model) as (inbox, screen, _):
        await inbox.accept(message("m1", "one"))
        await inbox.accept(message("m2", "two", author=BOB))
        await model.waiting.wait()
        assert len(model.received) == 1
        model.go.set()
        await screen.final("m2")
    assert [message.text for message in model.received[1][1:]] == ["Ann: one", "first answer", "Bob: two"]


@pytest.mark.parametrize(
    ("text", "about", "sentence"),
    [
        ("", None, "The message is empty. Describe an image, or ask a question."),
        ("x" * 100_000, None, "A message can have at most 8,000 characters. Yours has 100,000."),
        ("make it blue", 7, "This thread has no image #7."),
    ],
)
async def test_an_invalid_message_is_refused_with_a_sentence(
    store: Store, text: str, about: int | None, sentence: str
) -> None:
    """Nothing of a refused message is recorded."""
    async with running(store, ScriptedModel([])) as (inbox, _, _):
        with pytest.raises(Refused) as refused:
            await inbox.accept(message("m1", text, about))
    assert str(refused.value) == sentence
    assert store.entry("m1") is None


async def test_stop_ends_the_text_and_the_images(store: Store) -> None:
    """Stop closes the stream of the model, cancels the job, and names who stopped; the text so far stays."""
    model = ScriptedModel([["Here: <image>a sun</image> and", None]])
    renderer = InstantRenderer(held={"a sun"})
    async with running(store, model, renderer) as (inbox, screen, _):
        await inbox.accept(message("m1", "draw"))
        await asyncio.gather(model.waiting.wait(), renderer.waiting.wait())
        await inbox.accept(ButtonPress("b1", THREAD, BOB, Action.STOP, "m1"))
        final = await screen.final("m1")
    words, stopped, more = final.parts
    assert words == TextPart("Here:") and more == TextPart("and")
    assert isinstance(stopped, PicturePart) and stopped.state == Failed("Stopped by Bob.")
    assert final.buttons[-1].action is Action.RETRY
    assert model.closed == 1 and len(renderer.cancelled) == 1
    entry = store.entry("m1")
    assert entry and entry.raw_answer == "Here: <image>a sun</image> and"


async def test_stop_cancels_a_waiting_message(store: Store) -> None:
    """A message whose turn has not started can be stopped too; the one before it goes on."""
    model = ScriptedModel([["one", None]])
    async with running(store, model) as (inbox, screen, _):
        await inbox.accept(message("m1", "one"))
        await inbox.accept(message("m2", "two"))
        await model.waiting.wait()
        await inbox.accept(ButtonPress("b1", THREAD, ANN, Action.STOP, "m2"))
        assert (await screen.final("m2")).status == "Stopped by Ann."
        model.go.set()
        assert (await screen.final("m1")).status == ""


async def test_retry_asks_the_model_again_after_it_failed(store: Store) -> None:
    """The same message gets a new answer in the same place."""
    model = ScriptedModel([[ModelFailed("The chat model is away.")], ["Here I am."]])
    async with running(store, model) as (inbox, screen, _):
        await inbox.accept(message("m1", "hello"))
        assert (await screen.final("m1")).status == "The chat model is away."
        await inbox.accept(ButtonPress("b1", THREAD, ANN, Action.RETRY, "m1"))
        assert (await screen.final("m1", count=2)).parts == (TextPart("Here I am."),)


async def test_retry_renders_only_failed_images(store: Store) -> None:
    """The model is not asked again, finished images stay as they are, and numbers do not change."""
    model = ScriptedModel([["<image>a sun</image><image>a moon</image>"]])
    renderer = InstantRenderer(refused={"a moon": "No moon."})
    async with running(store, model, renderer) as (inbox, screen, _):
        await inbox.accept(message("m1", "draw"))
        await screen.final("m1")
        del renderer.refused["a moon"]
        await inbox.accept(ButtonPress("b1", THREAD, ANN, Action.RETRY, "m1"))
        final = await screen.final("m1", count=2)
    assert [part.state.picture.number for part in final.parts if isinstance(part, PicturePart)
            and isinstance(part.state, Rendered)] == [1, 2]  # fmt: skip
    assert len(model.received) == 1 and len(store.pictures(THREAD)) == 2


async def test_a_reply_that_could_not_be_recorded_can_be_tried_again(tmp_path: Path) -> None:
    """The disk was full when the reply ended: Retry answers again, and this time it is recorded."""

    class FullOnce(Store):
        full = True

        def finish(self, message_id: str, view: View) -> None:
            """Fail the first time."""
            if self.full:
                self.full = False
                raise StorageError("Nothing was recorded: the disk is full.")
            super().finish(message_id, view)

    store = FullOnce(tmp_path / "full.sqlite")
    async with running(store, ScriptedModel([["fine"]])) as (inbox, screen, _):
        await inbox.accept(message("m1", "hello"))
        await screen.final("m1")
        await inbox.accept(ButtonPress("b1", THREAD, ANN, Action.RETRY, "m1"))
        final = await screen.final("m1", count=2)
    entry = store.entry("m1")
    assert entry and entry.view and localized(entry.view, "en") == final


async def test_a_complete_reply_cannot_be_tried_again(store: Store) -> None:
    """Retry is for failures."""
    async with running(store, ScriptedModel([["fine"]])) as (inbox, screen, _):
        await inbox.accept(message("m1", "hello"))
        await screen.final("m1")
        with pytest.raises(Refused, match="complete"):
            await inbox.accept(ButtonPress("b1", THREAD, ANN, Action.RETRY, "m1"))


async def test_vary_needs_no_chat_model(store: Store) -> None:
    """The button press is a turn of its own, with a fixed image request."""
    model = ScriptedModel([["<image>a sun</image>"]])
    async with running(store, model) as (inbox, screen, renderer):
        await inbox.accept(message("m1", "draw"))
        await screen.final("m1")
        await inbox.accept(ButtonPress("b1", THREAD, ANN, Action.VARY, "1"))
        assert [(row.number, row.state) for row in store.jobs.find(["b1.0"])] == [(2, "queued")]
        await screen.final("b1")
    assert len(model.received) == 1
    assert [(job.request.prompt, job.request.source) for job in renderer.jobs] == [("a sun", None), ("a sun", 1)]
    assert [job.number for job in renderer.jobs] == [1, 2]  # the one that was ordered with the message
    assert renderer.jobs[0].request.sampling.seed != renderer.jobs[1].request.sampling.seed


async def test_buttons_with_an_unknown_target_are_refused(store: Store) -> None:
    """A guessed target reaches nothing."""
    async with running(store, ScriptedModel([])) as (inbox, _, _):
        for action, target in ((Action.STOP, "m9"), (Action.RETRY, "m9"), (Action.VARY, "9"), (Action.VARY, "x")):
            with pytest.raises(NotFound):
                await inbox.accept(ButtonPress("b", THREAD, ANN, action, target))


async def test_a_restart_resumes_open_replies(store: Store) -> None:
    """A reply that the end of the program interrupted is finished; a rendered image is not rendered again."""
    model = ScriptedModel([["<image>a sun</image> then <image>a moon</image>", None]])
    async with running(store, model, InstantRenderer(held={"a moon"})) as (inbox, _, renderer):
        await inbox.accept(message("m1", "draw"))
        await asyncio.gather(model.waiting.wait(), renderer.waiting.wait())
    again = ScriptedModel([["<image>a sun</image> then <image>a moon</image> done"]])
    async with running(store, again) as (_, screen, renderer):
        final = await screen.final("m1")
    numbers = [part.number for part in final.parts if isinstance(part, PicturePart)]
    assert numbers == [1, 2]
    assert [picture.number for picture in store.pictures(THREAD)] == [1, 2]


async def test_a_recorded_answer_is_not_requested_again(store: Store) -> None:
    """After a restart only the images are awaited; the text of the model is recorded."""
    renderer = InstantRenderer(held={"a sun"})
    async with running(store, ScriptedModel([["<image>a sun</image> done"]]), renderer) as (inbox, _, _):
        await inbox.accept(message("m1", "draw"))
        await renderer.waiting.wait()
        while store.finished_answer("m1") is None:
            await asyncio.sleep(0)
    model = ScriptedModel([])
    async with running(store, model) as (_, screen, _):
        assert (await screen.final("m1")).parts[-1] == TextPart("done")
    assert not model.received


async def test_a_bug_ends_the_reply_visibly(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected exception is logged once, and the user gets a sentence without its text."""
    async with running(store, ScriptedModel([])) as (inbox, screen, _):
        await inbox.accept(message("m1", "hello"))
        final = await screen.final("m1")
    assert final.status == "Something went wrong. The operator finds the details in the log."
    assert sum("met a bug" in record.message for record in caplog.records) == 1


async def test_the_final_view_is_displayed_after_an_outage(store: Store) -> None:
    """Failed updates are repeated; the final one is tried until it is displayed."""
    async with running(store, ScriptedModel([["hello"]])) as (inbox, screen, _):
        screen.faults = 2
        await inbox.accept(message("m1", "hi"))
        assert (await screen.final("m1")).parts == (TextPart("hello"),)


async def test_the_model_is_reminded_once_of_a_forgotten_image(store: Store) -> None:
    """A promise without a tag is followed by one reminder; its result is recorded after the text of the model."""
    model = ScriptedModel([["Sure, I will!"], ["<image>a dog in a hat</image>"]])
    async with running(store, model) as (inbox, screen, renderer):
        await inbox.accept(message("m1", "draw a dog"))
        final = await screen.final("m1")
    assert [job.request.prompt for job in renderer.jobs] == ["a dog in a hat"]
    assert [part.markdown for part in final.parts if isinstance(part, TextPart)] == ["Sure, I will!"]
    first, second = model.received
    assert second[: len(first)] == first
    assert second[-2].text == "Sure, I will!"
    entry = store.entry("m1")
    assert entry and entry.raw_answer == "Sure, I will!\n\n<image>a dog in a hat</image>"


async def test_the_message_is_the_prompt_if_the_model_requests_no_image(store: Store) -> None:
    """After one reminder the user's own text is the prompt, and the reply says so."""
    refusal = "I'm sorry, but as a text-based AI I can't generate images."
    model = ScriptedModel([[refusal], [refusal]])
    async with running(store, model) as (inbox, screen, renderer):
        await inbox.accept(message("m1", "Can you draw a cute dog?"))
        final = await screen.final("m1")
    assert [job.request.prompt for job in renderer.jobs] == ["a cute dog"]
    assert any(isinstance(part, TextPart) and text(notice("own-words")) in part.markdown for part in final.parts)
    assert len(model.received) == 2


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("how many legs has a spider?", "Eight."),
        ("what can you draw?", "All sorts of things."),
        ("draw it in another style", "Which style would you like?"),
        ("put a hat on this photo", "I do not see a photo here."),
    ],
)
async def test_a_question_causes_no_reminder(store: Store, text: str, answer: str) -> None:
    """Neither a question of the user, nor one of the model, nor a missing photo requests an image."""
    model = ScriptedModel([[answer]])
    async with running(store, model) as (inbox, screen, renderer):
        await inbox.accept(message("m1", text))
        await screen.final("m1")
    assert not renderer.jobs
    assert len(model.received) == 1


async def test_a_failing_model_is_not_asked_again(store: Store) -> None:
    """Without an answer there is a sentence and Retry."""
    model = ScriptedModel([[ModelFailed("The chat model is away.")]])
    async with running(store, model) as (inbox, screen, renderer):
        await inbox.accept(message("m1", "draw a dog"))
        final = await screen.final("m1")
    assert (final.status, [button.label for button in final.buttons]) == ("The chat model is away.", ["Retry"])
    assert not renderer.jobs
    assert len(model.received) == 1


async def test_tool_calls_are_recorded_as_tags(store: Store) -> None:
    """The history shows one notation for both protocols; a second start finds the same job."""
    model = ScriptedModel([["Here:\n", ToolCall("generate_image", '{"prompt": "a sun"}')]])
    async with running(store, model) as (inbox, screen, _):
        await inbox.accept(message("m1", "draw a sun"))
        await screen.final("m1")
    entry = store.entry("m1")
    assert entry and entry.raw_answer == "Here:\n<image>a sun</image>"


async def test_a_refined_prompt_is_rendered_and_both_are_recorded(store: Store) -> None:
    """The image model gets the refined prompt; one that loses content is not used."""
    model = ScriptedModel(
        [
            ["<image>two red kites</image><image>a blue fish</image>"],
            ["two red kites over a windy beach, low sun"],
            ["a green fish in the sea"],
        ]
    )
    async with running(store, model, refining=RefineMode.ALWAYS) as (inbox, screen, renderer):
        await inbox.accept(message("m1", "draw two kites and a fish"))
        await screen.final("m1")
    drawn = {job.request.prompt: job.refined_prompt for job in renderer.jobs}
    assert drawn == {"two red kites": "two red kites over a windy beach, low sun", "a blue fish": ""}
    again = store.jobs.order("m1", ImageRequest(0, Operation.GENERATE, "two red kites"), None)
    assert again.refined_prompt == "two red kites over a windy beach, low sun"
