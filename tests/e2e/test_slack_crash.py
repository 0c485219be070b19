"""The bot is killed in the middle of its replies on Slack: after the last start each is whole, and there once."""

from functools import partial
from pathlib import Path

from tests.support.programs import Program
from tests.support.slack_server import APP_TOKEN, BOT_TOKEN, UPLOAD, Call, Channel, Hang, Message, SlackDouble
from tests.support.slack_workspace import alts, labels

TIMEOUT = 60.0  # seconds for a start of the built-in picture model on a slow machine


def on(slack: SlackDouble, folder: Path) -> Program:
    """The program as operators run it, with its built-in models."""
    tokens = {"SLACK_BOT_TOKEN": BOT_TOKEN, "SLACK_APP_TOKEN": APP_TOKEN}
    return Program(folder, SLACK_API_URL=slack.api_url, LOG_LEVEL="ERROR", **tokens)


def replies(slack: SlackDouble, asked: Message) -> list[Message]:
    """What the bot has said in the thread of a question."""
    return [one for one in slack.messages(asked.channel, asked.ts) if one.author is slack.bot]


def is_whole(slack: SlackDouble, asked: Message) -> bool:
    """Whether a reply has its picture, and nothing is under way."""
    said = replies(slack, asked)
    return any(map(alts, said)) and not any("Stop" in labels(each) for each in said)


def of(channel: Channel, call: Call) -> bool:
    """Whether a request is about a channel; an upload is about none."""
    return call.channel in (channel.id, "")


async def test_each_reply_is_whole_wherever_the_bot_was_killed(tmp_path: Path) -> None:
    """It dies while it posts, edits, and sends a picture; a question comes while it is away."""
    async with SlackDouble() as slack:
        ana, program, asked = slack.person("Ana"), on(slack, tmp_path / "data"), list[Message]()
        places = ("chat.postMessage", "chat.update", UPLOAD)
        try:
            await program.start()
            await slack.until(lambda: slack.link.lines, seconds=TIMEOUT)
            for nth, method in enumerate(places):
                channel = slack.channel(f"room-{nth}")
                slack.fail(method, Hang(), where=partial(of, channel))
                asked.append(await slack.say(channel, ana, f"{slack.bot.mention} draw a red circle"))
                await slack.until(lambda nth=nth: slack.web.hung > nth, seconds=TIMEOUT)  # type: ignore[misc]
            await program.kill()
            slack.release()  # what hung is done, and nobody hears of it
            await slack.until(lambda: not slack.link.lines)
            asked.append(await slack.say(slack.channel("late"), ana, f"{slack.bot.mention} draw a green heart"))
            await program.start()
            await slack.until(lambda: all(is_whole(slack, each) for each in asked), seconds=TIMEOUT)
            assert await program.stop() == 0
        finally:
            await program.kill()
        assert [len(replies(slack, each)) for each in asked] == [1] * len(asked)
        assert [alts(replies(slack, each)[0]) for each in asked[:-1]] == [["#1: a red circle"]] * len(places)
        assert slack.violations == [] and slack.pings == []
