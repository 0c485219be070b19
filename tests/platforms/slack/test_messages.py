"""Messages of users on Slack over a real socket: which are answered, and where."""

from pathlib import Path

import pytest

from bot.domain import Entry, Operation, Picture, ThreadKey
from tests.support.slack_server import Delivery, Kind, Streaming
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
    shape,
    upload,
    words,
)

BELOW = ["Vary", "Edit", "Upscale", "Redo", "Details", "Delete"]


def last(here: SlackBot, entry: Entry) -> Picture:
    """Return the newest image of an entry's thread."""
    return here.store.pictures(entry.thread)[-1]


async def test_a_mention_is_answered_in_its_thread(tmp_path: Path) -> None:
    """Each image has its number, alternative text and buttons, in the order of the model."""
    async with running_bot(tmp_path, SUN) as here:
        asked = await here.draw()
        (reply,) = here.thread(asked)
        assert shape(reply) == ["markdown", "image", "context", "actions", "markdown"]
        assert words(reply) == "Here it is:\n#1 · a sun\nEnjoy!" and alts(reply) == ["#1: a sun"]
        assert labels(reply) == BELOW and reply.text == "Here it is: [image #1: a sun] Enjoy!"
        (entry,) = here.entries()
        thread = ThreadKey("slack", here.slack.world.team_id, here.general.id, asked.ts)
        assert (entry.thread, entry.text, entry.author.name) == (thread, "draw a sun", "Ana")
        assert here.said(here.general) == []


async def test_text_streams_until_an_image_is_rendered(tmp_path: Path) -> None:
    """First a status, then the text as it streams, then the same message with the image and Stop."""
    script = ("Let me", None, " see. ", "<image>a sun</image>", " Done.")
    async with running_bot(tmp_path, (None, *script)) as here:
        here.renderer.held.add("a sun")
        asked = await here.ask()
        await here.slack.until(lambda: here.slack.world.statuses)
        assert list(here.slack.world.statuses.values()) == ["is thinking…"]
        here.model.go.set()
        here.model.go.clear()
        await here.slack.until(lambda: here.thread(asked))
        (reply,) = here.thread(asked)
        assert (reply.text, reply.streaming) == ("Let me", Streaming.RUNNING)
        await here.slack.until(lambda: "processing" in here.slack.world.sessions.values())
        here.model.go.set()
        await here.slack.until(lambda: "Stop" in labels(reply))
        assert reply.streaming is Streaming.ENDED and words(reply).startswith("Let me see.\n")
        await here.slack.until(lambda: "🎨 #1 ░░░░░░░░░░ 0 %" in words(reply) or "⏳ #1 next" in words(reply))
        here.renderer.go.set()
        await here.final(asked)
        assert here.thread(asked) == [reply] and labels(reply) == BELOW and words(reply).endswith("\nDone.")
        assert set(here.slack.world.sessions.values()) == {"active"}


async def test_a_thread_continues_without_mentions(tmp_path: Path) -> None:
    """Messages of all users there are answered, and the chat model gets the earlier ones."""
    async with running_bot(tmp_path, SUN, MOON) as here:
        asked = await here.draw()
        entry = await here.say(asked, "and a moon", here.cid)
        assert entry.thread.thread == asked.ts and alts(here.thread(asked)[-1]) == ["#2: a moon"]
        assert "draw a sun" in here.model.received[-1][-3].text and "and a moon" in here.model.received[-1][-1].text


async def test_messages_between_users_are_not_answered(tmp_path: Path) -> None:
    """A message that mentions another user, or that is outside its threads."""
    async with running_bot(tmp_path, SUN, WORDS) as here:
        asked = await here.draw()
        await here.slack.say(here.general, here.bo, "hello all")
        await here.slack.say(here.general, here.bo, f"{here.ana.mention} look", thread_ts=asked.ts)
        both = f"{here.ana.mention} {here.slack.bot.mention} will know"
        said = await here.slack.say(here.general, here.ana, both, thread_ts=asked.ts)
        assert (await here.final(said)).text == "@Ana will know"
        assert len(here.entries()) == 2
        assert words(here.thread(asked)[-1]) == "Hello."


async def test_other_messages_cause_no_api_calls(tmp_path: Path) -> None:
    """The messages of a channel cost no requests."""
    async with running_bot(tmp_path, SUN) as here:
        for _ in range(3):
            await here.slack.say(here.general, here.cid, "hello all")
        await here.draw()
        assert {call.args["user"] for call in here.slack.called("users.info")} == {here.ana.id}


