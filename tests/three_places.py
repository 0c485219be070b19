"""The web page, Discord and Slack as places for the conversations of `tests/three.py`: real adapters, real clients."""

import re
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import discord

from adapters.web import parse
from bot.abilities import Abilities
from bot.domain import ThreadKey
from tests import discord_sim, slack_house, web_house
from tests.painting import png
from tests.slack_double import Message, Upload
from tests.three import Place

ABLE = Abilities(ratios=True, negatives=True)


class Page:
    """The page's own API, over a real socket. Whoever can open it manages."""

    when, ranks = r"in about \d+ h", False

    def __init__(self, here: web_house.House, thread: str) -> None:
        self._here, self._thread = here, thread
        self.store, self.model, self.renderer = here.store, here.model, here.renderer
        self.key = parse.thread_key(thread.rpartition("/")[2])

    async def _post(self, what: str, who: str, **body: Any) -> str:
        status, told = await self._here.post(f"{self._thread}/{what}", {"author": who, **body})
        return str(told["error"] if status != 200 else told.get("text", ""))

    async def say(self, who: str, words: str, uploads: Sequence[str] = ()) -> None:
        """Send a message."""
        sent = [b64encode(png(colour)).decode() for colour in uploads]
        assert not await self._post("messages", who, text=words, pictures=sent)

    async def change(self, who: str, number: int, words: str) -> None:
        """Press Edit, by which the page asks for words, and send them."""
        await self.press(who, "Edit", number)
        assert not await self._post("messages", who, text=words, about=number)

    async def press(self, who: str, label: str, number: int, *, refused: bool = False) -> str:
        """Press what a reply has below it."""
        _, told = await self._here.get(self._thread)
        buttons = [each for one in told["messages"] for each in one["buttons"]]
        button = next(each for each in buttons if each["label"] == f"{label} #{number}")
        return await self._post("buttons", who, action=button["action"], target=button["target"])

    async def begin(self, who: str, words: str, label: str) -> None:
        """Send a message, and wait for a button."""
        await self.say(who, words)
        await self._until(lambda told: any(label in button["label"] for button in told.get("buttons", ())))

    async def answered(self, count: int) -> None:
        """Wait for so many replies."""
        for entry in self.store.entries(self.key)[:count]:
            await self._here.final(self._thread, entry.id)

    async def gone(self, number: int) -> None:
        """Wait until a picture is not shown any more."""
        part = f"'number': {number}, 'state': 'failed'"
        await self._until(lambda told: part in str(told))

    async def _until(self, holds: Callable[[dict[str, Any]], object]) -> None:
        async with self._here.watch(self._thread) as events:
            async for _, told in events:
                if holds(told):
                    return

    async def imagine(self, who: str, prompt: str) -> None:
        """Send a wish."""
        assert not await self._post("wishes", who, prompt=prompt)

    async def choose(self, who: str, key: str, value: str) -> str:
        """Give the command."""
        told = {"do": "set", "scope": "server", "key": key, "value": value}
        return await self._post("commands", who, name="settings", arguments=told)

    async def forget(self, who: str) -> str:
        """Give the command."""
        return await self._post("commands", who, name="forget", arguments={"what": "thread"})

    async def screen(self) -> tuple[list[int], str]:
        """The pictures and the words of the replies."""
        _, told = await self._here.get(self._thread)
        parts = [part for message in told["messages"] if message["kind"] == "bot" for part in message["parts"]]
        shown = [part["number"] for part in parts if part["type"] == "picture" and part["picture"]]
        return shown, "\n".join(str(part.get("reason") or part.get("markdown")) for part in parts)


@asynccontextmanager
async def on_the_page(folder: Path) -> AsyncIterator[Place]:
    """A new thread of the page."""
    async with web_house.house(folder) as here:
        yield Page(here, await here.thread())


