"""The slash commands, the settings panel and the message menus on Discord."""

from pathlib import Path
from typing import Any

import discord
import pytest

from bot.capabilities import ModelCapabilities
from bot.domain import Operation, ThreadKey
from bot.queue_status import QueuedJob, QueueStatus, WorkerStatus
from bot.settings.values import ReplyIn, ReplyMode
from tests.support.discord_sim import (
    SimulatedBot,
    answers,
    contents,
    hidden,
    labels,
    pictures,
    running_bot,
    silent,
    texts,
)
from tests.support.images import png

SUN = ["Here it is: ", "<image>a sun</image>"]
RED = ["<edit>a red sun</edit>"]
WORDS = ["Hello."]


def options(message: Any, custom_id: str) -> list[str]:
    """Return the options of the menus of a message."""
    menus = [each for row in message.components for each in row.get("components", ())]
    (menu,) = [each for each in menus if each.get("custom_id") == custom_id]
    return [option["value"] for option in menu["options"]]


def panel(result: Any) -> Any:
    """Return the ephemeral panel."""
    (output,) = answers(result)
    return output


def administer(here: SimulatedBot) -> None:
    """Make everybody an administrator in interactions."""

    def grant(_: str, payload: Any) -> None:
        payload.get("member", {})["permissions"] = str(discord.Permissions.all().value)

    here.env.backend.subscribers.insert(0, grant)


async def test_imagine_creates_images_of_the_prompt(tmp_path: Path) -> None:
    """A public message says who asked for what; the images are in a thread on it."""
    async with running_bot(tmp_path) as here:
        here.renderer.capabilities = ModelCapabilities(ratios=True, negatives=True)
        given = await here.ann.slash(
            here.channel, "imagine", prompt="a *fox*", ratio="16:9", count=2, model="sketch", seed=7, negative="people"
        )
        entry = await here.newest(0)
        assert not given.response.ephemeral and given.response.content == "ann asks for: a *fox*"
        thread = here.thread(given.response.id)
        assert thread.name == "a *fox*" and entry.thread.thread == str(thread.id)
        assert [message.content for message in pictures(thread)] == [f"**#{n}**\n-# a \\*fox\\*" for n in (1, 2)]
        assert [message.attachments[0].description for message in pictures(thread)] == ["#1: a *fox*", "#2: a *fox*"]
        output = [
            (
                job.request.sampling.aspect_ratio,
                job.request.sampling.model,
                job.request.sampling.seed,
                job.request.sampling.negative_prompt,
                job.owner,
            )
            for job in here.renderer.jobs
        ]
        assert sorted(output) == [("16:9", "sketch", seed, "people", str(here.ann.id)) for seed in (7, 8)]
        assert here.model.received == [] and entry.author.name == "ann"


async def test_an_invalid_request_is_refused_privately(tmp_path: Path) -> None:
    """Nothing of it stays in the channel."""
    async with running_bot(tmp_path) as here:
        given = await here.ann.slash(here.channel, "imagine", prompt="a fox", negative="people")
        assert "takes no negative prompt" in hidden(here, here.channel, given)
        assert here.channel.history(viewer=here.bob) == [] and here.entries() == []


async def test_imagine_continues_the_conversation_of_its_place(tmp_path: Path) -> None:
    """In a thread of the bot, in direct messages, and in a channel that is answered in place."""
    async with running_bot(tmp_path, SUN, RED) as here:
        thread = await here.draw()
        given = await here.cid.slash(thread, "imagine", prompt="a moon")
        entry = await here.newest(1)
        assert entry.thread.thread == str(thread.id) and pictures(thread)[-1].content == "**#2**\n-# a moon"
        assert pictures(thread)[-1].reference.message_id == given.response.id
        edited = await here.say(thread, "make it red")
        assert here.store.pictures(edited.thread)[-1].request.source == 2
        await here.ann.user.slash("imagine", prompt="a star")
        entry = await here.newest(3)
        direct = here.ann.user.dm_channel
        assert entry.thread.space == "direct" and pictures(direct)[0].content == "**#1**\n-# a star"
        await here.bob.slash(here.channel, "settings set", key="reply_in", value="channel", scope="channel")
        await here.ann.slash(here.channel, "imagine", prompt="a hill")
        await here.newest(4)
        assert pictures(here.channel)[0].content == "**#1**\n-# a hill" and len(here.channel.threads) == 1


