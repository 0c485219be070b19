"""Slash commands on Slack, and the same as words in threads, where Slack allows no commands."""

from functools import partial
from pathlib import Path

import pytest

from bot.domain import Sampling
from tests.support.slack_server import NotInThreads
from tests.support.slack_workspace import RED, SUN, WORDS, alts, running_bot


async def test_imagine_generates_directly(tmp_path: Path) -> None:
    """Below a message that says who asked for what, which mentions nobody."""
    async with running_bot(tmp_path, RED) as here:
        text = "a <!channel> fox &amp; me --ratio 16:9 —count 2 --seed=7 --no 'fog and rain' --model sketch"
        await here.command(text, name="/imagine")
        entry = await here.newest(0)
        (said,) = here.said(here.general)
        assert said.text == "Ana asks for: a &lt;!channel&gt; fox &amp; me" and entry.thread.thread == said.ts
        assert [job.request.sampling for job in here.renderer.jobs] == [
            Sampling(seed, "16:9", "fog and rain", "sketch") for seed in (7, 8)
        ]
        (reply,) = here.thread(said)
        assert len(alts(reply)) == 2
        assert (await here.say(said, "make it red")).thread == entry.thread


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("", "Write what the image shows: /imagine a fox in the snow"),
        ("a fox --size 7", "There is no option --size. The options are --ratio, --count, --model, --seed, and --no."),
        ("a fox --seed", "Write something after --seed."),
        ("a fox --seed seven", "--seed must be a whole number, not “seven”."),
        ("a fox --seed 2147483648", "--seed must be at most 2147483647, not 2147483648."),
        ("a fox --ratio huge", "Give the aspect ratio as 16:9, not “huge”."),
        ("a fox --count 99", "You can ask for 1 to 4 images, not 99."),
        ("a fox --model <!here>", "There is no image model “<\u200b!here>”. You can choose default and sketch."),
    ],
)
async def test_imagine_explains_an_invalid_request(tmp_path: Path, text: str, output: str) -> None:
    """To the user who gave the command, and nothing is left in the channel."""
    async with running_bot(tmp_path) as here:
        await here.command(text, name="/imagine")
        assert await here.hint() == output
        await here.slack.until(lambda: here.said(here.general) == [])
        assert here.entries() == []


async def test_a_command_is_answered_where_the_bot_is_no_member(tmp_path: Path) -> None:
    """The answer says how to invite it."""
    async with running_bot(tmp_path) as here:
        away = here.slack.channel("elsewhere", member=False)
        await here.command("a fox", name="/imagine", channel=away)
        assert await here.hint() == "I am not in this channel. /invite me first."
        await here.command("usage", channel=away)
        assert (await here.hint(count=2)).startswith("You: **0 images**")


async def test_imagine_in_a_direct_conversation_is_part_of_it(tmp_path: Path) -> None:
    """The next message is about that image."""
    async with running_bot(tmp_path, RED) as here:
        direct = here.slack.direct(here.ana)
        await here.command("a fox", name="/imagine", channel=direct)
        await here.newest(0)
        entry = await here.final(await here.slack.say(direct, here.ana, "make it red"))
        assert here.store.pictures(entry.thread)[-1].request.source == 1


async def test_commands_are_answered_to_one_user(tmp_path: Path) -> None:
    """Every command, and help for an unknown one."""
    async with running_bot(tmp_path, SUN) as here:
        await here.draw()
        output = {
            "queue": "Generating: 0.",
            "usage": "You: **1 image**",
            "cancel": "Nothing is in progress here.",
            "images": "Slack does not allow commands in threads. Mention me in the thread with the word `images`",
            "pictures": "Slack does not allow commands in threads. Mention me in the thread with the word `pictures`",
            "export": "Slack does not allow commands",
            "forget": "Slack does not allow commands",
            "forget settings": "Your own",
            "help": "**Ask me for images",
            "": "**Ask me for",
            "draw a cat": "There is no command “draw a cat”. For an image, use `/imagine`",
            "settings set count 3": "Images per request for you: **3**.",
        }
        for count, (text, begins) in enumerate(output.items(), 1):
            await here.command(text)
            assert (await here.hint(count=count)).startswith(begins)
        with pytest.raises(NotInThreads):
            await here.slack.command(here.ana, here.general, "/minidalle", "help", thread_ts=here.entries()[0].id)


async def test_thread_commands_work_in_a_direct_conversation(tmp_path: Path) -> None:
    """It is one long thread."""
    async with running_bot(tmp_path, SUN) as here:
        direct = here.slack.direct(here.ana)
        await here.final(await here.slack.say(direct, here.ana, "draw a sun"))
        await here.command("forget", channel=direct)
        assert await here.hint() == "Deleted from this thread: 1 message and 1 image."


async def test_in_a_thread_a_mention_with_one_word_is_a_command(tmp_path: Path) -> None:
    """The version history and the ZIP are files for everybody; other text is for the chat model."""
    async with running_bot(tmp_path, SUN, WORDS) as here:
        asked = await here.draw()
        here.slack.uploads.polls = 0  # Slack looks at files at once
        for word in ("images", "pictures", "export"):  # `pictures` is the old name
            shown = len(here.thread(asked))
            await here.ask(word, thread_ts=asked.ts)
            await here.slack.until(partial(lambda before: len(here.thread(asked)) > before, shown))
        assert [one.files[0].name for one in here.thread(asked)[1:]] == ["pictures.png", "pictures.png", "thread.zip"]
        assert all(hint.startswith("- **#1** generated: a sun") for hint in here.hints()[:2])
        await here.draw("forget it", thread_ts=asked.ts)
        await here.ask("forget", thread_ts=asked.ts)
        assert await here.hint(count=4) == "Deleted from this thread: 2 messages and 1 image."


async def test_settings_can_have_long_values(tmp_path: Path) -> None:
    """The scope stands at the end; a value may have many words."""
    async with running_bot(tmp_path) as here:
        await here.ask("settings set persona You are a pirate of few words. thread")
        assert await here.hint() == "Persona for this thread: **You are a pirate of few words.**."
        await here.command("settings set ratio")
        assert "Aspect ratio must be one of default, 1:1" in await here.hint(count=2)
        await here.command("settings channel")
        assert "(`who_can_edit_settings`)" not in await here.hint(count=3) and "(`blocked_words`)" in here.hints()[-1]


async def test_users_are_listed_by_mention(tmp_path: Path) -> None:
    """A mention in a setting keeps its id, because names are not unique."""
    async with running_bot(tmp_path, SUN) as here:
        await here.ask(f"settings set blocked {here.cid.mention} server", here.bo)
        assert (await here.hint(here.bo)).startswith("Blocked for this server")
        await here.ask("draw a sun", here.cid)
        assert await here.hint(here.cid) == "A manager has blocked you or this channel for me."


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
        asked = await here.draw()
        named = {"blocked": here.cid, "allowed": here.ana}[key]
        await here.ask(f"settings set {key} {named.mention} server", here.bo)
        await here.hint(here.bo)
        await here.slack.say(here.general, here.cid, "how nice", thread_ts=asked.ts)
        await here.ask("and a moon", here.cid, thread_ts=asked.ts)
        await here.hint(here.cid)
        await here.say(asked, "thanks")
        assert here.hints(here.cid) == [refusal] and len(here.entries()) == 2
