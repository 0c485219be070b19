"""The buttons below images and replies on Discord, before and after a restart."""

from pathlib import Path
from typing import Any

import discord
import pytest

from bot.domain import Failed, Operation, PicturePart
from bot.region import NAMED_REGIONS
from tests.support.discord_sim import SimulatedBot, contents, hidden, labels, pictures, running_bot, silent

SUN = ["Here it is: ", "<image>a sun</image>"]
RED = ["<edit>a red sun</edit>"]
TWO = ["<image>a sun</image>", "<image>a moon</image>"]
ABOVE = "What should change?"


async def draw_one(here: SimulatedBot) -> tuple[Any, Any]:
    """Request an image; return its thread and the message that shows it."""
    thread = await here.draw()
    return thread, pictures(thread)[0]


def reasons(here: SimulatedBot, nth: int = -1) -> list[str]:
    """Return the reasons why images of a final reply failed."""
    view = here.entries()[nth].view
    parts = view.parts if view else ()
    return [
        str(part.state.reason) for part in parts if isinstance(part, PicturePart) and isinstance(part.state, Failed)
    ]


@pytest.mark.parametrize("restarted", [False, True])
async def test_vary_creates_a_variation(tmp_path: Path, restarted: bool) -> None:
    """Any user may press it; the new reply refers to the image."""
    async with running_bot(tmp_path, SUN) as here:
        thread, picture = await draw_one(here)
        if restarted:
            await here.restart()
        pressed = await here.cid.click(picture, label="Vary")
        entry = await here.newest(1)
        assert silent(pressed)
        assert (entry.author.name, entry.text, entry.about) == ("cid", "Vary #1", 1)
        made = pictures(thread)[-1]
        assert made.content == "**#2**\n-# variation of #1 · a sun" and made.reference.message_id == picture.id
        assert labels(made) == ["Vary", "Edit", "Upscale", "Redo", "Details", "Delete"]
        assert here.store.pictures(entry.thread)[-1].request.operation is Operation.VARY
        assert here.renderer.jobs[-1].owner == str(here.cid.id)


async def test_upscale_creates_a_larger_image(tmp_path: Path) -> None:
    """The caption names the source image, and the new reply refers to it."""
    async with running_bot(tmp_path, SUN) as here:
        thread, picture = await draw_one(here)
        pressed = await here.cid.click(picture, label="Upscale")
        await here.newest(1)
        made = pictures(thread)[-1]
        assert silent(pressed)
        assert made.content == "**#2**\n-# upscaled from #1 · a sun" and made.reference.message_id == picture.id
        assert here.renderer.jobs[-1].request.operation is Operation.UPSCALE


@pytest.mark.parametrize("restarted", [False, True])
async def test_edit_asks_for_the_change(tmp_path: Path, restarted: bool) -> None:
    """The form shows the prompt of the image; it can also be submitted after a restart."""
    async with running_bot(tmp_path, SUN, RED) as here:
        thread, picture = await draw_one(here)
        pressed = await here.bob.click(picture, label="Edit")
        form = pressed.modal
        assert form["title"] == "Edit #1"
        shown, question, where = form["components"]
        assert shown["content"] == "-# The prompt of #1: a sun"
        assert question["label"] == ABOVE and question["component"]["placeholder"] == "make the cape red"
        assert [each["value"] for each in where["component"]["options"]] == list(NAMED_REGIONS)
        assert len(here.entries()) == 1
        if restarted:
            await here.restart()
        sent = await here.bob.submit_modal(pressed, {"words": "make it red"})
        entry = await here.newest(1)
        assert silent(sent)
        assert (entry.author.name, entry.text, entry.about) == ("bob", "make it red", 1)
        made = pictures(thread)[-1]
        said = "-# bob\\: make it red\n**#2**\n-# edit of #1 · a red sun"  # nobody else saw the form
        assert made.content == said and made.reference.message_id == picture.id


async def test_an_edit_can_be_limited_to_a_region(tmp_path: Path) -> None:
    """The form offers named regions, and the whole image as before."""
    async with running_bot(tmp_path, SUN, RED, RED) as here:
        _, picture = await draw_one(here)
        for nth, (where, part) in enumerate((("left", NAMED_REGIONS["left"]), ("whole", "")), 1):
            output = {"words": "make it red", "where": [where]}
            await here.bob.submit_modal(await here.bob.click(picture, label="Edit"), output)
            entry = await here.newest(nth)
            assert (entry.about, entry.region) == (1, part)


async def test_a_form_without_words_is_refused_privately(tmp_path: Path) -> None:
    """A text of blanks is no instruction."""
    async with running_bot(tmp_path, SUN) as here:
        thread, picture = await draw_one(here)
        sent = await here.ann.submit_modal(await here.ann.click(picture, label="Edit"), {"words": "   "})
        assert "Write what should change in image #1." in hidden(here, thread, sent)
        assert len(here.entries()) == 1


