"""The Discord double against the real client: what it accepts, what it refuses, and its faults."""

import asyncio
import io
from pathlib import Path

import aiohttp
import discord
import pytest

from tests.support.discord_server import (
    DEFAULT_PERMISSIONS,
    Broken,
    Channel,
    Code,
    DiscordDouble,
    Hang,
    Limited,
    Lose,
    Permission,
    Person,
    Rate,
    Upload,
    busiest,
)
from tests.support.discord_server.aim import aimed
from tests.support.discord_server.client import Bot, buttons, running
from tests.support.discord_server.contract import read
from tests.support.images import PIXEL

POST = "POST /channels/{channel_id}/messages"
PATCH = "PATCH /channels/{channel_id}/messages/{message_id}"


async def test_messages_are_sent_and_received(double: DiscordDouble, channel: Channel, ana: Person, bot: Bot) -> None:
    """The client gets a message with its files; its replies, edits and deletions arrive."""
    said = await double.say(channel, ana, f"{double.bot.mention} a red fox", files=[Upload("fox.png", PIXEL)])
    received = await bot.received.get()
    assert bot.user in received.mentions
    assert received.attachments[0].width == 1
    assert await received.attachments[0].read() == PIXEL
    answer = await received.reply("Here it comes.", allowed_mentions=discord.AllowedMentions.none())
    shown = double.messages(channel)[-1]
    assert (shown.content, shown.reference, shown.mentions) == ("Here it comes.", said.id, [])
    await answer.edit(content="Here it is.")
    assert shown.content == "Here it is." and shown.edited
    await answer.delete()
    assert double.messages(channel) == [said]
    assert [write.kind for write in channel.writes] == ["create", "edit"]
    assert double.violations == []


async def test_files_have_alternative_texts(double: DiscordDouble, channel: Channel, bot: Bot) -> None:
    """Files of a multipart request have descriptions; an edit keeps, adds and removes files."""
    files = [discord.File(_picture(), "fox.png", description="A red fox."), discord.File(_picture(), "hen.png")]
    sent = await bot.place(channel).send("Two.", files=files, view=buttons())
    shown = double.messages(channel)[0]
    assert [(one.filename, one.description) for one in shown.attachments] == [
        ("fox.png", "A red fox."),
        ("hen.png", None),
    ]
    await sent.edit(attachments=[sent.attachments[0], discord.File(_picture(), "owl.png", description="An owl.")])
    assert [one.description for one in shown.attachments] == ["A red fox.", "An owl."]
    assert [one.data for one in shown.attachments] == [PIXEL, PIXEL]
    assert double.violations == []


async def test_a_message_has_one_thread(double: DiscordDouble, channel: Channel, ana: Person, bot: Bot) -> None:
    """The thread has the id of its message; posting unarchives it, editing in it does not."""
    said = await double.say(channel, ana, "a fox")
    received = await bot.received.get()
    thread = await received.create_thread(name="A fox")
    assert thread.id == said.id
    posted = await thread.send("Here.")
    with pytest.raises(discord.HTTPException) as caught:
        await received.create_thread(name="Another")
    assert caught.value.code == 160004
    assert said.thread is not None
    await double.archive(said.thread)
    with pytest.raises(discord.HTTPException) as caught:
        await posted.edit(content="There.")
    assert caught.value.code == 50083
    await thread.send("Again.")
    assert not said.thread.archived
    await double.archive(said.thread)
    await thread.edit(archived=False)
    assert not said.thread.archived
    assert [one.content for one in double.messages(said.thread)] == ["Here.", "Again."]
    assert double.violations == []


async def test_a_nonce_posts_one_message(double: DiscordDouble, channel: Channel, bot: Bot) -> None:
    """The same nonce within minutes returns the first message."""
    first = await bot.place(channel).send("Once.", nonce="job-1")
    again = await bot.place(channel).send("Twice.", nonce="job-1")
    assert again.id == first.id
    assert [one.content for one in double.messages(channel)] == ["Once."]
    channel.nonces.clear()  # minutes later
    assert (await bot.place(channel).send("Later.", nonce="job-1")).id != first.id