async def test_imagine_uses_the_settings(tmp_path: Path) -> None:
    """Settings apply to options that are left out; values are offered while the user types."""
    async with running_bot(tmp_path) as here:
        for key, value in (("aspect_ratio", "2:3"), ("images_per_request", "3"), ("image_model", "sketch")):
            await here.ann.slash(here.channel, "settings set", key=key, value=value)
        offered = await here.ann.autocomplete(here.channel, "imagine", "ratio", "16:")
        assert [choice["value"] for choice in offered] == ["16:9"]
        offered = await here.ann.autocomplete(here.channel, "imagine", "model", "")
        assert [choice["value"] for choice in offered] == ["default", "sketch"]
        await here.ann.slash(here.channel, "imagine", prompt="a fox")
        await here.newest(0)
        assert [(job.request.sampling.aspect_ratio, job.request.sampling.model) for job in here.renderer.jobs] == [
            ("2:3", "sketch")
        ] * 3


async def test_the_panel_shows_and_changes_settings(tmp_path: Path) -> None:
    """By menus for scope, setting and value; only the user who opened it sees it."""
    async with running_bot(tmp_path) as here:
        shown = panel(await here.bob.slash(here.channel, "settings panel"))
        assert shown.ephemeral
        (words,) = texts(shown.components)
        assert words.startswith("### Settings · Only me") and "**Aspect ratio**: Default\n-# from: default" in words
        assert options(shown, "mini:settings:scope") == ["me", "thread", "channel", "server"]
        await here.bob.select(shown, ["channel"], custom_id="mini:settings:scope")
        assert texts(shown.components)[0].startswith("### Settings · This channel")
        keys = options(shown, "mini:settings:key.channel")
        assert "reply_in" in keys and "persona" in keys
        await here.restart()
        await here.bob.select(shown, ["reply_in"], custom_id="mini:settings:key.channel")
        assert options(shown, "mini:settings:value.channel.reply_in") == [*map(str, ReplyIn)]
        await here.bob.select(shown, ["channel"], custom_id="mini:settings:value.channel.reply_in")
        assert "**Reply in**: In the channel\n-# from: channel" in texts(shown.components)[0]
        await here.final((await here.ask()).id)
        assert here.channel.threads == []


async def test_the_panel_takes_free_text_in_a_form(tmp_path: Path) -> None:
    """A persona is written in a form, and reset with a button."""
    async with running_bot(tmp_path, WORDS) as here:
        shown = panel(await here.bob.slash(here.channel, "settings show", scope="server"))
        await here.bob.select(shown, ["persona"], custom_id="mini:settings:key.server")
        form = await here.bob.click(shown, label="Write…")
        assert form.modal["title"] == "Persona"
        await here.bob.submit_modal(form, {"value": "You are a *pirate*."})
        assert "**Persona**: You are a \\*pirate\\*.\n-# from: server" in texts(shown.components)[0]
        await here.draw("hello")
        assert "You are a *pirate*." in here.model.received[0][0].text
        await here.bob.click(shown, label="Default")
        assert "**Persona**: nothing\n-# from: default" in texts(shown.components)[0]


async def test_only_managers_change_settings_of_others(tmp_path: Path) -> None:
    """Others are refused privately, in the panel too; their own and their thread's settings are free."""
    async with running_bot(tmp_path, WORDS) as here:
        refusal = "Only managers can change the settings of this channel."
        given = await here.ann.slash(here.channel, "settings set", key="aspect_ratio", value="2:3", scope="channel")
        assert refusal in hidden(here, here.channel, given)
        given = await here.ann.slash(here.channel, "settings reset", scope="channel")
        assert refusal in hidden(here, here.channel, given)
        shown = panel(await here.ann.slash(here.channel, "settings show", scope="channel"))
        await here.ann.select(shown, ["aspect_ratio"], custom_id="mini:settings:key.channel")
        pressed = await here.ann.select(shown, ["2:3"], custom_id="mini:settings:value.channel.aspect_ratio")
        assert refusal in pressed.followups[0].content if pressed.followups else hidden(here, here.channel, pressed)
        thread = await here.draw("hello")
        given = await here.ann.slash(thread, "settings set", key="aspect_ratio", value="2:3", scope="thread")
        assert "Aspect ratio for this thread: **2:3**." in hidden(here, thread, given)


