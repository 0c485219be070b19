"""The Slack adapter against a Slack over real sockets, with a scripted chat model and pictures that take no time."""

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
from bot.capabilities import ModelCapabilities, RefineMode
from bot.commands.slash_commands import SlashCommands
from bot.commands.thread_export import ThreadExport
from bot.conversation.dispatcher import Dispatcher, DispatcherOptions
from bot.domain import Entry
from bot.llm.messages import ModelEvent
from bot.queue_status import QueueStatus, WorkerStatus
from bot.storage.picture_files import PictureFiles
from tests.support.doubles import ScriptedModel
from tests.support.images import Filing, PaintingRenderer, TellingStore, png
from tests.support.paths import ROOT
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

Script = Sequence[str | None | ModelEvent]
Json = dict[str, Any]

MANIFEST: Json = json.loads((ROOT / "deploy" / "slack-manifest.json").read_text("utf-8"))

SUN = ("Here it is: ", "<image>a sun</image>", " Enjoy!")
MOON = ("<image>a moon</image>",)
RED = ("<edit>a red sun</edit>",)
WORDS = ("Hello.",)
TALK: Script = ("One ", None, "two ", "<image>a sun</image>", " three.")
WHOLE = "One two\n#1 · a sun\nthree."


class House:
    """A bot in a workspace with a channel and three people; Bo is an admin of it."""

    def __init__(self, slack: SlackDouble, folder: Path, scripts: Sequence[Script]) -> None:
        self.slack = slack
        slack.events.subscribed = set(MANIFEST["settings"]["event_subscriptions"]["bot_events"])
        self.folder = folder
        self.files = PictureFiles(folder / "pictures")
        self.store = TellingStore(folder / "db.sqlite")
        self.store.told = slack.world.changed
        self.model = ScriptedModel(list(scripts))
        self.renderer = PaintingRenderer(self.store, self.files)
        self.renderer.capabilities = ModelCapabilities(ratios=True, negatives=True)
        self.general = slack.channel("general")
        self.ana, self.cid = slack.person("Ana"), slack.person("Cid")
        self.bo = slack.person("Bo", admin=True)
        self.general.members |= {one.id: one for one in (self.ana, self.bo, self.cid)}
        self.platform: Slack = None  # type: ignore[assignment]
        self.inbox: Dispatcher = None  # type: ignore[assignment]
        self.account = Account(BOT_TOKEN, APP_TOKEN, api_url=slack.api_url)
        self._work: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """A new bot on the same record, connected."""
        lineup = QueueStatus(workers=(WorkerStatus("b", "sketch", 1, 0),))
        desk = SlashCommands(self.store, queue_status=lambda: lineup, chat_models=("clever", "quick"))
        self.inbox = Dispatcher(
            self.store, self.model, self.renderer, Filing(self.files), DispatcherOptions(refining=RefineMode.OFF),
            commands=desk, thread_export=ThreadExport(self.files.read),
        )  # fmt: skip
        self.platform = Slack(
            self.account,
            self.store,
            self.store.posts,
            self.files.read,
            waits=(0.01,) * 4,
            pause=0.0,
            second_delivery_timeout=0.2,
        )
        self._work = asyncio.create_task(self.inbox.run({"slack": self.platform}))
        self._work.add_done_callback(lambda _: self.slack.world.changed())
        if not self.account.app_token:
            serving = asyncio.create_task(self.platform.serving.wait())
            await asyncio.wait({serving, self._work}, return_when=asyncio.FIRST_COMPLETED)
            serving.cancel()
        else:
            await self.slack.until(lambda: self.slack.link.lines or (self._work and self._work.done()))
        if self._work.done():
            self._work.result()

    async def close(self) -> None:
        """Have it stop, as a signal would."""
        if self._work:
            self._work.cancel()
            await asyncio.wait({self._work})
            await self.slack.until(lambda: not self.slack.link.lines)

    async def restart(self) -> None:
        """End the bot and start another one on the same record."""
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
        """Mention the bot; the question, while it is answered."""
        text = f"{self.slack.bot.mention} {words}"
        return await self.slack.say(channel or self.general, who or self.ana, text, files=files, thread_ts=thread_ts)

    async def draw(self, words: str = "draw a sun", **more: Any) -> Message:
        """Mention the bot, and wait until it has answered; the question."""
        asked = await self.ask(words, **more)
        await self.final(asked)
        return asked

    async def say(self, asked: Message, words: str, who: Person | None = None, **more: Any) -> Entry:
        """Say something in the thread of a message without a mention, and wait until it is answered."""
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

    async def final(self, said: Message | str) -> Entry:
        """What is on record of a message, as soon as the reply to it is final."""
        name = said if isinstance(said, str) else message_id(said.channel.id, said.ts)
        return await self.record(lambda: next((one for one in self.entries() if one.id == name and one.view), None))

    async def newest(self, more_than: int) -> Entry:
        """The newest message on record, once there are more than so many and it is answered."""
        return await self.record(
            lambda: self.entries()[-1] if len(self.entries()) > more_than and self.entries()[-1].view else None
        )

    async def record(self, holds: Callable[[], Entry | None]) -> Entry:
        """What `holds` gives as soon as it gives anything."""
        await self.slack.until(holds)
        found = holds()
        assert found
        return found

    def entries(self) -> list[Entry]:
        """All that is on record, in the order in which it came."""
        threads = self.store.threads("slack")
        return [entry for known in reversed(threads) for entry in self.store.entries(known.key)]

    def thread(self, asked: Message) -> list[Message]:
        """What the bot has said in the thread of a message."""
        return [one for one in self.slack.messages(asked.channel, asked.thread) if one.author is self.slack.bot]

    def said(self, channel: Channel) -> list[Message]:
        """What the bot has said in a channel outside of threads."""
        return [one for one in self.slack.messages(channel) if one.author is self.slack.bot]

    def hints(self, who: Person | None = None) -> list[str]:
        """What was said to one person alone."""
        return [words(one) or one.text for one in self.slack.ephemerals(who or self.ana)]

    async def hint(self, who: Person | None = None, count: int = 1) -> str:
        """What was said last to one person alone, once there is so much of it."""
        await self.slack.until(lambda: len(self.hints(who)) >= count)
        return self.hints(who)[-1]

    def colour(self, message: Message, nth: int = 0) -> tuple[int, int, int]:
        """The colour of a picture that a message shows, as Slack has it."""
        with Image.open(io.BytesIO(self.slack.world.files[message.slack_files[nth]].data)) as picture:
            return picture.convert("RGB").getpixel((0, 0))  # type: ignore[return-value]

    async def modal(self, who: Person | None = None) -> View:
        """The form that somebody has before them, as soon as it is there."""
        await self.slack.until(lambda: self.slack.modal(who or self.ana))
        view = self.slack.modal(who or self.ana)
        assert view
        return view

    async def fill(self, values: Mapping[str, Any], who: Person | None = None) -> View:
        """Fill in the form that somebody has before them, and send it."""
        view = await self.modal(who)
        assert (await self.slack.submit(view, values, who or self.ana)).acknowledged
        return view