class Server:
    """A thread in a simulated Discord."""

    when, ranks = r"<t:\d+:R>", True

    def __init__(self, here: discord_sim.House) -> None:
        self._here = here
        self.store, self.model, self.renderer = here.store, here.model, here.renderer
        here.renderer.abilities = ABLE
        managers = here.guild.create_role("Managers", permissions=discord.Permissions(manage_messages=True))
        here.ann, here.bob, here.cid = self._people = [
            here.guild.add_member(here.env.create_user(name), roles=[managers] if name == "Bo" else [])
            for name in ("Ann", "Bo", "Cid")
        ]
        self._thread: Any = None

    @property
    def key(self) -> ThreadKey:
        """The thread of all that was said."""
        return self._here.entries()[0].thread

    def _who(self, name: str) -> Any:
        return next(one for one in self._people if one.user.name == name)

    async def say(self, who: str, words: str, uploads: Sequence[str] = ()) -> None:
        """Send a message: with a mention in the channel, without one in the thread."""
        files = [(f"{colour}.png", png(colour)) for colour in uploads]
        if self._thread:
            await self._who(who).send(self._thread, words, attachments=files)
        else:
            asked = await self._here.ask(words, self._who(who), attachments=files)
            self._thread = await self._here.until(lambda: self._opened(asked.id))

    def _opened(self, message_id: int) -> Any:
        return next((one for one in self._here.channel.threads if one.id == message_id), None)

    async def change(self, who: str, number: int, words: str) -> None:
        """Reply to the picture."""
        await self._here.quietly(self._picture(number), words, self._who(who))

    def _picture(self, number: int) -> Any:
        shown = self._thread.history()
        return next(one for one in shown if one.author.bot and f"**#{number}**" in one.content)

    async def press(self, who: str, label: str, number: int, *, refused: bool = False) -> str:
        """Press what the picture has below it."""
        label = f"{label} #{number}" if label == "Cancel" else label
        pressed = await self._who(who).click(self._picture(number), label=label)
        assert refused or discord_sim.silent(pressed)
        return discord_sim.hidden(self._here, self._thread, pressed) if refused else ""

    async def begin(self, who: str, words: str, label: str) -> None:
        """Send a message, and wait for a button."""
        await self.say(who, words)
        await self._here.until(lambda: any(label in each for each in self._labels()))

    def _labels(self) -> list[str]:
        return [label for message in self._thread.history() for label in discord_sim.labels(message)]

    async def answered(self, count: int) -> None:
        """Wait for so many replies."""
        await self._here.until(lambda: len([one for one in self._here.entries() if one.view]) >= count)

    async def gone(self, number: int) -> None:
        """Wait until a picture is not shown any more."""
        await self._here.until(lambda: self._picture(number).content.startswith("⚠️"))

    async def imagine(self, who: str, prompt: str) -> None:
        """Give the command in the channel."""
        given = await self._who(who).slash(self._here.channel, "imagine", prompt=prompt)
        self._thread = await self._here.until(lambda: self._opened(given.response.id))

    async def choose(self, who: str, key: str, value: str) -> str:
        """Give the command."""
        told = {"scope": "server", "key": key, "value": value}
        given = await self._who(who).slash(self._here.channel, "settings set", **told)
        return discord_sim.hidden(self._here, self._here.channel, given)

    async def forget(self, who: str) -> str:
        """Give the command."""
        given = await self._who(who).slash(self._thread, "forget", what="thread")
        return discord_sim.hidden(self._here, self._thread, given)

    async def screen(self) -> tuple[list[int], str]:
        """The pictures and the words of the thread."""
        found = [re.search(r"\*\*#(\d+)\*\*", one.content) for one in discord_sim.pictures(self._thread)]
        return [int(number[1]) for number in found if number], "\n".join(discord_sim.contents(self._thread))


@asynccontextmanager
async def on_discord(folder: Path) -> AsyncIterator[Place]:
    """A server with a channel in which nothing was said yet."""
    async with discord_sim.house(folder) as here:
        yield Server(here)