@pytest.mark.parametrize(
    ("reply_mode", "talk", "picture"), [("threads", True, True), ("pictures", False, True), ("never", False, False)]
)
async def test_reply_mode_decides_what_is_answered_without_a_mention(
    tmp_path: Path, reply_mode: str, talk: bool, picture: bool
) -> None:
    """All messages in its threads, those that name an image, or nothing."""
    async with running_bot(tmp_path, SUN, *[WORDS] * 3) as here:
        asked = await here.draw()
        await here.ask(f"settings set unasked {reply_mode} channel", here.bo)
        await here.hint(here.bo)
        chat = await here.slack.say(here.general, here.ana, "how nice", thread_ts=asked.ts)
        named = await here.slack.say(here.general, here.ana, "is #1 a sun?", thread_ts=asked.ts)
        await here.draw("are you there?", thread_ts=asked.ts)
        answered = {entry.id.partition("-")[2] for entry in here.entries()}
        assert (chat.ts in answered, named.ts in answered) == (talk, picture)


async def test_a_direct_conversation_needs_no_mention_and_no_thread(tmp_path: Path) -> None:
    """It is one conversation, answered in the channel; a thread in it is a conversation of its own."""
    async with running_bot(tmp_path, SUN, RED, WORDS) as here:
        direct = here.slack.direct(here.ana)
        first = await here.slack.say(direct, here.ana, "draw a sun")
        assert (await here.final(first)).thread.thread == "direct"
        second = await here.slack.say(direct, here.ana, "make it red")
        entry = await here.final(second)
        assert (entry.thread.thread, last(here, entry).request.source) == ("direct", 1)
        assert [alts(one) for one in here.said(direct)] == [["#1: a sun"], ["#2: a red sun"]]
        third = await here.slack.say(direct, here.ana, "hi", thread_ts=first.ts)
        assert (await here.final(third)).thread.thread == first.ts
        assert words(here.thread(third)[-1]) == "Hello."


async def test_a_direct_conversation_shows_a_message_at_once(tmp_path: Path) -> None:
    """Outside threads Slack shows no status; the reply can be stopped before its first text."""
    async with running_bot(tmp_path, (None, "Hello.")) as here:
        direct = here.slack.direct(here.ana)
        said = await here.slack.say(direct, here.ana, "hi")
        await here.slack.until(lambda: here.said(direct))
        (reply,) = here.said(direct)
        assert (words(reply), labels(reply)) == ("Thinking…", ["Stop"])
        await here.press(reply, "Stop")
        await here.final(said)
        assert words(reply) == "⚠️ Stopped by Ana." and here.said(direct) == [reply]


async def test_a_thread_on_an_image_of_a_direct_conversation_is_about_it(tmp_path: Path) -> None:
    """It becomes the first image of the new thread."""
    async with running_bot(tmp_path, SUN, RED) as here:
        direct = here.slack.direct(here.ana)
        await here.final(await here.slack.say(direct, here.ana, "draw a sun"))
        (shown,) = here.said(direct)
        entry = await here.say(shown, "make it red")
        (brought,) = entry.uploads
        assert here.files.read(brought.digest) == here.slack.world.files[shown.slack_files[0]].data
        assert last(here, entry).request.source == brought.number == 1


async def test_files_with_a_mention_are_numbered_and_edited(tmp_path: Path) -> None:
    """Up to four; other files are ignored, and a note names the rest."""
    colours = ("red", "green", "blue", "white", "black")
    files = [upload("notes.txt"), *(upload(f"{colour}.png", colour) for colour in colours)]
    async with running_bot(tmp_path, ('<edit of="2">a red sun</edit>',), RED) as here:
        asked = await here.draw("combine them", files=files)
        (entry,) = here.entries()
        assert [each.number for each in entry.uploads] == [1, 2, 3, 4]
        assert (last(here, entry).number, last(here, entry).request.source) == (5, 2)
        assert here.hints() == ["I take at most 4 images with a message. The others were left out."]
        entry = await here.say(asked, "redder", files=[upload("x.png", "navy", check_file_info=True)])
        assert ([each.number for each in entry.uploads], last(here, entry).request.source) == ([6], 6)


async def test_an_edit_is_of_the_newest_or_of_the_named_image(tmp_path: Path) -> None:
    """The caption names the source image."""
    async with running_bot(tmp_path, SUN, MOON, RED, ('<edit of="1">a red sun</edit>',)) as here:
        asked = await here.draw()
        for said, parent in (("and a moon", None), ("make it red", 2), ("make #1 red", 1)):
            assert last(here, await here.say(asked, said)).request.source == parent
        shown = [words(one) for one in here.thread(asked)[2:]]
        assert shown == ["#3 · edit of #2 · a red sun", "#4 · edit of #1 · a red sun"]


