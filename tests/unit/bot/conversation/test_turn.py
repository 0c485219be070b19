"""One turn: a message in, the events of a reply out."""

import asyncio
from dataclasses import replace

import pytest

from bot.capabilities import RefineMode
from bot.conversation.image_orders import ImageOrders
from bot.conversation.model_answer import Turn
from bot.conversation.prompt_refiner import PromptRefiner
from bot.conversation.reply import Event, ImageOrdered, Reply, step, view
from bot.conversation.turn import answer
from bot.domain import (
    Failed,
    ImageRequest,
    Message,
    Operation,
    Picture,
    PicturePart,
    Rendered,
    RenderJob,
    TextPart,
)
from bot.llm.messages import ChatMessage, ModelEvent, ModelFailed, Role, StreamEnd, ToolCall
from bot.parsing.state import MAX_REQUESTS
from bot.settings.values import Settings
from bot.storage.store import Store
from tests.support.conversation import Glances, recording
from tests.support.doubles import ANN, THREAD, InstantRenderer, ScriptedModel, picture

ASKED = (ChatMessage(Role.USER, "Ann: draw"),)


class Replies:
    """Runs turns against a store and keeps the events and the state of the newest reply. Each reply has its thread."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.renderer = InstantRenderer(keep=recording(store))
        self.events: list[Event] = []
        self.reply = Reply("")
        self._count = 0

    @property
    def orders(self) -> list[tuple[ImageRequest, int | None]]:
        """The requests that became jobs, with the numbers of their source images."""
        ordered = [event for event in self.events if isinstance(event, ImageOrdered) and event.number]
        return [(each.request, each.parent) for each in ordered if each.request.operation is not Operation.SELECT]

    async def run(self, turn: Turn, *script: str | None | ModelEvent, model: ScriptedModel | None = None) -> None:
        """Run the turn with a chat model that answers with this script."""
        self._count += 1
        self.events, self.reply = [], Reply(f"r{self._count}")
        thread = replace(THREAD, thread=self.reply.id)
        self.store.accept(Message(self.reply.id, thread, ANN, "draw"), turn.pictures)
        entry, model = self.store.entry(self.reply.id), model or ScriptedModel([script])
        assert entry
        refiner = PromptRefiner(model, self.store.jobs, RefineMode.OFF)
        orders = ImageOrders(
            turn, entry, Settings(), self.show,
            store=self.store, renderer=self.renderer, refiner=refiner, picture_folder=Glances(),
        )  # fmt: skip
        await answer(turn, model, orders, self.show)

    def show(self, event: Event) -> None:
        """Keep the event, and apply it to the reply."""
        self.events.append(event)
        self.reply = step(self.reply, event)


@pytest.fixture
def replies(store: Store) -> Replies:
    """No reply yet."""
    return Replies(store)


def turn(*pictures: Picture, about: int | None = None, text: str = "") -> Turn:
    """A turn in a thread with these images."""
    return Turn(ASKED, pictures, about, text)


def shape(replies: Replies) -> list[str]:
    """The reply as text, and `#number` or `!reason` for images."""
    shown = []
    for part in view(replies.reply).parts:
        match part:
            case TextPart(markdown):
                shown.append(markdown)
            case PicturePart(state=Rendered(made)):
                shown.append(f"#{made.number}")
            case PicturePart(state=Failed(reason)):
                shown.append(f"!{reason}")
            case PicturePart():
                shown.append("?")
    return shown


async def test_text_and_images_keep_their_order(replies: Replies) -> None:
    """Images are where the model wrote their tags, whichever is rendered first."""
    replies.renderer.held.add("a sun")
    replies.renderer.go.set()
    await replies.run(turn(), "First <image>a sun</image> then ", "<image>a moon</image> done.")
    assert shape(replies) == ["First", "#1", "then", "#2", "done."]


async def test_an_image_starts_while_the_model_still_writes(replies: Replies) -> None:
    """The job is rendered as soon as its tag closes, before the end of the answer."""
    model = ScriptedModel([["<image>a sun</image> and so ", None, "on."]])
    task = asyncio.create_task(replies.run(turn(), model=model))
    await model.waiting.wait()
    while shape(replies)[0] != "#1":
        await asyncio.sleep(0)
    model.go.set()
    await task
    assert shape(replies) == ["#1", "and so on."]


async def test_one_refused_image_does_not_affect_the_other(replies: Replies) -> None:
    """An image that fails is reported in its place; the other one is rendered."""
    replies.renderer.refused["a sun"] = "No sun today."
    await replies.run(turn(), "<image>a sun</image> and <image>a moon</image>")
    assert shape(replies) == ["!No sun today.", "and", "#2"]


async def test_an_edit_starts_from_the_named_image(replies: Replies) -> None:
    """`of` names the image; without it, the one replied to; without that, the newest."""
    three = (picture(1), picture(2), picture(3))
    for script, about, parent in (
        ('<edit of="1">x</edit>', 2, 1),
        ("<edit>x</edit>", 2, 2),
        ("<edit>x</edit>", None, 3),
    ):
        await replies.run(turn(*three, about=about), script)
        assert replies.orders[0][1] == parent
        assert replies.renderer.jobs[-1].source_digest == picture(parent).digest


async def test_an_edit_of_an_image_of_the_same_reply_waits_for_it(replies: Replies) -> None:
    """The second job starts from the result of the first."""
    await replies.run(turn(), "<image>a ball</image> now on fire: <edit>a ball on fire</edit>")
    assert [job.request.source for job in replies.renderer.jobs] == [None, 1]
    assert replies.renderer.jobs[1].source_digest == f"{1:064x}"
    assert shape(replies) == ["#1", "now on fire:", "#2"]


async def test_an_edit_of_a_failed_image_fails(replies: Replies) -> None:
    """A job whose source never arrives fails with a reason, and does not hang."""
    replies.renderer.refused["a"] = "No."
    await replies.run(turn(), "<image>a</image><edit>b</edit>")
    assert shape(replies) == ["!No.", "!Image #1 was not created, so there is nothing to start from."]


async def test_an_edit_in_a_thread_without_images_renders_a_new_one(replies: Replies) -> None:
    """The prompt describes it."""
    await replies.run(turn(), "<edit>a dog in a hat</edit>")
    assert replies.orders == [(ImageRequest(0, Operation.GENERATE, "a dog in a hat"), None)]


async def test_an_unknown_number_fails_in_its_place(replies: Replies) -> None:
    """A reference to an unknown image is a failed image, not an error."""
    await replies.run(turn(picture(1)), '<vary of="9"/>')
    assert shape(replies) == ["!This thread has no image #9."]
    await replies.run(turn(), "<vary/>")
    assert shape(replies) == ["!This thread has no images yet. Send one, or ask for a new one."]


async def test_a_selection_shows_the_image_again_without_a_job(replies: Replies) -> None:
    """It renders nothing and uses no number."""
    await replies.run(turn(picture(1), picture(2)), 'Good: <select of="1"/>')
    assert shape(replies) == ["Good:", "#1"]
    assert not replies.renderer.jobs


async def test_a_variation_takes_the_prompt_of_its_source(replies: Replies) -> None:
    """`<vary>` has no prompt of its own."""
    await replies.run(turn(picture(1, "a blue cat")), '<vary of="1"/>')
    assert replies.renderer.jobs[0].request.prompt == "a blue cat"


async def test_surplus_images_are_left_out(replies: Replies) -> None:
    """A model that repeats itself causes a limited number of images."""
    await replies.run(turn(), "".join(f"<image>cat {number}</image>" for number in range(50)))
    assert len(replies.renderer.jobs) == MAX_REQUESTS
    assert sum(isinstance(event, ImageOrdered) for event in replies.events) == MAX_REQUESTS


async def test_a_failing_model_ends_the_reply_with_a_sentence(replies: Replies) -> None:
    """The text so far stays, requested images are rendered, and the reply says why it ended and offers Retry."""
    await replies.run(turn(), "Look: <image>a sun</image>", ModelFailed("The chat model is away."))
    shown = view(replies.reply)
    assert shape(replies) == ["Look:", "#1"]
    assert shown.status == "The chat model is away."
    assert [str(button.label) for button in shown.buttons] == [
        "Vary #1",
        "Edit #1",
        "Upscale #1",
        "Redo #1",
        "Delete #1",
        "Retry",
    ]


async def test_an_answer_cut_in_a_tag_is_rendered_as_far_as_it_goes(replies: Replies) -> None:
    """The image is rendered, and the status says that the answer was cut."""
    await replies.run(turn(), "Here: <image>a red ball", StreamEnd(is_truncated=True))
    assert shape(replies) == ["Here:", "#1"]
    assert str(view(replies.reply).status) == "The chat model's answer was cut off."


async def test_an_empty_answer_is_reported(replies: Replies) -> None:
    """The status says that the model answered with nothing."""
    await replies.run(turn(), "  \n")
    assert str(view(replies.reply).status) == "The chat model sent an empty answer."


async def test_reasoning_in_the_answer_is_retracted(replies: Replies) -> None:
    """Reasoning without an opening tag is shown until it closes; then it is removed, with its images."""
    replies.renderer.held.add("a rejected cat")  # for ever: the reply ends only if it is cancelled
    await replies.run(turn(), "Perhaps <image>a rejected cat</image>? No.", "</think>", "Here: <image>a dog</image>")
    assert shape(replies) == ["Here:", "#2"]


async def test_a_missing_upload_is_not_replaced_by_a_new_image(replies: Replies) -> None:
    """A message about "this photo" without a photo gets a sentence; any other edit renders a new image."""
    await replies.run(turn(text="put a hat on this photo"), "<edit>a photo with a hat</edit>")
    assert shape(replies) == ["!This thread has no images yet. Send one, or ask for a new one."]
    assert not replies.renderer.jobs


async def test_a_selected_image_becomes_the_current_image(replies: Replies) -> None:
    """An edit after a selection in the same reply starts from the selected image."""
    await replies.run(turn(picture(1), picture(2)), '<select of="1"/> now blue: <edit>b</edit>')
    assert replies.orders[0][1] == 1


async def test_tool_calls_end_like_tags(replies: Replies) -> None:
    """The same requests by native calls make the same reply as by tags."""
    await replies.run(turn(picture(1)), "Here: <image>a sun</image>", '<edit of="1">a red sun</edit>')
    by_tags, requests, jobs = shape(replies), replies.orders, list(replies.renderer.jobs)
    replies.renderer.jobs.clear()
    await replies.run(
        turn(picture(1)),
        "Here: ",
        ToolCall("generate_image", '{"prompt": "a sun"}'),
        ToolCall("edit_image", '{"prompt": "a red sun", "of": 1}'),
    )
    assert shape(replies) == by_tags == ["Here:", "#2", "#3"]
    assert replies.orders == requests
    assert list(map(without_identity, replies.renderer.jobs)) == list(map(without_identity, jobs))


def without_identity(job: RenderJob) -> RenderJob:
    """The job without what differs between two replies."""
    return replace(
        job,
        id="",
        thread=THREAD,
        ordered=0.0,
        request=replace(job.request, sampling=replace(job.request.sampling, seed=0)),
    )