@pytest.mark.parametrize("restarted", [False, True])
async def test_redo_uses_the_same_prompt_with_another_seed(tmp_path: Path, restarted: bool) -> None:
    """The new image is shown beside the old one."""
    async with running_bot(tmp_path, SUN) as here:
        thread, picture = await draw_one(here)
        if restarted:
            await here.restart()
        await here.ann.click(picture, label="Redo")
        entry = await here.newest(1)
        first, second = here.store.pictures(entry.thread)
        assert (
            entry.text == "Redo #1"
            and second.request.prompt == first.request.prompt
            and second.request.sampling.seed != first.request.sampling.seed
        )
        assert [message.content for message in pictures(thread)] == ["**#1**\n-# a sun", "**#2**\n-# a sun"]


@pytest.mark.parametrize("restarted", [False, True])
async def test_details_are_shown_only_to_the_user_who_asks(tmp_path: Path, restarted: bool) -> None:
    """Prompt, seed and model, in an ephemeral reply."""
    async with running_bot(tmp_path, SUN) as here:
        thread, picture = await draw_one(here)
        if restarted:
            await here.restart()
        pressed = await here.cid.click(picture, label="Details")
        seed = here.store.pictures(here.entries()[0].thread)[0].request.sampling.seed
        assert f"**#1** · generated · 256 × 256\nPrompt: `a sun`\nSeed: `{seed}`\nImage model: `m`" in hidden(
            here, thread, pressed
        )


@pytest.mark.parametrize("restarted", [False, True])
async def test_delete_is_for_the_author_and_moderators(tmp_path: Path, restarted: bool) -> None:
    """Others are refused privately; then thread, database and disk no longer have the image."""
    async with running_bot(tmp_path, TWO) as here:
        thread = await here.draw()
        first, second = pictures(thread)
        key = here.entries()[0].thread
        digests = [made.digest for made in here.store.pictures(key)]
        if restarted:
            await here.restart()
        refused = await here.cid.click(first, label="Delete")
        assert "Only ann and managers can do this." in hidden(here, thread, refused)
        assert len(pictures(thread)) == 2
        pressed = await here.ann.click(first, label="Delete")
        await here.until(lambda: len(pictures(thread)) == 1)
        assert silent(pressed)
        assert contents(thread)[0] == "⚠️ **#1** Deleted by ann." and labels(thread.history()[0]) == []
        await here.bob.click(second, label="Delete")
        await here.until(lambda: not pictures(thread))
        assert contents(thread)[1] == "⚠️ **#2** Deleted by bob."
        assert here.store.pictures(key) == []
        for digest in digests:
            with pytest.raises(FileNotFoundError):
                here.files.read(digest)


async def test_pictures_deleted_in_quick_succession_are_all_gone(tmp_path: Path) -> None:
    """Also if Discord updates the messages more slowly than the user presses."""
    async with running_bot(tmp_path, TWO) as here:
        thread = await here.draw()
        for picture in pictures(thread):
            await here.ann.click(picture, label="Delete")
        await here.until(lambda: contents(thread)[1].startswith("⚠️ **#2**"))
        assert contents(thread) == ["⚠️ **#1** Deleted by ann.", "⚠️ **#2** Deleted by ann."]


async def test_a_button_of_a_deleted_image_is_answered_privately(tmp_path: Path) -> None:
    """Also if the whole thread was deleted."""
    async with running_bot(tmp_path, SUN) as here:
        thread, picture = await draw_one(here)
        form = await here.ann.click(picture, label="Edit")
        await here.ann.slash(thread, "forget", what="thread")
        for label in ("Vary", "Edit", "Upscale", "Redo", "Details", "Delete"):
            pressed = await here.ann.click(picture, label=label)
            assert "This thread has no image #1." in hidden(here, thread, pressed)
        sent = await here.ann.submit_modal(form, {"words": "red"})
        assert "This thread has no image #1." in hidden(here, thread, sent)


@pytest.mark.parametrize("restarted", [False, True])
async def test_stop_ends_the_text(tmp_path: Path, restarted: bool) -> None:
    """The author or a moderator may stop; the text so far stays, and Retry is offered."""
    async with running_bot(tmp_path, ["Once upon", None, " a time"], [None], ["The end."]) as here:
        asked = await here.ask("tell")
        await here.model.waiting.wait()
        thread = await here.until(lambda: here.channel.threads and here.channel.threads[0])
        message = await here.until(lambda: (shown := thread.last_message) and "Writing" in shown.content and shown)
        assert message.content == "Once upon\n-# Writing…" and labels(message) == ["Stop"]
        if restarted:
            here.model.waiting.clear()
            await here.restart()
            await here.model.waiting.wait()
        refused = await here.cid.click(message, label="Stop")
        assert "Only ann and managers can do this." in hidden(here, thread, refused)
        await here.bob.click(message, label="Stop")
        await here.final(asked.id)
        (message,) = thread.history(viewer=here.ann)
        assert message.content.endswith("-# ⚠️ Stopped by bob.") and labels(message) == ["Retry"]
        if not restarted:
            here.model.scripts.pop(0)
        await here.ann.click(message, label="Retry")
        await here.until(lambda: contents(thread)[0] == "The end.")
        assert (await here.final(asked.id)).raw_answer == "The end."


