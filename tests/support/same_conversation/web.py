"""The web app as the platform of a conversation script: its own API over a real socket."""

from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from adapters.web import parse
from bot.storage.picture_files import PictureFiles
from tests.support.images import png
from tests.support.same_conversation.script import Attachment, Place, plain
from tests.support.web_app import RunningWebApp, running_web_app


class Page:
    """The page's own API, over a real socket. Whoever can open it manages."""

    when, ranks, overhears = r"in (?:about|etwa) \d+ (?:hr|Std\.)", False, False

    def __init__(self, here: RunningWebApp, thread: str, folder: Path) -> None:
        self._here, self._thread = here, thread
        self.files = PictureFiles(folder / "pictures")
        self.store, self.model, self.renderer = here.store, here.model, here.renderer
        self.key = parse.thread_key(thread.rpartition("/")[2])

    async def _post(self, what: str, who: str, **body: Any) -> str:
        status, output = await self._here.post(f"{self._thread}/{what}", {"author": who, **body})
        return str(output["error"] if status != 200 else output.get("text", ""))

    async def _command(self, who: str, name: str, **arguments: str) -> Any:
        _, output = await self._here.post(
            f"{self._thread}/commands", {"author": who, "name": name, "arguments": arguments}
        )
        return output

    async def say(self, who: str, words: str, uploads: Sequence[str] = ()) -> None:
        """Send a message."""
        sent = [b64encode(png(colour)).decode() for colour in uploads]
        assert not await self._post("messages", who, text=words, pictures=sent)

    async def say_in_vain(self, who: str, words: str) -> str:
        """Send a message that is not taken."""
        return await self._post("messages", who, text=words)

    async def change(self, who: str, number: int, words: str) -> None:
        """Press Edit, by which the page asks for words, and send them."""
        await self.press(who, "Edit", number)
        assert not await self._post("messages", who, text=words, about=number)

    async def press(self, who: str, label: str, number: int, *, refused: bool = False) -> str:
        """Press what a reply has below it."""
        _, output = await self._here.get(self._thread)
        buttons = [each for one in output["messages"] for each in one["buttons"]]
        button = next(
            each for each in buttons if each["action"] == label.lower() and each["label"].endswith(f"#{number}")
        )
        return await self._post("buttons", who, action=button["action"], target=button["target"])

    async def labels(self) -> list[str]:
        """The labels of all buttons."""
        _, output = await self._here.get(self._thread)
        return [button["label"] for one in output["messages"] for button in one["buttons"]]

    async def begin(self, who: str, words: str, label: str) -> None:
        """Send a message, and wait for a button."""
        await self.say(who, words)
        await self._until(lambda output: any(label in button["label"] for button in output.get("buttons", ())))

    async def answered(self, count: int) -> None:
        """Wait for so many replies."""
        for entry in self.store.entries(self.key)[:count]:
            await self._here.final(self._thread, entry.id)

    async def gone(self, number: int) -> None:
        """Wait until a picture is not shown any more."""
        part = f"'number': {number}, 'state': 'failed'"
        await self._until(lambda output: part in str(output))

    async def _until(self, holds: Callable[[dict[str, Any]], object]) -> None:
        async with self._here.watch(self._thread) as events:
            async for _, output in events:
                if holds(output):
                    return

    async def imagine(self, who: str, prompt: str) -> None:
        """Send a wish."""
        assert not await self._post("imagine", who, prompt=prompt)

    def named(self, name: str) -> str:
        """People go by their names here, and all of it is one channel."""
        return "page" if name == "here" else name

    async def choose(self, who: str, key: str, value: str, scope: str) -> str:
        """Give the command."""
        do = {"do": "set", "value": value} if value else {"do": "reset"}
        output = await self._command(who, "settings", scope=scope, key=key, **do)
        return str(output.get("error") or output["text"])

    async def show(self, who: str, key: str, scope: str) -> tuple[str, str]:
        """What the form has."""
        panel = (await self._command(who, "settings", scope=scope))["panel"]
        field = next(each for each in panel["fields"] if each["key"] == key)
        return field["value"], field["source"]

    async def look(self, who: str, name: str) -> str:
        """Give the command."""
        return plain((await self._command(who, name))["text"])

    async def take(self, who: str, name: str) -> tuple[str, Attachment]:
        """Give the command, and fetch what it points to."""
        output = await self._command(who, name)
        _, data = await self._here.get(output["attachment"]["url"])
        return output["text"], Attachment(output["attachment"]["name"], data)

    async def forget(self, who: str) -> str:
        """Give the command."""
        return str((await self._command(who, "forget", what="thread"))["text"])

    async def screen(self) -> tuple[list[tuple[int, str]], str]:
        """The pictures and the words of the replies."""
        _, output = await self._here.get(self._thread)
        parts = [part for message in output["messages"] if message["kind"] == "bot" for part in message["parts"]]
        pictures = [part["picture"] for part in parts if part["type"] == "picture" and part["picture"]]
        shown = [(each["number"], f"#{each['number']}: {each['alt']}") for each in pictures]
        return shown, "\n".join(str(part.get("reason") or part.get("markdown")) for part in parts)


@asynccontextmanager
async def on_the_page(folder: Path) -> AsyncIterator[Place]:
    """A new thread of the page."""
    async with running_web_app(folder) as here:
        yield Page(here, await here.thread(), folder)
