"""Creates files from a whole thread: a contact sheet of its pictures, and a ZIP export."""

import asyncio
import io
from collections.abc import Callable, Sequence

from bot.commands.contact_sheet import draw_contact_sheet
from bot.commands.thread_export import write_export
from bot.domain import Entry, Picture


class ThreadExport:
    """Creates contact sheets and ZIP files on threads, off the event loop."""

    def __init__(self, read: Callable[[str], bytes]) -> None:
        """`read` returns the PNG file of a picture by its digest."""
        self._read = read

    async def draw_contact_sheet(self, pictures: Sequence[Picture]) -> bytes:
        """Draw the contact sheet, a PNG that shows the version history of the pictures."""
        return await asyncio.to_thread(draw_contact_sheet, pictures, self._read)

    async def pack_zip(self, title: str, entries: Sequence[Entry], pictures: Sequence[Picture]) -> bytes:
        """Pack the thread into a ZIP file."""
        return await asyncio.to_thread(self._pack_zip, title, entries, pictures)

    def _pack_zip(self, title: str, entries: Sequence[Entry], pictures: Sequence[Picture]) -> bytes:
        file = io.BytesIO()
        write_export(file, title, entries, pictures, self._read)
        return file.getvalue()
