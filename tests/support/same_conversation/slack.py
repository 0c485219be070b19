"""A Slack over real sockets as a place for the conversations of `tests/support/same_conversation/script.py`."""

import re
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bot.domain import ThreadKey
from bot.settings.rules import SETTINGS, AvailableModels, value_name
from tests.support import slack_workspace
from tests.support.images import png
from tests.support.same_conversation.script import Attachment, Place, plain, source_of
from tests.support.slack_server import Message, Upload


class Workspace:
    """A thread in a Slack over real sockets."""

    when, ranks, overhears = r"in (?:about|etwa) \d+ (?:hr|Std\.)", True, True

    def __init__(self, here: slack_workspace.SlackBot) -> None:
        self._here = here
        self.store, self.model, self.renderer, self.files = here.store, here.model, here.renderer, here.files
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

    async def say_in_vain(self, who: str, words: str) -> str:
        """Mention the bot with words that are answered with a note."""
        return await self._hinted(who, self._mention(who, words))

    async def _mention(self, who: str, words: str) -> None:
        asked = self._asked
        await self._here.ask(words, self._people[who], thread_ts=asked.thread if asked else None)

    async def _hinted(self, who: str, doing: Coroutine[Any, Any, None]) -> str:
        """What is told to somebody alone when this is done."""
        before = len(self._here.hints(self._people[who]))
        await doing
        return await self._here.hint(self._people[who], before + 1)

    async def change(self, who: str, number: int, words: str) -> None:
        """Press Edit, and fill in the form."""
        await self.press(who, "Edit", number)
        await self._here.fill({"words": words}, self._people[who])

    async def press(self, who: str, label: str, number: int, *, refused: bool = False) -> str:
        """Press what the picture has below it."""
        before = len(self._here.hints(self._people[who]))
        if label == "Cancel":
            label, nth = f"Cancel #{number}", 0
            message = next(one for one in self._messages() if label in slack_workspace.labels(one))
        else:
            message = next(one for one in self._messages() if number in _numbers(one))
            nth = _numbers(message).index(number)
        await self._here.press(message, label, self._people[who], nth)
        return await self._here.hint(self._people[who], before + 1) if refused else ""

    def _messages(self) -> list[Message]:
        return self._here.thread(self._first())

    async def labels(self) -> list[str]:
        """The labels of all buttons."""
        return [label for message in self._messages() for label in slack_workspace.labels(message)]

    async def begin(self, who: str, words: str, label: str) -> None:
        """Send a message, and wait for a button."""
        await self.say(who, words)
        await self._here.slack.until(
            lambda: any(label in each for one in self._messages() for each in slack_workspace.labels(one))
        )

    async def answered(self, count: int) -> None:
        """Wait for so many replies."""
        await self._here.slack.until(lambda: len([one for one in self._here.entries() if one.view]) >= count)

    async def gone(self, number: int) -> None:
        """Wait until a picture is not shown any more."""
        note = f"⚠️ #{number} "
        await self._here.slack.until(lambda: any(note in slack_workspace.words(one) for one in self._messages()))

    async def imagine(self, who: str, prompt: str) -> None:
        """Give the command in the channel."""
        await self._here.command(prompt, self._people[who], name="/imagine")
        await self.answered(1)
        (self._asked,) = self._here.said(self._here.general)

    def named(self, name: str) -> str:
        """A mention."""
        return f"<#{self._here.general.id}>" if name == "here" else self._people[name].mention

    async def choose(self, who: str, key: str, value: str, scope: str) -> str:
        """Give the command; for a thread mention the bot there, for Slack does not allow commands in threads."""
        words = f"settings set {key} {value} {scope}" if value else f"settings reset {key} {scope}"
        return await self._hinted(who, self._said(who, words, scope))

    def _said(self, who: str, words: str, scope: str) -> Coroutine[Any, Any, None]:
        in_thread = scope in ("thread", "me") and self._asked
        return self._mention(who, words) if in_thread else self._here.command(words, self._people[who])

    async def show(self, who: str, key: str, scope: str) -> tuple[str, str]:
        """What a list of all settings has."""
        output = await self._hinted(who, self._said(who, f"settings show {scope}", scope))
        found = re.search(rf"\(`{key}`\): (.*), from: (\w+)", output)
        assert found
        choices = SETTINGS[key].choices
        values = {str(value_name(key, each)): each for each in choices(AvailableModels())} if choices else {}
        return values.get(found[1], found[1]), source_of(found[2])

    async def look(self, who: str, name: str) -> str:
        """Mention the bot with the word."""
        return plain(await self._hinted(who, self._mention(who, name)))

    async def take(self, who: str, name: str) -> tuple[str, Attachment]:
        """Mention the bot with the word; the file is for the whole thread."""
        self._here.slack.uploads.polls = 0
        before = len(self._messages())
        output = await self._hinted(who, self._mention(who, name))
        await self._here.slack.until(lambda: len(self._messages()) > before)
        (file,) = self._messages()[-1].files
        return output, Attachment(file.name, file.data)

    async def forget(self, who: str) -> str:
        """Mention the bot with the word."""
        return await self._hinted(who, self._mention(who, "forget"))

    async def screen(self) -> tuple[list[tuple[int, str]], str]:
        """The pictures and the words of the replies."""
        alts = [alt for one in self._messages() for alt in slack_workspace.alts(one)]
        return [(_number(alt), alt) for alt in alts], "\n".join(map(slack_workspace.words, self._messages()))


def _numbers(message: Message) -> list[int]:
    return list(map(_number, slack_workspace.alts(message)))


def _number(alt: str) -> int:
    return int(alt.partition(":")[0].removeprefix("#"))


@asynccontextmanager
async def on_slack(folder: Path) -> AsyncIterator[Place]:
    """A workspace with a channel in which nothing was said yet."""
    async with slack_workspace.running_bot(folder) as here:
        yield Workspace(here)
