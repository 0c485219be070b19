"""Failures on Slack: every reply ends visibly, and is shown once."""

from pathlib import Path

import pytest

from tests.support.images import noise
from tests.support.slack_server import (
    DOWNLOAD,
    UPLOAD,
    Broken,
    Error,
    Fault,
    Limited,
    LoginPage,
    Lose,
    Redirect,
    Upload,
    samples,
)
from tests.support.slack_workspace import (
    MOON,
    SUN,
    TALK,
    WHOLE,
    WORDS,
    alts,
    is_whole,
    knows_scopes,
    labels,
    running_bot,
    shape,
    streaming,
    upload,
    words,
)

# Slack is slow, or away


@pytest.mark.parametrize(
    "fault", [Limited(0), Broken(503), Error("internal_error"), Lose()], ids=["429", "503", "error", "lost"]
)
async def test_each_request_may_fail_once(tmp_path: Path, fault: Fault) -> None:
    """With any error code for the first call of each method, and with a lost response."""
    signs = ["assistant.threads.setStatus", "agents.sessions.setStatus", "users.info"]
    rounds = (
        [*signs, "chat.startStream", "chat.appendStream", "chat.stopStream", "chat.postMessage", "chat.update"],
        ["files.getUploadURLExternal", UPLOAD],
        ["files.completeUploadExternal", "files.info"],
    )
    async with running_bot(tmp_path, (*TALK[:-1], None, " three."), MOON, ("<image>a star</image>",)) as here:
        for methods, shown in zip(rounds, (WHOLE, "#2 · a moon", "#3 · a star"), strict=True):
            for method in methods if fault != Broken(503) else methods[-2:]:  # the client waits a while after each
                here.slack.fail(method, fault)
            asked = await here.ask(thread_ts=here.entries()[0].thread.thread if here.entries() else None)
            if shown == WHOLE:
                await here.model.waiting.wait()
                here.model.go.set()
            await here.final(asked)
            assert words(here.thread(asked)[-1]) == shown
        assert len(here.thread(asked)) == 3
        here.slack.web.faults.planned.clear()


async def test_it_waits_as_long_as_slack_demands(tmp_path: Path) -> None:
    """No call is made before Retry-After has passed."""
    async with running_bot(tmp_path, SUN) as here:
        here.renderer.held.add("a sun")
        asked = await here.ask()
        await here.slack.until(lambda: here.thread(asked) and "Stop" in labels(here.thread(asked)[0]))
        here.slack.fail("chat.update", Limited(1))
        before = len(here.slack.called("chat.update"))
        here.renderer.go.set()
        await here.final(asked)
        first, second, *_ = [call.at for call in here.slack.called("chat.update")[before:]]
        assert second - first >= 1 and len(here.thread(asked)) == 1


async def test_a_burst_of_messages_keeps_the_rate_limits(tmp_path: Path) -> None:
    """With Slack's tiers enforced no call is refused, and all messages are answered."""
    async with running_bot(tmp_path, *[SUN] * 4) as here:
        here.slack.web.tiers.enforced = True
        for nth in range(4):
            channel = here.slack.channel(f"room-{nth}")
            await here.ask(channel=channel)
        await here.slack.until(lambda: len([one for one in here.entries() if one.view]) == 4)
        assert all(len(here.slack.called(method)) < 60 for method in ("chat.update", "chat.startStream"))


# Streams


async def test_an_expired_stream_becomes_an_edited_message(tmp_path: Path) -> None:
    """It is the same message."""
    async with running_bot(tmp_path, TALK) as here:
        asked, reply = await streaming(here)
        here.slack.expire(reply)
        here.model.go.set()
        await here.final(asked)
        assert is_whole(here, asked) and here.thread(asked) == [reply]


async def test_the_author_stops_the_stream(tmp_path: Path) -> None:
    """Slack's own button works like the bot's Stop; Retry then answers in the same message."""
    async with running_bot(tmp_path, TALK, SUN) as here:
        asked, reply = await streaming(here)
        await here.slack.stop_stream(reply, here.ana)
        entry = await here.final(asked)
        assert entry.view and str(entry.view.status) == "Stopped by Ana."
        await here.slack.until(lambda: labels(reply) == ["Retry"])
        assert words(reply) == "One\n⚠️ Stopped by Ana."
        await here.press(reply, "Retry")
        await here.slack.until(lambda: alts(reply) and "Stop" not in labels(reply))
        assert here.thread(asked) == [reply]


