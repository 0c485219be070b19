"""Messages of users on a simulated Discord: which are answered, and where."""

from pathlib import Path
from typing import Any

import discord
import pytest
from simcord import HttpLogEntry
from simcord.enums import MessageType

from bot.domain import Entry, Operation, ThreadKey
from tests.support.discord_bodies import violations
from tests.support.discord_server.contract import read
from tests.support.discord_sim import SimulatedBot, contents, labels, pictures, running_bot
from tests.support.images import png

SUN = ["Here it is: ", "<image>a sun</image>", " Enjoy!"]
RED = ["<edit>a red sun</edit>"]
WORDS = ["Hello."]


def last(here: SimulatedBot, entry: Entry) -> Any:
    """Return the newest image of an entry's thread."""
    return here.store.pictures(entry.thread)[-1]


async def in_place(here: SimulatedBot) -> None:
    """Set the channel so that messages are answered in the channel."""
    await here.bob.slash(here.channel, "settings set", key="reply_in", value="channel", scope="channel")


async def test_a_mention_opens_a_thread_with_text_and_images_in_order(tmp_path: Path) -> None:
    """Each image has its number, alternative text and buttons."""
    async with running_bot(tmp_path, SUN) as here:
        thread = await here.draw()
        assert thread.name == "draw a sun"
        words, picture, rest = thread.history()
        assert (words.content, rest.content) == ("Here it is:", "Enjoy!")
        assert picture.content == "**#1**\n-# a sun"
        (file,) = picture.attachments
        assert (file.filename, file.description) == ("a-sun.png", "#1: a sun")
        assert labels(picture) == ["Vary", "Edit", "Upscale", "Redo", "Details", "Delete"]
        assert labels(words) == labels(rest) == []
        (entry,) = here.entries()
        assert entry.thread == ThreadKey("discord", str(here.guild.id), str(here.channel.id), str(thread.id))
        assert (entry.text, entry.author.name, entry.raw_answer) == ("draw a sun", "ann", "".join(SUN))


async def test_a_thread_continues_without_mentions(tmp_path: Path) -> None:
    """Messages of all users there are answered, and the chat model gets the earlier ones."""
    async with running_bot(tmp_path, SUN, ["<image>a moon</image>"]) as here:
        thread = await here.draw()
        entry = await here.say(thread, "and a moon", here.cid)
        assert entry.thread.thread == str(thread.id)
        assert [message.content.partition("\n")[0] for message in pictures(thread)] == ["**#1**", "**#2**"]
        answer = thread.history()[-1]
        assert answer.reference.message_id == int(entry.id)
        assert "draw a sun" in here.model.received[-1][-3].text and "and a moon" in here.model.received[-1][-1].text


async def test_messages_between_users_are_not_answered(tmp_path: Path) -> None:
    """In its thread, a message that mentions or replies to another user, unless it mentions the bot too."""
    async with running_bot(tmp_path, SUN, WORDS) as here:
        thread = await here.draw()
        chat = await here.bob.send(thread, f"{here.ann.mention} do you like it?")
        await here.ann.send(thread, "very much", reply_to=chat)
        await here.quietly(chat, "so do I", here.cid)
        await here.cid.send(here.channel, "hello all")
        assert len(here.entries()) == 1 and len(here.model.received) == 1
        asked = await here.ann.send(thread, f"{here.bob.mention} {here.client.user.mention} will know", reply_to=chat)  # type: ignore[union-attr]
        entry = await here.final(asked.id)
        assert entry.text == "@bob will know" and contents(thread)[-1] == "Hello."


async def test_replies_in_a_channel_continue_the_conversation(tmp_path: Path) -> None:
    """If the channel is set so, no thread is created; a reply to an answer continues it."""
    async with running_bot(tmp_path, SUN, RED, WORDS) as here:
        await in_place(here)
        asked = await here.ask()
        first = await here.final(asked.id)
        words, picture, _ = here.channel.history()[1:]
        assert here.channel.threads == [] and words.reference.message_id == asked.id
        second = await here.reply(picture, "make it red", here.cid)
        assert second.thread == first.thread and second.about == 1
        assert (last(here, second).number, last(here, second).request.source) == (2, 1)
        third = await here.reply(words, "thanks")
        assert third.thread == first.thread and third.about is None
        assert contents(here.channel)[-1] == "Hello."
        await here.ann.send(here.channel, "nobody asked you")
        assert len(here.entries()) == 3


