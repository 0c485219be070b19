"""The Slack double against the real Bolt: streams, files, and the check of every request."""

import json
from typing import Any

import aiohttp
import pytest

from tests.support.images import PIXEL
from tests.support.slack_server import (
    BOT_TOKEN,
    DOWNLOAD,
    UPLOAD,
    Broken,
    Channel,
    Error,
    LoginPage,
    Message,
    Person,
    Redirect,
    SlackDouble,
    Streaming,
    Upload,
)
from tests.support.slack_server.client import App, refusal
from tests.support.slack_server.contract.schemas import read

BEARER = {"Authorization": f"Bearer {BOT_TOKEN}"}
Blocks = list[dict[str, Any]]


@pytest.fixture
async def said(slack: SlackDouble, general: Channel, ana: Person) -> Message:
    """The message that is answered."""
    return await slack.say(general, ana, "a fox")


async def begun(slack: SlackDouble, app: App, said: Message, words: str) -> Any:
    """Start a stream of the SDK with its first text."""
    stream = await app.client.chat_stream(
        channel=said.channel.id,
        thread_ts=said.ts,
        recipient_user_id=said.author.id,
        recipient_team_id=slack.world.team_id,
        buffer_size=1,
    )
    await stream.append(markdown_text=words)
    return stream


async def test_a_message_is_streamed(slack: SlackDouble, said: Message, app: App) -> None:
    """Text and tasks are appended; the message cannot be edited meanwhile and gets its blocks at the end."""
    stream = await begun(slack, app, said, "Here ")
    (shown,) = slack.messages(said.channel, said.ts)
    task = {"type": "task_update", "id": "1", "title": "A fox", "status": "in_progress"}
    await stream.append(markdown_text="it ", chunks=[task])
    assert (shown.text, shown.streaming) == ("Here it ", Streaming.RUNNING)
    edit = app.client.chat_update(channel=said.channel.id, ts=shown.ts, text="?")
    assert await refusal(edit) == "streaming_state_conflict"
    button = {"type": "button", "action_id": "again", "text": {"type": "plain_text", "text": "Again"}}
    await stream.stop(markdown_text="is.", blocks=[{"type": "actions", "elements": [button]}])
    assert (shown.text, shown.streaming, shown.actions) == ("Here it is.", Streaming.ENDED, ["again"])
    assert shown.tasks["1"]["status"] == "in_progress"
    late = app.client.chat_appendStream(channel=said.channel.id, ts=shown.ts, markdown_text="?")
    assert await refusal(late) == "message_not_in_streaming_state"
    assert slack.violations == []


async def test_a_stream_expires(slack: SlackDouble, said: Message, app: App) -> None:
    """After some minutes a stream accepts no more text; the message can then be edited."""
    stream = await begun(slack, app, said, "Here ")
    (shown,) = slack.messages(said.channel, said.ts)
    slack.expire(shown)
    assert await refusal(stream.append(markdown_text="it is.")) == "message_not_in_streaming_state"
    assert await refusal(stream.stop()) == "message_not_in_streaming_state"
    await app.client.chat_update(channel=said.channel.id, ts=stream.ts, text="Here it is.")
    assert (shown.text, shown.streaming) == ("Here it is.", Streaming.EXPIRED)


async def test_a_user_stops_a_stream(slack: SlackDouble, said: Message, ana: Person, app: App) -> None:
    """The bot gets an event, and an error if it continues."""
    stream = await begun(slack, app, said, "Here ")
    (shown,) = slack.messages(said.channel, said.ts)
    await slack.stop_stream(shown, ana)
    event = await app.next("agent_session_stopped")
    assert (event["thread_ts"], event["streaming_message_ts"]) == (said.ts, [shown.ts])
    assert await refusal(stream.append(markdown_text="it is.")) == "stopped_by_user"
    with pytest.raises(LookupError):
        await slack.stop_stream(shown, ana)


async def test_a_stream_needs_a_recipient(slack: SlackDouble, said: Message, app: App) -> None:
    """In channels Slack requires one; in a direct conversation it is known."""
    start = app.client.chat_startStream
    assert await refusal(start(channel=said.channel.id, thread_ts=said.ts)) == "missing_recipient_user_id"
    slack.fail("chat.startStream", Error("channel_type_not_supported"))
    assert await refusal(start(channel=said.channel.id, thread_ts=said.ts)) == "channel_type_not_supported"
    asked = await slack.say(slack.direct(said.author), said.author, "a fox")
    await start(channel=asked.channel.id, thread_ts=asked.ts, markdown_text="Here")
    assert slack.messages(asked.channel, asked.ts)[0].text == "Here"


