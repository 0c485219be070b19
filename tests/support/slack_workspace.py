"""The harness of the Slack adapter: the bot on the Slack double, over real sockets."""

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from adapters.slack.parse import message_id
from adapters.slack.platform import Account, Slack
from bot.capabilities import ModelCapabilities
from bot.domain import Entry
from tests.support.images import png
from tests.support.paths import ROOT
from tests.support.scripted_bot import Script, ScriptedBot
from tests.support.slack_server import (
    APP_TOKEN,
    BOT_TOKEN,
    Channel,
    Message,
    Person,
    SlackDouble,
    Streaming,
    Upload,
    View,
)
from tests.support.slack_server.client import direct
from tests.support.slack_server.contract.schemas import read

Json = dict[str, Any]

MANIFEST: Json = json.loads((ROOT / "deploy" / "slack-manifest.json").read_text("utf-8"))

SUN = ("Here it is: ", "<image>a sun</image>", " Enjoy!")
MOON = ("<image>a moon</image>",)
RED = ("<edit>a red sun</edit>",)
WORDS = ("Hello.",)
TALK: Script = ("One ", None, "two ", "<image>a sun</image>", " three.")
WHOLE = "One two\n#1 · a sun\nthree."


class SlackBot(ScriptedBot):
    """A bot in a workspace with a channel and three people; Bo is an admin of it."""

    platform_name = "slack"
    platform: Slack = None  # type: ignore[assignment]

    def __init__(self, slack: SlackDouble, folder: Path, scripts: Sequence[Script]) -> None:
        super().__init__(folder, scripts, slack.world.changed)
        self.slack = slack
        slack.events.subscribed = set(MANIFEST["settings"]["event_subscriptions"]["bot_events"])
        self.folder = folder
        self.renderer.capabilities = ModelCapabilities(ratios=True, negatives=True)
        self.general = slack.channel("general")
        self.ana, self.cid = slack.person("Ana"), slack.person("Cid")
        self.bo = slack.person("Bo", admin=True)
        self.general.members |= {one.id: one for one in (self.ana, self.bo, self.cid)}
        self.account = Account(BOT_TOKEN, APP_TOKEN, api_url=slack.api_url)

    async def start(self) -> None:
        """Start a new bot on the same database, and wait until it is connected."""
        self.platform = Slack(
            self.account,
            self.store,
            self.store.posts,
            self.files.read,
            waits=(0.01,) * 4,
            pause=0.0,
            second_delivery_timeout=0.2,
        )
        running = asyncio.create_task(self.create_inbox().run({"slack": self.platform}))
        self._work = {running}
        running.add_done_callback(lambda _: self.slack.world.changed())
        if not self.account.app_token:
            serving = asyncio.create_task(self.platform.serving.wait())
            await asyncio.wait({serving, running}, return_when=asyncio.FIRST_COMPLETED)
            serving.cancel()
        else:
            await self.slack.until(lambda: self.slack.link.lines or running.done())
        if running.done():
            running.result()

    async def close(self) -> None:
        """Stop the bot, as a signal would, and wait until its connection has ended."""
        await super().close()
        await self.slack.until(lambda: not self.slack.link.lines)

    async def restart(self) -> None:
        """Stop the bot and start another one on the same database."""
        await self.close()
        await self.start()

    # What people do

    async def ask(
        self,
        words: str = "draw a sun",
        who: Person | None = None,
        channel: Channel | None = None,
        *,
        files: Sequence[Upload] = (),
        thread_ts: str | None = None,
    ) -> Message:
        """Mention the bot, and return the message without waiting for the reply."""
        text = f"{self.slack.bot.mention} {words}"
        return await self.slack.say(channel or self.general, who or self.ana, text, files=files, thread_ts=thread_ts)

    async def draw(self, words: str = "draw a sun", **more: Any) -> Message:
        """Mention the bot; return the message when the reply is final."""
        asked = await self.ask(words, **more)
        await self.final(asked)
        return asked

    async def say(self, asked: Message, words: str, who: Person | None = None, **more: Any) -> Entry:
        """Send a message in a thread without a mention; return the stored message when the reply is final."""
        said = await self.slack.say(asked.channel, who or self.ana, words, thread_ts=asked.thread, **more)
        return await self.final(said)

    async def press(self, message: Message | View, label: str, who: Person | None = None, nth: int = 0) -> None:
        """Press the nth button with this label."""
        action = buttons(message, label)[nth]["action_id"]
        blocks = [block for block in message.blocks if any(named(each, label) for each in block.get("elements", ()))]
        only = Shown(message, [blocks[nth]]) if isinstance(message, Message) else message
        envelope = await self.slack.press(only, action, who or self.ana)
        assert envelope.acknowledged

    async def command(
        self, text: str, who: Person | None = None, *, name: str = "/minidalle", channel: Channel | None = None
    ) -> None:
        """Give a slash command."""
        envelope = await self.slack.command(who or self.ana, channel or self.general, name, text)
        assert envelope.acknowledged

    # What is to be seen

    async def final(self, message: Message | str | int) -> Entry:
        """Return the stored message as soon as the reply to it is final."""
        return await super().final(
            message_id(message.channel.id, message.ts) if isinstance(message, Message) else message
        )

    async def until(self, condition: Callable[[], Any]) -> Any:
        """Return the value of the condition as soon as it is true; asked whenever something changed on Slack."""
        await self.slack.until(condition)
        return condition()

    def thread(self, asked: Message) -> list[Message]:
        """Return the messages of the bot in the thread of a message."""
        return [one for one in self.slack.messages(asked.channel, asked.thread) if one.author is self.slack.bot]

    def said(self, channel: Channel) -> list[Message]:
        """Return the messages of the bot in a channel outside threads."""
        return [one for one in self.slack.messages(channel) if one.author is self.slack.bot]

    def hints(self, who: Person | None = None) -> list[str]:
        """Return the ephemeral texts of a user."""
        return [words(one) or one.text for one in self.slack.ephemerals(who or self.ana)]

    async def hint(self, who: Person | None = None, count: int = 1) -> str:
        """Return the newest ephemeral text of a user, as soon as there are `count`."""
        await self.slack.until(lambda: len(self.hints(who)) >= count)
        return self.hints(who)[-1]

    def colour(self, message: Message, nth: int = 0) -> tuple[int, int, int]:
        """Return the colour of an image that a message shows, from the file on Slack."""
        with Image.open(io.BytesIO(self.slack.world.files[message.slack_files[nth]].data)) as picture:
            return picture.convert("RGB").getpixel((0, 0))  # type: ignore[return-value]

    async def modal(self, who: Person | None = None) -> View:
        """Return the open modal of a user, as soon as there is one."""
        await self.slack.until(lambda: self.slack.modal(who or self.ana))
        view = self.slack.modal(who or self.ana)
        assert view
        return view

    async def fill(self, values: Mapping[str, Any], who: Person | None = None) -> View:
        """Fill in the open modal of a user, and submit it."""
        view = await self.modal(who)
        assert (await self.slack.submit(view, values, who or self.ana)).acknowledged
        return view


