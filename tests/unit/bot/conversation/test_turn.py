"""One message in, one reply out."""

import asyncio

from bot.conversation.reply import Event, ImageOrdered, Reply, step, view
from bot.conversation.turn import Turn, answer
from bot.domain import Failed, ImageRequest, Operation, Picture, PicturePart, Rendered, RenderJob, TextPart
from bot.llm.messages import ChatMessage, ModelFailed, Role, StreamEnd, ToolCall
from bot.parsing.state import MAX_REQUESTS
from tests.support.doubles import THREAD, InstantRenderer, ScriptedModel, picture

ASKED = (ChatMessage(Role.USER, "Ann: draw"),)


class Desk:
    """What `order` and `happened` are in the program: numbers for pictures, and the state of the reply."""

    def __init__(self, first_number: int = 1) -> None:
        self.number = first_number
        self.orders: list[tuple[ImageRequest, int | None]] = []
        self.events: list[Event] = []
        self.reply = Reply("r")
        self.happened_once = asyncio.Event()

    def order(self, request: ImageRequest, parent: int | None) -> RenderJob:
        """A job with the next number."""
        self.orders.append((request, parent))
        self.number += 1
        return RenderJob(
            f"r.{request.key}", THREAD, self.number - 1, "ann", request.operation, request.prompt, 7, parent
        )  # fmt: skip

    def happened(self, event: Event) -> None:
        """Keep the event, and what it makes of the reply."""
        self.events.append(event)
        self.reply = step(self.reply, event)


async def run(
    *script: str | None | StreamEnd | ModelFailed,
    renderer: InstantRenderer | None = None,
    pictures: tuple[Picture, ...] = (),
    about: int | None = None,
    text: str = "",
) -> tuple[Desk, InstantRenderer]:
    """Have one script answered."""
    renderer = renderer or InstantRenderer()
    desk = Desk(first_number=len(pictures) + 1)
    await replied(Turn(ASKED, pictures, about, text), ScriptedModel([script]), renderer, desk)
    return desk, renderer


async def unrefined(job: RenderJob) -> RenderJob:
    """The job as it is."""
    return job


async def replied(turn: Turn, model: ScriptedModel, renderer: InstantRenderer, desk: Desk) -> None:
    """Have the turn answered."""
    await answer(turn, model=model, renderer=renderer, order=desk.order, refine=unrefined, on_event=desk.happened)


def shape(desk: Desk) -> list[str]:
    """The reply as words and `#number` or `!reason` for pictures."""
    shown = []
    for part in view(desk.reply).parts:
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


async def test_words_and_pictures_keep_their_order() -> None:
    """Pictures stand where the model wrote their tags, whichever is done first."""
    renderer = InstantRenderer(held={"a sun"})
    renderer.go.set()
    desk, _ = await run("First <image>a sun</image> then ", "<image>a moon</image> done.", renderer=renderer)
    assert shape(desk) == ["First", "#1", "then", "#2", "done."]


async def test_a_picture_starts_while_the_model_still_writes() -> None:
    """The job is rendered as soon as its tag closes; the model's end is not waited for."""
    model = ScriptedModel([["<image>a sun</image> and so ", None, "on."]])
    renderer, desk = InstantRenderer(), Desk()
    task = asyncio.create_task(replied(Turn(ASKED), model, renderer, desk))
    await model.waiting.wait()
    while shape(desk)[0] != "#1":
        await asyncio.sleep(0)
    model.go.set()
    await task
    assert shape(desk) == ["#1", "and so on."]


async def test_one_refused_picture_does_not_spoil_the_other() -> None:
    """A picture that fails is reported in its place; its neighbour still arrives."""
    renderer = InstantRenderer(refused={"a sun": "No sun today."})
    desk, _ = await run("<image>a sun</image> and <image>a moon</image>", renderer=renderer)
    assert shape(desk) == ["!No sun today.", "and", "#2"]


async def test_an_edit_starts_from_the_picture_that_is_named() -> None:
    """`of` names the picture; without it, the one replied to; without that, the newest."""
    three = (picture(1), picture(2), picture(3))
    for script, about, parent in (
        ('<edit of="1">x</edit>', 2, 1),
        ("<edit>x</edit>", 2, 2),
        ("<edit>x</edit>", None, 3),
    ):
        desk, renderer = await run(script, pictures=three, about=about)
        assert desk.orders[0][1] == parent
        assert renderer.jobs[0].source == picture(parent).digest


async def test_an_edit_of_a_picture_of_the_same_reply_waits_for_it() -> None:
    """The second job starts from the first one's result."""
    desk, renderer = await run("<image>a ball</image> now on fire: <edit>a ball on fire</edit>")
    assert [job.parent for job in renderer.jobs] == [None, 1]
    assert renderer.jobs[1].source == f"{1:064x}"
    assert shape(desk) == ["#1", "now on fire:", "#2"]


async def test_an_edit_of_a_picture_that_failed_says_so() -> None:
    """What waits for a picture that never comes fails with a reason, and does not hang."""
    desk, _ = await run("<image>a</image><edit>b</edit>", renderer=InstantRenderer(refused={"a": "No."}))
    assert shape(desk) == ["!No.", "!Picture #1 did not come. There is nothing to start from."]