@pytest.mark.parametrize(
    ("key", "refusal"),
    [
        ("blocked", "A manager has blocked you or this channel for me."),
        ("allowed", "I am not enabled for you or in this channel. Ask a manager."),
    ],
)
async def test_a_blocked_user_gets_a_note_only_for_a_mention(tmp_path: Path, key: str, refusal: str) -> None:
    """Not for each message that users write to each other in its threads."""
    async with running_bot(tmp_path, SUN, WORDS) as here:
        thread = await here.draw()
        named = {"blocked": here.cid, "allowed": here.ann}[key]
        await here.bob.slash(here.channel, "settings set", key=key, value=named.mention, scope="server")
        before = len(thread.history())
        await here.cid.send(thread, "how nice")
        await here.ask("and a moon", here.cid, thread)
        await here.say(thread, "thanks")
        *_, nice, asked, output, _, _ = thread.history()
        assert len(thread.history()) == before + 5 and nice.content == "how nice"
        assert (output.content, output.reference.message_id) == (f"-# {refusal}", asked.id)
        assert len(here.entries()) == 2


async def test_settings_are_set_shown_and_reset_by_command(tmp_path: Path) -> None:
    """Input is completed; an invalid value is refused with the valid ones."""
    async with running_bot(tmp_path) as here:
        offered = await here.ann.autocomplete(here.channel, "settings set", "key", "asp")
        assert offered == [{"name": "Shape", "value": "aspect_ratio"}] or offered[0]["value"] == "aspect_ratio"
        offered = await here.bob.autocomplete(here.channel, "settings set", "key", "", scope="server")
        assert {"reply_in", "reply_mode", "persona"} <= {choice["value"] for choice in offered}
        offered = await here.bob.autocomplete(
            here.channel, "settings set", "value", "", key="reply_mode", scope="server"
        )
        assert [choice["value"] for choice in offered] == [*map(str, ReplyMode)]
        given = await here.ann.slash(here.channel, "settings set", key="aspect_ratio", value="3:2")
        assert hidden(here, here.channel, given).startswith("Aspect ratio for you: **3:2**.")
        given = await here.ann.slash(here.channel, "settings show")
        assert "**Aspect ratio**: 3\\:2\n-# from: you" in hidden(here, here.channel, given)
        given = await here.ann.slash(here.channel, "settings reset", key="aspect_ratio")
        assert "Aspect ratio for you has the default value again." in hidden(here, here.channel, given)
        given = await here.ann.slash(here.channel, "settings set", key="aspect_ratio", value="round")
        assert "Aspect ratio must be one of default, 1:1" in hidden(here, here.channel, given)
        given = await here.ann.slash(here.channel, "settings set", key="colour", value="red")
        assert "There is no setting “colour”" in hidden(here, here.channel, given)


async def test_the_queue_names_no_other_users(tmp_path: Path) -> None:
    """The user's own images are listed, those of others are counted."""
    async with running_bot(tmp_path) as here:
        key = ThreadKey("discord", str(here.guild.id), "c", "t")

        def queued_job(number: int, who: Any, running: bool) -> QueuedJob:
            return QueuedJob(f"j{number}", key, number, Operation.GENERATE, str(who.id), "m", running, 0.5, 2, 30, 1)

        here.queue_status = QueueStatus(
            (queued_job(1, here.ann, True), queued_job(2, here.bob, False)), (WorkerStatus("b", "m", 1, 1),)
        )
        output = hidden(here, here.channel, await here.bob.slash(here.channel, "queue"))
        assert output.startswith("Generating: 1. Waiting: 1.\n- Your image #2: 2 images ahead")
        assert "ann" not in output and "#1" not in output