async def uploaded(slack: SlackDouble, app: App, **share: Any) -> str:
    """Upload an image of the bot in three steps, and return its id."""
    output = await app.client.files_getUploadURLExternal(filename="fox.png", length=len(PIXEL))
    async with aiohttp.ClientSession() as session, session.post(output["upload_url"], data=PIXEL) as answer:
        assert answer.status == 200
    files = [{"id": output["file_id"], "title": "A fox"}]
    await app.client.files_completeUploadExternal(files=files, **share)
    return str(output["file_id"])


async def test_an_image_can_be_shown_when_slack_has_processed_it(
    slack: SlackDouble, general: Channel, app: App
) -> None:
    """An unshared file can be used in an image block, but not at once."""
    slack.uploads.polls = 2
    identity = await uploaded(slack, app)
    blocks: Blocks = [{"type": "image", "slack_file": {"id": identity}, "alt_text": "A red fox"}]
    post = app.client.chat_postMessage
    assert await refusal(post(channel=general.id, text="A fox", blocks=blocks)) == "invalid_blocks"
    kinds = [(await app.client.files_info(file=identity))["file"]["mimetype"] for _ in range(3)]
    assert kinds == ["", "", "image/png"]
    await post(channel=general.id, text="A fox", blocks=blocks)
    assert slack.messages(general)[0].slack_files == [identity]
    assert slack.violations == []


async def test_a_shared_file_comes_later(slack: SlackDouble, general: Channel, said: Message, app: App) -> None:
    """A shared file appears in its thread after a while, unless it has an alternative text."""
    identity = await uploaded(slack, app, channel_id=general.id, thread_ts=said.ts, initial_comment="A fox")
    assert slack.messages(general, said.ts) == []
    assert (await app.client.files_info(file=identity))["file"]["shares"] == {}
    info = (await app.client.files_info(file=identity))["file"]
    (shown,) = slack.messages(general, said.ts)
    assert info["shares"]["public"][general.id][0]["ts"] == shown.ts
    assert (shown.text, shown.files[0].data, info["original_w"]) == ("A fox", PIXEL, 1)
    second = await uploaded(slack, app, channel_id=general.id)
    slack.world.files[second].alt_txt = "A red fox"
    slack.uploads.process()
    assert slack.messages(general) == [said]


async def test_uploads_can_fail(slack: SlackDouble, app: App) -> None:
    """An upload can break, have another length than announced, or be completed without data."""
    output = await app.client.files_getUploadURLExternal(filename="fox.png", length=len(PIXEL))
    complete = app.client.files_completeUploadExternal(files=[{"id": output["file_id"], "title": "A fox"}])
    assert await refusal(complete) == "file_not_found"
    slack.fail(UPLOAD, Broken(500))
    async with aiohttp.ClientSession() as session:
        async with session.post(output["upload_url"], data=PIXEL) as answer:
            assert answer.status == 500
        async with session.post(output["upload_url"], data=PIXEL[:-1]) as answer:
            assert answer.status == 400
    assert slack.violations == [f"upload of 'fox.png': {len(PIXEL) - 1} bytes, {len(PIXEL)} were announced"]


async def test_files_need_a_token(slack: SlackDouble, general: Channel, ana: Person, app: App) -> None:
    """Without one there is a login page; a redirect need not take the token along."""
    await slack.say(general, ana, "this", files=[Upload("fox.png", PIXEL), Upload("hen.png", PIXEL, True)])
    fox, hen = (await app.next("message"))["files"]
    assert "url_private" not in hen and hen["file_access"] == "check_file_info"
    assert (await app.client.files_info(file=hen["id"]))["file"]["original_w"] == 1
    address = fox["url_private_download"]
    async with aiohttp.ClientSession() as session:
        async with session.get(address, headers=BEARER) as answer:
            assert await answer.read() == PIXEL
        async with session.get(address) as answer:
            assert (answer.status, answer.content_type) == (200, "text/html")
        slack.fail(DOWNLOAD, LoginPage())
        async with session.get(address, headers=BEARER) as answer:
            assert (answer.status, answer.content_type) == (200, "text/html")
        slack.fail(DOWNLOAD, Redirect(), times=2)
        async with session.get(address, headers=BEARER) as answer:  # which leaves the token behind
            assert answer.url.host == "localhost" and slack.leaks == []
        async with session.get(address, headers=BEARER, allow_redirects=False) as answer:
            elsewhere = answer.headers["Location"]
        async with session.get(elsewhere, headers=BEARER):
            assert slack.leaks == [BOT_TOKEN]


