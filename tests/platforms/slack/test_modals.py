"""Buttons, shortcuts, forms and the Home tab on Slack."""

from pathlib import Path
from typing import Any

from bot.domain import Operation, ThreadKey
from bot.region import NAMED_REGIONS
from bot.settings.values import Scope
from tests.support.slack_server import LoginPage, View
from tests.support.slack_workspace import (
    MOON,
    RED,
    SUN,
    WORDS,
    SlackBot,
    alts,
    buttons,
    labels,
    running_bot,
    upload,
    words,
)


def choices(view: View, block: str) -> list[str]:
    """Return the values of the menu of a block."""
    found = next(one for one in view.blocks if one["block_id"] == block)
    menu = found.get("element") or found["elements"][0]
    return [option["value"] for option in menu["options"]]


def value(view: View, block: str) -> str:
    """Return the value of a field."""
    element = next(one for one in view.blocks if one["block_id"] == block)["element"]
    chosen = element.get("initial_option") or {}
    return str(chosen.get("value") or element.get("initial_value", ""))


def somewhere(here: SlackBot) -> ThreadKey:
    """Return any place of the workspace."""
    return ThreadKey("slack", here.slack.world.team_id, "", "")


async def scope(here: SlackBot, chosen: str, who: Any = None) -> View:
    """Choose another scope in the settings form, and return the updated form."""
    view = await here.modal(who)
    before = view.hash
    await here.slack.press(view, "mini:scope", who or here.ana, chosen)
    await here.slack.until(lambda: view.hash != before)
    return view


# Buttons


async def test_the_buttons_below_an_image(tmp_path: Path) -> None:
    """Vary, Upscale and Redo create images; Details are shown to one user only."""
    async with running_bot(tmp_path, SUN) as here:
        asked = await here.draw()
        (reply,) = here.thread(asked)
        ways = {"Vary": Operation.VARY, "Upscale": Operation.UPSCALE, "Redo": Operation.GENERATE}
        for count, (label, way) in enumerate(ways.items(), 1):
            await here.press(reply, label, here.cid)
            entry = await here.newest(count)
            assert here.store.pictures(entry.thread)[-1].request.operation is way and entry.author.name == "Cid"
        assert [alts(one)[0].partition(":")[0] for one in here.thread(asked)] == ["#1", "#2", "#3", "#4"]
        assert "#3 · upscaled from #1 · a sun" in words(here.thread(asked)[2])
        await here.press(reply, "Details", here.cid)
        assert (await here.hint(here.cid)).startswith("**#1** · generated") and here.hints() == []


async def test_an_image_is_deleted_by_its_author(tmp_path: Path) -> None:
    """Others are refused privately; then a note replaces the image."""
    async with running_bot(tmp_path, SUN) as here:
        asked = await here.draw()
        (reply,) = here.thread(asked)
        await here.press(reply, "Delete", here.cid)
        assert await here.hint(here.cid) == "Only Ana and managers can do this."
        await here.press(reply, "Delete", here.bo)
        await here.slack.until(lambda: "Deleted by Bo." in words(reply))
        assert alts(reply) == [] and labels(reply) == []


async def test_a_running_reply_is_stopped_and_retried(tmp_path: Path) -> None:
    """Stop ends the whole reply, Cancel one of several images, Retry requests the missing ones."""
    async with running_bot(tmp_path, ("<image>a sun</image>", "<image>a moon</image>")) as here:
        here.renderer.held |= {"a sun", "a moon"}
        asked = await here.ask()
        await here.slack.until(lambda: here.thread(asked) and "Cancel #2" in labels(here.thread(asked)[0]))
        (reply,) = here.thread(asked)
        assert labels(reply) == ["Cancel #1", "Cancel #2", "Stop"]
        await here.press(reply, "Stop", here.cid)
        assert "Only Ana" in await here.hint(here.cid)
        await here.press(reply, "Cancel #2")
        await here.slack.until(lambda: "Cancelled by Ana." in words(reply))
        await here.press(reply, "Stop")
        await here.slack.until(lambda: labels(reply) == ["Retry"])
        assert "Stopped by Ana." in words(reply)
        here.renderer.held.clear()
        await here.press(reply, "Retry")
        await here.slack.until(lambda: len(alts(reply)) == 2 and "Stop" not in labels(reply))
        assert "Stopped" not in words(reply) and here.thread(asked) == [reply]


