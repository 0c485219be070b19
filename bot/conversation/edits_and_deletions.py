"""Changes to recorded replies: deleted images and edited messages."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from weakref import WeakValueDictionary

from bot.conversation.pacer import Pacer
from bot.conversation.permissions import check_owner_or_manager
from bot.conversation.reply import PictureRemoved, offer_retry, remove_from_view, shows_picture
from bot.conversation.running_reply import RunningReply
from bot.domain import ButtonPress, Entry, MessageEdited, Person, ThreadKey, View
from bot.errors import NotFound, Unreachable
from bot.formatting import parse_picture_number
from bot.notices import notice
from bot.ports import PictureFolder, Surface
from bot.storage.picture_files import delete_unused_files
from bot.storage.store import Store

log = logging.getLogger(__name__)


class EditsAndDeletions:
    """Deletes images, and marks replies whose message was edited."""

    def __init__(
        self,
        store: Store,
        picture_folder: PictureFolder,
        get_surface: Callable[[Entry], Surface],
        start_task: Callable[[Awaitable[None]], None],
        max_message_length: int,
    ) -> None:
        """`get_surface` returns the surface of a reply; `start_task` starts a background task.

        `max_message_length` is in characters.
        """
        self._max_message_length = max_message_length
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._store = store
        self._picture_folder = picture_folder
        self._get_surface = get_surface
        self._start_task = start_task

    async def delete(self, press: ButtonPress, running: Collection[RunningReply]) -> str:
        """Delete an image from the record, and from every reply of the thread that shows the image.

        `running` are the running replies. Raises NotFound, or Refused unless the user owns the image or is a manager.
        """
        number, reason = parse_picture_number(press.target), notice("deleted-by", name=press.author.name)
        if number in self._store.deleted_numbers(press.thread):  # pressed twice
            return press.id
        picture = self._store.picture(press.thread, number)
        if picture is None:
            raise NotFound("no-such-image", number=press.target[:9])
        showing = [entry for entry in self._store.entries(press.thread) if shows_picture(entry, number)]
        under_way = [each for each in running if shows_picture(each.reply, number)]
        check_owner_or_manager(press.author, self._find_owner(press.thread, number, showing))
        self._store.remove_picture(press.thread, number, reason)
        for each in under_way:
            each.on_event(PictureRemoved(number, reason))
        for entry in showing:
            if entry.view:
                self.update_reply(entry, remove_from_view(entry.view, number, reason))
        await delete_unused_files(self._store, self._picture_folder, [picture.digest])
        return press.id

    def _find_owner(self, thread: ThreadKey, number: int, showing: Sequence[Entry]) -> Person:
        """The user who requested or uploaded the image; in old records without owner, the author of the message."""
        owner = self._store.picture_owner(thread, number)
        entries = self._store.entries(thread)
        owners = [entry.author for entry in entries if entry.author.id == owner] or [each.author for each in showing]
        return owners[0] if owners else Person(owner, "")

    def record_edit(self, event: MessageEdited) -> str:
        """Record the new text of a message. The reply stays as it is and gets a button to answer again."""
        entry = self._store.entry(event.id)
        text = event.text.strip()
        answered = (
            entry is not None
            and entry.thread == event.thread
            and not entry.fixed_requests
            and 0 < len(text) <= self._max_message_length
        )
        if entry and answered and self._store.edit_text(entry.id, text) and entry.view:
            self.update_reply(entry, offer_retry(entry.view, entry.id))
        return event.id

    def update_reply(self, entry: Entry, view: View) -> None:
        """Record a new final view of a reply and display it."""
        self._store.finish(entry.id, view)
        self._start_task(self._display(entry))

    async def _display(self, entry: Entry) -> None:
        """Display the newest recorded view of a reply. A lock keeps an older view from replacing a newer one."""
        async with self._locks.setdefault(entry.id, asyncio.Lock()):
            newest = self._store.entry(entry.id)
            if newest is None or newest.view is None:
                return
            pacer = Pacer(self._get_surface(entry))
            pacer.show(newest.view)
            try:
                await pacer.run()
            except Unreachable:
                log.info("cannot update the reply to %s: its place is unreachable", entry.id)
            except Exception:  # the view is recorded, which is enough
                log.exception("failed to update the reply to %s", entry.id)