async def test_cancel_ends_the_users_own_replies(tmp_path: Path) -> None:
    """A manager can end the replies of everybody; others are refused."""
    async with running_bot(tmp_path, ["<image>a sun</image>"], ["<image>a moon</image>"]) as here:
        here.renderer.held |= {"a sun", "a moon"}
        first = await here.ask("draw a sun", here.ann)
        second = await here.ask("draw a moon", here.cid)
        await here.until(lambda: len(here.renderer.jobs) == 2 and len(here.channel.threads) == 2)
        refused = await here.ann.slash(here.channel, "cancel", whose="all")
        assert hidden(here, here.channel, refused) == "Only managers can cancel the requests of other users."
        given = await here.ann.slash(here.channel, "cancel")
        assert hidden(here, here.channel, given) == "1 answer cancelled."
        await here.final(first.id)
        assert "Cancelled by ann." in contents(here.thread(first.id))[0]
        assert here.store.entry(str(second.id)).view is None  # type: ignore[union-attr]
        given = await here.bob.slash(here.channel, "cancel", whose="all")
        await here.final(second.id)
        assert "Cancelled by bob." in contents(here.thread(second.id))[0]
        given = await here.bob.slash(here.channel, "cancel", whose="all")
        assert hidden(here, here.channel, given) == "Nothing is in progress here."


async def test_images_usage_and_forget(tmp_path: Path) -> None:
    """The images of a thread, the usage, and the deletion of the thread."""
    async with running_bot(tmp_path, SUN, RED) as here:
        thread = await here.draw()
        entry = await here.reply(pictures(thread)[0], "make it red")
        output = hidden(here, thread, await here.cid.slash(thread, "images"))
        assert output == "- **#1** generated: a sun\n  - **#2** edit of #1: a red sun"
        output = hidden(here, here.channel, await here.cid.slash(here.channel, "images"))
        assert output == "This thread has no images yet."
        output = hidden(here, thread, await here.ann.slash(thread, "usage"))
        assert output.startswith("You: **2 images** in the last day, 2 in the last 30 days")
        output = hidden(here, thread, await here.bob.slash(thread, "usage"))
        assert "Everybody here: **2 images**" in output
        refused = hidden(here, thread, await here.cid.slash(thread, "forget", what="thread"))
        assert "only managers" in refused
        output = hidden(here, thread, await here.ann.slash(thread, "forget", what="thread"))
        assert output == "Deleted from this thread: 2 messages and 2 images."
        assert here.store.pictures(entry.thread) == [] and here.entries() == []
        output = hidden(here, thread, await here.ann.slash(thread, "forget", what="settings"))
        assert output.startswith("Your own settings are deleted")
        output = hidden(here, thread, await here.ann.slash(thread, "help"))
        assert output.startswith("**Ask me for images in plain words**") and len(output) <= 2000


@pytest.mark.parametrize("name", ["settings panel", "queue", "usage", "help", "images", "cancel"])
async def test_commands_work_in_direct_messages(tmp_path: Path, name: str) -> None:
    """They are answered in an ephemeral reply."""
    async with running_bot(tmp_path) as here:
        given = await here.ann.user.slash(name)
        assert given.response.ephemeral and (given.response.content or texts(given.response.components))


async def test_a_setting_may_be_called_by_its_title(tmp_path: Path) -> None:
    """The panel shows titles only, and a user who types one need not choose it from the list."""
    async with running_bot(tmp_path) as here:
        given = await here.ann.slash(here.channel, "settings set", key="STYLE ", value="ink")
        assert "**Style**: Ink drawing" in texts(panel(given).components)[0]
        given = await here.ann.slash(here.channel, "settings set", key="images per  request", value="3")
        assert "**Images per request**: 3" in texts(panel(given).components)[0]
        given = await here.ann.slash(here.channel, "settings reset", key="Style")
        assert "**Style**: Default" in texts(panel(given).components)[0]


async def test_the_message_menu_of_an_image_of_the_bot(tmp_path: Path) -> None:
    """Edit, Vary and Ask are about that image, in its thread."""
    async with running_bot(tmp_path, SUN, RED, WORDS) as here:
        thread = await here.draw()
        (picture,) = pictures(thread)
        form = await here.cid.context_menu(thread, "Edit image", picture)
        assert form.modal["title"] == "Edit image"
        assert form.modal["components"][0]["label"] == "What should change?"
        sent = await here.cid.submit_modal(form, {"words": "make it red"})
        entry = await here.newest(1)
        assert (entry.text, entry.about, entry.author.name) == ("make it red", 1, "cid") and sent.response is None
        assert pictures(thread)[-1].reference.message_id == picture.id
        form = await here.ann.context_menu(thread, "Ask about image", picture)
        assert form.modal["components"][0]["label"] == "What would you like to know?"
        await here.restart()
        await here.ann.submit_modal(form, {"words": "which style is it?"})
        entry = await here.newest(2)
        assert entry.about == 1 and contents(thread)[-1] == "-# ann\\: which style is it?\nHello."
        chosen = await here.bob.context_menu(thread, "Vary image", picture)
        entry = await here.newest(3)
        assert chosen.response is None and here.store.pictures(entry.thread)[-1].request.operation is Operation.VARY
        assert pictures(thread)[-1].content == "**#3**\n-# variation of #1 · a sun"


