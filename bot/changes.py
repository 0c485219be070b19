"""What changes after it was said: pictures deleted, questions edited, threads forgotten."""

import logging
from collections.abc import Awaitable, Callable, Collection, Iterable

from bot.brief import Album
from bot.domain import MANAGER, ButtonPress, Edited, Entry, Person, View
from bot.errors import NotFound, Refused
from bot.live import Live
from bot.panel import Answer, Command, Scope
from bot.ports import Surface
from bot.reply import Removed, offering_again, shows, without
from bot.settings import address
from bot.store import Store
from bot.words import count_of

log = logging.getLogger(__name__)


class Changes:
    """The record and the screens of what is past."""

    def __init__(
        self,
        store: Store,
        album: Album,
        surface: Callable[[Entry], Surface],
        start: Callable[[Awaitable[None]], None],
    ) -> None:
        """`surface` is where a reply is shown, `start` begins a task that nobody waits for."""
        self._store = store
        self._album = album
        self._surface = surface
        self._start = start

    async def delete(self, press: ButtonPress, live: Collection[Live]) -> str:
        """Take a picture off the screen and out of the record, wherever its thread shows it.

        `live` are the replies under way. Raises Refused for whoever may not.
        """
        number, reason = int(press.target) if press.target.isdecimal() else 0, f"Deleted by {press.author.name}."
        picture = self._store.picture(press.thread, number)
        showing = [entry for entry in self._store.entries(press.thread) if shows(entry, number)]
        under_way = [each for each in live if shows(each.reply, number)]
        owner = showing[0] if showing else self._store.entry(under_way[0].reply.id) if under_way else None
        if picture is None or owner is None:
            raise NotFound(f"There is no picture #{press.target} in this thread.")
        check_rights(press.author, owner.author)
        self._store.remove_picture(press.thread, number, reason)
        for each in under_way:
            each.happened(Removed(number, reason))
        for entry in showing:
            if entry.view:
                self.show_again(entry, without(entry.view, number, reason))
        await self._throw_away([picture.digest])
        return press.id

    async def forget(self, command: Command) -> Answer:
        """Forget the thread, or this person's own choices. Raises Refused for whoever may not."""
        if command.arguments.get("what") == "settings":
            self._store.chosen.reset(address(Scope.PERSON, command.thread, command.author.id))
            return Answer("Your own settings are forgotten: those of the server, channel and thread hold.")
        entries = self._store.entries(command.thread)
        if not entries:
            raise Refused("I remember nothing of this place: give the command in the thread that is to be forgotten.")
        if any(entry.author.id != command.author.id for entry in entries) and MANAGER not in command.author.roles:
            raise Refused("Others have spoken here too: only managers can have this thread forgotten.")
        if any(entry.view is None for entry in entries):
            raise Refused("Something is under way here still: cancel it first, or wait for it.")
        digests = self._store.forget(command.thread)
        await self._throw_away(digests)
        pictures = count_of(len(digests), "picture")
        return Answer(f"Forgotten: {count_of(len(entries), 'message')} and {pictures} of this thread.")

    def edited(self, event: Edited) -> str:
        """Other words change nothing that was answered; they are offered to be answered."""
        entry = self._store.entry(event.id)
        text = event.text.strip()
        answered = entry is not None and entry.thread == event.thread and not entry.settled and text
        if entry and answered and self._store.amend(entry.id, text) and entry.view:
            self.show_again(entry, offering_again(entry.view, entry.id))
        return event.id

    def show_again(self, entry: Entry, view: View) -> None:
        """A final reply looks different now."""
        self._store.finish(entry.id, view)
        surface = self._surface(entry)

        async def shown() -> None:
            try:
                await surface.put(view)
            except Exception:  # it is on record, and shown the next time
                log.exception("the reply to %s could not be shown again", entry.id)

        self._start(shown())

    async def _throw_away(self, digests: Iterable[str]) -> None:
        for digest in digests:
            if not self._store.knows_picture(digest):
                await self._album.throw_away(digest)


def check_rights(who: Person, owner: Person) -> None:
    """Raises Refused for whoever neither asked for it nor is a manager."""
    if who.id != owner.id and MANAGER not in who.roles:
        raise Refused(f"Only {owner.name}, who asked for it, and managers can do this.")
