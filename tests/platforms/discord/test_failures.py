"""Failures on Discord: restarts, edited and deleted messages, closed channels, missing permissions."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from bot.domain import Failed, PicturePart
from tests.support.discord_sim import SimulatedBot, contents, labels, pictures, running_bot, silent
from tests.support.images import png

SUN = ["Here it is: ", "<image>a sun</image>"]
ONE = ["<image>a sun</image>"]
TWO = ["<image>a sun</image>", "<image>a moon</image>"]
MOON = ["<image>a moon</image>"]
WORDS = ["Hello."]
MESSAGES, MESSAGE = "/channels/*/messages", "/channels/*/messages/*"


async def rendering(here: SimulatedBot, words: str = "draw a sun", messages: int = 1) -> tuple[Any, Any]:
    """Send a mention; return it and the thread in which its image is rendering."""
    here.renderer.held.add("a sun")
    asked = await here.ask(words)
    await here.renderer.waiting.wait()
    thread = await here.until(lambda: next((each for each in here.channel.threads if each.id == asked.id), None))
    await here.until(lambda: len(thread.history()) == messages and "Stop" in labels(thread.last_message))
    return asked, thread


def go_on(here: SimulatedBot) -> None:
    """Let the held images be rendered."""
    here.renderer.held.clear()
    here.renderer.go.set()


def reasons(here: SimulatedBot) -> list[str]:
    """Return the reasons why images of the newest reply failed."""
    view = here.entries()[-1].view
    parts = view.parts if view else ()
    return [
        str(part.state.reason) for part in parts if isinstance(part, PicturePart) and isinstance(part.state, Failed)
    ]


# Restarts


async def test_a_running_reply_continues_after_a_restart(tmp_path: Path) -> None:
    """In the same messages: finished images stay, the others are rendered, nothing is posted twice."""
    async with running_bot(tmp_path, ["First: ", *MOON, " Then: ", *ONE, " Enjoy!"]) as here:
        asked, thread = await rendering(here, "draw both", 5)
        await here.until(lambda: pictures(thread))
        before = thread.history()
        here.renderer.waiting.clear()
        await here.restart()
        await here.renderer.waiting.wait()
        assert pictures(thread)[0].id == before[1].id
        go_on(here)
        await here.final(asked.id)
        after = thread.history()
        assert [message.id for message in after] == [message.id for message in before]
        assert contents(thread) == ["First:", "**#1**\n-# a moon", "Then:", "**#2**\n-# a sun", "Enjoy!"]
        assert len(pictures(thread)) == 2 and len(here.model.received) == 1


async def test_a_post_that_was_not_recorded_is_found_again(tmp_path: Path) -> None:
    """The bot ended between posting and recording: the message is used, not posted again."""
    async with running_bot(tmp_path, SUN) as here:
        asked, thread = await rendering(here, messages=2)
        before = [message.id for message in thread.history()]
        await here.close()
        here.store.posts.delete_post(str(asked.id), 1)
        await here.restart()
        go_on(here)
        await here.final(asked.id)
        assert [message.id for message in thread.history()] == before
        assert contents(thread) == ["Here it is:", "**#1**\n-# a sun"]


async def test_messages_during_downtime_are_answered_once(tmp_path: Path) -> None:
    """Mentions in channels, messages in its threads, and direct messages; not messages to others."""
    async with running_bot(tmp_path, *[WORDS] * 6) as here:
        thread = await here.draw("hello")
        await here.final((await here.ann.send_dm("hello")).id)
        await here.close()
        here.absent()
        missed = [
            await here.ask("are you there?"),
            await here.ann.send(thread, "and here?"),
            await here.ann.send_dm("or here?"),
        ]
        await here.bob.send(here.channel, "it is asleep")
        await here.restart()
        for question in missed:
            await here.final(question.id)
        assert len(here.entries()) == 5 and len(here.model.received) == 5
        assert contents(thread)[-1] == "Hello." and contents(here.thread(missed[0].id)) == ["Hello."]
        await here.restart()
        assert len(here.entries()) == 5 and len(here.model.received) == 5


# Changed minds


async def test_deleting_a_message_cancels_its_images(tmp_path: Path) -> None:
    """The job is cancelled, and the reply says why."""
    async with running_bot(tmp_path, ONE) as here:
        asked, thread = await rendering(here)
        await here.ann.delete(asked)
        await here.final(asked.id)
        assert len(here.renderer.cancelled) == 1 and reasons(here) == ["The message was deleted."]
        assert contents(thread)[0].startswith("⚠️ **#1** The message was deleted.") and not pictures(thread)


async def test_deleting_a_message_before_its_reply_is_no_failure(tmp_path: Path) -> None:
    """The reply in the channel is posted without a reference."""
    async with running_bot(tmp_path, [None, "Hello."]) as here:
        await here.bob.slash(here.channel, "settings set", key="reply_in", value="channel", scope="channel")
        here.env.inject_error("POST", MESSAGES, status=500)
        asked = await here.ask("hello")
        await here.model.waiting.wait()
        await here.ann.delete(asked)
        await here.final(asked.id)
        assert "The message was deleted." in contents(here.channel)[-1]


async def test_an_edited_message_can_be_answered_again(tmp_path: Path) -> None:
    """In the same message, from the new text; until then the old reply stays."""
    async with running_bot(tmp_path, ONE, MOON) as here:
        thread = await here.draw()
        (asked,) = [message for message in here.channel.history() if message.id == thread.id]
        await here.ann.edit(asked, f"<@{here.me}> draw a moon")
        message = await here.until(lambda: (shown := thread.last_message) and "edited" in shown.content and shown)
        assert message.content == "**#1**\n-# a sun\n-# ⚠️ The message was edited after this answer."
        assert labels(message)[-1] == "Answer again" and len(message.attachments) == 1
        await here.cid.click(message, label="Answer again")
        await here.until(lambda: contents(thread)[0].startswith("**#2**\n-# a moon"))
        entry = await here.final(asked.id)
        assert (entry.text, entry.raw_answer) == ("draw a moon", "".join(MOON))
        assert "draw a moon" in here.model.received[-1][-1].text
        assert [message.id] == [each.id for each in thread.history()]
        assert "Answer again" not in labels(thread.last_message)


async def test_an_edit_without_a_new_text_changes_nothing(tmp_path: Path) -> None:
    """Such as when Discord adds the preview of a link, or a user corrects a space."""
    async with running_bot(tmp_path, WORDS) as here:
        thread = await here.draw("hello")
        (asked,) = [message for message in here.channel.history() if message.id == thread.id]
        await here.ann.edit(asked, f"<@{here.me}>  hello ")
        assert contents(thread) == ["Hello."] and not here.entries()[0].is_edited


async def test_a_message_edited_during_its_reply(tmp_path: Path) -> None:
    """The reply is finished, and then another one is offered."""
    async with running_bot(tmp_path, ["One ", None, "two."], ["Three."]) as here:
        asked = await here.ask("count")
        await here.model.waiting.wait()
        await here.ann.edit(asked, f"<@{here.me}> count on")
        here.model.go.set()
        await here.final(asked.id)
        thread = here.thread(asked.id)
        message = await here.until(lambda: (shown := thread.last_message) and "edited" in shown.content and shown)
        assert message.content.startswith("One two.") and labels(message) == ["Answer again"]
        await here.ann.click(message, label="Answer again")
        await here.until(lambda: contents(thread) == ["Three."])
        assert (await here.final(asked.id)).text == "count on"


# Places


async def test_an_archived_thread_is_unarchived(tmp_path: Path) -> None:
    """The reply continues there, and so does the conversation."""
    async with running_bot(tmp_path, ONE, WORDS) as here:
        asked, thread = await rendering(here)
        here.env.backend.edit_channel(thread.id, {}, thread_metadata={"archived": True})
        await here.env.settle()
        here.env.inject_error("PATCH", MESSAGE, status=400, code=50083)
        go_on(here)
        await here.final(asked.id)
        assert len(pictures(thread)) == 1
        assert not here.env.backend.get_channel(thread.id).thread_metadata.archived
        await here.say(thread, "thanks")
        assert contents(thread)[-1] == "Hello."


async def test_a_locked_thread_ends_the_reply(tmp_path: Path) -> None:
    """The bot may not post there any more; the stored reply says why it ended."""
    async with running_bot(tmp_path, ONE) as here:
        asked, _ = await rendering(here)
        here.env.inject_error("PATCH", MESSAGE, status=400, code=50083, times=None)
        here.env.inject_error("PATCH", "/channels/*", status=403, code=50013, times=None)
        go_on(here)
        entry = await here.final(asked.id)
        assert entry.view


@pytest.mark.parametrize("what", ["thread", "channel", "server"])
async def test_a_removed_place_ends_its_replies(tmp_path: Path, what: str) -> None:
    """A deleted thread or channel, or a server that removed the bot: the jobs are cancelled."""
    async with running_bot(tmp_path, ONE) as here:
        asked, thread = await rendering(here)
        match what:
            case "thread":
                here.env.backend.delete_channel(thread.id)
            case "channel":
                here.env.backend.delete_channel(here.channel.id)
            case "server":
                here.env.backend.remove_guild(here.guild.id)
        await here.final(asked.id)
        assert len(here.renderer.cancelled) == 1
        assert reasons(here) == ["The channel or thread does not exist any more."]
        go_on(here)
        await here.env.settle()
        assert here.store.pictures(here.entries()[0].thread) == []


# Permissions


async def test_without_threads_it_answers_in_the_channel(tmp_path: Path) -> None:
    """It names the missing permission and who can grant it; later it creates threads again."""
    async with running_bot(tmp_path, SUN, WORDS) as here:
        for lacking in ("create_public_threads", "send_messages_in_threads", "read_message_history"):
            here.forbid(here.channel, here.me, **{lacking: True})
            here.model.scripts = [SUN]
            asked = await here.ask()
            await here.final(asked.id)
            words, picture = here.channel.history()[-2:]
            name = lacking.replace("_", " ").title().replace("In", "in")
            request = f"-# I need the permission “{name}” in this channel. "
            assert words.content.startswith(request) and "anybody with “Manage Roles”, can grant it." in words.content
            assert words.content.endswith("Here it is:") and words.reference.message_id == asked.id
            assert len(picture.attachments) == 1 and here.channel.threads == []
        here.forbid(here.channel, here.me)
        here.model.scripts = [WORDS]
        assert contents(await here.draw("hello")) == ["Hello."]


async def test_the_permission_note_never_cuts_the_reply(tmp_path: Path) -> None:
    """If the reply fills its first message, the note is left out."""
    words = " ".join(f"{n:04d}" for n in range(500))
    async with running_bot(tmp_path, [words]) as here:
        here.forbid(here.channel, here.me, create_public_threads=True)
        await here.final((await here.ask("count")).id)
        assert " ".join(contents(here.channel)[1:]) == words


async def test_without_attach_files_the_text_is_posted(tmp_path: Path) -> None:
    """A note asks for the permission in place of the image, which is stored all the same."""
    async with running_bot(tmp_path, SUN) as here:
        here.forbid(here.channel, here.me, attach_files=True)
        here.refuse_files(50013, 403, 9)
        thread = await here.draw()
        assert len(here.refused) == 1
        words, picture = thread.history()
        assert words.content == "Here it is:" and not picture.attachments
        assert picture.content.startswith("**#1**\n-# a sun\n-# I need the permission “Attach Files” in this channel.")
        assert len(here.store.pictures(here.entries()[0].thread)) == 1


async def test_nothing_is_rendered_where_it_may_not_post(tmp_path: Path) -> None:
    """Nobody would see it: the reply ends, and the bot answers elsewhere."""
    async with running_bot(tmp_path, ONE, WORDS) as here:
        here.forbid(here.channel, here.me, send_messages=True, send_messages_in_threads=True)
        here.renderer.held.add("a sun")
        asked = await here.ask()
        entry = await here.final(asked.id)
        assert str(entry.view.status).startswith("I need the permission “Send Messages” in #general.")  # type: ignore[union-attr]
        assert len(here.channel.history(viewer=here.ann)) == 1 and here.channel.threads == []
        other = here.guild.create_text_channel("other")
        here.model.scripts = [WORDS]
        assert contents(await here.draw("hello", channel=other)) == ["Hello."]


# What Discord refuses


@pytest.mark.parametrize(("status", "code"), [(400, 40005), (413, 0)])
async def test_a_file_that_is_too_large_is_made_smaller(tmp_path: Path, status: int, code: int) -> None:
    """Repeatedly, as long as Discord refuses it, with the least loss."""
    async with running_bot(tmp_path, ONE) as here:
        here.renderer.size = 600
        asked, thread = await rendering(here)
        here.refuse_files(code, status, 2)
        go_on(here)
        await here.final(asked.id)
        (file,) = thread.last_message.attachments
        stored = here.files.read(here.store.pictures(here.entries()[0].thread)[0].digest)
        sizes = [len(stored), *here.refused[1:], file.size]
        assert len(sizes) == 3 and all(2 * later <= size for size, later in itertools.pairwise(sizes))
        assert file.filename in ("a-sun.webp", "a-sun.jpg")
        assert thread.last_message.content == "**#1**\n-# a sun"


async def test_a_file_that_is_always_refused_gets_a_note(tmp_path: Path) -> None:
    """The text is posted without the file."""
    async with running_bot(tmp_path, ONE) as here:
        here.renderer.size = 600
        asked, thread = await rendering(here)
        here.refuse_files(0, 413, 99)
        go_on(here)
        await here.final(asked.id)
        assert thread.last_message.content == "**#1**\n-# a sun\n-# This server does not accept the image file."
        assert len(here.refused) > 2 and here.refused == sorted(here.refused, reverse=True) and not pictures(thread)
        assert labels(thread.last_message) == ["Vary", "Edit", "Upscale", "Redo", "Details", "Delete"]


async def test_a_message_too_old_to_edit_is_posted_again(tmp_path: Path) -> None:
    """The old message is deleted, and the new one replaces it in the database."""
    async with running_bot(tmp_path, SUN) as here:
        asked, thread = await rendering(here, messages=2)
        old = thread.last_message
        here.env.inject_error("PATCH", f"/channels/*/messages/{old.id}", status=400, code=30046)
        go_on(here)
        await here.final(asked.id)
        words, new = thread.history()
        assert words.content == "Here it is:" and new.id != old.id and new.content == "**#1**\n-# a sun"
        await here.cid.click(new, label="Vary")
        await here.newest(1)
        assert pictures(thread)[-1].content == "**#2**\n-# variation of #1 · a sun"


async def test_a_message_that_a_moderator_deleted_is_not_posted_again(tmp_path: Path) -> None:
    """The rest of the reply is posted."""
    async with running_bot(tmp_path, ["Here it is: ", *ONE, " Enjoy!"]) as here:
        asked, thread = await rendering(here, messages=3)
        await here.bob.delete(thread.history()[1])
        go_on(here)
        await here.final(asked.id)
        assert contents(thread) == ["Here it is:", "Enjoy!"]
        assert len(here.store.pictures(here.entries()[0].thread)) == 1


@pytest.mark.parametrize(("status", "code"), [(404, 10062), (400, 40060)])
async def test_an_expired_press_is_ignored(tmp_path: Path, status: int, code: int) -> None:
    """Discord itself informs the user; nothing is done, and the next press works."""
    async with running_bot(tmp_path, ONE) as here:
        thread = await here.draw()
        (picture,) = pictures(thread)
        for label in ("Vary", "Edit", "Details"):
            here.env.inject_error("POST", "/interactions/*/callback", status=status, code=code)
            assert not (await here.ann.click(picture, label=label)).acknowledged
        here.env.inject_error("POST", "/interactions/*/callback", status=status, code=code)
        await here.ann.slash(here.channel, "imagine", prompt="a fox")
        assert all(getattr(error, "original", error).code == code for error in here.env.errors)
        assert len(here.entries()) == 1
        assert silent(await here.ann.click(picture, label="Vary"))
        await here.newest(1)


async def test_a_server_error_is_waited_out(tmp_path: Path) -> None:
    """Nothing is lost, and nothing is posted twice."""
    async with running_bot(tmp_path, SUN) as here:
        asked, thread = await rendering(here, messages=2)
        here.env.inject_error("PATCH", MESSAGE, status=500, times=2)
        go_on(here)
        await here.final(asked.id)
        assert contents(thread) == ["Here it is:", "**#1**\n-# a sun"] and len(pictures(thread)) == 1


async def test_it_does_not_answer_bots(tmp_path: Path) -> None:
    """A model that mentions the bot, or a bot that answers each of its messages, starts no loop."""
    async with running_bot(tmp_path) as here:
        here.model.scripts = [[f"<@{here.me}> draw a sun"]]
        thread = await here.draw("hello")
        robot = here.guild.add_member(here.env.create_user("robot", bot=True))
        await here.ask("draw a sun", robot, thread, reply_to=thread.last_message, attachments=[("a.png", png())])
        assert len(here.entries()) == 1 and len(here.model.received) == 1


async def test_a_user_install_reply_may_expire(tmp_path: Path) -> None:
    """Discord accepts no edits after fifteen minutes: the work ends, without endless retries."""
    async with running_bot(tmp_path) as here:
        here.renderer.held.add("a sun")
        options = [{"name": "prompt", "type": 3, "value": "a sun"}]
        given = await here.carried(here.ann, "friend", **await here.command_named("imagine"), options=options)
        await here.renderer.waiting.wait()
        await here.until(lambda: given.response.content == "⏳ **#1** next\n-# Generating…")
        here.env.inject_error("PATCH", "/webhooks/*/messages/*", status=401, code=50027, times=None)
        go_on(here)
        entry = await here.newest(0)
        assert len(here.store.pictures(entry.thread)) == 1


async def test_a_thread_archived_before_a_restart_continues(tmp_path: Path) -> None:
    """Discord does not list archived threads: a message in one makes the bot fetch it."""
    async with running_bot(tmp_path, SUN, WORDS, WORDS) as here:
        thread = await here.draw()
        here.env.backend.edit_channel(thread.id, {}, thread_metadata={"archived": True})
        await here.restart()
        here.lose_sight(thread)
        entry = await here.say(thread, "how nice")
        assert entry.thread == here.entries()[0].thread and contents(thread)[-1] == "Hello."
        asked = await here.ask("once more", channel=thread)
        assert (await here.final(asked.id)).thread == entry.thread
