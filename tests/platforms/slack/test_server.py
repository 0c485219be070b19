"""The Slack double against the real Bolt: messages, events and faults."""

import asyncio
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler

from tests.support.slack_server import (
    Broken,
    Channel,
    Delivery,
    Error,
    Hang,
    Kind,
    Limited,
    Lose,
    Person,
    SlackDouble,
    Upload,
    busiest,
    samples,
)
from tests.support.slack_server.client import App, refusal, running
from tests.support.slack_server.rates import PER_MINUTE, TIERS

SOMETIMES = {"team", "client_msg_id", "parent_user_id", "files"}  # left out of some samples, and there in others


async def test_a_mention_is_two_events(slack: SlackDouble, general: Channel, ana: Person, app: App) -> None:
    """With ids of their own, both acknowledged; in a direct conversation it is one."""
    said = await slack.say(general, ana, f"{slack.bot.mention} a <b>fox</b> & hen", files=[Upload("a.txt", b"words")])
    message, mention = await app.received.get(), await app.received.get()
    assert [one["event"]["type"] for one in (message, mention)] == ["message", "app_mention"]
    assert message["event_id"] != mention["event_id"]
    assert message["event"]["ts"] == mention["event"]["ts"] == said.ts
    assert message["event"]["text"] == f"{slack.bot.mention} a &lt;b&gt;fox&lt;/b&gt; &amp; hen"
    assert message["event"]["subtype"] == "file_share" and message["event"]["files"][0]["name"] == "a.txt"
    assert (await app.next("file_shared"))["file_id"] == said.files[0].id
    await slack.say(slack.direct(ana), ana, f"{slack.bot.mention} hello")
    assert (await app.next("message"))["channel_type"] == "im"
    await slack.until(lambda: all(one.acknowledged for one in slack.link.sent))
    assert len(slack.link.sent) == 4
    assert slack.unacknowledged == [] and app.received.empty()


async def test_the_order_of_events_is_not_promised(slack: SlackDouble, general: Channel, ana: Person, app: App) -> None:
    """Mentions may come first, without files, several times, much later, or as only one event."""
    slack.delivery = Delivery(mention_first=True, copies=2, files_in_mention=False)
    await slack.say(general, ana, slack.bot.mention, files=[Upload("a.txt", b"words")])
    received = [(await app.received.get())["event"] for _ in range(6)]
    assert [one["type"] for one in received] == ["app_mention"] * 2 + ["message"] * 2 + ["file_shared"] * 2
    assert "files" not in received[0] and "files" in received[2]
    assert app.retried == ["timeout"] * 3
    slack.delivery = Delivery(message=False)
    await slack.say(general, ana, slack.bot.mention)
    assert (await app.received.get())["event"]["type"] == "app_mention"
    slack.delivery = Delivery()
    slack.events.held.add("app_mention")
    await slack.say(general, ana, slack.bot.mention)
    await slack.say(general, ana, "and on")
    texts = [(await app.received.get())["event"]["text"] for _ in range(2)]
    slack.events.let_go()
    assert texts == [slack.bot.mention, "and on"]
    assert (await app.received.get())["event"]["type"] == "app_mention"


async def test_an_unacknowledged_event_is_repeated(slack: SlackDouble, general: Channel, ana: Person) -> None:
    """Three times, with a reason."""
    slack.link.ack_seconds, slack.link.retries = 0.05, (0.0, 0.0, 0.0)
    app = App(slack)
    async with running(slack, app):
        slack.events.emit({"type": "channel_rename", "channel": {"id": general.id}}, general)
        await slack.until(lambda: len(slack.unacknowledged) == 4)
    assert [one.attempt for one in slack.unacknowledged] == [0, 1, 2, 3]
    assert len({one.payload["event_id"] for one in slack.unacknowledged}) == 1
    assert len({one.id for one in slack.unacknowledged}) == 4


async def test_actions_of_users_arrive_as_events(slack: SlackDouble, general: Channel, ana: Person, app: App) -> None:
    """Edits, deletions, reactions, new members, the Home tab and the end of the app."""
    said = await slack.say(general, ana, "a fox")
    await app.next("message")
    await slack.edit(said, "a hen")
    changed = await app.next("message_changed")
    assert (changed["message"]["text"], changed["previous_message"]["text"]) == ("a hen", "a fox")
    await slack.react(said, ana, "eyes")
    assert (await app.next("reaction_added"))["item"]["ts"] == said.ts
    await slack.delete(said)
    assert (await app.next("message_deleted"))["deleted_ts"] == said.ts
    assert slack.messages(general) == []
    await slack.join(general, slack.person("Ben"))
    assert (await app.next("member_joined_channel"))["channel"] == general.id
    await slack.open_home(ana, "messages")
    assert (await app.next("app_home_opened"))["tab"] == "messages"
    slack.events.subscribed = {"message.channels", "app_uninstalled", "tokens_revoked"}
    await slack.say(slack.direct(ana), ana, "nobody hears this")
    slack.uninstall()
    assert (await app.received.get())["event"]["type"] == "app_uninstalled"
    assert (await app.next("tokens_revoked"))["tokens"]["bot"] == [slack.bot.id]
    assert await refusal(app.client.chat_postMessage(channel=general.id, text="still here")) == "token_revoked"


