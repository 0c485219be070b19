"""Creates files from a whole thread: a contact sheet of its pictures, and a ZIP export."""

import asyncio
import io
from collections.abc import Callable, Sequence

from bot.commands.contact_sheet import contact_sheet
from bot.commands.thread_export import export
from bot.domain import Entry, Picture


class Papers:
    """Creates contact sheets and ZIP files on threads, off the event loop."""

    def __init__(self, read: Callable[[str], bytes]) -> None:
        """`read` returns the PNG file of a picture by its digest."""
        self._read = read

    async def sheet(self, pictures: Sequence[Picture]) -> bytes:
        """Draw the contact sheet, a PNG that shows the version history of the pictures."""
        return await asyncio.to_thread(contact_sheet, pictures, self._read)

    async def packed(self, title: str, entries: Sequence[Entry], pictures: Sequence[Picture]) -> bytes:
        """Pack the thread into a ZIP file."""
        return await asyncio.to_thread(self._packed, title, entries, pictures)

    def _packed(self, title: str, entries: Sequence[Entry], pictures: Sequence[Picture]) -> bytes:
        file = io.BytesIO()
        export(file, title, entries, pictures, self._read)
        return file.getvalue()