async def test_another_user_cannot_stop_the_reply(tmp_path: Path) -> None:
    """Slack ends the stream; the reply continues, and the user reads why."""
    async with running_bot(tmp_path, TALK) as here:
        asked, reply = await streaming(here)
        await here.slack.stop_stream(reply, here.cid)
        assert "Only Ana" in await here.hint(here.cid)
        here.model.go.set()
        await here.final(asked)
        assert is_whole(here, asked)


@pytest.mark.parametrize("code", ["not_subscribed_to_message_stream_stopped", "missing_recipient_team_id"])
async def test_without_streams_the_text_is_edited(tmp_path: Path, code: str) -> None:
    """A Stop button is shown from the start."""
    async with running_bot(tmp_path, TALK) as here:
        here.slack.fail("chat.startStream", Error(code))
        asked = await here.ask()
        await here.slack.until(lambda: here.thread(asked) and labels(here.thread(asked)[0]) == ["Stop"])
        here.model.go.set()
        await here.final(asked)
        assert is_whole(here, asked)


# Files


async def test_a_refused_image_gets_a_note_and_a_retry_button(tmp_path: Path) -> None:
    """The text is posted without it; Retry uploads it again."""
    async with running_bot(tmp_path, SUN) as here:
        here.slack.uploads.polls = 1_000
        asked = await here.draw()
        (reply,) = here.thread(asked)
        assert alts(reply) == [] and labels(reply) == ["Vary", "Edit", "Upscale", "Redo", "Details", "Delete", "Retry"]
        assert words(reply).startswith("Here it is:\n⚠️ Slack did not accept #1. It is saved here.")
        here.slack.uploads.polls = 0
        await here.restart()
        await here.press(reply, "Retry", here.cid)
        await here.slack.until(lambda: alts(reply))
        assert shape(reply)[1] == "image" and "Retry" not in labels(reply) and here.thread(asked) == [reply]


@knows_scopes
async def test_without_the_file_scope_the_text_is_posted(tmp_path: Path) -> None:
    """As if Slack refused the files."""
    async with running_bot(tmp_path, SUN) as here:
        here.slack.web.scopes = {"chat:write", "users:read", "files:read"}
        asked = await here.draw()
        assert "Slack did not accept #1" in words(here.thread(asked)[0])


@pytest.mark.parametrize(
    ("fault", "output"),
    [
        (LoginPage(), "Slack did not give me one of the images. Operator: the app needs the scope files:read."),
        (Redirect(), "Slack did not give me one of the images. Operator: the app needs the scope files:read."),
        (Error("x"), "I cannot read one of the files as an image."),
        (Lose(), "I could not read an image from Slack. Please send it again."),
    ],
)
async def test_files_that_are_no_images_are_not_used(tmp_path: Path, fault: Fault, output: str) -> None:
    """The token goes only to Slack, the text is answered, and a note names the file."""
    async with running_bot(tmp_path, WORDS) as here:
        if isinstance(fault, Error):
            brought = Upload("cat.png", b"<html>no picture</html>")
        else:
            brought = upload()
            here.slack.fail(DOWNLOAD, fault, times=2)
        await here.draw("what is it?", files=[brought])
        assert await here.hint() == output
        assert here.entries()[0].uploads == () and here.slack.leaks == []
        here.slack.web.faults.planned.clear()


async def test_an_image_that_is_too_large_is_left_out(tmp_path: Path) -> None:
    """Whether its size is in the event or must be requested."""
    async with running_bot(tmp_path, WORDS, WORDS) as here:
        for count in (1, 2):
            huge = Upload("huge.png", noise(8) + bytes(21 * 2**20), check_file_info=count == 2)
            said = await here.draw("what is it?", files=[huge])
            assert await here.hint(count=count) == "An image can have at most 20 MB. A larger one was left out."
            assert said.files


# Everything that Slack sends


@pytest.mark.parametrize("backwards", [True, False])
async def test_slacks_sample_events_do_no_harm(tmp_path: Path, backwards: bool) -> None:
    """Each twice: acknowledged, no bug, and at most one answer to each message."""
    sent = list(samples().values())
    if not sent:
        pytest.skip("the contract folder is not there")
    async with running_bot(tmp_path, *[WORDS] * len(sent), clean=False) as here:
        for envelope in reversed(sent) if backwards else sent:
            for _ in range(2):
                await here.slack.deliver(type(envelope)(envelope.kind, envelope.payload)).settled()
        assert here.slack.unacknowledged == []
        ids = [entry.id for entry in here.entries()]
        assert len(ids) == len(set(ids)) == len(here.model.received)