class Workspace:
    """A thread in a Slack over real sockets."""

    when, ranks = r"in about \d+ h", True

    def __init__(self, here: slack_house.House) -> None:
        self._here = here
        self.store, self.model, self.renderer = here.store, here.model, here.renderer
        people = {name: here.slack.person(name, admin=name == "Bo") for name in ("Ann", "Bo", "Cid")}
        here.general.members |= {one.id: one for one in people.values()}
        self._people = people
        self._asked: Message | None = None

    @property
    def key(self) -> ThreadKey:
        """The thread of all that was said."""
        return self._here.entries()[0].thread

    def _first(self) -> Message:
        assert self._asked
        return self._asked

    async def say(self, who: str, words: str, uploads: Sequence[str] = ()) -> None:
        """Send a message: with a mention in the channel, without one in the thread."""
        files = [Upload(f"{colour}.png", png(colour)) for colour in uploads]
        if self._asked:
            await self._here.slack.say(
                self._asked.channel, self._people[who], words, thread_ts=self._asked.thread, files=files
            )
        else:
            self._asked = await self._here.ask(words, self._people[who], files=files)

    async def change(self, who: str, number: int, words: str) -> None:
        """Press Edit, and fill in the form."""
        await self.press(who, "Edit", number)
        await self._here.fill({"words": words}, self._people[who])

    async def press(self, who: str, label: str, number: int, *, refused: bool = False) -> str:
        """Press what the picture has below it."""
        before = len(self._here.hints(self._people[who]))
        if label == "Cancel":
            label, nth = f"Cancel #{number}", 0
            message = next(one for one in self._messages() if label in slack_house.labels(one))
        else:
            message = next(one for one in self._messages() if number in _numbers(one))
            nth = _numbers(message).index(number)
        await self._here.press(message, label, self._people[who], nth)
        return await self._here.hint(self._people[who], before + 1) if refused else ""

    def _messages(self) -> list[Message]:
        return self._here.thread(self._first())

    async def begin(self, who: str, words: str, label: str) -> None:
        """Send a message, and wait for a button."""
        await self.say(who, words)
        await self._here.slack.until(
            lambda: any(label in each for one in self._messages() for each in slack_house.labels(one))
        )

    async def answered(self, count: int) -> None:
        """Wait for so many replies."""
        await self._here.slack.until(lambda: len([one for one in self._here.entries() if one.view]) >= count)

    async def gone(self, number: int) -> None:
        """Wait until a picture is not shown any more."""
        note = f"⚠️ #{number} "
        await self._here.slack.until(lambda: any(note in slack_house.words(one) for one in self._messages()))

    async def imagine(self, who: str, prompt: str) -> None:
        """Give the command in the channel."""
        await self._here.command(prompt, self._people[who], name="/imagine")
        await self.answered(1)
        (self._asked,) = self._here.said(self._here.general)

    async def choose(self, who: str, key: str, value: str) -> str:
        """Give the command."""
        before = len(self._here.hints(self._people[who]))
        await self._here.command(f"settings set {key} {value} server", self._people[who])
        return await self._here.hint(self._people[who], before + 1)

    async def forget(self, who: str) -> str:
        """Mention the bot with the word, for Slack takes no commands in threads."""
        before = len(self._here.hints(self._people[who]))
        await self._here.ask("forget", self._people[who], thread_ts=self._first().ts)
        return await self._here.hint(self._people[who], before + 1)

    async def screen(self) -> tuple[list[int], str]:
        """The pictures and the words of the replies."""
        shown = [number for one in self._messages() for number in _numbers(one)]
        return shown, "\n".join(map(slack_house.words, self._messages()))


def _numbers(message: Message) -> list[int]:
    return [int(alt.partition(":")[0].removeprefix("#")) for alt in slack_house.alts(message)]


@asynccontextmanager
async def on_slack(folder: Path) -> AsyncIterator[Place]:
    """A workspace with a channel in which nothing was said yet."""
    async with slack_house.house(folder) as here:
        yield Workspace(here)


PLACES: dict[str, Callable[[Path], AbstractAsyncContextManager[Place]]] = {
    "web": on_the_page,
    "discord": on_discord,
    "slack": on_slack,
}