class Shown(Message):
    """A message of which only some blocks are looked at."""

    def __init__(self, message: Message, blocks: list[Json]) -> None:
        vars(self).update(vars(message))
        self.blocks = blocks


def named(element: Any, label: str) -> bool:
    """Whether it is a button with this label."""
    return isinstance(element, dict) and element.get("type") == "button" and element["text"]["text"] == label


def buttons(place: Message | View, label: str = "") -> list[Json]:
    """The buttons of a message or a view, or those with a label."""
    found = [one for block in place.blocks for one in block.get("elements", ()) if one.get("type") == "button"]
    return [one for one in found if not label or one["text"]["text"] == label]


def labels(place: Message | View) -> list[str]:
    """The labels of the buttons."""
    return [one["text"]["text"] for one in buttons(place)]


def shape(message: Message) -> list[str]:
    """What the blocks are."""
    return [str(block["type"]) for block in message.blocks]


def words(message: Message | View) -> str:
    """All that is to be read in the blocks of a message, but for buttons; or the text, where there are none."""
    found = []
    for block in message.blocks:
        text = block.get("text")
        found += [text] if isinstance(text, str) else [text["text"]] if isinstance(text, dict) else []
        found += [each["text"] for each in block.get("elements", ()) if isinstance(each.get("text"), str)]
    return "\n".join(found) if found or isinstance(message, View) else message.text


def alts(message: Message) -> list[str]:
    """What is said of the pictures to whoever cannot see them."""
    return [block["alt_text"] for block in message.blocks if block["type"] == "image"]


def upload(name: str = "cat.png", colour: str = "blue", **more: Any) -> Upload:
    """A picture that somebody brings."""
    return Upload(name, png(colour), **more)


async def streaming(here: House) -> tuple[Message, Message]:
    """A question, and the message in which the words to it stream; the chat model waits for `go`."""
    asked = await here.ask()
    await here.slack.until(lambda: here.thread(asked) and here.thread(asked)[0].streaming is Streaming.RUNNING)
    await here.model.waiting.wait()
    await here.slack.until(lambda: here.slack.called("agents.sessions.setStatus"))
    return asked, here.thread(asked)[0]


def is_whole(here: House, asked: Message, text: str = WHOLE) -> bool:
    """The reply is there once, with its words and its picture."""
    (reply,) = here.thread(asked)
    return words(reply) == text and alts(reply) == ["#1: a sun"] and labels(reply)[0] == "Vary"


class Bugs(logging.Handler):
    """Keeps what was logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it; but that a socket closed before an event was acknowledged is none: the event comes again."""
        told = self.format(record)
        if "Cannot write to closing transport" not in told:
            self.told.append(told)


@asynccontextmanager
async def house(tmp_path: Path, *scripts: Script, clean: bool = True) -> AsyncIterator[House]:
    """A running house; the chat model says the scripts one after the other.

    At the end Slack has found no fault with anything, and no error was logged.
    """
    bugs = Bugs()
    logging.getLogger().addHandler(bugs)
    with direct():
        async with SlackDouble() as slack:
            here = House(slack, tmp_path, scripts)
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
