"""The bot on Discord over real sockets, with failing requests and lost connections."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.discord.platform import NO_MESSAGE_CONTENT, Account, Discord
from bot.errors import ConfigError
from bot.notices import UserText
from bot.storage.store import Store
from tests.support.discord_connection import ConnectedBot, ask, ready, replies, running_bot, under_way
from tests.support.discord_server import Broken, Channel, DiscordDouble, Hang, Limited, Lose, Message, Person, busiest
from tests.support.discord_server.aim import aimed
from tests.support.discord_server.contract import read
from tests.support.discord_server.faults import Asked, Fault

POST = "POST /channels/{channel_id}/messages"
PATCH = "PATCH /channels/{channel_id}/messages/{message_id}"
THREAD = "POST /channels/{channel_id}/messages/{message_id}/threads"
HISTORY = "GET /channels/{channel_id}/messages"
SUN = ["Here it is: ", "<image>a sun</image>", " Enjoy!"]
HELD = ["Here ", None, "it is: ", "<image>a sun</image>", " Enjoy!"]  # waits until the test says `go`


@pytest.fixture
async def double() -> AsyncIterator[DiscordDouble]:
    """A Discord double that must have found no invalid request at the end."""
    async with DiscordDouble() as double:
        with aimed(double):
            yield double
    assert double.violations == []
    assert double.rest.faults.planned == []


def check_sun(double: DiscordDouble, place: Channel | Message) -> None:
    """Assert that the reply is whole: text, image, text, each once and in its newest form."""
    words, picture, rest = replies(double, place)
    assert (words.content, rest.content) == ("Here it is:", "Enjoy!")
    assert picture.content.startswith("**#1**")
    assert [each.filename for each in picture.attachments] == ["a-sun.png"]
    assert not words.attachments and not rest.attachments


async def final(double: DiscordDouble, here: ConnectedBot, asked: Message) -> None:
    """Wait until a reply is final."""
    await double.until(lambda: str(asked.id) in here.platform.final)
    assert not any(map(under_way, replies(double, asked)))


async def answered(double: DiscordDouble, here: ConnectedBot, asked: Message) -> None:
    """Wait until a reply about a sun is final, and check all of it."""
    await final(double, here, asked)
    check_sun(double, asked)


# What people see


async def test_a_mention_gets_a_thread_and_a_reply_to_its_image_an_edit(
    double: DiscordDouble, channel: Channel, ana: Person, tmp_path: Path
) -> None:
    """Text and image in order, with alternative text and buttons."""
    async with running_bot(double, tmp_path, SUN, ["<edit>a red sun</edit>"]) as here:
        await ready(double, here)
        asked = await ask(double, channel, ana)
        await answered(double, here, asked)
        assert asked.thread and asked.thread.name == "draw a sun"
        picture = replies(double, asked)[1]
        assert picture.attachments[0].description == "#1: a sun"
        assert [name.split(":")[1] for name in picture.custom_ids] == [
            "vary",
            "edit",
            "upscale",
            "redo",
            "details",
            "delete",
        ]
        await final(double, here, await double.say(asked.thread, ana, "make it red", reference=picture.id))
        edit = replies(double, asked)[3]
        assert edit.content.startswith("**#2**") and "edit of" in edit.content
        assert double.validated or read() is None


async def test_text_is_shown_while_it_streams(
    double: DiscordDouble, channel: Channel, ana: Person, tmp_path: Path
) -> None:
    """The first text and a Stop button are shown while the model still writes."""
    async with running_bot(double, tmp_path, HELD) as here:
        await ready(double, here)
        asked = await ask(double, channel, ana)
        await here.model.waiting.wait()
        await double.until(lambda: replies(double, asked)[-1:] and "Here" in replies(double, asked)[-1].content)
        assert under_way(replies(double, asked)[-1])
        here.model.go.set()
        await answered(double, here, asked)


# Requests that fail


@pytest.mark.parametrize("route", [POST, PATCH, THREAD])
@pytest.mark.parametrize(
    "fault", [Limited(0.01), Limited(0.01, via=False), Broken(503), Lose()], ids=["limited", "banned", "503", "lost"]
)
async def test_a_failed_request_loses_nothing(
    double: DiscordDouble, channel: Channel, ana: Person, tmp_path: Path, route: str, fault: Fault
) -> None:
    """Whichever request fails during a reply, in the end each message is there once in its newest form."""
    async with running_bot(double, tmp_path, HELD) as here:
        await ready(double, here)
        double.fail(route, fault)
        asked = await ask(double, channel, ana)
        await here.model.waiting.wait()
        await double.until(lambda: any(under_way(each) for each in replies(double, asked)))
        here.model.go.set()
        await answered(double, here, asked)


def with_file(asked: Asked) -> bool:
    """Return whether a request has an image."""
    return bool(asked.uploads)


async def test_an_image_whose_response_is_lost_is_posted_once(
    double: DiscordDouble, channel: Channel, ana: Person, tmp_path: Path
) -> None:
    """Discord posted the message with the file, but the response was lost."""
    async with running_bot(double, tmp_path, SUN, SUN) as here:
        await ready(double, here)
        double.fail(POST, Lose(), where=with_file)
        await answered(double, here, await ask(double, channel, ana))
        here.renderer.held.add("a sun")  # so that its place is taken by a few words first
        asked = await ask(double, channel, ana)
        await double.until(lambda: "#1" in "".join(each.content for each in replies(double, asked)))
        double.fail(PATCH, Lose(), where=with_file)
        here.renderer.go.set()
        await answered(double, here, asked)


async def test_the_library_retries_after_a_server_error(
    double: DiscordDouble, channel: Channel, ana: Person, tmp_path: Path
) -> None:
    """The second request succeeds."""
    async with running_bot(double, tmp_path, SUN) as here:
        await ready(double, here)
        double.fail(POST, Broken(500))
        await answered(double, here, await ask(double, channel, ana))


async def test_a_hanging_request_delays_no_other_thread(
    double: DiscordDouble, channel: Channel, ana: Person, tmp_path: Path
) -> None:
    """Another thread is answered; the reply is completed when the request continues."""
    async with running_bot(double, tmp_path, SUN, SUN) as here:
        await ready(double, here)
        double.fail(POST, Hang())
        first = await ask(double, channel, ana)
        await double.until(lambda: double.rest.hung == 1)
        await answered(double, here, await ask(double, channel, ana))
        assert not replies(double, first)
        double.release()
        await answered(double, here, first)


async def test_writes_to_a_channel_keep_its_rate_limit(double: DiscordDouble, ana: Person, tmp_path: Path) -> None:
    """However many messages a reply has, its thread gets no more writes than the limit."""
    channel = double.channel(double.guild())
    async with running_bot(double, tmp_path, SUN, rate=(5, 1.0)) as here:
        await ready(double, here)
        asked = await ask(double, channel, ana)
        await answered(double, here, asked)
        assert asked.thread and busiest(asked.thread.writes, 1.0) <= 5


# The connection


async def test_messages_during_a_disconnect_are_replayed(
    double: DiscordDouble, channel: Channel, ana: Person, tmp_path: Path
) -> None:
    """The session is resumed, and the conversation continues."""
    async with running_bot(double, tmp_path, SUN) as here:
        await ready(double, here)
        double.gateway.drop()
        asked = await ask(double, channel, ana)
        await answered(double, here, asked)
        assert double.gateway.identified == 1
        assert sum(session.resumed for session in double.gateway.sessions.values()) == 1


async def test_missed_messages_are_read_from_the_history(
    double: DiscordDouble, channel: Channel, ana: Person, tmp_path: Path
) -> None:
    """A lost session loses events: the bot looks for the messages, and answers each once."""
    async with running_bot(double, tmp_path, SUN, SUN, SUN) as here:
        await ready(double, here)
        first = await ask(double, channel, ana)
        await answered(double, here, first)
        double.gateway.forget()
        double.gateway.drop()
        missed = await ask(double, channel, ana)
        assert first.thread
        followed = await double.say(first.thread, ana, "draw a sun, too")
        await answered(double, here, missed)
        await final(double, here, followed)
        assert double.gateway.identified == 2
        assert here.store.knows_message(str(followed.id)) and len(replies(double, first)) == 6


async def test_a_message_during_startup_hides_no_earlier_message(
    double: DiscordDouble, channel: Channel, ana: Person, tmp_path: Path
) -> None:
    """The newest message does not prove that earlier ones were handled."""
    async with running_bot(double, tmp_path, SUN, SUN, guild_ready_timeout=0.3) as here:
        await ready(double, here)
        double.gateway.forget()
        double.gateway.drop()
        missed = await ask(double, channel, ana)
        await double.until(lambda: double.gateway.identified == 2)
        received = await ask(double, channel, ana)
        await answered(double, here, received)
        await answered(double, here, missed)


async def test_a_repeated_event_is_answered_once(
    double: DiscordDouble, channel: Channel, ana: Person, tmp_path: Path
) -> None:
    """Discord may send a message twice, at once or later."""
    async with running_bot(double, tmp_path, SUN, SUN) as here:
        await ready(double, here)
        asked = await ask(double, channel, ana)
        double.gateway.tell("MESSAGE_CREATE", asked)
        await answered(double, here, asked)
        double.gateway.tell("MESSAGE_CREATE", asked)
        await answered(double, here, await ask(double, channel, ana))
        check_sun(double, asked)
        assert not here.model.scripts and len(here.renderer.jobs) == 2


async def test_a_malformed_event_ends_one_connection(
    double: DiscordDouble, channel: Channel, ana: Person, tmp_path: Path
) -> None:
    """The next connection finishes the running reply and answers the next message."""
    async with running_bot(double, tmp_path, HELD, SUN) as here:
        await ready(double, here)
        begun = await ask(double, channel, ana)
        await double.until(lambda: replies(double, begun))
        double.gateway.dispatch("MESSAGE_CREATE", {"id": "not a number"})
        await double.until(lambda: not double.gateway.connected)
        missed = await ask(double, channel, ana)
        here.model.go.set()
        await double.until(lambda: not here.platform.health()["connected"])
        await answered(double, here, missed)
        await answered(double, here, begun)


async def test_health_reports_the_connection(double: DiscordDouble, channel: Channel, tmp_path: Path) -> None:
    """And the age of the last heartbeat."""
    double.gateway.heartbeat_seconds = 0.05
    async with running_bot(double, tmp_path) as here:
        assert here.platform.health() == {"connected": False, "last_heartbeat": None, "message_content": True}
        await ready(double, here)
        await double.until(lambda: double.gateway.beats > 2)
        output = here.platform.health()
        assert output["connected"] and output["message_content"] and 0 <= output["last_heartbeat"] < 5
        double.gateway.down = True
        double.gateway.drop()
        await double.until(lambda: not double.gateway.lines)
        assert not here.platform.health()["connected"]


async def test_it_works_without_the_message_content_intent(
    double: DiscordDouble, channel: Channel, ana: Person, tmp_path: Path
) -> None:
    """If the intent is not granted, mentions are answered, and a note explains it."""
    double.gateway.approved = 0
    async with running_bot(double, tmp_path, SUN) as here:
        await ready(double, here)
        assert here.notes == [NO_MESSAGE_CONTENT] and not here.platform.health()["message_content"]
        asked = await ask(double, channel, ana)
        await answered(double, here, asked)
        assert not double.gateway.sees_content


def test_a_note_says_that_the_intent_is_not_requested(tmp_path: Path) -> None:
    """If the operator switched it off, Discord does not have to refuse it first."""
    store, output = Store(tmp_path / "db.sqlite"), list[UserText]()
    for content in (True, False):
        Discord(Account("token", message_content=content), store, store.posts, lambda digest: b"", output.append)
    assert output == [NO_MESSAGE_CONTENT]
    store.close()


async def test_a_refused_token_ends_the_program_with_its_name(double: DiscordDouble, tmp_path: Path) -> None:
    """Only the operator can fix it."""
    async with running_bot(double, tmp_path, token="another") as here:
        await asyncio.wait({here.running})
        error = here.running.exception()
        assert isinstance(error, ExceptionGroup)
        assert error.subgroup(lambda each: isinstance(each, ConfigError) and "DISCORD_TOKEN" in str(each))


async def test_shards_share_one_bot(double: DiscordDouble, ana: Person, tmp_path: Path) -> None:
    """Servers of both shards are answered; a shard that lost its session catches up alone."""
    double.shards = 2
    channels: dict[int, Channel] = {}
    while len(channels) < 2:
        guild = double.guild()
        channels[(guild.id >> 22) % 2] = double.channel(guild)
    async with running_bot(double, tmp_path, *[SUN] * 4) as here:
        await ready(double, here)
        for channel in channels.values():
            await answered(double, here, await ask(double, channel, ana))
        lost = next(session for session in double.gateway.sessions.values() if session.shard[0] == 0)
        del double.gateway.sessions[lost.id]
        missed = await ask(double, channels[0], ana)
        await answered(double, here, await ask(double, channels[1], ana))
        assert lost.line
        lost.line.send(9, False)
        await answered(double, here, missed)
        assert double.gateway.identified == 3
        assert len(here.platform.health()) == 3