async def test_the_client_waits_for_a_rate_limit(double: DiscordDouble, channel: Channel, bot: Bot) -> None:
    """A 429 with the proxy's header is retried; without it, it is raised."""
    double.fail(POST, Limited(0.01), times=2)
    await bot.place(channel).send("Slow down.")
    assert len(double.calls(POST)) == 3
    double.fail(POST, Limited(0.01, via=False))
    with pytest.raises(discord.HTTPException) as caught:
        await bot.place(channel).send("Banned.")
    assert caught.value.status == 429


async def test_a_channel_has_a_rate_limit() -> None:
    """Responses state what is left, so that the client waits, and no span exceeds the rate."""
    rate = Rate(2, 0.2)
    async with DiscordDouble(rate=rate) as double:
        channel = double.channel(double.guild())
        with aimed(double):
            async with running(Bot()) as bot:
                for number in range(5):
                    await bot.place(channel).send(str(number))
        assert len(double.calls(POST)) == 5
        assert busiest(channel.writes, rate.seconds / 2) <= rate.limit
        assert channel.writes[-1].at - channel.writes[0].at >= rate.seconds


async def test_a_lost_response_still_posts_the_message(double: DiscordDouble, channel: Channel, bot: Bot) -> None:
    """The message exists although the client got no response; its nonce finds it."""
    double.fail(POST, Lose())
    with pytest.raises((aiohttp.ClientError, OSError)):
        await bot.place(channel).send("Hello.", nonce="job-2")
    assert [one.content for one in double.messages(channel)] == ["Hello."]
    await bot.place(channel).send("Hello.", nonce="job-2")
    assert [one.content for one in double.messages(channel)] == ["Hello."]


async def test_a_request_hangs(double: DiscordDouble, channel: Channel, bot: Bot) -> None:
    """Nothing happens until the test releases it."""
    double.fail(POST, Hang())
    sending = asyncio.create_task(bot.place(channel).send("Slow."))
    await double.until(lambda: double.rest.hung)
    assert double.messages(channel) == []
    double.release()
    await sending
    assert [one.content for one in double.messages(channel)] == ["Slow."]


async def test_an_old_message_is_edited_too_often(double: DiscordDouble, channel: Channel, bot: Bot) -> None:
    """The limit for old messages looks like any rate limit, so the client tries five times first."""
    sent = await bot.place(channel).send("Old.")
    double.fail(PATCH, Code(30046), times=5)
    with pytest.raises(discord.HTTPException) as caught:
        await sent.edit(content="Newer.")
    assert (caught.value.status, caught.value.code) == (429, 30046)
    assert double.messages(channel)[0].content == "Old."


async def test_a_server_error_is_raised(double: DiscordDouble, channel: Channel, bot: Bot) -> None:
    """The caller gets a 503 at once: the client does not retry."""
    double.fail(POST, Broken(503))
    with pytest.raises(discord.DiscordServerError):
        await bot.place(channel).send("Anyone?")
    assert len(double.calls(POST)) == 1


async def test_a_layout_shows_its_files(double: DiscordDouble, channel: Channel, bot: Bot) -> None:
    """Components of the second version get addresses for their files, and replace the content."""
    view = discord.ui.LayoutView(timeout=None)
    gallery = discord.ui.MediaGallery[discord.ui.LayoutView]()
    gallery.add_item(media="attachment://fox.png", description="A red fox.")
    view.add_item(discord.ui.Container(discord.ui.TextDisplay("Here."), gallery))
    sent = await bot.place(channel).send(view=view, file=discord.File(_picture(), "fox.png"))
    container = sent.components[0]
    assert isinstance(container, discord.Container)
    shown = container.children[1]
    assert isinstance(shown, discord.MediaGalleryComponent)
    assert shown.items[0].media.url.startswith(double.cdn_url)
    with pytest.raises(discord.HTTPException) as caught:
        await sent.edit(content="Words.")
    assert caught.value.code == 50035
    assert double.violations == []


