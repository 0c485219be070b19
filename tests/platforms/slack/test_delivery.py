"""Interrupted replies on Slack, by lost responses, restarts or users: each is shown once, or not at all."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bot.domain import Failed, PicturePart
from tests.support.slack_server import Call, Error, Lose
from tests.support.slack_workspace import (
    RED,
    SUN,
    TALK,
    WORDS,
    SlackBot,
    alts,
    is_whole,
    labels,
    running_bot,
    streaming,
)


@pytest.mark.parametrize("method", ["chat.postMessage", "chat.update", "chat.startStream", "chat.stopStream"])
async def test_a_lost_response_posts_nothing_twice(tmp_path: Path, method: str) -> None:
    """The posted message is found and used, in threads and in direct conversations."""
    async with running_bot(tmp_path, SUN, TALK) as here:
        direct = here.slack.direct(here.ana)
        here.slack.fail(method, Lose(), times=1)
        if "Stream" not in method:
            said = await here.slack.say(direct, here.ana, "draw a sun")
            await here.final(said)
            assert [alts(one) for one in here.said(direct)] == [["#1: a sun"]]
            here.slack.fail(method, Lose())
        else:
            here.model.scripts.pop(0)
        asked = await here.ask()
        await here.model.waiting.wait()
        await here.slack.until(lambda: here.thread(asked))
        here.model.go.set()
        await here.final(asked)
        assert is_whole(here, asked)


async def test_a_reply_is_stopped_before_its_first_text(tmp_path: Path) -> None:
    """With Slack's own button, which is shown while the bot thinks; an admin may stop any reply."""
    async with running_bot(tmp_path, (None, "Hello.")) as here:
        asked = await here.ask()
        await here.slack.until(lambda: here.slack.world.statuses and here.slack.world.sessions)
        assert list(here.slack.world.sessions.values()) == ["processing"]
        event = {"type": "agent_session_stopped", "user": here.bo.id, "channel": here.general.id}
        here.slack.events.emit(event | {"thread_ts": asked.ts, "streaming_message_ts": []}, here.general)
        entry = await here.final(asked)
        assert entry.view and str(entry.view.status) == "Stopped by Bo."
        assert list(here.slack.world.sessions.values()) == ["active"]


@pytest.mark.parametrize("drawing", [True, False])
async def test_a_reply_continues_after_a_restart(tmp_path: Path, drawing: bool) -> None:
    """In the same message, during the text stream or an image, and nothing is posted twice."""
    async with running_bot(tmp_path, TALK, ("One two ", "<image>a sun</image>", " three.")) as here:
        if drawing:
            here.model.go.set()
            here.renderer.held.add("a sun")
            asked = await here.ask()
            await here.slack.until(lambda: here.thread(asked) and "Stop" in labels(here.thread(asked)[0]))
            (reply,) = here.thread(asked)
            here.renderer.held.clear()
        else:
            asked, reply = await streaming(here)
        await here.restart()
        await here.final(asked)
        assert is_whole(here, asked) and here.thread(asked) == [reply]


async def test_an_unrecorded_message_is_found_after_a_restart(tmp_path: Path) -> None:
    """It was posted, but not recorded."""
    async with running_bot(tmp_path, SUN, SUN) as here:

        def late(call: Call) -> bool:
            return call.method == "chat.postMessage"

        here.renderer.held.add("a sun")
        here.slack.fail("chat.startStream", Error("team_not_found"))
        here.slack.fail("chat.postMessage", Lose(), where=late)
        here.slack.fail("conversations.replies", Error("internal_error"), times=1)
        asked = await here.ask()
        await here.slack.until(lambda: here.thread(asked))
        await here.close()
        here.slack.web.faults.planned.clear()
        here.renderer.held.clear()
        await here.start()
        await here.final(asked)
        assert is_whole(here, asked, "Here it is:\n#1 · a sun\nEnjoy!")


# People meddle


async def test_a_deleted_reply_is_not_posted_again(tmp_path: Path) -> None:
    """The conversation continues."""
    async with running_bot(tmp_path, TALK, RED) as here:
        here.slack.fail("chat.startStream", Error("team_not_found"))
        asked = await here.ask()
        await here.slack.until(lambda: here.thread(asked))
        here.slack.chat.remove(here.thread(asked)[0])
        here.model.go.set()
        await here.final(asked)
        assert here.thread(asked) == []
        await here.say(asked, "make it red")
        assert [alts(one) for one in here.thread(asked)] == [["#2: a red sun"]]


async def test_a_deleted_stream_is_not_posted_again(tmp_path: Path) -> None:
    """It is handled like any other message."""
    async with running_bot(tmp_path, TALK) as here:
        asked, reply = await streaming(here)
        here.slack.chat.remove(reply)
        here.model.go.set()
        await here.final(asked)
        assert here.thread(asked) == []


def kick(here: SlackBot) -> None:
    """Remove the bot from the channel."""
    here.slack.kick(here.general)


def archive(here: SlackBot) -> None:
    """Archive the channel."""
    here.general.archived = True


def revoke(here: SlackBot) -> None:
    """Revoke the token."""
    here.slack.revoke()


def uninstall(here: SlackBot) -> None:
    """Uninstall the app."""
    here.slack.uninstall()


@pytest.mark.parametrize("happens", [kick, archive, revoke, uninstall])
async def test_nothing_is_rendered_where_it_cannot_post(tmp_path: Path, happens: Callable[[SlackBot], None]) -> None:
    """The stored reply ends without a bug in the log, and its image is not rendered."""
    async with running_bot(tmp_path, TALK, WORDS) as here:
        here.renderer.held.add("a sun")
        asked, _ = await streaming(here)
        happens(here)
        here.model.go.set()
        entry = await here.final(asked)
        assert entry.view
        parts = [part for part in entry.view.parts if isinstance(part, PicturePart)]
        assert all(isinstance(part.state, Failed) for part in parts) and entry.view.status
        if happens in (revoke, uninstall):
            await here.slack.until(lambda: not here.platform.health()["connected"])


# The connection


async def test_a_closed_connection_is_replaced(tmp_path: Path) -> None:
    """Slack closes connections regularly; messages in between are answered."""
    async with running_bot(tmp_path, *[WORDS] * 2) as here:
        opened = here.slack.link.opened
        here.slack.link.refresh()
        await here.slack.until(lambda: here.slack.link.opened > opened)
        await here.draw("hello")
        await here.close()
        assert here.platform.health() == {"connected": False}
        asked = await here.ask("still there?")
        await here.start()
        await here.final(asked)
        assert here.platform.health() == {"connected": True} and here.slack.unacknowledged == []


async def test_refused_tokens_are_named_at_the_start(tmp_path: Path) -> None:
    """Each token by the name of its variable."""
    async with running_bot(tmp_path) as here:
        for method, name in (("auth.test", "SLACK_BOT_TOKEN"), ("apps.connections.open", "SLACK_APP_TOKEN")):
            await here.close()
            here.slack.fail(method, Error("invalid_auth"))
            with pytest.raises(ExceptionGroup) as output:
                await here.start()
            assert name in str(output.value.exceptions[0])