async def test_a_mention_in_a_users_thread_brings_its_history(tmp_path: Path) -> None:
    """Earlier messages and their newest images are included, once."""
    async with running_bot(tmp_path, RED, WORDS) as here:
        root = await here.slack.say(here.general, here.bo, "Our mascot:", files=[upload("old.png", "green")])
        for colour in ("red", "white", "blue"):
            await here.slack.say(here.general, here.cid, f"{here.bo.mention} & {colour}?", thread_ts=root.ts,
                                 files=[upload(f"{colour}.png", colour)])  # fmt: skip
        asked = await here.draw("make it red", thread_ts=root.ts)
        (entry,) = here.entries()
        said = ['Bo: "Our mascot:"', *(f'Cid: "@Bo & {colour}?"' for colour in ("red", "white", "blue"))]
        lines = " · ".join(said)
        assert (entry.text, entry.earlier_messages) == ("make it red", lines)
        assert [each.number for each in entry.uploads] == [1, 2, 3] and last(here, entry).request.source == 3
        assert here.files.read(entry.uploads[-1].digest) == upload("blue.png", "blue").data
        await here.say(asked, "thanks")
        assert len(here.slack.called("conversations.replies")) == 1 and here.entries()[-1].text == "thanks"
        await here.slack.edit(asked, f"{here.slack.bot.mention} make it green")
        await here.slack.until(lambda: "Answer again" in labels(here.thread(asked)[0]))
        assert (here.entries()[0].text, here.entries()[0].earlier_messages) == ("make it green", lines)


async def test_a_mention_in_a_long_thread_brings_the_newest_messages(tmp_path: Path) -> None:
    """At most thirty, over pages that start with the oldest; uploads of the mention have priority."""
    async with running_bot(tmp_path, WORDS) as here:
        subscribed, here.slack.events.subscribed = here.slack.events.subscribed, set()
        root = await here.slack.say(here.general, here.bo, "begin", files=[upload()])
        for nth in range(130):
            await here.slack.say(here.general, here.cid, f"number {nth}", thread_ts=root.ts)
        here.slack.events.subscribed = subscribed
        await here.draw("well?", thread_ts=root.ts, files=[upload("own.png", "red")])
        (entry,) = here.entries()
        assert entry.earlier_messages.startswith('Cid: "number 100"') and "number 129" in entry.earlier_messages
        assert len(entry.uploads) == 1 and len(here.slack.called("conversations.replies")) == 2


async def test_a_mention_is_answered_if_its_thread_cannot_be_read(tmp_path: Path) -> None:
    """Without the earlier messages."""
    async with running_bot(tmp_path, WORDS) as here:
        here.slack.web.scopes = {"chat:write", "users:read"}
        root = await here.slack.say(here.general, here.bo, "secret")
        await here.draw("well?", thread_ts=root.ts)
        assert here.entries()[0].text == "well?"


async def test_private_channels_and_groups_are_like_any_other(tmp_path: Path) -> None:
    """The reply is in the thread of the message."""
    async with running_bot(tmp_path, WORDS, WORDS) as here:
        for kind in (Kind.PRIVATE, Kind.GROUP):
            place = here.slack.channel("secret", kind=kind)
            asked = await here.draw("hello", channel=place)
            assert [words(one) for one in here.thread(asked)] == ["Hello."]


async def test_an_edited_message_can_be_answered_again(tmp_path: Path) -> None:
    """Retry answers the new text, in the same message."""
    async with running_bot(tmp_path, SUN, MOON) as here:
        asked = await here.draw()
        await here.slack.edit(asked, f"{here.slack.bot.mention} draw a moon")
        (reply,) = here.thread(asked)
        await here.slack.until(lambda: "Answer again" in labels(reply))
        assert "The message was edited after this answer." in words(reply)
        await here.press(reply, "Answer again")
        await here.slack.until(lambda: alts(reply) == ["#2: a moon"] and "Stop" not in labels(reply))
        assert here.thread(asked) == [reply]