@pytest.mark.parametrize(
    ("reply_mode", "talk", "picture"), [("threads", True, True), ("pictures", False, True), ("never", False, False)]
)
async def test_reply_mode_decides_what_is_answered_without_a_mention(
    tmp_path: Path, reply_mode: str, talk: bool, picture: bool
) -> None:
    """All messages in its threads, replies to images only, or nothing."""
    async with running_bot(tmp_path, SUN, *[WORDS] * 3) as here:
        await here.bob.slash(here.channel, "settings set", key="reply_mode", value=reply_mode, scope="server")
        thread = await here.draw()
        said = await here.ann.send(thread, "how nice")
        replied = await here.quietly(pictures(thread)[0], "make it red")
        asked = await here.ask("are you there?", channel=thread)
        await here.final(asked.id)
        answered = {entry.id for entry in here.entries()}
        assert ((str(said.id) in answered), (str(replied.id) in answered)) == (talk, picture)


async def test_a_reply_to_an_image_edits_that_image(tmp_path: Path) -> None:
    """Without a mention, by any user; two replies create two branches."""
    async with running_bot(tmp_path, SUN, RED, RED, ["<edit>a dark sun</edit>"]) as here:
        thread = await here.draw()
        (first,) = pictures(thread)
        for who, number in ((here.ann, 2), (here.bob, 3)):
            edited = last(here, await here.reply(first, "make it red", who))
            assert (edited.number, edited.request.source, edited.request.operation) == (number, 1, Operation.EDIT)
        deeper = last(here, await here.reply(pictures(thread)[1], "darker"))
        assert (deeper.number, deeper.request.source) == (4, 2)
        shown = [message.content for message in pictures(thread)]
        assert shown[1:] == [
            "**#2**\n-# edit of #1 · a red sun",
            "**#3**\n-# edit of #1 · a red sun",
            "**#4**\n-# edit of #2 · a dark sun",
        ]
        sources = [job.source_digest for job in here.renderer.jobs]
        assert sources[1] == sources[2] == here.store.picture(here.entries()[0].thread, 1).digest  # type: ignore[union-attr]


async def test_a_reply_with_a_mention_edits_the_upload_of_a_user(tmp_path: Path) -> None:
    """The upload becomes the first image of the new thread, and is edited."""
    async with running_bot(tmp_path, RED) as here:
        photo = await here.bob.send(here.channel, "my holiday", attachments=[("beach.png", png("blue"))])
        assert here.entries() == []
        thread = await here.draw("make it red", reply_to=photo)
        (entry,) = here.entries()
        (upload,) = entry.uploads
        assert (upload.number, here.files.read(upload.digest)) == (1, png("blue"))
        assert (last(here, entry).number, last(here, entry).request.source) == (2, 1)
        assert pictures(thread)[0].content.startswith("**#2**\n-# edit of #1")


async def test_a_reply_to_an_upload_in_a_thread_needs_no_mention(tmp_path: Path) -> None:
    """The upload has a number in the thread."""
    async with running_bot(tmp_path, SUN, WORDS, RED) as here:
        thread = await here.draw()
        brought = await here.bob.send(thread, "look", attachments=[("cat.png", png("blue"))])
        await here.final(brought.id)
        edited = await here.reply(brought, "make it red")
        assert (edited.about, last(here, edited).number, last(here, edited).request.source) == (2, 3, 2)


async def test_a_mention_can_have_several_uploads(tmp_path: Path) -> None:
    """Up to four get numbers, a note names the rest; other files are ignored."""
    colours = ("red", "green", "blue", "white", "black")
    files = [("notes.txt", b"words"), *((f"{colour}.png", png(colour)) for colour in colours)]
    async with running_bot(tmp_path, ['<edit of="2">a red sun</edit>']) as here:
        thread = await here.draw("combine them", attachments=files)
        (entry,) = here.entries()
        assert [upload.number for upload in entry.uploads] == [1, 2, 3, 4]
        assert (last(here, entry).number, last(here, entry).request.source) == (5, 2)
        notes = [message for message in here.channel.history() if message.content.startswith("-#")]
        assert [note.content for note in notes] == [
            "-# I take at most 4 images with a message. The others were left out."
        ]
        assert len(pictures(thread)) == 1