SECTION = {"type": "section", "text": {"type": "mrkdwn", "text": "x"}}
TITLE = {"type": "plain_text", "text": "A title"}
BUTTON = {"type": "button", "action_id": "again", "text": TITLE}
WRONG: list[tuple[str, dict[str, Any], str, str]] = [
    ("chat.postMesage", {}, "unknown_method", "chat.postMesage: no such method"),
    ("chat.postMessage", {"text": "x"}, "invalid_arguments", "missing required field: channel"),
    ("chat.postMessage", {"channel": "C", "txt": "x"}, "invalid_arguments", "unknown argument 'txt'"),
    ("users.info", {"user": "U"}, "invalid_arguments", "takes no JSON body"),
    ("chat.update", {"channel": "C", "ts": "1.2", "text": "x" * 4001}, "msg_too_long", "4001 characters of text"),
    ("chat.postMessage", {"channel": "C", "text": "x", "markdown_text": "x"}, "markdown_text_conflict", "beside"),
    ("chat.appendStream", {"channel": "C", "ts": "1.2", "chunks": [{"type": "x"}]}, "invalid_chunks", "no kind"),
    ("agents.sessions.setStatus", {"channel_id": "C", "status": "x"}, "invalid_arguments", "status: 'x' is not one"),
]
WRONG_BLOCKS: list[tuple[Blocks, str]] = [
    ([{"type": "sektion"}], "no kind of block: 'sektion'"),
    ([SECTION] * 51, "51 blocks are more than 50"),
    ([SECTION | {"colour": "red"}], "'colour' was unexpected"),
    ([SECTION | {"text": TITLE | {"text": "x" * 3001}}], "3001 characters"),
    ([{"type": "header", "text": TITLE | {"text": "x" * 151}}], "151 characters"),
    ([{"type": "actions", "elements": [BUTTON | {"action_id": f"a{number}"} for number in range(26)]}], "26 items"),
    ([{"type": "actions", "elements": [BUTTON, BUTTON]}], "action_id 'again' is there twice"),
    ([SECTION | {"block_id": "a"}] * 2, "block_id 'a' is there twice"),
    ([{"type": "image", "slack_file": {"id": "F1", "url": "x"}, "alt_text": "x"}], "/blocks/0"),
    ([{"type": "markdown", "text": "x" * 7000}] * 2, "14000 characters in markdown blocks"),
    ([SECTION | {"accessory": BUTTON | {"value": "x" * 2001}}], "2001 characters"),
]


@pytest.mark.parametrize(("method", "args", "code", "why"), WRONG)
async def test_an_invalid_request_is_refused_and_recorded(
    slack: SlackDouble, app: App, method: str, args: dict[str, Any], code: str, why: str
) -> None:
    """With the error code of Slack, and a sentence about it."""
    if not slack.validated:
        pytest.skip("Slack's method reference is not there")
    assert await refusal(app.client.api_call(method, json=args)) == code
    assert why in slack.violations[0] and slack.violations[0].startswith(f"{method}: ")


def test_valid_blocks_pass() -> None:
    """The known valid blocks, messages and views, except for kinds that are newer than the schema."""
    contract = read()
    if contract is None:
        pytest.skip("Slack's method reference is not there")
    good = contract.folder / "slackblocks-spec" / "fixtures" / "valid"
    for path in (*good.glob("blocks/*.json"), *good.glob("views/*.json")):
        output = json.loads(path.read_text(encoding="utf-8"))
        if path.stem == "card_block" or path.stem.startswith("data_visualization"):
            continue
        judge = contract.blocks.view_faults if path.parent.name == "views" else contract.blocks.faults
        assert list(judge(output if path.parent.name == "views" or isinstance(output, list) else [output])) == [], (
            path.stem
        )


@pytest.mark.parametrize(("blocks", "why"), WRONG_BLOCKS)
async def test_invalid_blocks_are_refused(
    slack: SlackDouble, general: Channel, app: App, blocks: Blocks, why: str
) -> None:
    """Blocks of the wrong shape, too many of them, or too long ones."""
    if not slack.validated:
        pytest.skip("Slack's method reference is not there")
    assert await refusal(app.client.chat_postMessage(channel=general.id, text="x", blocks=blocks)) == "invalid_blocks"
    assert why in slack.violations[0]


@pytest.mark.parametrize(
    ("args", "who"),
    [
        ({"text": "<!channel> <!here|here> <!subteam^S012>"}, ["channel", "here", "S012"]),
        ({"text": "&lt;!channel&gt; @here &lt;@U1&gt;"}, []),
        ({"text": "@here", "parse": "full"}, ["here"]),
        ({"text": "x", "blocks": [{"type": "markdown", "text": "**<!everyone>**"}]}, ["everyone"]),
        ({"text": "x", "blocks": [SECTION | {"text": {"type": "mrkdwn", "text": "<@U123|ana>"}}]}, ["U123"]),
        ({"text": "x", "blocks": [SECTION | {"text": {"type": "plain_text", "text": "<!here>"}}]}, []),
        ({"markdown_text": "<!channel>"}, ["channel"]),
    ],
)
async def test_mentions_in_texts_are_found(
    slack: SlackDouble, general: Channel, app: App, args: dict[str, Any], who: list[str]
) -> None:
    """In texts, blocks and Markdown; escaped ones mention nobody."""
    await app.client.chat_postMessage(channel=general.id, **args)
    assert [ping.who for ping in slack.pings] == who
    assert slack.violations == []
