"""A simulated Discord as a place for the conversations of `tests/support/same_conversation/script.py`."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import discord

from bot.capabilities import ModelCapabilities
from bot.domain import ThreadKey
from bot.settings.rules import SETTINGS, AvailableModels, value_name
from tests.support import discord_sim
from tests.support.images import png
from tests.support.same_conversation.script import Attachment, Place, plain, source_of

ABLE = ModelCapabilities(ratios=True, negatives=True)


class Server:
    """A thread in a simulated Discord."""

    when, ranks, overhears = r"<t:\d+:R>", True, True

    def __init__(self, here: discord_sim.SimulatedBot) -> None:
        self._here = here
        self.store, self.model, self.renderer, self.files = here.store, here.model, here.renderer, here.files
        here.renderer.capabilities = ABLE
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
        """The thread, or the channel where it is answered in place."""
        channel = self._here.channel
        below = [one for one in channel.history() if one.reference and one.reference.message_id == message_id]
        return next((one for one in channel.threads if one.id == message_id), channel if below else None)

    async def say_in_vain(self, who: str, words: str) -> str:
        """Send a message that is answered with a note."""
        place = self._thread or self._here.channel
        asked = await self._here.ask(words, self._who(who), place)
        (note,) = [one for one in place.history() if one.reference and one.reference.message_id == asked.id]
        return str(note.content).removeprefix("-# ")

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
        await self._here.until(lambda: any(label in each for each in self._shown_labels()))

    async def labels(self) -> list[str]:
        """The labels of all buttons."""
        return self._shown_labels()

    def _shown_labels(self) -> list[str]:
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

    def named(self, name: str) -> str:
        """A mention."""
        return str(self._here.channel.mention if name == "here" else self._who(name).mention)

    def _of(self, scope: str) -> Any:
        return self._thread if scope in ("thread", "me") and self._thread else self._here.channel

    async def _slash(self, who: str, name: str, place: Any, **arguments: str) -> str:
        return discord_sim.hidden(self._here, place, await self._who(who).slash(place, name, **arguments))

    async def choose(self, who: str, key: str, value: str, scope: str) -> str:
        """Give the command."""
        output = {"value": value} if value else {}
        name = "settings set" if value else "settings reset"
        return await self._slash(who, name, self._of(scope), scope=scope, key=key, **output)

    async def show(self, who: str, key: str, scope: str) -> tuple[str, str]:
        """What the panel has."""
        output = await self._slash(who, "settings show", self._of(scope), scope=scope)
        found = re.search(rf"\*\*{re.escape(str(SETTINGS[key].title))}\*\*: (.*)\n-# from: (\w+)", output)
        assert found
        choices = SETTINGS[key].choices
        values = {str(value_name(key, each)): each for each in choices(AvailableModels())} if choices else {}
        shown = found[1].replace("\\", "")
        return values.get(shown, shown), source_of(found[2])

    async def look(self, who: str, name: str) -> str:
        """Give the command."""
        return plain(await self._slash(who, name, self._thread))

    async def take(self, who: str, name: str) -> tuple[str, Attachment]:
        """Give the command, and open what comes with the answer."""
        given = await self._who(who).slash(self._thread, name)
        await self._here.until(lambda: discord_sim.answers(given))
        output = discord_sim.hidden(self._here, self._thread, given)
        (file,) = discord_sim.answers(given)[0].attachments
        return output, Attachment(file.filename, await self._here.client.http.get_from_cdn(file.url))

    async def forget(self, who: str) -> str:
        """Give the command."""
        return await self._slash(who, "forget", self._thread, what="thread")

    async def screen(self) -> tuple[list[tuple[int, str]], str]:
        """The pictures and the words of the thread."""
        shown = []
        for one in discord_sim.pictures(self._thread):
            number = re.search(r"\*\*#(\d+)\*\*", one.content)
            shown += [(int(number[1]), str(one.attachments[0].description))] if number else []
        return shown, "\n".join(discord_sim.contents(self._thread))


@asynccontextmanager
async def on_discord(folder: Path) -> AsyncIterator[Place]:
    """A server with a channel in which nothing was said yet."""
    async with discord_sim.running_bot(folder) as here:
        yield Server(here)
