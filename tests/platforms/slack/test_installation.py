"""The installation in a workspace: the manifest, the scopes, and signed HTTP requests."""

import inspect
import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port
from jsonschema import Draft7Validator
from slack_sdk.signature import SignatureVerifier

from adapters.slack import components, listeners, slash_commands
from tests.support.slack_server import Channel, Kind, payloads
from tests.support.slack_server.contract.schemas import FOLDER
from tests.support.slack_workspace import MANIFEST, RED, WORDS, SlackBot, labels, running_bot, upload, words

SECRET = "of-the-double"
EVENTS: list[str] = MANIFEST["settings"]["event_subscriptions"]["bot_events"]


def from_contract(*parts: str) -> Any:
    """Read a file of the contract."""
    path = FOLDER.joinpath(*parts)
    if not path.exists():
        pytest.skip("the contract folder is not there")
    return json.loads(path.read_text("utf-8"))


# The manifest


def test_the_manifest_is_valid() -> None:
    """By Slack's own schema, which does not check names: those are looked up."""
    schema = from_contract("manifest-schema", "schemas", "manifest.schema.1.0.0.json")
    assert [error.message for error in Draft7Validator(schema).iter_errors(MANIFEST)] == []
    known = {event["name"] for event in from_contract("slack-api-ref", "events.json")}
    assert set(EVENTS) <= known


def test_the_manifest_declares_exactly_the_listeners() -> None:
    """Each event, command and shortcut of the manifest has a listener, and no listener is without a declaration."""
    source = "".join(map(inspect.getsource, (listeners, components, slash_commands)))
    assert set(re.findall(r'@app\.event\("(\w+)"\)', source)) == {name.partition(".")[0] for name in EVENTS}
    commands = {each["command"] for each in MANIFEST["features"]["slash_commands"]}
    assert set(re.findall(r'@app\.command\("(/\w+)"\)', source)) == commands
    assert all(f'"{each["callback_id"]}"' in source for each in MANIFEST["features"]["shortcuts"])


async def test_the_manifest_requests_exactly_the_needed_scopes(tmp_path: Path) -> None:
    """For everything that the bot does in channels, groups and direct conversations."""
    known = {event["name"]: event.get("scopes", []) for event in from_contract("slack-api-ref", "events.json")}
    async with running_bot(tmp_path, *[RED] * 5) as here:
        wanted = set(MANIFEST["oauth_config"]["scopes"]["bot"])
        here.slack.web.scopes = wanted
        rooms = [here.slack.channel(kind.value, kind=kind) for kind in (Kind.PUBLIC, Kind.PRIVATE, Kind.GROUP)]
        for room in (*rooms, here.slack.direct(here.ana)):
            root = await here.slack.say(room, here.cid, "our mascot", files=[upload()])
            if room.kind is not Kind.DIRECT:
                await here.draw("make it red", channel=room, thread_ts=root.ts)
        direct = await here.slack.say(here.slack.direct(here.ana), here.ana, "red", files=[upload()])
        await here.final(direct)
        inside = await here.slack.say(direct.channel, here.ana, "usage", thread_ts=direct.ts)
        await here.slack.shortcut(inside, "ask_picture", here.ana)
        scopes = here.slack.scopes_used | {"commands"}
        scopes |= {scope.replace("app_mentions.", "app_mentions:") for name in EVENTS for scope in known[name]}
        assert scopes == wanted


# Over HTTP