@pytest.mark.parametrize("tombstone", [True, False])
async def test_deleting_a_message_ends_its_reply(tmp_path: Path, tombstone: bool) -> None:
    """Also if Slack keeps a tombstone in its place, because the message has a thread."""
    async with running_bot(tmp_path, ("One ", None, "two")) as here:
        asked = await here.ask()
        await here.model.waiting.wait()
        if tombstone:
            new = {"subtype": "tombstone", "ts": asked.ts, "text": "This message was deleted.", "user": "USLACKBOT"}
            event = {"type": "message", "subtype": "message_changed", "hidden": True, "ts": here.slack.world.ts()}
            old = {"ts": asked.ts, "text": asked.text, "user": here.ana.id}
            about = {"channel": here.general.id, "message": new, "previous_message": old}
            here.slack.events.emit(event | about, here.general)
        else:
            await here.slack.delete(asked)
        entry = await here.final(asked)
        assert entry.view and str(entry.view.status) == "The message was deleted."


async def test_long_text_and_many_images_are_split_without_repetition(tmp_path: Path) -> None:
    """A reply too large for one message becomes several, in order, with buttons below their images."""
    long = "word " * 3_000
    script = (long, *(f"<image>sun {nth}</image>" for nth in range(10)), "The end.")
    async with running_bot(tmp_path, script) as here:
        asked = await here.draw()
        replies = here.thread(asked)
        assert len(replies) == 2 and all(len(reply.blocks) <= 50 for reply in replies)
        assert [alt for reply in replies for alt in alts(reply)] == [f"#{nth + 1}: sun {nth}" for nth in range(10)]
        assert sum(words(reply).count("word") for reply in replies) == 3_000
        assert sum(len(buttons(reply, "Vary")) for reply in replies) == 10 and words(replies[-1]).endswith("The end.")


EVIL = "<!channel> <@U0STRANGER> <!here|x> `<!everyone>` <!subteam^S1> &lt;!channel&gt; @here *a <!channel>*"


async def test_text_of_a_model_mentions_nobody(tmp_path: Path) -> None:
    """Not in text, code, captions, alternative texts or notifications; during the stream and at the end."""
    script = (f"{EVIL}\n```\n{EVIL[:30]}", f"{EVIL}\n```\n", "<", "!channel> ", f"<image>{EVIL}</image>")
    async with running_bot(tmp_path, script, (EVIL, None, "<", None, "@U0STRANGER>")) as here:
        asked = await here.draw(f"{EVIL} draw it")
        assert alts(here.thread(asked)[0])
        said = await here.slack.say(here.general, here.ana, "again", thread_ts=asked.ts)
        await here.model.waiting.wait()
        here.model.go.set()
        await here.final(said)
        assert here.slack.pings == [] and "&lt;!channel" not in words(here.thread(asked)[-1])


@pytest.mark.parametrize("copies", [1, 3])
@pytest.mark.parametrize("mention_first", [True, False])
@pytest.mark.parametrize("files_in_mention", [True, False])
async def test_a_mention_is_answered_once_with_its_files(
    tmp_path: Path, mention_first: bool, files_in_mention: bool, copies: int
) -> None:
    """It arrives as two events in any order, one may lack the files, and each may be repeated."""
    async with running_bot(tmp_path, RED, WORDS) as here:
        here.slack.delivery = Delivery(mention_first=mention_first, files_in_mention=files_in_mention, copies=copies)
        asked = await here.draw("make it red", files=[upload()])
        assert [len(entry.uploads) for entry in here.entries()] == [1] and len(here.thread(asked)) == 1
        await here.ask("usage", thread_ts=asked.ts)
        await here.draw("thanks", thread_ts=asked.ts)
        assert len(here.hints()) == 1 and len(here.model.received) == 2
        assert here.slack.unacknowledged == []


@pytest.mark.parametrize("delivery", [Delivery(message=False), Delivery(mention=False), Delivery(own=False)])
async def test_one_of_the_two_events_is_enough(tmp_path: Path, delivery: Delivery) -> None:
    """If only one of them is subscribed to, or arrives."""
    async with running_bot(tmp_path, SUN) as here:
        here.slack.delivery = delivery
        asked = await here.draw()
        assert len(here.thread(asked)) == 1


async def test_an_event_repeated_after_a_restart_is_known(tmp_path: Path) -> None:
    """Slack repeats an event if it is not sure that it arrived."""
    async with running_bot(tmp_path, RED, WORDS) as here:
        asked = await here.draw("make it red", files=[upload()])
        sent = [one for one in here.slack.link.sent if one.payload["event"].get("ts") == asked.ts]
        await here.restart()
        for envelope in sent:
            assert await here.slack.deliver(type(envelope)(envelope.kind, envelope.payload, 1, "timeout")).settled()
        await here.draw("hello")
        assert len(here.entries()) == 2 and here.entries()[0].view
        assert last(here, here.entries()[0]).request.operation is Operation.EDIT and len(here.thread(asked)) == 1