async def test_messages_are_posted_changed_and_deleted(
    slack: SlackDouble, general: Channel, ana: Person, app: App
) -> None:
    """The bot's messages are in their thread, can be edited and deleted, and cause no event for the bot."""
    said = await slack.say(general, ana, "a fox")
    button = {"type": "button", "action_id": "again", "text": {"type": "plain_text", "text": "Again"}}
    blocks: list[dict[str, Any]] = [{"type": "markdown", "text": "**Here**"}, {"type": "actions", "elements": [button]}]
    posted = await app.client.chat_postMessage(channel=general.id, thread_ts=said.ts, text="Here", blocks=blocks)
    (shown,) = slack.messages(general, said.ts)
    assert (shown.ts, shown.text, shown.actions) == (posted["ts"], "Here", ["again"])
    await app.client.chat_update(channel=general.id, ts=shown.ts, text="There")
    assert (shown.text, shown.blocks, shown.edited) == ("There", [], True)
    replies = await app.client.conversations_replies(channel=general.id, ts=said.ts)
    assert [one["text"] for one in replies["messages"]] == ["a fox", "There"]
    await app.client.chat_postEphemeral(channel=general.id, user=ana.id, text="Only you")
    assert [one.text for one in slack.ephemerals(ana)] == ["Only you"]
    await app.client.chat_delete(channel=general.id, ts=shown.ts)
    assert slack.messages(general) == [said] and slack.messages(general, said.ts) == []
    assert await refusal(app.client.chat_update(channel=general.id, ts=shown.ts, text="?")) == "message_not_found"
    assert await refusal(app.client.chat_delete(channel=general.id, ts=said.ts)) == "cant_delete_message"
    assert await refusal(app.client.api_call("chat.postMessage", json={"channel": general.id})) == "no_text"
    await slack.until(lambda: all(one.acknowledged for one in slack.link.sent))
    assert [one["event"]["type"] for one in _drained(app)] == ["message"]
    assert slack.violations == [] and slack.pings == []


async def test_conversations_can_be_read(slack: SlackDouble, general: Channel, ana: Person, app: App) -> None:
    """Users, channels, history, reactions and statuses; private channels only for members."""
    said = [await slack.say(general, ana, f"{number}") for number in range(3)]
    secret = slack.channel("secret", kind=Kind.PRIVATE, member=False)
    client = app.client
    assert (await client.auth_test())["bot_id"] == slack.bot.bot_id
    assert (await client.team_info())["team"]["domain"] == "workshop"
    assert (await client.users_info(user=ana.id))["user"]["real_name"] == "Ana"
    assert (await client.conversations_info(channel=general.id))["channel"]["is_member"]
    assert (await client.conversations_open(users=ana.id))["channel"]["id"] == slack.direct(ana).id
    first = await client.conversations_history(channel=general.id, limit=2)
    cursor = first["response_metadata"]["next_cursor"]
    rest = await client.conversations_history(channel=general.id, limit=2, cursor=cursor)
    assert [one["text"] for one in [*first["messages"], *rest["messages"]]] == ["2", "1", "0"]
    await client.reactions_add(channel=general.id, timestamp=said[0].ts, name="eyes")
    assert said[0].reactions == {"eyes": [slack.bot.id]}
    await client.assistant_threads_setStatus(channel_id=general.id, thread_ts=said[0].ts, status="is drawing...")
    assert slack.world.statuses == {(general.id, said[0].ts): "is drawing..."}
    await client.agents_sessions_setStatus(channel_id=general.id, thread_ts=said[0].ts, status="processing")
    await client.chat_postMessage(channel=general.id, thread_ts=said[0].ts, text="Done")
    assert slack.world.statuses == {}
    assert await refusal(client.conversations_info(channel=secret.id)) == "channel_not_found"
    slack.kick(general)
    assert await refusal(client.chat_postMessage(channel=general.id, text="?")) == "not_in_channel"
    if slack.validated:
        assert {"users:read", "channels:history", "reactions:write", "im:write", "chat:write"} <= slack.scopes_used
        slack.web.scopes = {"chat:write"}
        assert await refusal(client.users_info(user=ana.id)) == "missing_scope"


async def test_a_rate_limited_call_is_retried(slack: SlackDouble, general: Channel, app: App) -> None:
    """The SDK's handler obeys Retry-After; without it the call fails."""
    slack.fail("chat.postMessage", Limited(1))
    assert await refusal(app.client.chat_postMessage(channel=general.id, text="one")) == "ratelimited"
    app.client.retry_handlers.append(AsyncRateLimitErrorRetryHandler(max_retry_count=1))
    slack.fail("chat.postMessage", Limited(1))
    await app.client.chat_postMessage(channel=general.id, text="two")
    asked = slack.called("chat.postMessage")
    assert [one.args["text"] for one in asked] == ["one", "two", "two"]
    assert asked[2].at - asked[1].at >= 1
    assert busiest(asked, 0.9) < 3
    assert [one.text for one in slack.messages(general)] == ["two"]