async def test_a_link_to_a_message_brings_its_image(tmp_path: Path) -> None:
    """A message in another channel of the server, or in another thread of the bot."""
    async with running_bot(tmp_path, SUN, RED, RED) as here:
        other = here.guild.create_text_channel("photos")
        photo = await here.bob.send(other, "beach", attachments=[("beach.png", png("blue"))])
        made = pictures(await here.draw())[0]
        for linked, data in ((photo, png("blue")), (made, None)):
            asked = await here.ask(
                f"make this red https://discord.com/channels/{here.guild.id}/{linked.channel.id}/{linked.id}"
            )
            entry = await here.final(asked.id)
            (upload,) = entry.uploads
            assert last(here, entry).request.source == upload.number == 1 and entry.text == "make this red"
            assert data is None or here.files.read(upload.digest) == data
        assert upload.digest == here.store.picture(here.entries()[0].thread, 1).digest  # type: ignore[union-attr]


async def test_a_repeated_message_with_a_link_is_no_edit(tmp_path: Path) -> None:
    """Discord repeats it when a thread is created on it; the stored text has no link."""
    async with running_bot(tmp_path, RED, WORDS) as here:
        photo = await here.bob.send(here.channel, "beach", attachments=[("beach.png", png("blue"))])
        asked = await here.ask(
            f"make this red https://discord.com/channels/{here.guild.id}/{here.channel.id}/{photo.id}"
        )
        await here.final(asked.id)
        await here.ann.edit(asked, here.raw(asked).content)
        await here.say(here.thread(asked.id), "thanks")
        assert [(e.text, e.is_edited) for e in here.entries()] == [("make this red", False), ("thanks", False)]


async def test_a_link_is_followed_only_where_its_author_may_read(tmp_path: Path) -> None:
    """Not into a channel that is hidden from the author, another server, or a missing channel."""
    async with running_bot(tmp_path, *[WORDS] * 4) as here:
        hidden = here.guild.create_text_channel("secret")
        secret = await here.bob.send(hidden, "plans", attachments=[("plans.png", png("blue"))])
        here.forbid(hidden, here.ann.id, view_channel=True)
        address = f"{hidden.id}/{secret.id}"
        for link in (f"{here.guild.id}/{address}", f"@me/{address}", f"123456789012345678/{address}",
                     f"{here.guild.id}/{hidden.id}/123456789012345678"):  # fmt: skip
            asked = await here.ask(f"look https://discord.com/channels/{link}")
            assert (await here.final(asked.id)).uploads == ()


async def test_a_link_into_a_private_thread_is_for_its_members(tmp_path: Path) -> None:
    """And for users with Manage Threads: Discord shows it to nobody else."""
    async with running_bot(tmp_path, *[WORDS] * 3) as here:
        keepers = here.guild.create_role("Keepers", permissions=discord.Permissions(manage_threads=True))
        dee = here.guild.add_member(here.env.create_user("dee"), roles=[keepers])
        private = here.env.backend.create_thread(
            here.channel.id, "a secret", here.ann.id, type=discord.ChannelType.private_thread.value
        )
        here.env.backend.add_thread_member(private.id, here.me)
        secret = await here.ann.send(here.thread(private.id), "plans", attachments=[("plans.png", png("blue"))])
        for who, brought in ((here.ann, 1), (dee, 1), (here.cid, 0)):
            link = f"https://discord.com/channels/{here.guild.id}/{private.id}/{secret.id}"
            asked = await here.ask(f"look {link}", who)
            assert len((await here.final(asked.id)).uploads) == brought


async def test_images_of_an_age_restricted_channel_stay_there(tmp_path: Path) -> None:
    """A link from outside gets a note; between such channels it works."""
    async with running_bot(tmp_path, *[WORDS] * 2) as here:
        adult, other = here.guild.create_text_channel("adults"), here.guild.create_text_channel("more-adults")
        for channel in (adult, other):
            here.restrict(channel)
        photo = await here.bob.send(adult, "x", attachments=[("x.png", png("blue"))])
        link = f"https://discord.com/channels/{here.guild.id}/{adult.id}/{photo.id}"
        asked = await here.ask(f"look {link}")
        assert (await here.final(asked.id)).uploads == ()
        assert "-# Images from an age-restricted channel stay in that channel." in contents(here.channel)
        asked = await here.ask(f"look {link}", channel=other)
        assert len((await here.final(asked.id)).uploads) == 1