async def test_an_edit_is_requested_in_a_form(tmp_path: Path) -> None:
    """The form shows the prompt of the image; the new image is in the thread."""
    async with running_bot(tmp_path, SUN, RED) as here:
        asked = await here.draw()
        await here.press(here.thread(asked)[0], "Edit", here.cid)
        view = await here.modal(here.cid)
        assert (view.content["title"]["text"], words(view).split("\n")[0]) == ("Edit #1", "The prompt of #1: a sun")
        await here.fill({"words": "make it red", "where": "left"}, here.cid)
        entry = await here.newest(1)
        assert (entry.text, entry.about, entry.author.name) == ("make it red", 1, "Cid")
        assert entry.region == NAMED_REGIONS["left"]
        assert alts(here.thread(asked)[-1]) == ["#2: a red sun"] and here.slack.modal(here.cid) is None
        assert words(here.thread(asked)[-1]).startswith("Cid: make it red\n")  # the others have not seen the form


async def test_old_buttons_and_forms_work_after_a_restart(tmp_path: Path) -> None:
    """A form that was opened before is accepted, and so are buttons in a direct conversation."""
    async with running_bot(tmp_path, SUN, RED, SUN) as here:
        asked = await here.draw()
        direct = here.slack.direct(here.ana)
        (reply,) = here.thread(asked)
        await here.press(reply, "Edit")
        await here.modal()
        await here.restart()
        await here.fill({"words": "make it red"})
        await here.newest(1)
        await here.press(reply, "Vary")
        await here.newest(2)
        assert [alts(one)[0] for one in here.thread(asked)] == ["#1: a sun", "#2: a red sun", "#3: a sun"]
        await here.final(await here.slack.say(direct, here.ana, "draw a sun"))
        await here.restart()
        await here.press(here.said(direct)[0], "Redo")
        await here.slack.until(lambda: len(here.said(direct)) == 2)


async def test_a_button_of_another_version_is_answered(tmp_path: Path) -> None:
    """Nothing happens, and a note says so."""
    async with running_bot(tmp_path, SUN) as here:
        asked = await here.draw()
        (reply,) = here.thread(asked)
        buttons(reply, "Vary")[0]["action_id"] = "mini:frame:0"
        await here.press(reply, "Vary")
        assert await here.hint() == "This button does not work any more. Use the newest message of the answer."


# Shortcuts


async def test_a_shortcut_on_an_image_of_the_bot(tmp_path: Path) -> None:
    """The user chooses one of several; the reply is in the same thread."""
    two = ("<image>a sun</image>", "<image>a moon</image>")
    async with running_bot(tmp_path, two, RED, WORDS) as here:
        asked = await here.draw()
        (reply,) = here.thread(asked)
        await here.slack.shortcut(reply, "edit_picture", here.cid)
        view = await here.modal(here.cid)
        assert choices(view, "picture") == ["1", "2"]
        await here.fill({"words": "make it red", "picture": "1"}, here.cid)
        entry = await here.newest(1)
        assert (entry.about, here.store.pictures(entry.thread)[-1].request.source) == (1, 1)
        await here.slack.shortcut(here.thread(asked)[-1], "ask_picture", here.ana)
        await here.fill({"words": "what is it?"})
        entry = await here.newest(2)
        assert (entry.about, entry.text) == (3, "what is it?")


async def test_a_shortcut_on_an_upload_adds_it_to_its_thread(tmp_path: Path) -> None:
    """One of several files is chosen by name; the next time they have numbers."""
    async with running_bot(tmp_path, RED, RED) as here:
        photos = [upload("beach.png", "blue"), upload("wood.png", "green"), upload("notes.txt")]
        said = await here.slack.say(here.general, here.bo, "my holiday", files=photos)
        await here.slack.shortcut(said, "edit_picture", here.ana)
        view = await here.modal()
        menu = next(one for one in view.blocks if one["block_id"] == "picture")["element"]
        assert [option["text"]["text"] for option in menu["options"]] == ["beach.png", "wood.png"]
        await here.fill({"words": "make it red", "picture": said.files[0].id})
        entry = await here.newest(0)
        (brought,) = entry.uploads
        assert here.files.read(brought.digest) == photos[0].data and entry.thread.thread == said.ts
        assert alts(here.thread(said)[0]) == ["#2: a red sun"]
        single = await here.slack.say(here.general, here.bo, "one more", files=[upload("cat.png")])
        await here.slack.shortcut(single, "edit_picture", here.ana)
        assert [block["type"] for block in (await here.modal()).blocks] == ["input"]
        await here.fill({"words": "make it red"})
        assert (await here.newest(1)).thread.thread == single.ts


