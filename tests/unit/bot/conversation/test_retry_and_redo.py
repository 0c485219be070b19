"""Retry, Answer retry, Vary and Redo after images were deleted and settings changed."""

from dataclasses import replace

import pytest

from bot.capabilities import LARGEST_SIDE, ModelCapabilities
from bot.conversation.dispatcher import Dispatcher
from bot.domain import Action, Failed, MessageEdited, Operation, View
from bot.errors import NotFound, Refused
from bot.storage.store import Store
from tests.support.conversation import running
from tests.support.doubles import CID, THREAD, InstantRenderer, Screen, ScriptedModel, message
from tests.support.records import KnowingRenderer, choose, come, commands_of, failures, imagine, press, recorded

GONE = Failed("Deleted by Ann.", again=False)
SUN = "<image>a sun</image>"
TWO = f"{SUN} and <image>a moon</image>"


async def send(inbox: Dispatcher, screen: Screen, store: Store, text: str, message_id: str) -> View:
    """Send a message, and wait until the reply is recorded."""
    await inbox.accept(message(message_id, text))
    await screen.final(message_id)
    return await recorded(store, message_id)


async def retry(inbox: Dispatcher, screen: Screen, store: Store, count: int, text: str = "") -> View:
    """Edit m1 if there is a text, press Retry below it, and wait until its `count`th final view is recorded."""
    if text:
        await inbox.accept(MessageEdited("m1", THREAD, text))
        await screen.final("m1", count - 1)
    await inbox.accept(press(Action.RETRY, "m1"))
    await screen.final("m1", count)
    return await recorded(store, "m1")


# Retry


async def test_retry_keeps_the_edit_of_a_deleted_image(store: Store) -> None:
    """It is rendered already: its source is not needed any more, within one reply."""
    renderer = KnowingRenderer(refused={"a star": "It broke."}, store=store)
    model = ScriptedModel([[f'{SUN}<edit of="1">a red sun</edit><image>a star</image>']])
    async with running(store, model, renderer) as (inbox, screen, _):
        await send(inbox, screen, store, "draw", "m1")
        await inbox.accept(press(Action.DELETE, "1"))
        assert come(await screen.final("m1", 2)) == [2]
        renderer.refused.clear()
        final = await retry(inbox, screen, store, 3)
    assert (come(final), failures(final)) == ([2, 3], [GONE])
    assert sorted(job.request.prompt for job in renderer.jobs) == ["a red sun", "a star", "a star", "a sun"]


async def test_retry_keeps_the_edit_of_a_deleted_image_of_another_reply(store: Store) -> None:
    """Only failed images are rendered."""
    renderer = KnowingRenderer(refused={"a star": "It broke."}, store=store)
    model = ScriptedModel([[TWO], ['<edit of="1">a red sun</edit><image>a star</image>']])
    async with running(store, model, renderer) as (inbox, screen, _):
        await send(inbox, screen, store, "draw", "m0")
        assert come(await send(inbox, screen, store, "draw", "m1")) == [3]
        await inbox.accept(press(Action.DELETE, "1"))
        renderer.refused.clear()
        final = await retry(inbox, screen, store, 2)
    assert (come(final), failures(final)) == ([3, 4], [])
    assert sum(job.request.prompt == "a red sun" for job in renderer.jobs) == 1


async def test_retry_of_a_failed_edit_says_that_its_source_was_deleted(store: Store) -> None:
    """There is no source any more, and nothing is rendered."""
    renderer = KnowingRenderer(refused={"a red sun": "It broke."}, store=store)
    model = ScriptedModel([[SUN], ['<edit of="1">a red sun</edit>']])
    async with running(store, model, renderer) as (inbox, screen, _):
        await send(inbox, screen, store, "draw", "m0")
        assert failures(await send(inbox, screen, store, "make it red", "m1")) == [Failed("It broke.")]
        await inbox.accept(press(Action.DELETE, "1"))
        renderer.refused.clear()
        final = await retry(inbox, screen, store, 2)
    assert [failed.reason for failed in failures(final)] == ["Image #1 was deleted, so there is nothing to start from."]
    assert len(renderer.jobs) == 2


@pytest.mark.parametrize(("key", "value"), [("aspect_ratio", "16:9"), ("image_model", "deep")])
async def test_retry_keeps_rendered_images_after_settings_change(store: Store, key: str, value: str) -> None:
    """They are shown under their numbers; settings apply to later requests."""
    renderer, commands = KnowingRenderer(refused={"a moon": "It broke."}, store=store), commands_of(store)
    async with running(store, ScriptedModel([[TWO]]), renderer, commands=commands) as (inbox, screen, _):
        await send(inbox, screen, store, "draw", "m1")
        choose(commands, "me", key, value)
        renderer.refused.clear()
        assert come(await retry(inbox, screen, store, 2)) == [1, 2]
    assert [job.request.prompt for job in renderer.jobs] == ["a sun", "a moon", "a moon"]