async def test_a_forwarded_image_counts_as_an_upload(tmp_path: Path) -> None:
    """In its thread and in direct messages, a forwarded message needs no text."""
    async with running_bot(tmp_path, SUN, RED) as here:
        other = here.guild.create_text_channel("photos")
        photo = await here.bob.send(other, "beach", attachments=[("beach.png", png("blue"))])
        thread = await here.draw()
        forwarded = await here.ann.forward(photo, thread)
        entry = await here.final(forwarded.id)
        assert [upload.number for upload in entry.uploads] == [2] and last(here, entry).request.source == 2


async def test_a_mention_in_a_users_thread_uses_its_first_image(tmp_path: Path) -> None:
    """The image of the message on which the thread was created; there only mentions are answered."""
    async with running_bot(tmp_path, RED, RED) as here:
        photo = await here.bob.send(here.channel, "beach", attachments=[("beach.png", png("blue"))])
        here.env.backend.create_thread(here.channel.id, "about the beach", here.bob.id, message_id=photo.id)
        await here.env.settle()
        thread = here.thread(photo.id)
        await here.cid.send(thread, "nice")
        assert here.entries() == []
        asked = await here.ask("make it red", channel=thread)
        entry = await here.final(asked.id)
        assert len(entry.uploads) == 1 and last(here, entry).request.source == 1
        assert pictures(thread)[0].content.startswith("**#2**")
        await here.cid.send(thread, "I like it")
        again = await here.final((await here.ask("make it redder", channel=thread)).id)
        assert again.uploads == () and last(here, again).request.source == 2


async def test_direct_messages_need_no_mention(tmp_path: Path) -> None:
    """They are one conversation; a reply to an image there is about that image."""
    async with running_bot(tmp_path, SUN, WORDS, RED) as here:
        asked = await here.ann.send_dm("draw a sun")
        first = await here.final(asked.id)
        direct = here.ann.user.dm_channel
        assert first.thread == ThreadKey("discord", "direct", str(direct.id), str(direct.id))
        (picture,) = pictures(direct)
        await here.final((await here.ann.send_dm("thanks")).id)
        reference = {"channel_id": str(direct.id), "message_id": str(picture.id)}
        asked = await here.ann.send_dm("make it red", reference=reference)
        entry = await here.final(asked.id)
        assert (entry.thread, last(here, entry).request.source) == (first.thread, 1)


async def test_automatic_messages_are_not_answered(tmp_path: Path) -> None:
    """Neither bots nor webhooks nor system messages of Discord start a reply."""
    async with running_bot(tmp_path, SUN) as here:
        thread = await here.draw()
        other = here.guild.add_member(here.env.create_user("robot", bot=True))
        hook = here.guild.create_webhook(here.channel)
        await here.ask(who=other)
        await other.send(thread, "and now?", reply_to=pictures(thread)[0])
        await hook.send(f"<@{here.me}> draw")
        (picture,) = pictures(thread)
        here.guild.create_system_message(thread, MessageType.PINS_ADD, author=here.ann, referenced_message=picture)
        await here.env.settle()
        assert len(here.entries()) == 1


async def test_a_long_reply_continues_in_another_message(tmp_path: Path) -> None:
    """No message exceeds the limit; a code block is closed at a cut and opened again."""
    code = "```python\n" + "".join(f"print({n:04d})\n" for n in range(400)) + "```\nDone."
    async with running_bot(tmp_path, ["Look:\n", *(code[at : at + 50] for at in range(0, len(code), 50))]) as here:
        thread = await here.draw("explain")
        said = contents(thread)
        assert len(said) == 3 and all(len(words) <= 2000 and words.count("```") % 2 == 0 for words in said)
        assert said[1].startswith("```python\n") and said[-1].endswith("Done.")
        lines = [line for words in said for line in words.split("\n") if line.startswith("print")]
        assert lines == [f"print({n:04d})" for n in range(400)]