async def test_an_edit_without_any_picture_draws_a_new_one() -> None:
    """Where there is nothing to change, the description is drawn."""
    desk, _ = await run("<edit>a dog in a hat</edit>")
    assert desk.orders == [(ImageRequest(0, Operation.GENERATE, "a dog in a hat"), None)]


async def test_a_number_that_is_not_there_is_told() -> None:
    """A reference to nothing becomes a failed picture, not an error."""
    desk, _ = await run('<vary of="9"/>', pictures=(picture(1),))
    assert shape(desk) == ["!There is no picture #9 in this thread."]
    desk, _ = await run("<vary/>")
    assert shape(desk) == ["!There is no picture in this thread yet: send one along, or ask for a new one."]


async def test_selecting_shows_the_picture_again_without_a_job() -> None:
    """Select costs no rendering and takes no new number."""
    desk, renderer = await run('Good: <select of="1"/>', pictures=(picture(1), picture(2)))
    assert shape(desk) == ["Good:", "#1"]
    assert not renderer.jobs


async def test_a_variation_takes_over_the_description() -> None:
    """`<vary>` has no words of its own: the job gets those of the picture that it is like."""
    _, renderer = await run('<vary of="1"/>', pictures=(picture(1, "a blue cat"),))
    assert renderer.jobs[0].prompt == "a blue cat"


async def test_too_many_pictures_are_left_out() -> None:
    """A model that runs wild costs a bounded number of pictures."""
    desk, renderer = await run("".join(f"<image>cat {number}</image>" for number in range(50)))
    assert len(renderer.jobs) == MAX_REQUESTS
    assert sum(isinstance(event, ImageOrdered) for event in desk.events) == MAX_REQUESTS


async def test_a_failing_model_ends_the_reply_with_a_sentence() -> None:
    """What was said stays, what was asked for is still drawn, and the trouble is told with a way to try again."""
    desk, _ = await run("Look: <image>a sun</image>", ModelFailed("The chat model is away."))
    shown = view(desk.reply)
    assert shape(desk) == ["Look:", "#1"]
    assert shown.status == "The chat model is away."
    assert [button.label for button in shown.buttons] == [
        "Vary #1",
        "Edit #1",
        "Upscale #1",
        "Redo #1",
        "Delete #1",
        "Retry",
    ]


async def test_an_answer_cut_in_a_tag_is_drawn_as_far_as_it_goes() -> None:
    """A model that stops in mid-tag still yields its picture, and the cut is told."""
    desk, _ = await run("Here: <image>a red ball", StreamEnd(is_truncated=True))
    assert shape(desk) == ["Here:", "#1"]
    assert view(desk.reply).status == "The chat model's answer was cut short."


async def test_an_empty_answer_is_told() -> None:
    """Silence of the model is not silence of the bot."""
    desk, _ = await run("  \n")
    assert view(desk.reply).status == "The chat model answered with nothing."


async def test_what_was_thought_aloud_is_taken_back() -> None:
    """Thoughts whose opening tag was left out are shown until they close; then they are gone, with their pictures."""
    renderer = InstantRenderer(held={"a rejected cat"})  # for ever: the reply ends only if it is cancelled
    desk, _ = await run(
        "Perhaps <image>a rejected cat</image>? No.", "</think>", "Here: <image>a dog</image>", renderer=renderer
    )
    assert shape(desk) == ["Here:", "#2"]


async def test_a_picture_that_never_came_is_not_invented() -> None:
    """Who speaks of "this photo" where there is none is told so; otherwise a change without a picture is drawn anew."""
    desk, renderer = await run("<edit>a photo with a hat</edit>", text="put a hat on this photo")
    assert shape(desk) == ["!There is no picture in this thread yet: send one along, or ask for a new one."]
    assert not renderer.jobs


async def test_a_chosen_picture_is_the_one_that_is_talked_about_next() -> None:
    """In the same reply a change behind a selection starts from the selected picture."""
    desk, _ = await run('<select of="1"/> now blue: <edit>b</edit>', pictures=(picture(1), picture(2)))
    assert desk.orders[0][1] == 1


async def test_tool_calls_end_like_tags() -> None:
    """The same wishes by native calls make the same reply as by tags."""
    tags, by_tags = await run("Here: <image>a sun</image>", '<edit of="1">a red sun</edit>', pictures=(picture(1),))
    model = ScriptedModel(
        [
            [
                "Here: ",
                ToolCall("generate_image", '{"prompt": "a sun"}'),
                ToolCall("edit_image", '{"prompt": "a red sun", "of": 1}'),
            ]
        ]
    )
    desk, renderer = Desk(first_number=2), InstantRenderer()
    await replied(Turn(ASKED, (picture(1),)), model, renderer, desk)
    assert shape(desk) == shape(tags) == ["Here:", "#2", "#3"]
    assert desk.orders == tags.orders
    assert renderer.jobs == by_tags.jobs