async def test_an_image_is_deleted_while_retry_waits(store: Store) -> None:
    """Its owner is still known; the reply is completed without it."""
    renderer = KnowingRenderer(refused={"a moon": "It broke."}, store=store)
    model = ScriptedModel([[TWO], ["hi", None]])
    async with running(store, model, renderer) as (inbox, screen, _):
        await send(inbox, screen, store, "draw", "m1")
        await inbox.accept(message("m2", "hello", author=CID))
        await model.waiting.wait()
        renderer.refused.clear()
        await inbox.accept(press(Action.RETRY, "m1"))
        with pytest.raises(Refused, match=r"Only Ann and managers can do this\."):
            await inbox.accept(press(Action.DELETE, "1", CID))
        await inbox.accept(press(Action.DELETE, "1"))
        model.go.set()
        final = await screen.final("m1", 2)
        assert await recorded(store, "m1") == final
    assert (come(final), failures(final)) == ([2], [GONE])


# Answer retry


async def test_an_image_of_an_older_answer_can_be_deleted(store: Store) -> None:
    """No reply shows it any more; the database has it and its owner."""
    model = ScriptedModel([[SUN], ["<image>a moon</image>"]])
    async with running(store, model) as (inbox, screen, _):
        await send(inbox, screen, store, "a sun", "m1")
        assert come(await retry(inbox, screen, store, 3, "a moon")) == [2]
        assert [made.number for made in store.pictures(THREAD)] == [1, 2]
        with pytest.raises(Refused, match="Only Ann"):
            await inbox.accept(press(Action.DELETE, "1", CID))
        await inbox.accept(press(Action.DELETE, "1"))
        assert [made.number for made in store.pictures(THREAD)] == [2]
        with pytest.raises(NotFound):
            await inbox.accept(press(Action.VARY, "1"))


async def test_an_answer_to_an_edited_message_may_render_a_deleted_image_again(store: Store) -> None:
    """The chat model makes the same request again: the image gets its own number."""
    renderer = KnowingRenderer(store=store)
    async with running(store, ScriptedModel([[SUN], [SUN]]), renderer) as (inbox, screen, _):
        await send(inbox, screen, store, "a sun", "m1")
        await inbox.accept(press(Action.DELETE, "1"))
        assert failures(await screen.final("m1", 2)) == [GONE]
        final = await retry(inbox, screen, store, 4, "a sun, please")
    assert (come(final), failures(final)) == ([2], [])
    assert store.deleted_numbers(THREAD) == [1]


# Vary and Redo


async def test_buttons_use_the_chosen_image_model(store: Store) -> None:
    """As every other image."""
    commands = commands_of(store)
    choose(commands, "me", "image_model", "deep")
    async with running(store, ScriptedModel([[SUN]]), commands=commands) as (inbox, screen, renderer):
        await send(inbox, screen, store, "draw", "m1")
        for action in (Action.VARY, Action.REDO):
            await inbox.accept(press(action, "1"))
            await screen.final(f"{action}-1-1")
    assert [job.request.sampling.model for job in renderer.jobs] == ["deep"] * 3


async def test_redo_keeps_all_requested_options(store: Store) -> None:
    """Aspect ratio, image model and negative prompt, independent of later settings; with another seed."""
    able, commands = InstantRenderer(capabilities=ModelCapabilities(ratios=True, negatives=True)), commands_of(store)
    async with running(store, ScriptedModel([]), able, commands=commands) as (inbox, screen, _):
        await inbox.accept(imagine("a cat", 1, aspect_ratio="2:1", negative_prompt="dogs", model="deep", seed=5))
        await screen.final("w1")
        await recorded(store, "w1")
        choose(commands, "me", "aspect_ratio", "1:1")
        choose(commands, "me", "image_model", "flat")
        await inbox.accept(press(Action.REDO, "1"))
        await screen.final("redo-1-1")
    first, second = able.jobs
    asked = replace(second.request, sampling=replace(second.request.sampling, seed=5))
    assert asked == first.request
    assert first.request.sampling.seed == 5 != second.request.sampling.seed


# Upscale


async def test_an_image_is_upscaled(store: Store) -> None:
    """The job starts from the image, with its prompt; the result can be upscaled and rendered again."""
    renderer = KnowingRenderer(store=store)
    async with running(store, ScriptedModel([[SUN]]), renderer) as (inbox, screen, _):
        await send(inbox, screen, store, "draw", "m1")
        larger = await inbox.accept(press(Action.UPSCALE, "1"))
        await screen.final(larger)
        assert come(await recorded(store, larger)) == [2]
        twice = await inbox.accept(press(Action.REDO, "2"))
        await screen.final(twice)
    _, job, same = renderer.jobs
    assert (job.request.operation, job.request.source, job.source_prompt) == (
        Operation.UPSCALE,
        1,
        "a sun",
    ) and job.source_digest
    assert (same.request.operation, same.request.source) == (Operation.UPSCALE, 1)


async def test_an_image_of_the_maximum_size_is_not_upscaled(store: Store) -> None:
    """The sentence names its size; an unknown image is refused."""
    async with running(store, ScriptedModel([[SUN]]), KnowingRenderer(store=store)) as (inbox, screen, _):
        await send(inbox, screen, store, "draw", "m1")
        picture = store.picture(THREAD, 1)
        assert picture
        store.update_picture(THREAD, replace(picture, width=LARGEST_SIDE // 2 + 1, height=8))
        with pytest.raises(Refused, match="already has the maximum size"):
            await inbox.accept(press(Action.UPSCALE, "1"))
        with pytest.raises(NotFound):
            await inbox.accept(press(Action.UPSCALE, "2"))
