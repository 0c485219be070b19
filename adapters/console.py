"""The terminal as a chat platform: prints text while it streams and the paths of image files.

It is the smallest implementation of the Platform protocol.
"""

import asyncio
import sys
import uuid
from pathlib import Path

from bot.domain import MANAGER, Failed, Message, Person, PicturePart, Rendered, TextPart, ThreadKey, View
from bot.errors import BotError
from bot.formatting import replace_time_markers
from bot.notices import text
from bot.ports import Inbox


class Console:
    """A platform with one user and one thread."""

    def __init__(self, name: str, picture_folder: Path | None = None) -> None:
        self._person = Person(name, name, frozenset({MANAGER}))
        self._folder = picture_folder
        self._thread = ThreadKey("console", "local", "terminal", uuid.uuid4().hex[:8])
        self._answered = asyncio.Event()

    def surface(self, thread: ThreadKey, message_id: str) -> "TerminalSurface":
        """Return the surface that prints the reply to a message."""
        return TerminalSurface(self._folder, self._answered)

    async def run(self, inbox: Inbox) -> None:
        """Read lines until the input ends, then raise CancelledError. `#2 make it blue` is about image #2."""
        print("Say what to draw. '#1 make it blue' changes picture #1. Ctrl-D ends.")
        while line := await asyncio.to_thread(self._read_line):
            about, text = _split_number(line.strip())
            if not text:
                continue
            self._answered.clear()
            try:
                await inbox.accept(Message(uuid.uuid4().hex, self._thread, self._person, text, about=about))
                await self._answered.wait()
            except BotError as refused:
                print(replace_time_markers(refused.text))
        raise asyncio.CancelledError

    def _read_line(self) -> str:
        print(f"\n{self._person.name}> ", end="", flush=True)
        return sys.stdin.readline()


def _split_number(line: str) -> tuple[int | None, str]:
    head, _, rest = line.partition(" ")
    if head.startswith("#") and head[1:].isdecimal():
        return int(head[1:]), rest.strip()
    return None, line


class TerminalSurface:
    """A surface that can only append: it prints the text that a view adds to the last view."""

    pause = 0.1

    def __init__(self, folder: Path | None, answered: asyncio.Event) -> None:
        self._folder = folder
        self._answered = answered
        self._printed = ""

    async def put(self, view: View) -> None:
        """Print the text that is new since the last view."""
        text = self.text(view)
        print(text[len(self._printed) :], end="", flush=True)
        self._printed = text
        if view.final:
            print(f"\n({view.status})" if view.status else "", flush=True)
            self._answered.set()

    def text(self, view: View) -> str:
        """Return the reply up to its first unfinished image. Later views only append to this text."""
        texts: list[str] = []
        for part in view.parts:
            match part:
                case TextPart(markdown):
                    texts.append(markdown)
                case PicturePart(state=Rendered(picture)):
                    where = f" {self._folder / picture.digest}.png" if self._folder else ""
                    texts.append(f"\n[#{picture.number}: {picture.alt}]{where}\n")
                case PicturePart(state=Failed(reason)):
                    texts.append(f"\n[no picture: {replace_time_markers(text(reason))}]\n")
                case PicturePart():
                    break
        return "".join(texts)
