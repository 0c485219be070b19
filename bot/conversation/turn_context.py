"""Builds the input of a turn: the thread, its images, and the history for the chat model."""

from collections.abc import Sequence
from contextlib import suppress
from itertools import takewhile
from typing import Protocol

from bot.capabilities import Abilities
from bot.conversation.turn import Turn
from bot.domain import Entry, Picture
from bot.llm.messages import FrontEnd, Manners
from bot.llm.token_budget import tokens
from bot.parsing.tool_calls import tools
from bot.prompting.history import transcript, wanted_images
from bot.prompting.sanitize import names_of
from bot.prompting.system_prompt import reminder, system_text
from bot.storage.store import Store


class Album(Protocol):
    """The files of the images."""

    async def take_in(self, upload: bytes) -> Picture:
        """Decode, sanitize and save an uploaded file; the picture has number 0 until it is recorded. Raises Refused."""
        ...

    async def glance(self, digest: str) -> bytes:
        """The image as a small JPEG, for a chat model with vision. Raises OSError."""
        ...

    async def throw_away(self, digest: str) -> None:
        """Delete the file of an image, if it exists. Raises OSError."""
        ...


async def brief(
    entry: Entry, store: Store, album: Album, *, abilities: Abilities, manners: Manners, persona: str
) -> Turn:
    """Build the turn of a recorded message for the current image model and chat model."""
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
            with suppress(OSError):  # the file is gone: the history still describes the image
                images[picture.number] = await album.glance(picture.digest)
    return images