async def test_a_numbered_upload_is_chosen_by_its_number(tmp_path: Path) -> None:
    """It is not stored twice."""
    async with running_bot(tmp_path, WORDS, RED) as here:
        asked = await here.draw("look", files=[upload(), upload("dog.png", "red")])
        await here.slack.shortcut(asked, "edit_picture", here.ana)
        assert choices(await here.modal(), "picture") == ["1", "2"]
        await here.fill({"words": "make it red", "picture": "2"})
        entry = await here.newest(1)
        assert (entry.about, entry.uploads) == (2, ())


async def test_a_shortcut_on_a_message_without_an_image_gets_a_note(tmp_path: Path) -> None:
    """So does one on an image that cannot be downloaded."""
    async with running_bot(tmp_path) as here:
        said = await here.slack.say(here.general, here.bo, "hello")
        await here.slack.shortcut(said, "ask_picture", here.ana)
        assert await here.hint() == "There is no image in that message."
        said = await here.slack.say(here.general, here.bo, "cat", files=[upload()])
        await here.slack.shortcut(said, "ask_picture", here.ana)
        here.slack.fail("(download)", LoginPage())
        await here.fill({"words": "what is it?"})
        assert "the app needs the scope files:read." in await here.hint(count=2)
        assert here.entries() == []


async def test_a_shortcut_in_another_channel_gets_a_direct_message(tmp_path: Path) -> None:
    """The bot cannot post there, not even an ephemeral message."""
    async with running_bot(tmp_path) as here:
        away = here.slack.channel("elsewhere", member=False)
        said = await here.slack.say(away, here.bo, "cat", files=[upload()])
        await here.slack.shortcut(said, "edit_picture", here.ana)
        await here.fill({"words": "make it red"})
        direct = here.slack.direct(here.ana)
        await here.slack.until(lambda: here.said(direct))
        assert words(here.said(direct)[0]) == "I cannot read that message. /invite me to its channel first."


async def test_a_shortcut_on_a_deleted_message_says_that_it_was_deleted(tmp_path: Path) -> None:
    """The message was deleted while the form was open: a reply in a thread, and a message that nobody replied to."""
    async with running_bot(tmp_path) as here:
        first = await here.slack.say(here.general, here.bo, "cats?")
        reply = await here.slack.say(here.general, here.bo, "cat", files=[upload()], thread_ts=first.ts)
        alone = await here.slack.say(here.general, here.bo, "cat", files=[upload()])
        for count, message in enumerate((reply, alone), 1):
            await here.slack.shortcut(message, "edit_picture", here.ana)
            await here.slack.delete(message)
            await here.fill({"words": "make it red"})
            assert await here.hint(count=count) == "That message was deleted."
        assert here.entries() == []


# Settings


async def test_settings_open_from_a_thread(tmp_path: Path) -> None:
    """The word `settings` gets a list and a button for the form, which has the thread as a scope."""
    async with running_bot(tmp_path, SUN) as here:
        asked = await here.draw()
        await here.ask("settings", thread_ts=asked.ts)
        assert "**Aspect ratio** (`aspect_ratio`): Default, from: default" in await here.hint()
        (output,) = here.slack.ephemerals(here.ana)
        await here.press(output, "Open settings")
        view = await here.modal()
        assert choices(view, "scope-me") == ["me", "thread", "channel", "server"]
        await scope(here, "thread")
        await here.fill({"persona": "A pirate.", "aspect_ratio": "16:9"})
        await here.slack.until(lambda: not view.open)
        held = here.store.settings.values(here.entries()[0].thread, here.cid.id)
        assert held == {Scope.THREAD: {"persona": "A pirate.", "aspect_ratio": "16:9"}}