async def test_tiers_can_be_enforced(slack: SlackDouble, general: Channel, app: App) -> None:
    """More posts to a channel than one a second, in a burst, are limited; another channel is not."""
    slack.web.tiers.enforced = True
    for number in range(3):
        await app.client.chat_postMessage(channel=general.id, text=f"{number}")
    assert await refusal(app.client.chat_postMessage(channel=general.id, text="3")) == "ratelimited"
    await app.client.chat_postMessage(channel=slack.channel("random").id, text="4")
    assert busiest(slack.called("chat.postMessage")) == 5
    if slack.web.contract is not None:
        for method, tier in TIERS.items():
            output = slack.web.contract.method(method)
            assert output is not None and output["rate_limits"] == tier and tier in {*PER_MINUTE, "t5"}


async def test_responses_break_hang_and_get_lost(slack: SlackDouble, general: Channel, app: App) -> None:
    """A broken call did nothing; a lost response did; a hanging call continues when released."""
    app.client.retry_handlers.clear()  # by default a lost answer is asked for again, and the message is there twice
    post = app.client.chat_postMessage
    slack.fail("chat.postMessage", Broken(503))
    with pytest.raises(SlackApiError):
        await post(channel=general.id, text="broken")
    slack.fail("chat.postMessage", Error("fatal_error"))
    assert await refusal(post(channel=general.id, text="refused")) == "fatal_error"
    slack.fail("chat.postMessage", Lose())
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await post(channel=general.id, text="lost")
    assert [one.text for one in slack.messages(general)] == ["lost"]
    slack.fail("chat.postMessage", Hang(), where=lambda call: call.args["text"] == "hung")
    hanging = asyncio.create_task(post(channel=general.id, text="hung"))
    await slack.until(lambda: slack.web.hung)
    assert len(slack.messages(general)) == 1
    slack.release()
    await hanging
    assert [one.text for one in slack.messages(general)] == ["lost", "hung"]
    with pytest.raises(LookupError):
        slack.fail("chat.postMesage", Hang())


async def test_sockets_are_renewed(slack: SlackDouble, general: Channel, ana: Person) -> None:
    """On request the app opens a new socket; messages in between wait for it, also after a break."""
    app = App(slack)
    slack.link.ack_seconds = 0.3  # what went down a broken socket comes again after that
    async with running(slack, app, ping_interval=0.2):
        slack.link.refresh()
        await slack.say(general, ana, "in between")
        assert (await app.next("message"))["text"] == "in between"
        assert slack.link.opened == 2
        slack.link.cut()
        await slack.say(general, ana, "after the break")
        assert (await app.next("message"))["text"] == "after the break"
        opened = slack.link.opened
        assert opened >= 3
        await slack.link.close()
        await slack.until(lambda: slack.link.opened > opened)
    await slack.until(lambda: not slack.link.lines)


def added(ours: Any, theirs: Any, path: str = "") -> Iterator[str]:
    """Return the fields of a payload of the double that Slack's payload lacks."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            if key in theirs:
                yield from added(value, theirs[key], f"{path}/{key}")
            elif key not in SOMETIMES:
                yield f"{path}/{key}"


async def test_events_look_like_those_of_slack(slack: SlackDouble, general: Channel, ana: Person, app: App) -> None:
    """No event of the double has a field that Slack's own samples of such events lack."""
    said = await slack.say(general, ana, f"{slack.bot.mention} this", files=[Upload("a.txt", b"words")])
    reply = await slack.say(general, ana, "that", thread_ts=said.ts, broadcast=True)
    await slack.say(general, ana, "and that")
    await slack.edit(said, "this")
    await slack.delete(reply)
    await slack.react(said, ana, "eyes")
    await slack.open_home(ana)
    slack.uninstall()
    await slack.until(lambda: all(one.acknowledged for one in slack.link.sent))
    names = [*("MessageFileShare", "AppMention", "FileShared", "MessageThreadBroadcast", "Message", "MessageChanged")]
    names += ["MessageDeleted", "ReactionAdded", "AppHomeOpened", "AppUninstalled", "TokensRevoked"]
    known = samples()
    for name, envelope in zip(names, slack.link.sent, strict=True):
        if known:
            assert list(added(envelope.payload, known[f"{name}Payload"].payload)) == [], name


async def test_the_samples_of_slack_are_delivered(slack: SlackDouble, app: App) -> None:
    """Each sample payload is sent over the socket; those of a kind that Bolt knows are acknowledged."""
    for name, envelope in samples().items():
        slack.deliver(envelope)
        if name in ("MessagePayload", "AppMentionPayload", "FileSharedPayload", "TokensRevokedPayload"):
            assert await envelope.settled(), name


def _drained(app: App) -> list[dict[str, Any]]:
    received = []
    while not app.received.empty():
        received.append(app.received.get_nowait())
    return received