async def test_stop_ends_the_images(tmp_path: Path) -> None:
    """A single image has no Cancel button."""
    async with running_bot(tmp_path, SUN) as here:
        here.renderer.held.add("a sun")
        asked = await here.ask()
        await here.renderer.waiting.wait()
        thread = here.thread(asked.id)
        message = await here.until(lambda: len(shown := thread.history()) == 2 and shown[1])
        assert message.content == "⏳ **#1** next" and labels(message) == ["Stop"]
        await here.ann.click(message, label="Stop")
        await here.final(asked.id)
        assert here.renderer.cancelled and reasons(here) == ["Stopped by ann."]
        assert thread.last_message.content == "⚠️ **#1** Stopped by ann.\n-# ⚠️ Stopped by ann."


async def test_cancel_ends_one_image(tmp_path: Path) -> None:
    """The other image is rendered, and Retry requests the first again."""
    async with running_bot(tmp_path, TWO) as here:
        here.renderer.held |= {"a sun", "a moon"}
        asked = await here.ask("draw both")
        thread = await here.until(lambda: here.channel.threads and here.channel.threads[0])
        sun, moon = await here.until(lambda: len(shown := thread.history()) == 2 and shown)
        assert (labels(sun), labels(moon)) == (["Cancel #1"], ["Cancel #2", "Stop"])
        refused = await here.cid.click(sun, label="Cancel #1")
        assert "Only ann and managers can do this." in hidden(here, thread, refused)
        await here.ann.click(sun, label="Cancel #1")
        await here.until(lambda: contents(thread)[0].startswith("⚠️"))
        here.renderer.go.set()
        await here.final(asked.id)
        sun, moon = thread.history(viewer=here.bob)
        assert sun.content == "⚠️ **#1** Cancelled by ann." and moon.content == "**#2**\n-# a moon"
        assert labels(moon)[-1] == "Retry"
        await here.bob.click(moon, label="Retry")
        await here.until(lambda: len(pictures(thread)) == 2)
        assert [message.content for message in pictures(thread)] == ["**#1**\n-# a sun", "**#2**\n-# a moon"]


@pytest.mark.parametrize("restarted", [False, True])
async def test_retry_requests_only_failed_images(tmp_path: Path, restarted: bool) -> None:
    """In the same messages; images that succeeded stay."""
    async with running_bot(tmp_path, TWO) as here:
        here.renderer.refused["a sun"] = "The worker fell over."
        thread = await here.draw("draw both")
        sun, moon = thread.history()
        assert sun.content == "⚠️ **#1** The worker fell over." and labels(moon)[-1] == "Retry"
        here.renderer.refused.clear()
        if restarted:
            await here.restart()
        await here.cid.click(moon, label="Retry")
        await here.until(lambda: len(pictures(thread)) == 2 and here.entries()[0].view)
        assert [message.id for message in thread.history()] == [sun.id, moon.id]
        assert "Retry" not in labels(thread.last_message)
        again = await here.ann.click(moon, custom_id="mini:vary:2")
        assert again.acknowledged


@pytest.mark.parametrize("name", ["another-bot:7", "mini:dance:1", "mini:vary:" + "9" * 80, "mini::", "mini:edit:x"])
async def test_unknown_buttons_are_answered_politely(tmp_path: Path, name: str) -> None:
    """Buttons of an older version, or of another program on the same account."""
    async with running_bot(tmp_path) as here:
        view = discord.ui.View(timeout=None)
        view.add_item(discord.ui.Button(label="Old", custom_id=name))
        message = await here.client.get_channel(here.channel.id).send("old", view=view)  # type: ignore[union-attr]
        pressed = await here.ann.click(message, label="Old")
        if pressed.modal:
            pressed = await here.ann.submit_modal(pressed, {"words": "red"})
        words = "This thread has no image #x" if name == "mini:edit:x" else "This button does not work any more."
        assert words in hidden(here, here.channel, pressed)


async def test_buttons_work_in_direct_messages_and_in_place(tmp_path: Path) -> None:
    """The conversation continues where the image is shown."""
    async with running_bot(tmp_path, SUN, SUN) as here:
        await here.bob.slash(here.channel, "settings set", key="reply_in", value="channel", scope="channel")
        await here.final((await here.ask()).id)
        await here.cid.click(pictures(here.channel)[0], label="Redo")
        entry = await here.newest(1)
        assert len(pictures(here.channel)) == 2 and entry.thread == here.entries()[0].thread
        await here.final((await here.ann.send_dm("draw a sun")).id)
        direct = here.ann.user.dm_channel
        await here.ann.user.click(pictures(direct)[0], label="Vary")
        entry = await here.newest(3)
        assert len(pictures(direct)) == 2 and entry.thread.space == "direct"
        await here.ann.user.click(pictures(direct)[1], label="Delete")
        await here.until(lambda: len(pictures(direct)) == 1)
