"""What is known before a message is answered: the thread, its pictures, and what the chat model is told of them."""

from collections.abc import Sequence
from contextlib import suppress
from itertools import takewhile
from typing import Protocol

from bot.abilities import Abilities
from bot.budget import tokens
from bot.domain import Entry, Picture
from bot.harmless import names_of
from bot.prompts import reminder, system_text
from bot.speech import FrontEnd, Manners
from bot.store import Store
from bot.tools import tools
from bot.transcript import transcript, wanted_images
from bot.turn import Turn


class Album(Protocol):
    """Where the files of pictures are."""

    async def take_in(self, upload: bytes) -> Picture:
        """A safe picture of an uploaded file, which is kept. Raises Refused."""
        ...

    async def glance(self, digest: str) -> bytes:
        """The picture as a small JPEG, for a chat model that sees. Raises OSError."""
        ...

    async def throw_away(self, digest: str) -> None:
        """Delete the file of a picture, if it is there. Raises OSError."""
        ...


async def brief(
    entry: Entry, store: Store, album: Album, *, abilities: Abilities, manners: Manners, persona: str
) -> Turn:
    """What the chat model is told about this message, as it and the picture model are now."""
    pictures = store.pictures(entry.thread)
    earlier = list(takewhile(lambda other: other.id != entry.id, store.entries(entry.thread)))
    images = await _glances(album, wanted_images(entry, pictures, manners), pictures)
    system = system_text(abilities, manners, persona)
    offered = tools(abilities) if manners.front_end is FrontEnd.TOOLS else ()
    told = transcript(system, earlier, entry, pictures, manners, images, reserved=tokens(repr(offered)))
    return Turn(
        transcript=tuple(told),
        pictures=tuple(pictures),
        deleted=tuple(store.deleted(entry.thread)),
        about=entry.about or (entry.uploads[-1].number if entry.uploads else None),
        part=entry.part,
        text=entry.text,
        names=tuple(names_of(other.author for other in (*earlier, entry)).values()),
        tools=offered,
        reminder=reminder(manners.front_end) if manners.forgets else "",
        settled=entry.settled,
    )


async def _glances(album: Album, numbers: Sequence[int], pictures: Sequence[Picture]) -> dict[int, bytes]:
    images: dict[int, bytes] = {}
    for picture in pictures:
        if picture.number in numbers:
            with suppress(OSError):  # its file is gone: the model is told of it in words
                images[picture.number] = await album.glance(picture.digest)
    return images