class Shown(Message):
    """A message with only some of its blocks."""

    def __init__(self, message: Message, blocks: list[Json]) -> None:
        vars(self).update(vars(message))
        self.blocks = blocks


def named(element: Any, label: str) -> bool:
    """Whether the element is a button with this label."""
    return isinstance(element, dict) and element.get("type") == "button" and element["text"]["text"] == label


def buttons(place: Message | View, label: str = "") -> list[Json]:
    """Return the buttons of a message or a view, or those with a label."""
    found = [one for block in place.blocks for one in block.get("elements", ()) if one.get("type") == "button"]
    return [one for one in found if not label or one["text"]["text"] == label]


def labels(place: Message | View) -> list[str]:
    """Return the labels of the buttons."""
    return [one["text"]["text"] for one in buttons(place)]


def shape(message: Message) -> list[str]:
    """Return the types of the blocks."""
    return [str(block["type"]) for block in message.blocks]


def words(message: Message | View) -> str:
    """Return all texts in the blocks of a message, except on buttons; without blocks, its text."""
    found = []
    for block in message.blocks:
        text = block.get("text")
        found += [text] if isinstance(text, str) else [text["text"]] if isinstance(text, dict) else []
        found += [each["text"] for each in block.get("elements", ()) if isinstance(each.get("text"), str)]
    return "\n".join(found) if found or isinstance(message, View) else message.text


def alts(message: Message) -> list[str]:
    """Return the alternative texts of the images."""
    return [block["alt_text"] for block in message.blocks if block["type"] == "image"]


def upload(name: str = "cat.png", colour: str = "blue", **more: Any) -> Upload:
    """Return an image file for a message."""
    return Upload(name, png(colour), **more)


async def streaming(here: SlackBot) -> tuple[Message, Message]:
    """Return a mention and the message in which its reply streams; the chat model waits for `go`."""
    asked = await here.ask()
    await here.slack.until(lambda: here.thread(asked) and here.thread(asked)[0].streaming is Streaming.RUNNING)
    await here.model.waiting.wait()
    await here.slack.until(lambda: here.slack.called("agents.sessions.setStatus"))
    return asked, here.thread(asked)[0]


def is_whole(here: SlackBot, asked: Message, text: str = WHOLE) -> bool:
    """Whether the reply is posted once, with its text and its image."""
    (reply,) = here.thread(asked)
    return words(reply) == text and alts(reply) == ["#1: a sun"] and labels(reply)[0] == "Vary"


class Bugs(logging.Handler):
    """Keeps the errors that were logged."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the error, unless a socket closed before an acknowledgement: Slack repeats the event."""
        output = self.format(record)
        if "Cannot write to closing transport" not in output:
            self.told.append(output)


@asynccontextmanager
async def running_bot(tmp_path: Path, *scripts: Script, clean: bool = True) -> AsyncIterator[SlackBot]:
    """Run a bot until the end of the block; the chat model answers with the scripts, one after the other.

    At the end Slack has found no fault with anything, and no error was logged.
    """
    bugs = Bugs()
    logging.getLogger().addHandler(bugs)
    with direct():
        async with SlackDouble() as slack:
            here = SlackBot(slack, tmp_path, scripts)
            try:
                await here.start()
                yield here
            finally:
                await here.close()
                here.store.close()
                logging.getLogger().removeHandler(bugs)
            assert slack.pings == [] and slack.leaks == [] and bugs.told == []
            assert not clean or slack.violations == []


knows_scopes = pytest.mark.skipif(
    read() is None, reason="Slack's method reference is not there: the double does not know which scope is needed"
)
