"""What is made of a whole thread: a contact sheet of its pictures, and a ZIP to take away."""

import asyncio
import io
from collections.abc import Callable, Sequence

from bot.domain import Entry, Picture
from bot.export import export
from bot.sheet import contact_sheet


class Papers:
    """Draws and packs off the event loop."""

    def __init__(self, read: Callable[[str], bytes]) -> None:
        """`read` gives a picture's file by its digest."""
        self._read = read

    async def sheet(self, pictures: Sequence[Picture]) -> bytes:
        """A PNG of how the pictures come of each other."""
        return await asyncio.to_thread(contact_sheet, pictures, self._read)

    async def packed(self, title: str, entries: Sequence[Entry], pictures: Sequence[Picture]) -> bytes:
        """A ZIP of the thread."""
        return await asyncio.to_thread(self._packed, title, entries, pictures)

    def _packed(self, title: str, entries: Sequence[Entry], pictures: Sequence[Picture]) -> bytes:
        file = io.BytesIO()
        export(file, title, entries, pictures, self._read)
        return file.getvalue()
