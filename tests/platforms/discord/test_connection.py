"""The bot on Discord over real sockets: what people see, whatever becomes of requests and of the connection."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.discord.platform import NO_MESSAGE_CONTENT, Account, Discord
from bot.errors import ConfigError
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
    """A Discord that finds no fault with what it is sent."""
    async with DiscordDouble() as double:
        with aimed(double):
            yield double
    assert double.violations == []
    assert double.rest.faults.planned == []


@pytest.fixture
def channel(double: DiscordDouble) -> Channel:
    """A channel of a server."""
    return double.channel(double.guild())


@pytest.fixture
def ana(double: DiscordDouble) -> Person:
    """Somebody."""
    return double.person("Ana")


def check_sun(double: DiscordDouble, place: Channel | Message) -> None:
    """The reply is whole: words, picture, words, each once and as they were said last."""
    words, picture, rest = replies(double, place)
    assert (words.content, rest.content) == ("Here it is:", "Enjoy!")
    assert picture.content.startswith("**#1**")
    assert [each.filename for each in picture.attachments] == ["a-sun.png"]
    assert not words.attachments and not rest.attachments


async def final(double: DiscordDouble, here: ConnectedBot, asked: Message) -> None:
    """Wait for the end of a reply."""
    await double.until(lambda: str(asked.id) in here.platform.final)
    assert not any(map(under_way, replies(double, asked)))


async def answered(double: DiscordDouble, here: ConnectedBot, asked: Message) -> None:
    """Wait for the end of a reply about a sun, and look at all of it."""
    await final(double, here, asked)
    check_sun(double, asked)


# What people see


async def test_a_question_gets_a_thread_and_a_reply_to_its_picture_an_edit(
    double: DiscordDouble, channel: Channel, ana: Person, tmp_path: Path
) -> None:
    """Words and picture in their places, the picture with alt text and buttons; a reply to it changes that one."""
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


async def test_words_stream_before_the_end(
    double: DiscordDouble, channel: Channel, ana: Person, tmp_path: Path
) -> None:
    """The first words are there, with a way to stop, while the model is still writing."""
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
async def test_a_request_that_fails_costs_nothing(
    double: DiscordDouble, channel: Channel, ana: Person, tmp_path: Path, route: str, fault: Fault
) -> None:
    """Whatever becomes of a request in the middle of a reply, in the end all is there once, in its newest form."""
    async with running_bot(double, tmp_path, HELD) as here:
        await ready(double, here)
        double.fail(route, fault)
        asked = await ask(double, channel, ana)
        await here.model.waiting.wait()
        await double.until(lambda: any(under_way(each) for each in replies(double, asked)))
        here.model.go.set()
        await answered(double, here, asked)


def with_file(asked: Asked) -> bool:
    """Whether a request brings a picture."""
    return bool(asked.uploads)


async def test_a_picture_whose_post_is_lost_comes_once(
    double: DiscordDouble, channel: Channel, ana: Person, tmp_path: Path
) -> None:
    """Discord took the message with the file, and nobody was told."""
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


async def test_the_library_tries_again_after_an_error_of_the_server(
    double: DiscordDouble, channel: Channel, ana: Person, tmp_path: Path
) -> None:
    """An internal error is gone the second time."""
    async with running_bot(double, tmp_path, SUN) as here:
        await ready(double, here)
        double.fail(POST, Broken(500))
        await answered(double, here, await ask(double, channel, ana))


async def test_a_write_that_hangs_holds_up_nobody_else(
    double: DiscordDouble, channel: Channel, ana: Person, tmp_path: Path
) -> None:
    """Another thread is answered meanwhile; and what hung is made good when it goes on."""
    async with running_bot(double, tmp_path, SUN, SUN) as here:
        await ready(double, here)
        double.fail(POST, Hang())
        first = await ask(double, channel, ana)
        await double.until(lambda: double.rest.hung == 1)
        await answered(double, here, await ask(double, channel, ana))
        assert not replies(double, first)
        double.release()
        await answered(double, here, first)


async def test_a_channel_takes_no_more_than_its_share(double: DiscordDouble, ana: Person, tmp_path: Path) -> None:
    """However many messages make up a reply, its thread gets no more writes in a while than it takes."""
    channel = double.channel(double.guild())
    async with running_bot(double, tmp_path, SUN, rate=(5, 1.0)) as here:
        await ready(double, here)
        asked = await ask(double, channel, ana)
        await answered(double, here, asked)
        assert asked.thread and busiest(asked.thread.writes, 1.0) <= 5


# The connection


async def test_what_was_said_during_a_break_is_replayed(
    double: DiscordDouble, channel: Channel, ana: Person, tmp_path: Path
) -> None:
    """The session goes on, and so does the talk."""
    async with running_bot(double, tmp_path, SUN) as here:
        await ready(double, here)
        double.gateway.drop()
        asked = await ask(double, channel, ana)
        await answered(double, here, asked)
        assert double.gateway.identified == 1
        assert sum(session.resumed for session in double.gateway.sessions.values()) == 1


async def test_what_was_missed_is_read_from_the_history(
    double: DiscordDouble, channel: Channel, ana: Person, tmp_path: Path
) -> None:
    """A session that is lost takes events along: they are looked for, and answered once."""
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


async def test_a_question_that_comes_while_it_gets_ready_hides_none_before_it(
    double: DiscordDouble, channel: Channel, ana: Person, tmp_path: Path
) -> None:
    """The newest message is no sign that those before it were seen."""
    async with running_bot(double, tmp_path, SUN, SUN, guild_ready_timeout=0.3) as here:
        await ready(double, here)
        double.gateway.forget()
        double.gateway.drop()
        missed = await ask(double, channel, ana)
        await double.until(lambda: double.gateway.identified == 2)
        heard = await ask(double, channel, ana)
        await answered(double, here, heard)
        await answered(double, here, missed)


async def test_an_event_that_comes_again_is_answered_once(
    double: DiscordDouble, channel: Channel, ana: Person, tmp_path: Path
) -> None:
    """Discord may tell of a message twice, at once or later."""
    async with running_bot(double, tmp_path, SUN, SUN) as here:
        await ready(double, here)
        asked = await ask(double, channel, ana)
        double.gateway.tell("MESSAGE_CREATE", asked)
        await answered(double, here, asked)
        double.gateway.tell("MESSAGE_CREATE", asked)
        await answered(double, here, await ask(double, channel, ana))
        check_sun(double, asked)
        assert not here.model.scripts and len(here.renderer.jobs) == 2


async def test_an_event_that_cannot_be_read_ends_one_connection(
    double: DiscordDouble, channel: Channel, ana: Person, tmp_path: Path
) -> None:
    """Another one is made, on which a reply that was under way is finished and the next question answered."""
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


async def test_it_tells_whether_it_is_connected(double: DiscordDouble, channel: Channel, tmp_path: Path) -> None:
    """And how long ago Discord last gave a sign of life."""
    double.gateway.heartbeat_seconds = 0.05
    async with running_bot(double, tmp_path) as here:
        assert here.platform.health() == {"connected": False, "last_heartbeat": None, "message_content": True}
        await ready(double, here)
        await double.until(lambda: double.gateway.beats > 2)
        told = here.platform.health()
        assert told["connected"] and told["message_content"] and 0 <= told["last_heartbeat"] < 5
        double.gateway.down = True
        double.gateway.drop()
        await double.until(lambda: not double.gateway.lines)
        assert not here.platform.health()["connected"]


async def test_it_does_without_what_it_may_not_read(
    double: DiscordDouble, channel: Channel, ana: Person, tmp_path: Path
) -> None:
    """Where the message content intent is not granted, mentions are answered, and people can know."""
    double.gateway.approved = 0
    async with running_bot(double, tmp_path, SUN) as here:
        await ready(double, here)
        assert here.notes == [NO_MESSAGE_CONTENT] and not here.platform.health()["message_content"]
        asked = await ask(double, channel, ana)
        await answered(double, here, asked)
        assert not double.gateway.sees_content


def test_people_can_know_that_the_intent_is_not_asked_for(tmp_path: Path) -> None:
    """Where the operator wants it so, Discord need not refuse anything first."""
    store, told = Store(tmp_path / "db.sqlite"), list[str]()
    for content in (True, False):
        Discord(Account("token", message_content=content), store, store.posts, lambda digest: b"", told.append)
    assert told == [NO_MESSAGE_CONTENT]
    store.close()


async def test_a_token_that_is_refused_ends_the_program_with_its_name(double: DiscordDouble, tmp_path: Path) -> None:
    """Nothing can be done without a person."""
    async with running_bot(double, tmp_path, token="another") as here:
        await asyncio.wait({here.running})
        error = here.running.exception()
        assert isinstance(error, ExceptionGroup)
        assert error.subgroup(lambda each: isinstance(each, ConfigError) and "DISCORD_TOKEN" in str(each))


async def test_shards_share_one_bot(double: DiscordDouble, ana: Person, tmp_path: Path) -> None:
    """Servers of both halves are served; a half that lost its session is caught up with, the other one goes on."""
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