async def test_the_message_menu_of_an_upload(tmp_path: Path) -> None:
    """The upload gets a number in a new thread; a message without an image gets a note."""
    async with running_bot(tmp_path, RED, ["<vary/>"]) as here:
        photo = await here.bob.send(here.channel, "beach", attachments=[("beach.png", png("blue"))])
        form = await here.ann.context_menu(here.channel, "Edit image", photo)
        await here.ann.submit_modal(form, {"words": "make it red"})
        entry = await here.newest(0)
        assert len(entry.uploads) == 1 and here.store.pictures(entry.thread)[-1].request.source == 1
        (made,) = pictures(here.thread(photo.id))
        assert made.content.startswith("-# ann\\: make it red\n**#2**")
        await here.cid.context_menu(here.channel, "Vary image", photo)
        entry = await here.newest(1)
        assert entry.text == "Draw a variation of this image." and len(entry.uploads) == 1
        words = await here.bob.send(here.channel, "no picture here")
        form = await here.ann.context_menu(here.channel, "Ask about image", words)
        sent = await here.ann.submit_modal(form, {"words": "what is it?"})
        assert hidden(here, here.channel, sent) == "There is no image in that message."
        await here.bob.delete(photo)
        await here.restart()
        form = await here.ann.context_menu(here.channel, "Ask about image", words)
        await here.bob.delete(words)
        here.client.context.chosen_messages.clear()
        sent = await here.ann.submit_modal(form, {"words": "what is it?"})
        assert "I cannot read that message any more." in hidden(here, here.channel, sent)


async def test_a_user_install_has_no_managers(tmp_path: Path) -> None:
    """Not even an administrator there: the setting would apply to all user installs."""
    async with running_bot(tmp_path) as here:
        administer(here)
        given = {"key": "allowed", "value": here.cid.mention, "scope": "server"}
        chosen = [{"name": key, "type": 3, "value": value} for key, value in given.items()]
        command = await here.command_named("settings")
        output = await here.carried(
            here.cid, "server", **command, options=[{"name": "set", "type": 1, "options": chosen}]
        )
        assert answers(output)[0].content.startswith("Only managers can change the settings of this server.")


@pytest.mark.parametrize("place", ["friend", "group", "server"])
async def test_a_user_install_answers_in_a_single_message(tmp_path: Path, place: str) -> None:
    """Text and all images of a request are in the response to the command."""
    async with running_bot(tmp_path) as here:
        imagine = await here.command_named("imagine")
        options = [{"name": "prompt", "type": 3, "value": "a fox"}, {"name": "count", "type": 4, "value": 2}]
        given = await here.carried(here.ann, place, **imagine, options=options)
        entry = await here.newest(0)
        assert entry.thread == ThreadKey("discord", "personal", str(here.ann.user.dm_channel.id), str(here.ann.id))
        message = given.response.message
        assert message.content == "**#1**\n-# a fox\n\n**#2**\n-# a fox" and not given.response.ephemeral
        assert [file.description for file in message.attachments] == ["#1: a fox", "#2: a fox"]
        assert labels(message) == ["Vary", "Edit", "Upscale", "Redo"] * 2
        vary = await here.carried(here.ann, place, custom_id="mini:vary:2", component_type=2, message=message)
        entry = await here.newest(1)
        assert [file.description for file in vary.response.attachments] == ["#3: a fox"]
        assert here.store.pictures(entry.thread)[-1].request.source == 2
        details = await here.carried(here.ann, place, custom_id="mini:details:1", component_type=2, message=message)
        assert answers(details)[0].content.startswith("**#1** · generated")
        assert silent(vary) or vary.response