async def test_missing_permissions_are_refused(double: DiscordDouble, ana: Person) -> None:
    """Permissions decide what the bot may do, files have a size limit, and any code can be planned."""
    channel = double.channel(double.guild(bot=DEFAULT_PERMISSIONS, people=DEFAULT_PERMISSIONS))
    async with running(Bot()) as bot:
        place = bot.place(channel)
        with pytest.raises(discord.HTTPException) as caught:
            await place.send(file=discord.File(_picture(11 * 2**20), "big.png"))
        assert (caught.value.status, caught.value.code) == (413, 40005)
        double.deny(channel, Permission.ATTACH_FILES)
        with pytest.raises(discord.Forbidden) as caught:
            await place.send(file=discord.File(_picture(), "fox.png"))
        assert caught.value.code == 50013
        double.deny(channel, Permission.VIEW_CHANNEL)
        with pytest.raises(discord.Forbidden) as caught:
            await place.send("Hello?")
        assert caught.value.code == 50001
        double.fail(POST, Code(10003), where=lambda asked: asked.number("channel_id") == channel.id)
        with pytest.raises(discord.NotFound):
            await place.send("Hello?")


async def test_history_is_read_in_pages(double: DiscordDouble, channel: Channel, ana: Person, bot: Bot) -> None:
    """After, before and around a message; nothing without the permission."""
    said = [await double.say(channel, ana, str(number)) for number in range(5)]
    place = bot.place(channel)
    middle = discord.Object(said[2].id)
    assert [one.content async for one in place.history(after=middle)] == ["3", "4"]
    assert [one.content async for one in place.history(before=middle)] == ["1", "0"]
    assert [one.content async for one in place.history(around=middle, limit=3)] == ["3", "2", "1"]
    assert (await place.fetch_message(said[1].id)).content == "1"
    double.deny(channel, Permission.READ_MESSAGE_HISTORY)
    assert [one async for one in place.history()] == []


@pytest.mark.skipif(read() is None, reason="Discord's OpenAPI document is not here")
async def test_a_contract_violation_is_recorded(double: DiscordDouble, channel: Channel, bot: Bot) -> None:
    """A body that Discord's document forbids is refused, with the place and the reason."""
    with pytest.raises(discord.HTTPException) as caught:
        await bot.place(channel).send(file=discord.File(_picture(), "fox.png", description="x" * 1025))
    assert (caught.value.status, caught.value.code) == (400, 50035)
    assert double.validated
    assert [(one.route, one.where) for one in double.violations] == [(POST, "$.attachments[0].description")]
    assert double.messages(channel) == []


async def test_a_text_has_at_most_2000_characters(double: DiscordDouble, channel: Channel, bot: Bot) -> None:
    """The limit for bots is stricter than the document, and is checked without it."""
    with pytest.raises(discord.HTTPException):
        await bot.place(channel).send("x" * 2001)
    assert [(one.route, one.where) for one in double.violations] == [(POST, "$.content")]
    await bot.place(channel).send("x" * 2000)
    assert double.rest.statuses[400] == 1


async def test_nothing_is_checked_without_the_document(tmp_path: Path) -> None:
    """Without Discord's document there is no contract."""
    assert read(tmp_path / "openapi.json") is None


async def test_typing_and_direct_messages(double: DiscordDouble, channel: Channel, ana: Person, bot: Bot) -> None:
    """The bot types in a channel, and opens a direct conversation."""
    async with bot.place(channel).typing():
        assert double.world.typing == [channel]
    user = await bot.fetch_user(ana.id)
    await user.send("Psst.")
    assert [one.content for one in double.messages(double.direct(ana))] == ["Psst."]


def _picture(size: int = 0) -> io.BytesIO:
    return io.BytesIO(PIXEL + bytes(size))
