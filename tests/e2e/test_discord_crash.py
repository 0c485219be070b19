"""The bot is killed in the middle of its replies on Discord: after the last start each is whole, and there once."""

from functools import partial
from pathlib import Path

from tests.support.discord_connection import ask, replies, under_way
from tests.support.discord_server import TOKEN, DiscordDouble, Guild, Hang, Message, Person
from tests.support.discord_server.faults import Asked
from tests.support.programs import Program

POST = "POST /channels/{channel_id}/messages"
PATCH = "PATCH /channels/{channel_id}/messages/{message_id}"
THREAD = "POST /channels/{channel_id}/messages/{message_id}/threads"
Place = tuple[str, bool]  # the route at which the bot is when it is killed, and whether a picture is sent there
TIMEOUT = 60.0  # seconds for a start of the built-in picture model on a slow machine


def on(double: DiscordDouble, folder: Path) -> Program:
    """The program as operators run it, with its built-in models."""
    return Program(
        folder,
        DISCORD_TOKEN=TOKEN,
        DISCORD_API_URL=double.api_url,
        DISCORD_GATEWAY_URL=double.gateway_url,
        DISCORD_CDN_URL=double.cdn_url,
        LOG_LEVEL="ERROR",
    )


def is_whole(double: DiscordDouble, asked: Message) -> bool:
    """Whether a reply has its picture, and nothing is under way."""
    said = replies(double, asked)
    return any(each.attachments for each in said) and not any(
        under_way(each) or "Generating…" in each.content or "Writing…" in each.content for each in said
    )


async def killed_at(
    double: DiscordDouble, program: Program, guild: Guild, who: Person, places: dict[str, Place]
) -> list[Message]:
    """Ask, and kill the bot during a request of each reply, which is done after its end: it was never recorded."""
    asked = []
    for words, place in places.items():
        route, has_file = place
        before = double.world.snowflake()
        double.fail(route, Hang(), where=partial(meant, before, has_file))
        asked.append(await ask(double, double.channel(guild), who, words))  # requests of a channel wait for each other
    await double.until(lambda: double.rest.hung == len(places), seconds=TIMEOUT)
    await program.kill()
    double.rest.hung, done = 0, double.rest.statuses.total() + len(places)
    double.release()
    await double.until(lambda: double.rest.statuses.total() >= done)
    return asked


def meant(before: int, has_file: bool, asked: Asked) -> bool:
    """Whether a request is about the question that was asked next, and sends a picture where one is awaited."""
    about = int(asked.ids["message_id"] if asked.route == THREAD else asked.ids["channel_id"])
    return before < about and bool(asked.uploads) == has_file


async def test_each_reply_is_whole_wherever_the_bot_was_killed(tmp_path: Path) -> None:
    """It dies while it opens a thread, posts, edits, and sends a picture; a question comes while it is away."""
    first: dict[str, Place] = {"draw a red circle": (THREAD, False), "draw two red circles": (POST, False)}
    second: dict[str, Place] = {"draw three red circles": (PATCH, False), "draw a blue star": (PATCH, True)}
    async with DiscordDouble() as double:
        guild, ana = double.guild(), double.person("Ana")
        program, asked = on(double, tmp_path / "data"), list[Message]()
        try:
            for places in (first, second):
                await program.start()
                await double.until(lambda: double.gateway.connected)
                asked += await killed_at(double, program, guild, ana, places)
            asked.append(await ask(double, double.channel(guild), ana, "draw a green heart"))
            await program.start()
            await double.until(lambda: all(is_whole(double, each) for each in asked), seconds=TIMEOUT)
            assert await program.stop() == 0
        finally:
            await program.kill()
        for each in asked:
            words, picture, *more = [(said.content, len(said.attachments)) for said in replies(double, each)]
            assert words[1] == 0 and picture[1] == 1 and more in ([], [(more[0][0], 0)] if more else [])
            assert picture[0].startswith("**#1**") and len({words, picture, *more}) == 2 + len(more)
        assert double.violations == []