async def test_only_the_author_of_the_message_is_pinged(tmp_path: Path) -> None:
    """Whatever a model writes, also in an edit."""
    async with running_bot(tmp_path, WORDS) as here:
        role = here.guild.roles["Mods"]
        loud = f"@everyone @here {here.cid.mention} {role.mention}"
        here.model.scripts = [[f"{loud} first", None, f" then {loud}"], [f"<image>{loud}</image>"]]
        asked = await here.ask("shout")
        await here.model.waiting.wait()
        here.model.go.set()
        await here.final(asked.id)
        thread = here.thread(asked.id)
        await here.say(thread, "again", here.ann)
        for message in thread.history():
            if message.author.bot:
                raw = here.raw(message)
                assert not raw.mention_everyone and not raw.ping_role_ids
                assert set(raw.ping_user_ids) <= ({here.ann.id} if message.reference else set())
        assert loud in contents(thread)[0]


async def test_a_hostile_file_name_is_harmless(tmp_path: Path) -> None:
    """Names of uploads are never passed on; each image gets a safe name."""
    async with running_bot(tmp_path, ["<edit>../../etc/passwd\x00 con.png</edit>"]) as here:
        name = "../../<@1>`evil\u202egnp.png"
        thread = await here.draw("make it red", attachments=[(name, png("blue"))])
        (entry,) = here.entries()
        assert len(entry.uploads) == 1
        (file,) = pictures(thread)[0].attachments
        assert file.filename == "etc-passwd-con-png.png"
        assert "evil" not in "".join(contents(thread)) and "evil" not in str(here.model.received)


async def test_a_mention_without_text_gets_help(tmp_path: Path) -> None:
    """No reply starts; with an image it is a message like any other."""
    async with running_bot(tmp_path, WORDS) as here:
        await here.ask("")
        assert here.channel.last_message.content == "-# The message is empty. Describe an image, or ask a question."
        assert here.channel.threads == [] and here.entries() == []
        thread = await here.draw("", attachments=[("a.png", png())])
        assert contents(thread) == ["Hello."] and thread.name == "Images"


async def test_mentions_become_names_for_the_model(tmp_path: Path) -> None:
    """Users, roles, channels and emoji become text; the name of the thread has no markup."""
    async with running_bot(tmp_path, WORDS) as here:
        role = here.guild.roles["Mods"]
        thread = await here.draw(
            f"draw {here.bob.mention} of {role.mention} in {here.channel.mention} <:wow:123456789012345678>"
        )
        assert here.entries()[0].text == "draw @bob of @Mods in #general :wow:" == thread.name


async def test_a_name_may_contain_backslashes(tmp_path: Path) -> None:
    """It is passed on unchanged."""
    async with running_bot(tmp_path, WORDS) as here:
        dee = here.guild.add_member(here.env.create_user("\\o/"))
        await here.draw(f"draw {dee.mention}")
        assert here.entries()[0].text == "draw @\\o/"


async def test_without_the_content_intent_mentions_are_enough(tmp_path: Path) -> None:
    """Mentions, replies that ping and direct messages are answered; the bot gets no others."""
    async with running_bot(tmp_path, SUN, RED, WORDS, WORDS, content=False) as here:
        thread = await here.draw("draw a sun", attachments=[("a.png", png())])
        assert len(here.entries()[0].uploads) == 1
        await here.ann.send(thread, "how nice")
        assert len(here.entries()) == 1
        edited = await here.say(thread, "make it red", reply_to=pictures(thread)[0])
        assert (edited.text, edited.about) == ("make it red", 2)
        asked = await here.ann.send_dm("hello")
        assert (await here.final(asked.id)).text == "hello"
        photo = await here.bob.send(here.channel, "beach", attachments=[("beach.png", png("blue"))])
        asked = await here.ask("what is it?", reply_to=photo)
        assert (await here.final(asked.id)).uploads == ()


@pytest.mark.skipif(read() is None, reason="Discord's own document is not here: bodies are not held against it")
def test_an_invalid_request_body_is_found() -> None:
    """All tests of this suite rely on it: a text that is too long, and an unknown field."""
    sent = [
        HttpLogEntry("POST", "/channels/1/messages", {}, {"content": "x" * 2001}, None),
        HttpLogEntry("PATCH", "/channels/1/messages/2", {}, {"content": "fine"}, None),
        HttpLogEntry("POST", "/channels/1/messages", {}, {"content": "x", "nonce": "n" * 26}, None),
    ]
    assert [each.route for each in violations(sent)] == ["POST /channels/{channel_id}/messages"] * 2