class SignedRequests:
    """Sends what Slack would send, signed or not."""

    def __init__(self, here: SlackBot, session: aiohttp.ClientSession) -> None:
        self._here = here
        self._session = session

    async def send(self, body: str, *, secret: str = SECRET, age: float = 0, content: str = "application/json") -> int:
        """The status of the answer."""
        stamp = str(int(time.time() - age))
        signature = SignatureVerifier(secret).generate_signature(timestamp=stamp, body=body)
        headers = {"Content-Type": content, "X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": signature or ""}
        url = f"http://127.0.0.1:{self._here.account.port}/slack/events"
        async with self._session.post(url, data=body.encode(), headers=headers) as answer:
            return answer.status

    async def say(self, text: str, channel: Channel, **more: Any) -> tuple[int, str]:
        """Deliver a mention; the status of the answer, and the id of the message."""
        message = await self._here.slack.say(channel, self._here.ana, f"{self._here.slack.bot.mention} {text}")
        event = payloads.message(self._here.slack.world, message) | {"channel": channel.id, "type": "app_mention"}
        output = {
            "type": "event_callback",
            "team_id": self._here.slack.world.team_id,
            "event": event,
            "event_id": "Ev1",
        }
        return await self.send(json.dumps(output), **more), f"{channel.id}-{message.ts}"

    async def press(self, message: Any, label: str) -> int:
        """Press a button."""
        button = next(each for block in message.blocks for each in block.get("elements", ())
                      if each.get("type") == "button" and each["text"]["text"] == label)  # fmt: skip
        world = self._here.slack.world
        output = payloads.base(world, "block_actions", self._here.ana) | {
            "container": {"type": "message", "message_ts": message.ts, "channel_id": message.channel.id},
            "channel": {"id": message.channel.id}, "message": payloads.message(world, message), "trigger_id": "1.2",
            "actions": [{"action_id": button["action_id"], "value": button["value"], "type": "button",
                         "block_id": "b", "action_ts": world.ts()}],
        }  # fmt: skip
        body = urlencode({"payload": json.dumps(output)})
        return await self.send(body, content="application/x-www-form-urlencoded")


async def over_http(here: SlackBot) -> SlackBot:
    """Run the same bot with an HTTP server instead of a socket."""
    await here.close()
    here.account = replace(here.account, app_token="", signing_secret=SECRET, port=unused_port())
    await here.start()
    return here


async def test_signed_requests_are_accepted(tmp_path: Path) -> None:
    """Events and buttons; a repeated event is answered once."""
    async with running_bot(tmp_path, RED, WORDS) as here, aiohttp.ClientSession() as session:
        requests = SignedRequests(await over_http(here), session)
        assert here.platform.health() == {"connected": True}
        status, name = await requests.say("draw", here.general)
        entry = await here.final(name)
        assert status == 200 and entry.view
        (reply,) = [one for one in here.general.visible() if one.author is here.slack.bot]
        assert words(reply).endswith("a red sun") and labels(reply)[0] == "Vary"
        assert await requests.press(reply, "Vary") == 200
        assert (await here.newest(1)).text == "Vary #1"
        challenge = json.dumps({"type": "url_verification", "challenge": "x", "token": "t"})
        assert await requests.send(challenge) == 200


@pytest.mark.parametrize("fault", [{"secret": "of-somebody-else"}, {"age": 600}])
async def test_requests_that_slack_did_not_sign_are_refused(tmp_path: Path, fault: dict[str, Any]) -> None:
    """A wrong signature, or one that is too old: nothing is done."""
    async with running_bot(tmp_path) as here, aiohttp.ClientSession() as session:
        requests = SignedRequests(await over_http(here), session)
        status, _ = await requests.say("draw", here.general, **fault)
        assert status == 401 and here.entries() == []


async def test_a_port_in_use_is_reported(tmp_path: Path) -> None:
    """By the name of its setting."""
    async with running_bot(tmp_path) as here:
        other = web.AppRunner(web.Application())
        await other.setup()
        site = web.TCPSite(other, "127.0.0.1", 0)
        await site.start()
        taken = other.addresses[0][1]
        await here.close()
        here.account = replace(here.account, app_token="", signing_secret=SECRET, port=taken)
        with pytest.raises(ExceptionGroup, match="unhandled errors") as output:
            await here.start()
        assert "SLACK_PORT" in str(output.value.exceptions[0])
        await other.cleanup()