async def test_settings_are_changed_in_a_form(tmp_path: Path) -> None:
    """Menus, text and numbers; an emptied field is reset; an unchanged field is not set."""
    async with running_bot(tmp_path) as here:
        await here.command("settings", here.bo)
        view = await here.modal(here.bo)
        assert choices(view, "scope-me") == ["me", "channel", "server"]
        await scope(here, "server", here.bo)
        kinds = {block["element"]["action_id"]: block["element"]["type"] for block in view.blocks if "element" in block}
        assert {kinds[key] for key in ("daily_limit", "server_daily_limit", "max_concurrent")} == {"number_input"}
        assert (kinds["persona"], kinds["aspect_ratio"]) == ("plain_text_input", "static_select")
        assert value(view, "server-daily_limit") == "0"
        await here.fill({"daily_limit": "20", "blocked_words": "blood\n/gr[ae]y/", "chat_model": "quick"}, here.bo)
        held = {Scope.SERVER: {"daily_limit": "20", "blocked_words": "blood\n/gr[ae]y/", "chat_model": "quick"}}
        assert here.store.settings.values(somewhere(here), "") == held
        await here.command("settings", here.bo)
        view = await here.modal(here.bo)
        await scope(here, "server", here.bo)
        assert value(view, "server-daily_limit") == "20"
        await here.fill({"daily_limit": None, "blocked_words": None}, here.bo)
        assert here.store.settings.values(somewhere(here), "")[Scope.SERVER] == {"chat_model": "quick"}


async def test_two_users_may_have_the_same_form_open(tmp_path: Path) -> None:
    """A change of one of them is not undone by the other, who did not change that field."""
    async with running_bot(tmp_path) as here:
        dee = here.slack.person("Dee", admin=True)
        for who in (here.bo, dee):
            await here.command("settings", who)
            await scope(here, "server", who)
        for who, chosen in ((here.bo, {"aspect_ratio": "16:9"}), (dee, {"style": "comic"})):
            view = await here.fill(chosen, who)
            assert not view.open
        held = here.store.settings.values(somewhere(here), "")
        assert held == {Scope.SERVER: {"aspect_ratio": "16:9", "style": "comic"}}


async def test_errors_are_shown_below_their_fields(tmp_path: Path) -> None:
    """The form stays open; a user who may not change a setting reads it there as well."""
    async with running_bot(tmp_path) as here:
        await here.command("settings", here.bo)
        await scope(here, "server", here.bo)
        view = await here.fill({"blocked_words": "/gr[ae/", "daily_limit": "200000"}, here.bo)
        assert view.open and set(view.errors) == {"server-blocked_words", "server-daily_limit"}
        assert view.errors["server-daily_limit"].startswith("Daily limit per user must be a whole number")
        await here.command("settings")
        await scope(here, "channel")
        view = await here.fill({"persona": "A pirate."})
        assert view.errors["channel-persona"].startswith("Only managers can change the settings of this channel.")


async def test_the_home_tab_shows_help_queue_and_usage(tmp_path: Path) -> None:
    """Its button opens the settings."""
    async with running_bot(tmp_path, MOON) as here:
        await here.draw()
        await here.slack.open_home(here.ana, "messages")
        await here.slack.open_home(here.ana)
        await here.slack.until(lambda: here.slack.home(here.ana))
        home = here.slack.home(here.ana)
        assert home and "*Ask me for images in plain words*" in words(home) and "*1 image*" in words(home)
        await here.press(home, "My settings")
        assert choices(await here.modal(), "scope-me") == ["me", "server"]
        await here.fill({"images_per_request": "2"})
        assert here.store.settings.values(somewhere(here), here.ana.id) == {Scope.PERSON: {"images_per_request": "2"}}


async def test_a_form_that_opens_too_late_gets_a_note(tmp_path: Path) -> None:
    """Slack allows three seconds."""
    async with running_bot(tmp_path, SUN) as here:
        asked = await here.draw()
        here.slack.modals.trigger_seconds = 0.0
        await here.press(here.thread(asked)[0], "Edit")
        assert await here.hint() == "Slack did not open the form in time. Please try again."
        await here.command("settings")
        await here.hint(count=2)
